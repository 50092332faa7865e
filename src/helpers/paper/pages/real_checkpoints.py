"""What the cells of the page on real checkpoints call: its sentences and tables, each saying whose figures they are."""

from __future__ import annotations

from math import isnan

import pandas as pd
from IPython.display import HTML

from helpers.analysis import public_study, words
from helpers.analysis import real_checkpoints as real
from helpers.analysis.figures import FIGURES
from helpers.analysis.real_checkpoints import BASE
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, number
from helpers.paper import tables
from helpers.paper.prose import Source
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results, titles

__all__ = [
    "MOVED", "NOTHING", "agreement", "agreement_note", "aucs_note", "both", "doubtful_note", "nf4_answer",
    "power_note", "published", "published_note", "resemblance", "resemblance_note", "scores", "verdicts",
]  # fmt: skip

#: What a format does to a detection rate, by the direction of the change.
MOVED = {1: "raises", -1: "lowers", 0: "does not measurably change"}

#: What stands beside the public study's figures wherever they answer.
CAVEAT = "Whether precision alone did that its runs cannot tell: they differ in more than the precision of the weights."

#: Whether two effects go the same way, in print.
DIRECTIONS = {"agree": "agree", "part": "opposite", "open": "open"}
NOTHING = "This study has no scores in the public study's formats, so nothing can be set beside them."


def _whose(results: Results) -> str:
    """The study of the page, as a column's head; in a sentence it takes `_the`."""
    return "miniatures" if results.scale == "mini" else "this study"


def _the(results: Results) -> str:
    return "the miniatures" if results.scale == "mini" else "this study"


def nf4_answer(results: Results) -> tuple[str, str]:
    """The page's first paragraphs: what NF4 does to detection on real checkpoints, and on this study's images."""
    table, there = public_study.public_effects(), real.public_cells()
    theirs, ours = real.mean_change(table, "nf4"), real.mean_change(real.own_effects(results), "nf4")
    moved = MOVED[real.direction(theirs)]
    areas = there[(there.precision == "nf4") & (there.arm == "native")].dropna(subset=["auc_before", "auc"])
    cells = f"{there.generator.nunique()} generators and {there.detector.nunique()} detectors"
    leading = real.leading_detector(table, "nf4")
    first = (
        f"**Real checkpoints, in a public study:** NF4 {moved} the detection rate, {number(theirs, 3, sign=True)} "
        f"against {PRECISIONS.title(BASE)}. That is a mean over {cells}, {there.n.max()} pairs each; "
        f"{words.named(leading.detector)} has the most of it. The mean AUC goes from {areas.auc_before.mean():.3f} to "
        f"{areas.auc.mean():.3f}. {CAVEAT}"
    )
    if not ours or isnan(ours.estimate):
        return Source(first), ""
    counts = real.agreement_counts(real.agreement(results))
    return Source(first), Source(
        f"**{_the(results).capitalize()}**, on the same generators and detectors: {number(ours, 3, sign=True)} at NF4 "
        f"against {PRECISIONS.title(results.baseline)}. Detector by detector, scores move the same way in "
        f"{counted(counts['agree'], 'comparison')} and opposite ways in {counts['part']}; {counts['open']} stay open."
    )


def agreement_note(results: Results) -> str:
    """How many comparisons agree, part or stay open."""
    found = real.agreement(results)
    if found.empty:
        return NOTHING
    counts = real.agreement_counts(found)
    same = f"{len(found)} comparisons" if len(found) > 1 else "1 comparison"
    return (
        f"Of {same} of the same generator, detector and format, both move the score in the same "
        f"direction in {counts['agree']} and in opposite directions in {counts['part']}; {counts['open']} stay open, "
        f"as an interval holds zero ({counts['public_zero']} of the public study's {len(found)} do). The intervals of "
        f"the standardized size overlap in {counts['sizes']}."
    )


def doubtful_note() -> str:
    """What the scores labelled 8 bits show for SD1.5, where the label is in doubt; the run is named as in `scores`."""
    rows = real.doubtful()
    clearest = rows.iloc[0]
    named = titles(clearest.generator, "", clearest.detector)
    return (
        f"{named['detector_title']}'s logits on {named['generator_title']} move by "
        f"{tables.interval(clearest, 'shift', sign=True)} in the run that the tables name {_formats(rows)[0]} "
        f"(t = {clearest.t:.2f}, n = {clearest.n}, p = {clearest.p:.1g} before any correction for its {len(rows)} "
        "detectors)."
    )


