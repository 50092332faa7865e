"""Estimates with intervals for detectors: rates, ROC figures, means, paired differences. Arrays in, `Interval` out.

Label 1 (fake) is the positive class and a higher score means "more fake" throughout. An estimate that its input does
not determine (an empty class) is NaN with a NaN interval, never 0 or 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import exp, isnan, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = [
    "Interval",
    "OPERATING",
    "auc",
    "balanced_accuracy",
    "bootstrap_mean",
    "bootstrap_ratio",
    "bootstrap_sum",
    "calibrate",
    "drawn",
    "independent_difference",
    "mcnemar",
    "operating",
    "paired_difference",
    "probability",
    "separable",
    "wilson",
]

#: Figures of the whole ROC curve: average precision, equal error rate, TPR at 1 % and at 5 % FPR.
OPERATING = ("ap", "eer", "tpr_at_1", "tpr_at_5")


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
    weights = drawn(len(sums), resamples, seed)
    means = (sums @ weights) / (counts @ weights)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(values.mean()), float(low), float(high))


def bootstrap_ratio(
    values: ArrayLike,
    unit: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Interval]:
    """Means of several series of values (K, N) in standard deviations of `unit` (N,): one interval for each.

    A percentile bootstrap of whole clusters (N,). Both the mean and the standard deviation are those of the resample,
    so the intervals know that the unit is an estimate too. Unknown where `unit` does not vary.
    """
    values, unit = np.atleast_2d(np.asarray(values, dtype=np.float64)), np.asarray(unit, dtype=np.float64)
    deviation = float(unit.std(ddof=1)) if len(unit) > 1 else 0.0
    if deviation == 0:
        return [UNKNOWN] * len(values)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    centred = (unit - unit.mean()) / deviation
    rows = [*values, centred, centred**2, np.ones(len(unit))]
    sums = np.stack([np.bincount(groups, weights=row) for row in rows])
    *totals, first, second, n = sums @ drawn(sums.shape[1], resamples, seed)
    spread = np.sqrt(np.maximum((second - first**2 / n) / np.maximum(n - 1, 1), 0))
    varies = spread > 0
    means = np.stack(totals)[:, varies] / (n * spread * deviation)[varies]
    ends = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=1)
    estimates = values.mean(axis=1) / deviation
    return [Interval(*map(float, three)) for three in zip(estimates, *ends, strict=True)]


@functools.lru_cache(maxsize=8)
def drawn(clusters: int, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """How often each cluster is drawn in each bootstrap resample: float64 (clusters, resamples), columns sum to
    `clusters`.

    Kept and read-only: every cell with as many clusters shares one matrix, so a bootstrap is a product with it.
    """
    times = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    weights = np.ascontiguousarray(times.T, dtype=np.float64)
    weights.setflags(write=False)
    return weights


def bootstrap_sum(
    parts: ArrayLike, clusters: ArrayLike, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The sum of parts (N,), weighted contributions to a mean of means, when whole clusters (N,) are drawn again."""
    parts = np.asarray(parts, dtype=np.float64)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums = np.bincount(groups, weights=parts)
    low, high = np.quantile(sums @ drawn(len(sums), resamples, seed), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(sums.sum()), float(low), float(high))


def separable(fake: ArrayLike, real: ArrayLike) -> bool:
    """Whether every fake (M,) scores above every real (N,); False where a class is empty."""
    return len(fake) > 0 and len(real) > 0 and float(np.min(fake)) > float(np.max(real))


