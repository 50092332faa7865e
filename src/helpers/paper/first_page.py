"""The answer on the book's first page: what holds in the study, in how many conditions, and what real evidence says."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.words import listed
from helpers.claims import Outcome, tally
from helpers.claims.evidence import overall
from helpers.claims.rule import NOT_TESTABLE, margins
from helpers.results.results import Results

__all__ = ["answer"]

#: What is said of statements by their verdict, and the word that brings in each.
SAID = {
    "supported": ("it holds", "that"), "contradicted": ("it does not hold", "that"),
    "inconclusive": ("it is open", "whether"), NOT_TESTABLE: ("it cannot be tested", "whether"),
}  # fmt: skip

#: The same of real evidence, all pieces on a statement together.
EVIDENCE = {
    "supported": ("agree with the deck", "that"), "contradicted": ("contradict the deck's statement", "that"),
    "mixed": ("speak both ways on", "whether"), "inconclusive": ("do not decide", "whether"),
    "": ("do not say", "whether"),
}  # fmt: skip

#: Where it was tested, by the study's scale, and what such a study cannot say.
WHERE = {"mini": "In miniature", "full": "On the public checkpoints"}
CAUTION = {"mini": "A miniature shows what can happen, and not that it does happen to the public checkpoints."}


def answer(results: Results, outcomes: Sequence[Outcome]) -> str:
    """Two or three sentences: which of the deck's main statements hold here and in how many of the conditions that can
    test each, what a study of this scale cannot say, and what public figures of the real checkpoints say of the same.
    """
    parts = []
    for verdict, (said, word) in SAID.items():
        own = [_statement(results, of, word) for of in outcomes if of.claim.headline and of.verdict == verdict]
        parts += [f"{said} {listed(own)}"] if own else []
    here = f"{WHERE.get(results.scale, 'In this study')} {'; '.join(parts)}." if parts else ""
    return " ".join(filter(None, [here, CAUTION.get(results.scale, ""), _real(results, outcomes)]))


def _real(results: Results, outcomes: Sequence[Outcome]) -> str:
    """The sentence that sorts the same statements by what public figures of the real checkpoints say of them."""
    parts, limits = [], margins(results)
    for verdict, (said, word) in EVIDENCE.items():
        own = [f"{word} {of.claim.short}" for of in outcomes
               if of.claim.headline and overall(of.claim.key, limits) == verdict]  # fmt: skip
        parts += [f"{said} {listed(own)}"] if own else []
    return f"Public figures of the real checkpoints {'; they '.join(parts)}." if parts else ""


def _statement(results: Results, outcome: Outcome, word: str) -> str:
    """A statement of the deck as a clause, with the protocols, trainings and thresholds in which it holds counted."""
    found = tally(results, outcome.claim)
    held = f" (it holds in {found.holds or 'none'} of {found.testable} conditions)" if found.testable > 1 else ""
    return f"{word} {outcome.claim.short}{held}"
