"""Figures of detection: at two precisions side by side, along precisions, across generators; a menu chooses which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.analysis.words import counted
from helpers.charts import findings, layers, theme
from helpers.precision.catalogue import BASELINE

__all__ = ["anomaly", "legacy", "robustness"]

AXIS = "{} with 95 % interval"
CHOSEN = [("value:Q", "value", ".3f"), ("interval:N", "95 % interval"), ("n:N", "fakes"), ("reals:N", "reals")]
TOOLTIPS = [
    ("generator_title:N", "generator"), ("detector_title:N", "detector"), ("precision_title:N", "precision"), *CHOSEN,
]  # fmt: skip
MEASURED = {
    **layers.IMAGES,
    "value": "datum[figure]",
    "low": "datum[figure + '_low']",
    "high": "datum[figure + '_high']",
    "interval": "format(datum[figure + '_low'], '.3f') + ' to ' + format(datum[figure + '_high'], '.3f')",
}


def _base(cells: pd.DataFrame, figures: Mapping[str, str], column: str, *filters: str) -> alt.Chart:
    """The rows that these filters leave and that have the chosen figure, with one more column."""
    columns = ["generator", "precision", "precision_title", "detector_title", "n", "reals", *layers.ends(figures)]
    chart = alt.Chart(layers.picked(cells, *columns, column)).transform_calculate(**MEASURED)
    for kept in (*filters, "isValid(datum.value)"):
        chart = chart.transform_filter(kept)
    return chart


def _menu(figures: Mapping[str, str], metric: str) -> alt.Parameter:
    """The menu of figures, which starts with the one that is asked for, or that leads: without reals that is the
    detection rate."""
    return theme.choice("figure", "Measure", figures, metric)


def _axis(figures: Mapping[str, str]) -> str:
    """The axis' words: what is measured, where it is one thing, as a menu changes no axis title."""
    return AXIS.format(next(iter(figures.values())) if len(figures) == 1 else "measure, 0 to 1,")


def _changes(
    cells: pd.DataFrame, figures: Mapping[str, str], generators: Mapping[str, str], precisions: Mapping[str, str],
    first: str = "",
) -> Callable[..., str]:  # fmt: skip
    """What changes most on a generator between the baseline (default the first precision) and another (the last)."""

    def says(figure: str, model: str, precision: str = "") -> str:
        rows = cells[(cells.generator == model) & cells[figure].notna()]
        there = [key for key in precisions if key in set(rows.precision)] or list(precisions)
        both = dict.fromkeys((first or there[0], precision or there[-1]))
        on = f" on {generators[model]}"
        if len(both) == 2:
            return findings.between(rows, figure, figures[figure], {key: precisions[key] for key in both}, on)
        return findings.of_cells(rows, figures, generators, precisions)(figure, model, there[0])

    return says


def anomaly(
    cells: pd.DataFrame, generator: str = "sd3", precision: str = "fp4", baseline: str = BASELINE, metric: str = ""
) -> alt.LayerChart:
    """Bars of a figure per detector at the baseline and at one other precision, with intervals; menus choose figure,
    generator and precision. `cells` is as that of `heatmap`; `metric` names the figure to start with, or any other
    column between 0 and 1, which is then shown alone.
    """
    figures = layers.measures(cells, FIGURES, metric)
    cells = layers.completed(cells, figures)
    generators, precisions, detectors = layers.titles_of(cells)
    baseline = theme.start(precisions, baseline)
    others = {key: title for key, title in precisions.items() if key != baseline} or precisions
    generator, precision = theme.start(generators, generator), theme.start(others, precision)
    pair = f"datum.precision == '{baseline}' || datum.precision == precision"
    base = _base(cells, figures, "kind", "datum.generator == model", pair)
    menus = [
        _menu(figures, metric),
        theme.choice("model", "Generator", generators, generator),
        theme.choice("precision", f"{precisions[baseline]} against", others, precision),
    ]
    description = (
        f"Two bars a detector ({', '.join(detectors.values())}): what it makes of the same prompts at "
        f"{precisions[baseline]} and at another precision. Lines are 95 % intervals, numbers the bars' heights."
    )
    bars = _bars(base, figures, precisions, list(detectors.values()))
    says = _changes(cells, figures, generators, precisions, baseline)
    return layers.compose(bars, menus, description, 260, says)


