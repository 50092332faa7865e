"""Intervals in all: over prompts and trainings, and over generators where what is said is said of generators at large.

The model. A figure of generator g under training k is y[g,k] = theta + G[g] + T[k] + GT[g,k] + e[g,k]: what is true in
general, a part of the generator, of the training and of the two together, and an error that the choice of prompts
makes. The prompts are the same for all generators and trainings, so the errors go together; their covariances are known
from what each prompt contributes. All parts are random and independent of each other; where generators are taken as
they are, G is no error and the mean over them is one figure. With J generators, K trainings and one figure of each,

    variance of the mean = (MS_G + MS_T - MS_GT) / (J K) + c,

where MS are the mean squares of the two-way table (Searle, Casella & McCulloch, Variance Components, 1992, section 4.6;
the estimates are those of REML where none is below 0) and c is the covariance, by prompts, of figures of unlike
generator and training. All that prompts do beyond c is in the mean squares already. A mean square that would make the
whole less than a single factor's part is left out.

The interval. With 3 to 6 of a kind a normal quantile is too short. Satterthwaite's degrees of freedom (Biometrics
Bulletin 1946) for that sum still are a little (92 % of intervals, for 95 %, with three trainings); the sum in which
each part has its own t quantile (Banerjee, Sankhya 1960) is a little too long (98 %). With one factor the half-width is
the mean of these two. With two it lies a quarter of the way from Satterthwaite's to the other, for what is left out
makes the sum longer, but not long enough where nearly all of the variance is of 2 or 3 trainings (86 and 91 %). A part
that is taken away can bring Satterthwaite's degrees below those of any factor, and the interval beyond all measure;
they are no fewer than the least factor's.

The difference of two groups of generators, as of two families, has for each group the parts of its own generators, and
of the trainings the mean square of the differences themselves, for both groups are scored by the same ones:

    variance = sum over groups of (MS_G - MS_GT) / (J K) + var_T / K + c,

where var_T is the variance of the K differences and c is as before, of the differences. With one training that is
Welch's interval (Biometrika 1947). Where both groups have several generators the half-width is Satterthwaite's itself,
which there is long enough: of 3 generators against 3, under 1 to 5 trainings, it covers in 95 to 98 % of studies, and
in more where next to all of the variance is of prompts or of generator and training together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt

import numpy as np
import pandas as pd
from scipy import special

from helpers.analysis.stats.metrics import FEW_TURNED, UNKNOWN, Interval

__all__ = ["CHANGE", "SHARE", "Sample", "added", "in_all"]

#: The bounds of a share, or of an area under a curve, and of a change of one.
SHARE, CHANGE = (0.0, 1.0), (-1.0, 1.0)


#: The share of the longer half-width in an interval's, by the number of factors (the module's words say why).
LONGER = {1: 0.5, 2: 0.25}


@dataclass(frozen=True)
class Sample:
    """A figure of one training.

    Attributes:
        at: its interval over prompts, by confidence level.
        estimates: the figure of each generator that it is the mean over, by key; one, under any key, where it is of no
            more than one, or of all as they are.
        influences: by the same keys, what each prompt (the index) adds to that figure's error, so that its variance is
            the sum of the squares; they sum to 0.
        against: those of the keys whose mean is subtracted from the mean over the others; empty for one group.
    """

    at: Callable[[float], Interval]
    estimates: Mapping[str, float]
    influences: Mapping[str, pd.Series]
    against: frozenset[str] = frozenset()

    @classmethod
    def single(cls, at: Callable[[float], Interval], estimate: float, influence: pd.Series) -> Sample:
        """Of one figure with the influences (N,) of its prompts."""
        return cls(at, {"": estimate}, {"": influence})

    @property
    def whole(self) -> Sample:
        """The same with the mean over its generators, less that of those `against`, as one figure."""
        if len(self.estimates) == 1 and not self.against:  # as of most: nothing is weighed
            (estimate,), (influence,) = self.estimates.values(), self.influences.values()
            return Sample.single(self.at, estimate, influence)
        others = len(self.against)
        weights = {key: -1 / others if key in self.against else 1 / (len(self.estimates) - others)
                   for key in self.estimates}  # fmt: skip
        total = functools.reduce(added, (weights[key] * influence for key, influence in self.influences.items()))
        return Sample.single(self.at, sum(weights[key] * of for key, of in self.estimates.items()), total)


def added(one: pd.Series, other: pd.Series) -> pd.Series:
    """The sum of what each prompt (the index) adds to two errors; where one lacks a prompt, it adds nothing to it."""
    if one.index.equals(other.index):  # as nearly always: to align them takes most of the time
        return pd.Series(one.to_numpy() + other.to_numpy(), index=one.index)
    return one.add(other, fill_value=0.0)


def in_all(
    samples: Sequence[Sample],
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
    general: bool = False,
) -> Interval:
    """The mean of a figure over its trainings, with its interval over prompts and trainings, and with `general` over
    generators too; over prompts alone where there is one of each. A group that has one generator is taken as it is.

    No end lies outside `bounds`. Of a share (bounds `SHARE`) the interval is of the score type, as Wilson's is, with as
    many images as would give this variance (Korn & Graubard, Survey Methodology 1998). No end lies nearer than the
    trainings' own intervals put it for prompts alone, which know what few turned verdicts can show. Unknown where the
    figure of a training is, and the ends are NaN where those over prompts are.
    """
    groups = _groups(samples, general)
    differences = sum(group.sign * group.table.mean(axis=0) for group in groups)
    estimate = float(np.mean(differences)) if np.size(differences) else nan
    if not isfinite(estimate):
        return UNKNOWN
    if all(group.table.size == 1 for group in groups):
        return samples[0].at(confidence)
    half = _half_width(_parts(groups), confidence)
    low, high = _score_ends(estimate, half) if bounds == SHARE else (estimate - half, estimate + half)
    own = [sample.at(confidence) for sample in samples]
    share = _shared(_of_trainings(groups))
    low = np.minimum(low, estimate - share * np.mean([of.estimate - of.low for of in own]))
    high = np.maximum(high, estimate + share * np.mean([of.high - of.estimate for of in own]))
    return Interval(estimate, float(np.maximum(low, bounds[0])), float(np.minimum(high, bounds[1])))


@dataclass(frozen=True)
class _Group:
    """Figures (J, K) of J generators under K trainings, what the prompts add to each (J, K, N), and whether their mean
    is added (1) or subtracted (-1)."""

    sign: int
    table: np.ndarray
    errors: np.ndarray


def _groups(samples: Sequence[Sample], general: bool) -> list[_Group]:
    """The generators that all trainings have, by group; as one figure where generators are taken as they are."""
    against = samples[0].against
    keys = [key for key in samples[0].estimates if all(key in sample.estimates for sample in samples)]
    if not general or not keys:
        samples, keys, against = [sample.whole for sample in samples], [""], frozenset()
    keys.sort(key=lambda key: key in against)
    table = np.array([[sample.estimates[key] for sample in samples] for key in keys])
    series = [sample.influences[key] for key in keys for sample in samples]
    prompts = series[0].index
    if not all(one.index is prompts or one.index.equals(prompts) for one in series):
        prompts = functools.reduce(pd.Index.union, (one.index for one in series))
        series = [one.reindex(prompts, fill_value=0.0) for one in series]
    errors = np.stack([one.to_numpy() for one in series]).reshape(*table.shape, len(prompts))
    first = sum(key not in against for key in keys)
    parts = ((1, slice(first)), (-1, slice(first, None)))
    return [_Group(sign, table[part], errors[part]) for sign, part in parts if len(table[part])]


@dataclass(frozen=True)
class _Parts:
    """The variance of the mean: by prompts what no other part holds, and of each mean square its share with its degrees
    of freedom, of generators (of each group) and trainings; what is random alone is there. `both` are taken away."""

    prompts: tuple[float, int]
    generators: tuple[tuple[float, int], ...]
    trainings: tuple[tuple[float, int], ...]
    both: tuple[tuple[float, int], ...]

    @property
    def factors(self) -> tuple[tuple[float, int], ...]:
        return self.generators + self.trainings


def _parts(groups: Sequence[_Group]) -> _Parts:
    differences = sum(group.sign * group.table.mean(axis=0) for group in groups)
    generators = [group.table.mean(axis=1) for group in groups if len(group.table) > 1]
    several = [np.asarray(differences)] if np.size(differences) > 1 else []
    n = groups[0].errors.shape[2]
    prompts = max(_unlike(groups), 0.0) * n / max(n - 1, 1)
    return _Parts(
        (prompts, max(n - 1, 1)),
        tuple((float(of.var(ddof=1)) / len(of), len(of) - 1) for of in generators),
        tuple((float(of.var(ddof=1)) / len(of), len(of) - 1) for of in several),
        tuple(_both(group.table) for group in groups if min(group.table.shape) > 1),
    )


def _both(table: np.ndarray) -> tuple[float, int]:
    """The mean square of generator and training together, as a share of the variance of the mean, and its degrees."""
    left = table - table.mean(axis=1)[:, None] - table.mean(axis=0) + table.mean()
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((left**2).sum()) / degrees / table.size, degrees


def _unlike(groups: Sequence[_Group]) -> float:
    """The covariance, by prompts, of figures of unlike generator and training, summed over groups with their signs."""
    total = 0.0
    for group in groups:
        (generators, trainings), errors = group.table.shape, group.errors
        sums = {axes: float((errors.sum(axis=axes) ** 2).sum()) for axes in ((), (0,), (1,), (0, 1))}
        if min(group.table.shape) > 1:
            unlike = sums[0, 1] - sums[0,] - sums[1,] + sums[()]
            pairs = generators * (generators - 1) * trainings * (trainings - 1)
        elif group.table.size > 1:
            unlike, pairs = sums[0, 1] - sums[()], group.table.size * (group.table.size - 1)
        else:
            unlike, pairs = sums[()], 1
        total += unlike / pairs
    if len(groups) > 1:
        first, second = (group.errors.mean(axis=0) for group in groups)
        trainings = len(first)
        same = float((first * second).sum()) if trainings > 1 else 0.0
        pairs = trainings * max(trainings - 1, 1)
        total -= 2 * (float(first.sum(axis=0) @ second.sum(axis=0)) - same) / pairs
    return total


def _of_trainings(groups: Sequence[_Group]) -> np.ndarray:
    """What the prompts add to the figure of each training (1, K, N)."""
    return np.asarray(sum(group.sign * group.errors.mean(axis=0) for group in groups))[None]


def _half_width(parts: _Parts, confidence: float) -> float:
    """Half the width of the interval: see the module's words."""
    every = [parts.prompts, *parts.factors, *parts.both]
    variance = _summed(parts, lambda degrees: 1.0)
    if not variance > 0:
        return 0.0
    degrees = variance**2 / max(sum(part**2 / of for part, of in every), 1e-300)
    half = _quantile(max(degrees, min(of for _, of in parts.factors)), confidence) * sqrt(variance)
    longer = sqrt(_summed(parts, lambda degrees: _quantile(degrees, confidence) ** 2))
    weight = LONGER[len(parts.factors)] if len(parts.generators) < 2 else 0.0
    return (1 - weight) * half + weight * longer


