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

__all__ = ["CHANGE", "SHARE", "Sample", "in_all"]

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
    """

    at: Callable[[float], Interval]
    estimates: Mapping[str, float]
    influences: Mapping[str, pd.Series]

    @classmethod
    def single(cls, at: Callable[[float], Interval], estimate: float, influence: pd.Series) -> Sample:
        """Of one figure with the influences (N,) of its prompts."""
        return cls(at, {"": estimate}, {"": influence})

    @property
    def whole(self) -> Sample:
        """The same with the mean over its generators as one figure."""
        total = functools.reduce(lambda one, other: one.add(other, fill_value=0.0), self.influences.values())
        count = len(self.estimates)
        return Sample.single(self.at, sum(self.estimates.values()) / count, total / count)


def in_all(
    samples: Sequence[Sample],
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
    general: bool = False,
) -> Interval:
    """The mean of a figure over its trainings, with its interval over prompts and trainings, and with `general` over
    generators too; over prompts alone where there is one of each.

    No end lies outside `bounds`. Of a share (bounds `SHARE`) the interval is of the score type, as Wilson's is, with as
    many images as would give this variance (Korn & Graubard, Survey Methodology 1998). No end lies nearer than the
    trainings' own intervals put it for prompts alone, which know what few turned verdicts can show. Unknown where the
    figure of a training is, and the ends are NaN where those over prompts are.
    """
    table, errors = _table(samples, general)
    estimate = float(table.mean()) if table.size else nan
    if not isfinite(estimate):
        return UNKNOWN
    if table.size == 1:
        return samples[0].at(confidence)
    half = _half_width(_parts(table, errors), confidence)
    low, high = _score_ends(estimate, half) if bounds == SHARE else (estimate - half, estimate + half)
    own = [sample.at(confidence) for sample in samples]
    share = _shared(errors)
    low = np.minimum(low, estimate - share * np.mean([of.estimate - of.low for of in own]))
    high = np.maximum(high, estimate + share * np.mean([of.high - of.estimate for of in own]))
    return Interval(estimate, float(np.maximum(low, bounds[0])), float(np.minimum(high, bounds[1])))


def _table(samples: Sequence[Sample], general: bool) -> tuple[np.ndarray, np.ndarray]:
    """Figures (J, K) of the generators that all trainings have, J = 1 where generators are taken as they are, and what
    the prompts add to each (J, K, N)."""
    keys = [key for key in samples[0].estimates if all(key in sample.estimates for sample in samples)]
    if not general or not keys:
        samples, keys = [sample.whole for sample in samples], [""]
    table = np.array([[sample.estimates[key] for sample in samples] for key in keys])
    series = [sample.influences[key] for key in keys for sample in samples]
    prompts = series[0].index
    if not all(one.index is prompts or one.index.equals(prompts) for one in series):
        prompts = functools.reduce(pd.Index.union, (one.index for one in series))
        series = [one.reindex(prompts, fill_value=0.0) for one in series]
    return table, np.stack([one.to_numpy() for one in series]).reshape(*table.shape, len(prompts))


@dataclass(frozen=True)
class _Parts:
    """The variance of the mean: by prompts what no other part holds, and of each mean square its share with its degrees
    of freedom; what is random alone is there. `both` is taken away."""

    prompts: tuple[float, int]
    factors: tuple[tuple[float, int], ...]
    both: tuple[float, int] | None


def _parts(table: np.ndarray, errors: np.ndarray) -> _Parts:
    (generators, trainings), n = table.shape, errors.shape[2]
    sums = {axes: float((errors.sum(axis=axes) ** 2).sum()) for axes in ((), (0,), (1,), (0, 1))}
    if min(table.shape) > 1:
        unlike = sums[0, 1] - sums[0,] - sums[1,] + sums[()]
        pairs = generators * (generators - 1) * trainings * (trainings - 1)
    else:
        unlike, pairs = sums[0, 1] - sums[()], table.size * (table.size - 1)
    prompts = max(unlike / pairs, 0.0) * n / max(n - 1, 1)
    means = [table.mean(axis=1), table.mean(axis=0)]
    factors = tuple((float(of.var(ddof=1)) / len(of), len(of) - 1) for of in means if len(of) > 1)
    both = None
    if len(factors) == 2:
        left = table - means[0][:, None] - means[1] + table.mean()
        degrees = (generators - 1) * (trainings - 1)
        both = float((left**2).sum()) / degrees / table.size, degrees
    return _Parts((prompts, max(n - 1, 1)), factors, both)


def _half_width(parts: _Parts, confidence: float) -> float:
    """Half the width of the interval: see the module's words."""
    every = [parts.prompts, *parts.factors, *([parts.both] if parts.both else [])]
    variance = _summed(parts, lambda degrees: 1.0)
    if not variance > 0:
        return 0.0
    degrees = variance**2 / max(sum(part**2 / of for part, of in every), 1e-300)
    half = _quantile(max(degrees, min(of for _, of in parts.factors)), confidence) * sqrt(variance)
    longer = sqrt(_summed(parts, lambda degrees: _quantile(degrees, confidence) ** 2))
    weight = LONGER[len(parts.factors)]
    return (1 - weight) * half + weight * longer


def _summed(parts: _Parts, weight: Callable[[int], float]) -> float:
    """The variance of the mean with each part times the weight of its degrees of freedom."""
    own = [part * weight(degrees) for part, degrees in parts.factors]
    both = parts.both[0] * weight(parts.both[1]) if parts.both else 0.0
    return parts.prompts[0] * weight(parts.prompts[1]) + max(sum(own) - both, *own)


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
