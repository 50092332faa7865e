"""How a frame becomes the HTML of a table: keys that repeat stand once, and a cell breaks where its parts end.

The frame stays as it is: what repeats down its first columns is one heading of all its rows on the page alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

__all__ = ["DASH", "table_html"]

DASH = "\N{EN DASH}"
#: From how many rows on a table is a window with its own scroll bar (`book/_static/style.css`).
LONG = 21
#: Words of a cell from so many letters on are wrapped, and keep a width that can be read.
WORDS = 24
#: Where a cell of numbers may break: before an interval and after it, after an arrow, in a range.
PARTS = re.compile(r" (?=\()|(?<=[\N{RIGHTWARDS ARROW},]) | (?=to [^()]*$)")
LETTERS = re.compile(r"[^\W\d]+")
#: Letters that numbers may have among them.
BETWEEN = {"to", "e", "p"}


def table_html(frame: pd.DataFrame) -> str:
    """A frame as a `<table>` in one line, with its column names as heads and a dash for what is missing.

    Of the first columns those whose values repeat are headings of groups (`rowspan`), each within that before it: a
    group of the first column is a `<tbody>`. Numbers are printed as they are, floats with six digits.
    """
    rows = [[_printed(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    spans = _spans(rows)
    long = " long" if len(rows) >= LONG else ""
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in frame)
    body = "".join(_group(rows[start:end], [of[start:end] for of in spans]) for start, end in _groups(spans, len(rows)))
    return f'<table class="table fitted{long}"><thead><tr>{head}</tr></thead>{body or "<tbody></tbody>"}</table>'


def _printed(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return DASH
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _spans(rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """For each first column whose values repeat: over how many rows each cell runs, 0 where that above runs on."""
    found: list[list[int]] = []
    for column in range(len(rows[0]) - 1 if rows else 0):
        runs = [len(list(run)) for _, run in groupby(rows, key=lambda row, last=column: row[: last + 1])]
        if len(runs) == len(rows):
            break
        found.append([place for run in runs for place in (run, *[0] * (run - 1))])
    return found


def _groups(spans: Sequence[Sequence[int]], count: int) -> list[tuple[int, int]]:
    """First row and end of each group of the first column; of a table without groups the one of all rows."""
    if not spans:
        return [(0, count)] if count else []
    return [(start, start + run) for start, run in enumerate(spans[0]) if run]


def _group(rows: Sequence[Sequence[str]], spans: Sequence[Sequence[int]]) -> str:
    """The rows of one group, whose heads are those of `spans`."""
    lines = []
    for place, row in enumerate(rows):
        heads = [_head(row[column], span[place], column) for column, span in enumerate(spans) if span[place]]
        lines.append(f"<tr>{''.join(heads)}{''.join(map(_cell, row[len(spans) :]))}</tr>")
    return f"<tbody>{''.join(lines)}</tbody>"


def _head(text: str, rows: int, column: int) -> str:
    """The heading of so many rows; that of a whole `<tbody>` is in the first column."""
    scope, span = ("row" if column else "rowgroup", f' rowspan="{rows}"') if rows > 1 else ("row", "")
    inner = f"<span>{html.escape(text)}</span>" if rows > 1 else html.escape(text)
    return f'<th scope="{scope}"{span}>{inner}</th>'


def _cell(text: str) -> str:
    if set(LETTERS.findall(text)) <= BETWEEN:
        return f'<td class="figures">{" ".join(map(_part, PARTS.split(text)))}</td>'
    return f'<td class="words">{html.escape(text)}</td>' if len(text) >= WORDS else f"<td>{html.escape(text)}</td>"


def _part(text: str) -> str:
    """What stays on one line; the ends of an interval may take two where a table has many columns."""
    ends = ' class="ends"' if text.startswith("(") else ""
    return f"<span{ends}>{html.escape(text)}</span>"
