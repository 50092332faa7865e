"""Figures of one training with what each prompt adds to them, as intervals in all ask for (`stats.in_all.Sample`).

Each function gives None where the cells it reads are not there. Detectors, generators and precisions are keys; a figure
that rests on a threshold nobody knows is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis.cells import paired_logits, standard_shift
from helpers.analysis.conditions import trainings_of, under
from helpers.analysis.repeats import count, repeats
from helpers.analysis.stats import metrics
from helpers.analysis.stats.in_all import CHANGE, SHARE, Sample, added, in_all
from helpers.analysis.stats.metrics import Interval
from helpers.results.results import Results

__all__ = [
    "area", "area_change", "change", "contrast", "mean_less", "over_trainings", "rate", "rate_less", "shift", "spread",
]  # fmt: skip


def over_trainings(of: Callable[[Results], Sample | None], results: Results, detectors: Sequence[str]) -> list[Sample]:
    """A figure of these results under each training of its detectors, this one first; without those that lack it, or
    have it of other generators: a mean over trainings is then of the same generators under each."""
    found = [of(other) for other in repeats(results)[: count(results, detectors)]]
    there = [sample for sample in found if sample is not None]
    return [sample for sample in there if set(sample.estimates) == set(there[0].estimates)]


def _of_mean(at: Callable[[float], Interval], values: np.ndarray, prompts: np.ndarray) -> Sample:
    """The sample of a mean of values (N,) of these prompts (N,)."""
    mean = float(np.mean(values))
    return Sample.single(at, mean, pd.Series((values - mean) / len(values), index=prompts))


def rate(results: Results, detector: str, generators: Sequence[str], precision: str) -> Sample | None:
    """The share of the images of generators together that are called fake; Wilson's interval."""
    cells = [cell for key in generators if len(cell := results.logits(detector, key, precision))]
    if not cells:
        return None
    logits = pd.concat(cells) if len(cells) > 1 else cells[0]
    called = metrics.verdicts(logits, results.threshold_of(detector))
    found = _of_mean(functools.partial(metrics.rate, called), called, logits.index.to_numpy())
    if len(cells) == 1:
        return found
    return Sample.single(found.at, found.estimates[""], found.influences[""].groupby(level=0).sum())


def rate_less(results: Results, detector: str, generator: str, others: Sequence[str], precision: str) -> Sample | None:
    """The share of a generator's images that are called fake less that of each of the others; Newcombe's interval for
    the difference to all of them together."""
    own, pooled = (rate(results, detector, keys, precision) for keys in ([generator], others))
    if own is None or pooled is None:
        return None
    each = {key: found for key in others if (found := rate(results, detector, [key], precision))}
    return Sample(
        lambda level: metrics.independent_difference(pooled.at(level), own.at(level)),
        {key: own.estimates[""] - other.estimates[""] for key, other in each.items()},
        {key: own.influences[""].sub(other.influences[""], fill_value=0.0) for key, other in each.items()},
    )


def change(results: Results, detector: str, generator: str, precision: str) -> Sample | None:
    """The change of the detection rate from the baseline to a precision, on the images both have; Newcombe's paired
    interval."""
    base, other, prompts = paired_logits(results, detector, generator, precision)
    if not len(base):
        return None
    before, after = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
    return _of_mean(functools.partial(metrics.paired_difference, before, after), after - before, prompts)


def shift(results: Results, detector: str, generator: str, precision: str) -> Sample | None:
    """The paired logit shift in standard deviations of the baseline's logits; a bootstrap over prompts."""
    base, other, prompts = pair = paired_logits(results, detector, generator, precision)
    if not len(base):
        return None
    at = functools.partial(standard_shift, *pair)
    unit = float(base.std(ddof=1)) if len(base) > 1 else 0.0
    if not unit > 0:
        return Sample.single(at, at(0.95).estimate, pd.Series(0.0, index=prompts))
    moved, n = (other - base) / unit, len(base)
    centred = (base - base.mean()) / unit
    # The unit is an estimate too: by the delta method its own error takes this from the ratio.
    errors = (moved - moved.mean() - moved.mean() * (centred**2 - (n - 1) / n) / 2) / n
    return Sample.single(at, float(moved.mean()), pd.Series(errors, index=prompts))


def area(results: Results, detector: str, generator: str, precision: str) -> Sample | None:
    """The AUC of a cell against its reals; DeLong's interval."""
    fake, real = results.logits(detector, generator, precision), results.reals(detector, generator)
    if fake.empty or real.empty:
        return None
    found = metrics.auc(fake, real)
    return Sample.single(lambda level: metrics.auc(fake, real, level), found.estimate, _placed(fake, real))


def area_change(results: Results, detector: str, generator: str, precision: str) -> Sample | None:
    """The change of AUC from the baseline to a precision, of the images both have against the same reals; DeLong's
    interval for paired curves, and where no image changes its place as wide as so many may leave unseen."""
    base, other, prompts = paired_logits(results, detector, generator, precision)
    real = results.reals(detector, generator)
    if not len(base) or real.empty or precision == results.baseline:
        return None
    fakes = [pd.Series(logits, index=prompts) for logits in (base, other)]
    before, after = (metrics.auc(fake, real).estimate for fake in fakes)
    errors = added(_placed(fakes[1], real), -_placed(fakes[0], real))
    estimate = after - before
    error = float(np.sqrt((errors**2).sum()))

    def at(confidence: float) -> Interval:
        half = metrics.normal_quantile(confidence) * error if error > 0 else metrics.unseen(len(errors), confidence)
        return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half))

    return Sample.single(at, estimate, errors)


