"""What is still found of each generator, against shares counted straight from the stored scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from helpers import analysis
from helpers.analysis import still_found


def shares(folder: Path) -> pd.DataFrame:
    """By generator: the mean over detectors of the share of images above logit 0 at FP32 and at FP4, and of reals."""
    table = pd.read_parquet(folder / "scores.parquet")
    fakes = table[table.label == 1].assign(called=table.logit > 0)
    rates = fakes.groupby(["generator", "precision", "detector"]).called.mean().groupby(["generator", "precision"])
    found = rates.mean().unstack()
    reals = table[table.label == 0].assign(called=table.logit > 0)
    alarms = reals.groupby(["size", "detector"]).called.mean().groupby("size").mean()
    return found.assign(reals=[alarms[synthetic.SIZES[key]] for key in found.index])


def test_shares_are_means_over_detectors(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, synthetic.DECK, images=150)
    results = analysis.load(folder)
    found = still_found.by_generator(results, still_found.able(results)).set_index("generator")
    truth = shares(folder).loc[found.index]
    assert list(found.index) == list(synthetic.SIZES) and (found.n == 150).all()
    np.testing.assert_allclose(found.before, truth.fp32)
    np.testing.assert_allclose(found.after, truth.fp4)
    np.testing.assert_allclose(found.change, truth.fp4 - truth.fp32, atol=1e-12)
    np.testing.assert_allclose(found.false_alarms, truth.reals)
    assert (found.widened_low <= found.change_low).all() and (found.change_high <= found.widened_high).all()
    assert found.change_high["sd3"] < -0.3 and found.change_low["flux1"] <= 0 <= found.change_high["flux1"]


def test_trainings_are_averaged_and_make_intervals_longer(tmp_path: Path) -> None:
    one = synthetic.write(tmp_path / "one", synthetic.DECK, images=150)
    three = synthetic.write(tmp_path / "three", synthetic.DECK, images=150, seeds={"mini-s1": 4.0, "mini-s2": 1.0})
    rows = {}
    for folder in (one, three):
        results = analysis.load(folder, detectors=["npr"])
        rows[folder] = still_found.by_generator(results, ("npr",)).set_index("generator").loc["sd3"]
    table = pd.read_parquet(three / "scores.parquet")
    table = table[(table.detector == "npr") & (table.generator == "sd3") & (table.label == 1)]
    rates = table.assign(called=table.logit > 0).groupby(["weights", "precision"]).called.mean().unstack()
    assert rows[three].change == pytest.approx((rates.fp4 - rates.fp32).mean())
    assert rows[three].change_high - rows[three].change_low > 2 * (rows[one].change_high - rows[one].change_low)


def test_a_detector_that_tells_nothing_apart_does_not_count(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, {("clip_d", key, None): -8.0 for key in synthetic.SIZES}, images=60)
    assert still_found.able(analysis.load(folder)) == ("npr", "r50_nodown", "r50_tf")


def test_of_one_precision_there_are_no_rows(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, images=30)
    results = analysis.load(folder, precisions=["fp32"])
    assert still_found.by_generator(results, ("npr",)).empty


def test_no_more_than_all_can_be_lost(tmp_path: Path) -> None:
    lost = {(detector, "sd3", "fp4"): -20.0 for detector in synthetic.DETECTORS}
    results = analysis.load(synthetic.write(tmp_path, lost, images=100, generators=("sd3",)))
    row = still_found.by_generator(results, results.detectors).iloc[0]
    assert row.change_low == row.widened_low == -1 and row.after < 0.001 and row.change_high < -0.9
