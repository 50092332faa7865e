"""The heatmap of detection: detector by generator by precision, with the number in every cell."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.analysis.words import capitalised
from helpers.charts import layers, theme

__all__ = ["METRICS", "heatmap"]

METRICS = {
    **FIGURES,
    "balanced": "balanced accuracy",
    "ap": "average precision",
    "tpr_at_1": "TPR at 1 % FPR",
    "eer": "equal error rate",
    "calibrated": "balanced, calibrated threshold",
    "tnr": "reals called real (TNR)",
}
INTERVAL = "format(datum[figure + '_low'], '.3f') + ' to ' + format(datum[figure + '_high'], '.3f')"


def heatmap(cells: pd.DataFrame, metric: str = "auc", generator: str = "", precision: str = "") -> alt.LayerChart:
    """One row per generator and precision, one column per detector; menus choose figure, generator and precision.

    `cells` is the table of `helpers.analysis.cells`; `metric` one of METRICS, of which those that no cell has are left
    out: without reals the figure starts with the detection rate. A cell without the figure shows a dash.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    figures = {name: title for name, title in METRICS.items() if name in cells and cells[name].notna().any()}
    keys = ["generator", "precision", "detector"]
    base = (
        alt.Chart(cells[[*keys, "n", "reals", *(f"{key}_title" for key in keys), *layers.ends(figures)]].round(4))
        .transform_filter("model == '' || datum.generator == model")
        .transform_filter("precision == '' || datum.precision == precision")
        .transform_calculate(
            value="datum[figure]",
            interval=f"isValid(datum[figure + '_low']) ? {INTERVAL} : 'not known'",
            shown="isValid(datum.value) ? format(datum.value, '.2f') : '\N{EN DASH}'",
        )
        .encode(
            y=layers.rows("generator_title", list(generators.values()), labelPadding=42, domain=False),
            yOffset=alt.YOffset("precision_title:N", sort=list(precisions.values())),
        )
    )
    column = alt.X("detector_title:N", sort=list(detectors.values()), title=None).axis(
        orient="top", labelAngle=0, labelExpr=theme.TWO_LINES, domain=False, ticks=False, labelFontWeight=600
    )
    column = column.scale(paddingInner=0.04, paddingOuter=0)
    menus = [
        theme.choice("figure", "Figure", figures, metric),
        theme.choice("model", "Generator", generators, generator, all_as="all"),
        theme.choice("precision", "Precision", precisions, precision, all_as="all"),
    ]
    shown = theme.start(figures, metric)
    runs = f" {capitalised(figures[shown])} runs from {cells[shown].min():.2f} to {cells[shown].max():.2f}."
    description = (
        f"Heatmap of detection by {', '.join(detectors.values())} on {', '.join(generators.values())} at "
        f"{', '.join(precisions.values())}.{runs}"
    )
    stack = [_squares(base, column), _numbers(base, column), _precisions(base)]
    return layers.compose(stack, menus, description, layers.stacked_offsets(19))


def _squares(base: alt.Chart, column: alt.X) -> alt.Chart:
    shade = alt.Color("value:Q", scale=alt.Scale(scheme="cividis", domain=[0, 1], clamp=True)).legend(
        title=None, orient="bottom", gradientLength=180, gradientThickness=8, format=".1f"
    )
    return base.mark_rect(cornerRadius=2).encode(
        x=column,
        color=alt.condition("isValid(datum.value)", shade, alt.value("#eeeeee")),
        tooltip=layers.tooltips(
            ("generator_title:N", "generator"), ("precision_title:N", "precision"), ("detector_title:N", "detector"),
            ("value:Q", "figure", ".3f"), ("interval:N", "95 % interval"), ("n:Q", "fakes"), ("reals:Q", "reals"),
        ),
    )  # fmt: skip


def _numbers(base: alt.Chart, column: alt.X) -> alt.Chart:
    dark = alt.condition("!isValid(datum.value) || datum.value > 0.55", alt.value("black"), alt.value("white"))
    return base.mark_text(fontSize=11).encode(x=column, text="shown:N", color=dark)


def _precisions(base: alt.Chart) -> alt.Chart:
    """The name of each row's precision, left of it."""
    return (
        base.transform_aggregate(n="count()", groupby=["generator_title", "precision_title"])
        .mark_text(align="right", fontSize=11, color="#555")
        .encode(x=alt.value(-6), text="precision_title:N")
    )