def _placed(fake: pd.Series, real: pd.Series) -> pd.Series:
    """What each prompt adds to the error of an AUC, through its fake and through its real (DeLong)."""
    of_fake, of_real = metrics.placements(fake, real)
    each = [pd.Series((of - of.mean()) / len(of), index=side.index)
            for of, side in ((of_fake, fake), (of_real, real))]  # fmt: skip
    return added(*each)


def contrast(results: Results, detectors: Sequence[str], against: Sequence[str], precision: str) -> Sample | None:
    """The mean change of the detection rate from the baseline to a precision of some detectors, less that of others
    (none: as it is), generator by generator; a bootstrap over prompts (`metrics.mean_turn`).

    Generators count alike, and of each all detectors of a group that have it; one that a group lacks is left out.
    """
    estimates, influences, terms = {}, {}, []
    for generator in results.generators:
        both = [[_turned(results, detector, generator, precision) for detector in group]
                for group in (detectors, against)]  # fmt: skip
        both = [[turned for turned in group if len(turned)] for group in both]
        if not both[0] or against and not both[1]:
            continue
        own = [(turned, sign / len(group)) for group, sign in zip(both, (1, -1), strict=True) for turned in group]
        estimates[generator] = sum(weight * turned.mean() for turned, weight in own)
        errors = [weight * (turned - turned.mean()) / len(turned) for turned, weight in own]
        influences[generator] = functools.reduce(added, errors)
        terms += [(turned, weight / len(turned)) for turned, weight in own]
    if not estimates:
        return None
    values = np.concatenate([turned.to_numpy() for turned, _ in terms])
    weights = np.concatenate([np.full(len(turned), weight / len(estimates)) for turned, weight in terms])
    prompts = np.concatenate([turned.index.to_numpy() for turned, _ in terms])
    known = not np.isnan(values).any()
    return Sample(
        lambda level: metrics.mean_turn(values, weights, prompts, confidence=level) if known else metrics.UNKNOWN,
        estimates, influences,
    )  # fmt: skip


def _turned(results: Results, detector: str, generator: str, precision: str) -> pd.Series:
    """By prompt, how the verdict on an image turns from the baseline to a precision: -1, 0 or 1."""
    base, other, prompts = paired_logits(results, detector, generator, precision)
    limit = results.threshold_of(detector)
    return pd.Series(metrics.verdicts(other, limit) - metrics.verdicts(base, limit), index=prompts)


def mean_less(own: Mapping[str, Sample], others: Mapping[str, Sample], reach: float = 1.0) -> Sample:
    """The mean of one figure over generators, less that over others (none: as it is); a bootstrap over prompts, to
    first order, or of one generator alone its own interval.

    `own`, one or more, and `others` are the figures of each generator, by key. `reach` is how far the mean goes if
    every prompt changes (`metrics.resampled`).
    """
    of = {**own, **others}
    estimates = {key: sample.estimates[""] for key, sample in of.items()}
    influences = {key: sample.influences[""] for key, sample in of.items()}
    found = Sample(next(iter(of.values())).at, estimates, influences, frozenset(others))
    if len(of) == 1:
        return found
    whole = found.whole
    errors = whole.influences[""].to_numpy()

    def at(confidence: float) -> Interval:
        draws = whole.estimates[""] + metrics.drawn_sums(errors)
        return metrics.resampled(whole.estimates[""], draws, len(errors), confidence, reach)

    return replace(found, at=at)


def spread(results: Results) -> pd.DataFrame:
    """How far trainings that differ in their seed alone lie apart, wherever there is more than one, by protocol and
    training.

    One row per protocol, weights (the first of the trainings), detector and generator: trainings (how many); auc at the
    baseline of the first, auc_lowest and auc_highest of all, auc_mean of all with its interval in all (auc_mean_low,
    auc_mean_high); changes of AUC from the baseline to the study's lowest precision, a list, the first training's
    first, and their mean `change` with its interval in all (change_low, change_high). Without reals empty.
    """
    rows = []
    for protocol, label, names in trainings_of(results):
        there = under(results, protocol, label, names)
        rows += [
            {"protocol": protocol, "weights": label} | there.titled(generator, detector=detector) | row
            for detector in there.detectors if count(there, [detector]) > 1
            for generator in there.generators if (row := _spread(there, detector, generator))
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _spread(results: Results, detector: str, generator: str) -> dict[str, Any]:
    """What `spread` says of a detector and generator; {} where there is no AUC."""

    def sampled(of: Callable[..., Sample | None], precision: str) -> list[Sample]:
        return over_trainings(lambda other: of(other, detector, generator, precision), results, [detector])

    areas, changed = sampled(area, results.baseline), sampled(area_change, results.lowest)
    if not areas:
        return {}
    each = [sample.estimates[""] for sample in areas]
    mean = in_all(areas, bounds=SHARE)
    moved = in_all(changed, bounds=CHANGE) if changed else metrics.UNKNOWN
    return {
        "trainings": len(areas), "auc": each[0], "auc_lowest": min(each), "auc_highest": max(each),
        "changes": [sample.estimates[""] for sample in changed],
    } | metrics.interval_columns(auc_mean=mean, change=moved)  # fmt: skip
