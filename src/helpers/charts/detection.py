"""Figures of detection: at two precisions side by side, along precisions, across generators; a menu chooses which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES, known
from helpers.charts import layers, theme
from helpers.precision.catalogue import BASELINE

__all__ = ["anomaly", "legacy", "robustness"]

AXIS = "estimate with 95 % interval"
COLUMNS = ["generator", "precision", "precision_title", "detector_title", "n", "reals", *layers.ends(FIGURES)]
CHOSEN = [("value:Q", "figure", ".3f"), ("interval:N", "95 % interval"), ("n:Q", "fakes"), ("reals:Q", "reals")]
TOOLTIPS = [
    ("generator_title:N", "generator"), ("detector_title:N", "detector"), ("precision_title:N", "precision"), *CHOSEN,
]  # fmt: skip
MEASURED = {
    "value": "datum[figure]",
    "low": "datum[figure + '_low']",
    "high": "datum[figure + '_high']",
    "interval": "format(datum[figure + '_low'], '.3f') + ' to ' + format(datum[figure + '_high'], '.3f')",
}


def _base(cells: pd.DataFrame, column: str, *filters: str) -> alt.Chart:
    """The rows that these filters leave and that have the chosen figure, with one more column."""
    chart = alt.Chart(cells[[*COLUMNS, column]].round(4)).transform_calculate(**MEASURED)
    for kept in (*filters, "isValid(datum.value)"):
        chart = chart.transform_filter(kept)
    return chart


def _menu(cells: pd.DataFrame) -> alt.Parameter:
    """The menu of figures, which starts with the one that leads: without reals that is the detection rate."""
    there = known(cells) or FIGURES
    return theme.choice("figure", "Figure", there, next(iter(there)))


def _named(cells: pd.DataFrame) -> str:
    """The figures that a menu chooses from, in words."""
    return ", ".join((known(cells) or FIGURES).values())


def anomaly(
    cells: pd.DataFrame, generator: str = "sd3", precision: str = "fp4", baseline: str = BASELINE
) -> alt.LayerChart:
    """Bars of a figure per detector at the baseline and at one other precision, with intervals; menus choose figure,
    generator and precision.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    baseline = theme.start(precisions, baseline)
    others = {key: title for key, title in precisions.items() if key != baseline} or precisions
    generator, precision = theme.start(generators, generator), theme.start(others, precision)
    pair = f"datum.precision == '{baseline}' || datum.precision == precision"
    base = _base(cells, "kind", "datum.generator == model", pair)
    menus = [
        _menu(cells),
        theme.choice("model", "Generator", generators, generator),
        theme.choice("precision", f"{precisions[baseline]} against", others, precision),
    ]
    description = (
        f"Bars per detector on {generators[generator]} at {precisions[baseline]} and {precisions[precision]}, with "
        f"95 % intervals; menus choose both and the figure: {_named(cells)}."
    )
    return layers.compose(_bars(base, precisions, list(detectors.values())), menus, description, 260)


def _bars(base: alt.Chart, precisions: Mapping[str, str], detectors: Sequence[str]) -> list[alt.Chart]:
    """Bars beside each other for each detector, with intervals and, at the top, the numbers."""
    base = base.encode(
        x=alt.X("detector_title:N", sort=detectors, title=None).axis(
            labelAngle=0, ticks=False, labelExpr=theme.TWO_LINES
        ),
        xOffset=alt.XOffset("precision_title:N", sort=list(precisions.values())),
        tooltip=layers.tooltips(
            ("detector_title:N", "detector"), ("kind:N", "kind"), ("precision_title:N", "precision"), *CHOSEN
        ),
    )
    height = alt.Y("value:Q", title=AXIS).scale(domain=[0, 1.15]).axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    return [
        base.mark_bar().encode(y=height, color=layers.titled_colours("precision_title", precisions)),
        base.mark_rule(strokeWidth=2, color="black").encode(y="low:Q", y2="high:Q"),
        base.mark_text(fontSize=11, fontWeight=600, angle=270, align="right").encode(
            y=alt.value(0), text=alt.Text("value:Q", format=".2f")
        ),
    ]


def robustness(cells: pd.DataFrame, generator: str = "flux1", line: float = 0.95) -> alt.LayerChart:
    """A figure of each detector from the finest precision down, with intervals; menus choose figure and generator. The
    line is drawn for the detection rate, of which the deck names it.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    base = _base(cells, "generator_title", "datum.generator == model").encode(
        x=alt.X("precision_title:N", sort=list(precisions.values()), title=None).axis(labelAngle=0, ticks=False),
        xOffset=alt.XOffset("detector_title:N", sort=list(detectors.values())).scale(paddingOuter=1),
        color=layers.titled_colours("detector_title", detectors),
        tooltip=layers.tooltips(*TOOLTIPS),
    )
    height = alt.Y("value:Q", title=AXIS).scale(domain=[0, 1]).axis(tickCount=5)
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=height)
    spans, points = layers.points_with_intervals(base, alt.Y("low:Q"), value=height, size=70, width=2)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"Detection by {', '.join(detectors.values())} on {generators[theme.start(generators, generator)]} at "
        f"{', '.join(precisions.values())}, with 95 % intervals, the detection rate against a line at {line:.2f}; "
        f"menus choose the generator and the figure: {_named(cells)}."
    )
    menus = [_menu(cells), theme.choice("model", "Generator", generators, generator)]
    limit = layers.rule(y=line, color="#333", strokeDash=[6, 4]).transform_filter("figure == 'tpr'")
    return layers.compose([limit, lines, spans, points], menus, description, 260)


def legacy(cells: pd.DataFrame, precision: str = BASELINE) -> alt.LayerChart:
    """A figure on every generator, oldest first, one mark per detector with its interval; menus choose the figure and
    the precision, from `precision` on.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    base = _base(cells, "generator_title", "datum.precision == precision").encode(tooltip=layers.tooltips(*TOOLTIPS))
    base = layers.grouped_rows(
        base, ("generator_title", generators.values()), ("detector_title", detectors.values()),
        layers.titled_colours("detector_title", detectors),
    )  # fmt: skip
    axis = alt.X("low:Q", title=AXIS).scale(domain=[0, 1]).axis(tickCount=5)
    spans, points = layers.points_with_intervals(base, axis, size=70)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"Detection by {', '.join(detectors.values())} on {', '.join(generators.values())}, oldest first, with 95 % "
        f"intervals; menus choose the precision and the figure: {_named(cells)}."
    )
    menus = [_menu(cells), theme.choice("precision", "Precision", precisions, precision)]
    return layers.compose([spans, points], menus, description, layers.stacked_offsets(14))