def _bars(
    base: alt.Chart, figures: Mapping[str, str], precisions: Mapping[str, str], detectors: Sequence[str]
) -> list[alt.Chart]:
    """Bars beside each other for each detector, with intervals and, at the top, the numbers."""
    base = base.encode(
        x=alt.X("detector_title:N", sort=detectors, title=None).axis(
            labelAngle=0, ticks=False, labelExpr=layers.two_lines("datum.label", len(detectors))
        ),
        xOffset=alt.XOffset("precision_title:N", sort=list(precisions.values())),
        tooltip=layers.tooltips(
            ("detector_title:N", "detector"), ("kind:N", "kind"), ("precision_title:N", "precision"), *CHOSEN
        ),
    )
    height = alt.Y("value:Q", title=_axis(figures)).scale(domain=[0, 1.15]).axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    return [
        base.mark_bar().encode(y=height, color=layers.legend(layers.titled_colours("precision_title", precisions))),
        base.mark_rule(strokeWidth=2, color=theme.INK).encode(y="low:Q", y2="high:Q"),
        base.mark_text(fontSize=11, fontWeight=600, angle=270, align="right").encode(
            y=alt.value(0), text=alt.Text("value:Q", format=".2f")
        ),
    ]


def robustness(cells: pd.DataFrame, generator: str = "flux1", line: float = 0.95, metric: str = "") -> alt.LayerChart:
    """A figure of each detector from the finest precision down, with intervals; menus choose figure and generator. The
    line is drawn for the detection rate, of which the deck names it. `cells` and `metric` are as those of `anomaly`.
    """
    figures = layers.measures(cells, FIGURES, metric)
    cells = layers.completed(cells, figures)
    generators, precisions, detectors = layers.titles_of(cells)
    base = _base(cells, figures, "generator_title", "datum.generator == model").encode(
        x=alt.X("precision_title:N", sort=list(precisions.values()), title="precision of the weights").axis(
            labelAngle=0, ticks=False
        ),
        xOffset=alt.XOffset("detector_title:N", sort=list(detectors.values())).scale(paddingOuter=1),
        color=layers.legend(layers.titled_colours("detector_title", detectors)),
        tooltip=layers.tooltips(*TOOLTIPS),
    )
    height = alt.Y("value:Q", title=_axis(figures)).scale(domain=[0, 1]).axis(tickCount=5)
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=height)
    spans, points = layers.points_with_intervals(base, alt.Y("low:Q"), value=height, size=70, width=2)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"Each line is one of {counted(len(detectors), 'detector')} on the images of one generator at "
        f"{', '.join(precisions.values())}; upright lines are 95 % intervals."
        + (f" For the detection rate a dashed line stands at {line:.2f}." if "tpr" in figures else "")
    )
    menus = [_menu(figures, metric), theme.choice("model", "Generator", generators, generator)]
    limit = layers.rule(y=line, color=theme.INK, strokeDash=[6, 4]).transform_filter("figure == 'tpr'")
    says = _changes(cells, figures, generators, precisions)
    return layers.compose([limit, lines, spans, points], menus, description, 260, says)


def legacy(cells: pd.DataFrame, precision: str = BASELINE, metric: str = "") -> alt.LayerChart:
    """A figure on every generator, oldest first, one mark per detector with its interval; menus choose the figure and
    the precision, from `precision` on. `cells` and `metric` are as those of `anomaly`.
    """
    figures = layers.measures(cells, FIGURES, metric)
    cells = layers.completed(cells, figures)
    generators, precisions, detectors = layers.titles_of(cells)
    base = _base(cells, figures, "generator_title", "datum.precision == precision")
    base = layers.grouped_rows(
        base.encode(tooltip=layers.tooltips(*TOOLTIPS)),
        ("generator_title", generators.values()), ("detector_title", detectors.values()),
        layers.legend(layers.titled_colours("detector_title", detectors)),
    )  # fmt: skip
    axis = alt.X("low:Q", title=_axis(figures)).scale(domain=[0, 1]).axis(tickCount=5)
    spans, points = layers.points_with_intervals(base, axis, size=70)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"{', '.join(generators.values())}, oldest first: one mark for each of {counted(len(detectors), 'detector')} "
        "with its 95 % interval."
    )
    menus = [_menu(figures, metric), theme.choice("precision", "Precision", precisions, precision)]
    says = findings.by_generator(cells, figures, precisions)
    return layers.compose([spans, points], menus, description, layers.stacked_offsets(14), says)
