"""Every work that a page cites is in the bibliography, every work there is cited, and each says enough to be found."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin

from helpers.core import files
from helpers.paper import contents
from helpers.paper.citations import LINK, addresses, as_citations

REFERENCES = parse_file(str(files.BOOK / "references.bib")).entries

#: arXiv's form since April 2007: year, month, and a number of four digits, of five from 2015 on.
ARXIV = re.compile(r"(?P<year>\d\d)(?P<month>0[1-9]|1[0-2])\.(?P<number>\d{4,5})")
#: A DOI's form: a registrant's number of four to nine digits, and a name of the registrant's own without blanks.
DOI = re.compile(r"10\.\d{4,9}/\S+")
#: Works of which no address could be verified.
UNLINKED = {"banerjee1960"}


def prose(page: str) -> str:
    """The text of a page of the table of contents, code left out."""
    file = Path(files.ROOT / page)
    if file.with_suffix(".md").is_file():
        return file.with_suffix(".md").read_text(encoding="utf-8")
    cells = nbformat.read(file.with_suffix(".ipynb"), as_version=4).cells
    return as_citations("\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))


def cited() -> dict[str, set[str]]:
    """The pages that cite a work, by its key."""
    found: dict[str, set[str]] = {}
    for page in contents.pages():
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]*)`", prose(page)):
            for key in keys.split(","):
                found.setdefault(key.strip(), set()).add(page)
    return found


CODE = "\n".join(file.read_text(encoding="utf-8") for file in (files.ROOT / "src" / "helpers").rglob("*.py"))


def named_in_tables() -> set[str]:
    """Works that a table or a sentence of the package names as a source, whose pages print it."""
    return {key for key in REFERENCES if f'"{key}"' in CODE or f"{{cite}}`{key}`" in as_citations(CODE)}


def test_what_is_cited_is_listed_and_what_is_listed_is_cited() -> None:
    found = cited()
    assert {key: pages for key, pages in found.items() if key not in REFERENCES} == {}
    assert sorted(set(REFERENCES) - set(found) - named_in_tables()) == []


@pytest.mark.parametrize("page", [page for page in contents.pages() if "notebooks" in page])
def test_a_notebook_cites_by_links_to_works_of_the_list(page: str) -> None:
    """Without Sphinx such a link leads to the work itself, and its text names the first author and the year."""
    source = (files.ROOT / f"{page}.ipynb").read_text(encoding="utf-8")
    found = list(LINK.finditer(source))
    assert len(found) == len(re.findall(r"\b(?:19|20)\d\d\]\(", source)), "a link on two lines, or without https"
    for link in [*found, *LINK.finditer(CODE)]:
        assert link["address"] in addresses(), link[0]
        entry = REFERENCES[addresses()[link["address"]]]
        assert entry.fields["year"] in link[0]
        assert entry.persons["author"][0].last_names[-1].strip("{}") in link[0], link[0]


@pytest.mark.parametrize("key", REFERENCES)
def test_an_entry_has_authors_a_title_and_a_year(key: str) -> None:
    entry: Entry = REFERENCES[key]
    assert entry.persons.get("author") and entry.fields.get("title", "").strip()
    assert re.fullmatch(r"(19|20)\d\d", entry.fields.get("year", ""))
    where = {"journal", "booktitle", "institution", "eprint", "howpublished", "url"}
    assert where & {name.lower() for name in entry.fields}, "it does not say where it was published"


@pytest.mark.parametrize("key", [key for key, entry in REFERENCES.items() if "eprint" in entry.fields])
def test_an_arxiv_number_has_the_form_and_is_no_younger_than_its_paper(key: str) -> None:
    fields = REFERENCES[key].fields
    number = ARXIV.fullmatch(fields["eprint"])
    assert number and fields["archiveprefix"] == "arXiv"
    year = 2000 + int(number["year"])
    assert len(number["number"]) == (5 if year >= 2015 else 4)
    assert year <= int(fields["year"]) <= year + 2


def test_a_work_has_an_address_but_for_those_known_to_have_none() -> None:
    assert {key for key, entry in REFERENCES.items() if not {"doi", "eprint", "url"} & set(entry.fields)} == UNLINKED


@pytest.mark.parametrize("key", [key for key, entry in REFERENCES.items() if "doi" in entry.fields])
def test_a_doi_has_the_form_and_names_no_year_that_its_paper_is_not_of(key: str) -> None:
    """Many registrants put the year, of the volume or of the acceptance, into a DOI: `10.1109/TIP.2013.2293423`."""
    fields = REFERENCES[key].fields
    assert DOI.fullmatch(fields["doi"])
    years = [int(year) for year in re.findall(r"(?<=[.(])((?:19|20)\d\d)(?=\.\d|\d{4}\))", fields["doi"])]
    assert all(year <= int(fields["year"]) <= year + 1 for year in years), years


@pytest.mark.parametrize("key", [key for key, entry in REFERENCES.items() if "url" in entry.fields])
def test_an_address_is_of_a_page_that_readers_open(key: str) -> None:
    parts = urlsplit(REFERENCES[key].fields["url"])
    assert parts.scheme == "https" and "." in parts.netloc and parts.path.strip("/") and not parts.query
    assert "doi.org" not in parts.netloc and "arxiv.org" not in parts.netloc, "these are the fields doi and eprint"


def test_the_list_shows_each_address_as_a_link() -> None:
    style, backend = find_plugin("pybtex.style.formatting", "alpha")(), find_plugin("pybtex.backends", "html")()
    shown = {entry.key: entry.text.render(backend) for entry in style.format_entries(REFERENCES.values())}
    for key, entry in REFERENCES.items():
        places = {"doi": "https://doi.org/{}", "eprint": "https://arxiv.org/abs/{}", "url": "{}"}
        for name, place in places.items():
            address = place.format(entry.fields.get(name, ""))
            assert name not in entry.fields or f'<a href="{address}">' in shown[key], address


def test_no_work_is_listed_twice() -> None:
    for name in ("title", "eprint", "doi", "url"):
        said = [
            re.sub(r"[{}\s]", "", entry.fields[name]).lower() for entry in REFERENCES.values() if name in entry.fields
        ]
        assert len(said) == len(set(said))
    numbers = [re.search(r"\d{4}\.\d{4,5}", str(entry.fields.get("journal", ""))) for entry in REFERENCES.values()]
    assert not any(numbers), "an arXiv number is the field eprint"
