"""What a cell says in words: Markdown, and the same as HTML that is whole by itself.

JupyterLab, nbconvert and other viewers of notebooks take the HTML, which needs no styles of ours. The book takes the
Markdown (`nb_mime_priority_overrides` in `_config.yml`), in which links lead to its own pages and citations to its
bibliography.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.attrs import attrs_plugin

__all__ = ["Prose", "Source", "boxed", "escaped", "folded", "joined", "mark", "paragraphs", "shown"]


class Source(str):
    """Markdown whose links, emphasis and marks are meant; words that are a plain str are printed as they stand."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs as a page shows them: `markdown` for the book, `html` for whatever else shows a notebook."""

    markdown: str
    html: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/markdown": self.markdown, "text/plain": _plain(self.html)}


#: Marks of verdicts and of evidence where no style sheet is at hand: grounds and inks of `book/_static/style.css`.
BADGE = "display: inline-block; padding: 0 0.5em; border-radius: 4px; font-size: 0.85em; font-weight: 600;"
COLOURS = {
    "verdict-holds": "background: #d7eef9; color: #00446b;",
    "verdict-fails": "background: #fbe0d0; color: #7a3200;",
    "evidence-agrees-with": "background: #d9f0e3; color: #004d33;",
    "evidence-contradicts": "background: #f0dcee; color: #641a5e;",
}
OTHER = "background: #eee; color: #333;"
BOX = "border-left: 4px solid #0072b2; padding: 0 1em; margin: 1em 0;"

# What Markdown or MyST would read as more than a letter; an underscore inside a word (R50_TF) is none.
SPECIAL = re.compile(r"([\\`*\[\]<{&]|(?<![^\W_])_|_(?![^\W_])|^[#%>+~:=-])", re.M)
NUMBERED = re.compile(r"^(\d+)([.)] )", re.M)  # would begin a list


def escaped(words: str) -> str:
    """Words as Markdown that prints them as they stand; a `Source` is Markdown already."""
    if isinstance(words, Source):
        return words
    return NUMBERED.sub(r"\1\\\2", SPECIAL.sub(r"\\\1", words))


def mark(word: str, *classes: str) -> Source:
    """A word with these classes, which style sheets and `Prose` know."""
    return Source(f"[{escaped(word)}]{{{' '.join(f'.{name}' for name in classes)}}}")


def paragraphs(*said: str) -> Prose | None:
    """Each text as a paragraph of its own, empty ones left out; None where nothing is said."""
    source = "\n\n".join(escaped(text) for text in said if text)
    return Prose(source, _html(source)) if source else None


def boxed(title: str, *said: str) -> Prose:
    """Paragraphs in a box with a title."""
    inner = "\n\n".join(escaped(text) for text in said if text)
    head = f"<p><strong>{html.escape(title)}</strong></p>"
    return Prose(
        f"::::{{admonition}} {title}\n:class: answer\n\n{inner}\n::::",
        f'<div class="answer" style="{BOX}">{head}\n{_html(inner)}</div>',
    )


def shown(markup: str) -> Prose:
    """HTML in one line that is a block of its own, such as a table."""
    return Prose(markup, markup)


def folded(title: str, inside: Prose) -> Prose:
    """What a page of the book shows when a reader opens it, and on paper; elsewhere it is open from the start."""
    head = f"<summary>{html.escape(title)}</summary>"
    return Prose(
        f'<details class="behind">{head}\n\n{inside.markdown}\n\n</details>',
        f"<details open>{head}\n{inside.html}</details>",
    )


def joined(parts: Iterable[Prose | None]) -> Prose:
    """One below the other."""
    kept = [part for part in parts if part]
    return Prose("\n\n".join(part.markdown for part in kept), "\n".join(part.html for part in kept))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).use(attrs_plugin, spans=True)


def _html(source: str) -> str:
    tokens = _parser().parse(source)
    for token in (inner for block in tokens for inner in block.children or ()):
        names = str(token.attrs.get("class", "")).split()
        if token.type == "span_open" and "verdict" in names:
            own = next((COLOURS[name] for name in names if name in COLOURS), OTHER)
            token.attrSet("style", f"{BADGE} {own}")
    return str(_parser().renderer.render(tokens, _parser().options, {})).strip()


def _plain(source: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", source)).strip()
