"""What readers measured on their own devices: how long an image takes at each precision, and a detector for one image.

In each round of a record every precision makes one image, in an order that turns, so a round's ratio to the baseline is
free of what slows a device down for a while. Intervals are over rounds, for the generators as they are.
"""

from __future__ import annotations

from math import exp, nan, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.precision.catalogue import BASELINE, PRECISIONS

__all__ = ["DEVICE", "images", "name", "ratios", "verdicts"]

#: What a device is known by in the table of `helpers.results.devices`: one measured on two days stands twice.
DEVICE = ["device", "recorded", "browser", "system", "mobile", "processors"]


def name(row: pd.Series) -> str:
    """A device in words, from its columns: "Chrome 140 on Linux, 2 processors"."""
    return f"{row.browser} on {row.system}, {row.processors} processor{'' if row.processors == 1 else 's'}"


def images(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per device, generator and precision: `DEVICE`, model, precision, pixels, rounds; the median of `seconds`
    (of an image), its least and most (`seconds_low`, `seconds_high`), that of `seconds_round` (to round the weights
    once); bytes, weight_error; and `ratio`, seconds to those at the baseline, with its ends."""
    rows = measured[measured.task == "image"]
    logs = _logs(rows)
    found = []
    for key, group in rows.groupby([*DEVICE, "model", "precision", "pixels"], sort=False):
        row = dict(zip([*DEVICE, "model", "precision", "pixels"], key, strict=True))
        own = logs[(logs.device == row["device"]) & (logs.model == row["model"]) & (logs.precision == row["precision"])]
        row |= {"rounds": len(group), "seconds": group.seconds.median()}
        row |= {"seconds_low": group.seconds.min(), "seconds_high": group.seconds.max()}
        row |= {"seconds_round": group.seconds_round.median(), "bytes": group.bytes.iloc[0]}
        row |= {"weight_error": group.weight_error.iloc[0]} | interval_columns(ratio=_mean_ratio(own.log))
        found.append(row)
    return _in_order(pd.DataFrame(found), "precision")


def ratios(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per device and precision but the baseline: `DEVICE`, precision, generators, rounds, and `ratio`, the
    seconds of an image to those at the baseline, the geometric mean over generators, with its ends.

    A round counts where it has all generators that the device measured at that precision.
    """
    logs = _logs(measured[measured.task == "image"])
    found = []
    for key, group in logs[logs.precision != BASELINE].groupby([*DEVICE, "precision"], sort=False):
        wide = group.pivot(index="round", columns="model", values="log").dropna()
        row = dict(zip([*DEVICE, "precision"], key, strict=True)) | {"generators": wide.shape[1], "rounds": len(wide)}
        found.append(row | interval_columns(ratio=_mean_ratio(wide.mean(axis=1))))
    return _in_order(pd.DataFrame(found), "precision")


def verdicts(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per device, detector and size: `DEVICE`, model, pixels, images, and the median of `seconds` for one image
    with its least and most."""
    rows = measured[measured.task == "verdict"].sort_values(["recorded", "device", "pixels"], kind="stable")
    by = rows.groupby([*DEVICE, "model", "pixels"], sort=False).seconds
    return by.agg(images="size", seconds="median", seconds_low="min", seconds_high="max").reset_index()


def _logs(rows: pd.DataFrame) -> pd.DataFrame:
    """Image rows with `log`, of their seconds to those at the baseline in the same round; without a twin they are left
    out."""
    keys = ["device", "model", "round"]
    base = rows.loc[rows.precision == BASELINE, [*keys, "seconds"]].rename(columns={"seconds": "base"})
    paired = rows.merge(base, on=keys)
    paired = paired[(paired.base > 0) & (paired.seconds > 0)]
    return paired.assign(log=np.log(paired.seconds / paired.base))


def _mean_ratio(logs: pd.Series) -> Interval:
    """The geometric mean of ratios, by their logarithms (N,), with Student's interval; its ends are NaN for one."""
    if logs.empty:
        return Interval(nan, nan, nan)
    middle, half = float(logs.mean()), nan
    if len(logs) > 1:
        half = float(stats.t.ppf(0.975, len(logs) - 1)) * float(logs.std(ddof=1)) / sqrt(len(logs))
    return Interval(exp(middle), exp(middle - half), exp(middle + half))


def _in_order(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    if rows.empty:
        return rows
    order = {key: place for place, key in enumerate(PRECISIONS)}
    place = rows[column].map(order).fillna(len(order))
    keys = [name for name in ("device", "model") if name in rows]
    first = {key: {value: at for at, value in enumerate(rows[key].unique())} for key in keys}
    by = pd.DataFrame({**{key: rows[key].map(first[key]) for key in keys}, "place": place})
    return rows.loc[by.sort_values(list(by), kind="stable").index].reset_index(drop=True)
