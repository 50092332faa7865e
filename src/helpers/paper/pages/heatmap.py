"""What notebook 02 says of a study: all cells at once, and the changes that precisions are set against."""

from __future__ import annotations

import pandas as pd

from helpers.analysis import figures, paired
from helpers.analysis.costs import costs, on_cpu
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.claims.rule import NOT_TESTABLE, Finding, unscaled
from helpers.results.results import Results

__all__ = ["controls_note", "overview", "shown"]


def overview(results: Results) -> Finding:
    """All cells at once: the mean changes of AUC, TPR at 5 % FPR and detection rate from the baseline to the lowest
    precision, and the range of the one that leads.
    """
    found = figures.overview(results)
    if found is None:
        rate = figures.FIGURES["tpr"]
        return Finding(NOT_TESTABLE, f"No {rate} of this study is known: {unscaled(results.unjudged)}.", {})
    span, base = _span(found), named(results.baseline)
    lead = "" if found.leading == "auc" else (
        " It has no real images, so neither AUC nor TPR at 5 % FPR is known and the detection rate leads."
    )  # fmt: skip
    if not found.precision:
        return Finding(NOT_TESTABLE, f"All images of this study are at {base}; {span}.{lead}", {})
    low = named(found.precision)
    if not found.changes:
        return Finding(NOT_TESTABLE, f"This study has no pairs of {base} and {low} images; {span}.{lead}", {})
    many = listed([word for word, keys in (
        ("generators", results.generators), ("detectors", results.detectors)) if len(keys) > 1])  # fmt: skip
    parts = [
        f"{figures.FIGURES[name]} by {number(change, 3, sign=True)}" for name, change in found.changes.items()
    ]  # fmt: skip
    mean = f"{low} changes {listed(parts)} against {base}"
    mean = f"Averaged over {many}, {mean}" if many else mean
    but = f" Left out of the detection rate: {unscaled(results.unjudged)}." if results.unjudged else ""
    key = f"mean change of {figures.FIGURES[found.leading]} at {low}"
    return Finding("", f"{mean}; {span}.{lead}{but}", {key: found.changes.get(found.leading, metrics.UNKNOWN)})


def shown(results: Results) -> str:
    """The sentence that says what a cell of the heatmap is before anybody turns its menu."""
    if (results.scores.label == 0).any():
        return (
            "Each cell is the AUC of a detector, which ranks a generator's images at one precision against real ones: "
            "0.5 is chance, 1 tells all apart. On its own page a menu changes to TPR at 5 % FPR and to the detection "
            "rate, the share of fakes called fake at the detector's own threshold, which the deck calls accuracy."
        )
    return (
        "Each cell is a detection rate: the share of a generator's images at one precision that a detector calls fake. "
        "Without real images neither AUC nor TPR at 5 % FPR is known."
    )


def _span(found: figures.Overview) -> str:
    """The range of the leading figure; a cell counts once for each detector."""
    scored = counted(found.combinations, "combination") + " of generator, precision and detector"
    name, title = found.leading, figures.FIGURES[found.leading]
    if found.worst[name] < found.best[name]:
        return f"over the {scored}, {title} runs from {_cell(found.worst, name)} to {_cell(found.best, name)}"
    return f"{title} is {found.best[name]:.2f} in {'each of the ' if found.combinations > 1 else ''}{scored}"


def _cell(row: pd.Series, name: str) -> str:
    interval = Interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))
    return f"{number(interval)} for {row.detector_title} on {row.generator_title} at {row.precision_title}"


def controls_note(results: Results) -> str:
    """The sentence that names the changes against which this study can set its precisions."""
    there = [title for title, _ in paired.controls(results).values()]
    idle = {
        "null control": f"the same {named(results.baseline)} images computed in batches of another size (null control)",
        "FP16": "weights cast to FP16" + (", which a CPU computes with in 32 bits" if on_cpu(costs(results)) else ""),
    }
    parts = [words for title, words in idle.items() if title in there]
    yardstick = "a yardstick, the same prompt from another seed's noise" if "other seed" in there else ""
    if not parts:
        lacks = "This study has no change that should not matter, to set its precisions against"
        return f"{lacks}; it has {yardstick}." if yardstick else f"{lacks}."
    many = "changes" if len(parts) > 1 else "a change"
    return f"So each precision is set against {many} that should not matter: {listed(parts)}" + (
        f"; and against {yardstick}." if yardstick else "."
    )
