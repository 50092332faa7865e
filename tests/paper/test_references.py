"""Every work that a page cites is in the bibliography, every work there is cited, and each says enough to be found."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from pybtex.database import Entry, parse_file

from helpers.core import files
from helpers.paper import contents

REFERENCES = parse_file(str(files.BOOK / "references.bib")).entries

#: arXiv's form since April 2007: year, month, and a number of four digits, of five from 2015 on.
ARXIV = re.compile(r"(?P<year>\d\d)(?P<month>0[1-9]|1[0-2])\.(?P<number>\d{4,5})")


def prose(page: str) -> str:
    """The text of a page of the table of contents, code left out."""
    file = Path(files.ROOT / page)
    if file.with_suffix(".md").is_file():
        return file.with_suffix(".md").read_text(encoding="utf-8")
    cells = nbformat.read(file.with_suffix(".ipynb"), as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def cited() -> dict[str, set[str]]:
    """The pages that cite a work, by its key."""
    found: dict[str, set[str]] = {}
    for page in contents.pages():
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]*)`", prose(page)):
            for key in keys.split(","):
                found.setdefault(key.strip(), set()).add(page)
    return found


def named_in_tables() -> set[str]:
    """Works that a table of the package names as a source, whose pages print it."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in (files.ROOT / "src" / "helpers").rglob("*.py"))
    return {key for key in REFERENCES if f'"{key}"' in code}


def test_what_is_cited_is_listed_and_what_is_listed_is_cited() -> None:
    found = cited()
    assert {key: pages for key, pages in found.items() if key not in REFERENCES} == {}
    assert sorted(set(REFERENCES) - set(found) - named_in_tables()) == []


@pytest.mark.parametrize("key", REFERENCES)
def test_an_entry_has_authors_a_title_and_a_year(key: str) -> None:
    entry: Entry = REFERENCES[key]
    assert entry.persons.get("author") and entry.fields.get("title", "").strip()
    assert re.fullmatch(r"(19|20)\d\d", entry.fields.get("year", ""))
    where = {"journal", "booktitle", "institution", "eprint", "howpublished"}
    assert where & {name.lower() for name in entry.fields}, "it does not say where it was published"


@pytest.mark.parametrize("key", [key for key, entry in REFERENCES.items() if "eprint" in entry.fields])
def test_an_arxiv_number_has_the_form_and_is_no_younger_than_its_paper(key: str) -> None:
    fields = REFERENCES[key].fields
    number = ARXIV.fullmatch(fields["eprint"])
    assert number and fields["archiveprefix"] == "arXiv"
    year = 2000 + int(number["year"])
    assert len(number["number"]) == (5 if year >= 2015 else 4)
    assert year <= int(fields["year"]) <= year + 2


def test_no_work_is_listed_twice() -> None:
    for name in ("title", "eprint"):
        said = [
            re.sub(r"[{}\s]", "", entry.fields[name]).lower() for entry in REFERENCES.values() if name in entry.fields
        ]
        assert len(said) == len(set(said))
    numbers = [re.search(r"\d{4}\.\d{4,5}", str(entry.fields.get("journal", ""))) for entry in REFERENCES.values()]
    assert not any(numbers), "an arXiv number is the field eprint"