def resemblance_note(results: Results) -> str:
    """Which runs of the public study resemble each other, by the span of their correlations, and this study's."""
    wide = real.correlations_of_runs()
    parts = []
    for generator in wide.index.unique("generator"):
        told = real.correlation_span(wide, generator)
        spans = [f"{low:.2f} to {high:.2f} for {name}" for name, (low, high) in told.items()]
        parts.append(f"On {words.named(generator)} the correlation of logits is {listed(spans)}.")
    if own := real.own_correlation_span(results, "nf4"):
        base = PRECISIONS.title(results.baseline)
        parts.append(f"For {base} and NF4 of {_the(results)} it is {own[0]:.2f} to {own[1]:.2f}.")
    return " ".join(parts).replace("-", "\N{MINUS SIGN}")


def resemblance(runs: pd.DataFrame) -> HTML:
    """The same, detector by detector, by the table of `real_checkpoints.correlations_of_runs`."""
    wide = runs.map(lambda r: f"{r:.2f}".replace("-", "\N{MINUS SIGN}")).reset_index()
    return tables.table(_titled(wide), "Public study: correlation of the paired logits of two runs")


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    """Keys replaced by the names that readers know."""
    table = table.rename_axis(None, axis=1)
    return table.assign(**{column: table[column].map(words.named) for column in ("generator", "detector")})


def _formats(rows: pd.DataFrame) -> list[str]:
    """The rows' formats, with a star where what was quantized is in doubt."""
    return [PRECISIONS[p].title + "*" * (arm != "native") for p, arm in zip(rows.precision, rows.arm, strict=True)]


def scores(rows: pd.DataFrame) -> HTML:
    """The public study's paired shifts, analysed again, and the smallest that its pairs could have shown, by the table
    of `real_checkpoints.public_cells`."""
    seen = public_study.power(public_study.public_effects()).shift_seen
    shown = pd.DataFrame(
        {
            "generator": rows.generator, "detector": rows.detector, "format": _formats(rows),
            "shift of logit": [tables.interval(row, "shift", sign=True) for _, row in rows.iterrows()],
            "smallest shift that could be seen": seen.map("{:.2f}".format).to_numpy(),
            f"AUC, {PRECISIONS.title(BASE)}{tables.ARROW}format": [
                f"{row.auc_before:.3f}{tables.ARROW}{row.auc:.3f}" for row in rows.itertuples()
            ],
        }
    )  # fmt: skip
    return tables.table(
        _titled(shown), f"Public study: scores against {PRECISIONS.title(BASE)}, {rows.n.max()} pairs a row"
    )


def verdicts(rows: pd.DataFrame) -> HTML:
    """The public study's verdicts: the detection rate, its change, how many turn, and McNemar's corrected p; by the
    table that `scores` takes."""
    shown = pd.DataFrame(
        {
            "generator": rows.generator, "detector": rows.detector, "format": _formats(rows),
            FIGURES["tpr"]: [f"{row.tpr_before:.2f}{tables.ARROW}{row.tpr:.2f}" for row in rows.itertuples()],
            "its change": [tables.interval(row, "change", sign=True) for _, row in rows.iterrows()],
            "verdicts turned: \N{MINUS SIGN} to real, + to fake": [
                f"\N{MINUS SIGN}{int(row.lost)} +{int(row.gained)}" for row in rows.itertuples()
            ],
            "p, McNemar and Holm": [f"{p:.2f}" for p in rows.p_holm],
        }
    )  # fmt: skip
    return tables.table(
        _titled(shown), f"Public study: verdicts against {PRECISIONS.title(BASE)}, {rows.n.max()} pairs a row"
    )


def aucs_note() -> str:
    """Whether the AUC that the study states is what its scores give."""
    both = real.stated_aucs()
    far = f"largest difference {both.gap.max():.4f}"
    return f"The {len(both)} AUCs that the study states are what its scores give ({far})."


