"""What a study has is counted as its owner made it: cells, twins, cells that score alike, reals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from helpers import analysis
from helpers.analysis import inventory
from helpers.results import importing


def rows(generator: str, precision: str, indices: range, shift: float, detector: str = "npr") -> pd.DataFrame:
    fake = int(generator != "real")
    table = pd.DataFrame({"index": indices, "logit": [0.5 * i + shift for i in indices]})
    return table.assign(generator=generator, precision=precision, label=fake, detector=detector)


def made(folder: Path, *parts: pd.DataFrame) -> analysis.Results:
    pd.concat(parts).to_csv(folder / "scores.csv", index=False)
    importing.import_scores(folder / "scores.csv", folder / "study")
    return analysis.load(folder / "study")


def test_cells_are_counted_with_their_twins_and_those_that_score_alike(tmp_path: Path) -> None:
    study = made(
        tmp_path,
        rows("sd15", "fp32", range(6), 0), rows("sd15", "fp16", range(6), 0), rows("sd15", "fp4", range(4, 9), 1),
        rows("sd15", "fp4", range(4, 10), 1, "clip_d"),
        rows("sd3", "fp4", range(3), 0),
    )  # fmt: skip
    found = inventory.fakes(study).set_index(["generator", "precision"])
    assert dict(found.images) == {
        ("sd15", "fp32"): 6, ("sd15", "fp16"): 6, ("sd15", "fp4"): 6, ("sd3", "fp4"): 3,
    }  # fmt: skip
    assert dict(found.twins) == {
        ("sd15", "fp32"): 6, ("sd15", "fp16"): 6, ("sd15", "fp4"): 2, ("sd3", "fp4"): 0,
    }  # fmt: skip
    # The baseline has nothing to be compared with, and SD3 has no baseline.
    assert list(found.same) == [None, True, False, None]
    assert list(found.precision_title) == ["FP32", "FP16", "FP4", "FP4"]


def test_reals_are_counted_once_whoever_scored_them(tmp_path: Path) -> None:
    study = made(
        tmp_path, rows("sd15", "fp32", range(2), 0), rows("sd15", "fp32", range(2), 0, "clip_d"),
        rows("real", "none", range(5), -2), rows("real", "none", range(7), -2, "clip_d"),
    )  # fmt: skip
    assert list(inventory.reals(study).images) == [7]


def test_a_study_without_reals_has_none(tmp_path: Path) -> None:
    study = made(tmp_path, rows("sd15", "fp32", range(2), 0), rows("sd15", "fp4", range(2), 0))
    assert inventory.reals(study).empty and inventory.fakes(study).images.sum() == 4
