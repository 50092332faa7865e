"""What notebook 09 shows: a card for each of the deck's claims, their verdicts elsewhere, the chance to show them.

A card has two columns: what holds in the study, and what real evidence says.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from helpers.analysis import words
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import number, printed, share
from helpers.claims import CLAIMS, Finding, Outcome, by_condition, disagreement, neighbours
from helpers.claims.evidence import AGREEMENT, SOURCES, Piece, pieces
from helpers.claims.rule import HOLDS, margins
from helpers.claims.scorecard import where
from helpers.paper import page, tables
from helpers.paper.prose import Source
from helpers.results.results import Results

__all__ = ["MARKS", "instruments", "power", "probe_note", "scorecard", "sources", "trainings", "verdicts_by_condition"]


def scorecard(results: Results, outcomes: Sequence[Outcome]) -> HTML:
    """A card for each claim: the deck's words over two columns, what holds in the study and what real evidence says."""
    return HTML(f'<div class="claims">{"".join(_card(results, outcome) for outcome in outcomes)}</div>')


def _card(results: Results, outcome: Outcome) -> str:
    claim = outcome.claim
    return (
        f'<section class="claim" id="card-{claim.key}" aria-label="{html.escape(claim.title)}"><p class="claim-head">'
        f"<strong>{html.escape(claim.title)}</strong> {html.escape(claim.words)}</p>"
        f'<div class="claim-columns">{_study(results, outcome)}{_real(results, outcome)}</div></section>'
    )


def _column(name: str, head: str, mark: page.Verdict, inner: str) -> str:
    return f'<div class="{name}"><p class="claim-column">{head} {mark._repr_html_()}</p>{inner}</div>'


def _study(results: Results, outcome: Outcome) -> str:
    """What the study's images say: the verdict, its figures, what counts, and where it comes out otherwise."""
    claim, mark = outcome.claim, page.verdict(results, outcome)
    if not claim.of_study:
        why = "What a study's own networks cost says nothing of the public checkpoints', which the claim is about."
        return _column("claim-study", where(results), mark, f"<p>{why}</p>")
    rows = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in _figures(outcome).items()
    )
    measured = claim.quantity.replace("FP32", words.named(results.baseline) if claim.of_scores else "FP32")
    elsewhere = f"{disagreement(results, outcome)} {neighbours.turned(outcome)}".strip()
    told = html.escape(outcome.under() + outcome.told)
    inner = (
        f"<p>{told}</p>{f'<dl>{rows}</dl>' if rows else ''}{_spans(outcome.finding)}"
        f'<p class="claim-small">Measured: {html.escape(measured)}. {html.escape(outcome.rule)} '
        f'<a href="{claim.page}.html#{claim.anchor}">Figure</a></p>'
        f'<p class="claim-small">{html.escape(elsewhere)}</p>{_folded(outcome)}'
    )
    return _column("claim-study", where(results), mark, inner)


def _folded(outcome: Outcome) -> str:
    """Which detectors, protocol and training decide, and the same at the dose of real images and at the neighbouring
    rungs, to be opened."""
    note = f'<p class="claim-small">{html.escape(outcome.finding.note)}</p>' if outcome.finding.note else ""
    inner = f"{note}{_matched(outcome)}"
    return f'<details class="behind"><summary>What decides, and other doses</summary>{inner}</details>' if inner else ""


def _matched(outcome: Outcome) -> str:
    """The same at the dose of real images, for a claim that speaks of formats."""
    if outcome.matched is None:
        return ""
    mark = page.Verdict(HOLDS[outcome.matched.verdict])._repr_html_()
    said = html.escape(outcome.matched_answer)
    own = f'<p class="claim-small"><em>At the dose of real images:</em> {mark} {said}</p>{_spans(outcome.matched)}'
    beside = html.escape(neighbours.answer(outcome))
    if not beside:
        return own
    mark = f"{page.Verdict(HOLDS[outcome.neighbour.verdict])._repr_html_()} " if outcome.neighbour else ""
    return f'{own}<p class="claim-small"><em>At the neighbouring rungs:</em> {mark}{beside}</p>'


