"""Sentences of a built page that are longer than a reader carries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup

#: The most words of a sentence; numbers, signs and names with digits are none.
MOST = 35
#: What is no prose: code, drawings, tables, the marks of verdicts.
LEFT_OUT = (
    "script, style, pre, table, svg, form, noscript, .math, .highlight, .verdict, .verdict-more, .visually-hidden"
)
_BLOCKS = "p, li, dd, figcaption, summary"
_END = re.compile(r"(?<=[.!?])[\"\N{RIGHT DOUBLE QUOTATION MARK})\]]*\s+")


def longer(page: Path, most: int = MOST) -> list[str]:
    """The sentences of a page's text, folded ones too, of more words than `most`."""
    return [said for text in _texts(page) for said in _END.split(text) if _words(said) > most]


def _texts(page: Path) -> Iterator[str]:
    tree = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    for article in tree.select("article.bd-article"):
        for part in article.select(LEFT_OUT):
            part.decompose()
        for block in article.select(_BLOCKS):
            if block.name == "p" or not block.select(_BLOCKS):
                yield re.sub(r"\b(et al)\.", r"\1", re.sub(r"\s+", " ", block.get_text()).strip())


def _words(said: str) -> int:
    return sum(any(map(str.isalpha, word)) and not any(map(str.isdigit, word)) for word in said.split())
