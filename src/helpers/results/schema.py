"""The columns of a results folder, each declared once: what it holds, in which unit, within which range.

Tables are checked against this where they are read, and the book's data dictionary is printed from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from helpers.core.errors import Damaged

__all__ = ["COLUMNS", "IDENTITY", "KEYS", "TABLES", "Column", "Table", "check", "dictionary"]

KINDS = {"key": "text", "text": "text", "whole": "whole number", "number": "number", "numbers": "list of numbers"}


@dataclass(frozen=True)
class Column:
    """One column: its kind (of `KINDS`), what it holds, its unit and range in words, and whether a table must have it.

    A "key" and a "whole" number that must be there are never blank.
    """

    name: str
    kind: str
    words: str
    unit: str = ""
    range: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Table:
    """One file of a results folder: what a row is, and its columns."""

    file: str
    row: str
    columns: tuple[Column, ...]

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
_SIZE = Column("size", "whole", "height and width of the image; 0 where an import does not say", "pixels", "from 0")
_INDEX = Column(
    "index", "whole", "which image: it has prompt `index` and the seed of its arm plus `index`", "", "from 0", True
)
_LABEL = Column("label", "whole", "what the image is", "", "1 fake, 0 real")
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
           "logits (natural log of the odds)", "any; above 0 means fake", True),
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
                   "components', where the denoiser was not asked for)", "", "0 to 1"),
            Column("component_coverage", "text", "JSON: the same and the errors of each component"),
            Column("weight_error", "number", "relative error of the denoiser's weights (Frobenius)", "", "from 0"),
            Column("output_error", "number", "relative error of one forward pass of the denoiser", "", "from 0"),
            Column("native_deviation", "number", "largest relative distance of a kernel's output from the format's "
                   "arithmetic", "", "from 0"),
            Column("seconds_load", "number", "time to load the pipeline", "s", "from 0"),
            Column("seconds_quantize", "number", "time to quantize it", "s", "from 0"),
            Column("seconds_per_image", "number", "median time of an image", "s", "from 0"),
            Column("peak_memory_mb", "number", "most memory of the process or device", "MB (10^6 bytes)", "from 0"),
            Column("steps", "whole", "denoising steps", "", "at least 1"),
            Column("guidance", "number", "guidance scale", "", "from 0"),
            _SIZE,
            Column("device", "text", "what it was computed on"),
            Column("versions", "text", "JSON: versions of the libraries that made it"),
            Column("images", "whole", "images that were made", "", "from 0"),
            Column("rejected", "whole", "images that were rejected", "", "from 0"),
            Column("rejected_why", "text", "for which reasons"),
            Column("note", "text", "what an import says of the cell"),
        )),
        Table("spectra.parquet", "one image", (
            *_CELL, _SIZE, _LABEL, _INDEX, _SHA,
            Column("high", "number", "mean power above half Nyquist's frequency", "grey levels squared", "from 0"),
            Column("share", "number", "the share of all energy that lies there", "", "0 to 1"),
            Column("residual", "number", "mean square of what a 3 x 3 median leaves", "grey levels squared", "from 0"),
            Column("npr", "number", "root mean square of NPR's residual", "grey levels", "from 0"),
            *(Column(f"period_{n}", "number", f"power of the cross-difference at a period of {n} pixels, as a "
                     "multiple of that beside it", "", "from 0; 1 is no peak") for n in (2, 4, 8)),
            Column("radial", "numbers", "mean power by radial frequency, from 0 to Nyquist's",
                   "dB of grey levels squared", "at least -30"),
        )),
        Table("patterns.parquet", "one cell (or the reals of one size)", (
            *_CELL, _SIZE, _LABEL,
            Column("images", "whole", "images behind it", "", "at least 1"),
            Column("autocorrelation", "numbers", "autocorrelation of the mean residual, by lag", "", "-1 to 1"),
            Column("own", "numbers", "inner products, per pixel, of the folds' sums of residuals",
                   "grey levels squared"),
            Column("cross", "numbers", "the same with the folds of the generator's FP32", "grey levels squared"),
        )),
        Table("distances.parquet", "one image, beside the baseline's image of the same generator and index", (
            *_CELL, _SIZE, _INDEX, _SHA,
            Column("psnr", "number", "peak signal-to-noise ratio to the baseline's image, over all channels", "dB",
                   "from 0; inf where all pixels are equal", True),
            Column("gmsd", "number", "gradient magnitude similarity deviation from it (Xue et al. 2014)", "",
                   "from 0, which is equal", True),
            Column("identical", "whole", "whether size and bytes are those of the baseline's image", "", "1 yes, 0 no",
                   True),
            Column("ground", "text", "the ground that the judge reads; this and what follows is blank where prompts "
                   "are not captions of the miniature world"),
            Column("colours", "text", "the colours of the solids that it reads, in reading order"),
            Column("shapes", "text", "the shapes of the solids that it reads, in reading order"),
            *(Column(f"{name}_right", "whole", f"whether {it} what the prompt says", "", "1 yes, 0 no")
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

#: The columns that a score must have; those that are keys; and those that make a row one score of one image.
COLUMNS = TABLES["scores.parquet"].needed
KEYS = tuple(column.name for column in _SCORE if column.kind == "key")
IDENTITY = [name for name in COLUMNS if name != "logit"]


def check(table: Table, frame: pd.DataFrame, where: str) -> None:
    """Check the needed columns of a table that is called `where`: of their kind, and none blank.

    Raises Damaged that names the column.
    """
    columns = [column for column in table.columns if column.needed]
    for column in columns:
        if column.name not in frame:
            raise Damaged(f"{where}: it lacks the column {column.name!r}; make it again")
        if not _is(column.kind, frame[column.name]):
            raise Damaged(f"{where}: its column {column.name!r} holds {frame[column.name].dtype}, not numbers; "
                          "make it again")  # fmt: skip
    for column in columns:
        if column.kind in ("key", "whole") and frame[column.name].isna().any():
            raise Damaged(f"{where}: its column {column.name!r} has blank rows; make it again")
    if "label" in table.needed and not frame.label.isin([0, 1]).all():
        raise Damaged(f"{where}: its column 'label' holds more than 1 (fake) and 0 (real); make it again")


def _is(kind: str, values: pd.Series) -> bool:
    tests = {"whole": pd.api.types.is_integer_dtype, "number": pd.api.types.is_numeric_dtype}
    return kind not in tests or tests[kind](values.dtype)


def dictionary() -> str:
    """The data dictionary as a page of the book (MyST Markdown)."""
    parts = [
        "# Data dictionary",
        "What each table of a results folder holds: generated from the same "
        "declarations that tables are checked against when they are read. Columns in bold must be there. Any software "
        "that reads Parquet reads them.",
    ]
    for table in TABLES.values():
        parts += [f"## {table.file}", f"A row is {table.row}.", _rows(table.columns)]
    return "\n\n".join(parts) + "\n"


def _rows(columns: Iterable[Column]) -> str:
    lines = ["| column | type | unit | range | what it is |", "|---|---|---|---|---|"]
    for column in columns:
        name = f"**{column.name}**" if column.needed else column.name
        lines.append(f"| {name} | {KINDS[column.kind]} | {column.unit} | {column.range} | {column.words} |")
    return "\n".join(lines)