def _digits(found: Interval) -> int:
    """How many digits a figure is printed with, so that a narrow interval is seen to have two ends."""
    return 3 if found.high - found.low < 0.05 else 2


def _figures(outcome: Outcome) -> dict[str, object]:
    """What a card tabulates of a finding: the figure that decides, with its interval, and the images behind it."""
    found = outcome.interval
    rows: dict[str, object] = {}
    if not pd.isna(found.estimate):
        rows[outcome.finding.deciding] = number(found, _digits(found), sign=outcome.finding.signed)
    return rows | ({"images": outcome.finding.n} if outcome.finding.n else {})


def _real(results: Results, outcome: Outcome) -> str:
    """What public figures say of the same claim: the word for all of them, and each with its source and doubts."""
    claim = outcome.claim
    found = pieces(claim.key, margins(results))
    inner = "".join(_piece(piece) for piece in found) or "<p>No public measurement that is known here speaks of it.</p>"
    if not claim.of_study:
        measured = (
            f'<p class="claim-small">Measured: {html.escape(claim.quantity)}. {html.escape(outcome.rule)} '
            f'<a href="{claim.page}.html#{claim.anchor}">Figure</a></p>'
        )
        inner = f"<p>{html.escape(outcome.answer)}</p>{inner}{measured}"
    return _column("claim-real", "Real evidence", page.evidence(results, claim.key), inner)


def _piece(piece: Piece) -> str:
    """A piece of evidence: which way it speaks, its figure, whose it is, and its doubts."""
    source, own = piece.source, _sentences(piece.own_doubts)
    doubts = f"{OF_SOURCE} {html.escape(own)}".strip()
    whose = f'<a href="{source.page}.html#{source.anchor}">{html.escape(source.title)}</a>'
    said = f"{html.escape(AGREEMENT[piece.verdict].removesuffix(' the deck').removesuffix(' with'))}"
    return (
        f'<div class="piece"><p><span class="piece-way">{said}</span> {html.escape(piece.sentence)}</p>'
        f'<p class="claim-small">{whose}. Doubts: {doubts}</p></div>'
    )


def _sentences(doubts: Sequence[str]) -> str:
    return " ".join(f"{words.capitalised(said)}." for said in doubts)


#: Where the doubts are that hold of all that a source says.
OF_SOURCE = '<a href="#tab-doubts-of-each-source">those of its source</a>.'


def sources() -> HTML:
    """The table of the sources that cards quote, with the doubts that hold of all that each says."""
    shown = pd.DataFrame({
        "source": [source.title for source in SOURCES.values()],
        "doubts": [_sentences(source.doubts) for source in SOURCES.values()],
    })  # fmt: skip
    return tables.table(shown, "Doubts of each source")


def _spans(finding: Finding) -> str:
    """The small print on the deciding figure's two intervals; "" of a figure without them."""
    if pd.isna(finding.over_prompts.estimate):
        return ""
    digits = _digits(finding.interval)
    own = number(finding.over_prompts, digits, sign=finding.signed)
    whole = number(finding.interval, digits, sign=finding.signed)
    said = f"Over prompts, this training: {own}. In all: {whole}; over {finding.basis.words}."
    return f'<p class="claim-small">{html.escape(said)}</p>'


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
    rests = found.drop_duplicates("condition").set_index("condition").rests
    keys, names = [claim.key for claim in CLAIMS if claim.of_study], found.condition.unique()
    by = found.set_index(["condition", "key"])
    blank = "<td></td>"  # filtered images are not scored by every training
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
    cells = {
        name: "".join(_mark(by.loc[(name, key)]) if (name, key) in by.index else blank for key in keys)
        for name in names
    }
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{marks}<td>{html.escape(rests[name])}</td></tr>'
        for name, marks in cells.items()
    )
    legend = ", ".join(f"{mark} {HOLDS[verdict]}" for verdict, mark in MARKS.items())
    legend += "; blank: not asked under it" if len(by) < len(names) * len(keys) else ""
    return tables.framed(
        f'<table class="table verdicts"><thead><tr><th>condition</th>{head}<th>based on</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>",
        f"Claims under each condition: {legend}",
    )


