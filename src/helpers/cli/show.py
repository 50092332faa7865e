"""What several commands share: words of the command line, tables on the screen, tables in files."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.core.errors import UsageError, nearest, readable, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Names", "StudyName", "place", "table_text", "words", "writer"]

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="mini, full, or a TOML file.")]
Names = Annotated[str | None, typer.Option(metavar="A,B", help="Only these, comma-separated; default all.")]


def words(text: str | None) -> list[str] | None:
    """The words of a comma-separated list, each once."""
    words = None if text is None else list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if words == []:
        raise UsageError(f"{shown(text)} names nothing; give words with commas between them, as in fp32,fp4")
    return words


def place(path: Path) -> str:
    """The path as short as it can be said from here."""
    path = Path(path).resolve()
    return readable(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def table_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as text in columns, as wide as needed on the screen, where some characters take two places or none."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(_places(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [[cell + " " * (w - _places(cell)) for cell, w in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _places(text: str) -> int:
    """How many places of a terminal a text takes (Unicode Standard Annex 11)."""
    wide = sum(unicodedata.east_asian_width(c) in ("W", "F") for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def writer(out: Path) -> Callable[[pd.DataFrame], None]:
    """The function that writes a table to `out`, in one step, in the format of its suffix; `out` is tried at once."""
    from helpers.core import files

    suffix = out.suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(f"{out}: cannot write '{out.suffix}'{nearest(suffix, _FORMATS)}; use {', '.join(_FORMATS)}")
    files.probe(out)
    return lambda frame: _FORMATS[suffix](frame, out)


def _write_csv(frame: pd.DataFrame, out: Path) -> None:
    from helpers.core import files

    with files.replacing(out) as temporary:
        frame.to_csv(temporary, index=False)


def _write_parquet(frame: pd.DataFrame, out: Path) -> None:
    from helpers.core import files

    files.write_parquet(frame, out)


def _write_json(frame: pd.DataFrame, out: Path) -> None:
    """A list of objects; floats to their last digit (pandas writes 15 at most), null for what is no number."""
    import numpy as np

    from helpers.core import files

    cells = frame.astype(object).where(frame.notna() & ~frame.isin([np.inf, -np.inf]), None)
    files.write_json(cells.to_dict("records"), out)


_FORMATS = {".csv": _write_csv, ".parquet": _write_parquet, ".json": _write_json}
