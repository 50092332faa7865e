"""Estimates with intervals for detectors: rates, ROC figures, means, paired differences. Arrays in, `Interval` out.

Label 1 (fake) is the positive class and a higher score means "more fake" throughout. An estimate that its input does
not determine (an empty class) is NaN with a NaN interval, never 0 or 1. What comes from a sample has an interval with
width; where the sample shows no spread and nothing bounds what was not seen, its ends are NaN. Scores that are not
finite numbers are refused with ValueError.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import isfinite, isnan, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

from helpers.core.scores import finite, is_fake

__all__ = [
    "FEW",
    "FEW_TURNED",
    "LEAST_IMAGES",
    "Interval",
    "OPERATING",
    "UNKNOWN",
    "area_interval",
    "auc",
    "balanced_accuracy",
    "bands",
    "below",
    "bootstrap_mean",
    "bootstrap_median",
    "bootstrap_ratio",
    "bootstrap_sum",
    "bootstrap_weights",
    "calibrate",
    "counted",
    "drawn_sums",
    "independent_difference",
    "interval_columns",
    "limit_at",
    "mcnemar",
    "mean_turn",
    "median",
    "normal_quantile",
    "operating",
    "paired_difference",
    "placements",
    "rate",
    "resampled",
    "separable",
    "tpr_at",
    "unseen",
    "verdicts",
    "wilson",
]

#: With fewer images (or prompts, where these are drawn) intervals are widened or of another kind, for the usual ones
#: hold the truth too seldom: percentiles of a bootstrap in 91 % of studies of 10 and 82 % of 5, where 95 % are meant.
FEW = 30

#: Images (or prompts) that each figure of a claim must have. In simulated studies of as many, 90 % or more of each kind
#: of 95 % interval hold the truth, however lopsided what is measured is; with fewer, some do not.
LEAST_IMAGES = 20

#: With fewer prompts whose verdict turns, a bootstrap of those says too little of the ones that did not.
FEW_TURNED = 5

#: Figures of the whole ROC curve: average precision, equal error rate, TPR at 1 % and at 5 % FPR.
OPERATING = ("ap", "eer", "tpr_at_1", "tpr_at_5")


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval, in the unit of the estimate."""

    estimate: float
    low: float
    high: float


UNKNOWN = Interval(nan, nan, nan)


def normal_quantile(confidence: float) -> float:
    """The normal quantile that an interval of this level reaches to."""
    return float(special.ndtri(0.5 + confidence / 2))


def verdicts(logits: ArrayLike, threshold: ArrayLike = 0.0) -> np.ndarray:
    """`is_fake` as float64 (N,), 1 for a fake and 0 for a real, and NaN where the threshold is not known."""
    limit = np.asarray(threshold, dtype=np.float64)
    return np.where(np.isnan(limit), nan, is_fake(logits, np.nan_to_num(limit)))


@functools.lru_cache(maxsize=65536)
def wilson(successes: float, trials: int, confidence: float = 0.95) -> Interval:
    """A proportion with Wilson's score interval (Wilson, JASA 1927); stays inside [0, 1] and has width at 0 and 1.

    `successes` may be a sum of shares in [0, 1], whose variance is at most that of a count.

    >>> found = wilson(9, 10)
    >>> f"{found.estimate} ({found.low:.3f} to {found.high:.3f})"
    '0.9 (0.596 to 0.982)'
    """
    if trials == 0:
        return UNKNOWN
    share = successes / trials
    low, high = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    return Interval(share, min(share, float(low)), max(share, float(high)))


def rate(called: ArrayLike, confidence: float = 0.95) -> Interval:
    """The share of verdicts (N,) that are "fake" with Wilson's interval; unknown where a verdict is (NaN)."""
    called = np.asarray(called, dtype=np.float64)
    return UNKNOWN if np.isnan(called).any() else wilson(float(called.sum()), len(called), confidence)


def unseen(trials: int, confidence: float = 0.95) -> float:
    """The largest share that something which none of so many trials shows may have: the upper end of Wilson's."""
    return wilson(0, trials, confidence).high


