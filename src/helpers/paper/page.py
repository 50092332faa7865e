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
from helpers.charts import theme
from helpers.claims import Finding, Outcome, disagreement, evaluate, tally
from helpers.claims.evidence import AGREEMENT, overall
from helpers.claims.rule import HOLDS, margins
from helpers.paper.facts import facts
from helpers.paper.operating import operating_note
from helpers.paper.sentences import scale_note
from helpers.results.results import Results

__all__ = [
    "Evidence", "Text", "Verdict", "evidence", "glue_claims", "glue_evidence", "glue_figure", "glue_finding",
    "glue_operating", "glue_text", "setup", "verdict",
]  # fmt: skip


class Text(str):
    """Words that are glued as they stand, without the quotes of a string."""

    def __repr__(self) -> str:
        return str(self)


class Verdict(Text):
    """Whether a claim holds in a study (holds, fails, open, not testable), as a coloured mark in HTML. What follows in
    parentheses is not coloured: in how many conditions it holds."""

    kind = "verdict"

    def _repr_html_(self) -> str:
        word, _, more = html.escape(str(self)).partition(" (")
        name = word.split(" the deck")[0].replace(" ", "-")
        mark = f'<span class="verdict {self.kind}-{name}">{word}</span>'
        return f'{mark} <span class="verdict-more">({more}</span>' if more else mark


class Evidence(Verdict):
    """What real evidence says of a claim (agrees with the deck, contradicts the deck, mixed ...), as a mark in HTML."""

    kind = "evidence"


def verdict(results: Results, outcome: Outcome) -> Verdict:
    """Whether a claim holds in the study, and in how many of its conditions."""
    more = f" ({tally(results, outcome.claim)})" if outcome.claim.of_study else ""
    return Verdict(f"{outcome.word}{more}")


def evidence(results: Results, key: str) -> Evidence:
    """What real evidence says of the statement `key`, by the study's margins."""
    return Evidence(AGREEMENT[overall(key, margins(results))])


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
    """Glue a finding as `name`_answer (the sentence) and `name`_verdict (holds, fails ...)."""
    glue_text(f"{name}_answer", finding.sentence)
    if finding.verdict:
        glue(f"{name}_verdict", Verdict(HOLDS.get(finding.verdict, finding.verdict)), display=False)


def glue_evidence(results: Results, *keys: str) -> None:
    """Glue what real evidence says of each statement (C4, C4_size ...), as `C4_size_evidence`."""
    for key in keys:
        glue(f"{key}_evidence", evidence(results, key), display=False)


def glue_figure(name: str, chart: Any) -> None:
    """Display a chart as the figure `name` and glue it, so that another page can quote the figure."""
    glue(name, theme.named(name, chart), display=True)


def glue_claims(results: Results, *ids: str) -> list[Outcome]:
    """Judge the deck's claims (`ids` such as "C4", or all) and glue what is said of each, by its key.

    `C4_verdict` (whether it holds in the study, and in how many conditions), `C4_evidence` (what public figures say),
    `C4_answer` (the sentence), `C4_rule` (what counts) and, for a claim that the study's images decide, `C4_elsewhere`
    (where another protocol, training or threshold comes out otherwise), and for
    one that speaks of formats `C4_matched_verdict` and `C4_matched` (at the dose of real images); `C4_size_...` for a
    part.
    """
    outcomes = evaluate(results, *ids)
    for outcome in outcomes:
        key = outcome.claim.key
        glue(f"{key}_verdict", verdict(results, outcome), display=False)
        glue_text(f"{key}_answer", outcome.answer)
        glue_text(f"{key}_rule", outcome.rule)
        if outcome.claim.of_study:
            glue_text(f"{key}_elsewhere", disagreement(results, outcome))
        if outcome.matched is not None:
            glue(f"{key}_matched_verdict", Verdict(HOLDS[outcome.matched.verdict]), display=False)
            glue_text(f"{key}_matched", outcome.matched_answer)
    glue_evidence(results, *(outcome.claim.key for outcome in outcomes))
    return outcomes


def glue_operating(results: Results, outcomes: Iterable[Outcome]) -> None:
    """Glue of each claim of a detection rate, as `C5_operating`, whether it hangs on the operating point."""
    for outcome in outcomes:
        if note := operating_note(results, outcome):
            glue_text(f"{outcome.claim.key}_operating", note)
