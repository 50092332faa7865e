"""Real checkpoints beside miniatures: the same effect in both, and public ladders of formats."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["beside", "ladders"]

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
WHOSE = ["#D55E00", "#0072B2", "#009E73"]


def beside(effects: pd.DataFrame, detector: str = "clip_d", precision: str = "nf4") -> alt.LayerChart:
    """The effect of one format on one detector's scores, generator by generator, one mark for each study.

    `effects` has generator, detector and precision with titles, whose, n and each of EFFECTS with its ends. Left of
    zero the images look more real than unquantized ones.
    """
    generators, precisions, detectors = (theme.options(effects, key) for key in ("generator", "precision", "detector"))
    whose = list(effects.whose.unique())
    columns = ["generator_title", "precision", "detector", "whose", "n"]
    columns += [f"{name}{end}" for name in EFFECTS for end in ("", "_low", "_high")]
    base = (
        alt.Chart(effects[columns].round(4))
        .transform_filter("datum.detector == detector && datum.precision == format")
        .transform_calculate(**theme.MEASURED)
        .encode(
            y=alt.Y("generator_title:N", sort=list(generators.values()), title=None).axis(
                labelFontWeight=600, ticks=False
            ),
            yOffset=alt.YOffset("whose:N", sort=whose),
            color=alt.Color("whose:N", sort=whose)
            .scale(domain=whose, range=WHOSE[: len(whose)])
            .legend(columns=1, labelLimit=340),
            tooltip=[
                alt.Tooltip("whose:N", title="study"),
                alt.Tooltip("generator_title:N", title="generator"),
                alt.Tooltip("value:Q", title="change", format="+.3f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("n:Q", title="pairs"),
            ],
        )
    )
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="more real  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake").axis(tickCount=6),
        x2="high:Q",
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#555").encode(x=alt.datum(0))
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
    chart = alt.layer(zero, spans, points).add_params(*menus)
    return theme.describe(chart, description, alt.Step(22, **{"for": "offset"}))


def ladders(table: pd.DataFrame, measure: str = "high_db") -> alt.LayerChart:
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
            color=alt.Color("ladder:N", sort=names)
            .scale(domain=names, range=WHOSE[: len(names)])
            .legend(symbolOpacity=1),
            tooltip=[
                alt.Tooltip("rung:N", title="rung"),
                alt.Tooltip("bits:Q", title="bits"),
                alt.Tooltip("value:Q", title="measure", format=".4~f"),
            ],
        )
    )
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(order="row:Q").transform_window(row="row_number()")
    points = base.mark_point(filled=True, size=50, opacity=1)
    rings = base.transform_filter("datum.symmetric").mark_point(size=200, strokeWidth=1.5, filled=False)
    menu = theme.choice("measure", "Measure", MEASURES, measure)
    description = (
        f"{MEASURES[measure]} along public ladders of formats ({', '.join(names)}), finest first; the symmetric 4-bit "
        "format is ringed; a menu chooses the measure."
    )
    return theme.describe(alt.layer(lines, points, rings).add_params(menu), description, alt.Step(18))
