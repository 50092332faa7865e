"""Anybody's per-image scores as a study's results: a table, and a map that says which column and word is what (no
torch).

The map is a TOML file, so that what was understood of somebody else's labels is data to be read and corrected. Its
conditions speak the file's own words; what it sets and declares speaks this project's keys.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf, isfinite, nan
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import Field, ValidationError, field_validator, model_validator
from scipy import special

from helpers import __version__
from helpers.core import files
from helpers.core.columns import IDENTITY, KEYS, SCORES, TABLES, VERSION, ordered
from helpers.core.errors import Damaged, UsageError, nearest, shortened
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import PROTOCOLS
from helpers.precision.catalogue import BASELINE, PRECISIONS
from helpers.study.schema import ROLES, ArmName, DetectorKey, GeneratorKey, PrecisionKey
from helpers.study.strict import Share, Strict, explain, one_of

__all__ = ["DEFAULTS", "Imported", "Map", "import_scores", "read_map"]

MAIN = "native"
#: What a column of scores holds where neither the file nor the map says anything; the others must be given.
DEFAULTS = {"arm": MAIN, "protocol": "plain", "size": "0", "weights": "imported", "image_sha256": ""}
WHAT = "a table of scores, .csv or .parquet"
#: What stands for a logit that is not known, in small letters.
MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>"}
#: Logits are at most of this size, the largest float32, in which detectors compute: what is beyond is no score, and its
#: sixth power, beyond what any statistic takes, would not be finite in float64.
LARGEST = float(np.finfo(np.float32).max)
#: Where a probability of exactly 1 stands as a logit: that of the largest float64 below 1. That of 0 is its negative.
SATURATED = 36.7368005696771
_NUMBER = re.compile(r"\+?[0-9]{1,400}(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,3})?")
#: What a fake and its twin share.
PAIR = [name for name in IDENTITY if name not in ("precision", "arm", "label")]
#: The columns whose words a map can translate.
WORDED = tuple(name for name in SCORES.names if name in (*KEYS, "label"))
Column = Annotated[str, one_of((*WORDED, *(name for name in SCORES.names if name not in WORDED)))]
Worded = Annotated[str, one_of(WORDED)]
Condition = Annotated[dict[str, list[str]], Field(min_length=1)]


class Pattern(Strict):
    """Where facts stand in a name: the named groups of `regex`, found in `column`, become columns of the file.

    The expression is RE2's, whose time grows with the length of the text alone: no look-around, no references to
    groups, and every group has a name or is written (?:...). Where it does not match a name as it stands, the
    backslashes of the name are taken for slashes.
    """

    column: str
    regex: str = Field(max_length=1000)

    @field_validator("regex")
    @classmethod
    def _named(cls, regex: str) -> str:
        try:
            groups = _found([], regex).type
        except pa.ArrowInvalid as error:
            said = shortened(error).removeprefix("Invalid regular expression: ")
            said = "a group has no name, which (?:...) needs not" if "unnamed groups" in said else said
            raise ValueError(f"{said}; mend the expression") from None
        names = [group.name for group in groups]
        if not names:
            raise ValueError("it names no group; write (?P<generator>...) for what a column is made of")
        if len(set(names)) < len(names):
            raise ValueError("two groups have one name; give each its own")
        return regex


class Logit(Strict):
    """What the scores are: "logit"s, above 0 for a fake, or each the "probability" of a fake, from 0 to 1.

    It holds for the named `detectors`, all where none is named; scores by others are logits. A probability p becomes
    the logit log(p / (1 - p)). One of exactly 0 or 1 was rounded by whoever wrote it: it stands at minus or plus
    `SATURATED`, or beside the lowest where the file has lower ones, so that the order stays.
    """

    scale: Annotated[str, one_of(("logit", "probability"))]
    detectors: list[DetectorKey] = Field(list(DETECTORS), min_length=1)


class Wide(Strict):
    """A column that holds one detector's scores, in a table with a row for each image; `weights` names its training."""

    column: str
    detector: DetectorKey
    weights: str = ""


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
    """What an arm beside the main one is, and what it is for, where it is for one of the study's roles."""

    title: str = Field(min_length=1)
    role: Annotated[str, one_of(ROLES)] | None = None


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
    is the precision that the others are compared with, `scale` the size of the models that made the images, "unknown"
    unless it is said. `logit` says whether the scores are logits or probabilities: where all by a detector lie in 0 to
    1 and it does not, they are kept as they are and figures at a threshold stay unknown. `wide` names the columns that
    hold scores:

        [logit]
        scale = "probability"

        [[wide]]
        column = "NPR score"
        detector = "npr"

    All of it may be left out where the file speaks our language.
    """

    name: str = Field("imported", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    source: str = ""
    licence: str = ""
    notes: list[str] = []
    scale: Annotated[str, one_of(("mini", "full", "unknown"))] = "unknown"
    baseline: PrecisionKey = BASELINE
    pair_by: list[str] = Field(["index"], min_length=1)
    columns: dict[Column, str] = {}
    constants: dict[Column, str | int | float] = {}
    values: dict[Worded, dict[str, str]] = {}
    logit: Logit | None = None
    wide: list[Wide] = []
    pattern: Pattern | None = None
    drop: list[Drop] = []
    correct: list[Correct] = []
    arms: dict[ArmName, ArmTitle] = {}
    cells: list[Known] = []

    @model_validator(mode="after")
    def _once(self) -> Map:
        told = {"detector", "logit"} | ({"weights"} if any(one.weights for one in self.wide) else set())
        both = sorted(told & ({*self.columns, *self.constants} if self.wide else set()))
        if both:
            raise ValueError(f"{both[0]}: [[wide]] says it; take it out of [columns] and [constants]")
        if len({bool(one.weights) for one in self.wide}) > 1:
            raise ValueError("wide: some columns name their `weights`; name those of all")
        return self


MODELS: dict[tuple[str, ...], type[Strict]] = {
    (): Map, ("pattern",): Pattern, ("drop",): Drop, ("correct",): Correct, ("arms",): ArmTitle, ("cells",): Known,
    ("logit",): Logit, ("wide",): Wide,
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What an import made: rows read, rows left out with the reason, rows kept, cells, and fakes without a twin.

    A fake's twin is the baseline's image of the same generator and index; `unpaired` counts rows by cell. `notes` are
    remarks on what the study cannot say and on what was done to its scores.
    """

    read: int
    dropped: list[tuple[str, int]]
    kept: int
    cells: int
    unpaired: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_map(path: str | Path) -> Map:
    """Read and check a map. Raises UsageError that names the key and the nearest right one."""
    try:
        return Map.model_validate(files.read_toml(path, "a TOML map"))
    except ValidationError as error:
        said = explain(error, MODELS).replace("regex: Value error, ", "regex: ")
        raise UsageError(shortened(f"{path}: {said}".replace(": : ", ": "), 500)) from None


