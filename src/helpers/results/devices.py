"""What readers measured on their own devices: records that the lab saves, checked and kept as one table (no torch).

A record is the JSON file that page 12 saves; a person may have edited it, so nothing of it is taken on trust. The table
holds one row per timing. It says what class of machine a device is, and nothing by which one could be known again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, ValidationError, field_validator, model_validator

from helpers.core import files
from helpers.core.errors import UsageError, shortened
from helpers.study.schema import DetectorKey, GeneratorKey, PrecisionKey
from helpers.study.strict import Models, Strict, explain, one_of

__all__ = ["COLUMNS", "FORMAT", "SYSTEMS", "TABLE", "Added", "Record", "import_devices", "read", "read_record", "rows"]

#: Where the table lies in a checkout.
TABLE = files.RESULTS / "devices" / "devices.csv"
FORMAT = "quantdetect-device-1"
WHAT = "a record that page 12 of the book has saved, .json"
SYSTEMS = ("Android", "ChromeOS", "Linux", "Windows", "iOS", "macOS", "other")
#: What a device's record holds of it, then what each timing is.
DEVICE = ("browser", "system", "mobile", "processors", "runtime")
TIMING = (
    "task", "model", "precision", "round", "pixels", "seconds", "seconds_load", "seconds_round", "bytes",
    "weight_error",
)  # fmt: skip
COLUMNS = ("device", "recorded", *DEVICE, *TIMING)

Seconds = Annotated[float, Field(ge=0, le=36000)]


class Device(Strict):
    """A class of machine: the browser with its main version ("Chrome 140"), the system, whether it is a phone or a
    tablet, how many processors the browser tells of, and the runtime of the networks."""

    browser: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,19} [0-9]{1,4}$")]
    system: Annotated[str, one_of(SYSTEMS)]
    mobile: bool
    processors: int = Field(ge=1, le=4096)
    runtime: Annotated[str, Field(pattern=r"^[a-z-]{1,40} [0-9][0-9A-Za-z.-]{0,30}$")]


class Image(Strict):
    """One image made, in round `round` (from 1) over all precisions: its pixels a side; seconds to load the generator
    (0 where it was there), to round its weights and to make the image; bytes of its weights in the format, and their
    relative error."""

    model: GeneratorKey
    precision: PrecisionKey
    round: int = Field(ge=1, le=1000)
    pixels: int = Field(ge=1, le=4096)
    seconds: Seconds
    seconds_load: Seconds
    seconds_round: Seconds
    bytes: int = Field(ge=1, le=10**12)
    weight_error: float = Field(ge=0, le=10)


class Verdict(Strict):
    """One image judged by one detector, in round `round`: its pixels a side, and seconds."""

    model: DetectorKey
    round: int = Field(ge=1, le=1000)
    pixels: int = Field(ge=1, le=4096)
    seconds: Seconds


class Record(Strict):
    """A saved record: its format, the day it was made (UTC), the device, and its timings."""

    format: Annotated[str, one_of((FORMAT,))]
    recorded: str
    device: Device
    images: list[Image] = Field(min_length=1, max_length=20000)
    verdicts: list[Verdict] = Field(max_length=20000)

    @field_validator("recorded")
    @classmethod
    def _day(cls, text: str) -> str:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is None or day.isoformat() != text:
            raise ValueError(f"{shortened(text)!r} is no day; write it as 2026-11-30")
        if day > datetime.now(UTC).date() + timedelta(days=1):  # clocks differ
            raise ValueError(f"{text} has not come yet; set the device's clock, or write the day of the measurement")
        return text

    @model_validator(mode="after")
    def _once(self) -> Record:
        counts = Counter((image.model, image.precision, image.round) for image in self.images)
        (model, precision, number), most = counts.most_common(1)[0]
        if most > 1:
            raise ValueError(f"images: {model} {precision} in round {number} stands there twice; keep one")
        return self


MODELS: Models = {(): Record, ("device",): Device, ("images",): Image, ("verdicts",): Verdict}


@dataclass(frozen=True)
class Added:
    """What an import did: devices that are new, devices that were there and stand once, timings in the table."""

    new: int
    known: int
    timings: int


def read_record(file: str | Path) -> Record:
    """The record in a JSON file. Raises UsageError, in one line, where it is none."""
    text = files.read_text(file, WHAT)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON: {shortened(error)}; name {WHAT}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{file}: it holds a JSON {type(found).__name__} and no record; name {WHAT}")
    try:
        return Record.model_validate(found)
    except ValidationError as error:
        raise UsageError(shortened(f"{file}: {explain(error, MODELS)}", 500)) from None


def import_devices(records: Sequence[str | Path], table: str | Path = TABLE) -> Added:
    """Take records into the table, which is made where there is none; a record that is in it already changes nothing.

    Raises:
        UsageError: a file is no record, or the table has another ending than .csv or cannot be written. Nothing is
            written then.
        Damaged: the table is none.
    """
    taken = [rows(read_record(file)) for file in records]
    table = Path(table)
    if table.suffix != ".csv":
        raise UsageError(f"{table}: the table is written as .csv; give it that ending")
    files.probe(table)
    before = read(table)
    known = set(before.device)
    fresh = {own.device.iloc[0]: own for own in taken}
    new = [own for device, own in fresh.items() if device not in known]
    after = pd.concat([before, *new], ignore_index=True) if len(before) else pd.concat(new, ignore_index=True)
    after = after.sort_values(["recorded", "device"], kind="stable")
    with files.replacing(table) as temporary:
        after.to_csv(temporary, index=False, lineterminator="\n")
    return Added(len(new), len(fresh) - len(new), len(after))


def rows(record: Record) -> pd.DataFrame:
    """A record as rows of the table. `device` is made of all that it holds, so that one record stands once."""
    said = json.dumps(record.model_dump(), sort_keys=True)
    device = hashlib.sha256(said.encode()).hexdigest()[:8]
    shared = {"device": device, "recorded": record.recorded, **record.device.model_dump()}
    kinds: dict[str, Sequence[Image | Verdict]] = {"image": record.images, "verdict": record.verdicts}
    found = [
        shared | {"task": task} | _printed(timing.model_dump()) for task, timings in kinds.items() for timing in timings
    ]
    return pd.DataFrame(found).reindex(columns=list(COLUMNS)).astype({"bytes": "Int64"})


def _printed(timing: dict[str, Any]) -> dict[str, Any]:
    """Seconds to a tenth of a millisecond, which no browser's clock beats, and errors to six places."""
    digits = {"weight_error": 6} | dict.fromkeys(("seconds", "seconds_load", "seconds_round"), 4)
    return {name: round(value, digits[name]) if name in digits else value for name, value in timing.items()}


def read(table: str | Path = TABLE) -> pd.DataFrame:
    """The table (`COLUMNS`); empty where there is none.

    Raises:
        Damaged: it lacks a column.
    """
    if not Path(table).is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    return files.read_csv(table, COLUMNS)
