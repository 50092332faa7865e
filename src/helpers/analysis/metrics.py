"""Estimates with intervals for detectors: proportions, AUC, paired differences. Arrays in, `Interval` out.

Label 1 (fake) is the positive class and a higher score means "more fake" throughout. An estimate that its input does
not determine (an empty class) is NaN with a NaN interval, never 0 or 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import isnan, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = [
    "Interval",
    "auc",
    "balanced_accuracy",
    "bootstrap_mean",
    "bootstrap_sum",
    "independent_difference",
    "mcnemar",
    "paired_difference",
    "probability",
    "wilson",
]


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval, in the unit of the estimate."""

    estimate: float
    low: float
    high: float


UNKNOWN = Interval(nan, nan, nan)


def _z(confidence: float) -> float:
    return float(stats.norm.ppf(0.5 + confidence / 2))


def probability(logit: ArrayLike) -> np.ndarray:
    """The score in (0, 1) that belongs to a logit (N,): the logistic function, safe for any size of logit."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logit, dtype=np.float64)))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """A proportion with Wilson's score interval (Wilson, JASA 1927); stays inside [0, 1] and has width at 0 and 1."""
    if trials == 0:
        return UNKNOWN
    z, p = _z(confidence), successes / trials
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return Interval(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def balanced_accuracy(tpr: Interval, tnr: Interval) -> Interval:
    """The mean of two independent rates; the interval combines theirs (MOVER: Zou & Donner, Stat. Med. 2008)."""
    estimate = (tpr.estimate + tnr.estimate) / 2
    below = sqrt((tpr.estimate - tpr.low) ** 2 + (tnr.estimate - tnr.low) ** 2) / 2
    above = sqrt((tpr.high - tpr.estimate) ** 2 + (tnr.high - tnr.estimate) ** 2) / 2
    return Interval(estimate, estimate - below, estimate + above)


def auc(fake: ArrayLike, real: ArrayLike, confidence: float = 0.95) -> Interval:
    """Area under the ROC curve of scores of fakes (M,) against reals (N,), ties counted half.

    The interval is DeLong's (Biometrics 1988; computed from midranks, Sun & Xu 2014). Where the classes separate
    without overlap DeLong's variance is zero, so there the score-type interval of Newcombe (Stat. Med. 2006, method
    5, on the variance of Hanley & McNeil 1982) is used: 1.0 from 20 images is not 1.0 for certain.
    """
    fake, real = np.asarray(fake, dtype=np.float64), np.asarray(real, dtype=np.float64)
    m, n = len(fake), len(real)
    if m == 0 or n == 0:
        return UNKNOWN
    pooled = stats.rankdata(np.concatenate([fake, real]))
    of_fake = (pooled[:m] - stats.rankdata(fake)) / n
    of_real = 1 - (pooled[m:] - stats.rankdata(real)) / m
    area = float(of_fake.mean())
    variance = _variance(of_fake) / m + _variance(of_real) / n
    if variance <= 0 or min(m, n) < 2:
        return _newcombe_area(area, m, n, _z(confidence))
    half = _z(confidence) * sqrt(variance)
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _newcombe_area(area: float, m: int, n: int, z: float) -> Interval:
    """All areas whose own Hanley-McNeil standard error puts them within z of the observed one (M, N per class)."""
    grid = np.linspace(0, 1, 20_001)
    mean = (m + n) / 2
    extra = (mean - 1) * ((1 - grid) / (2 - grid) + grid / (1 + grid))
    error = np.sqrt(grid * (1 - grid) * (1 + extra) / (m * n))
    inside = grid[np.abs(grid - area) <= z * error + 1e-12]
    return Interval(area, float(min(inside.min(initial=area), area)), float(max(inside.max(initial=area), area)))


def bootstrap_mean(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The mean of values (N,) with a percentile bootstrap interval that resamples whole clusters (N,).

    A cluster is what was drawn together: here the prompt, so that images of one prompt are never counted as
    independent. Without clusters each value is its own.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0:
        return UNKNOWN
    groups = np.arange(len(values)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums, counts = np.bincount(groups, weights=values), np.bincount(groups)
    drawn = _drawn(len(sums), resamples, seed)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(values.mean()), float(low), float(high))


@functools.lru_cache(maxsize=8)
def _drawn(clusters: int, resamples: int, seed: int) -> np.ndarray:
    """How often each cluster is drawn in each resample (resamples, clusters); kept, as every cell asks for the same."""
    drawn = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return drawn.astype(np.float64)


def bootstrap_sum(
    parts: ArrayLike, clusters: ArrayLike, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The sum of parts (N,), weighted contributions to a mean of means, when whole clusters (N,) are drawn again."""
    parts = np.asarray(parts, dtype=np.float64)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums = np.bincount(groups, weights=parts)
    low, high = np.quantile(_drawn(len(sums), resamples, seed) @ sums, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(sums.sum()), float(low), float(high))


def mcnemar(first: ArrayLike, second: ArrayLike) -> tuple[int, int, float]:
    """Paired decisions (N,) each: how many were lost (True, then False), how many gained, and the exact p-value."""
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    if lost + gained == 0:
        return 0, 0, 1.0
    return lost, gained, float(stats.binomtest(lost, lost + gained).pvalue)


def independent_difference(first: Interval, second: Interval) -> Interval:
    """second - first for two independent proportions with Wilson intervals (Newcombe, Stat. Med. 1998, method 10)."""
    return _difference(first, second, 0.0)


def paired_difference(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """Change of a rate between paired decisions (N,), second - first (Newcombe, Stat. Med. 1998, paired method 10)."""
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    n = len(first)
    rates = [wilson(int(x.sum()), n, confidence) for x in (first, second)]
    if n == 0 or any(isnan(rate.estimate) for rate in rates):
        return UNKNOWN
    constant = first.all() or second.all() or not first.any() or not second.any()
    return _difference(*rates, 0.0 if constant else float(_phi(first, second)))


def _phi(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two binary series, with Newcombe's continuity correction where it is positive."""
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    numerator = both * neither - lost * gained
    if numerator > 0:
        numerator = max(numerator - n / 2, 0)
    return numerator / sqrt(float(both + lost) * (gained + neither) * (both + gained) * (lost + neither))


def _difference(first: Interval, second: Interval, correlation: float) -> Interval:
    delta = second.estimate - first.estimate
    down, up = second.estimate - second.low, first.high - first.estimate
    below = sqrt(max(0.0, down * down + up * up - 2 * correlation * down * up))
    down, up = first.estimate - first.low, second.high - second.estimate
    above = sqrt(max(0.0, down * down + up * up - 2 * correlation * down * up))
    return Interval(delta, max(-1.0, delta - below), min(1.0, delta + above))
