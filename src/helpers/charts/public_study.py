"""Real checkpoints beside this study's: the same effect in both, and public ladders of formats."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["effect_by_study", "public_ladders"]

EFFECTS = {
    "standard": "standard deviations",
    "shift": "logits",
    "change": "accuracy",
}
MEASURES = {
    "high_db": "power above half Nyquist, dB",
    "residual": "NPR residual, RMS of 0 to 1",
    "psnr_db": "PSNR to the first image, dB",
}
COLOURS = ["#D55E00", "#0072B2", "#009E73"]  # Okabe and Ito's, for what has no colour elsewhere


def effect_by_study(effects: pd.DataFrame, detector: str = "clip_d", precision: str = "nf4") -> alt.LayerChart:
    """The effect of one format on one detector's scores, generator by generator, one mark for each study.

    `effects` has generator, detector and precision with titles, whose, n and each of EFFECTS with its ends. Left of
    zero the images look more real than unquantized ones.
    """
    generators, precisions, detectors = layers.titles_of(effects)
    whose = list(effects.whose.unique())
    columns = ["generator_title", "precision", "detector", "whose", "n", *layers.ends(EFFECTS)]
    base = (
        alt.Chart(effects[columns].round(4))
        .transform_filter("datum.detector == detector && datum.precision == format")
        .transform_calculate(**layers.MEASURED)
        .encode(
            tooltip=layers.tooltips(
                ("whose:N", "study"), ("generator_title:N", "generator"), ("value:Q", "change", "+.3f"),
                ("interval:N", "95 % interval"), ("n:Q", "pairs"),
            )
        )
    )  # fmt: skip
    colour = layers.coloured("whose", dict(zip(whose, COLOURS, strict=False))).legend(columns=1, labelLimit=340)
    base = layers.grouped_rows(base, ("generator_title", generators.values()), ("whose", whose), colour)
    axis = "more real  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
    marks = layers.points_with_intervals(base, alt.X("low:Q", title=axis).axis(tickCount=6))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("format", "Format", precisions, precision),
        theme.choice("measure", "Measured in", EFFECTS, "standard"),
    ]
    description = (
        f"What {precisions.get(precision, precision)} does to {detectors.get(detector, detector)}'s scores of the same "
        f"images, for {', '.join(generators.values())}: {' and '.join(whose)}, with 95 % intervals; menus choose "
        "detector, format and measure."
    )
    return layers.compose([layers.rule(x=0), *marks], menus, description, layers.stacked_offsets(22))


def public_ladders(table: pd.DataFrame, measure: str = "high_db") -> alt.LayerChart:
    """Public ladders of formats, rung by rung, finest at the top of each; a menu chooses the measure.

    `table` is that of `helpers.analysis.public_study.ladders`. A symmetric 4-bit format (q4_0) is ringed.
    """
    names = list(table.ladder.unique())
    rungs = table.assign(rung=table.ladder + " " + table.format, symmetric=table.format == "q4_0")
    base = (
        alt.Chart(rungs.drop(columns="source"))
        .transform_calculate(value="datum[measure]")
        .transform_filter("isValid(datum.value)")
        .encode(
            x=alt.X("value:Q", title=None).scale(zero=False).axis(tickCount=5),
            y=alt.Y("rung:N", sort=list(rungs.rung), title=None).axis(ticks=False, domain=False),
            color=layers.coloured("ladder", dict(zip(names, COLOURS, strict=False))).legend(symbolOpacity=1),
            tooltip=layers.tooltips(("rung:N", "rung"), ("bits:Q", "bits"), ("value:Q", "measure", ".4~f")),
        )
    )
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(order="row:Q").transform_window(row="row_number()")
    points = base.mark_point(filled=True, size=50, opacity=1)
    rings = base.transform_filter("datum.symmetric").mark_point(size=200, strokeWidth=1.5, filled=False)
    menus = [theme.choice("measure", "Measure", MEASURES, measure)]
    description = (
        f"{MEASURES[measure]} along public ladders of formats ({', '.join(names)}), finest first; the symmetric 4-bit "
        "format is ringed; a menu chooses the measure."
    )
    return layers.compose([lines, points, rings], menus, description, alt.Step(18))
