"""The deck judged on a study: outcomes, the same as a table, and the sentence that counts the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from helpers.analysis.words import listed
from helpers.claims import deck
from helpers.claims.claim import FALL, LEVEL, Claim, Outcome
from helpers.claims.gate import gated
from helpers.claims.rule import NOT_TESTABLE, margins
from helpers.core.errors import UsageError, nearest
from helpers.results import Results

__all__ = ["evaluate", "summary", "table"]


def evaluate(results: Results, *ids: str, elsewhere: bool = True) -> list[Outcome]:
    """What the results say of each claim of the deck, in its order; with `ids` ("C4" ...) of these alone.

    Detectors that cannot answer do not count (`helpers.claims.gate`); with `elsewhere` another protocol may decide.

    Raises UsageError for an id that the deck does not have.
    """
    known = list(dict.fromkeys(claim.id for claim in deck.CLAIMS))
    for asked in ids:
        if asked not in known:
            raise UsageError(f"claims: no {asked!r}{nearest(asked, known)}; the deck has {known[0]} to {known[-1]}")
    limits = margins(results)
    return [
        Outcome(claim, gated(claim, results, elsewhere), f"{claim.rule} {_counts(claim)}".strip().format(**limits))
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


def _counts(claim: Claim) -> str:
    return COUNTS[claim.reads.kind] if claim.reads else ""


def table(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: key, id, part, words, quantity, rule, verdict, of, estimate, low, high, prompts_low,
    prompts_high, trainings, generators, n, answer.

    `of` names the deciding figure, whose estimate, interval in all and number of images stand beside it, with what that
    interval is taken over; those of prompts are of the page's own training.
    """
    return pd.DataFrame([
        {
            "key": outcome.claim.key, "id": outcome.claim.id, "part": outcome.claim.part,
            "words": outcome.claim.words, "quantity": outcome.claim.quantity, "rule": outcome.rule,
            "verdict": outcome.verdict, "of": outcome.finding.deciding,
            "estimate": outcome.interval.estimate, "low": outcome.interval.low, "high": outcome.interval.high,
            "prompts_low": outcome.finding.over_prompts.low, "prompts_high": outcome.finding.over_prompts.high,
            **outcome.finding.basis._asdict(), "n": outcome.finding.n, "answer": outcome.answer,
        }
        for outcome in outcomes
    ])  # fmt: skip


def summary(outcomes: Sequence[Outcome]) -> str:
    """The sentence that counts the verdicts."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    order = ["supported", "contradicted", "inconclusive", NOT_TESTABLE]
    parts = [f"{counts[verdict]} {'is' if counts[verdict] == 1 else 'are'} {verdict}" for verdict in order]
    ids = len({outcome.claim.id for outcome in outcomes})
    return f"The deck's {ids} claims make {len(outcomes)} statements, of which {listed(parts)} by this study."