def power_note(results: Results) -> str:
    """What as many pairs can and cannot show, and this study's own."""
    table = public_study.power(public_study.public_effects())
    shown, corrected = real.sensitivity(table), real.sensitivity(table, tests=len(table))
    seen = [f"{row.shift_seen:.2f} logits for {_cell(row)}" for row in real.least_and_most_seen(table)]
    text = (
        f"{shown.pairs} pairs show a shift with 80 % power from {shown.shift:.2f} standard deviations of the paired "
        f"differences on: from {seen[0]} to {seen[1]}. Of detection rates, McNemar's exact test needs "
        f"{shown.flips} verdicts that all turn the same way, a change of {shown.change:.2f}, and shows a change with "
        f"80 % power from {shown.powerful_change:.2f} on; to outlast Holm's correction over "
        f"{len(table)} comparisons the first needs {corrected.flips} verdicts, {corrected.change:.2f}."
    )
    own = real.own_effects(results)
    if own.empty:
        return text
    ours, named = real.sensitivity(own), listed(list(own[own.generator != public_study.ALL].arm_title.unique()))
    have = "have" if results.scale == "mini" else "has"
    return (
        f"{text} {_the(results).capitalize()} {have} {ours.pairs} pairs a cell here ({named}): "
        f"{ours.shift:.2f} standard deviations, and a change of the detection rate of {ours.change:.2f}."
    )


def _cell(row: pd.Series) -> str:
    named = titles(row.generator, row.precision, row.detector)
    return f"{named['detector_title']} on {named['generator_title']} at {named['precision_title']}"


def both(results: Results) -> pd.DataFrame:
    """The public study's effects and this study's, cell by cell, with `whose` in print."""
    own = f"{_whose(results)} (against {PRECISIONS.title(results.baseline)})"
    whose = {"public": "public study, real checkpoints (against FP16)", "own": own}
    table = real.side_by_side(results)
    return table.assign(whose=table.study.map(whose))


def agreement(found: pd.DataFrame, results: Results) -> HTML:
    """Row by row: direction and size of the effect in both, with both intervals, by the table of
    `real_checkpoints.agreement`."""
    if found.empty:
        return tables.missing(NOTHING)
    shown = pd.DataFrame(
        {
            "generator": found.generator.map(words.named), "detector": found.detector.map(words.named),
            "format": _formats(found),
            "real checkpoints": _standard(found, "real"),
            _whose(results): _standard(found, "own"),
            "directions": found.verdict.map(DIRECTIONS),
        }
    )  # fmt: skip
    return tables.table(shown, f"Standardized shift: public study and {_the(results)}")


def _standard(found: pd.DataFrame, whose: str) -> list[str]:
    ends = zip(*(found[f"standard{end}_{whose}"] for end in ("", "_low", "_high")), strict=True)
    return [number(Interval(*three), sign=True) for three in ends]


def published(found: pd.DataFrame, results: Results) -> HTML:
    """TrueFake's rates beside the study's detection rate at its baseline, by training: its own, and on SDXL alone; by
    the table of `real_checkpoints.published_beside`."""
    if found.empty:
        return tables.missing(f"No cell of {_the(results)} is in the published table.")
    seen = [f"{row.published:.2f}" + " (seen)" * (row.in_training == "yes") for row in found.itertuples()]
    found = found.assign(published=seen, tpr=[tables.interval(row, "tpr") for row in found.itertuples()])
    heads = [_whose(results), "trained on SDXL"]
    names = {"published": "TrueFake"} | dict(zip(found.training.unique(), heads, strict=False))
    shown = tables.crossed(found, ["generator", "detector", "published"], "training", "tpr").rename(columns=names)
    caption = f"Fakes called fake: TrueFake's Table III and {_the(results)} at {PRECISIONS.title(results.baseline)}"
    return tables.table(_titled(shown), caption)


def published_note(results: Results) -> str:
    """Whether what is hard for the public detectors is hard for the study's: a rank correlation."""
    found = real.rank_correlations(real.published_beside(results))
    known = found.dropna(subset="rho")
    if known.empty:
        return f"Too few cells of {_the(results)} are in the published table for a comparison."
    parts = [
        f"{tables.interval(row, 'rho', sign=True)} for {_the(results)}{' trained on SDXL' if row.training else ''}"
        for row in known.itertuples()
    ]
    return (
        f"Over the {found.cells.iloc[0]} cells that both have, the rank correlation of the published rates with the "
        f"detection rate is {listed(parts)}."
    )
