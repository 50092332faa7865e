"""What perturbations and precisions change: each condition of a detector against untouched FP32 images."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["perturbations"]

MEASURES = {"auc_change": "AUC", "tpr_change": "accuracy (fakes called fake)", "tnr_change": "reals called real"}


def perturbations(effects: pd.DataFrame, detector: str = "npr", measure: str = "auc_change") -> alt.LayerChart:
    """The change against untouched FP32 images with its interval, per perturbation and precision; menus choose the
    detector and the measure. `effects` is the table of `helpers.analysis.perturbed.effects`.
    """
    precisions, detectors = (theme.options(effects, key) for key in ("precision", "detector"))
    order = list(effects.perturbation_title.unique())
    columns = ["perturbation_title", "precision_title", "detector", "n"]
    columns += [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    base = (
        alt.Chart(effects[columns].round(4))
        .transform_filter("datum.detector == detector")
        .transform_calculate(**theme.MEASURED)
        .encode(
            y=alt.Y("perturbation_title:N", sort=order, title=None).axis(labelFontWeight=600, ticks=False),
            yOffset=alt.YOffset("precision_title:N", sort=list(precisions.values())),
            color=alt.Color("precision_title:N", sort=list(precisions.values())).scale(
                theme.colours(precisions, precisions.values())
            ),
            tooltip=[
                alt.Tooltip("perturbation_title:N", title="done to it"),
                alt.Tooltip("precision_title:N", title="precision"),
                alt.Tooltip("value:Q", title="change", format="+.3f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("n:Q", title="prompts"),
            ],
        )
    )
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="change against untouched FP32 images").axis(tickCount=6), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#555").encode(x=alt.datum(0))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measured in", MEASURES, measure),
    ]
    description = (
        f"Change of {detectors.get(detector, detector)} against untouched FP32 images after {len(order) - 1} "
        f"perturbations, at {', '.join(precisions.values())}, with 95 % intervals; menus choose detector and measure."
    )
    return theme.describe(
        alt.layer(zero, spans, points).add_params(*menus), description, alt.Step(16, **{"for": "offset"})
    )
