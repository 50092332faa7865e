"""The deck's claims, judged: the rule of verdicts, one file a claim, the scorecard, findings beyond the deck."""

from helpers.claims.claim import Claim, Outcome, World, concluded
from helpers.claims.conditions import Tally, by_condition, disagreement, of_claim, tally
from helpers.claims.deck import CLAIMS
from helpers.claims.rule import Finding, verdict
from helpers.claims.scorecard import evaluate, summary, table
from helpers.claims.thresholds import calibrated

__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Outcome",
    "Tally",
    "World",
    "by_condition",
    "calibrated",
    "concluded",
    "disagreement",
    "evaluate",
    "of_claim",
    "summary",
    "table",
    "tally",
    "verdict",
]
