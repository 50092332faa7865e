"""Accuracy of the detectors: at two precisions side by side, along precisions, and across generators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from helpers.charts import layers, theme
from helpers.precision.catalogue import BASELINE

__all__ = ["anomaly", "legacy", "robustness"]

AXIS = "accuracy (fakes called fake)"
WORDS = layers.interval_words("tpr")
COLUMNS = ["generator", "precision", "precision_title", "detector_title", "n", *layers.ends(["tpr"])]
FIGURES = [("tpr:Q", "accuracy", ".3f"), ("interval:N", "95 % interval"), ("n:Q", "images")]
TOOLTIPS = [
    ("generator_title:N", "generator"), ("detector_title:N", "detector"), ("precision_title:N", "precision"), *FIGURES,
]  # fmt: skip


def anomaly(
    cells: pd.DataFrame, generator: str = "sd3", precision: str = "fp4", baseline: str = BASELINE
) -> alt.LayerChart:
    """Bars of accuracy per detector at the baseline and at one other precision, with Wilson intervals; menus choose
    generator and precision.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    baseline = theme.start(precisions, baseline)
    others = {key: title for key, title in precisions.items() if key != baseline} or precisions
    generator, precision = theme.start(generators, generator), theme.start(others, precision)
    base = (
        alt.Chart(cells[[*COLUMNS, "kind"]].round(4))
        .transform_filter("datum.generator == model && isValid(datum.tpr)")
        .transform_filter(f"datum.precision == '{baseline}' || datum.precision == precision")
        .transform_calculate(interval=WORDS)
    )
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("precision", f"{precisions[baseline]} against", others, precision),
    ]
    description = (
        f"Bars of accuracy per detector on {generators[generator]} at {precisions[baseline]} and "
        f"{precisions[precision]}, with 95 % Wilson intervals; menus choose both."
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
            ("detector_title:N", "detector"), ("kind:N", "kind"), ("precision_title:N", "precision"), *FIGURES
        ),
    )
    height = alt.Y("tpr:Q", title=AXIS).scale(domain=[0, 1.15]).axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    return [
        base.mark_bar().encode(y=height, color=layers.titled_colours("precision_title", precisions)),
        base.mark_rule(strokeWidth=2, color="black").encode(y="tpr_low:Q", y2="tpr_high:Q"),
        base.mark_text(fontSize=11, fontWeight=600, angle=270, align="right").encode(
            y=alt.value(0), text=alt.Text("tpr:Q", format=".2f")
        ),
    ]


def robustness(cells: pd.DataFrame, generator: str = "flux1", line: float = 0.95) -> alt.LayerChart:
    """Accuracy of each detector from the finest precision down, with Wilson intervals, and the line; a menu chooses the
    generator.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    base = (
        alt.Chart(cells[[*COLUMNS, "generator_title"]].round(4))
        .transform_filter("datum.generator == model && isValid(datum.tpr)")
        .transform_calculate(interval=WORDS)
        .encode(
            x=alt.X("precision_title:N", sort=list(precisions.values()), title=None).axis(labelAngle=0, ticks=False),
            xOffset=alt.XOffset("detector_title:N", sort=list(detectors.values())).scale(paddingOuter=1),
            color=layers.titled_colours("detector_title", detectors),
            tooltip=layers.tooltips(*TOOLTIPS),
        )
    )
    height = alt.Y("tpr:Q", title=AXIS).scale(domain=[0, 1]).axis(tickCount=5)
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=height)
    spans, points = layers.points_with_intervals(base, alt.Y("tpr_low:Q"), "tpr_high:Q", height, size=70, width=2)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"Accuracy of {', '.join(detectors.values())} on {generators[theme.start(generators, generator)]} at "
        f"{', '.join(precisions.values())}, with 95 % intervals, against a line at {line:.2f}; a menu chooses the "
        "generator."
    )
    menus = [theme.choice("model", "Generator", generators, generator)]
    limit = layers.rule(y=line, color="#333", strokeDash=[6, 4])
    return layers.compose([limit, lines, spans, points], menus, description, 260)


def legacy(cells: pd.DataFrame, precision: str = BASELINE) -> alt.LayerChart:
    """Accuracy on every generator, oldest first, one mark per detector with its interval; a menu chooses the precision,
    from `precision` on.
    """
    generators, precisions, detectors = layers.titles_of(cells)
    base = (
        alt.Chart(cells[[*COLUMNS, "generator_title"]].round(4))
        .transform_filter("datum.precision == precision && isValid(datum.tpr)")
        .transform_calculate(interval=WORDS)
        .encode(tooltip=layers.tooltips(*TOOLTIPS))
    )
    base = layers.grouped_rows(
        base, ("generator_title", generators.values()), ("detector_title", detectors.values()),
        layers.titled_colours("detector_title", detectors),
    )  # fmt: skip
    axis = alt.X("tpr_low:Q", title=AXIS).scale(domain=[0, 1]).axis(tickCount=5)
    spans, points = layers.points_with_intervals(base, axis, "tpr_high:Q", "tpr:Q", size=70)
    points = points.encode(shape=layers.shapes("detector_title", list(detectors.values())))
    description = (
        f"Accuracy of {', '.join(detectors.values())} on {', '.join(generators.values())}, oldest first, with 95 % "
        "intervals; a menu chooses the precision."
    )
    menus = [theme.choice("precision", "Precision", precisions, precision)]
    return layers.compose([spans, points], menus, description, layers.stacked_offsets(14))