def _summed(parts: _Parts, weight: Callable[[int], float]) -> float:
    """The variance of the mean with each part times the weight of its degrees of freedom."""

    def of(shares: Sequence[tuple[float, int]]) -> float:
        return sum(part * weight(degrees) for part, degrees in shares)

    own = of(parts.generators), of(parts.trainings)
    return of([parts.prompts]) + max(sum(own) - of(parts.both), *own)


def _quantile(degrees: float, confidence: float) -> float:
    return float(special.stdtrit(degrees, 0.5 + confidence / 2))


def _score_ends(share: float, half: float) -> tuple[float, float]:
    """The ends of the score interval of a share whose plain interval has this half-width."""
    spread = share * (1 - share)
    if not spread > 0:
        return share, share
    ratio = half**2 / spread
    centre, width = (share + ratio / 2) / (1 + ratio), sqrt(half**2 + ratio**2 / 4) / (1 + ratio)
    return centre - width, centre + width


def _shared(errors: np.ndarray) -> float:
    """How far the mean over trainings is from the truth by prompts alone, as a share of how far one training is.

    1 where fewer than `FEW_TURNED` prompts make the error, as where next to no verdict turns: then what was not seen
    counts, and it is the same for all trainings.
    """
    each = errors.mean(axis=0)
    second, fourth = (float((each**power).sum(axis=1).mean()) for power in (2, 4))
    if not second > 0 or second**2 < FEW_TURNED * fourth:
        return 1.0
    return sqrt(float((each.mean(axis=0) ** 2).sum()) / second)