def balanced_accuracy(tpr: Interval, tnr: Interval) -> Interval:
    """The mean of two independent rates; the interval combines theirs (MOVER: Zou & Donner, Stat. Med. 2008)."""
    estimate = (tpr.estimate + tnr.estimate) / 2
    below = sqrt((tpr.estimate - tpr.low) ** 2 + (tnr.estimate - tnr.low) ** 2) / 2
    above = sqrt((tpr.high - tpr.estimate) ** 2 + (tnr.high - tnr.estimate) ** 2) / 2
    return Interval(estimate, estimate - below, estimate + above)


def auc(fake: ArrayLike, real: ArrayLike, confidence: float = 0.95) -> Interval:
    """Area under the ROC curve of scores of fakes (M,) against reals (N,), ties counted half.

    The interval is DeLong's (Biometrics 1988; computed from midranks, Sun & Xu 2014). Where the classes separate
    without overlap DeLong's variance is zero, and it is too small where that interval would reach beyond 0 or 1 and
    with fewer than `FEW` images; there the score-type interval of Newcombe (Stat. Med. 2006, method 5, on the variance
    of Hanley & McNeil 1982) is used: 1.0 from 20 images is not 1.0 for certain.
    """
    fake, real = finite(fake), finite(real)
    m, n = len(fake), len(real)
    if m == 0 or n == 0:
        return UNKNOWN
    of_fake, of_real = placements(fake, real)
    area = float(of_fake.mean())
    variance = _variance(of_fake) / m + _variance(of_real) / n
    half = normal_quantile(confidence) * sqrt(variance)
    if variance <= 0 or min(m, n) < FEW or not half <= area <= 1 - half:
        return area_interval(area, m, n, confidence)
    return Interval(area, area - half, area + half)


