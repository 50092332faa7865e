"""What notebook 02 says of a study: all cells at once, and the changes that precisions are set against."""

from __future__ import annotations

from math import isnan

import pandas as pd

from helpers.analysis import paired
from helpers.analysis.cells import Overview, accuracy_overview
from helpers.analysis.costs import costs, on_cpu
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.claims.rule import NOT_TESTABLE, Finding, unscaled
from helpers.results.results import Results

__all__ = ["controls_note", "overview"]


def overview(results: Results) -> Finding:
    """All cells at once: the mean change of accuracy from the baseline to the lowest precision, and the range of
    accuracy.
    """
    found = accuracy_overview(results)
    if found is None:
        return Finding(NOT_TESTABLE, f"No accuracy of this study is known: {unscaled(results.unjudged)}.", {})
    span, base = _span(found), named(results.baseline)
    if not found.precision:
        return Finding(NOT_TESTABLE, f"All images of this study are at {base}; {span}.", {})
    low = named(found.precision)
    if isnan(found.change.estimate):
        return Finding(NOT_TESTABLE, f"This study has no pairs of {base} and {low} images; {span}.", {})
    shown = number(found.change, 3, sign=True)
    judging = [key for key in results.detectors if key not in results.unjudged]
    many = listed([word for word, keys in (
        ("generators", results.generators), ("detectors", judging)) if len(keys) > 1])  # fmt: skip
    mean = f"{low} changes accuracy by {shown} against {base}"
    mean = f"Averaged over {many}, {mean}" if many else mean
    but = f" The others are left out: {unscaled(results.unjudged)}." if results.unjudged else ""
    return Finding("", f"{mean}; {span}.{but}", {f"mean change at {low}": found.change})


def _span(found: Overview) -> str:
    """The range of accuracy; a cell counts once for each detector."""
    scored = counted(found.combinations, "combination") + " of generator, precision and detector"
    if found.worst.tpr < found.best.tpr:
        return f"over the {scored}, accuracy runs from {_cell(found.worst)} to {_cell(found.best)}"
    return f"accuracy is {found.best.tpr:.2f} in {'each of the ' if found.combinations > 1 else ''}{scored}"


def _cell(row: pd.Series) -> str:
    interval = Interval(row.tpr, row.tpr_low, row.tpr_high)
    return f"{number(interval)} for {row.detector_title} on {row.generator_title} at {row.precision_title}"


def controls_note(results: Results) -> str:
    """The sentence that names the changes against which this study can set its precisions."""
    there = [title for title, _ in paired.controls(results).values()]
    idle = {
        "null control": f"the same {named(results.baseline)} images computed in groups (null control)",
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
