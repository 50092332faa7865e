"""The same scores at another threshold: where it is best at the baseline, or where so many reals pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isnan

import pandas as pd

from helpers.analysis.cells import half
from helpers.analysis.stats import metrics
from helpers.results.memo import once
from helpers.results.results import Results, derived, with_fakes

__all__ = ["at_false_alarms", "calibrated"]


@once
def calibrated(results: Results) -> Results:
    """The same results with each detector's threshold for each generator put where it is best at FP32.

    The threshold is that of `analysis.cells`: found on the FP32 fakes and reals of even index. The logits here are the
    odd ones less that threshold, plus the page's own, so that what is called fake changes and nothing else. It is on
    the scores' own scale, so nothing hangs on whether that is said.
    """
    return derived(results, _calibrated)


def _calibrated(results: Results) -> Results:
    def limit(fakes: pd.Series, reals: pd.Series) -> float:
        return metrics.calibrate(*(half(side, 0).to_numpy() for side in (fakes, reals)))

    return _moved(results, limit, lambda logits: half(logits, 1))


@once
def at_false_alarms(results: Results) -> Results:
    """The same results with each detector's threshold for each generator where at most a share of its reals (the rules'
    `false_alarms`) is called fake, and no less than can be. Intervals are for that threshold as it is."""
    return derived(results, _at_false_alarms)


def _at_false_alarms(results: Results) -> Results:
    most = results.rules.judging.false_alarms.value

    def limit(_: pd.Series, reals: pd.Series) -> float:
        return metrics.limit_at(reals, most)

    return _moved(results, limit, lambda logits: logits)


def _moved(
    results: Results,
    limit: Callable[[pd.Series, pd.Series], float],
    kept: Callable[[pd.Series], pd.Series],
) -> Results:
    """The same results with the `kept` logits less the `limit` that the baseline's fakes and the reals of a detector
    and generator set, plus the page's threshold; without those of which no limit is known."""
    moved = {}
    for detector in results.detectors:
        for generator in results.generators:
            fakes = results.logits(detector, generator, results.baseline)
            at = limit(fakes, results.reals(detector, generator))
            for precision in results.precisions if not isnan(at) else ():
                logits = kept(results.logits(detector, generator, precision))
                if len(logits):
                    moved[(detector, generator, precision)] = logits - at + results.threshold
    return with_fakes(replace(results, unsaid=()), results.precisions, moved)
