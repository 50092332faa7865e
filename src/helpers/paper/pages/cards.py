"""What notebook 09 shows: a card for each of the deck's claims, their verdicts elsewhere, the chance to show them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from helpers.analysis import words
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import number
from helpers.claims import CLAIMS, Outcome, by_condition, disagreement
from helpers.paper import page, tables
from helpers.results.results import Results

__all__ = ["MARKS", "verdicts_by_condition", "power", "scorecard"]


def scorecard(results: Results, outcomes: Sequence[Outcome]) -> HTML:
    """A card for each claim: what the deck says, what is found with its interval, the verdict, and the figure."""
    return HTML(f'<div class="claims">{"".join(_card(results, outcome) for outcome in outcomes)}</div>')


def _card(results: Results, outcome: Outcome) -> str:
    claim, found = outcome.claim, outcome.interval
    counted = found.low == found.high  # bytes are counted and have no interval
    digits = 3 if found.high - found.low < 0.05 else 2  # so that a narrow interval is seen to have two ends
    shown = {} if pd.isna(found.estimate) else {
        outcome.finding.deciding: f"{found.estimate:.2f}" if counted else number(found, digits, sign=found.low < 0)
    }  # fmt: skip
    shown |= {"images": outcome.finding.n} if outcome.finding.n else {}
    rows = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in shown.items())
    numbers = f"<dl>{rows}</dl>" if rows else ""
    other = disagreement(results, claim) if claim.again else ""
    base = words.named(results.baseline) if claim.of_scores else "FP32"
    measured = claim.quantity.replace("FP32", base)
    return (
        f'<section class="claim" aria-label="{html.escape(claim.title)}"><p class="claim-head">'
        f"<strong>{html.escape(claim.title)}</strong> {page.Verdict(outcome.verdict)._repr_html_()}</p>"
        f"<p><em>The deck:</em> {html.escape(claim.words)}</p><p><em>Here:</em> {html.escape(outcome.answer)}</p>"
        f'{numbers}<p class="claim-small">Measured: {html.escape(measured)}. {html.escape(outcome.rule)} '
        f'<a href="{claim.page}.html#{claim.anchor}">Figure</a></p>'
        + (f'<p class="claim-small">{html.escape(other)}</p>' if other else "")
        + "</section>"
    )


#: Verdicts in a table that must be narrow.
MARKS = {
    "supported": "\N{CHECK MARK}",
    "contradicted": "\N{MULTIPLICATION SIGN}",
    "inconclusive": "?",
    "not testable": "\N{EN DASH}",
}


def verdicts_by_condition(results: Results) -> HTML:
    """The verdict on every claim under every protocol, training and threshold, the page's own first."""
    found = by_condition(results)
    keys, names = [claim.key for claim in CLAIMS if claim.again], found.condition.unique()
    by = found.set_index(["condition", "key"])
    blank = "<td></td>"  # filtered images are not scored by every training
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
    cells = {
        name: "".join(_mark(by.loc[(name, key)]) if (name, key) in by.index else blank for key in keys)
        for name in names
    }
    rows = "".join(f'<tr><th scope="row">{html.escape(name)}</th>{marks}</tr>' for name, marks in cells.items())
    legend = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    return HTML(
        f'<p>{legend}</p><div class="table-scroll" tabindex="0"><table class="table verdicts">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _mark(row: pd.Series) -> str:
    told = row.verdict if pd.isna(row.estimate) else (
        f"{row.verdict}: {number(Interval(row.estimate, row.low, row.high))}, {row['of']}"
    )  # fmt: skip
    name = row.verdict.replace(" ", "-")
    return f'<td><span class="verdict verdict-{name}" title="{html.escape(told)}">{MARKS[row.verdict]}</span></td>'


def power(found: pd.DataFrame) -> HTML:
    """The table of `analysis.power.table`: the chance to show what is so, by number of images."""
    sizes = [name for name in found if name.startswith("n_")]
    shown = found.assign(**{name: [f"{100 * chance:.0f} %" for chance in found[name]] for name in sizes})
    shown = shown.rename(columns={name: f"{name[2:]} images" for name in sizes})
    return tables.table(shown, "Chance to be found supported")
