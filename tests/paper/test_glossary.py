"""The glossary has each term once and in order, and a page links each of its terms once, where it is first used."""

from __future__ import annotations

import re

import pytest

from helpers.core import files

#: Pages without links to the glossary: itself, lists, a page that is generated, and the first, which has few words.
UNLINKED = {"glossary", "references", "api", "data_dictionary", "intro"}
PAGES = sorted({page.stem for page in files.BOOK.glob("*.md")} - UNLINKED)

LINK = re.compile(r"\{term\}`(?P<shown>[^`<]+?)(?: <(?P<target>[^>]+)>)?`")
#: What is no running text: code, tables, anchors, headings, other roles, formatted words, links and their addresses.
#: Links to the glossary come first, lest their closing quote be taken for the opening one of code.
LEFT_OUT = re.compile(
    r"(?P<kept>\{term\}`[^`]+`)|^```.*?^```|^\|.*?$|^\(.*?\)=$|^#.*?$|\{(?!term\})[\w:]+\}`[^`]*`|(?<!\})`[^`\n]+`|\[[^\]]*\]\([^)]*\)|"
    r"\*\*[^*]+\*\*|\*[^*\n]+\*|\"[^\"]*\"",
    re.M | re.S,
)


def terms() -> list[str]:
    """The terms in the order of the page."""
    text = (files.BOOK / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"^(\S.*)\n  \S", text.partition(":::{glossary}\n")[2], re.M)


def uses(page: str) -> list[tuple[str, bool]]:
    """Each use of a term in a page's running text: the term, and whether it is a link."""
    text = (files.BOOK / f"{page}.md").read_text(encoding="utf-8")
    text = LEFT_OUT.sub(lambda found: found["kept"] or " ", text)
    text = re.sub(r"\s+", " ", text)
    longest = sorted(terms(), key=len, reverse=True)
    word = re.compile(rf"{LINK.pattern}|(?<![\w-])(?P<word>{'|'.join(map(re.escape, longest))})s?(?![\w-])", re.I)
    by_name = {term.lower(): term for term in terms()}
    found = []
    for use in word.finditer(text):
        if use["word"]:
            term = by_name[use["word"].lower()]
            if term.islower() or use["word"] == term:  # an abbreviation is one as it is written
                found.append((term, False))
        else:
            found.append((use["target"] or use["shown"], True))
    return found


def test_a_term_is_defined_once_and_in_order_of_the_alphabet() -> None:
    assert len(terms()) > 60
    assert terms() == sorted(set(terms()), key=str.lower)


def test_a_definition_is_one_to_three_sentences() -> None:
    text = (files.BOOK / "glossary.md").read_text(encoding="utf-8")
    for term, said in re.findall(r"^(\S.*)\n((?:  .*\n)+)", text.partition(":::{glossary}\n")[2], re.M):
        assert said.rstrip().endswith(".") and 1 <= len(re.findall(r"\.(?=\s)", said)) <= 3, term


@pytest.mark.parametrize("page", PAGES)
def test_a_page_links_each_of_its_terms_once_where_it_first_stands(page: str) -> None:
    seen: dict[str, bool] = {}
    for term, linked in uses(page):
        assert term in terms(), f"{term} is not in the glossary"
        assert term in seen or linked, f"{term} is first used without a link"
        assert not (term in seen and linked), f"{term} is linked twice, or after its first use"
        seen[term] = linked


def test_a_page_that_explains_methods_has_links() -> None:
    assert sum(linked for _, linked in uses("methods")) > 30
