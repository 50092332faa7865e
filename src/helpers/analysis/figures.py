"""The figures of detection, the same on every page: which lead, what they are called, how they change.

AUC needs no threshold, and TPR at 5 % FPR sets one on the reals; they lead. The detection rate, which the deck calls
accuracy, is the share of fakes called fake at the detector's own threshold, says nothing of reals, and stands second.
Where a study has no reals it alone is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
import pandas as pd

from helpers.analysis.cells import cells, mean_change, paired_logits, share_called
from helpers.analysis.stats import changes, metrics
from helpers.analysis.stats.metrics import Interval
from helpers.results.results import Results

__all__ = ["FIGURES", "Overview", "known", "mean_changes", "mean_levels", "overview"]

#: The figures by column of `analysis.cells`, in the order in which they are shown.
FIGURES = {"auc": "AUC", "tpr_at_5": "TPR at 5 % FPR", "tpr": "detection rate"}


def known(table: pd.DataFrame, ending: str = "") -> dict[str, str]:
    """Those of `FIGURES` that some row of a table has, in columns NAME + `ending`; the first leads."""
    return {
        name: title for name, title in FIGURES.items()
        if f"{name}{ending}" in table and table[f"{name}{ending}"].notna().any()
    }  # fmt: skip


def mean_changes(
    results: Results,
    detectors: Sequence[str],
    against: Sequence[str] = (),
    confidence: float = 0.95,
    precision: str = "",
) -> dict[str, Interval]:
    """Mean change of each of `FIGURES` from the baseline to a precision (default the lowest), minus the same of the
    detectors `against`; each generator and detector has the same weight, prompts are resampled whole.

    AUC and TPR at 5 % FPR are unknown where a generator has no reals, the detection rate is that of `mean_change`.
    """
    precision = precision or results.lowest
    pairs: list[changes.Pairs] = []
    for group, sign in ((detectors, 1.0), (against, -1.0)):
        own = [_pairs(results, detector, key, precision) for key in results.generators for detector in group]
        own = [cell for cell in own if len(cell.base)]
        if group and not own:
            return dict.fromkeys(FIGURES, metrics.UNKNOWN)
        pairs += [cell._replace(weight=sign / len(own)) for cell in own]
    return {
        "auc": changes.area_change(pairs, confidence=confidence),
        "tpr_at_5": changes.caught_change(pairs, confidence=confidence),
        "tpr": mean_change(results, detectors, against, confidence, precision),
    }


def mean_levels(results: Results, precision: str) -> dict[str, float]:
    """Each of `FIGURES` at a precision, a mean over the detectors and generators that have both it and the baseline;
    NaN where one of them lacks it."""
    rows = []
    for detector in results.detectors:
        for generator in results.generators:
            base, fake = (results.logits(detector, generator, key) for key in (results.baseline, precision))
            real = results.reals(detector, generator)
            if len(base) and len(fake):
                at = {"tpr_at_5": metrics.limit_at(real), "tpr": results.threshold_of(detector)}
                rates = {name: share_called(fake, limit).estimate for name, limit in at.items()}
                rows.append({"auc": metrics.auc(fake, real).estimate} | rates)
    return {name: float(np.mean([row[name] for row in rows])) if rows else float("nan") for name in FIGURES}


def _pairs(results: Results, detector: str, generator: str, precision: str) -> changes.Pairs:
    real = results.reals(detector, generator)
    pairs = paired_logits(results, detector, generator, precision)
    return changes.Pairs(*pairs, real.to_numpy(np.float64), real.index.to_numpy())


@dataclass(frozen=True)
class Overview:
    """All cells of a study at once.

    Attributes:
        leading: the first of `FIGURES` that is known.
        combinations: of generator, precision and detector of which it is known.
        worst, best: the rows of `cells` where it is lowest and highest.
        precision: the key of the one at which `changes` are, the study's lowest; "" where it has the baseline alone.
        changes: the mean change there of each figure that is known, see `mean_changes`; that of the detection rate is
            over the detectors with a threshold.
    """

    leading: str
    combinations: int
    worst: pd.Series
    best: pd.Series
    precision: str
    changes: dict[str, Interval]


def overview(results: Results) -> Overview | None:
    """The range of the leading figure and the mean changes of all; None where no figure is known."""
    table = cells(results)
    leading = next(iter(known(table)), "")
    if not leading:
        return None
    table = table.dropna(subset=leading)
    worst, best = (table.loc[place] for place in (table[leading].idxmin(), table[leading].idxmax()))
    judging = [key for key in results.detectors if key not in results.unjudged]
    found = mean_changes(results, results.detectors) | {"tpr": mean_change(results, judging)}
    found = {name: change for name, change in found.items() if not isnan(change.estimate)}
    return Overview(leading, len(table), worst, best, results.lowest, found)