def import_scores(file: str | Path, out: str | Path, mapping: Map | None = None) -> Imported:
    """Write scores.parquet, cells.parquet and manifest.json of the scores in a CSV or Parquet file into `out`.

    Without a map the file's columns and words are taken as this project's own. Rows whose logit is blank or NaN are
    left out and counted. Detectors whose scores look like probabilities, and nobody says what they are, are named in a
    remark and in the manifest (`study.unsaid`). Raises UsageError, with the row and the mend, where a column is
    missing, a word or number is not understood, a row stands there twice, nothing is at the baseline, or `out` holds
    the results of a run.
    """
    file, out, mapping = Path(file), Path(out), mapping or Map()
    rows, places = _read(files.regular(file, WHAT))
    table = _Table(file, _unfolded(file, rows, mapping), places)
    read = len(table.rows)
    dropped = _prepare(table, mapping)
    scores, unscored, unsaid, notes = _scores(table, mapping)
    dropped += [(f"no number for the logit of {shortened(cell)}", count) for cell, count in unscored.items()]
    _check(table, scores, mapping)
    cells = _cells(scores, mapping)
    origin = {"file": file.name, "sha256": files.file_sha256(file), "rows": read, "dropped": dict(dropped)}
    study = _study(scores, cells, mapping) | {"unsaid": unsaid}
    _write(out, scores, cells, study, mapping, origin | {"unscored": unscored})
    return Imported(read, dropped, len(scores), len(cells), _unpaired(scores, mapping.baseline), notes)


