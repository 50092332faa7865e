"""On a notebook's page each term of the glossary is linked once, where it first stands in running text."""

from __future__ import annotations

import re

import nbformat
import pytest

from helpers.core import files
from helpers.paper import contents
from helpers.paper.terms import Linker, terms

ROLE = re.compile(r"\{term\}`(?P<shown>[^`<]+?)(?: <(?P<term>[^>]+)>)?`")


def test_the_first_use_is_a_link_and_no_other() -> None:
    linker = Linker()
    assert linker.linked("An arm, two arms.") == "An {term}`arm`, two arms."
    assert linker.linked("Arms and Detectors; AUC") == "Arms and {term}`Detectors <detector>`; {term}`AUC`"
    assert linker.linked("the balanced\naccuracy") == "the {term}`balanced accuracy`"


@pytest.mark.parametrize(
    "text",
    [
        "## The detector",
        ":::{admonition} detector\n:class: detector",
        "`detector`",
        '"the detector"',
        "**detector** and *detector*",
        "[detector](detector.md) [detector]{.detector}",
        "{cite}`detector`",
        "https://example.org/detector",
        "alarm, detectorate, non-detector",
        "auc",
    ],
)
def test_what_is_no_running_text_is_left_as_it_is(text: str) -> None:
    assert Linker().linked(text) == text


@pytest.mark.parametrize("notebook", contents.notebooks(), ids=lambda notebook: notebook.stem)
def test_words_stay_as_they_are(notebook) -> None:
    """Without its roles a page is what was stored, blanks apart, and links lead to terms that there are."""
    linker, linked = Linker(), []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            text = linker.linked(cell.source)
            linked += [role["term"] or role["shown"] for role in ROLE.finditer(text)]
            assert ROLE.sub(lambda role: role["shown"], text).split() == cell.source.split()
    assert len(linked) == len(set(linked)) and set(linked) <= set(terms()) and linked


def test_the_terms_are_those_of_the_page() -> None:
    page = (files.BOOK / "glossary.md").read_text(encoding="utf-8")
    assert len(terms()) > 60 and all(f"\n{term}\n  " in page for term in terms())
