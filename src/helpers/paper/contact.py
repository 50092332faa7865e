"""The contact sheets of a study: the same prompts at every precision, as pictures."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from pathlib import Path

from IPython.display import HTML, Markdown, display
from PIL import Image

from helpers.analysis import controls, words
from helpers.paper import numbers
from helpers.paper.site import EXTRA
from helpers.results.results import Results

__all__ = ["sheets", "show_sheets"]


def show_sheets(results: Results, role: str = "") -> None:
    """Display the contact sheet of each generator that has one: one row per precision, which is named beside it, and
    one column per prompt.

    `role` is that of the arm that is shown ("ladder"); the main one where none is given.
    """
    study = results.manifest.get("study", {})
    # The rows of a sheet are the study's, in its order, whatever the page leaves out.
    keys = controls.scored_arms(results).get(results.arm_of(role), study).get("precisions") or results.precisions
    rows = [words.named(key) for key in keys]
    found = sheets(results, role)
    for title, sheet in found.items():
        display(HTML(_figure(title, sheet, rows)))
    if not found:
        display(Markdown("No contact sheets are stored with these results."))


def _figure(title: str, sheet: Path, rows: Sequence[str]) -> str:
    """A sheet with the names of its rows, of which each has the same height, at its left."""
    staged = Path("..", EXTRA, "contact", sheet.name).is_file()  # in the book it lies beside the pages
    source = f"../contact/{sheet.name}" if staged else Path(os.path.relpath(sheet)).as_posix()
    names = "".join(f"<li>{html.escape(name)}</li>" for name in rows)
    with Image.open(sheet) as opened:
        width, height = opened.size  # its place is kept free until it has loaded
    said = html.escape(f"Contact sheet of {title}: the same prompts, rows {', '.join(rows)}")
    caption = f"{title}: the same prompts, one a column, at each precision, one a row"
    inner = (
        '<div style="display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.5em">'
        '<ol aria-hidden="true" style="display: grid; grid-auto-rows: 1fr; align-items: center; margin: 0; padding: 0; '
        'list-style: none; font-size: 0.8em">'
        f'{names}</ol><img src="{html.escape(source)}" alt="{said}" loading="lazy" width="{width}" height="{height}" '
        'style="width: 100%; height: auto"></div>'
    )
    held = numbers.attributes("Figure", re.sub(r"[^\w-]", "-", f"contact-{sheet.stem}"), inner)
    return f'<figure class="contact-sheet" {held}>{numbers.caption("Figure", caption)}{inner}</figure>'


def sheets(results: Results, role: str = "") -> dict[str, Path]:
    """The stored contact sheets of the arm of a role (default the main arm) by their generators' titles."""
    arm = results.arm_of(role)
    if results.folder is None or role and not arm:
        return {}
    files = {
        title: results.folder / "contact" / (f"{key}-{arm}.webp" if arm else f"{key}.webp")
        for key, title in results.titles("generator").items()
    }
    return {title: file for title, file in files.items() if file.is_file()}
