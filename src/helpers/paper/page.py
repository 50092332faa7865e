"""What the cells of a notebook call: open the results, say an answer, a claim or a sentence, glue for other pages.

Everything here returns or displays; nothing computes. What is said is a `Prose`: whole in JupyterLab, and with links
in the book. Glued values are for the pages in `book/`, which have no cells of their own.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

import pandas as pd
from myst_nb import glue

from helpers import analysis, charts
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import number
from helpers.charts import theme
from helpers.claims import Finding, Outcome, disagreement, neighbours, of_claim, tally
from helpers.claims.evidence import AGREEMENT, overall
from helpers.claims.rule import HOLDS, margins
from helpers.core.errors import UsageError, nearest
from helpers.paper import prose, tables
from helpers.paper.operating import operating_note
from helpers.paper.prose import Prose, Source, escaped
from helpers.paper.sentences import rejected_note, scale_note
from helpers.results.results import Results

__all__ = [
    "Evidence", "Text", "Verdict", "answer", "box", "claim", "evidence", "glue_claims", "glue_figure", "glue_text",
    "preferred", "say", "setup", "told", "verdict",
]  # fmt: skip


class Text(str):
    """Words that are glued as they stand, without the quotes of a string."""

    def __repr__(self) -> str:
        return str(self)


class Verdict(Text):
    """Whether a claim holds in a study (holds, fails, open, not testable), as a coloured mark. What follows in
    parentheses is not coloured: in how many conditions it holds."""

    kind = "verdict"

    def _parts(self) -> tuple[str, str, str]:
        """The word, the name of its colours, and what follows in parentheses."""
        word, _, more = str(self).partition(" (")
        return word, f"{self.kind}-{word.split(' the deck')[0].replace(' ', '-')}", f"({more}" if more else ""

    def _repr_html_(self) -> str:
        word, name, more = self._parts()
        mark = f'<span class="verdict {name}">{html.escape(word)}</span>'
        return f'{mark} <span class="verdict-more">{html.escape(more)}</span>' if more else mark

    @property
    def markdown(self) -> Source:
        """The same mark in Markdown."""
        word, name, more = self._parts()
        mark = prose.mark(word, "verdict", name)
        return Source(f"{mark} {prose.mark(more, 'verdict-more')}") if more else mark


class Evidence(Verdict):
    """What real evidence says of a claim (agrees with the deck, contradicts the deck, mixed ...), as a mark."""

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
    """Read the results of a page's parameters and turn the charts on."""
    charts.enable()
    return analysis.load(results, generators, precisions, detectors, threshold, protocol)


def preferred(there: Sequence[str], *keys: str) -> list[str]:
    """Those of `keys` that a study has; the first that it has (`there`) where it has none of them."""
    return [key for key in keys if key in there] or list(there[:1])


def say(*paragraphs: str) -> Prose | None:
    """Sentences, each argument a paragraph and empty ones left out: plain words, or a `prose.Source` with links."""
    return prose.paragraphs(*paragraphs)


def box(results: Results, *paragraphs: str) -> Prose:
    """A page's answer in a box, and below it whose results these are and of which cells too many images are missing."""
    return prose.joined([prose.boxed("Answer", *paragraphs), say(scale_note(results), rejected_note(results))])


def answer(results: Results, outcomes: Iterable[Outcome], *keys: str) -> Prose:
    """The box of a page on claims (`keys` such as "C4", "C4_size"): each with its mark, its answer, and what real
    evidence says of it."""
    said = []
    for outcome in (_outcome(outcomes, key) for key in keys):
        under = outcome.under(lambda name: f"*{escaped(name)}*")  # for the page's charts show others
        real = evidence(results, outcome.claim.key).markdown
        said.append(Source(
            f"**{escaped(outcome.claim.short)}:** {verdict(results, outcome).markdown} "
            f"{under}{escaped(outcome.told)} Real evidence: {real}"
        ))  # fmt: skip
    return box(results, *said, RULE)


#: What an answer box says of its marks.
RULE = Source("By which rule a claim *holds*, *fails* or stays *open*, the [methods](../book/methods.md) say.")


def claim(results: Results, outcomes: Iterable[Outcome], *keys: str) -> Prose:
    """What stands behind the answers of claims, one after the other: the deck's words, the mark, what counts, and how
    many other conditions say otherwise; folded, which detectors decide, the same at the dose of real images and at the
    neighbouring rungs, whether it hangs on the operating point, and the verdict under each condition."""
    return prose.joined(_behind(results, _outcome(outcomes, key)) for key in keys)