def operating(
    fake: ArrayLike,
    real: ArrayLike,
    fake_clusters: ArrayLike | None = None,
    real_clusters: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """The figures `OPERATING` of the ROC curve of fakes (M,) against reals (N,), by name.

    ap: mean of the precision at each fake's score (scikit-learn's average precision). eer: where the ROC curve, drawn
    with straight lines through ties, has as many false alarms as misses. tpr_at_1, tpr_at_5: the largest TPR at a
    threshold with an FPR of at most 0.01 (0.05).

    Intervals of ap and eer come from a bootstrap that draws whole clusters, in which a fake and a real of the same
    cluster (M,) (N,), that is of the same prompt, go together; without clusters fakes and reals are all their own. That
    of eer is a percentile interval; that of ap, near 1 on one side only, is symmetric in its logit (Boyd et al., ECML
    2013). A bootstrap of perfect figures has no width, so where the classes are separable eer takes Wilson's for no
    error in the smaller class and ap that of `auc`. A bootstrap of the highest reals is poor, as tests show; so those
    of TPR let the threshold and the rate vary as order statistics and counts do, and are wide where few reals define
    the threshold.
    """
    fake, real = np.asarray(fake, dtype=np.float64), np.asarray(real, dtype=np.float64)
    m, n = len(fake), len(real)
    if m == 0 or n == 0:
        return dict.fromkeys(OPERATING, UNKNOWN)
    of_fake = np.arange(m) if fake_clusters is None else np.asarray(fake_clusters)
    of_real = np.arange(m, m + n) if real_clusters is None else np.asarray(real_clusters)
    names, groups = np.unique(np.concatenate([of_fake, of_real]), return_inverse=True)
    curve = _Curve(fake, real)
    estimate = [float(value) for value in curve.figures(np.ones((m, 1)), np.ones((n, 1)))[:, 0]]
    weights = drawn(len(names), resamples, seed)
    parts = [
        curve.figures(chunk[groups[:m]], chunk[groups[m:]])
        for chunk in (weights[:, start : start + 250].astype(np.float32) for start in range(0, resamples, 250))
    ]  # a chunk's arrays stay in the processor's cache
    draws = np.concatenate(parts, axis=1)
    draws = draws[:, ~np.isnan(draws[0])]  # a resample of few clusters can miss a class
    if separable(fake, real):
        area = auc(fake, real, confidence)
        found = {"ap": Interval(1.0, area.low, 1.0), "eer": wilson(0, min(m, n), confidence)}
    else:
        low, high = np.quantile(draws[1], [0.5 - confidence / 2, 0.5 + confidence / 2])
        ap = _in_logit(estimate[0], float(draws[0].std()), confidence)
        found = {"ap": ap, "eer": Interval(estimate[1], float(low), float(high))}
    ordered = np.sort(fake), np.sort(real)[::-1]
    at = {f"tpr_at_{share}": _at_fpr(*ordered, share / 100, resamples, seed, confidence) for share in (1, 5)}
    return found | at


def _in_logit(estimate: float, error: float, confidence: float) -> Interval:
    """The interval of a share in (0, 1) whose logit has the standard error that the delta method gives it."""
    half = min(_z(confidence) * error / (estimate * (1 - estimate)), 500.0)
    odds = (1 - estimate) / estimate
    return Interval(estimate, 1 / (1 + odds * exp(half)), 1 / (1 + odds * exp(-half)))


def _at_fpr(fake: np.ndarray, real: np.ndarray, share: float, draws: int, seed: int, confidence: float) -> Interval:
    """The largest TPR at an FPR of at most `share`, for fakes (M,) in rising and reals (N,) in falling order.

    The interval: how many of N reals lie above the population's own threshold is binomial, so that threshold lies
    somewhere in the gap below the real of that rank (above all reals: anywhere up to the highest fake); given it, the
    rate has Jeffreys' posterior.
    """
    m, n = len(fake), len(real)
    rng = np.random.default_rng(seed)
    ends = np.concatenate([[max(real[0], fake[-1])], real, [real[-1] - 1]])
    rank = rng.binomial(n, share, draws)
    limits = ends[rank + 1] + rng.random(draws) * (ends[rank] - ends[rank + 1])
    hits = m - np.searchsorted(fake, limits, side="right")
    low, high = np.quantile(rng.beta(hits + 0.5, m - hits + 0.5), [0.5 - confidence / 2, 0.5 + confidence / 2])
    estimate = 1 - np.searchsorted(fake, ends[int(n * share + 1e-9) + 1], side="right") / m
    return Interval(float(estimate), min(float(low), float(estimate)), max(float(high), float(estimate)))


class _Curve:
    """The ROC curve at the distinct scores of the fakes, for any weights of the images."""

    def __init__(self, fake: np.ndarray, real: np.ndarray) -> None:
        self.fakes, self.reals = np.argsort(-fake, kind="stable"), np.argsort(-real, kind="stable")
        values, self.starts = np.unique(-fake[self.fakes], return_index=True)
        self.reach = np.searchsorted(-real[self.reals], values, side="right")  # reals at or above each distinct score
        self.above = np.searchsorted(-real[self.reals], values, side="left")

    def figures(self, of_fake: np.ndarray, of_real: np.ndarray) -> np.ndarray:
        """ap and eer (2, R) under weights of the fakes (M, R) and of the reals (N, R); NaN where a class has none."""
        own = of_fake[self.fakes]  # (M, R), then one row per distinct score
        own = np.add.reduceat(own, self.starts, axis=0) if len(self.starts) < len(own) else own
        hits = np.cumsum(own, axis=0)
        alarms = np.concatenate([np.zeros((1, of_real.shape[1]), np.float32), np.cumsum(of_real[self.reals], axis=0)])
        false = alarms[self.reach]
        m, n = np.where(hits[-1] > 0, hits[-1], np.nan), np.where(alarms[-1] > 0, alarms[-1], np.nan)
        precision = hits / np.maximum(hits + false, 1)
        return np.stack([(own * precision).sum(axis=0) / m + 0 * n, self._eer(hits, alarms, m, n)])

    def _eer(self, hits: np.ndarray, alarms: np.ndarray, m: np.ndarray, n: np.ndarray) -> np.ndarray:
        columns = np.arange(hits.shape[1])
        missed = (hits[-1] - hits) * alarms[-1]
        at = np.minimum((alarms[self.reach] * hits[-1] < missed).sum(axis=0), len(hits) - 1)
        before = np.where(at > 0, hits[np.maximum(at - 1, 0), columns], 0)
        misses = 1 - before / m  # FNR just before this score, then FPR from `left` to `right` at it
        left, right = alarms[self.above[at], columns] / n, alarms[self.reach[at], columns] / n
        rise = (right - left) + (hits[at, columns] - before) / m
        along = np.divide(misses - left, rise, out=np.zeros_like(rise), where=rise > 0)
        return np.where(left >= misses, misses, left + along * (right - left))


def calibrate(fake: ArrayLike, real: ArrayLike) -> float:
    """The threshold with the greatest balanced accuracy on fakes (M,) and reals (N,), in the middle of its widest gap.

    NaN where a class is empty. It is for images other than these: on its own images such a threshold flatters.
    """
    fake, real = np.asarray(fake, dtype=np.float64), np.asarray(real, dtype=np.float64)
    if len(fake) == 0 or len(real) == 0:
        return nan
    values = np.unique(np.concatenate([fake, real]))
    edges = np.concatenate([[values[0] - 1], values, [values[-1] + 1]])
    middle, gap = (edges[1:] + edges[:-1]) / 2, edges[1:] - edges[:-1]
    missed = np.searchsorted(np.sort(fake), middle, side="right") / len(fake)
    passed = np.searchsorted(np.sort(real), middle, side="right") / len(real)
    right = (1 - missed + passed) / 2
    best = np.flatnonzero(right >= right.max() - 1e-12)
    return float(middle[best[np.argmax(gap[best])]])


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
