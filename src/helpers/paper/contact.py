"""The contact sheets of a study: the same prompts at every precision, as pictures."""

from __future__ import annotations

import os
from pathlib import Path

from IPython.display import Markdown, display

from helpers.analysis import controls, words
from helpers.results.results import Results

__all__ = ["sheets", "show_sheets"]


def show_sheets(results: Results, arm: str = "") -> None:
    """Display the contact sheet of each generator that has one: one row per precision, one column per prompt."""
    keys = controls.scored_arms(results).get(arm, {}).get("precisions") or results.precisions
    rows = ", ".join(words.named(key) for key in keys)
    found = sheets(results, arm)
    for title, sheet in found.items():
        beside = Path("contact") / sheet.name  # where the book puts them
        link = beside.as_posix() if beside.is_file() else Path(os.path.relpath(sheet)).as_posix()
        display(Markdown(f"**{title}** ({rows})\n\n![Contact sheet of {title}: the same prompts, rows {rows}]({link})"))
    if not found:
        display(Markdown("No contact sheets are stored with these results."))


def sheets(results: Results, arm: str) -> dict[str, Path]:
    """The stored contact sheets of an arm (default the main one) by their generators' titles."""
    if results.folder is None:
        return {}
    files = {
        title: results.folder / "contact" / (f"{key}-{arm}.webp" if arm else f"{key}.webp")
        for key, title in results.titles("generator").items()
    }
    return {title: file for title, file in files.items() if file.is_file()}
