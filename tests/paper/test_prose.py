"""What cells say: words are printed as they stand, whatever they hold; the two forms say the same."""

from __future__ import annotations

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from helpers.paper import prose
from helpers.paper.citations import as_citations


def words(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page)).strip()


@pytest.mark.parametrize(
    "said",
    [
        "R50_TF and R50_nodown at 95 %, p < .001 & more",
        "*not emphasis* _nor this_ __nor this__ `no code`",
        '[logit], scale = "probability" (no link)[x](y)',
        "<script>alert(1)</script> {term}`x` {.class}",
        "# no heading",
        "1. no list",
        "12) no list",
        "- no list",
        "+++",
        "> no quotation",
        ":::{admonition} no box",
        "% no comment",
        "a back\\slash",
    ],
)
def test_words_are_printed_as_they_stand(said: str) -> None:
    """CommonMark as markdown-it reads it, by itself, is the judge."""
    found = prose.paragraphs(said)
    assert found and words(MarkdownIt("commonmark").render(found.markdown)) == said == words(found.html)
    assert found.html.startswith("<p>") and found.html.count("<") == 2


def test_source_keeps_its_links_and_marks() -> None:
    found = prose.paragraphs(prose.Source(f"{prose.mark('holds', 'verdict', 'verdict-holds')} [a](b.md) *c*"))
    assert found and "[holds]{.verdict .verdict-holds}" in found.markdown
    assert '<a href="b.md">a</a>' in found.html and "<em>c</em>" in found.html
    assert re.search(r'<span class="verdict verdict-holds" style="[^"]+">holds</span>', found.html)


def test_a_cell_with_nothing_to_say_shows_nothing() -> None:
    assert prose.paragraphs("", "") is None
    found = prose.paragraphs("", "one", "", "two")
    assert found and found.markdown == "one\n\ntwo" and found.html.count("<p>") == 2


def test_a_box_is_whole_in_both_forms() -> None:
    box = prose.boxed("Answer", "yes", "no")
    shown = box._repr_mimebundle_()
    assert shown["text/markdown"].startswith("::::{admonition} Answer\n:class: answer\n")
    assert shown["text/markdown"].endswith("\n::::") and ":::" not in shown["text/html"]
    assert shown["text/plain"].split() == ["Answer", "yes", "no"]


def test_a_link_that_names_a_year_is_a_citation_where_the_work_is_listed() -> None:
    listed = "as [Durall et al., 2020](https://arxiv.org/abs/2003.01826) show"
    assert as_citations(listed) == "as {cite}`durall2020` show"
    for other in ("[their paper](https://arxiv.org/abs/2003.01826)", "[Nobody, 2020](https://example.org/2020)"):
        assert as_citations(other) == other
