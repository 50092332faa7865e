"""The columns of a results folder, each declared once: what it holds, in which unit, within which range.

A run writes its tables by these declarations, the reader of results checks tables against them, and the book's data
dictionary is printed from them. So they lie below both sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.core.errors import Damaged, UsageError, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "IDENTITY", "KEYS", "SCORES", "TABLES", "VERSION", "Column", "Range", "Table", "check", "check_version",
    "dictionary", "ordered", "problem",
]  # fmt: skip

#: The version of results folders that is written, in their manifests; the first of them did not say so. It is raised
#: where an older reader would take what is there for something else.
VERSION = 1
#: The kinds of columns, in print. "json" is text that holds an object or null.
KINDS = {
    "key": "text", "text": "text", "json": "text", "whole": "whole number", "number": "number",
    "numbers": "list of numbers",
}  # fmt: skip
#: Figures in single precision may lie beyond their range by so much.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Range:
    """What a number can be: from `low` to `high`, or one of `values`, each with its meaning; `note` says more of it."""

    low: float = -inf
    high: float = inf
    values: tuple[tuple[int, str], ...] = ()
    note: str = ""

    def holds(self, numbers: np.ndarray) -> bool:
        """Whether all numbers (N,) lie within; one that is not known (NaN) does."""
        known = numbers[~np.isnan(numbers)]
        if self.values:
            return bool(np.isin(known, [value for value, _ in self.values]).all())
        return bool(((known >= self.low - ROUNDING) & (known <= self.high + ROUNDING)).all())

    def __str__(self) -> str:
        ends = f"{self.low:g} to {self.high:g}" if self.high < inf else f"from {self.low:g}" if self.low > -inf else ""
        ends = ", ".join(f"{value} {meaning}" for value, meaning in self.values) or ends
        return f"{ends or 'any'}; {self.note}" if self.note else ends


ANY, FROM_0, SHARE = Range(), Range(0), Range(0, 1)
_YES = Range(values=((1, "yes"), (0, "no")))


@dataclass(frozen=True)
class Column:
    """One column: its kind (of `KINDS`), what it holds, its unit, its range, and whether a table must have it.

    A "key" and a "whole" number that must be there are never blank.
    """

    name: str
    kind: str
    words: str
    unit: str = ""
    range: Range = ANY
    needed: bool = False


@dataclass(frozen=True)
class Table:
    """One file of a results folder: what a row is, and its columns."""

    file: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that it must have."""
        return tuple(column.name for column in self.columns if column.needed)


_CELL = (
    Column("generator", "key", 'key of the generator; "real" for renders and photographs', needed=True),
    Column("precision", "key", 'key of the precision of its weights; "none" for reals', needed=True),
    Column("arm", "key", 'the condition: the main arm ("native" or "rounding"), the name of another in the study file; '
           'of reals "none", or the generator whose VAE they passed', needed=True),
)  # fmt: skip
_SIZE = Column("size", "whole", "height and width of the image; 0 where an import does not say", "pixels", FROM_0)
_INDEX = Column(
    "index", "whole", "which image: it has prompt `index` and the seed of its arm plus `index`", "", FROM_0, True
)
_LABEL = Column("label", "whole", "what the image is", "", Range(values=((1, "fake"), (0, "real"))))
_SHA = Column("image_sha256", "text", "SHA-256 of the image's size and RGB bytes, hex")
_SCORE = (
    *_CELL,
    Column("protocol", "key", "how images were shown to the detector: plain, shared or aligned", needed=True),
    Column("size", "whole", _SIZE.words, _SIZE.unit, _SIZE.range, needed=True),
    _INDEX,
    Column("label", "whole", _LABEL.words, _LABEL.unit, _LABEL.range, needed=True),
    Column("detector", "key", "key of the detector", needed=True),
    Column("weights", "key", "which training of it: `mini`, `mini-sdxl`, the name of released ones ...", needed=True),
    Column("logit", "number", "the detector's raw score, float64 (float32 in files of former versions)",
           "logits (natural log of the odds)", Range(note="above 0 means fake"), True),
    _SHA,
)  # fmt: skip

