"""What perturbations and precisions change: each condition of a detector against untouched FP32 images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd

from helpers.analysis.figures import FIGURES
from helpers.analysis.words import capitalised, printed
from helpers.charts import findings, layers, theme

__all__ = ["MEASURES", "perturbations"]

MEASURES = {"auc_change": FIGURES["auc"], "tpr_change": FIGURES["tpr"], "tnr_change": "reals called real (TNR)"}


def perturbations(
    effects: pd.DataFrame, detector: str = "npr", measure: str = "auc_change", against: str = "FP32"
) -> alt.LayerChart:
    """The change against untouched images at the baseline with its interval, per perturbation and precision; menus
    choose the detector and the measure. `effects` is the table of `analysis.perturbed.perturbation_effects`, `against`
    names the baseline; a `measure` that is none of MEASURES is another column of it, shown alone.
    """
    measures = layers.measures(effects, MEASURES, measure)
    effects = layers.bounded(effects, measures)
    precisions, detectors = (theme.options(effects, key) for key in ("precision", "detector"))
    order = list(effects.perturbation_title.unique())
    columns = ["perturbation_title", "precision_title", "detector", "n", *layers.ends(measures)]
    base = (
        alt.Chart(layers.picked(effects, *columns))
        .transform_filter("datum.detector == detector")
        .transform_calculate(**layers.MEASURED)
        .encode(
            tooltip=layers.tooltips(
                ("perturbation_title:N", "perturbation"), ("precision_title:N", "precision"),
                ("value:Q", "change", "+.3f"), ("interval:N", "95 % interval"), ("n:Q", "prompts"),
            )
        )
    )  # fmt: skip
    base = layers.grouped_rows(
        base, ("perturbation_title", order), ("precision_title", precisions.values()),
        layers.legend(layers.titled_colours("precision_title", precisions)),
    )  # fmt: skip
    axis = alt.X("low:Q", title=f"change against untouched {against} images").axis(tickCount=6)
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measure", measures, measure),
    ]
    description = (
        f"Change of a detector against untouched {against} images after {len(order) - 1} perturbations, at "
        f"{', '.join(precisions.values())}, a mean over the generators; lines are 95 % intervals."
    )
    stack = [layers.rule(x=0), *layers.points_with_intervals(base, axis)]
    says = _says(effects, measures, precisions, detectors)
    return layers.compose(stack, menus, description, layers.stacked_offsets(16), says)


def _says(
    effects: pd.DataFrame, measures: Mapping[str, str], precisions: Mapping[str, str], detectors: Mapping[str, str]
) -> Callable[..., str]:
    """Which perturbation changes a detector most at the first precision, and what the last precision does alone."""
    first, last = list(precisions)[0], list(precisions)[-1]

    def says(detector: str, measure: str) -> str:
        rows = effects[(effects.detector == detector) & effects[measure].notna()]
        handled = rows[(rows.precision == first) & (rows.perturbation != "none")]
        if handled.empty:
            return findings.NOTHING
        most = findings.widest(handled, measure)
        said = f"{capitalised(most.perturbation_title)} changes {detectors[detector]}'s {measures[measure]} most: "
        alone = rows[(rows.precision == last) & (rows.perturbation == "none")][measure]
        beside = f"; {precisions[last]} alone: {printed(alone.iloc[0], sign=True)}" if len(alone) else ""
        return f"{said}{printed(most[measure], sign=True)}{beside if last != first else ''}"

    return says
