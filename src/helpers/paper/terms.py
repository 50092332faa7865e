"""Words of the glossary on the pages of notebooks, as an extension of Sphinx that `_config.yml` names.

A notebook must read well where no Sphinx is, so its prose has no links to the glossary. In the book the first use of
each term on a notebook's page becomes one, in prose and in what cells say.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.core import files

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["Linker", "setup", "terms"]

#: What is no running text: HTML, lines of boxes and headings, roles, code, links, marks, formatted words, quotations.
LEFT_OUT = (
    r"^<.*?$|^:.*?$|^#.*?$|\{[\w:+-]+\}`[^`]*`|`[^`\n]+`|\[[^\]]*\](?:\([^)]*\)|\{[^}]*\})|\*\*[^*]+\*\*|\*[^*\n]+\*|"
    r"\"[^\"]*\"|https?://\S+"
)
#: After `citations`, whose roles are then left out.
LATER = 600


def setup(app: Sphinx) -> dict[str, bool]:
    """Join Sphinx: called by it, once a build."""
    app.connect("source-read", _read, priority=LATER)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def terms() -> tuple[str, ...]:
    """The terms of `book/glossary.md` in its order."""
    page = (files.BOOK / "glossary.md").read_text(encoding="utf-8")
    return tuple(re.findall(r"^(\S.*)\n  \S", page.partition(":::{glossary}\n")[2], re.M))


class Linker:
    """Links the first use of each term in the texts that it is given, one after the other; those of one page."""

    def __init__(self) -> None:
        longest = sorted(terms(), key=len, reverse=True)
        words = "|".join(re.escape(term).replace(r"\ ", r"\s+") for term in longest)
        self._pattern = re.compile(rf"(?:{LEFT_OUT})|(?<![\w-])(?P<term>{words})s?(?![\w-])", re.M | re.I)
        self._by_name = {term.lower(): term for term in terms()}
        self._seen: set[str] = set()

    def linked(self, text: str) -> str:
        """Markdown with MyST's role for each term that is not linked yet."""
        return self._pattern.sub(self._link, text)

    def _link(self, use: re.Match[str]) -> str:
        if not use["term"]:
            return use[0]
        word, shown = (re.sub(r"\s+", " ", part) for part in (use["term"], use[0]))
        term = self._by_name[word.lower()]
        # An abbreviation is one as it is written.
        if term in self._seen or not (term.islower() or word == term):
            return use[0]
        self._seen.add(term)
        return f"{{term}}`{shown} <{term}>`" if shown != term else f"{{term}}`{term}`"


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    if Path(app.env.doc2path(page)).suffix != ".ipynb":
        return
    book, linker = json.loads(source[0]), Linker()
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = linker.linked("".join(cell["source"]))
        elif "remove-cell" not in cell["metadata"].get("tags", []):
            for output in cell.get("outputs", []):
                _say(output.get("data", {}), linker)
    source[0] = json.dumps(book)


def _say(data: dict[str, Any], linker: Linker) -> None:
    if "text/markdown" in data:
        data["text/markdown"] = linker.linked("".join(data["text/markdown"]))
