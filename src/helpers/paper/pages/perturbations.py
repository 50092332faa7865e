"""What notebook 11 shows: the change that each perturbation makes, and the figures behind it."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import charts
from helpers.paper import page, tables

__all__ = ["figure", "table"]


def figure(effects: pd.DataFrame, against: str = "FP32") -> None:
    """Display what each perturbation changes, where the study has such scores.

    `effects` is the table of `analysis.perturbed.perturbation_effects`, `against` names the baseline.
    """
    if effects.empty:
        display(Markdown("This study has no perturbed scores, so there is no chart."))
        return
    page.glue_figure("perturbations", charts.perturbations(effects, against=against))


def table(effects: pd.DataFrame, measure: str, caption: str) -> HTML:
    """One measure ("auc", "tpr" or "tnr") with its interval after each perturbation, detectors across.

    `effects` is the table that `figure` takes. Reals have no precision, so "tnr" is shown once.
    """
    if effects.empty:
        return tables.missing("This study has no perturbed.parquet, so this is not known.")
    columns = [measure, f"{measure}_low", f"{measure}_high"]
    shown = effects.assign(figure=[_short(*row) for row in effects[columns].to_numpy()])
    shown = shown.sort_values("perturbation", key=lambda of: of.map(list(of.unique()).index), kind="stable")
    keys = {"perturbation_title": "done to it", "precision_title": "precision"}
    if measure == "tnr":
        shown, keys = shown[shown.precision == shown.precision.iloc[0]], {"perturbation_title": "done to it"}
    wide = tables.crossed(shown, list(keys), "detector_title", "figure")
    return tables.table(wide.rename(columns=keys), caption)


def _short(value: float, low: float, high: float) -> str:
    """Four detectors fit beside each other only without the intervals' leading zeros: 0.93 (.88-.96)."""
    if pd.isna(value):
        return tables.DASH
    ends = (f"{end:.2f}".removeprefix("0") for end in (low, high))
    return f"{value:.2f} ({tables.DASH.join(ends)})"