#: Every table, by file.
TABLES = {
    table.file: table
    for table in (
        Table("scores.parquet", "one image, seen by one detector of one training under one protocol", _SCORE),
        Table("cells.parquet", "one generator at one precision in one arm", (
            *_CELL,
            Column("coverage", "number", "share of the denoiser's parameters stored in the format (or of all "
                   "components', where the denoiser was not asked for)", "", SHARE),
            Column("component_coverage", "json", "JSON: the same and the errors of each component"),
            Column("weight_error", "number", "relative error of the denoiser's weights (Frobenius)", "", FROM_0),
            Column("output_error", "number", "relative error of one forward pass of the denoiser", "", FROM_0),
            Column("native_deviation", "number", "largest relative distance of a kernel's output from the format's "
                   "arithmetic", "", FROM_0),
            Column("seconds_load", "number", "time to load the pipeline", "s", FROM_0),
            Column("seconds_quantize", "number", "time to quantize it", "s", FROM_0),
            Column("seconds_per_image", "number", "median time of an image", "s", FROM_0),
            Column("peak_memory_mb", "number", "most memory of the process or device while images are made",
                   "MB (10^6 bytes)", FROM_0),
            Column("steps", "whole", "denoising steps", "", Range(1)),
            Column("guidance", "number", "guidance scale", "", FROM_0),
            _SIZE,
            Column("device", "text", "what it was computed on"),
            Column("versions", "json", "JSON: versions of the libraries that made it"),
            Column("images", "whole", "images that were made", "", FROM_0),
            Column("rejected", "whole", "images that were rejected", "", FROM_0),
            Column("rejected_why", "text", "for which reasons"),
            Column("note", "text", "what an import says of the cell"),
        )),
        Table("spectra.parquet", "one image", (
            *_CELL, _SIZE, _LABEL, _INDEX, _SHA,
            Column("high", "number", "mean power above half Nyquist's frequency", "grey levels squared", FROM_0),
            Column("share", "number", "the share of all energy that lies there", "", SHARE),
            Column("residual", "number", "mean square of what a 3 x 3 median leaves", "grey levels squared", FROM_0),
            Column("npr", "number", "root mean square of NPR's residual", "grey levels", FROM_0),
            *(Column(f"period_{n}", "number", f"power of the cross-difference at a period of {n} pixels, as a "
                     "multiple of that beside it", "", Range(0, note="1 is no peak")) for n in (2, 4, 8)),
            Column("radial", "numbers", "mean power by radial frequency, from 0 to Nyquist's",
                   "dB of grey levels squared", Range(-30)),
        )),
        Table("patterns.parquet", "one cell (or the reals of one size)", (
            *_CELL, _SIZE, _LABEL,
            Column("images", "whole", "images behind it", "", Range(1)),
            Column("autocorrelation", "numbers", "autocorrelation of the mean residual, by lag", "", Range(-1, 1)),
            Column("own", "numbers", "inner products, per pixel, of the folds' sums of residuals",
                   "grey levels squared"),
            Column("cross", "numbers", "the same with the folds of the generator's images at the baseline",
                   "grey levels squared"),
        )),
        Table("distances.parquet", "one image, beside the baseline's image of the same generator and index", (
            *_CELL, _SIZE, _INDEX, _SHA,
            Column("psnr", "number", "peak signal-to-noise ratio to the baseline's image, over all channels", "dB",
                   Range(0, note="infinite where all pixels are equal"), True),
            Column("gmsd", "number", "gradient magnitude similarity deviation from it (Xue et al. 2014)", "",
                   Range(0, note="0 is equal"), True),
            Column("identical", "whole", "whether size and bytes are those of the baseline's image", "", _YES, True),
            Column("ground", "text", "the ground that the judge reads; this and what follows is blank where prompts "
                   "are not captions of the miniature world"),
            Column("colours", "text", "the colours of the solids that it reads, in reading order"),
            Column("shapes", "text", "the shapes of the solids that it reads, in reading order"),
            *(Column(f"{name}_right", "whole", f"whether {it} what the prompt says", "", _YES)
              for name, it in (("ground", "the ground is"), ("colours", "all colours are"),
                               ("shapes", "all shapes are"))),
        )),
        Table("counterfactuals.parquet", "one filtered image, seen by one detector", (
            *_SCORE, Column("treatment", "key", "what was done to it: sham, matched, attenuated, halved, restored, "
                            "decoded", needed=True),
        )),
        Table("perturbed.parquet", "one perturbed image, seen by one detector", (
            *_SCORE, Column("perturbation", "key", "what was done to it, with its strength: `jpeg:75`", needed=True),
        )),
    )
}  # fmt: skip

SCORES = TABLES["scores.parquet"]
#: The columns of scores that are keys, and those that make a row one score of one image.
KEYS = tuple(column.name for column in SCORES.columns if column.kind == "key")
IDENTITY = [name for name in SCORES.needed if name != "logit"]


def check(table: Table, frame: pd.DataFrame, where: str) -> None:
    """Check a table that is called `where`: the needed columns are there, and each that is there holds what it should.

    Raises Damaged that names the column.
    """
    if wrong := problem(table, frame):
        raise Damaged(f"{where}: {wrong}; make it again")


def problem(table: Table, frame: pd.DataFrame) -> str:
    """What is wrong with the first column that is not as declared; "" where all are.

    Columns that are not declared, and what a table without rows says of its columns, are let pass.
    """
    missing = next((name for name in table.needed if name not in frame), None)
    if missing:
        return f"it lacks the column {missing!r}"
    there = [column for column in table.columns if column.name in frame] if len(frame) else []
    found = ((column, _wrong(column, frame[column.name])) for column in there)
    return next((f"its column {column.name!r} {wrong}" for column, wrong in found if wrong), "")


def _wrong(column: Column, values: pd.Series) -> str:
    """What is wrong with the values of one column; "" where they are as declared."""
    known = values.dropna()
    if len(known) < len(values) and column.needed and column.kind in ("key", "whole"):
        return "has blank rows"
    what, fits = _FITS[column.kind]
    # Whole numbers among which some are blank are stored as floats.
    unfit = column.kind == "whole" and column.needed and known.dtype.kind == "f"
    if len(known) and (unfit or not fits(known)):
        return f"holds {known.dtype}, not {what}"
    if column.range == ANY or not len(known) or column.range.holds(_numbers(column, known)):
        return ""
    return f"holds numbers beyond its range, {column.range}"


