"""The sentences that a study's pages print: whose results these are, what was run, what its controls show."""

from __future__ import annotations

from math import isnan

import pandas as pd

from helpers.analysis import controls, inventory, paired
from helpers.analysis.cells import cells, mean_change
from helpers.analysis.costs import costs, images_per_cell
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.claims.rule import NOT_TESTABLE, Finding, unscaled
from helpers.results.results import Results

__all__ = [
    "beyond_note",
    "DECK",
    "controls_note",
    "cost_note",
    "crossed",
    "grid",
    "null",
    "overview",
    "scale_note",
    "sixteen",
    "twins",
]


def scale_note(results: Results) -> str:
    """The sentence that says whose results these are."""
    images = f"{images_per_cell(results)} images per cell"
    images = "1 image per cell" if images == "1 images per cell" else images
    if results.scale == "mini":
        return (
            f"These are miniatures' results: small generators and detectors trained by this project, {images}. They "
            "show what the question looks like where everything can be rerun; they are not measurements of the public "
            f"checkpoints.{_asked(results)}"
        )
    imported = results.manifest.get("imported") or {}
    whose = imported.get("title")
    taken = f" The scores are those of another study: {whose}." if whose else ""
    taken = " The scores were imported." if imported and not whose else taken
    if results.scale == "full":
        return f"These are results of the public checkpoints at full size, {images}.{taken}{_asked(results)}"
    return f"It is not said at which scale this study was run; it has {images}.{taken}{_asked(results)}"


def _asked(results: Results) -> str:
    """The sentence on detectors without a threshold and its mend; "" where there is none."""
    if not results.unjudged:
        return ""
    return (
        f" All scores by {listed([named(key) for key in results.unjudged])} lie in 0 to 1, as probabilities do, and it "
        "is not said whether they are: figures at a threshold stay unknown until a map of the import says, under "
        '[logit], scale = "probability" or "logit".'
    )


def overview(results: Results) -> Finding:
    """All cells at once: the mean change of accuracy from FP32 to FP4, and the range of accuracy."""
    table = cells(results).dropna(subset="tpr")
    if table.empty:
        return Finding(NOT_TESTABLE, f"No accuracy of this study is known: {unscaled(results.unjudged)}.", {})
    best, worst = table.loc[table.tpr.idxmax()], table.loc[table.tpr.idxmin()]
    span = (
        f"over the {_scored(table)}, accuracy runs from {_cell(worst)} to {_cell(best)}"
        if worst.tpr < best.tpr
        else f"accuracy is {best.tpr:.2f} in {'each of the ' if len(table) > 1 else ''}{_scored(table)}"
    )
    judging = [key for key in results.detectors if key not in results.unjudged]
    change = mean_change(results, judging)
    if isnan(change.estimate):
        return Finding(
            NOT_TESTABLE, f"This study has no pairs of {named(results.baseline)} and FP4 images; {span}.", {}
        )
    shown = number(change, 3, sign=True)
    many = listed([word for word, keys in (
        ("generators", results.generators), ("detectors", judging)) if len(keys) > 1])  # fmt: skip
    mean = f"FP4 changes accuracy by {shown} against {named(results.baseline)}"
    mean = f"Averaged over {many}, {mean}" if many else mean
    but = f" The others are left out: {unscaled(results.unjudged)}." if results.unjudged else ""
    return Finding("", f"{mean}; {span}.{but}", {"mean change at FP4": change})


def _scored(table: pd.DataFrame) -> str:
    """How many rows of the table of cells: a cell counts once for each detector."""
    return counted(len(table), "combination") + " of generator, precision and detector"


def _cell(row: pd.Series) -> str:
    interval = Interval(row.tpr, row.tpr_low, row.tpr_high)
    return f"{number(interval)} for {row.detector_title} on {row.generator_title} at {row.precision_title}"


def grid(results: Results) -> str:
    """The sentence that says what was run: generators, precisions, images, detectors, and what was left out."""
    made, reals = inventory.fakes(results), int(inventory.reals(results).images.sum())
    sides = len(results.generators), len(results.precisions)
    missing = sides[0] * sides[1] - len(made)
    whole = f"{counted(missing, 'cell')} {'is' if missing == 1 else 'are'} missing" if missing else "every cell was run"
    judges = len(results.detectors)
    return (
        f"{counted(sides[0], 'generator')} at {counted(sides[1], 'precision')} {'makes' if sides[0] == 1 else 'make'} "
        f"{counted(len(made), 'cell')} with {counted(int(made.images.sum()), 'generated image')} in all; "
        f"{counted(reals, 'real image')} {'stands' if reals < 2 else 'stand'} against them, and "
        f"{counted(judges, 'detector')} {'judges' if judges == 1 else 'judge'} each. Of the grid, {whole}."
        f"{_dropped(results)}"
    )


def _dropped(results: Results) -> str:
    """How many scores had no number, and of what; "" where there is none."""
    count = sum(results.dropped.values())
    if not count:
        return ""
    parts = []
    for cell, lost in results.dropped.items():
        generator, precision, detector = cell.split(" ")
        title = results.titled(generator)["generator_title"]
        of = "real images" if generator == "real" else f"{title} at {named(precision)}"
        parts.append(f"{lost} of {named(detector)} on {of}")
    are = "is no number and is" if count == 1 else "are no numbers and are"
    return f" {counted(count, 'score')} {are} left out: {listed(parts)}."


#: The deck's grid, whatever the catalogues have besides.
SIX = ("sd15", "sd21", "sdxl", "sd3", "sd35", "flux1")
DECK = [(generator, precision) for generator in SIX for precision in ("fp32", "fp16", "fp8", "fp4")]


