"""Detection and spectra along the ladder of formats, against the error that each leaves in the weights."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.charts import findings, layers, theme

__all__ = ["FAMILIES", "MEASURES", "ladder"]

MEASURES = {
    "shift": "logit shift, in standard deviations of {}",
    **FIGURES,
    "high": "energy above half Nyquist, dB",
}

#: Families of formats with Okabe and Ito's colours; shapes keep them apart in print too.
FAMILIES = {
    "integer, symmetric": ("#000000", "circle"),
    "integer, affine": ("#009E73", "square"),
    "integer, -8 to 7": ("#CC79A7", "triangle-down"),
    "floating point": ("#D55E00", "triangle-up"),
    "normal float": ("#0072B2", "diamond"),
}
_CHANGES = "measure == 'shift' || measure == 'high'"
UNKNOWN = (theme.OTHER, "cross")
COLUMNS = ["generator", "detector", "precision_title", "bits", "family", "error", "n"]


def ladder(
    table: pd.DataFrame, generator: str = "sd3", detector: str = "npr", measure: str = "shift", against: str = "FP32"
) -> alt.LayerChart:
    """A measure of each format against its relative weight error (log scale), coloured by family; menus choose.

    `table` is that of `helpers.analysis.dose_response.ladder`, `against` names the baseline. Points are labelled with
    their bits. A `measure` that is none of MEASURES is another column of it, shown alone.
    """
    generators, detectors = (theme.options(table, key) for key in ("generator", "detector"))
    there = layers.measures(table, {name: title.format(against) for name, title in MEASURES.items()}, measure)
    table = layers.bounded(table, there)
    base = (
        alt.Chart(layers.picked(table, *COLUMNS, *layers.ends(there)))
        .transform_filter("datum.generator == model && datum.detector == detector")
        .transform_calculate(**{name: layers.MEASURED[name] for name in ("value", "low", "high")})
        .transform_filter("isValid(datum.value)")
    )
    base = layers.capped(base, "precision_title", _CHANGES).transform_calculate(
        label="datum.beyond ? datum.label : datum.bits"
    )
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measure", there, measure),
    ]
    description = (
        "What each format does to a detector against the relative error that it leaves in the weights (log scale), "
        f"from {against}; labels are bits, colours and shapes families of formats, lines 95 % intervals. A format that "
        "moves more than three times as far as the next stands at the edge, with an arrow and its value."
    )
    zero = layers.rule(y=0, color=theme.QUIET, strokeDash=[4, 3]).transform_filter(_CHANGES)
    families = sorted(table.family.unique(), key=lambda family: (*FAMILIES, family).index(family))

    def says(model: str, detector: str, measure: str) -> str:
        rows = table[(table.generator == model) & (table.detector == detector)]
        over = findings.from_to(rows, measure, "precision_title", sign=measure in ("shift", "high"))
        return f"{detectors[detector]} on {generators[model]}: {there[measure].partition(',')[0]} runs {over}"

    return layers.compose([zero, *_formats(base, families)], menus, description, 300, says)


def _formats(base: alt.Chart, families: list[str]) -> list[alt.Chart]:
    """Spans, points and bits of the formats over the error of their weights."""
    shapes = [FAMILIES.get(family, UNKNOWN)[1] for family in families]
    colours = {family: FAMILIES.get(family, UNKNOWN)[0] for family in families}
    base = base.encode(
        x=alt.X("error:Q", title="relative error of the weights (log scale)")
        .scale(type="log", nice=False, padding=18)
        .axis(values=[0.003, 0.01, 0.03, 0.1, 0.3, 1], format="~g", grid=True),
        color=layers.legend(layers.coloured("family", colours), 130),
        tooltip=layers.tooltips(
            ("precision_title:N", "format"), ("bits:Q",), ("family:N",), ("error:Q", "weight error", ".1%"),
            ("value:Q", "estimate", "+.3f"), ("low:Q", "from", "+.3f"), ("high:Q", "to", "+.3f"), ("n:Q", "images"),
        ),
    )  # fmt: skip
    axis = alt.Y("least:Q", title="measure with 95 % interval").scale(zero=False).axis(tickCount=6)
    spans, points = layers.points_with_intervals(base, axis, "most:Q", "drawn:Q", size=80, width=2, opacity=0.8)
    points = points.encode(shape=alt.Shape("family:N").scale(domain=families, range=shapes))
    bits = base.mark_text(dy=-9, baseline="bottom", fontSize=11)
    return [spans, points, bits.encode(y="most:Q", text="label:N", color=alt.value(theme.INK))]