def placements(fake: ArrayLike, real: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Of each fake (M,) the share of the reals (N,) below it, and of each real that of the fakes above it, ties counted
    half; both have the AUC as their mean. Neither class may be empty."""
    fake, real = finite(fake), finite(real)
    m, n = len(fake), len(real)
    return below(real, fake) / n, 1 - below(fake, real) / m


def below(those: np.ndarray, score: np.ndarray) -> np.ndarray:
    """How many of those scores (N,) lie below each score (M,), ties counted half: (M,)."""
    ordered = np.sort(those)
    below: np.ndarray = np.searchsorted(ordered, score, side="left")
    up_to: np.ndarray = np.searchsorted(ordered, score, side="right")
    counts: np.ndarray = (below + up_to) / 2
    return counts


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def area_interval(area: float, fakes: int, reals: int, confidence: float = 0.95) -> Interval:
    """The score-type interval (Newcombe 2006, method 5) of an observed AUC of so many fakes against so many reals: all
    areas whose own Hanley-McNeil standard error puts them near enough to it."""
    z = normal_quantile(confidence)
    grid = np.linspace(0, 1, 20_001)
    mean = (fakes + reals) / 2
    extra = (mean - 1) * ((1 - grid) / (2 - grid) + grid / (1 + grid))
    error = np.sqrt(grid * (1 - grid) * (1 + extra) / (fakes * reals))
    inside = grid[np.abs(grid - area) <= z * error + 1e-12]
    return Interval(area, float(min(inside.min(initial=area), area)), float(max(inside.max(initial=area), area)))


def resampled(
    estimate: float, draws: ArrayLike, clusters: int, confidence: float = 0.95, reach: float | None = None
) -> Interval:
    """An estimate with the percentile interval of its bootstrap draws (R,), NaN where a draw does not define it.

    `clusters` is how many were drawn from. With fewer than `FEW` the percentiles' distances from the estimate are
    widened as a t interval is beyond a normal one without the factor n / (n - 1) (the size of the correction of
    Hesterberg, Am. Stat. 2015). The ends are NaN for one cluster and where over 2.5 % of the draws are undefined. Where
    draws have no spread no cluster differs from the others: then the ends are as far away as the figure goes if so many
    clusters as may be `unseen` do. `reach` is how far it goes if all do; the ends are NaN where nothing says.
    """
    draws = np.asarray(draws, dtype=np.float64)
    known = draws[np.isfinite(draws)]
    if not isfinite(estimate):
        return UNKNOWN
    if clusters < 2 or len(known) < 0.975 * len(draws):
        return Interval(float(estimate), nan, nan)
    if np.ptp(known) <= 1e-12 * max(1.0, abs(estimate)):
        half = unseen(clusters, confidence) * reach if reach else nan
        return Interval(float(estimate), float(estimate - half), float(estimate + half))
    return Interval(float(estimate), *map(float, _spread_out(estimate, _ends(known, confidence), clusters, confidence)))


def _ends(draws: np.ndarray, confidence: float) -> np.ndarray:
    """The percentiles (2,) between which this share of the draws (R,) lies, as `numpy.quantile` has them, which takes
    three times as long for so few; every figure asks for them."""
    place = np.array([0.5 - confidence / 2, 0.5 + confidence / 2]) * (len(draws) - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, len(draws) - 1)
    ordered = np.partition(draws, np.concatenate([below, above]))
    ends: np.ndarray = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return ends


def _spread_out(estimate: ArrayLike, ends: np.ndarray, clusters: int, confidence: float) -> np.ndarray:
    """Percentiles `ends` (..., broadcast against the estimate) as far from it as so few clusters ask for."""
    centre = np.asarray(estimate)
    return ends if clusters >= FEW else centre + (ends - centre) * _student(clusters, confidence)


def _student(clusters: int, confidence: float) -> float:
    """By how much a t interval of so few is wider than a normal one without the factor n / (n - 1); NaN of one."""
    if clusters >= FEW:
        return 1.0
    student = float(stats.t.ppf(0.5 + confidence / 2, clusters - 1)) if clusters > 1 else nan
    return student / normal_quantile(confidence) * sqrt(clusters / max(clusters - 1, 1))


def bands(values: np.ndarray, resamples: int = 2000, confidence: float = 0.95) -> np.ndarray:
    """Ends (2, B) of the intervals of the means of values (N, B), rows drawn again; NaN for a single row and where a
    column does not vary."""
    if len(values) < 2:
        return np.full((2, *values.shape[1:]), nan)
    again = bootstrap_weights(len(values), resamples).T @ values / len(values)
    ends = np.quantile(again, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    ends = _spread_out(values.mean(axis=0), ends, len(values), confidence)
    return np.where(np.ptp(values, axis=0) > 0, ends, nan)


def _grouped(clusters: ArrayLike) -> np.ndarray:
    """The number of each one's cluster (N,), counted from 0 in the order of the clusters' names (N,)."""
    clusters = np.asarray(clusters)
    if (clusters[1:] > clusters[:-1]).all():  # each its own and in order, as images of a cell are: no need to sort
        return np.arange(len(clusters))
    return np.unique(clusters, return_inverse=True)[1]


def bootstrap_mean(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    reach: float | None = None,
) -> Interval:
    """The mean of values (N,) with a percentile bootstrap interval that resamples whole clusters (N,).

    A cluster is what was drawn together: here the prompt, so that images of one prompt are never counted as
    independent. Without clusters each value is its own. Few clusters, one, and values that are all the same: as in
    `resampled`, whose `reach` this is.
    """
    values = finite(values)
    if len(values) == 0:
        return UNKNOWN
    groups = np.arange(len(values)) if clusters is None else _grouped(clusters)
    sums, counts = np.bincount(groups, weights=values), np.bincount(groups)
    # where all clusters are of one size, so are all resamples
    drawn = drawn_sums(counts, resamples, seed) if np.ptp(counts) else len(values)
    return resampled(float(values.mean()), drawn_sums(sums, resamples, seed) / drawn, len(sums), confidence, reach)


def bootstrap_median(
    values: ArrayLike, clusters: ArrayLike, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The median of values (N,) with a percentile bootstrap interval that resamples whole clusters (N,).

    Few clusters, one, and values that are all the same: as in `resampled`. In simulated studies of 7 to 15 clusters of
    unlike sizes, 91 to 97 % of 95 % intervals hold the median: a resample's median is one of few values.
    """
    values = finite(values)
    if len(values) == 0:
        return UNKNOWN
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    order = np.argsort(values, kind="stable")
    drawn = np.cumsum(bootstrap_weights(int(groups.max()) + 1, resamples, seed)[groups[order]], axis=0)
    # The middle value, or the mean of the two in the middle, of each resample's values.
    middle = [values[order][(drawn > half).argmax(axis=0)] for half in (drawn[-1] / 2 - 0.5, drawn[-1] / 2)]
    return resampled(float(np.median(values)), np.mean(middle, axis=0), len(np.unique(groups)), confidence)


def median(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """The median of values (N,), which may be infinite, with the interval between two of them by rank (sign test).

    It holds the median at least as often as `confidence` says, whatever the distribution (David & Nagaraja, Order
    Statistics, 2003, section 7.1); the ends are NaN where so few values allow none (fewer than six at 95 %).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if len(ordered) == 0:
        return UNKNOWN
    rank = int(stats.binom.ppf(0.5 - confidence / 2, len(ordered), 0.5))
    ends = (ordered[rank - 1], ordered[-rank]) if rank else (nan, nan)
    return Interval(float(np.median(ordered)), *map(float, ends))


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
    so the intervals know that the unit is an estimate too; few clusters as in `resampled`, so with fewer than four the
    ends are not known. Where no value differs from 0, one that was not seen is taken to reach across all of `unit` at
    most. Unknown where `unit` does not vary.
    """
    values, unit = np.atleast_2d(finite(values)), finite(unit)
    deviation = float(unit.std(ddof=1)) if len(unit) > 1 else 0.0
    if deviation == 0 or np.ptp(unit) <= 1e-12 * np.abs(unit).max():
        return [UNKNOWN] * len(values)
    groups = _grouped(clusters)
    centred = (unit - unit.mean()) / deviation
    rows = [*values, centred, centred**2, np.ones(len(unit))]
    sums = np.stack([np.bincount(groups, weights=row) for row in rows])
    *totals, first, second, n = drawn_sums(sums, resamples, seed)
    spread = np.sqrt(np.maximum((second - first**2 / n) / np.maximum(n - 1, 1), 0))
    spread[spread < 1e-6] = nan  # of its own standard deviation: the resample holds one value, over and over
    means = np.stack(totals) / (n * spread * deviation)
    reach = float(np.ptp(unit)) / deviation
    return [
        resampled(estimate, draws, sums.shape[1], confidence, reach)
        for estimate, draws in zip(values.mean(axis=1) / deviation, means, strict=True)
    ]


@functools.lru_cache(maxsize=8)
def bootstrap_weights(clusters: int, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """How often each cluster is drawn in each bootstrap resample: float64 (clusters, resamples), columns sum to
    `clusters`.

    Kept and read-only: every cell with as many clusters shares one matrix, so a bootstrap is a product with it.
    """
    times = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    weights = np.ascontiguousarray(times.T, dtype=np.float64)
    weights.setflags(write=False)
    return weights


def drawn_sums(parts: ArrayLike, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """The sums of parts, one a cluster (C,) or several (K, C), over the clusters of each bootstrap resample: (R,) or
    (K, R), read-only.

    Each passes over all of `bootstrap_weights`, which is most of what an interval takes. The last are kept, for the
    same draws are asked for at two levels of confidence, and as parts of several ratios.
    """
    parts = np.asarray(parts, dtype=np.float64)
    return _drawn_sums(parts.tobytes(), parts.shape, resamples, seed)


@functools.lru_cache(maxsize=256)
def _drawn_sums(parts: bytes, shape: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    sums: np.ndarray = np.frombuffer(parts).reshape(shape) @ bootstrap_weights(shape[-1], resamples, seed)
    sums.setflags(write=False)
    return sums


def bootstrap_sum(
    parts: ArrayLike, clusters: ArrayLike, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The sum of parts (N,), weighted contributions to a mean of means, when whole clusters (N,) are drawn again."""
    parts = finite(parts)
    if len(parts) == 0:
        return UNKNOWN
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums = np.bincount(groups, weights=parts)
    return resampled(float(sums.sum()), drawn_sums(sums, resamples, seed), len(sums), confidence)


def mean_turn(
    turned: ArrayLike, weights: ArrayLike, clusters: ArrayLike, *, resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """The weighted sum of changes of verdict (N,), each -1, 0 or 1: a mean of means, or the difference of two, where
    the weights (N,) of the second are negative. Whole clusters (N,) are drawn again.

    A bootstrap of verdicts of which next to none turned, or next to all, has next to no width, on one side or on both.
    So where fewer than five clusters turn, or do otherwise than most, or there are fewer than `FEW`, the interval
    combines (MOVER, as `balanced_accuracy` does) Wilson's intervals for the shares of the clusters that turn either
    way, of each sign of weight.
    """
    turned, weights = finite(turned), finite(weights)
    if len(turned) == 0:
        return UNKNOWN
    clusters = np.asarray(clusters)
    n, often = len(np.unique(clusters)), len(np.unique(clusters[turned != 0]))
    if n >= FEW and min(often, _unlike_most(turned * weights, clusters)) >= FEW_TURNED:
        return bootstrap_sum(turned * weights, clusters, resamples=resamples, confidence=confidence)
    below = above = 0.0
    for sign in np.unique(np.sign(weights[weights != 0])):
        own = np.where(np.sign(weights) == sign, np.abs(weights), 0.0)
        for way in (1, -1):
            rate = wilson(n * own[turned == way].sum() / own.sum(), n, confidence)
            ends = np.array([rate.estimate - rate.low, rate.high - rate.estimate]) * own.sum()
            down, up = ends if sign * way > 0 else ends[::-1]
            below, above = below + down**2, above + up**2
    estimate = float((turned * weights).sum())
    return Interval(estimate, estimate - sqrt(below), estimate + sqrt(above))


def _unlike_most(values: np.ndarray, clusters: np.ndarray) -> int:
    """How many clusters have another sum of values (N,) than most of them have."""
    groups = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(groups, weights=values)
    alike = np.unique((sums / max(np.abs(values).max(), 1e-300)).round(6), return_counts=True)[1]
    return int(len(sums) - alike.max())


def separable(fake: ArrayLike, real: ArrayLike) -> bool:
    """Whether every fake (M,) scores above every real (N,); False where a class is empty."""
    fake, real = finite(fake), finite(real)
    return len(fake) > 0 and len(real) > 0 and float(fake.min()) > float(real.max())


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
    2013). A bootstrap of perfect figures has no width, so where the classes are separable ap takes that of `auc`, and
    eer Wilson's for as many errors in the smaller class; so it does where a class has fewer than `FEW` images, where
    ap's is widened as in `resampled`. Those of TPR are as in `tpr_at`.
    """
    fake, real = finite(fake), finite(real)
    m, n = len(fake), len(real)
    if m == 0 or n == 0:
        return dict.fromkeys(OPERATING, UNKNOWN)
    of_fake = np.arange(m) if fake_clusters is None else np.asarray(fake_clusters)
    of_real = np.arange(m, m + n) if real_clusters is None else np.asarray(real_clusters)
    names, groups = np.unique(np.concatenate([of_fake, of_real]), return_inverse=True)
    curve = _Curve(fake, real)
    ap, eer = (float(value) for value in curve.figures(np.ones((m, 1)), np.ones((n, 1)))[:, 0])
    draws = _drawn_figures(curve, groups[:m], groups[m:], bootstrap_weights(len(names), resamples, seed))
    found = {
        "ap": _ap_interval(ap, draws[0], fake, real, confidence),
        "eer": _eer_interval(eer, draws[1], min(m, n), len(names), confidence),
    }
    at = {
        f"tpr_at_{share}": tpr_at(fake, real, share / 100, draws=resamples, seed=seed, confidence=confidence)
        for share in (1, 5)
    }
    return found | at


def _drawn_figures(curve: _Curve, of_fake: np.ndarray, of_real: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ap and eer (2, R) under weights of the clusters (C, R), for fakes (M,) and reals (N,) of these clusters, without
    the resamples that miss a class."""
    chunks = (weights[:, start : start + 250].astype(np.float32) for start in range(0, weights.shape[1], 250))
    # a chunk's arrays stay in the processor's cache
    draws = np.concatenate([curve.figures(chunk[of_fake], chunk[of_real]) for chunk in chunks], axis=1)
    return draws[:, ~np.isnan(draws[0])]


def _ap_interval(ap: float, draws: np.ndarray, fake: np.ndarray, real: np.ndarray, confidence: float) -> Interval:
    """Average precision with its interval: see `operating`."""
    if separable(fake, real):
        return Interval(1.0, auc(fake, real, confidence).low, 1.0)
    error = float(draws.std()) if draws.size else 0.0
    return _in_logit(ap, error * _student(min(len(fake), len(real)), confidence), confidence)


def _eer_interval(eer: float, draws: np.ndarray, smaller: int, clusters: int, confidence: float) -> Interval:
    """Equal error rate with its interval, of so many images in the smaller class: see `operating`."""
    found = resampled(eer, draws, clusters, confidence)
    return wilson(eer * smaller, smaller, confidence) if smaller < FEW or isnan(found.low) else found


def _in_logit(estimate: float, error: float, confidence: float) -> Interval:
    """The interval of a share in (0, 1) whose logit has the standard error that the delta method gives it; its ends are
    NaN without one."""
    if not error > 0 or not 0 < estimate < 1:
        return Interval(estimate, nan, nan)
    half = normal_quantile(confidence) * error / (estimate * (1 - estimate))
    low, high = special.expit(special.logit(estimate) + np.array([-half, half]))
    return Interval(estimate, float(low), float(high))


def tpr_at(
    fake: ArrayLike,
    real: ArrayLike,
    share: float = 0.05,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The largest TPR of fakes (M,) at a threshold that at most `share` (in (0, 1)) of the reals (N,) exceed.

    The interval includes the threshold's own uncertainty: how many of N reals lie above the population's threshold is
    binomial, so that threshold lies somewhere in the gap below the real of that rank (above all reals: anywhere up to
    the highest fake); given it, the rate has Jeffreys' posterior. So it is wide where few reals define the threshold,
    where a bootstrap of the highest reals would be too sure. Unknown where a class is empty.
    """
    fake, falling = np.sort(finite(fake)), np.sort(finite(real))[::-1]
    m, n = len(fake), len(falling)
    if m == 0 or n == 0:
        return UNKNOWN
    rng = np.random.default_rng(seed)
    ends = np.concatenate([[max(falling[0], fake[-1])], falling, [falling[-1] - 1]])
    rank = rng.binomial(n, share, draws)
    limits = ends[rank + 1] + rng.random(draws) * (ends[rank] - ends[rank + 1])
    hits = m - np.searchsorted(fake, limits, side="right")
    low, high = np.quantile(rng.beta(hits + 0.5, m - hits + 0.5), [0.5 - confidence / 2, 0.5 + confidence / 2])
    estimate = 1 - np.searchsorted(fake, limit_at(real, share), side="right") / m
    return Interval(float(estimate), min(float(low), float(estimate)), max(float(high), float(estimate)))


def limit_at(real: ArrayLike, share: float = 0.05) -> float:
    """The lowest threshold that at most `share` of the reals (N,) exceed, which is the score of one; NaN of none."""
    falling = np.sort(np.asarray(real, dtype=np.float64))[::-1]
    return float(falling[int(len(falling) * share + 1e-9)]) if len(falling) else nan


def counted(weights: np.ndarray) -> np.ndarray:
    """Running sums of weights (N, R) down their columns, from 0 on: (N + 1, R), of the same type."""
    sums = np.empty((len(weights) + 1, weights.shape[1]), weights.dtype)
    sums[0] = 0
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


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
        alarms = counted(of_real[self.reals])
        m, n = np.where(hits[-1] > 0, hits[-1], np.nan), np.where(alarms[-1] > 0, alarms[-1], np.nan)
        above = alarms[self.reach]
        above += hits
        np.maximum(above, 1, out=above)
        precision = np.divide(hits, above, out=above)
        precision *= own
        return np.stack([precision.sum(axis=0) / m + 0 * n, self._eer(hits, alarms, m, n)])

    def _eer(self, hits: np.ndarray, alarms: np.ndarray, m: np.ndarray, n: np.ndarray) -> np.ndarray:
        columns = np.arange(hits.shape[1])
        missed = (hits[-1] - hits) * alarms[-1]
        at = np.minimum((alarms[self.reach] * hits[-1] < missed).sum(axis=0), len(hits) - 1)
        before = np.where(at > 0, hits[np.maximum(at - 1, 0), columns], 0)
        misses = 1 - before / m  # FNR just before this score, then FPR from `left` to `right` at it
        left, right = alarms[self.above[at], columns] / n, alarms[self.reach[at], columns] / n
        rise = (right - left) + (hits[at, columns] - before) / m
        along = np.divide(misses - left, rise, out=np.zeros_like(rise), where=rise > 0)
        crossing: np.ndarray = np.where(left >= misses, misses, left + along * (right - left))
        return crossing


def calibrate(fake: ArrayLike, real: ArrayLike) -> float:
    """The threshold with the greatest balanced accuracy on fakes (M,) and reals (N,), in the middle of its widest gap.

    NaN where a class is empty. It is for images other than these: on its own images such a threshold flatters.
    """
    fake, real = finite(fake), finite(real)
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


def mcnemar(first: ArrayLike, second: ArrayLike) -> tuple[float, float, float]:
    """Paired verdicts (N,) each: how many were lost (fake, then real), how many gained, and the exact p-value: 1 where
    no pair differs, NaN where there is none. All are NaN where a verdict is."""
    if _unknown(first, second):
        return nan, nan, nan
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    if lost + gained == 0:
        return 0, 0, 1.0 if len(first) else nan
    return lost, gained, float(stats.binomtest(lost, lost + gained).pvalue)


def _unknown(*verdicts: ArrayLike) -> bool:
    """Whether any verdict of these is not known (NaN)."""
    return any(bool(np.isnan(np.asarray(of, dtype=np.float64)).any()) for of in verdicts)


def independent_difference(first: Interval, second: Interval) -> Interval:
    """second - first for two independent proportions with Wilson intervals (Newcombe, Stat. Med. 1998, method 10)."""
    return _difference(first, second, 0.0)


def paired_difference(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """Change of a rate between paired verdicts (N,), second - first (Newcombe, Stat. Med. 1998, paired method 10);
    unknown where a verdict is (NaN)."""
    if _unknown(first, second):
        return UNKNOWN
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    n = len(first)
    before, after = (wilson(int(x.sum()), n, confidence) for x in (first, second))
    if n == 0 or isnan(before.estimate) or isnan(after.estimate):
        return UNKNOWN
    constant = first.all() or second.all() or not first.any() or not second.any()
    return _difference(before, after, 0.0 if constant else float(_phi(first, second)))


def _phi(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two binary series, with Newcombe's continuity correction where it is positive."""
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    numerator = float(both * neither - lost * gained)
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


def interval_columns(**intervals: Interval) -> dict[str, float]:
    """Intervals by name as entries of a table's row, three for each: NAME, NAME_low and NAME_high."""
    found: dict[str, float] = {}
    for name, interval in intervals.items():
        found |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return found
