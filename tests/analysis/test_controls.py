"""Arms beside the main one: paired changes against known ones, the null control, the record of the audits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic

from helpers import analysis
from helpers.analysis import controls
from helpers.paper import sentences
from helpers.paper.pages import setup

IMAGES, PLACEBO = 400, 0.02


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    return analysis.load(synthetic.write(folder, {("npr", "sd3", "fp4"): -6.0}, images=IMAGES, placebo=PLACEBO))


def test_changes_are_paired_by_image(study):
    rows = controls.differences(study)
    assert list(dict.fromkeys(rows.arm)) == ["native", "batch"]  # the main arm first
    assert len(rows) == (3 + 1) * 6 * 4 * IMAGES and not ((rows.arm == "native") & (rows.precision == "fp32")).any()
    scores = pd.read_parquet(study.folder / "scores.parquet")
    row = rows[(rows.arm == "native") & (rows.precision == "fp4")].iloc[17]
    own = scores[
        (scores.generator == row.generator) & (scores.detector == row.detector) & (scores["index"] == row["index"])
    ]
    by = own[own.arm == "native"].set_index("precision")["logit"]
    assert row.change == pytest.approx(by["fp4"] - by["fp32"])


def test_spreads_are_those_put_in(study):
    found = controls.spreads(study).set_index(["arm", "precision", "detector"])
    for detector in synthetic.DETECTORS:
        own = found.loc[("batch", "fp32", detector)]
        assert own.n == 6 * IMAGES and own.spread == pytest.approx(PLACEBO, rel=0.06) and abs(own["mean"]) < 0.002
        assert own.changed < 0.01 and PLACEBO < own.largest < 6 * PLACEBO
        expected = 0.15 / synthetic.SHRINK["fp4"] ** 0.5
        if detector != "npr":  # NPR's six generators part by 6 on SD3
            assert found.loc[("native", "fp4", detector)].spread == pytest.approx(expected, rel=0.06)
    moved = found.loc[("native", "fp4", "npr")]
    assert moved["mean"] == pytest.approx(-1.0, abs=0.05) and moved.changed == pytest.approx(1 / 6, abs=0.03)
    assert moved.tpr_before - moved.tpr == pytest.approx(1 / 6, abs=0.03)


def test_the_null_control_is_told_beside_the_coarsest_precision(study, tmp_path):
    said = sentences.null(study)
    assert "against FP4" in said and "NPR 0.02" in said and f"of {24 * IMAGES} verdicts" in said
    bare = analysis.load(synthetic.write(tmp_path, images=20))
    assert "no null control" in sentences.null(bare) and "no arms" in setup.controls(controls.spreads(bare)).data


def test_the_audits_are_shown_with_what_was_measured(study):
    rows = controls.weight_audits(study)
    assert len(rows) == 6 * (4 + 1) and set(rows.component) == {"denoiser"}
    assert set(rows[rows.arm == "batch"].arm_title) == {"null control"}
    shown = setup.audits(controls.weight_audits(study)).data
    assert "20.00\N{NO-BREAK SPACE}%" in shown and "97.0\N{NO-BREAK SPACE}%" in shown and "1.0e-07" in shown
    assert np.isnan(rows[rows.precision == "fp32"].native_deviation.astype(float)).all()


def test_controls_have_a_row_for_each_arm_and_precision(study):
    shown = setup.controls(controls.spreads(study), "spread").data
    assert shown.count("<tr") == 1 + 3 + 1 and "null control" in shown and "0.02" in shown
