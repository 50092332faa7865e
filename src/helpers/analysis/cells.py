"""One row per cell: rates, areas and shifts of each generator, precision and detector, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, spread
from helpers.core import scores as scores_
from helpers.detectors.catalogue import DETECTORS
from helpers.results.results import Results

__all__ = ["EFFECTS", "cells", "half", "mean_change", "paired_logits", "shifts", "standard_shift"]


def mean_change(
    results: Results, detectors: Sequence[str], against: Sequence[str] = (), confidence: float = 0.95
) -> Interval:
    """Mean change of verdict from FP32 to FP4, minus the same of `against`; prompts are resampled whole.

    Each generator and detector has the same weight, whatever its number of images. Unknown where a detector has no
    threshold.
    """
    values, index, weights = [], [], []
    for group, sign in ((detectors, 1.0), (against, -1.0)):
        rows = [(results.threshold_of(d), *paired_logits(results, d, g, "fp4"))
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
EFFECTS = ("shift", "standard", "score", "change")


def cells(results: Results, confidence: float = 0.95, resamples: int = 0) -> pd.DataFrame:
    """One row per generator, precision and detector: n, tpr (the deck's accuracy), tnr, balanced, auc, calibrated.

    Each figure has its `_low` and `_high`: Wilson for rates, MOVER for balanced accuracies, DeLong for AUC. Reals are
    those of the generator's own image size.

    `calibrated` is the balanced accuracy on images of odd index, fakes of this precision and reals, at the logit
    `calibrated_at` that is best on the FP32 fakes and the reals of even index: a threshold that has seen no image it is
    used on and no quantized one. Its interval is for this threshold as it is.

    `mean_logit` is bootstrapped by prompt, and so are, where `resamples` are asked for, `metrics.OPERATING` (ap, eer,
    tpr_at_1, tpr_at_5): fake i and real i are of prompt i and are drawn together.
    """
    rows = []
    for generator in results.generators:
        for detector in results.detectors:
            real = results.reals(detector, generator)
            base = results.logits(detector, generator, results.baseline)
            limit = metrics.calibrate(*(half(series, 0).to_numpy() for series in (base, real)))
            threshold = results.threshold_of(detector)
            tnr = _rate(real, threshold, confidence, fake=False)
            passed = _rate(half(real, 1), limit, confidence, fake=False)
            for precision in results.precisions:
                fake = results.logits(detector, generator, precision)
                if not len(fake):
                    continue
                tpr = _rate(fake, threshold, confidence)
                row: dict[str, Any] = results.titled(generator, precision, detector)
                row |= {"kind": _kind(detector), "n": len(fake), "reals": len(real)}
                row |= spread("tpr", tpr) | spread("tnr", tnr)
                row |= spread("balanced", metrics.balanced_accuracy(tpr, tnr))
                row |= spread("auc", metrics.auc(fake, real, confidence))
                caught = _rate(half(fake, 1), limit, confidence)
                row |= spread("calibrated", metrics.balanced_accuracy(caught, passed)) | {"calibrated_at": limit}
                row |= spread("mean_logit", metrics.bootstrap_mean(fake, fake.index, confidence=confidence))
                if resamples:
                    of_both = metrics.operating(
                        fake, real, fake.index, real.index, resamples=resamples, confidence=confidence
                    )
                    for name, interval in of_both.items():
                        row |= spread(name, interval)
                rows.append(row)
    return pd.DataFrame(rows)


def half(logits: pd.Series, odd: int) -> pd.Series:
    """The logits whose image index is even (0: they calibrate a threshold) or odd (1: they are judged by it)."""
    return logits[logits.index % 2 == odd]


def _rate(logits: pd.Series, threshold: float, confidence: float = 0.95, fake: bool = True) -> metrics.Interval:
    """The share of images called fake (or real) at a threshold; unknown where the threshold is."""
    called = metrics.verdicts(logits, threshold)
    return metrics.rate(called if fake else 1 - called, confidence)


def _kind(detector: str) -> str:
    return DETECTORS[detector].kind if detector in DETECTORS else ""


def paired_logits(
    results: Results, detector: str, generator: str, precision: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Baseline and quantized logits of the images both cells have, and their index: (N,), (N,), (N,).

    Empty for the baseline itself, which has nothing to be compared with.
    """
    base = results.logits(detector, generator, results.baseline)
    other = results.logits(detector, generator, precision)
    shared = base.index.intersection(other.index) if precision != results.baseline else base.index[:0]
    return base[shared].to_numpy(np.float64), other[shared].to_numpy(np.float64), shared.to_numpy()


def standard_shift(
    base: np.ndarray, other: np.ndarray, index: np.ndarray, confidence: float = 0.95, resamples: int = 2000
) -> metrics.Interval:
    """The mean paired logit shift in standard deviations of the baseline's logits, bootstrapped by prompt."""
    return metrics.bootstrap_ratio(other - base, base, index, resamples=resamples, confidence=confidence)[0]


def shifts(results: Results, confidence: float = 0.95, resamples: int = 2000) -> pd.DataFrame:
    """One row per generator, detector and precision other than the baseline (FP32 where the study names no other):
    what changes in the same images, paired by index.

    `shift` is the mean logit difference, `standard` the same in standard deviations of the FP32 logits and `score`
    the mean difference of the probabilities (all bootstrapped by prompt), `change` the difference of accuracy
    (Newcombe), `lost` and `gained` the verdicts that turned to real and to fake, `changed` their share (Wilson), `p`
    McNemar's exact p-value, uncorrected. Of a detector without a threshold what rests on verdicts is NaN, of one whose
    scale is unsaid `score`.
    """
    rows = []
    for generator in results.generators:
        for detector in results.detectors:
            for precision in results.precisions:
                base, other, index = paired_logits(results, detector, generator, precision)
                if not len(base):
                    continue
                before, after = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
                lost, gained, p = metrics.mcnemar(before, after)
                by_prompt = {"clusters": index, "resamples": resamples, "confidence": confidence}
                score = scores_.probability(other) - scores_.probability(base)
                row: dict[str, Any] = results.titled(generator, precision, detector)
                row |= {"kind": _kind(detector), "n": len(base), "lost": lost, "gained": gained, "p": p}
                row |= spread("shift", metrics.bootstrap_mean(other - base, reach=np.ptp(base), **by_prompt))
                row |= spread("standard", standard_shift(base, other, index, confidence, resamples))
                known = detector not in results.unsaid  # else the scores may be probabilities already
                mean = metrics.bootstrap_mean(score, reach=1.0, **by_prompt) if known else metrics.UNKNOWN
                row |= spread("score", mean)
                row |= spread("change", metrics.paired_difference(before, after, confidence))
                row |= spread("changed", metrics.rate(np.abs(after - before), confidence))
                rows.append(row)
    return pd.DataFrame(rows)