def _behind(results: Results, outcome: Outcome) -> Prose:
    of = outcome.claim
    words = escaped(f'"{of.words}"')
    elsewhere = f"{disagreement(results, outcome)} {neighbours.turned(outcome)}" if of.of_study else ""
    inside = [say(*_details(results, outcome)), _each(results, outcome) if of.of_study else None]
    return prose.joined([
        say(
            Source(f"**{escaped(of.title)}.** {words} {verdict(results, outcome).markdown}"),
            Source(f"*What counts:* {escaped(f'{outcome.rule} {elsewhere}'.strip())}"),
        ),
        prose.folded(f"{of.title} in full", prose.joined(inside)) if any(inside) else None,
    ])  # fmt: skip


def _details(results: Results, outcome: Outcome) -> list[str]:
    """The paragraphs on a claim that few readers need."""
    note, matched, point = outcome.finding.note, outcome.matched, operating_note(results, outcome)
    said = [f"*What decides:* {escaped(note)}"] if note else []
    if matched is not None:
        mark = Verdict(HOLDS[matched.verdict]).markdown
        said.append(f"*At the dose of real images:* {mark} {escaped(outcome.matched_answer)}")
    if beside := neighbours.answer(outcome):
        mark = f"{Verdict(HOLDS[outcome.neighbour.verdict]).markdown} " if outcome.neighbour else ""
        said.append(f"*At the neighbouring rungs:* {mark}{escaped(beside)}")
    said += [f"*At another operating point:* {escaped(point)}"] if point else []
    return [Source(text) for text in said]


def _each(results: Results, outcome: Outcome) -> Prose | None:
    """The table of a claim under each protocol, training, threshold and dose; the one that decides says so. The
    neighbouring rungs have the last row."""
    rows = pd.concat([of_claim(results, outcome), _neighbour(results, outcome)])
    if rows.empty:
        return None
    frame = pd.DataFrame({
        "condition": [f"{row.condition} (decides)" if row.decides else row.condition for row in rows.itertuples()],
        "verdict": rows.verdict.map(HOLDS),
        "value": [_value(Interval(row.estimate, row.low, row.high), row.signed) for row in rows.itertuples()],
        "decided by": rows["of"].where(rows["of"] != "", tables.DASH),
    })  # fmt: skip
    caption = f"Claim {outcome.claim.title.replace(',', '')} under each condition"
    return prose.shown(tables.table(frame, caption).data)


def _neighbour(results: Results, outcome: Outcome) -> pd.DataFrame:
    """The row of a claim at the neighbouring rungs; none where there are none."""
    found = outcome.neighbour
    if found is None:
        return pd.DataFrame()
    where = f"{found.protocol or results.protocol}, neighbouring rungs"
    row = {"condition": where, "verdict": found.verdict, "of": found.deciding, "decides": False, "signed": found.signed}
    return pd.DataFrame([row | asdict(found.interval)])


def _value(found: Interval, signed: bool) -> str:
    return tables.DASH if isnan(found.estimate) else number(found, sign=signed)


def _outcome(outcomes: Iterable[Outcome], key: str) -> Outcome:
    by_key = {outcome.claim.key: outcome for outcome in outcomes}
    if key not in by_key:
        raise UsageError(f"claims: no {key!r}{nearest(key, by_key)}; judged here are {', '.join(by_key)}")
    return by_key[key]


def told(finding: Finding, real: Evidence | None = None) -> Source:
    """A finding beyond the deck's claims: its mark, where it has a verdict, its sentence, and what real evidence says
    of it, where that is asked for."""
    mark = Verdict(HOLDS.get(finding.verdict, finding.verdict)).markdown if finding.verdict else ""
    said = f"Real evidence: {real.markdown}" if real else ""
    return Source(" ".join(filter(None, [mark, escaped(finding.sentence), said])))


def glue_text(name: str, text: object) -> None:
    """Glue a text or a number as it is to be printed."""
    glue(name, Text(text), display=False)


def glue_figure(name: str, chart: Any) -> None:
    """Display a chart as the figure `name` and glue it, so that another page can quote the figure."""
    glue(name, theme.named(name, chart), display=True)


def glue_claims(results: Results, outcomes: Iterable[Outcome]) -> None:
    """Glue what is said of claims, by key: `C4_verdict` (whether it holds in the study, and in how many conditions),
    `C4_answer` (the sentence) and `C4_evidence` (what public figures say)."""
    for outcome in outcomes:
        key = outcome.claim.key
        glue(f"{key}_verdict", verdict(results, outcome), display=False)
        glue_text(f"{key}_answer", outcome.answer)
        glue(f"{key}_evidence", evidence(results, key), display=False)
