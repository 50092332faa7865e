"""Detection and spectra along the ladder of formats, against the error that each leaves in the weights."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["ladder"]

MEASURES = {
    "shift": "logit shift, in SDs of FP32",
    "tpr": "accuracy (fakes called fake)",
    "high": "energy above half Nyquist, dB",
}

# Okabe & Ito; shapes keep the families apart in print too.
FAMILIES = {
    "integer, symmetric": ("#000000", "circle"),
    "integer, affine": ("#009E73", "square"),
    "floating point": ("#D55E00", "triangle-up"),
    "normal float": ("#0072B2", "diamond"),
}


def ladder(
    table: pd.DataFrame, generator: str = "sd3", detector: str = "npr", measure: str = "shift"
) -> alt.LayerChart:
    """A measure of each format against its relative weight error (log scale), coloured by family; menus choose.

    `table` is that of `helpers.analysis.dose_response.ladder`. Points are labelled with their bits.
    """
    generators, detectors = (theme.options(table, key) for key in ("generator", "detector"))
    columns = ["generator", "detector", "precision_title", "bits", "family", "error", "n"]
    columns += [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    there = {name: title for name, title in MEASURES.items() if table[name].notna().any()}
    families = [family for family in FAMILIES if family in set(table.family)]
    base = (
        alt.Chart(table[columns].round(4))
        .transform_filter("datum.generator == model && datum.detector == detector")
        .transform_calculate(value="datum[measure]", low="datum[measure + '_low']", high="datum[measure + '_high']")
        .transform_filter("isValid(datum.value)")
        .encode(
            x=alt.X("error:Q", title="relative error of the weights (log scale)")
            .scale(type="log", nice=False, padding=18)
            .axis(values=[0.003, 0.01, 0.03, 0.1, 0.3, 1], format="~g", grid=True),
            color=alt.Color("family:N").scale(domain=families, range=[FAMILIES[f][0] for f in families])
            .legend(columns=2, labelLimit=170),
            tooltip=[
                alt.Tooltip("precision_title:N", title="format"), alt.Tooltip("bits:Q"), alt.Tooltip("family:N"),
                alt.Tooltip("error:Q", title="weight error", format=".1%"),
                alt.Tooltip("value:Q", title="estimate", format="+.3f"),
                alt.Tooltip("low:Q", title="from", format="+.3f"), alt.Tooltip("high:Q", title="to", format="+.3f"),
                alt.Tooltip("n:Q", title="images"),
            ],
        )
    )  # fmt: skip
    spans = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title="estimate with 95 % interval").scale(zero=False).axis(tickCount=6), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=80, opacity=0.8).encode(
        y="value:Q",
        shape=alt.Shape("family:N").scale(domain=families, range=[FAMILIES[f][1] for f in families]),
    )
    words = base.mark_text(dy=-9, baseline="bottom", fontSize=11).encode(
        y="high:Q", text="bits:Q", color=alt.value("#333")
    )
    zero = (
        alt.Chart(alt.Data(values=[{}]))
        .transform_filter("measure != 'tpr'")
        .mark_rule(color="#777", strokeDash=[4, 3])
        .encode(y=alt.datum(0))
    )
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measure", there, measure),
    ]
    description = (
        f"Effect of {table.precision.nunique()} formats on {len(detectors)} detectors against the relative error of "
        f"the weights (log scale), for {len(generators)} generators, with 95 % intervals, coloured by family of format "
        "and labelled with bits; menus choose generator, detector and measure."
    )
    return theme.describe(alt.layer(zero, spans, points, words).add_params(*menus), description, 300)
