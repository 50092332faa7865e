"""Thirteen trainings of two detectors: which are seeds of one training, and what an effect of each is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.analysis import effects
from helpers.analysis.conditions import trainings_of, under
from helpers.analysis.repeats import count, repeats, rests, seeds
from helpers.results import Results, from_frame

LABELS = {
    "plain": ["mini", *(f"mini-s{k}" for k in range(1, 5)), "mini-sdxl", "mini-sdxl-s1", "mini-sdxl-s2"],
    "shared": ["mini"],
    "aligned": ["mini-aligned", "mini-aligned-s1", "mini-aligned-s2"],
}
IMAGES = 40


@pytest.fixture(scope="module")
def study() -> Results:
    rng, frames = np.random.default_rng(1), []
    for protocol, labels in LABELS.items():
        for label in labels:
            for detector in ("npr", "clip_d") if label != "mini-s4" else ("npr",):
                for precision, label_of in (("fp32", 1), ("fp4", 1), ("none", 0)):
                    arm = "native" if label_of else "sd3" if protocol == "aligned" else "none"
                    frames.append(pd.DataFrame({
                        "generator": "sd3" if label_of else "real", "precision": precision, "arm": arm,
                        "protocol": protocol, "size": 128, "index": range(IMAGES), "label": label_of,
                        "detector": detector, "weights": label, "logit": rng.normal(label_of, 1, IMAGES),
                    }))  # fmt: skip
    manifest = {"study": {"weights": "mini", "precisions": ["fp32", "fp4"]}}
    return from_frame(pd.concat(frames), manifest=manifest)


def test_seeds_are_no_trainings_of_their_own(study) -> None:
    assert [(protocol, label) for protocol, label, _ in trainings_of(study)] == [
        ("plain", "mini"), ("plain", "mini-sdxl"), ("shared", "mini"), ("aligned", "mini-aligned"),
    ]  # fmt: skip
    assert seeds(study) == {"npr": tuple(LABELS["plain"][:5]), "clip_d": tuple(LABELS["plain"][:4])}
    found = [rests(under(study, *of)) for of in trainings_of(study)]
    assert found == ["5 trainings of NPR, 4 of CLIP-D", "3 trainings of each detector", "1 training of each detector",
                     "3 trainings of each detector"]  # fmt: skip
    assert (count(study, ["npr"]), count(study, ["clip_d"]), count(study, ["npr", "clip_d"])) == (5, 4, 4)
    assert [view.trainings["npr"] for view in repeats(study)] == LABELS["plain"][:5]


def test_the_spread_is_that_of_each_training(study) -> None:
    found = effects.spread(study).set_index(["protocol", "weights", "detector"])
    assert len(found) == 6 and found.trainings.to_dict()["plain", "mini", "npr"] == 5
    for protocol, labels in (("plain", LABELS["plain"][5:]), ("aligned", LABELS["aligned"])):
        row = found.loc[(protocol, labels[0], "npr")]
        areas = {}
        for label in labels:
            of = study.stored[(study.stored.weights == label) & (study.stored.detector == "npr")]
            for precision in ("fp32", "fp4"):
                kept = of[of.precision.isin([precision, "none"])]
                areas[label, precision] = roc_auc_score(kept.label, kept.logit)
        base = [areas[label, "fp32"] for label in labels]
        assert (row.auc, row.auc_lowest, row.auc_highest) == pytest.approx((base[0], min(base), max(base)))
        assert row.changes == pytest.approx([areas[label, "fp4"] - areas[label, "fp32"] for label in labels])
        assert row.change == pytest.approx(np.mean(row.changes)) and row.change_low < row.change < row.change_high
        assert 0 <= row.auc_mean_low < np.mean(base) < row.auc_mean_high <= 1
