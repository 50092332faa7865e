"""The lists of the deck's claims on the prose pages, made from the claims: all, the headlines, the contents.

Each statement has two marks: whether it holds in the study, and what real evidence says of it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from IPython.display import HTML

from helpers.analysis.words import listed
from helpers.claims import CLAIMS, Outcome
from helpers.claims.scorecard import where
from helpers.paper import page, tables
from helpers.results import Results

__all__ = ["contents", "general", "headlines", "verdicts"]


def verdicts(results: Results, outcomes: Sequence[Outcome]) -> HTML:
    """Every statement with its marks, its answer, and the way to its card on the scorecard's page."""
    return HTML(f'<dl class="verdict-list">{"".join(_entry(results, outcome) for outcome in outcomes)}</dl>')


def _entry(results: Results, outcome: Outcome) -> str:
    claim = outcome.claim
    card = f'<a href="../notebooks/09_claims.html#card-{claim.key}">Evidence and conditions of {claim.title}</a>'
    return (
        f"<dt>{claim.id}. {html.escape(claim.short)}. {_marks(results, outcome)}</dt>"
        f"<dd>{html.escape(outcome.under() + outcome.told)} {card}</dd>"
    )


def headlines(results: Results, outcomes: Sequence[Outcome]) -> HTML:
    """The statements that the book's first page names, each with its marks."""
    named = [outcome for outcome in outcomes if outcome.claim.headline]
    return HTML("".join(f"<p>{html.escape(outcome.claim.short)}. {_marks(results, outcome)}</p>" for outcome in named))


def contents() -> HTML:
    """What the deck claims, statement by statement, with the page that tests it."""
    rows = "".join(
        f"<tr><td>{claim.title}</td><td>{html.escape(claim.words)}</td>"
        f'<td><a href="../notebooks/{claim.page}.html#{claim.anchor}">page {claim.page.partition("_")[0]}</a></td></tr>'
        for claim in CLAIMS
    )
    head = "<thead><tr><th>number</th><th>claim</th><th>page</th></tr></thead>"
    return tables.framed(
        f'<table class="table claim-contents">{head}<tbody>{rows}</tbody></table>',
        "Claims of the deck, each with the page that tests it",
    )


def general() -> str:
    """The statements that speak of generators at large, by title, in a list for prose."""
    return listed([claim.title for claim in CLAIMS if claim.general]) or "none of these does"


def _marks(results: Results, outcome: Outcome) -> str:
    """Whether a statement holds in the study, and what real evidence says of it."""
    real = page.evidence(results, outcome.claim.key)
    return f"{where(results)}: {page.verdict(results, outcome)._repr_html_()}; real evidence: {real._repr_html_()}"
