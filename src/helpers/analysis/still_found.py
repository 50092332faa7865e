"""How many of each generator's images detectors that can answer still find at a study's lowest precision."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis.cells import paired_logits
from helpers.analysis.effects import change, mean_less, over_trainings
from helpers.analysis.instruments import instruments
from helpers.analysis.repeats import count, repeats
from helpers.analysis.stats import metrics
from helpers.analysis.stats.in_all import CHANGE, Sample, in_all
from helpers.analysis.stats.metrics import Interval
from helpers.results.results import Results

__all__ = ["able", "by_generator"]

COLUMNS = [
    "generator", "generator_title", "n", "false_alarms", "before", "after", "change", "change_low", "change_high",
    "widened_low", "widened_high",
]  # fmt: skip


def able(results: Results) -> tuple[str, ...]:
    """The detectors that can answer: those with a threshold, but for the ones of which it is known that they tell too
    little apart at the baseline (the margin `adequate` of the study's rules)."""
    least, known = results.rules.limits()["adequate"], instruments(results)
    return tuple(
        key for key in results.detectors if key not in results.unjudged and known[key].adequate(least) is not False
    )


def by_generator(results: Results, detectors: Sequence[str]) -> pd.DataFrame:
    """One row per generator that has pairs of the baseline and the lowest precision, with what these detectors find.

    All are shares from 0 to 1, means over the detectors and over their trainings: `before` and `after`, of the fakes
    called fake at the baseline and at the lowest precision, `change` from the one to the other with its 95 % interval
    in all (over prompts and trainings), `false_alarms`, of the reals called fake (NaN without reals). `widened` has the
    ends of the intervals that hold for all generators at once (Bonferroni). `n` is the fewest images of a detector.
    """
    found = [(key, own) for key in results.generators if (own := _row(results, detectors, key))]
    level = 1 - 0.05 / max(len(found), 1)
    rows = []
    for key, (samples, row) in found:
        moved, widened = (_bounded(in_all(samples, confidence, CHANGE)) for confidence in (0.95, level))
        row |= metrics.interval_columns(change=moved) | {"after": row["before"] + moved.estimate}
        rows.append(results.titled(key) | row | {"widened_low": widened.low, "widened_high": widened.high})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(results: Results, detectors: Sequence[str], generator: str) -> tuple[list[Sample], dict[str, Any]] | None:
    """The change of each training, and what else a row says; None where there are no pairs."""
    pairs = {key: len(paired_logits(results, key, generator, results.lowest)[0]) for key in detectors}
    own = [key for key, n in pairs.items() if n]
    if not own or not results.lowest:
        return None
    samples = over_trainings(lambda other: _change(other, own, generator), results, own)
    before, alarms = zip(
        *(_levels(other, own, generator) for other in repeats(results)[: count(results, own)]), strict=True
    )
    said = {"n": min(pairs[key] for key in own), "before": _mean(before), "false_alarms": _mean(alarms)}
    return samples, said


def _bounded(moved: Interval) -> Interval:
    """No more than all can be lost or gained; the interval of one training alone may reach further."""
    return Interval(moved.estimate, max(moved.low, CHANGE[0]), min(moved.high, CHANGE[1]))


def _change(results: Results, detectors: Sequence[str], generator: str) -> Sample | None:
    """The mean change over detectors; None where one of them lacks it."""
    each = {key: change(results, key, generator, results.lowest) for key in detectors}
    there = {key: sample for key, sample in each.items() if sample}
    return mean_less(there, {}) if len(there) == len(each) else None


def _levels(results: Results, detectors: Sequence[str], generator: str) -> tuple[float, float]:
    """The shares of the fakes at the baseline, and of the reals, that are called fake: means over detectors."""
    called = []
    for key in detectors:
        limit = results.threshold_of(key)
        base, real = paired_logits(results, key, generator, results.lowest)[0], results.reals(key, generator)
        called.append([float(np.mean(metrics.verdicts(of, limit))) if len(of) else nan for of in (base, real)])
    fakes, reals = zip(*called, strict=True)
    return float(np.mean(fakes)), float(np.mean(reals))


def _mean(shares: Sequence[float]) -> float:
    """The mean of those that are known."""
    return float(np.nanmean(shares)) if not np.isnan(shares).all() else nan
