"""The contact sheets of a study: the same prompts at every precision, as pictures."""

from __future__ import annotations

import os
from pathlib import Path

from IPython.display import Markdown, display

from helpers.analysis import controls, words
from helpers.results.results import Results

__all__ = ["sheets", "show_sheets"]


def show_sheets(results: Results, role: str = "") -> None:
    """Display the contact sheet of each generator that has one: one row per precision, one column per prompt.

    `role` is that of the arm that is shown ("ladder"); the main one where none is given.
    """
    keys = controls.scored_arms(results).get(results.arm_of(role), {}).get("precisions") or results.precisions
    rows = ", ".join(words.named(key) for key in keys)
    found = sheets(results, role)
    for title, sheet in found.items():
        beside = Path("contact") / sheet.name  # where the book puts them
        link = beside.as_posix() if beside.is_file() else Path(os.path.relpath(sheet)).as_posix()
        display(Markdown(f"**{title}** ({rows})\n\n![Contact sheet of {title}: the same prompts, rows {rows}]({link})"))
    if not found:
        display(Markdown("No contact sheets are stored with these results."))


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
