"""The same claims where something else is different: another protocol, training or threshold of the same study."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pandas as pd

from helpers.analysis import dose
from helpers.analysis.conditions import own_training, trainings_of, under
from helpers.analysis.repeats import rests
from helpers.analysis.words import counted, listed, named
from helpers.claims import deck
from helpers.claims.claim import Claim, Outcome
from helpers.claims.dose import judged
from helpers.claims.rule import NOT_TESTABLE, SAID
from helpers.claims.scorecard import evaluate, table
from helpers.claims.thresholds import calibrated
from helpers.results.memo import once
from helpers.results.results import Results, of_deck

__all__ = ["Tally", "by_condition", "disagreement", "of_claim", "tally"]

#: The columns of `by_condition`.
COLUMNS = [
    "key", "verdict", "of", "estimate", "low", "high", "signed", "n", "condition", "protocol", "weights", "detectors",
    "rests",
]  # fmt: skip


@dataclass(frozen=True)
class _Condition:
    """A protocol and a training with the detectors that have it, at their own threshold or at a calibrated one, and at
    the nominal formats or at the dose of real images."""

    title: str
    protocol: str
    weights: str
    detectors: tuple[str, ...]
    calibrate: bool = False
    dosed: bool = False

    def of(self, results: Results) -> Results:
        """The page's results under this condition."""
        if self.dosed:
            results = dose.at_matched_dose(results)
        there = under(results, self.protocol, self.weights, self.detectors)
        return calibrated(there) if self.calibrate else there


def _conditions(results: Results) -> list[_Condition]:
    """Every protocol, training, threshold and dose that the study can be judged under, the page's own first."""
    found, doses = [], dose.at_matched_dose(results) is not None
    for protocol, label, detectors in trainings_of(results):
        own = label == own_training(results, protocol)
        fewer = f" of {listed([named(key) for key in detectors])}" if len(detectors) < len(results.detectors) else ""
        title = protocol if own else f"{protocol}, training {label}{fewer}"
        condition = _Condition(title, protocol, label, tuple(detectors))
        found.append(condition)
        if own and (results.scores.label == 0).any():  # without reals no threshold can be calibrated
            found.append(replace(condition, title=f"{protocol}, calibrated threshold", calibrate=True))
        if own and doses:
            found.append(replace(condition, title=f"{protocol}, matched dose", dosed=True))
    page = (results.protocol, own_training(results, results.protocol))
    return sorted(found, key=lambda condition: (condition.protocol, condition.weights) != page)


@once
def by_condition(results: Results) -> pd.DataFrame:
    """Every claim that depends on scores under every protocol, training, threshold and dose of the study.

    At the matched dose ("plain, matched dose"), which there is where a rung of a ladder stands for real images, are the
    claims that speak of formats. Each row is of the detectors that count under its own condition; none is decided
    elsewhere.
    One row per claim and condition: key, condition (its name), protocol, weights, detectors, rests, verdict, of,
    estimate, low, high (in all), signed (whether that is a change), n. `detectors` are those scored there, of which a
    claim takes the ones it names; `rests` says how many trainings of each there are. Kept with the results. Without
    rows where the page has none of the deck's detectors.
    """
    results = of_deck(results)
    found = [_under(results, condition) for condition in _conditions(results)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _under(results: Results, condition: _Condition) -> pd.DataFrame:
    """The outcomes of the claims that can be judged under a condition."""
    # Filtered images are scored by the study's own training alone.
    of_images = condition.title == condition.protocol or condition.dosed
    claims = [claim for claim in deck.CLAIMS if claim.of_scores or claim.of_images and of_images]
    there = condition.of(results)
    if condition.dosed:
        outcomes = [
            Outcome(claim, judged(claim, results, there, elsewhere=False), claim.rule)
            for claim in claims if claim.dosed
        ]  # fmt: skip
    else:
        outcomes = evaluate(there, *{claim.id for claim in claims}, elsewhere=False, matched=False)
    found = table(outcomes)[COLUMNS[:8]]
    return found.assign(
        condition=condition.title, protocol=condition.protocol, weights=condition.weights,
        detectors=listed([named(key) for key in condition.detectors]), rests=rests(there),
    )  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """In how many of a study's conditions a claim holds, is testable and is not testable.

    Every condition counts for one, however many images it shares with others.
    """

    holds: int
    testable: int
    untestable: int

    def __str__(self) -> str:
        if not self.testable and not self.untestable:
            return "testable in no condition"
        if not self.testable:
            return f"testable in none of {counted(self.untestable, 'condition')}"
        apart = f", not testable in {self.untestable}" if self.untestable else ""
        return f"holds in {self.holds} of {counted(self.testable, 'condition')}{apart}"


def tally(results: Results, claim: Claim) -> Tally:
    """In how many of a study's protocols, trainings, thresholds and doses a claim that its images decide holds."""
    found = by_condition(results)
    verdicts = found.verdict[found.key == claim.key]
    untestable = int((verdicts == NOT_TESTABLE).sum())
    return Tally(int((verdicts == "supported").sum()), len(verdicts) - untestable, untestable)


def _deciding(rows: pd.DataFrame, outcome: Outcome) -> str:
    """The condition, of a claim's rows by condition, under which its verdict was found; the page's own comes first."""
    if outcome.finding.training:
        own = (rows.protocol == rows.protocol.iloc[0]) & (rows.weights == outcome.finding.training)
        return str(rows.condition[own].iloc[0])
    return str(outcome.finding.protocol or rows.condition.iloc[0])


def of_claim(results: Results, outcome: Outcome) -> pd.DataFrame:
    """The rows of `by_condition` for one claim, with the column `decides`: true of the one that its verdict is by."""
    found = by_condition(results)
    rows = found[found.key == outcome.claim.key]
    return rows.assign(decides=rows.condition == _deciding(rows, outcome) if len(rows) else pd.Series(dtype=bool))


def disagreement(results: Results, outcome: Outcome) -> str:
    """The sentences that count the other protocols, trainings, thresholds and doses with another verdict on a claim,
    and those that say nothing of it, as it is not testable there."""
    rows = of_claim(results, outcome)
    verdicts = Counter(rows.verdict[~rows.decides])
    if not verdicts:
        return "There is no other protocol or training to judge it under."
    silent = 0 if outcome.verdict == NOT_TESTABLE else verdicts.pop(NOT_TESTABLE, 0)
    if not verdicts:
        where = f"none of {silent} other conditions" if silent > 1 else "no other condition"
        return f"It is testable under {where}."
    more = f"It is not testable under {silent} more." if silent else ""
    return f"{_otherwise(verdicts, outcome.verdict)} {more}".strip()


def _otherwise(verdicts: Counter[str], own: str) -> str:
    """The sentence on so many verdicts, of which some are the same as a claim's own."""
    others, same = verdicts.total(), verdicts[own]
    if same == others:
        whole = f"all {others} other conditions" if others > 1 else "one other condition"
        return f"It {SAID[own]} under {whole} too."
    if others == 1:
        return f"Under one other condition it {SAID[next(iter(verdicts))]}."
    parts = [f"{SAID[verdict]} under {verdicts[verdict]}" for verdict in SAID if verdict != own and verdicts[verdict]]
    say = f"{others - same} {'says' if others - same == 1 else 'say'}"
    return f"Of {counted(others, 'other condition')} {say} otherwise: it {listed(parts)}."
