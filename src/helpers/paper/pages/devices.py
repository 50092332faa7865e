"""What page 12 and the page on costs say of the devices that readers measured."""

from __future__ import annotations

from math import isnan

import pandas as pd
from IPython.display import HTML

from helpers.analysis import devices
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.paper import tables
from helpers.paper.prose import Source
from helpers.precision.catalogue import BASELINE

__all__ = ["NOT_MEASURED", "detectors", "saving", "show", "tried"]

NOT_MEASURED = Source(
    "No reader's device was measured yet: page 12 saves a record, which `quantdetect import-device` takes in."
)
#: What a ratio of times says, by where its interval lies.
SAVES, COSTS, LEVEL = "quantization saves time", "quantization costs time", "no change of time shows"
#: Head of the column of times.
SECONDS = "seconds an image, median (least to most)"
#: The browsers that most readers have, by the name that a record gives them, and those tried without one.
BROWSERS = ("Chrome", "Edge", "Firefox", "Safari")
WITHOUT_RECORD = {"Firefox"}
TRIED = (
    "The lab was used on Linux in Chromium 156, Firefox 153 and WebKitGTK 2.50, which has the engine of Safari "
    "and is not Safari; the logits of two generators' images were those of the archive, to 0.02."
)


def saving(measured: pd.DataFrame) -> str:
    """The sentences that say whether quantization saves time on the devices of readers, by `results.devices.read`."""
    found = devices.ratios(measured)
    if found.empty:
        return NOT_MEASURED
    said = [_of_device(own) for _, own in found.groupby("device", sort=False)]
    return (
        f"{' '.join(said)} The lab computes with 32 bits whatever format the weights were rounded to, as a device does "
        "that has no kernels for the format: only where it has some can fewer bits save time."
    )


def _of_device(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    parts = [f"{named(row.precision)} takes {_times(row)}" for row in rows.itertuples()]
    kinds = {_kind(row.ratio_low, row.ratio_high) for row in rows.itertuples()}
    verdict = kinds.pop() if len(kinds) == 1 else "the formats differ"
    over = f"{counted(first.generators, 'generator')} and {counted(first.rounds, 'round')}"
    return (
        f"With {devices.name(first)}, {verdict}: of the seconds of an image at {named(BASELINE)}, {listed(parts)}, "
        f"over {over}."
    )


def _times(row: pd.Series) -> str:
    return number(Interval(row.ratio, row.ratio_low, row.ratio_high))


def _kind(low: float, high: float) -> str:
    if isnan(low) or low <= 1 <= high:
        return LEVEL
    return SAVES if high < 1 else COSTS


def tried(measured: pd.DataFrame) -> str:
    """The sentences that name the browsers in which the lab was tried, and those in which it was not."""
    have = list(dict.fromkeys(f"{row.browser} on {row.system}" for row in measured.itertuples()))
    names = WITHOUT_RECORD | {row.browser.split(" ")[0] for row in measured.itertuples()}
    lacks = [name for name in BROWSERS if name not in names]
    lacks += [] if measured.mobile.astype(bool).any() else ["any phone or tablet"]
    kept = f"A whole measurement was kept from {listed(have)}." if have else "No whole measurement was kept yet."
    return " ".join([TRIED, kept, *([f"Not tried: {listed(lacks)}."] if lacks else [])])


def show(measured: pd.DataFrame) -> HTML | None:
    """The table of what readers measured, a row per device, generator and precision; None where nobody did."""
    found = devices.images(measured)
    if found.empty:
        return None
    shown = pd.DataFrame({
        "device": _named(found),
        "generator": found.model.map(named),
        "precision": found.precision.map(named),
        "rounds": found.rounds,
        SECONDS: _seconds(found, 2),
        f"time relative to {named(BASELINE)}": [
            tables.DASH if row.precision == BASELINE else tables.interval(row, "ratio") for row in found.itertuples()
        ],
        "seconds to round the weights": found.seconds_round.map("{:.2f}".format),
        "weights, MB": (found.bytes / 1e6).map("{:.2f}".format),
        "relative weight error": found.weight_error.map("{:.4f}".format),
    })  # fmt: skip
    return tables.table(shown, "What readers measured, in the browser of their own device")


def detectors(measured: pd.DataFrame) -> HTML | None:
    """The table of how long each detector took for one image; None where none was timed."""
    found = devices.verdicts(measured)
    if found.empty:
        return None
    shown = pd.DataFrame({
        "device": _named(found),
        "detector": found.model.map(named),
        "pixels a side": found.pixels,
        "images": found.images,
        SECONDS: _seconds(found, 3),
    })  # fmt: skip
    return tables.table(shown, "Seconds of a detector for one image, in the browser of readers' devices")


def _named(found: pd.DataFrame) -> list[str]:
    """Each row's device and the day of its record."""
    return [f"{devices.name(row)} ({row.recorded})" for row in found.itertuples()]


def _seconds(found: pd.DataFrame, digits: int) -> list[str]:
    return [
        f"{row.seconds:.{digits}f} ({row.seconds_low:.{digits}f} to {row.seconds_high:.{digits}f})"
        for row in found.itertuples()
    ]
