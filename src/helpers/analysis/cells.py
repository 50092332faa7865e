"""One row per cell: rates, areas and shifts of each generator, precision and detector, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis.stats import changes, metrics
from helpers.analysis.stats.metrics import Interval
from helpers.core.scores import probability
from helpers.detectors.catalogue import DETECTORS
from helpers.results.memo import once, once_copied
from helpers.results.results import Results

__all__ = [
    "EFFECTS", "cells", "half", "logits_at", "mean_change", "paired_logits", "share_called", "shifts", "standard_shift",
]  # fmt: skip


def mean_change(
    results: Results,
    detectors: Sequence[str],
    against: Sequence[str] = (),
    confidence: float = 0.95,
    precision: str = "",
) -> Interval:
    """Mean change of the detection rate from the baseline to a precision (default the study's lowest), minus the same
    of the detectors `against`; prompts are resampled whole.

    Each generator and detector has the same weight, whatever its number of images. Unknown where a detector has no
    threshold.
    """
    precision = precision or results.lowest
    values, index, weights = [], [], []
    for group, sign in ((detectors, 1.0), (against, -1.0)):
        rows = [(results.threshold_of(d), *paired_logits(results, d, g, precision))
                for g in results.generators for d in group]  # fmt: skip
        rows = [row for row in rows if len(row[1])]
        if group and not rows or any(isnan(limit) for limit, *_ in rows):
            return metrics.UNKNOWN
        for limit, base, other, prompts in rows:
            values.append(metrics.verdicts(other, limit) - metrics.verdicts(base, limit))
            index.append(prompts)
            weights.append(np.full(len(prompts), sign / len(rows) / len(prompts)))
    if not values or not detectors:
        return metrics.UNKNOWN
    return metrics.mean_turn(*map(np.concatenate, (values, weights, index)), confidence=confidence)


#: Measures of an effect in the table of `shifts`.
EFFECTS = ("shift", "standard", "score", "auc_change", "tpr_at_5_change", "change")


@once_copied
def cells(results: Results, confidence: float = 0.95, resamples: int = 0) -> pd.DataFrame:
    """One row per generator, precision and detector: n, reals, auc, tpr_at_5, tpr (the detection rate, which the deck
    calls accuracy), tnr, balanced, calibrated.

    Each figure has its `_low` and `_high`: DeLong for AUC, `metrics.tpr_at` for the TPR where 5 % of the reals are
    called fake, Wilson for rates at the detector's own threshold, MOVER for balanced accuracies. Reals are those of the
    generator's own image size; without them the detection rate alone is known.

    `calibrated` is the balanced accuracy on images of odd index, fakes of this precision and reals, at the logit
    `calibrated_at` that is best on the baseline's fakes and the reals of even index. So the threshold has seen no image
    that it is used on and no quantized one. Its interval is for this threshold as it is.

    `mean_logit` is bootstrapped by prompt, and so are, where `resamples` are asked for, ap and eer, beside which there
    is then tpr_at_1 (`metrics.OPERATING`): fake i and real i are of prompt i and are drawn together.
    """
    rows = []
    for generator, detector in product(results.generators, results.detectors):
        against = _reference(results, detector, generator, confidence)
        for precision in results.precisions:
            fake = results.logits(detector, generator, precision)
            if len(fake):
                row = results.titled(generator, precision, detector) | {"kind": _kind(detector)}
                row |= _rates(fake, against, confidence)
                row |= metrics.interval_columns(
                    mean_logit=metrics.bootstrap_mean(fake, fake.index, confidence=confidence)
                )
                rows.append(row | _operating(fake, against.real, confidence, resamples))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Reference:
    """What the cells of a generator and detector are measured against: logits of the reals, the detector's threshold
    and the calibrated one, and the TNR at each, the second on the reals of odd index alone."""

    real: pd.Series
    threshold: float
    calibrated_at: float
    tnr: Interval
    calibrated_tnr: Interval


def _reference(results: Results, detector: str, generator: str, confidence: float) -> _Reference:
    real = results.reals(detector, generator)
    base = results.logits(detector, generator, results.baseline)
    threshold = results.threshold_of(detector)
    calibrated_at = metrics.calibrate(*(half(series, 0).to_numpy() for series in (base, real)))
    tnr = share_called(real, threshold, confidence, fake=False)
    return _Reference(
        real, threshold, calibrated_at, tnr, share_called(half(real, 1), calibrated_at, confidence, fake=False)
    )


def _rates(fake: pd.Series, against: _Reference, confidence: float) -> dict[str, Any]:
    """The columns n to calibrated_at of a cell's row."""
    tpr = share_called(fake, against.threshold, confidence)
    calibrated_tpr = share_called(half(fake, 1), against.calibrated_at, confidence)
    figures = {
        "auc": metrics.auc(fake, against.real, confidence),
        "tpr_at_5": metrics.tpr_at(fake, against.real, confidence=confidence),
        "tpr": tpr,
        "tnr": against.tnr,
        "balanced": metrics.balanced_accuracy(tpr, against.tnr),
        "calibrated": metrics.balanced_accuracy(calibrated_tpr, against.calibrated_tnr),
    }
    row = {"n": len(fake), "reals": len(against.real)} | metrics.interval_columns(**figures)
    return row | {"calibrated_at": against.calibrated_at}


def _operating(fake: pd.Series, real: pd.Series, confidence: float, resamples: int) -> dict[str, float]:
    """Those columns of `metrics.OPERATING` that each cell has not yet, where resamples are asked for."""
    if not resamples:
        return {}
    found = metrics.operating(fake, real, fake.index, real.index, resamples=resamples, confidence=confidence)
    return metrics.interval_columns(**{name: found[name] for name in found if name != "tpr_at_5"})


def half(logits: pd.Series, odd: int) -> pd.Series:
    """The logits whose image index is even (0: they calibrate a threshold) or odd (1: they are judged by it)."""
    return logits[logits.index.to_numpy() % 2 == odd]


def share_called(logits: pd.Series, threshold: float, confidence: float = 0.95, fake: bool = True) -> metrics.Interval:
    """The share of images called fake (or real) at a threshold; unknown where the threshold is."""
    called = metrics.verdicts(logits, threshold)
    return metrics.rate(called if fake else 1 - called, confidence)


def _kind(detector: str) -> str:
    return DETECTORS[detector].kind if detector in DETECTORS else ""


def paired_logits(
    results: Results, detector: str, generator: str, precision: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Baseline and quantized logits of the images both cells have, and their index: (N,), (N,), (N,), not to be written
    to.

    Empty for the baseline itself, which has nothing to be compared with.
    """
    found: tuple[np.ndarray, np.ndarray, np.ndarray] = _paired(results, detector, generator, precision)
    return found


@once
def _paired(
    results: Results, detector: str, generator: str, precision: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    base = results.logits(detector, generator, results.baseline)
    other = results.logits(detector, generator, precision)
    shared = base.index.intersection(other.index) if precision != results.baseline else base.index[:0]
    return logits_at(base, shared), logits_at(other, shared), shared.to_numpy()


def logits_at(logits: pd.Series, index: pd.Index) -> np.ndarray:
    """The logits (N,) of the images of this index (N,), all of which are there."""
    alike = logits.index is index or logits.index.equals(index)  # as nearly always: to look each up takes long
    found: np.ndarray = (logits if alike else logits[index]).to_numpy(np.float64)
    return found


def standard_shift(
    base: np.ndarray, other: np.ndarray, index: np.ndarray, confidence: float = 0.95, resamples: int = 2000
) -> metrics.Interval:
    """The mean paired logit shift in standard deviations of the baseline's logits, bootstrapped by prompt."""
    return metrics.bootstrap_ratio(other - base, base, index, resamples=resamples, confidence=confidence)[0]


def shifts(results: Results, confidence: float = 0.95, resamples: int = 2000) -> pd.DataFrame:
    """One row per generator, detector and precision other than the baseline:
    what changes in the same images, paired by index.

    `shift` is the mean logit difference, `standard` the same in standard deviations of the baseline's logits, and
    `score` the mean difference of the probabilities. `auc_change` and `tpr_at_5_change` are those of AUC and of TPR at
    5 % FPR; all of these are bootstrapped by prompt. `change` is the difference of the detection rate (Newcombe).
    `lost` and `gained` count the verdicts that turned to real and to fake, `changed` is their share (Wilson), and `p`
    McNemar's exact p-value, uncorrected.
    Of a detector without a threshold what rests on verdicts is NaN, of one whose scale is unsaid `score`; without reals
    those of AUC and TPR are.
    """
    rows = []
    for generator, detector, precision in product(results.generators, results.detectors, results.precisions):
        pairs = paired_logits(results, detector, generator, precision)
        if len(pairs[0]):
            row = results.titled(generator, precision, detector) | {"kind": _kind(detector)}
            row |= _ranked(*pairs, results.reals(detector, generator), confidence, resamples)
            rows.append(row | _changes(results, detector, *pairs, confidence, resamples))
    return pd.DataFrame(rows)


def _ranked(
    base: np.ndarray, other: np.ndarray, index: np.ndarray, real: pd.Series, confidence: float, resamples: int
) -> dict[str, float]:
    """The columns of a row of `shifts` that need reals, for paired logits (N,) (N,) of the images with this index."""
    cell = [changes.Pairs(base, other, index, real.to_numpy(np.float64), real.index.to_numpy())]
    return metrics.interval_columns(
        auc_change=changes.area_change(cell, resamples, confidence),
        tpr_at_5_change=changes.caught_change(cell, resamples=resamples, confidence=confidence),
    )


def _changes(
    results: Results,
    detector: str,
    base: np.ndarray,
    other: np.ndarray,
    index: np.ndarray,
    confidence: float,
    resamples: int,
) -> dict[str, Any]:
    """The columns n to changed of a row of `shifts`, for paired logits (N,) (N,) of the images with this index (N,)."""
    before, after = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
    lost, gained, p = metrics.mcnemar(before, after)
    by_prompt: dict[str, Any] = {"clusters": index, "resamples": resamples, "confidence": confidence}
    score = probability(other) - probability(base)
    known = detector not in results.unsaid  # else the scores may be probabilities already
    figures = {
        "shift": metrics.bootstrap_mean(other - base, reach=np.ptp(base), **by_prompt),
        "standard": standard_shift(base, other, index, confidence, resamples),
        "score": metrics.bootstrap_mean(score, reach=1.0, **by_prompt) if known else metrics.UNKNOWN,
        "change": metrics.paired_difference(before, after, confidence),
        "changed": metrics.rate(np.abs(after - before), confidence),
    }
    return {"n": len(base), "lost": lost, "gained": gained, "p": p} | metrics.interval_columns(**figures)
