"""Whether a detector can answer at all: its AUC at the baseline, on what its training covers.

A detector that tells nothing apart at the baseline has nothing to lose to quantization, and one that tells everything
apart has lost nothing that an AUC could show until much is lost. Only images at the baseline are read here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

import pandas as pd

from helpers.analysis.conditions import trainings_of, under
from helpers.analysis.miniatures import cards
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["Instrument", "by_training", "instruments", "overview"]


class Instrument(NamedTuple):
    """One detector under a protocol and training: its AUC at the baseline by generator (unknown without reals, or
    without fakes at the baseline), and the generators that its training covers."""

    detector: str
    areas: dict[str, Interval]
    covered: tuple[str, ...]

    @property
    def best(self) -> float:
        """The highest AUC on a generator that the training covers; NaN where none is known."""
        known = [self.areas[key].estimate for key in self.covered if not isnan(self.areas[key].estimate)]
        return max(known, default=float("nan"))

    def adequate(self, least: float) -> bool | None:
        """Whether the best AUC is at least `least`; None where no AUC is known."""
        return None if isnan(self.best) else self.best >= least

    def room(self, generator: str, ceiling: float) -> bool | None:
        """Whether the AUC on a generator lies under `ceiling`; None where it is not known."""
        area = self.areas[generator].estimate
        return None if isnan(area) else area < ceiling


@once
def instruments(results: Results) -> dict[str, Instrument]:
    """The page's detectors as instruments, under its protocol and training, on all generators of the study: whether a
    detector works is no matter of what a page shows. AUCs have DeLong's 95 % intervals."""
    labels = set(results.trainings.values())
    weights = labels.pop() if len(labels) == 1 else None
    whole = results.under(results.protocol, weights, generators=(), precisions=())
    found, said = {}, cards() if results.scale == "mini" else []
    for detector in whole.detectors:
        areas = {key: _area(whole, detector, key, results.baseline) for key in whole.generators}
        covered = _covered(said, detector, whole.trainings[detector], whole.generators)
        found[detector] = Instrument(detector, areas, covered)
    return found


def _area(whole: Results, detector: str, generator: str, baseline: str) -> Interval:
    """The AUC at the baseline; unknown of too few images to say anything."""
    fake, real = whole.logits(detector, generator, baseline), whole.reals(detector, generator)
    enough = min(len(fake), len(real)) >= metrics.LEAST_IMAGES
    return metrics.auc(fake, real) if enough else metrics.UNKNOWN


def _covered(
    shipped: Sequence[Mapping[str, Any]], detector: str, label: str, generators: Collection[str]
) -> tuple[str, ...]:
    """The study's generators that a training saw, by the shipped detector's card; all of them where nothing is said."""
    said = [card["generators"] for card in shipped if (card["name"], card.get("weights")) == (detector, label)]
    return tuple(key for key in generators if not said or key in said[0])


def overview(results: Results) -> pd.DataFrame:
    """One row per detector under the page's protocol and training: detector and its title, weights, protocol,
    covered (how many generators the training saw), lowest and highest AUC at the baseline over all generators, each
    with its `_title` of the generator, adequate (yes, no or None: not known) and room (how many generators of those
    with an AUC leave some), of (how many have an AUC).

    The limits are the study's margins `adequate` and `ceiling`.
    """
    limits = results.rules.limits()
    rows = []
    for detector, own in instruments(results).items():
        known = {key: area.estimate for key, area in own.areas.items() if not isnan(area.estimate)}
        row = results.titled(detector=detector) | {
            "weights": results.trainings[detector], "protocol": results.protocol, "covered": len(own.covered),
        }  # fmt: skip
        for name, pick in {"lowest": min, "highest": max}.items():
            key = pick(known, key=known.__getitem__) if known else ""
            row |= {name: known.get(key), f"{name}_title": results.titled(key)["generator_title"] if key else ""}
        row |= {"adequate": own.adequate(limits["adequate"]), "of": len(known)}
        rows.append(row | {"room": sum(area < limits["ceiling"] for area in known.values())})
    return pd.DataFrame(rows)


def by_training(results: Results) -> pd.DataFrame:
    """The tables of `overview` under every protocol and training of the study."""
    return pd.concat([overview(under(results, *of)) for of in trainings_of(results)], ignore_index=True)