@dataclass
class _Table:
    """The file's rows as text; the index modulo the number of `places` is a row's place in the file from 0."""

    file: Path
    rows: pd.DataFrame
    places: Sequence[str]

    def column(self, name: str, why: str) -> pd.Series:
        return _column_of(self.file, self.rows, name, why)

    def place(self, row: int) -> str:
        """Where a row stands, as an editor or a reader of tables counts."""
        return self.places[row % len(self.places)]

    def refuse(self, wrong: pd.Series, what: str, mend: str) -> None:
        """Raise where any row is wrong: of the first it tells the place, of all the number."""
        if wrong.any():
            first, count = wrong.index[wrong][0], int(wrong.sum())
            more = f" and {count - 1} more like it" if count > 1 else ""
            raise UsageError(f"{self.file}, {self.place(first)}{more}: {what}; {mend}")


def _column_of(file: Path, rows: pd.DataFrame, name: str, why: str) -> pd.Series:
    if name not in rows:
        have = shortened(", ".join(rows.columns), 300)
        told = f"no column {shortened(name)!r}{nearest(name, rows.columns)}, {why}; it has {have}"
        raise UsageError(f"{file}: {told}")
    return rows[name]


def _read(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table in a file as text, and the place of each of its rows."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    suffix = file.suffix.casefold()
    if suffix not in readers:
        packed = "unpack it, " if suffix in (".gz", ".zip", ".bz2", ".xz", ".zst") else ""
        given = f"{shortened(file.suffix)!r}{nearest(suffix, readers)}"
        raise UsageError(f"{file}: cannot read {given}; {packed}give a .csv or .parquet")
    names, rows, places = readers[suffix](file)
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise UsageError(f"{file}: two columns are called {shortened(twice)!r}; give each its own name")
    if not len(rows):
        raise UsageError(f"{file}: it holds no rows; give one row per image and detector")
    return pd.DataFrame(rows, columns=names, dtype=str), places


def _read_csv(file: Path) -> tuple[list[str], list[list[str]], list[str]]:
    with open(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(_without_nul(file, lines), strict=True)
        number = 1
        try:
            names = _names(file, next(reader, []))
            rows: list[list[str]] = []
            places: list[str] = []
            number = reader.line_num + 1
            for row in reader:
                if any(row):  # else a blank line
                    rows.append(_complete(file, number, row, names))
                    places.append(f"line {number}")
                number = reader.line_num + 1
        except UnicodeDecodeError:
            raise UsageError(f"{file}: not UTF-8 text; export it as CSV in UTF-8") from None
        except csv.Error as error:
            raise UsageError(
                f"{file}, line {number}: not a readable row: {shortened(error)}; export it again"
            ) from None
    return names, rows, places


def _names(file: Path, first: list[str]) -> list[str]:
    """The columns that the first line of a CSV file names."""
    names = [name.strip() for name in first]
    if len(names) == 1 and (mark := next((mark for mark in ";\t|" if mark in names[0]), "")):
        raise UsageError(f"{file}: its columns are separated by {mark!r}; export it with commas")
    return names


def _complete(file: Path, number: int, row: list[str], names: list[str]) -> list[str]:
    """A row that has a field for each column, refused where it has not."""
    if len(row) != len(names):
        told = f"{len(row)} fields where the first line names {len(names)}"
        raise UsageError(f"{file}, line {number}: {told}; put what holds a comma in quotes")
    return row


def _without_nul(file: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise UsageError(f"{file}, line {number}: it holds a NUL character, as no text does; export it again")
        yield line


def _read_parquet(file: Path) -> tuple[list[str], list[list[str]], list[str]]:
    """The columns of a Parquet file, those of a pandas index among them."""
    try:
        stored = parquet.ParquetFile(file).read()
        names = list(stored.column_names)
        columns = [[_text(value) for value in column.to_pylist()] for column in stored.columns]
        # An index that only counts is not stored: pandas describes it.
        for level in (stored.schema.pandas_metadata or {}).get("index_columns", ()):
            if isinstance(level, dict) and level.get("name") and level["name"] not in names:
                names.append(level["name"])
                columns.append([str(at) for at in range(level["start"], level["stop"], level["step"])])
        rows = [list(row) for row in zip(*columns, strict=True)]
    except Exception as error:  # pyarrow's errors on foreign bytes have no common base
        raise UsageError(f"{file}: not a readable table: {shortened(error)}; export it again") from None
    return names, rows, [f"row {number + 1}" for number in range(len(rows))]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None or value != value else str(value)


def _unfolded(file: Path, rows: pd.DataFrame, mapping: Map) -> pd.DataFrame:
    """The rows with one detector each, where a table has a column for each detector's scores."""
    if not mapping.wide:
        return _judged(rows)
    whose = "which [[wide]] names"
    logits = [_column_of(file, rows, one.column, whose) for one in mapping.wide]
    kept = rows.drop(columns={one.column for one in mapping.wide})
    frames = [
        kept.assign(detector=one.detector, logit=logit, **({"weights": one.weights} if one.weights else {}))
        for one, logit in zip(mapping.wide, logits, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The same for a table as `quantdetect detect` writes it: NAME_logit.

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


def _found(texts: Iterable[str], regex: str) -> pa.StructArray:
    """The named groups of an expression in each text; null where it does not match."""
    return compute.extract_regex(pa.array(texts, pa.string()), pattern=regex)


def _matched(texts: pd.Series, regex: str) -> pd.DataFrame:
    """The same as a table with a column for each group; blank where a group has no part, NaN where nothing matches."""
    slashed = [text.replace("\\", "/") for text in texts]
    found = [one or other for one, other in zip(
        _found(list(texts), regex).to_pylist(), _found(slashed, regex).to_pylist(), strict=True
    )]  # fmt: skip
    names = [group.name for group in _found([], regex).type]
    return pd.DataFrame([one or dict.fromkeys(names) for one in found], index=texts.index, columns=names)


def _prepare(table: _Table, mapping: Map) -> list[tuple[str, int]]:
    """Take the pattern's groups in as columns and leave out the rows to be dropped; returns reasons and counts."""
    unmatched = pd.Series(False, index=table.rows.index)
    if mapping.pattern:
        found = _matched(table.column(mapping.pattern.column, "in which [pattern] looks"), mapping.pattern.regex)
        unmatched = found.isna().all(axis=1)
        table.rows = table.rows.drop(columns=list(found), errors="ignore").join(found.fillna(""))
    dropped = []
    for rule in mapping.drop:
        hit = _hit(table, rule.when, "on which [[drop]] depends")
        dropped.append((rule.why, int(hit.sum())))
        table.rows = table.rows[~hit]
    if table.rows.empty:
        raise UsageError(f"{table.file}: [[drop]] leaves out every row; narrow its conditions")
    if mapping.pattern:
        column = shortened(mapping.pattern.column)
        table.refuse(
            unmatched[table.rows.index], f"{column} does not match the pattern", "widen it or [[drop]] the row"
        )
    return dropped


def _hit(table: _Table, when: Condition, why: str) -> pd.Series:
    return np.logical_and.reduce([table.column(name, why).isin(words) for name, words in when.items()])


def _scores(table: _Table, mapping: Map) -> tuple[pd.DataFrame, dict[str, int], list[str], list[str]]:
    """The rows as scores.parquet has them, every column checked for what it may hold; how many rows have no logit, by
    generator, precision and detector; the detectors of which the scale is unsaid; and remarks.
    """
    scores = pd.DataFrame({name: _column(table, mapping, name) for name in SCORES.names if name != "index"})
    for rule in mapping.correct:
        hit = _hit(table, rule.when, "on which [[correct]] depends")
        for name, key in rule.set.items():
            scores.loc[hit, name] = key
    scores["label"] = _each(scores.label, lambda word: {"1.0": "1", "0.0": "0"}.get(word, word))
    real = scores.label == "0"
    # A real has no precision, and no arm but that of the VAE it went through under `aligned`.
    scores.loc[real, ["generator", "precision"]] = ["real", "none"]
    scores.loc[real & (scores.protocol != "aligned"), "arm"] = "none"
    numbers = _each(scores.logit, _float)
    lost = numbers.isna()
    unscored = scores[lost].groupby(["generator", "precision", "detector"]).size()
    table.rows, scores, numbers = table.rows[~lost], scores[~lost], numbers[~lost]
    if scores.empty:
        raise UsageError(f"{table.file}: no row has a number for a logit; name the column in [columns] of a map")
    table.refuse(
        ~scores.label.isin(["0", "1"]), "label is not 1 (fake) or 0 (real)", "name its words in [values.label]"
    )
    _require_keys(table, scores)
    logits, unsaid, notes = _logits(table, scores, numbers, mapping)
    scores = scores.assign(
        logit=logits, size=_whole_numbers(table, scores["size"], "size"), label=scores.label.astype(np.int64)
    )
    scores = ordered(SCORES, scores.assign(index=_index(table, mapping)))
    lacks = sorted(set(scores.detector) - set(scores.detector[scores.label == 0]))
    if lacks:
        notes = [f"no real images for {', '.join(lacks)}: TNR and AUC stay unknown", *notes]
    return scores, {" ".join(cell): int(count) for cell, count in unscored.items()}, unsaid, notes


def _require_keys(table: _Table, scores: pd.DataFrame) -> None:
    """Refuse generators, precisions, detectors and protocols that no catalogue has; of a real the last two alone."""
    for catalogue, name, rows in (
        (GENERATORS, "generator", scores[scores.label != "0"]),
        (PRECISIONS, "precision", scores[scores.label != "0"]),
        (DETECTORS, "detector", scores),
        (PROTOCOLS, "protocol", scores),
    ):
        _require_key(table, rows[name], name, catalogue)


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
        if name in DEFAULTS:
            return pd.Series(DEFAULTS[name], index=table.rows.index)
    words = mapping.values.get(name, {})
    given = table.column(theirs, f"which should hold the {name}; name it in [columns] of a map").str.strip()
    return _each(given, lambda word: words.get(word, word)) if words else given


def _each(values: pd.Series, change: Callable[[str], Any]) -> pd.Series:
    """Every text changed, each word once."""
    return values.map({word: change(word) for word in values.unique()})


def _require_key(table: _Table, values: pd.Series, name: str, catalogue: Collection[str]) -> None:
    wrong = ~values.isin(list(catalogue))
    if wrong.any():
        word = values[wrong].iloc[0]
        mend = f"say in [values.{name}] which of {', '.join(catalogue)} it is, or [[drop]] the rows"
        table.refuse(wrong, f"no {name} {shortened(word)!r}{nearest(word, catalogue)}", mend)


def _float(text: str) -> float:
    """The float64 that a text stands for: NaN where it says that there is none, infinite where it is no number."""
    if text.casefold() in MISSING:
        return nan
    try:
        return inf if "_" in text else float(text)
    except ValueError:
        return inf


def _logits(
    table: _Table, scores: pd.DataFrame, numbers: pd.Series, mapping: Map
) -> tuple[pd.Series, list[str], list[str]]:
    """The scores (N,) as logits, float64; the detectors whose scores may be either, kept as they are; and remarks."""

    def refuse(wrong: pd.Series, what: str) -> None:
        if wrong.any():
            first = f"{shortened(scores.logit[wrong].iloc[0])!r} by {scores.detector[wrong].iloc[0]}"
            table.refuse(wrong, f"logit {first} is {what}", "score the image again or leave the row out")

    refuse(~numbers.map(isfinite), "not a finite number")
    refuse(numbers.abs() > LARGEST, f"beyond {LARGEST:.2g}, as no logit is")
    said = mapping.logit
    named = scores.detector.isin(said.detectors) if said else scores.detector.isna()
    chances = named if said and said.scale == "probability" else named & False
    inside = numbers.between(0, 1)
    refuse(chances & ~inside, "not from 0 to 1, as the probability that [logit] says it is")
    alike = inside.groupby(scores.detector).all()
    unsaid = sorted(set(alike.index[alike]) - set(scores.detector[named]))
    notes = [
        f"all scores by {', '.join(unsaid)} lie in 0 to 1, as probabilities do: say in a map, under [logit], "
        'scale = "probability" or "logit"; until then figures at a threshold stay unknown'
    ] if unsaid else []  # fmt: skip
    if not chances.any():
        return numbers, unsaid, notes
    logits = numbers.where(~chances, _from_probabilities(numbers[chances]))
    notes += [f"scores by {', '.join(sorted(set(scores.detector[chances])))} are probabilities, made logits"]
    ends = scores.detector[chances & numbers.isin([0.0, 1.0])].value_counts().sort_index()
    notes += [f"{n} probabilities by {name} are exactly 0 or 1, so tied at that end" for name, n in ends.items()]
    return logits, unsaid, notes


def _from_probabilities(chances: pd.Series) -> pd.Series:
    """Probabilities (N,) as logits; see `Logit` for 0 and 1."""
    logits = pd.Series(special.logit(chances), index=chances.index)
    least = min(-SATURATED, logits[chances > 0].min())
    return logits.mask(chances == 0, least).mask(chances == 1, SATURATED)


def _whole(text: str) -> int | None:
    """The whole number from 0 that int64 holds, as tables write them (7, 007, 7.0, 1e3); None of other text."""
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return int(number) if number <= np.iinfo(np.int64).max and number == number.to_integral_value() else None


def _whole_numbers(table: _Table, values: pd.Series, name: str) -> pd.Series:
    numbers = {word: _whole(word) for word in values.unique()}
    wrong = values.isin([word for word, number in numbers.items() if number is None])
    if wrong.any():
        what = f"{shortened(name)} {shortened(values[wrong].iloc[0])!r} is not a whole number from 0 to {2**63 - 1}"
        mend = "number it otherwise" + (", or name in `pair_by` of a map what pairs images" if name != "size" else "")
        table.refuse(wrong, what, mend)
    return values.map(numbers).astype(np.int64)


def _index(table: _Table, mapping: Map) -> pd.Series:
    """Place of each row's prompt and seed: the file's own index, or the rank of what `pair_by` names."""
    if mapping.pair_by == ["index"]:
        theirs = mapping.columns.get("index", "index")
        why = "which pairs the precisions' images; or name in `pair_by` of a map what identifies one prompt and seed"
        return _whole_numbers(table, table.column(theirs, why).str.strip(), theirs)
    parts = [table.column(name, "which `pair_by` names").str.strip() for name in mapping.pair_by]
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
        have = f"it has {shortened(', '.join(sorted(set(fakes.arm)))) or 'no fakes at all'}"
        raise UsageError(f"{table.file}: no fakes in the arm '{MAIN}', a study's main one; {have}")
    if mapping.baseline not in main:
        raise UsageError(
            f"{table.file}: no fakes at the baseline {mapping.baseline}, with which precisions are compared; "
            f"say `baseline` in a map: one of {', '.join(main)}"
        )
    cells = set(scores[scores.label == 1][["generator", "precision", "arm"]].itertuples(index=False, name=None))
    for known in mapping.cells:
        if (known.generator, known.precision, known.arm) not in cells:
            cell = f"{known.generator} {known.precision} {shortened(known.arm)}"
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
    return ordered(TABLES["cells.parquet"], pd.DataFrame(rows))


def _unpaired(scores: pd.DataFrame, baseline: str) -> dict[str, int]:
    fakes = scores[scores.label == 1]
    base = fakes[(fakes.arm == MAIN) & (fakes.precision == baseline)][PAIR].assign(twin=True)
    lone = fakes.merge(base, on=PAIR, how="left")
    lone = lone[lone.twin.isna() & ((lone.arm != MAIN) | (lone.precision != baseline))]
    counts = lone.groupby(["generator", "precision", "arm"]).size()
    return {" ".join(key): int(count) for key, count in counts.items()}


def _write(
    out: Path, scores: pd.DataFrame, cells: pd.DataFrame, study: dict[str, Any], mapping: Map, origin: dict[str, Any]
) -> None:
    """The three files of a study's results; the manifest last, as it holds the digests of the others."""
    manifest = out / "manifest.json"
    if _of_a_run(manifest):
        raise UsageError(f"{out}: it holds the results of a run, which would be lost; name another folder")
    files.probe(manifest)
    for name, frame in (("scores.parquet", scores), ("cells.parquet", cells)):
        files.write_parquet(frame, out / name)
    said = {
        "version": VERSION,
        "study": study,
        "imported": origin | mapping.model_dump(include={"title", "source", "licence", "notes", "drop", "correct"}),
        "created": files.now(),
        "versions": {"quantdetect": __version__},
        "files": {name: files.file_sha256(out / name) for name in ("scores.parquet", "cells.parquet")},
        "images_per_cell": int(cells.images.max()),
        "models": {},
    }
    files.write_json(said, manifest)


def _of_a_run(manifest: Path) -> bool:
    try:
        return "imported" not in files.read_json(manifest)
    except Damaged:
        return False


def _study(scores: pd.DataFrame, cells: pd.DataFrame, mapping: Map) -> dict[str, Any]:
    """What a manifest says of its study, as far as scores show it."""
    main = cells[cells.arm == MAIN]
    have = set(scores.protocol), set(scores.detector)
    fakes = scores[scores.label == 1]
    first = min(fakes.protocol.unique(), key=PROTOCOLS.index)
    trainings = fakes.weights[fakes.protocol == first].value_counts()
    return {
        "name": mapping.name, "scale": mapping.scale, "baseline": mapping.baseline, "arm": MAIN,
        "weights": str(trainings.index[0]), "images_per_cell": int(main.images.max()),
        "protocols": [key for key in PROTOCOLS if key in have[0]],
        "precisions": [key for key in PRECISIONS if key in set(main.precision)],
        "detectors": [key for key in DETECTORS if key in have[1]],
        "generators": {key: {} for key in GENERATORS if key in set(main.generator)},
        "arms": {
            arm: {
                "title": mapping.arms[arm].title if arm in mapping.arms else arm,
                "role": mapping.arms[arm].role if arm in mapping.arms else None,
                "precisions": [key for key in PRECISIONS if key in set(group.precision)],
                "images": int(group.images.max()),
            }
            for arm in scores.arm[scores.label == 1].unique() if arm != MAIN
            for group in [cells[cells.arm == arm]]
        },
    }  # fmt: skip
