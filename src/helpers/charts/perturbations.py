"""What perturbations and precisions change: each condition of a detector against untouched FP32 images."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["perturbations"]

MEASURES = {"auc_change": "AUC", "tpr_change": "accuracy (fakes called fake)", "tnr_change": "reals called real"}


def perturbations(
    effects: pd.DataFrame, detector: str = "npr", measure: str = "auc_change", against: str = "FP32"
) -> alt.LayerChart:
    """The change against untouched images at the baseline with its interval, per perturbation and precision; menus
    choose the detector and the measure. `effects` is the table of `analysis.perturbed.perturbation_effects`, `against`
    names the baseline.
    """
    precisions, detectors = (theme.options(effects, key) for key in ("precision", "detector"))
    order = list(effects.perturbation_title.unique())
    columns = ["perturbation_title", "precision_title", "detector", "n", *layers.ends(MEASURES)]
    base = (
        alt.Chart(effects[columns].round(4))
        .transform_filter("datum.detector == detector")
        .transform_calculate(**layers.MEASURED)
        .encode(
            tooltip=layers.tooltips(
                ("perturbation_title:N", "done to it"), ("precision_title:N", "precision"),
                ("value:Q", "change", "+.3f"), ("interval:N", "95 % interval"), ("n:Q", "prompts"),
            )
        )
    )  # fmt: skip
    base = layers.grouped_rows(
        base, ("perturbation_title", order), ("precision_title", precisions.values()),
        layers.titled_colours("precision_title", precisions),
    )  # fmt: skip
    axis = alt.X("low:Q", title=f"change against untouched {against} images").axis(tickCount=6)
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measured in", MEASURES, measure),
    ]
    description = (
        f"Change of {detectors.get(detector, detector)} against untouched {against} images after {len(order) - 1} "
        f"perturbations, at {', '.join(precisions.values())}, with 95 % intervals; menus choose detector and measure."
    )
    stack = [layers.rule(x=0), *layers.points_with_intervals(base, axis)]
    return layers.compose(stack, menus, description, layers.stacked_offsets(16))