def crossed(results: Results) -> str:
    """The sentence that says how much of the deck's grid the study has."""
    made = inventory.fakes(results)
    there = len(set(zip(made.generator, made.precision, strict=True)) & set(DECK))
    return "Here all of them are run." if there == len(DECK) else f"This study has {there or 'none'} of them."


def twins(results: Results) -> str:
    """The sentence that says what pairs the images of two precisions, and how many have a twin."""
    base, made = named(results.baseline), inventory.fakes(results)
    others = made[made.precision != results.baseline]
    images, twins = int(others.images.sum()), int(others.twins.sum())
    if not images:
        return f"All of its images are at {base}, so none has a twin to be compared with."
    if not results.manifest.get("imported") and twins == images:
        return (
            "Every image has a prompt and a seed of its own, and both are the same at every precision, so each "
            f"quantized image has a twin at {base} that differs from it in nothing but the weights."
        )
    have = "has" if twins == 1 else "have"
    return (
        "Images of a generator that bear the same number are taken to be of one prompt and seed; so "
        f"{twins:,} of {counted(images, 'image')} at other precisions {have} a twin at {base}."
    )


def controls_note(results: Results) -> str:
    """The sentence that names the changes against which this study can set its precisions."""
    there = [title for title, _ in paired.controls(results).values()]
    idle = {
        "null control": f"the same {named(results.baseline)} images computed in groups (null control)",
        "FP16": "weights cast to FP16" + (", which a CPU computes with in 32 bits" if _on_cpu(results) else ""),
    }
    parts = [words for title, words in idle.items() if title in there]
    yardstick = "a yardstick, the same prompt from another seed's noise" if "other seed" in there else ""
    if not parts:
        lacks = "This study has no change that should not matter, to set its precisions against"
        return f"{lacks}; it has {yardstick}." if yardstick else f"{lacks}."
    many = "changes" if len(parts) > 1 else "a change"
    return f"So each precision is set against {many} that should not matter: {listed(parts)}" + (
        f"; and against {yardstick}." if yardstick else "."
    )


def _on_cpu(results: Results) -> bool:
    return set(costs(results).get("device", ())) == {"cpu"}


def sixteen(results: Results) -> str:
    """The sentence that says whether FP16 of the main arm is a control: not where it changes no score at all."""
    if "fp16" not in results.precisions or results.baseline == "fp16":
        return "This study has no FP16 beside its baseline, which could be a second one."
    made = inventory.fakes(results)
    halved = made[(made.precision == "fp16") & made.same.notna()]
    same = list(halved.generator_title[halved.same.astype(bool)])
    base = named(results.baseline)
    if len(same) == len(halved):
        return f"FP16 of the main arm is no second one: it scores exactly as {base} does."
    how = " and computed in FP32" if _on_cpu(results) else ""
    but = f"; on {listed(same)} it scores exactly as {base} does, and is none" if same else ""
    return f"FP16 of the main arm is a second one: weights stored in 16 bits{how}{but}."


def null(results: Results) -> str:
    """The sentence that sets the null control's spread beside the coarsest precision's, detector by detector."""
    same = paired.identical(results)
    idle = [f"{_actor(title)} changes no score of any image: it is identical, so no control." for title in same]
    found = controls.null_control(results)
    if found.empty:
        unknown = "what a change that should not matter does to its scores is not known"
        return " ".join([*idle, f"{'So' if idle else 'This study has no null control, so'} {unknown}."])
    parts = [f"{row.detector_title} {row.spread:.4f} against {row.spread_last:.2f}" for row in found.itertuples()]
    judged = found.dropna(subset="turned")
    return " ".join([
        "Paired logits change by this much (standard deviation) under the null control, against "
        f"{named(results.precisions[-1])}: {listed(parts)}.",
        f"The null control turns {int(judged.turned.sum())} of {int(judged.n.sum())} verdicts.", *idle,
    ])  # fmt: skip


def beyond_note(beyond: pd.DataFrame, precision: str = "fp4") -> str:
    """The sentence that counts where a precision moves images further than each control does.

    `beyond` is the table of `helpers.analysis.paired.beyond`.
    """
    told = paired.beyond_by_control(beyond)
    rows = told[told.precision == precision] if len(told) else told
    if rows.empty:
        further = "moves images further than a change that should not matter does"
        return f"Whether {named(precision)} {further}, this study cannot say."
    parts = [f"than {_deed(row.control_title)} in {row.further} of {row.pairs}" for row in rows.itertuples()]
    return (
        f"{named(precision)} moves the same images further {listed(parts)} pairs of generator and detector (one-sided "
        f"paired tests at 5 %, for each control with Holm's correction over its tests, at most {told.family.max()})."
    )


def _deed(control: str) -> str:
    return {"null control": "the null control does", "other seed": "another seed does"}.get(control, f"{control} does")


def _actor(control: str) -> str:
    return control if control.isupper() or control[-1].isdigit() else f"The {control}"


def cost_note(results: Results) -> str:
    """The sentence under the costs: on which device, and how many images were rejected for which reasons."""
    table = costs(results)
    if table.empty or not any(table.device):
        return "What the cells of this study cost was not recorded."
    devices = listed(sorted(set(table.device)))
    rejected = int(table.rejected.sum())
    why = listed(sorted({reason for reason in table.rejected_why if reason}))
    were = "was" if rejected < 2 else "were"
    lost = f"{counted(rejected, 'image').capitalize()} {were} rejected{f' ({why})' if rejected and why else ''}."
    below = f"What the cells of this study cost is below, measured on {devices}"
    return f"{below}, as it came: the machine did other work too. {lost}"
