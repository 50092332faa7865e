"""The paired shift of the scores: what quantization changes in the same images, with intervals and trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.charts import findings, layers, theme

__all__ = ["MEASURES", "shift_forest"]

MEASURES = {
    "shift": "logits",
    "standard": "standard deviations at {}",
    "score": "score (0 to 1)",
    "auc_change": FIGURES["auc"],
    "tpr_at_5_change": FIGURES["tpr_at_5"],
    "change": FIGURES["tpr"],
    "cliff": "Cliff's delta",
}
KEYS = ["generator_title", "precision", "detector"]

#: The ends of a band. Where trainings lack a measure it has no width: an axis of no bands at all cannot be made.
_SPANNED = {
    end: f"isValid(datum[measure + '_{of}']) ? datum[measure + '_{of}'] : datum.value"
    for end, of in (("least", "min"), ("most", "max"))
}


def shift_forest(
    shifts: pd.DataFrame, trainings: pd.DataFrame, detector: str = "npr", measure: str = "shift", against: str = "FP32"
) -> alt.LayerChart:
    """The paired change against the baseline with its interval, per generator and precision; menus choose detector and
    measure.

    `shifts` is the table of `helpers.analysis.shifts`, or that of `analysis.paired.paired_effects`, which adds the
    controls; `trainings` is that of `helpers.analysis.trainings`: behind an interval a pale band spans what the
    detector's other trainings find. Left of zero the images look more real than at the baseline, whose title is
    `against`. A `measure` that is none of MEASURES is another column of `shifts`, shown alone.
    """
    named = {name: title.format(against) for name, title in MEASURES.items()}
    measures = layers.measures(shifts, named, measure)
    shifts = layers.bounded(shifts, measures)
    generators, precisions, detectors = layers.titles_of(shifts)
    base = (
        alt.Chart(_with_trainings(shifts, trainings, measures))
        .transform_filter("datum.detector == detector")
        .transform_filter("isValid(datum[measure])")
        .transform_calculate(**layers.MEASURED)
        .transform_calculate(**_SPANNED)
        .encode(
            tooltip=layers.tooltips(
                ("generator_title:N", "generator"), ("precision_title:N", "precision"), ("value:Q", "shift", "+.3f"),
                ("interval:N", "95 % interval"), ("lost:Q", "fake to real"), ("gained:Q", "real to fake"),
                ("n:Q", "pairs"),
            )
        )
    )  # fmt: skip
    base = layers.grouped_rows(
        base, ("generator_title", generators.values()), ("precision_title", precisions.values()),
        # The bands' paleness is not the colour's.
        layers.legend(layers.titled_colours("precision_title", precisions, _roles(shifts))),
    )  # fmt: skip
    bands = base.mark_rule(strokeWidth=11, opacity=0.2).encode(x="least:Q", x2="most:Q")
    sides = f"more real than at {against}  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
    axis = sides if set(measures) <= set(MEASURES) else next(iter(measures))
    marks = layers.points_with_intervals(base, alt.X("low:Q", title=axis).axis(tickCount=6))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measure", measures, measure),
    ]
    description = (
        f"Paired change of a detector's scores against {against} for {', '.join(generators.values())} at "
        f"{', '.join(precisions.values())}. Lines are 95 % intervals"
        + ("; pale bands span what the detector's other trainings find." if len(trainings) else ".")
    )
    stack = [bands, layers.rule(x=0), *marks]
    says = _says(shifts, measures, detectors, against)
    return layers.compose(stack, menus, description, layers.stacked_offsets(14), says)


def _says(
    shifts: pd.DataFrame, measures: Mapping[str, str], detectors: Mapping[str, str], against: str
) -> Callable[..., str]:
    """On how many generators the lowest precision changes a detector's scores, by intervals that leave zero out."""
    roles = shifts.role if "role" in shifts else pd.Series("", index=shifts.index)
    own = shifts[roles == ""] if (roles == "").any() else shifts
    last = own.precision.iloc[-1]

    def says(detector: str, measure: str) -> str:
        rows = own[(own.detector == detector) & (own.precision == last)]
        if rows.empty:
            return findings.NOTHING
        at, name = rows.precision_title.iloc[0], detectors[detector]
        if measure not in MEASURES:
            return f"At {at}, {name}'s {measure} runs {findings.from_to(rows, measure, 'generator_title')}"
        if measure.endswith("change"):
            return f"At {at}, {name}'s {measures[measure]} is {findings.sides(rows, measure, 'lower', 'higher')}"
        return (
            f"At {at} against {against}, {name} finds images {findings.sides(rows, measure, 'more real', 'more fake')}"
        )

    return says


def _roles(shifts: pd.DataFrame) -> dict[str, str]:
    """The role of each control's arm by the key that stands among the precisions."""
    return dict(zip(shifts.precision, shifts.role, strict=True)) if "role" in shifts else {}


def _with_trainings(shifts: pd.DataFrame, trainings: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """The shifts as drawn, with the least and the most that other trainings find of each measure."""
    columns = [*KEYS, "precision_title", "n", "lost", "gained", *layers.ends(measures)]
    if len(trainings):
        spans = [f"{name}{end}" for name in measures for end in ("_min", "_max") if f"{name}{end}" in trainings]
        shifts, columns = shifts.merge(trainings[KEYS + spans], on=KEYS, how="left"), columns + spans
    return layers.picked(shifts, *columns)
