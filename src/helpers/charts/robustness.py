"""Accuracy along precisions against a line that it should stay above, and accuracy across generators."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["legacy", "robustness"]

SHAPES = ["circle", "square", "triangle-up", "diamond"]


def _tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("generator_title:N", title="generator"),
        alt.Tooltip("detector_title:N", title="detector"),
        alt.Tooltip("precision_title:N", title="precision"),
        alt.Tooltip("tpr:Q", title="accuracy", format=".3f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="images"),
    ]


COLUMNS = [
    "generator", "generator_title", "precision", "precision_title", "detector_title", "n", "tpr",
    "tpr_low", "tpr_high",
]  # fmt: skip
INTERVAL = "format(datum.tpr_low, '.3f') + ' to ' + format(datum.tpr_high, '.3f')"


def robustness(cells: pd.DataFrame, generator: str = "flux1", line: float = 0.95) -> alt.LayerChart:
    """Accuracy of each detector from FP32 down, with Wilson intervals, and the line; a menu chooses the generator."""
    generators, precisions, detectors = (theme.options(cells, key) for key in ("generator", "precision", "detector"))
    base = (
        alt.Chart(cells[COLUMNS].round(4))
        .transform_filter("datum.generator == model && isValid(datum.tpr)")
        .transform_calculate(interval=INTERVAL)
        .encode(
            x=alt.X("precision_title:N", sort=list(precisions.values()), title=None).axis(labelAngle=0, ticks=False),
            xOffset=alt.XOffset("detector_title:N", sort=list(detectors.values())).scale(paddingOuter=1),
            color=alt.Color("detector_title:N", sort=list(detectors.values())).scale(
                theme.colours(detectors, detectors.values())
            ),
            tooltip=_tooltips(),
        )
    )
    height = alt.Y("tpr:Q", title="accuracy (fakes called fake)").scale(domain=[0, 1]).axis(tickCount=5)
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=height)
    spans = base.mark_rule(strokeWidth=2).encode(y="tpr_low:Q", y2="tpr_high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=height,
        shape=alt.Shape("detector_title:N", sort=list(detectors.values())).scale(
            domain=list(detectors.values()), range=(SHAPES * 3)[: len(detectors)]
        ),
    )
    limit = alt.Chart(alt.Data(values=[{}])).mark_rule(strokeDash=[6, 4], color="#333").encode(y=alt.datum(line))
    description = (
        f"Accuracy of {', '.join(detectors.values())} on {generators[theme.start(generators, generator)]} at "
        f"{', '.join(precisions.values())}, with 95 % intervals, against a line at {line:.2f}; a menu chooses the "
        "generator."
    )
    menu = theme.choice("model", "Generator", generators, generator)
    return theme.describe(alt.layer(limit, lines, spans, points).add_params(menu), description, 260)


def legacy(cells: pd.DataFrame, precision: str = "fp32") -> alt.LayerChart:
    """Accuracy on every generator, oldest first, one mark per detector with its interval; a menu chooses the
    precision.
    """
    generators, precisions, detectors = (theme.options(cells, key) for key in ("generator", "precision", "detector"))
    base = (
        alt.Chart(cells[COLUMNS].round(4))
        .transform_filter("datum.precision == precision && isValid(datum.tpr)")
        .transform_calculate(interval=INTERVAL)
        .encode(
            y=alt.Y("generator_title:N", sort=list(generators.values()), title=None).axis(
                labelFontWeight=600, ticks=False
            ),
            yOffset=alt.YOffset("detector_title:N", sort=list(detectors.values())),
            color=alt.Color("detector_title:N", sort=list(detectors.values())).scale(
                theme.colours(detectors, detectors.values())
            ),
            tooltip=_tooltips(),
        )
    )
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("tpr_low:Q", title="accuracy (fakes called fake)").scale(domain=[0, 1]).axis(tickCount=5),
        x2="tpr_high:Q",
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="tpr:Q",
        shape=alt.Shape("detector_title:N", sort=list(detectors.values())).scale(
            domain=list(detectors.values()), range=(SHAPES * 3)[: len(detectors)]
        ),
    )
    description = (
        f"Accuracy of {', '.join(detectors.values())} on {', '.join(generators.values())}, oldest first, with 95 % "
        "intervals; a menu chooses the precision."
    )
    menu = theme.choice("precision", "Precision", precisions, precision)
    return theme.describe(alt.layer(spans, points).add_params(menu), description, alt.Step(14, **{"for": "offset"}))
