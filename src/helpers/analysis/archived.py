"""What a study's archive says of each cell that the lab can make again: how many images are called fake, and how single
ones were scored.

Where a study has a ladder of rounded weights, the lab makes the same: it rounds weights and computes in 32 bits. A cell
of the main arm keeps the main arm's shares, which are those of the heatmap.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from helpers.analysis.dose_response import ladder_arm
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import interval_columns
from helpers.results.results import Results, all_arms

__all__ = ["CELL", "logits", "shares"]

#: What a cell of one detector is known by.
CELL = ["generator", "precision", "detector"]


def shares(results: Results) -> pd.DataFrame:
    """One row per generator, precision and detector: n, and `tpr`, the share called fake at the detector's own
    threshold, with its ends (Wilson): of the main arm, and of the ladder where the main arm lacks the precision."""
    rows = _fakes(results)
    rows = rows[rows.main | ~rows.precision.isin(results.precisions)]
    found = []
    for cell, group in rows.groupby(CELL, sort=False):
        called = metrics.verdicts(group.logit, results.threshold_of(cell[2]))
        row = dict(zip(CELL, cell, strict=True))
        found.append(row | {"n": len(group)} | interval_columns(tpr=metrics.rate(called)))
    return pd.DataFrame(found)


def logits(results: Results, images: Iterable[int]) -> pd.DataFrame:
    """The logits of these images, a row each: generator, precision, detector, index, logit. Of a precision that the
    study has twice, those of rounded weights."""
    rows = _fakes(results)
    keys = [*CELL, "index"]
    rows = rows[rows["index"].isin(list(images))].sort_values("main", kind="stable")
    return rows.drop_duplicates(keys)[[*keys, "logit"]].sort_values(keys, kind="stable").reset_index(drop=True)


def _fakes(results: Results) -> pd.DataFrame:
    """Fakes of the main arm and of the ladder: generator, precision, detector, index, logit, and whether it is the
    main arm (`main`)."""
    rows = all_arms(results)
    rows = rows[rows.arm.isin([results.arm, ladder_arm(results)])]
    rows = rows[rows.generator.isin(results.generators) & rows.detector.isin(results.detectors)]
    return rows[[*CELL, "index", "logit"]].assign(main=rows.arm == results.arm)
