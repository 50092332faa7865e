"""What the cells of a notebook call: open the results, glue a sentence, a verdict or a figure into the prose.

Everything here returns or displays; nothing computes. Glued values carry their own text, so that the same words stand
in the notebook, in the book and on the pages that quote them.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from myst_nb import glue

from helpers import analysis, charts
from helpers.analysis import miniatures, words
from helpers.analysis.words import listed
from helpers.claims import Finding, Outcome, disagreement, evaluate
from helpers.paper.facts import facts
from helpers.paper.operating import operating_note
from helpers.paper.sentences import scale_note
from helpers.results.results import Results

__all__ = [
    "Text", "Verdict", "glue_claims", "glue_figure", "glue_finding", "glue_operating", "glue_text", "setup",
]  # fmt: skip


class Text(str):
    """Words that are glued as they stand, without the quotes of a string."""

    def __repr__(self) -> str:
        return str(self)


class Verdict(Text):
    """A verdict on the deck's words, with a coloured mark in HTML."""

    def _repr_html_(self) -> str:
        name = html.escape(str(self))
        return f'<span class="verdict verdict-{name.replace(" ", "-")}">{name}</span>'


def setup(
    results: str,
    generators: Sequence[str] = (),
    precisions: Sequence[str] = (),
    detectors: Sequence[str] = (),
    threshold: float = 0.0,
    protocol: str = "plain",
) -> Results:
    """Read the results of a page's parameters, turn the charts on and glue what every page may need.

    `scale_note` says whose results they are and what the detectors were trained on; `base`, `protocol` and `training`
    name the baseline and the conditions of the page; `facts` are those of the study, by which `execution.execute` keeps
    a cell or leaves it out.
    """
    charts.enable()
    found = analysis.load(results, generators, precisions, detectors, threshold, protocol)
    lesson = miniatures.trained_on(found.scores.weights.unique(), found.detectors) if found.scale == "mini" else ""
    glue_text("scale_note", f"{scale_note(found)} {lesson}".strip())
    glue_text("base", words.named(found.baseline))
    glue_text("protocol", found.protocol)
    glue_text("training", listed(sorted(found.scores.weights.unique())))
    glue_text("facts", " ".join(sorted(facts(found))))
    return found


def glue_text(name: str, text: object) -> None:
    """Glue a text or a number as it is to be printed."""
    glue(name, Text(text), display=False)


def glue_finding(name: str, finding: Finding) -> None:
    """Glue a finding as `name`_answer (the sentence) and `name`_verdict (supported, contradicted ...)."""
    glue_text(f"{name}_answer", finding.sentence)
    if finding.verdict:
        glue(f"{name}_verdict", Verdict(finding.verdict), display=False)


def glue_figure(name: str, chart: Any) -> None:
    """Display a chart and glue it, so that another page can quote the figure."""
    glue(name, chart, display=True)


def glue_claims(results: Results, *ids: str) -> list[Outcome]:
    """Judge the deck's claims (`ids` such as "C4", or all) and glue what is said of each, by its key.

    `C4_verdict`, `C4_answer` (the sentence), `C4_rule` (what counts) and, for a claim that depends on scores,
    `C4_elsewhere` (where another protocol, training or threshold comes out otherwise); `C4_size_...` for a part.
    """
    outcomes = evaluate(results, *ids)
    for outcome in outcomes:
        key = outcome.claim.key
        glue(f"{key}_verdict", Verdict(outcome.verdict), display=False)
        glue_text(f"{key}_answer", outcome.answer)
        glue_text(f"{key}_rule", outcome.rule)
        if outcome.claim.again:
            glue_text(f"{key}_elsewhere", disagreement(results, outcome))
    return outcomes


def glue_operating(results: Results, outcomes: Iterable[Outcome]) -> None:
    """Glue of each claim of a detection rate, as `C5_operating`, whether it hangs on the operating point."""
    for outcome in outcomes:
        if note := operating_note(results, outcome):
            glue_text(f"{outcome.claim.key}_operating", note)
