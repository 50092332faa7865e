"""The deck's claims, judged: the rule of verdicts, each claim's figures and sentence, and findings beyond the deck."""

from helpers.claims.deck import CLAIMS, Claim, Outcome, across, evaluate, summary, table
from helpers.claims.rule import Finding, verdict

__all__ = ["CLAIMS", "Claim", "Finding", "Outcome", "across", "evaluate", "summary", "table", "verdict"]
