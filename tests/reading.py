"""A book's pages as a reader meets them, without a kernel: notebooks executed in process, glued words in place."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers.charts.theme import LAB
from helpers.core import files
from helpers.paper.build import protocol_of
from helpers.paper.contents import notebooks
from helpers.paper.execution import declared

GLUE = re.compile(r"\{glue:(?:text)?\}`\.\./notebooks/(?P<page>\w+)\.ipynb::(?P<name>\w+)(?::s)?`")


class Book:
    """The pages of one study: `said` holds what each notebook glues, `pages` the text of each page as it is read,
    `charts` the specifications of each notebook's charts.
    """

    def __init__(self, study: Path) -> None:
        self.study = study
        self.said: dict[str, dict[str, str]] = {}
        self.pages: dict[str, str] = {}
        self.charts: dict[str, list[dict[str, Any]]] = {}
        given = protocol_of(study) | {"results": str(study), "live": ""}
        for notebook in notebooks():
            self._execute(notebook, given)
        for page in sorted(files.BOOK.glob("*.md")):
            self.pages[page.stem] = self._glued(page.read_text(encoding="utf-8"))

    def _execute(self, notebook: Path, given: dict[str, Any]) -> None:
        has = declared(notebook)
        cells = nbformat.read(notebook, as_version=4).cells
        shell = InteractiveShell.instance()
        shell.user_ns.update(has | {name: value for name, value in given.items() if name in has})
        said, charts, texts = {}, [], []
        for cell in cells:
            if cell.cell_type == "markdown" or "parameters" in cell.metadata.get("tags", []):
                texts.append(cell.source if cell.cell_type == "markdown" else "")
                continue
            found, shown, hidden = _run(shell, cell.source), [], "remove-cell" in cell.metadata.get("tags", [])
            for data, marks in found:
                name = marks.get("scrapbook", {}).get("name")
                if name:
                    said[name] = next(text for kind, text in data.items() if kind.endswith("text/plain"))
                if LAB in data:
                    charts.append(data[LAB])
                elif not name and not hidden:
                    shown.append(data.get("text/html") or data.get("text/markdown") or data["text/plain"])
            texts.append("\n\n".join(map(plain, shown)))
        self.said[notebook.stem], self.charts[notebook.stem] = said, charts
        self.pages[notebook.stem] = "\n\n".join(texts)

    def flat(self, page: str) -> str:
        """The text of a page on one line."""
        return re.sub(r"\s+", " ", self.pages[page])

    def _glued(self, prose: str) -> str:
        return GLUE.sub(lambda found: self.said[found["page"]][found["name"]], prose)


def _run(shell: InteractiveShell, source: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What a cell displays, its last expression included: data by type, with metadata."""
    with capture_output(stdout=True, stderr=True, display=True) as caught:
        done = shell.run_cell(source)
    done.raise_error()
    found = [(output.data, output.metadata or {}) for output in caught.outputs]
    return found + ([shell.display_formatter.format(done.result)] if done.result is not None else [])


def plain(html: str) -> str:
    """The text of HTML: cells of a table are set apart by a bar, rows and paragraphs by lines."""
    rows = re.sub(r"\s*</tr>\s*", "\n", re.sub(r"\s*</t[dh]>\s*", " | ", re.sub(r">\n\s*<", "><", html)))
    rows = re.sub(r"</p>", "\n", rows)
    return unescape(re.sub(r"<[^>]+>", "", rows))
