"""The lists of the deck's claims on the prose pages, made from the claims: all, the headlines, the contents."""

from __future__ import annotations

import html
from collections.abc import Sequence

from IPython.display import HTML

from helpers.analysis.words import listed
from helpers.claims import CLAIMS, Outcome, disagreement
from helpers.results import Results

__all__ = ["contents", "general", "headlines", "verdicts"]


def verdicts(results: Results, outcomes: Sequence[Outcome]) -> HTML:
    """Every statement with its verdict, its answer, and where other conditions come out otherwise."""
    return HTML(f'<dl class="verdict-list">{"".join(_entry(results, outcome) for outcome in outcomes)}</dl>')


def _entry(results: Results, outcome: Outcome) -> str:
    claim = outcome.claim
    said = f"{outcome.answer} {disagreement(results, outcome)}" if claim.again else outcome.answer
    return f"<dt>{claim.id}. {html.escape(claim.short)}: {_mark(outcome)}</dt><dd>{html.escape(said)}</dd>"


def headlines(outcomes: Sequence[Outcome]) -> HTML:
    """The statements that the book's first page names, each with its verdict."""
    named = [outcome for outcome in outcomes if outcome.claim.headline]
    return HTML("".join(f"<p>{html.escape(outcome.claim.short)}: {_mark(outcome)}</p>" for outcome in named))


def contents() -> HTML:
    """What the deck claims, statement by statement, with the page that tests it."""
    rows = "".join(
        f"<tr><td>{claim.id}</td><td>{html.escape(claim.words)}</td>"
        f'<td><a href="../notebooks/{claim.page}.html#{claim.anchor}">figure</a></td></tr>'
        for claim in CLAIMS
    )
    head = "<thead><tr><th></th><th>claim</th><th>page</th></tr></thead>"
    return HTML(f'<table class="table">{head}<tbody>{rows}</tbody></table>')


def general() -> str:
    """The statements that speak of generators at large, by title, in a list for prose."""
    return listed([claim.title for claim in CLAIMS if claim.general]) or "none of these does"


def _mark(outcome: Outcome) -> str:
    return f'<span class="verdict verdict-{outcome.verdict.replace(" ", "-")}">{outcome.verdict}</span>'
