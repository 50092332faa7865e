"""The heatmap of detection: detector by generator by precision, with the number in every cell."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["METRICS", "heatmap"]

METRICS = {
    "tpr": "accuracy (fakes called fake)",
    "balanced": "balanced accuracy",
    "auc": "AUC",
    "ap": "average precision",
    "tpr_at_1": "TPR at 1 % FPR",
    "tpr_at_5": "TPR at 5 % FPR",
    "eer": "equal error rate",
    "calibrated": "balanced, calibrated threshold",
    "tnr": "reals called real (TNR)",
}


INTERVAL = "format(datum[figure + '_low'], '.3f') + ' to ' + format(datum[figure + '_high'], '.3f')"


def heatmap(cells: pd.DataFrame, metric: str = "tpr", generator: str = "", precision: str = "") -> alt.LayerChart:
    """One row per generator and precision, one column per detector; menus choose figure, generator and precision.

    `cells` is the table of `helpers.analysis.cells`; `metric` one of METRICS, of which those that no cell has are left
    out. A cell without the figure shows a dash.
    """
    generators, precisions, detectors = (theme.options(cells, key) for key in ("generator", "precision", "detector"))
    columns = ["generator", "precision", "detector", "n", "reals"]
    columns += [f"{key}_title" for key in ("generator", "precision", "detector")]
    figures = {name: title for name, title in METRICS.items() if name in cells and cells[name].notna().any()}
    columns += [f"{name}{end}" for name in figures for end in ("", "_low", "_high")]
    base = (
        alt.Chart(cells[columns].round(4))
        .transform_filter("model == '' || datum.generator == model")
        .transform_filter("precision == '' || datum.precision == precision")
        .transform_calculate(
            value="datum[figure]",
            interval=f"isValid(datum[figure + '_low']) ? {INTERVAL} : 'not known'",
            shown="isValid(datum.value) ? format(datum.value, '.2f') : '\N{EN DASH}'",
        )
        .encode(
            y=alt.Y("generator_title:N", sort=list(generators.values()), title=None).axis(
                labelPadding=42, domain=False, ticks=False, labelFontWeight=600
            ),
            yOffset=alt.YOffset("precision_title:N", sort=list(precisions.values())),
        )
    )
    column = alt.X("detector_title:N", sort=list(detectors.values()), title=None).axis(
        orient="top", labelAngle=0, labelExpr=theme.TWO_LINES, domain=False, ticks=False, labelFontWeight=600
    )
    column = column.scale(paddingInner=0.04, paddingOuter=0)
    squares = base.mark_rect(cornerRadius=2).encode(
        x=column,
        color=alt.condition(
            "isValid(datum.value)",
            alt.Color("value:Q", scale=alt.Scale(scheme="cividis", domain=[0, 1], clamp=True)).legend(
                title=None, orient="bottom", gradientLength=180, gradientThickness=8, format=".1f"
            ),
            alt.value("#eeeeee"),
        ),
        tooltip=[
            alt.Tooltip("generator_title:N", title="generator"),
            alt.Tooltip("precision_title:N", title="precision"),
            alt.Tooltip("detector_title:N", title="detector"),
            alt.Tooltip("value:Q", title="figure", format=".3f"),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("n:Q", title="fakes"),
            alt.Tooltip("reals:Q", title="reals"),
        ],
    )
    numbers = base.mark_text(fontSize=11).encode(
        x=column,
        text="shown:N",
        color=alt.condition("!isValid(datum.value) || datum.value > 0.55", alt.value("black"), alt.value("white")),
    )
    names = (
        base.transform_aggregate(n="count()", groupby=["generator_title", "precision_title"])
        .mark_text(align="right", fontSize=11, color="#555")
        .encode(x=alt.value(-6), text="precision_title:N")
    )
    menus = [
        theme.choice("figure", "Figure", figures, metric),
        theme.choice("model", "Generator", generators, generator, all_as="all"),
        theme.choice("precision", "Precision", precisions, precision, all_as="all"),
    ]
    known = cells.tpr.dropna()
    runs = f" Accuracy runs from {known.min():.2f} to {known.max():.2f}." if len(known) else ""
    description = (
        f"Heatmap of detection by {', '.join(detectors.values())} on {', '.join(generators.values())} at "
        f"{', '.join(precisions.values())}.{runs}"
    )
    chart = alt.layer(squares, numbers, names).add_params(*menus)
    return theme.describe(chart, description, alt.Step(19, **{"for": "offset"}))
