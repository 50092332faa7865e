"""What notebook 11 shows: the change that each perturbation makes, and the figures behind it."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import charts
from helpers.analysis import perturbed
from helpers.analysis.words import named
from helpers.paper import page, tables
from helpers.results.results import Results

__all__ = ["figure", "reading", "show_tables", "table", "what"]

#: What is tabulated, with its caption.
MEASURES = {
    "auc": "AUC of fakes against reals that were handled alike",
    "tpr": "Detection rate: share of fakes called fake",
    "tnr": "Share of reals called real",
}
LESSON = (
    "The detectors saw light JPEG and blur in one training image of ten each (their cards say so), and never a picture "
    "that was made smaller. A detector trained on what platforms do would lose less; a comparison with {low} is one of "
    "this training."
)


def what(effects: pd.DataFrame) -> str:
    """The sentence that names what is done to the pictures; "" where nothing was."""
    return f"Here it is {perturbed.what(effects)}." if len(effects) else ""


def reading(results: Results, effects: pd.DataFrame) -> str:
    """How the figure is read, and what the shipped detectors were trained on; "" where there is no figure."""
    if effects.empty:
        return ""
    base, low = named(results.baseline), named(results.lowest)
    said = (
        f"The first line of the chart is {low} alone; the others are perturbations, of {base} images and of {low} "
        f"images. Intervals resample the prompts ({effects.n.min()} of each generator), the same for all conditions, "
        "so every difference is paired. Where no prompt changes anything an interval allows for what so few may hide."
    )
    return f"{said} {LESSON.format(low=low)}" if results.scale == "mini" else said


def figure(effects: pd.DataFrame, against: str = "FP32") -> None:
    """Display what each perturbation changes, where the study has such scores.

    `effects` is the table of `analysis.perturbed.perturbation_effects`, `against` names the baseline.
    """
    if effects.empty:
        display(Markdown("This study has no perturbed scores, so there is no chart."))
        return
    page.glue_figure("perturbations", charts.perturbations(effects, against=against))


def show_tables(effects: pd.DataFrame) -> None:
    """Display each of `MEASURES` as a table, or the sentence that there is none."""
    for measure, caption in MEASURES.items():
        display(table(effects, measure, caption))
        if effects.empty:
            return


def table(effects: pd.DataFrame, measure: str, caption: str) -> HTML:
    """One measure ("auc", "tpr" or "tnr") with its interval after each perturbation, detectors across.

    `effects` is the table that `figure` takes. Reals have no precision, so "tnr" is shown once.
    """
    if effects.empty:
        return tables.missing("This study has no perturbed.parquet, so this is not known.")
    columns = [measure, f"{measure}_low", f"{measure}_high"]
    shown = effects.assign(figure=[tables.interval(row, measure) for _, row in effects[columns].iterrows()])
    shown = shown.sort_values("perturbation", key=lambda of: of.map(list(of.unique()).index), kind="stable")
    keys = {"perturbation_title": "perturbation", "precision_title": "precision"}
    if measure == "tnr":
        shown, keys = shown[shown.precision == shown.precision.iloc[0]], {"perturbation_title": "perturbation"}
    wide = tables.crossed(shown, list(keys), "detector_title", "figure")
    return tables.table(wide.rename(columns=keys), caption)
