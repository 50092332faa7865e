"""The deck judged on a study: outcomes, the same as a table, and the sentence that counts the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import pandas as pd

from helpers.analysis.dose import at_matched_dose, at_neighbouring_dose
from helpers.analysis.words import listed
from helpers.claims import deck
from helpers.claims.claim import FALL, LEVEL, Claim, Outcome, concluded
from helpers.claims.dose import at_neighbours, judged
from helpers.claims.evidence import overall
from helpers.claims.gate import gated
from helpers.claims.rule import PLURAL, SAID, Finding, margins
from helpers.core.errors import UsageError, nearest
from helpers.results import Results

__all__ = ["evaluate", "summary", "table", "where"]


def evaluate(results: Results, *ids: str, elsewhere: bool = True, matched: bool = True) -> list[Outcome]:
    """What the results say of each claim of the deck, in its order; with `ids` ("C4" ...) of these alone.

    Detectors that cannot answer do not count (`helpers.claims.gate`); with `elsewhere` another protocol may decide.
    With `matched` each claim that speaks of formats is judged at the dose of real images too (`Outcome.matched`), and
    once more at the neighbouring rungs (`Outcome.neighbour`).

    Raises UsageError for an id that the deck does not have.
    """
    known = list(dict.fromkeys(claim.id for claim in deck.CLAIMS))
    for asked in ids:
        if asked not in known:
            raise UsageError(f"claims: no {asked!r}{nearest(asked, known)}; the deck has {known[0]} to {known[-1]}")
    limits = margins(results)
    matched = matched and results.fakes is None  # a view of other logits is of one dose
    there, near = (at_matched_dose(results), at_neighbouring_dose(results)) if matched else (None, None)
    return [
        Outcome(
            claim,
            gated(claim, results, elsewhere),
            _rule(claim).format(**limits),
            judged(claim, results, there, elsewhere) if matched and claim.dosed else None,
            at_neighbours(claim, results, near) if matched and elsewhere and claim.dosed else None,
        )
        for claim in deck.CLAIMS
        if not ids or claim.id in ids
    ]


#: What a claim's rule says of the detectors that count, by kind.
COUNTS = {
    LEVEL: "Counted are detectors whose AUC at the baseline is somewhere at least {adequate:.2f}.",
    FALL: (
        "Counted are detectors whose AUC at the baseline is somewhere at least {adequate:.2f}, and under {ceiling:.2f} "
        "where they are judged."
    ),
}


def _rule(claim: Claim) -> str:
    """What counts for a claim, and which detectors do, with the names of margins in braces."""
    return f"{claim.rule} {COUNTS[claim.reads.kind] if claim.reads else ''}".strip()


def table(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: key, id, part, words, quantity, rule, verdict, of, estimate, low, high, prompts_low,
    prompts_high, signed, trainings, generators, n, answer.

    `of` names the deciding figure, whose estimate, interval in all and number of images stand beside it, with what that
    interval is taken over; those of prompts are of the page's own training. The same at the matched dose is
    matched_verdict, matched_of, matched_estimate, matched_low, matched_high, matched_n and matched_answer, and at the
    neighbouring rungs neighbour_verdict ...: "" and NaN of a claim that is not judged there.
    """
    return pd.DataFrame([
        {
            "key": outcome.claim.key, "id": outcome.claim.id, "part": outcome.claim.part,
            "words": outcome.claim.words, "quantity": outcome.claim.quantity, "rule": outcome.rule,
            "verdict": outcome.verdict, "of": outcome.finding.deciding,
            "estimate": outcome.interval.estimate, "low": outcome.interval.low, "high": outcome.interval.high,
            "prompts_low": outcome.finding.over_prompts.low, "prompts_high": outcome.finding.over_prompts.high,
            "signed": outcome.finding.signed, **outcome.finding.basis._asdict(), "n": outcome.finding.n,
            "answer": outcome.answer,
        } | _dosed("matched", outcome.matched) | _dosed("neighbour", outcome.neighbour)
        for outcome in outcomes
    ])  # fmt: skip


def _dosed(name: str, finding: Finding | None) -> dict[str, object]:
    """The columns of `table` on a dose."""
    found = finding or Finding("", "", {})
    columns = {
        "verdict": found.verdict, "of": found.deciding, **asdict(found.interval), "n": found.n,
        "answer": concluded(found),
    }  # fmt: skip
    return {f"{name}_{column}": value for column, value in columns.items()}


#: How many statements real evidence agrees with, contradicts ..., for one and for more.
EVIDENCE = {
    "supported": "agrees with the deck on {}", "contradicted": "contradicts it on {}", "mixed": "is mixed on {}",
    "inconclusive": "leaves {} undecided",
}  # fmt: skip


def where(results: Results) -> str:
    """In what a claim's verdict was found, as a column's head."""
    return "In the miniature" if results.scale == "mini" else "In this study"


def summary(results: Results, outcomes: Sequence[Outcome]) -> str:
    """The sentences that count what holds in the study, and what public measurements say of the same statements."""
    here = Counter(outcome.here for outcome in outcomes)
    parts = [f"{here[verdict]} {(SAID if here[verdict] == 1 else PLURAL)[verdict]}" for verdict in SAID]
    ids = len({outcome.claim.id for outcome in outcomes})
    real = Counter(overall(outcome.claim.key, margins(results)) for outcome in outcomes)
    said = [words.format(real[way]) for way, words in EVIDENCE.items() if real[way]]
    none = f"for {real['']} there is {'none' if said else 'no real evidence'}" if real[""] else ""
    evidence = "; ".join(filter(None, [f"Real evidence {listed(said)}" if said else "", none]))
    return (
        f"The deck's {ids} claims make {len(outcomes)} statements. {where(results)} {listed(parts)}. "
        f"{evidence[0].upper()}{evidence[1:]}."
    )
