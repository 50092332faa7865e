"""The same claims where something else is different: another protocol, training or threshold of the same study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import pandas as pd

from helpers.analysis.conditions import own_training, trainings_of, under
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims import deck
from helpers.claims.claim import Outcome
from helpers.claims.rule import NOT_TESTABLE
from helpers.claims.scorecard import evaluate, table
from helpers.claims.thresholds import calibrated
from helpers.results.memo import once
from helpers.results.results import Results, of_deck

__all__ = ["by_condition", "disagreement"]


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

    Each row is of the detectors that count under its own condition; none is decided elsewhere.
    One row per claim and condition: key, condition (its name), protocol, weights, detectors (those scored there, of
    which a claim takes the ones it names), verdict, of, estimate, low, high, n. Kept with the results.
    """
    results = of_deck(results)
    return pd.concat([_under(results, condition) for condition in _conditions(results)], ignore_index=True)


def _under(results: Results, condition: _Condition) -> pd.DataFrame:
    """The outcomes of the claims that can be judged under a condition."""
    # Filtered images are scored by the study's own training alone.
    of_images = condition.title == condition.protocol
    ids = {claim.id for claim in deck.CLAIMS if claim.of_scores or claim.of_images and of_images}
    found = table(evaluate(condition.of(results), *ids, elsewhere=False))
    found = found[["key", "verdict", "of", "estimate", "low", "high", "n"]]
    return found.assign(
        condition=condition.title, protocol=condition.protocol, weights=condition.weights,
        detectors=listed([named(key) for key in condition.detectors]),
    )  # fmt: skip


def disagreement(results: Results, outcome: Outcome) -> str:
    """The sentence that says under which other protocols, trainings and thresholds the verdict on a claim differs."""
    found = by_condition(results)
    rows = found[found.key == outcome.claim.key]
    others = rows[rows.condition != (outcome.finding.protocol or rows.condition.iloc[0])]
    if others.empty:
        return "There is no other protocol or training to judge it under."
    differs = others[others.verdict != outcome.verdict]
    if differs.empty:
        whole = f"all {len(others)} other conditions" if len(others) > 1 else "the one other condition"
        return f"The verdict is the same under {whole}."
    parts = [
        f"{row.verdict} under {row.condition}" + ("" if isnan(row.estimate) else f" ({_short(row)})")
        for row in differs[differs.verdict != NOT_TESTABLE].itertuples()
    ]
    silent = differs.condition[differs.verdict == NOT_TESTABLE]
    parts += [f"{NOT_TESTABLE} under {listed(list(silent))}"] if len(silent) else []
    if len(others) == 1:
        return f"Under the one other condition it is otherwise: {parts[0]}."
    come = "one comes" if len(differs) == 1 else f"{len(differs)} come"
    return f"Of {len(others)} other conditions {come} out otherwise: {'; '.join(parts)}."


def _short(row: Any) -> str:
    return number(Interval(row.estimate, row.low, row.high), sign=row.low < 0).replace(" (", ", ").removesuffix(")")
