"""Anybody's per-image scores as a study's results: a table, and a map that says which column and word is what (no
torch).

The map is a TOML file, so that what was understood of somebody else's labels is data to be read and corrected. Its
conditions speak the file's own words; what it sets and declares speaks this project's keys.
"""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from helpers import __version__, paths
from helpers.errors import UsageError, nearest
from helpers.protocols import PROTOCOLS
from helpers.study import DETECTORS, GENERATORS, PRECISIONS, ArmName, GeneratorKey, PrecisionKey, Share, Strict, explain

__all__ = ["COLUMNS", "Imported", "Map", "import_scores", "read_map"]

#: The columns of scores.parquet, with what holds where neither the file nor the map says anything; None: must be given.
COLUMNS: dict[str, str | None] = {
    "generator": None, "precision": None, "arm": "native", "protocol": "plain", "size": "0", "index": None,
    "label": None, "detector": None, "weights": "imported", "logit": None, "image_sha256": "",
}  # fmt: skip
MAIN = "native"
# What makes a row one score of one image; a second row with the same is a duplicate.
IDENTITY = ["generator", "precision", "arm", "protocol", "size", "index", "label", "detector", "weights"]
PAIR = ["generator", "protocol", "size", "index", "detector", "weights"]

Column = Literal[
    "generator", "precision", "arm", "protocol", "size", "index", "label", "detector", "weights", "logit",
    "image_sha256",
]  # fmt: skip
Worded = Literal["generator", "precision", "arm", "protocol", "label", "detector", "weights"]
Condition = Annotated[dict[str, list[str]], Field(min_length=1)]


class Pattern(Strict):
    """Where facts stand in a name: the named groups of `regex`, found in `column`, become columns of the file."""

    column: str
    regex: str


class Drop(Strict):
    """Rows to leave out: those whose columns hold one of the words of `when`, and why."""

    when: Condition
    why: str = Field(min_length=1)


class Correct(Strict):
    """Rows whose labels are wrong: what their columns are to hold instead, in this project's keys, and why."""

    when: Condition
    set: dict[Worded, str] = Field(min_length=1)
    why: str = Field(min_length=1)


class ArmTitle(Strict):
    """What an arm beside the main one is."""

    title: str = Field(min_length=1)


class Known(Strict):
    """What is known of a cell: the share of its denoiser that was quantized, and words about it."""

    generator: GeneratorKey
    precision: PrecisionKey
    arm: str = MAIN
    coverage: Share | None = None
    note: str = ""


