"""The answer on the book's first page: what holds in the study, in how many conditions, and what real evidence says."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis import public_study, real_ladders
from helpers.analysis import real_checkpoints as real
from helpers.analysis.words import listed, named, number
from helpers.claims import Outcome, by_condition
from helpers.claims.rule import NOT_TESTABLE
from helpers.paper.pages.real_checkpoints import MOVED
from helpers.results.results import Results

__all__ = ["answer", "real_in_short"]

#: What is said of statements by their verdict, and the word that brings in each.
SAID = {
    "supported": ("it holds", "that"), "contradicted": ("it does not hold", "that"),
    "inconclusive": ("it is open", "whether"), NOT_TESTABLE: ("it cannot be tested", "whether"),
}  # fmt: skip

#: Where it was tested, by the study's scale, and what such a study cannot say.
WHERE = {"mini": "In miniature", "full": "On the public checkpoints"}
CAUTION = {"mini": "A miniature shows what can happen, and not that it does happen to the public checkpoints."}


def answer(results: Results, outcomes: Sequence[Outcome], evidence: str = "") -> str:
    """Two or three sentences: which of the deck's main statements hold here and in how many of the conditions that can
    test each, what a study of this scale cannot say, and `evidence`, the words on real checkpoints.
    """
    parts = []
    for verdict, (said, word) in SAID.items():
        own = [_statement(results, of, word) for of in outcomes if of.claim.headline and of.verdict == verdict]
        parts += [f"{said} {listed(own)}"] if own else []
    here = f"{WHERE.get(results.scale, 'In this study')} {'; '.join(parts)}." if parts else ""
    return " ".join(filter(None, [here, CAUTION.get(results.scale, ""), evidence]))


def _statement(results: Results, outcome: Outcome, word: str) -> str:
    """A statement of the deck as a clause, with the protocols, trainings and thresholds in which it holds counted."""
    found = by_condition(results)
    verdicts = found.verdict[(found.key == outcome.claim.key) & (found.verdict != NOT_TESTABLE)]
    holds, of = int((verdicts == "supported").sum()), len(verdicts)
    held = f" (it holds in {holds or 'none'} of {of} conditions)" if of > 1 else ""
    return f"{word} {outcome.claim.short}{held}"


def real_in_short() -> str:
    """What is known of real checkpoints, in a sentence: the public study's scores, and public pictures."""
    change, there = real.mean_change(public_study.public_effects(), "nf4"), real.public_cells()
    pictures = real_ladders.pairs()
    of = real_ladders.directions(pictures)
    said = []
    if change:
        said.append(
            f"in a public study NF4 {MOVED[real.direction(change)]} the accuracy of detection, "
            f"{number(change, 3, sign=True)} against {named(real.BASE)} with {there.n.max()} pairs a cell, though its "
            "runs differ in more than their precision"
        )
    if of.pairs:
        said.append(
            f"of {of.pairs} public pictures at {real_ladders.COARSE:g} bits and below {of.lose} lose fine detail and "
            f"{of.gain} gain it"
        )
    return f"Of real checkpoints less is known: {'; '.join(said)}." if said else ""