def _mark(row: pd.Series) -> str:
    word = HOLDS[row.verdict]
    told = word if pd.isna(row.estimate) else (
        f"{word}: {number(Interval(row.estimate, row.low, row.high), sign=row.signed)}, {row['of']}"
    )  # fmt: skip
    name = word.replace(" ", "-")
    return f'<td><span class="verdict verdict-{name}" title="{html.escape(told)}">{MARKS[row.verdict]}</span></td>'


#: What is said of the patch probe, where the study has it.
PROBE = Source(
    "The patch probe is ours and no published detector: a logistic regression on means and deviations of the patch "
    "tokens in every block of the frozen CLIP tower, at native resolution. RINE [Koutlis et al., "
    "2024](https://arxiv.org/abs/2402.19091) is its nearest published relative, which reads the class token of every "
    "block. How much of what it finds is the tower's learning, its control on a tower with random weights says, on the "
    "[setup page](01_setup.ipynb). The deck's claims are judged on the deck's four detectors alone."
)


def probe_note(results: Results) -> str:
    """What a detector that nobody published is; "" where the study has none."""
    return PROBE if "patch_probe" in results.detectors else ""


ADEQUATE = {True: "yes", False: "no", None: "not known"}


def instruments(found: pd.DataFrame, against: str) -> HTML:
    """The table of `analysis.instruments.by_training`; `against` names the baseline."""
    if found["of"].eq(0).all():
        return tables.missing(f"Which detectors can answer is not known: this study has no AUC at {against}.")
    ends = {
        name: [
            tables.figure(area, "{:.3f}") + (f" ({title})" if title else "")
            for area, title in zip(found[name], found[f"{name}_title"], strict=True)
        ]
        for name in ("lowest", "highest")
    }  # fmt: skip
    shown = pd.DataFrame({
        "detector": found.detector_title, "training": found.weights, "protocol": found.protocol,
        "generators in its training": found.covered, **ends, "adequate": [ADEQUATE[value] for value in found.adequate],
        "generators with room to fall": [
            f"{room} of {of}" if of else tables.DASH for room, of in zip(found.room, found["of"], strict=True)
        ],
    })  # fmt: skip
    return tables.table(shown, f"AUC at {against} of each detector, lowest and highest over the generators")


def trainings(found: pd.DataFrame, results: Results) -> HTML:
    """The table of `analysis.effects.spread`: how far trainings of one kind lie apart."""
    base, low = words.named(results.baseline), words.named(results.lowest)
    if found.empty:
        return tables.missing(f"This study has one training of each detector, or no AUC at {base}.")
    shown = pd.DataFrame({
        "detector": found.detector_title, "protocol, training": found.protocol + ", " + found.weights,
        "generator": found.generator_title, "trainings": found.trainings,
        "AUC, page's own": [tables.figure(area, "{:.3f}") for area in found.auc],
        "range": [f"{least:.3f} to {most:.3f}" for least, most in found[["auc_lowest", "auc_highest"]].to_numpy()],
        "mean, in all": _means(found, "auc_mean", sign=False),
        "change, range": [
            " to ".join(printed(end, 3, sign=True) for end in (min(each), max(each))) if len(each) else tables.DASH
            for each in found.changes
        ],
        "mean change, in all": _means(found, "change", sign=True),
    })  # fmt: skip
    caption = f"AUC at {base} of trainings that differ in their seed alone, and its change from {base} to {low}"
    return tables.table(shown, caption)


def _means(found: pd.DataFrame, name: str, sign: bool) -> list[str]:
    """A column of estimates with their intervals, in print."""
    rows = found[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
    return [number(Interval(*row), 3, sign=sign) for row in rows]


def power(found: pd.DataFrame) -> HTML:
    """The table of `analysis.power.table`: the chance to show what is so, by number of images."""
    sizes = [name for name in found if name.startswith("n_")]
    shown = found.assign(**{name: [share(chance) for chance in found[name]] for name in sizes})
    shown = shown.rename(columns={name: f"{name[2:]} images a cell" for name in sizes} | {"truth": "if in truth"})
    return tables.table(shown, "Chance that one figure of a claim lies where it holds, by prompts alone")
