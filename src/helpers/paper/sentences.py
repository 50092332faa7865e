"""The sentences that several of a study's pages print: whose results these are, what its controls show."""

from __future__ import annotations

import pandas as pd

from helpers.analysis import controls, paired
from helpers.analysis.costs import images_per_cell
from helpers.analysis.words import listed, named
from helpers.results.results import Results

__all__ = ["beyond_note", "null", "scale_note"]


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


def null(results: Results) -> str:
    """The sentence that sets the null control's spread beside the coarsest precision's, detector by detector."""
    same = paired.identical(results)
    idle = [f"{_actor(title)} changes no score of any image: it is identical, so no control." for title in same]
    found = controls.null_control(results)
    if found.empty:
        unknown = "what a change that should not matter does to its scores is not known"
        return " ".join([*idle, f"{'So' if idle else 'This study has no null control, so'} {unknown}."])
    parts = [f"{row.detector_title} {row.spread:.4f} against {row.spread_last:.2f}" for row in found.itertuples()]
    turned, judged = controls.turned(found)
    return " ".join([
        "Paired logits change by this much (standard deviation) under the null control, against "
        f"{named(results.precisions[-1])}: {listed(parts)}.",
        f"The null control turns {turned} of {judged} verdicts.", *idle,
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
