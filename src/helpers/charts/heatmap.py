"""The heatmap of detection: detector by generator by precision, with the number in every cell."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.analysis.words import listed
from helpers.charts import findings, layers, theme

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
#: Those of which little is good: their colours run the other way.
ERRORS = ("eer",)
INTERVAL = "format(datum[figure + '_low'], '.3f') + ' to ' + format(datum[figure + '_high'], '.3f')"
TEXT_ON = ("#1a1a1a", "#ffffff")  # numbers on light cells and on dark ones, in a dark page as in a light one
UNKNOWN = "#eeeeee"


def heatmap(cells: pd.DataFrame, metric: str = "auc", generator: str = "", precision: str = "") -> alt.LayerChart:
    """One row per generator and precision, one column per detector; menus choose measure, generator and precision.

    `cells` is the table of `helpers.analysis.cells`, or any with the columns generator, precision, detector and
    measures (their titles, ends of intervals and numbers of images may be missing). `metric` is one of METRICS, of
    which those that no cell has are left out: without reals the figure starts with the detection rate. Any other column
    of numbers is shown alone, coloured over its own range. A cell without the measure shows a dash.
    """
    figures = layers.measures(cells, METRICS, metric)
    cells = layers.completed(cells, figures)
    generators, precisions, detectors = layers.titles_of(cells)
    keys = ["generator", "precision", "detector"]
    base = (
        alt.Chart(layers.picked(cells, *keys, "n", "reals", *(f"{key}_title" for key in keys), *layers.ends(figures)))
        .transform_filter("model == '' || datum.generator == model")
        .transform_filter("precision == '' || datum.precision == precision")
        .transform_calculate(
            value="datum[figure]",
            interval=f"isValid(datum[figure + '_low']) ? {INTERVAL} : 'not known'",
            shown="isValid(datum.value) ? format(datum.value, '.2f') : '\N{EN DASH}'",
            **layers.IMAGES,
            good=f"indexof({list(ERRORS)}, figure) < 0 ? datum.value : 1 - datum.value",
        )
        .encode(
            y=layers.rows("generator_title", list(generators.values()), labelPadding=42, domain=False),
            yOffset=alt.YOffset("precision_title:N", sort=list(precisions.values())),
        )
    )
    menus = [
        theme.choice("figure", "Measure", figures, metric),
        theme.choice("model", "Generator", generators, generator, all_as="all"),
        theme.choice("precision", "Precision", precisions, precision, all_as="all"),
    ]
    description = (
        f"What {listed(list(detectors.values()))} (columns) make of the images of each generator at each precision "
        "(rows). Pointing at a cell shows its 95 % interval and the numbers of images; a dash: not known."
    )
    stack = [*_cells(base, list(detectors.values()), _range(cells, figures)), _precisions(base)]
    says = findings.of_cells(cells, figures, generators, precisions, ERRORS)
    return layers.compose(stack, menus, description, layers.stacked_offsets(19), says)


def _range(cells: pd.DataFrame, figures: Mapping[str, str]) -> list[float]:
    """What the colours run over: 0 to 1 for rates, else from the least to the most."""
    least, most = cells[list(figures)].min().min(), cells[list(figures)].max().max()
    return [0, 1] if least >= 0 and most <= 1 else [float(least), float(most)]


def _cells(base: alt.Chart, detectors: list[str], domain: list[float]) -> list[alt.Chart]:
    """Squares with numbers, both with the tooltip, and above them the detectors' names, in up to two lines.

    The names are marks: an axis of two-line labels slips onto the cells when a menu leaves fewer rows.
    """
    column = alt.X("detector_title:N", sort=detectors, title=None, axis=None).scale(
        paddingInner=0.04, paddingOuter=0, domain=detectors
    )
    legend = f"indexof({list(ERRORS)}, figure) < 0 ? format(datum.value, '.1f') : format(1 - datum.value, '.1f')"
    shade = alt.Color("good:Q", scale=alt.Scale(scheme="cividis", domain=domain, clamp=True)).legend(
        title="number in the cell; yellow: better", titleLimit=300, orient="bottom", gradientLength=220,
        gradientThickness=8, labelExpr=legend, values=[domain[0], sum(domain) / 2, domain[1]],
    )  # fmt: skip
    middle = domain[0] + 0.55 * (domain[1] - domain[0])
    light, dark = (alt.value(colour) for colour in TEXT_ON)
    tips = layers.tooltips(
        ("generator_title:N", "generator"), ("precision_title:N", "precision"), ("detector_title:N", "detector"),
        ("value:Q", "value", ".3f"), ("interval:N", "95 % interval"), ("n:N", "fakes"), ("reals:N", "reals"),
    )  # fmt: skip
    base = base.encode(x=column, tooltip=tips)
    known = base.transform_filter("isValid(datum.value)")
    unknown = base.transform_filter("!isValid(datum.value)")
    number = alt.condition(f"datum.good > {middle}", light, dark)
    names = alt.Chart(base.data).transform_aggregate(n="count()", groupby=["detector_title"])
    names = names.transform_calculate(lines=layers.two_lines("datum.detector_title", len(detectors)))
    return [
        known.mark_rect(cornerRadius=2).encode(color=shade),
        unknown.mark_rect(cornerRadius=2, color=UNKNOWN),
        known.mark_text(fontSize=11).encode(text="shown:N", color=number),
        unknown.mark_text(fontSize=11).encode(text="shown:N"),
        *(
            names.transform_calculate(line=line)
            .mark_text(fontWeight=600, baseline="bottom")
            .encode(x=column, y=alt.value(y), text="line:N")
            for y, line in ((-12, "length(datum.lines) > 1 ? datum.lines[0] : ''"), (2, "peek(datum.lines)"))
        ),
    ]


def _precisions(base: alt.Chart) -> alt.Chart:
    """The name of each row's precision, left of it."""
    return (
        base.transform_aggregate(n="count()", groupby=["generator_title", "precision_title"])
        .mark_text(align="right", fontSize=11, color=theme.QUIET)
        .encode(x=alt.value(-6), text="precision_title:N")
    )
