"""Real checkpoints beside this study's: the same effect in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.analysis.words import printed
from helpers.charts import findings, layers, theme

__all__ = ["EFFECTS", "effect_by_study"]

EFFECTS = {
    "standard": "standard deviations",
    "shift": "logits",
    "change": FIGURES["tpr"],
}
COLOURS = ["#D55E00", "#0072B2", "#009E73"]  # Okabe and Ito's, for what has no colour elsewhere


def effect_by_study(
    effects: pd.DataFrame, detector: str = "clip_d", precision: str = "nf4", measure: str = "standard"
) -> alt.LayerChart:
    """The effect of one format on one detector's scores, generator by generator, one mark for each study.

    `effects` has generator, detector and precision with titles, whose, n and each of EFFECTS with its ends. Left of
    zero the images look more real than unquantized ones. A `measure` that is none of EFFECTS is another column, shown
    alone.
    """
    measures = layers.measures(effects, EFFECTS, measure)
    effects = layers.bounded(effects, measures)
    generators, precisions, detectors = layers.titles_of(effects)
    whose = list(effects.whose.unique())
    columns = ["generator_title", "precision", "detector", "whose", "n", *layers.ends(measures)]
    base = (
        alt.Chart(layers.picked(effects, *columns))
        .transform_filter("datum.detector == detector && datum.precision == format")
        .transform_calculate(**layers.MEASURED)
        .encode(
            tooltip=layers.tooltips(
                ("whose:N", "study"), ("generator_title:N", "generator"), ("value:Q", "change", "+.3f"),
                ("interval:N", "95 % interval"), ("n:Q", "pairs"),
            )
        )
    )  # fmt: skip
    colour = layers.coloured("whose", dict(zip(whose, COLOURS, strict=False))).legend(
        columns=1, labelLimit=alt.ExprRef("width + 30")
    )
    base = layers.grouped_rows(base, ("generator_title", generators.values()), ("whose", whose), colour)
    sides = "more real  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
    axis = sides if set(measures) <= set(EFFECTS) else next(iter(measures))
    marks = layers.points_with_intervals(base, alt.X("low:Q", title=axis).axis(tickCount=6))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("format", "Format", precisions, precision),
        theme.choice("measure", "Measure", measures, measure),
    ]
    description = (
        f"What a format does to a detector's scores of the same images, for {', '.join(generators.values())}: "
        f"{' and '.join(whose)}. Lines are 95 % intervals."
    )
    stack = [layers.rule(x=0), *marks]
    return layers.compose(
        stack, menus, description, layers.stacked_offsets(22), _largest(effects, measures, precisions, detectors)
    )


def _largest(
    effects: pd.DataFrame, measures: Mapping[str, str], precisions: Mapping[str, str], detectors: Mapping[str, str]
) -> Callable[..., str]:
    """The largest effect of a format on a detector in each study."""

    def says(detector: str, format: str, measure: str) -> str:
        rows = effects[(effects.detector == detector) & (effects.precision == format) & effects[measure].notna()]
        parts = []
        for name, own in rows.groupby("whose", sort=False):
            most = findings.widest(own, measure)
            parts.append(f"{name.partition(' (')[0]} {printed(most[measure], sign=True)} ({most.generator_title})")
        if not parts:
            return findings.NOTHING
        said = f"Largest effect of {precisions[format]} on {detectors[detector]}, {measures[measure]}"
        return f"{said}: {'; '.join(parts)}"

    return says
