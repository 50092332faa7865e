"""Distances, matched rungs and readings on studies in which all of them are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import synthetic
import synthetic_distances
import synthetic_traces
from scipy import stats

from helpers import analysis, charts
from helpers.analysis import dose
from helpers.analysis.stats import metrics
from helpers.charts import theme
from helpers.claims import dose as said

IMAGES, TWO = 60, ("sd15", "sd3")
LADDER = {("ladder", "int8"): 40.0, ("ladder", "fp4"): 27.0, ("ladder", "int4"): 25.0, ("ladder", "int2"): 12.0}
MAIN = {("native", "fp16"): np.inf, ("native", "fp8"): 36.0, ("native", "fp4"): 30.0}


@pytest.fixture
def folder(tmp_path):
    return synthetic_traces.ladder(synthetic.write(tmp_path, images=IMAGES, generators=TWO, placebo=0.1), images=IMAGES)


def test_medians_are_those_of_the_images(folder):
    spread = 30 + np.random.default_rng(0).normal(0, 3, IMAGES)
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER | {("native", "fp4"): spread}))
    table = dose.doses(study).set_index(["generator", "arm", "precision"])
    assert len(table) == 2 * 7
    row = table.loc[("sd3", "native", "fp4")]
    assert row.psnr == pytest.approx(np.median(spread)) and row.psnr_low < row.psnr < row.psnr_high
    exact = table[table.exact]
    assert {key[1:] for key in exact.index} == {("native", "fp16")}
    assert (exact.identical == IMAGES).all() and np.isinf(exact.psnr).all() and (exact.gmsd == 0).all()


def test_the_interval_of_a_median_is_that_of_the_sign_test():
    # Ranks 10 and 21 of 30: Gibbons & Chakraborti, table of the sign test; coverage 95.7 %.
    found = metrics.median(np.arange(1.0, 31))
    assert (found.low, found.estimate, found.high) == (10, 15.5, 21)
    assert stats.binom.cdf(20, 30, 0.5) - stats.binom.cdf(9, 30, 0.5) == pytest.approx(0.957, abs=1e-3)
    assert np.isnan(metrics.median(range(5)).low) and metrics.median(range(6)).low == 0
    assert metrics.median([np.inf] * 9).low == np.inf and np.isnan(metrics.median([]).estimate)


def test_the_interval_of_a_median_holds_it_often_enough():
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        found = metrics.median(rng.lognormal(0, 1, 40))
        held += found.low <= 1 <= found.high
    assert held / 400 > 0.93


def test_the_nearest_rung_of_the_ladder_is_taken(folder):
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER))
    # The main arm's FP4 lies nearer 30 than any rung, and is none.
    near = dose.matched_rung(study, "sd3", 29.9)
    assert (near.arm, near.precision) == ("ladder", "fp4")
    found = dose.matched_rung(study, "sd3", 13.5)
    assert (found.arm, found.precision, found.psnr.estimate, found.off, found.why) == ("ladder", "int2", 12, 1.5, "")
    # As near to 27 (FP4) as to 25 (INT4): the one of more bits, scales counted.
    assert dose.matched_rung(study, "sd15", 26.0).precision == "fp4"
    assert "6.0 dB away, more than 5.0" in dose.matched_rung(study, "sd3", 33.0, reach=5).why


def test_no_rung_matches_where_none_is_near(folder):
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER))
    far = dose.matched_rung(study, "sd3", 18.5)
    assert far.precision == "" and far.off == 6.5 and "6.5 dB away, more than 4.0" in far.why
    # Just out of reach: the digits that show it, where one would print the same number twice.
    assert "6.43 dB away, more than 6.4" in dose.matched_rung(study, "sd3", 18.43, reach=6.4).why
    assert dose.matched_rung(study, "sd3", 18.5, reach=6.5).precision in ("int4", "int2")
    assert "no rung of its ladder" in dose.matched_rung(study, "flux1", 20.0).why
    assert "no ladder" in dose.matched_rung(study, "sd3", 27.0, coverage="most").why


def test_a_ladder_of_another_coverage_is_its_own(folder):
    synthetic_distances.write(folder, MAIN | LADDER)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["arms"]["ladder"]["coverage"] = "all"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    study = analysis.load(folder)
    assert "no ladder" in dose.matched_rung(study, "sd3", 27.0).why
    assert dose.matched_rung(study, "sd3", 27.0, coverage="all").precision == "fp4"


def test_a_study_without_distances_or_ladder_says_so(folder, tmp_path):
    study = analysis.load(folder)
    assert study.table(dose.TABLE) is None
    assert all(of(study).empty for of in (dose.doses, dose.responses, dose.content, dose.strata, dose.rungs))
    assert "not measured" in dose.matched_rung(study, "sd3", 27.0).why
    plain = synthetic.write(tmp_path / "plain", images=20, generators=TWO)
    plain = analysis.load(synthetic_distances.write(plain, MAIN))
    assert "no ladder" in dose.matched_rung(plain, "sd3", 27.0).why


def test_losses_are_counted_of_what_was_there(folder):
    lost = {("native", "fp4"): 15, ("ladder", "int2"): IMAGES}
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER, lost))
    table = dose.content(study).set_index(["generator", "arm", "precision"])
    row = table.loc[("sd3", "native", "fp4")]
    # Wilson's interval of 15 of 60: statsmodels and Newcombe 1998 give .158 to .372.
    assert (row.ground_had, row.ground_lost, row.changed) == (IMAGES, 0.25, 0.25)
    assert (row.ground_lost_low, row.ground_lost_high) == pytest.approx((0.158, 0.372), abs=1e-3)
    assert row.shapes_lost == 0 and table.loc[("sd3", "ladder", "int2"), "ground_lost"] == 1
    assert set(dose.content(study, ["native"]).arm) == {"native"}


def test_strata_part_the_images_that_changed(folder):
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER, {("native", "fp4"): 15}))
    table = dose.strata(study).set_index(["generator", "precision", "detector"])
    row = table.loc[("sd3", "fp4", "npr")]
    before, after = (study.logits("npr", "sd3", key) for key in ("fp32", "fp4"))
    moved = (after - before) / before.std()
    assert (row.n_changed, row.n_same) == (15, IMAGES - 15)
    assert row.changed == pytest.approx(moved[:15].mean(), rel=1e-5)
    assert row.same == pytest.approx(moved[15:].mean(), rel=1e-5)
    # The interval of a mean of 45 draws, by the normal.
    half = 1.96 * moved[15:].std() / 45**0.5
    assert row.same_high - row.same_low == pytest.approx(2 * half, rel=0.1)
    assert table.loc[("sd3", "fp8", "npr"), "n_changed"] == 0 and np.isnan(table.loc[("sd3", "fp8", "npr"), "changed"])


def test_a_study_without_readings_has_doses_alone(folder):
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER, read=False))
    assert dose.content(study).empty and dose.strata(study).empty and len(dose.doses(study)) == 14


def test_the_response_stands_beside_the_dose(folder):
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER))
    table = dose.responses(study)
    assert len(table) == 2 * 4 * 6 and "fp16" not in set(table.precision)  # no dose where nothing was done
    row = table[(table.generator == "sd3") & (table.detector == "npr") & (table.precision == "int2")].iloc[0]
    # A shift of 3 a unit of error, INT2's is 0.7, in standard deviations of scenes that spread by 1.2.
    assert row.psnr == 12 and row["shift"] == pytest.approx(-3 * 0.7 / 1.2, rel=0.25)


def test_the_sentences_follow_from_the_distances(folder, tmp_path):
    targets = {"the real dose": 25.5, "another": 70.0}
    spared = synthetic.write(tmp_path / "none", images=IMAGES, generators=TWO)
    assert said.doses(analysis.load(spared), targets) == said.NONE and said.shown(analysis.load(spared)) == ""
    study = analysis.load(synthetic_distances.write(folder, MAIN | LADDER))
    told = said.doses(study, targets)
    assert "median PSNR of FP4 images to FP32's is 30.0 dB" in told and said.BRIDGE in told
    assert "To the real dose, 25.5 dB, the nearest rung is INT4 (25.0) for SD1.5 and SD3." in told
    assert "To another, 70.0 dB, no rung of the ladder matches." in told and "30.0 dB away" in told
    assert "FP16 of SD1.5 and SD3 are those of FP32 byte for byte" in told
    assert said.exact(analysis.load(synthetic_distances.write(folder, MAIN | {("native", "fp16"): 60.0}))) == ""


def test_the_sentences_follow_from_what_is_read(tmp_path):
    moved = {("npr", key, "fp4"): -3.0 for key in TWO}
    folder = synthetic.write(tmp_path, moved, images=IMAGES, generators=TWO, placebo=0.1)
    told = said.shown(analysis.load(synthetic_distances.write(folder, MAIN | {("batch", "fp32"): 50.0})))
    assert "in 0.0\N{NO-BREAK SPACE}% of" in told and "null control, in 0.0" in told and "NPR" in told
    lost = {("native", "fp4"): 15, ("batch", "fp32"): 3}
    told = said.shown(analysis.load(synthetic_distances.write(folder, MAIN | {("batch", "fp32"): 50.0}, lost)))
    assert "25.0\N{NO-BREAK SPACE}% of" in told and "null control, in 5.0" in told
    told = said.shown(analysis.load(synthetic_distances.write(folder, MAIN, read=False)))
    assert "was not read" in told


def test_the_figure_marks_the_real_doses(folder):
    charts.enable()
    table = dose.responses(analysis.load(synthetic_distances.write(folder, MAIN | LADDER)))
    spec = charts.dose_shifts(table, {"real": 25.5}, "sd3", "npr").to_dict()
    assert "lines mark real (25.5 dB)" in spec["description"] and "image/png" in theme.render(spec)
    assert "marked" not in charts.dose_shifts(table, {}).to_dict()["description"]
