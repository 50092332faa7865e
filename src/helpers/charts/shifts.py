"""The paired shift of the scores: what quantization changes in the same images, with intervals and trainings."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["shift_forest"]

MEASURES = {
    "shift": "logits",
    "standard": "standard deviations at {}",
    "score": "score (0 to 1)",
    "change": "accuracy",
    "cliff": "Cliff's delta",
}
KEYS = ["generator_title", "precision", "detector"]


def shift_forest(
    shifts: pd.DataFrame, trainings: pd.DataFrame, detector: str = "npr", measure: str = "shift", against: str = "FP32"
) -> alt.LayerChart:
    """The paired change against the baseline with its interval, per generator and precision; menus choose detector and
    measure.

    `shifts` is the table of `helpers.analysis.shifts`, or that of `analysis.paired.paired_effects`, which adds the
    controls; `trainings` is that of `helpers.analysis.trainings`: behind an interval a pale band spans what the
    detector's other trainings find. Left of zero the images look more real than at the baseline,
    whose title is `against`.
    """
    measures = {name: title.format(against) for name, title in MEASURES.items() if name in shifts}
    generators, precisions, detectors = layers.titles_of(shifts)
    base = (
        alt.Chart(_with_trainings(shifts, trainings, measures))
        .transform_filter("datum.detector == detector")
        .transform_filter("isValid(datum[measure])")
        .transform_calculate(**layers.MEASURED, least="datum[measure + '_min']", most="datum[measure + '_max']")
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
        layers.titled_colours("precision_title", precisions, _roles(shifts)).legend(symbolOpacity=1),
    )  # fmt: skip
    bands = base.mark_rule(strokeWidth=11, opacity=0.2).encode(x="least:Q", x2="most:Q")
    axis = f"more real than at {against}  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
    marks = layers.points_with_intervals(base, alt.X("low:Q", title=axis).axis(tickCount=6))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measured in", measures, measure),
    ]
    description = (
        f"Paired shift of {detectors[theme.start(detectors, detector)]} against {against} for "
        f"{', '.join(generators.values())} at {', '.join(precisions.values())}, with 95 % intervals; menus choose "
        "detector and measure."
    )
    stack = [bands.transform_filter("isValid(datum.least)"), layers.rule(x=0), *marks]
    return layers.compose(stack, menus, description, layers.stacked_offsets(14))


def _roles(shifts: pd.DataFrame) -> dict[str, str]:
    """The role of each control's arm by the key that stands among the precisions."""
    return dict(zip(shifts.precision, shifts.role, strict=True)) if "role" in shifts else {}


def _with_trainings(shifts: pd.DataFrame, trainings: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """The shifts as drawn, with the least and the most that other trainings find of each measure."""
    columns = [*KEYS, "precision_title", "n", "lost", "gained", *layers.ends(measures)]
    if len(trainings):
        spans = [f"{name}{end}" for name in measures for end in ("_min", "_max") if f"{name}{end}" in trainings]
        shifts, columns = shifts.merge(trainings[KEYS + spans], on=KEYS, how="left"), columns + spans
    return shifts[columns].round(4)
