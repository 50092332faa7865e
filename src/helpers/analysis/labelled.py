"""Anybody's images that carry a label: how well each detector tells their fakes from their reals, with intervals."""

from __future__ import annotations

import pandas as pd

from helpers.analysis.stats import metrics

__all__ = ["by_detector"]

_LOGIT = "_logit"


def by_detector(table: pd.DataFrame) -> pd.DataFrame:
    """One row per detector of a table as `quantdetect detect` writes it; images without label or logit do not count.

    A file that is there several times under one label, by its sha256, counts once: the intervals are of images that do
    not depend on each other.

    Columns: detector, reals and fakes (how many), and of auc (DeLong's interval), tpr (fakes called fake) and tnr
    (reals called real; both Wilson's) the estimate, NAME_low and NAME_high, 0 to 1; NaN where a class has no image.
    What is called fake says the table's own verdict, which is that at the detector's threshold.
    """
    names = [name.removesuffix(_LOGIT) for name in table.columns if name.endswith(_LOGIT)]
    return pd.DataFrame([_row(table, name) for name in names])


def _row(table: pd.DataFrame, name: str) -> dict[str, object]:
    scored = table[table[f"{name}{_LOGIT}"].notna()].drop_duplicates(["label", "sha256"])
    fake, real = (scored[scored["label"] == label] for label in ("fake", "real"))
    found = {
        "auc": metrics.auc(fake[f"{name}{_LOGIT}"], real[f"{name}{_LOGIT}"]),
        "tpr": metrics.wilson(int((fake[f"{name}_verdict"] == "fake").sum()), len(fake)),
        "tnr": metrics.wilson(int((real[f"{name}_verdict"] == "real").sum()), len(real)),
    }
    row: dict[str, object] = {"detector": name, "reals": len(real), "fakes": len(fake)}
    for measure, value in found.items():
        row |= {measure: value.estimate, f"{measure}_low": value.low, f"{measure}_high": value.high}
    return row