class Map(Strict):
    """How a file of scores is to be read.

    `columns` names the file's column for each of ours, `constants` what a missing column holds, `values` the keys for
    the file's words; `pair_by` the columns that identify one prompt and seed, from which `index` is made. `baseline`
    is the precision that the others are compared with. All of it may be left out where the file speaks our language.
    """

    name: str = Field("imported", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    source: str = ""
    licence: str = ""
    notes: list[str] = []
    scale: Literal["mini", "full"] = "full"
    baseline: PrecisionKey = "fp32"
    pair_by: list[str] = Field(["index"], min_length=1)
    columns: dict[Column, str] = {}
    constants: dict[Column, str | int | float] = {}
    values: dict[Worded, dict[str, str]] = {}
    pattern: Pattern | None = None
    drop: list[Drop] = []
    correct: list[Correct] = []
    arms: dict[ArmName, ArmTitle] = {}
    cells: list[Known] = []

    @model_validator(mode="after")
    def _named(self) -> Map:
        try:
            groups = re.compile(self.pattern.regex).groupindex if self.pattern else {"": 0}
        except re.error as error:
            raise ValueError(f"pattern.regex: {error}; mend the expression") from None
        if not groups:
            raise ValueError("pattern.regex: it names no group; write (?P<generator>...) for what a column is made of")
        return self


MODELS = {
    (): Map, ("pattern",): Pattern, ("drop",): Drop, ("correct",): Correct, ("arms",): ArmTitle, ("cells",): Known,
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What an import made: rows read, rows left out with the reason, rows kept, cells, and fakes without a twin.

    A fake's twin is the baseline's image of the same generator and index; `unpaired` counts rows by cell.
    """

    read: int
    dropped: list[tuple[str, int]]
    kept: int
    cells: int
    unpaired: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_map(path: str | Path) -> Map:
    """Read and check a map. Raises UsageError that names the key and the nearest right one."""
    path = Path(path)
    try:
        return Map.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}; name a TOML map") from None
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, MODELS)}".replace(": : ", ": ")) from None


def import_scores(file: str | Path, out: str | Path, mapping: Map | None = None) -> Imported:
    """Write scores.parquet, cells.parquet and manifest.json of the scores in a CSV or Parquet file into `out`.

    Without a map the file's columns and words are taken as this project's own. Raises UsageError, with the row and
    the mend, where a column is missing, a word or number is not understood, a row stands there twice, or nothing is
    at the baseline.
    """
    file, out, mapping = Path(file), Path(out), mapping or Map()
    rows = _read(file)
    table = _Table(file, _unfolded(rows), len(rows))
    read = len(table.rows)
    dropped = _prepare(table, mapping)
    scores = _scores(table, mapping)
    _check(table, scores, mapping)
    cells = _cells(scores, mapping)
    _write(out, scores, cells, mapping, {"file": file.name, "sha256": paths.file_sha256(file), "rows": read})
    return Imported(read, dropped, len(scores), len(cells), _unpaired(scores, mapping.baseline), _remarks(scores))


@dataclass
class _Table:
    """The file's rows as text; the index modulo `lines` is the row's place in the file from 0."""

    file: Path
    rows: pd.DataFrame
    lines: int

    def column(self, name: str, why: str) -> pd.Series:
        if name not in self.rows:
            raise UsageError(
                f"{self.file}: no column {name!r}{nearest(name, self.rows.columns)}, {why}; "
                f"it has {', '.join(self.rows.columns)}"
            )
        return self.rows[name]

    def place(self, row: int) -> str:
        """Where a row stands, as an editor or a reader of tables counts."""
        row %= self.lines
        return f"line {row + 2}" if self.file.suffix == ".csv" else f"row {row + 1}"

    def refuse(self, wrong: pd.Series, what: str, mend: str) -> None:
        """Raise where any row is wrong; `what` may hold {place} and is told of the first, with the number of all."""
        if wrong.any():
            first, count = wrong.index[wrong][0], int(wrong.sum())
            more = f" and {count - 1} more like it" if count > 1 else ""
            raise UsageError(f"{self.file}, {self.place(first)}{more}: {what.format(first=first)}; {mend}")


def _read(file: Path) -> pd.DataFrame:
    readers = {
        ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8"),
        ".parquet": lambda path: pd.read_parquet(path).astype(object).map(_text),
    }
    if not file.is_file():
        raise UsageError(f"{file}: no such file; name a table of scores, one row per image and detector")
    if file.suffix not in readers:
        raise UsageError(f"{file}: cannot read '{file.suffix}'{nearest(file.suffix, readers)}; give a .csv or .parquet")
    try:
        rows = readers[file.suffix](file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: not a readable table: {str(error).splitlines()[0]}; export it again") from None
    if rows.empty:
        raise UsageError(f"{file}: it holds no rows; give one row per image and detector")
    return rows.reset_index(drop=True)


def _unfolded(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with one detector each, where a table is as wide as `quantdetect detect` writes it: NAME_logit.

    Its labels are words, by the names of folders, and blank for others; they hold only where all rows have one.
    """
    wide = [name for name in DETECTORS if f"{name}_logit" in rows]
    if not wide or "logit" in rows:
        return rows
    if "label" in rows:
        told = rows.label.map({"real": "0", "fake": "1"})
        rows = rows.assign(label=told) if told.notna().all() else rows.drop(columns="label")
    own = {name: {f"{name}_{what}": what for what in ("logit", "weights")} for name in wide}
    kept = rows[[column for column in rows if not column.startswith(tuple(f"{name}_" for name in DETECTORS))]]
    frames = [
        kept.assign(detector=name, **{what: rows[column] for column, what in columns.items() if column in rows})
        for name, columns in own.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)


def _prepare(table: _Table, mapping: Map) -> list[tuple[str, int]]:
    """Take the pattern's groups in as columns and leave out the rows to be dropped; returns reasons and counts."""
    unmatched = pd.Series(False, index=table.rows.index)
    if mapping.pattern:
        found = table.column(mapping.pattern.column, "in which [pattern] looks").str.extract(mapping.pattern.regex)
        unmatched = found.isna().all(axis=1)
        named = [name for name in found if isinstance(name, str)]
        table.rows = table.rows.drop(columns=named, errors="ignore").join(found[named].fillna(""))
    dropped = []
    for rule in mapping.drop:
        hit = _hit(table, rule.when, "on which [[drop]] depends")
        dropped.append((rule.why, int(hit.sum())))
        table.rows = table.rows[~hit]
    if table.rows.empty:
        raise UsageError(f"{table.file}: [[drop]] leaves out every row; narrow its conditions")
    if mapping.pattern:
        column = mapping.pattern.column
        table.refuse(
            unmatched[table.rows.index], f"{column} does not match the pattern", "widen it or [[drop]] the row"
        )
    return dropped


def _hit(table: _Table, when: Condition, why: str) -> pd.Series:
    return np.logical_and.reduce([table.column(name, why).isin(words) for name, words in when.items()])


def _scores(table: _Table, mapping: Map) -> pd.DataFrame:
    """The rows as scores.parquet has them, every column checked for what it may hold."""
    scores = pd.DataFrame({name: _column(table, mapping, name) for name in COLUMNS if name != "index"})
    for rule in mapping.correct:
        hit = _hit(table, rule.when, "on which [[correct]] depends")
        for name, key in rule.set.items():
            scores.loc[hit, name] = key
    table.refuse(
        ~scores.label.isin(["0", "1"]), "label is not 1 (fake) or 0 (real)", "name its words in [values.label]"
    )
    real = scores.label == "0"
    # A real has no precision, and no arm but that of the VAE it went through under `aligned`.
    scores.loc[real, ["generator", "precision"]] = ["real", "none"]
    scores.loc[real & (scores.protocol != "aligned"), "arm"] = "none"
    for name, known, rows in (
        ("generator", GENERATORS, ~real), ("precision", PRECISIONS, ~real), ("detector", DETECTORS, real | ~real),
        ("protocol", PROTOCOLS, real | ~real),
    ):  # fmt: skip
        _known(table, scores[name][rows], name, known)
    scores["logit"] = _numbers(table, scores.logit, "logit", np.float32)
    scores["size"] = _numbers(table, scores["size"], "size", np.int64)
    scores["label"] = scores.label.astype(np.int64)
    scores.insert(5, "index", _index(table, mapping))
    return scores


def _column(table: _Table, mapping: Map, name: str) -> pd.Series:
    """One of our columns as text: the file's, translated; a constant; or its default.

    Without a column of labels the images of the generator "real" are the reals.
    """
    if name in mapping.constants:
        return pd.Series(str(mapping.constants[name]), index=table.rows.index)
    theirs = mapping.columns.get(name, name)
    if theirs not in table.rows and name not in mapping.columns:
        if name == "label":
            return (_column(table, mapping, "generator") != "real").astype(int).astype(str)
        if COLUMNS[name] is not None:
            return pd.Series(COLUMNS[name], index=table.rows.index)
    words = mapping.values.get(name, {})
    given = table.column(theirs, f"which should hold the {name}; name it in [columns] of a map").str.strip()
    return given.map(lambda word: words.get(word, word))


def _known(table: _Table, values: pd.Series, name: str, catalogue: Sequence[str] | dict[str, Any]) -> None:
    wrong = ~values.isin(list(catalogue))
    if wrong.any():
        word = values[wrong].iloc[0]
        mend = f"say in [values.{name}] which of {', '.join(catalogue)} it is, or [[drop]] the rows"
        table.refuse(wrong, f"no {name} {word!r}{nearest(word, catalogue)}".replace("{", "{{"), mend)


def _numbers(table: _Table, values: pd.Series, name: str, kind: type) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = ~np.isfinite(numbers.astype(np.float64))
    if kind is np.int64:
        wrong |= (numbers.fillna(0) % 1 != 0) | (numbers.fillna(0) < 0)
    what = "a finite number" if kind is np.float32 else "a whole number from 0"
    if wrong.any():
        first = values[wrong].iloc[0].replace("{", "{{").replace("}", "}}")
        table.refuse(wrong, f"{name} {first!r} is not {what}", "score the image again or leave the row out")
    return numbers.astype(kind)


def _index(table: _Table, mapping: Map) -> pd.Series:
    """Place of each row's prompt and seed: the file's own index, or the rank of what `pair_by` names."""
    if mapping.pair_by == ["index"]:
        theirs = mapping.columns.get("index", "index")
        why = "which pairs the precisions' images; or name in `pair_by` of a map what identifies one prompt and seed"
        return _numbers(table, table.column(theirs, why), theirs, np.int64)
    parts = [table.column(name, "which `pair_by` names") for name in mapping.pair_by]
    keys = pd.Series(list(zip(*parts, strict=True)), index=table.rows.index)
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return keys.map(places).astype(np.int64)


def _check(table: _Table, scores: pd.DataFrame, mapping: Map) -> None:
    twice = scores.duplicated(IDENTITY)
    if twice.any():
        row = scores.loc[twice.idxmax()]
        first = scores.index[(scores[IDENTITY] == row[IDENTITY]).all(axis=1)][0]
        what = f"the same image and detector as {table.place(first)}"
        table.refuse(twice, what, "keep one, or name in `pair_by` the column that tells them apart")
    fakes = scores[scores.label == 1]
    main = sorted(set(fakes.precision[fakes.arm == MAIN]))
    if not len(main):
        have = f"it has {', '.join(sorted(set(fakes.arm))) or 'no fakes at all'}"
        raise UsageError(f"{table.file}: no fakes in the arm '{MAIN}', a study's main one; {have}")
    if mapping.baseline not in main:
        raise UsageError(
            f"{table.file}: no fakes at the baseline {mapping.baseline}, with which precisions are compared; "
            f"say `baseline` in a map: one of {', '.join(main)}"
        )
    cells = set(scores[scores.label == 1][["generator", "precision", "arm"]].itertuples(index=False, name=None))
    for known in mapping.cells:
        if (known.generator, known.precision, known.arm) not in cells:
            cell = f"{known.generator} {known.precision} {known.arm}"
            raise UsageError(f"{table.file}: [[cells]] speaks of {cell}, which has no rows; take it out of the map")


def _cells(scores: pd.DataFrame, mapping: Map) -> pd.DataFrame:
    """One row per cell with what can be known of it; coverage is missing where nobody declared it."""
    known = {(cell.generator, cell.precision, cell.arm): cell for cell in mapping.cells}
    rows = []
    fakes = scores[scores.label == 1]
    for key, group in fakes.groupby(["generator", "precision", "arm"], sort=True):
        said = known.get(key)
        rows.append(
            dict(zip(("generator", "precision", "arm"), key, strict=True))
            | {"coverage": np.nan if said is None or said.coverage is None else said.coverage}
            | {"component_coverage": "{}", "size": int(group["size"].iloc[0]), "device": ""}
            | {"images": int(group[["size", "index"]].drop_duplicates().shape[0]), "rejected": 0, "rejected_why": ""}
            | {"note": said.note if said else ""}
        )
    return pd.DataFrame(rows)


def _unpaired(scores: pd.DataFrame, baseline: str) -> dict[str, int]:
    fakes = scores[scores.label == 1]
    base = fakes[(fakes.arm == MAIN) & (fakes.precision == baseline)][PAIR].assign(twin=True)
    lone = fakes.merge(base, on=PAIR, how="left")
    lone = lone[lone.twin.isna() & ((lone.arm != MAIN) | (lone.precision != baseline))]
    counts = lone.groupby(["generator", "precision", "arm"]).size()
    return {" ".join(key): int(count) for key, count in counts.items()}


def _remarks(scores: pd.DataFrame) -> list[str]:
    """What the study will not be able to say, for want of rows."""
    lacks = sorted(set(scores.detector) - set(scores.detector[scores.label == 0]))
    return [f"no real images for {', '.join(lacks)}: TNR and AUC stay unknown"] if lacks else []


def _write(out: Path, scores: pd.DataFrame, cells: pd.DataFrame, mapping: Map, origin: dict[str, Any]) -> None:
    """The three files of a study's results; the manifest last, as it holds the digests of the others."""
    for name, frame in (("scores.parquet", scores), ("cells.parquet", cells)):
        with paths.replacing(out / name) as temporary:
            frame.to_parquet(temporary, index=False)
    manifest = {
        "study": _study(scores, cells, mapping),
        "imported": origin | mapping.model_dump(include={"title", "source", "licence", "notes", "drop", "correct"}),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"quantdetect": __version__},
        "files": {name: paths.file_sha256(out / name) for name in ("scores.parquet", "cells.parquet")},
        "images_per_cell": int(cells.images.max()),
        "models": {},
    }
    with paths.replacing(out / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _study(scores: pd.DataFrame, cells: pd.DataFrame, mapping: Map) -> dict[str, Any]:
    """What a manifest says of its study, as far as scores show it."""
    main = cells[cells.arm == MAIN]
    protocols = [key for key in PROTOCOLS if key in set(scores.protocol)]
    trainings = scores.weights[(scores.label == 1) & (scores.protocol == protocols[0])].value_counts()
    return {
        "name": mapping.name, "scale": mapping.scale, "baseline": mapping.baseline, "arm": MAIN,
        "weights": str(trainings.index[0]), "images_per_cell": int(main.images.max()),
        "protocols": protocols,
        "precisions": [key for key in PRECISIONS if key in set(main.precision)],
        "detectors": [key for key in DETECTORS if key in set(scores.detector)],
        "generators": {key: {} for key in GENERATORS if key in set(main.generator)},
        "arms": {
            arm: {
                "title": mapping.arms[arm].title if arm in mapping.arms else arm,
                "precisions": [key for key in PRECISIONS if key in set(group.precision)],
                "images": int(group.images.max()),
            }
            for arm in scores.arm[scores.label == 1].unique() if arm != MAIN
            for group in [cells[cells.arm == arm]]
        },
        "margins": {},
    }  # fmt: skip
