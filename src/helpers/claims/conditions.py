"""The same claims where something else is different: another protocol, training or threshold of the same study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import pandas as pd

from helpers.analysis.cells import half
from helpers.analysis.conditions import own_training, trainings_of, under
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims import deck
from helpers.claims.claim import Claim
from helpers.claims.scorecard import evaluate, table
from helpers.results.memo import once
from helpers.results.results import Results, with_fakes

__all__ = ["by_condition", "calibrated", "disagreement"]


def calibrated(results: Results) -> Results:
    """The same results with each detector's threshold for each generator put where it is best at FP32.

    The threshold is that of `analysis.cells`: found on the FP32 fakes and reals of even index. The logits here are the
    odd ones less that threshold, plus the page's own, so that what is called fake changes and nothing else. It is on
    the scores' own scale, so nothing hangs on whether that is said.
    """
    moved = {}
    for detector in results.detectors:
        for generator in results.generators:
            sides = (results.logits(detector, generator, results.baseline), results.reals(detector, generator))
            limit = metrics.calibrate(*(half(side, 0).to_numpy() for side in sides))
            for precision in results.precisions if not isnan(limit) else ():
                logits = half(results.logits(detector, generator, precision), 1)
                if len(logits):
                    moved[(detector, generator, precision)] = logits - limit + results.threshold
    return with_fakes(replace(results, unsaid=()), results.precisions, moved)


@dataclass(frozen=True)
class _Condition:
    """A protocol and a training with the detectors that have it, at their own threshold or at a calibrated one."""

    title: str
    protocol: str
    weights: str
    detectors: tuple[str, ...]
    calibrate: bool = False

    def of(self, results: Results) -> Results:
        """The page's results under this condition."""
        there = under(results, self.protocol, self.weights, self.detectors)
        return calibrated(there) if self.calibrate else there


def _conditions(results: Results) -> list[_Condition]:
    """Every protocol, training and threshold that the study can be judged under, the page's own first."""
    found = []
    for protocol, label, detectors in trainings_of(results):
        own = label == own_training(results, protocol)
        fewer = f" of {listed([named(key) for key in detectors])}" if len(detectors) < len(results.detectors) else ""
        title = protocol if own else f"{protocol}, training {label}{fewer}"
        condition = _Condition(title, protocol, label, tuple(detectors))
        found.append(condition)
        if own and (results.scores.label == 0).any():  # without reals no threshold can be calibrated
            found.append(replace(condition, title=f"{protocol}, calibrated threshold", calibrate=True))
    page = (results.protocol, own_training(results, results.protocol))
    return sorted(found, key=lambda condition: (condition.protocol, condition.weights) != page)


@once
def by_condition(results: Results) -> pd.DataFrame:
    """Every claim that depends on scores under every protocol, training and threshold of the study.

    One row per claim and condition: key, condition (its name), protocol, weights, detectors (those scored there, of
    which a claim takes the ones it names), verdict, of, estimate, low, high, n. Kept with the results.
    """
    return pd.concat([_under(results, condition) for condition in _conditions(results)], ignore_index=True)


def _under(results: Results, condition: _Condition) -> pd.DataFrame:
    """The outcomes of the claims that can be judged under a condition."""
    # Filtered images are scored by the study's own training alone.
    of_images = condition.title == condition.protocol
    ids = {claim.id for claim in deck.CLAIMS if claim.of_scores or claim.of_images and of_images}
    found = table(evaluate(condition.of(results), *ids))[["key", "verdict", "of", "estimate", "low", "high", "n"]]
    return found.assign(
        condition=condition.title, protocol=condition.protocol, weights=condition.weights,
        detectors=listed([named(key) for key in condition.detectors]),
    )  # fmt: skip


def disagreement(results: Results, claim: Claim) -> str:
    """The sentence that says under which other protocols, trainings and thresholds the verdict on a claim differs."""
    found = by_condition(results)
    rows = found[found.key == claim.key]
    if len(rows) < 2:
        return "There is no other protocol or training to judge it under."
    own, others = rows.iloc[0], rows.iloc[1:]
    differs = others[others.verdict != own.verdict]
    if differs.empty:
        whole = f"all {len(others)} other conditions" if len(others) > 1 else "the one other condition"
        return f"The verdict is the same under {whole}."
    parts = [
        f"{row.verdict} under {row.condition}" + ("" if isnan(row.estimate) else f" ({_short(row)})")
        for row in differs.itertuples()
    ]
    if len(others) == 1:
        return f"Under the one other condition it is otherwise: {parts[0]}."
    come = "one comes" if len(differs) == 1 else f"{len(differs)} come"
    return f"Of {len(others)} other conditions {come} out otherwise: {listed(parts)}."


def _short(row: Any) -> str:
    return number(Interval(row.estimate, row.low, row.high), sign=row.low < 0).replace(" (", ", ").removesuffix(")")