def _numbers(column: Column, values: pd.Series) -> np.ndarray:
    if column.kind == "numbers":
        values = np.concatenate(list(values))
    return np.asarray(values, dtype=np.float64)


def _is_text(values: pd.Series) -> bool:
    from pandas.api import types

    # A column of categories is as its categories are.
    return bool(types.is_string_dtype(values.cat.categories if hasattr(values, "cat") else values))


def _is_json(values: pd.Series) -> bool:
    try:
        return all(isinstance(json.loads(value), dict | None) for value in values)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_number(values: pd.Series) -> bool:
    from pandas.api import types

    return bool(types.is_numeric_dtype(values.dtype))


def _is_whole(values: pd.Series) -> bool:
    return values.dtype.kind in "iu" or _is_number(values) and bool((values % 1 == 0).all())


def _is_lists(values: pd.Series) -> bool:
    return all(np.issubdtype(np.asarray(value).dtype, np.number) and np.ndim(value) == 1 for value in values)


#: By kind what a column should hold, in words, and the test of its known values.
_FITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "key": ("words", _is_text), "text": ("words", _is_text), "json": ("words that are JSON", _is_json),
    "whole": ("whole numbers", _is_whole), "number": ("numbers", _is_number),
    "numbers": ("lists of numbers", _is_lists),
}  # fmt: skip


def ordered(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its columns in the order of the declarations, to be written.

    Raises ValueError for a column that is not declared, which nobody would find in the data dictionary.
    """
    if undeclared := [name for name in frame if name not in table.names]:
        raise ValueError(f"{table.file}: the column {undeclared[0]!r} is not declared; declare it in core.columns")
    return frame[[name for name in table.names if name in frame]]


def dictionary() -> str:
    """The data dictionary as a page of the book (MyST Markdown)."""
    parts = [
        "# Data dictionary",
        "What each table of a results folder holds. The page is made from the declarations that tables are checked "
        "against when they are read. Most of what this book shows is computed from the scores, "
        f"{{tab}}`{_named(SCORES)}`; what other tables have in common with them is described there alone. Columns in "
        "bold must be there. Any software that reads Parquet reads these files.",
    ]
    for table in TABLES.values():
        shared = [column for column in table.columns if _as_in_scores(column)] if table is not SCORES else []
        parts += [f"## {table.file}", f"A row is {table.row}.{_shared(shared)}"]
        parts.append(_figure(table, [column for column in table.columns if column not in shared]))
    return "\n\n".join(parts) + "\n"


def _as_in_scores(column: Column) -> bool:
    """Whether the scores have a column of the same name that holds the same, needed or not."""
    return column in {replace(one, needed=column.needed) for one in SCORES.columns}


def _shared(columns: list[Column]) -> str:
    """The sentence that names the columns which are those of the scores; "" where there are none."""
    if not columns:
        return ""
    if len(columns) == len(SCORES.columns):
        return f" It has all columns of {{tab}}`{_named(SCORES)}`, and:"
    names = [_name(column) for column in columns]
    return f" {', '.join(names[:-1])} and {names[-1]} are as in {{tab}}`{_named(SCORES)}`."


def _named(table: Table) -> str:
    """By what pages refer to the table of a file's columns."""
    return f"columns-of-{table.file.partition('.')[0]}"


def _figure(table: Table, columns: Iterable[Column]) -> str:
    """Columns of a file as a table with a caption and a place for its number (`helpers.paper.numbers`)."""
    head = (
        f'<figure class="table-figure" id="tab-{_named(table)}" data-kind="Table" data-digest="0">\n'
        f'<figcaption><span class="figure-number">Table</span> Columns of {table.file}</figcaption>'
    )
    return "\n\n".join([_raw(head), _rows(columns), _raw("</figure>")])


def _raw(markup: str) -> str:
    return f"```{{raw}} html\n{markup}\n```"


def _name(column: Column) -> str:
    return f"**{column.name}**" if column.needed else column.name


def _rows(columns: Iterable[Column]) -> str:
    lines = ["| column | type | unit | range | what it is |", "|---|---|---|---|---|"]
    for column in columns:
        lines.append(f"| {_name(column)} | {KINDS[column.kind]} | {column.unit} | {column.range} | {column.words} |")
    return "\n".join(lines)


def check_version(manifest: dict[str, Any], file: str) -> None:
    """Raise UsageError where a manifest (`file`, for the message) is of a version that this package does not know,
    Damaged where its version is none.
    """
    said = manifest.get("version", VERSION)
    if type(said) is not int or said < 1:
        raise Damaged(f"{file}: its version {shown(said)} is no whole number from 1 on; run or import the study again")
    if said > VERSION:
        raise UsageError(
            f"{file}: written by a later version of this package (results of version {said}; this one knows {VERSION});"
            " install that one, or name another folder"
        )
