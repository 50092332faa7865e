"""Paired effects against scipy, statsmodels and their definitions; controls that do nothing and that do as much."""

from __future__ import annotations

from math import isnan

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers import analysis
from helpers.analysis import paired
from helpers.paper import sentences


def test_holm_is_statsmodels_and_leaves_out_what_is_unknown() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    assert paired.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    found = paired.holm([0.01, np.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04]) and isnan(found[1])
    assert len(paired.holm([])) == 0


@pytest.mark.parametrize("digits", [6, 0], ids=["continuous", "ties"])
def test_distances_are_scipys_and_cliffs_delta_is_its_definition(digits: int) -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0, 1, 60).round(digits)
    other = (base + rng.normal(0.3, 0.5, 60)).round(digits)
    found = paired.paired_permutation_test(base, other, times=20)
    assert found["ks"] == pytest.approx(stats.ks_2samp(base, other).statistic)
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(base, other), rel=1e-5)
    delta = paired.cliff(base, other, resamples=200)
    assert delta.estimate == pytest.approx(np.sign(other[:, None] - base).mean())
    assert delta.low < delta.estimate < delta.high


def test_nothing_has_no_effect_and_everything_has_the_whole() -> None:
    base = np.arange(30.0)
    same = paired.paired_permutation_test(base, base)
    assert same["ks"] == same["wasserstein"] == 0 and same["ks_p"] == same["wasserstein_p"] == 1
    assert paired.cliff(base, base).estimate == 0 and paired.cliff(base, base - 100).estimate == -1
    assert paired.paired_permutation_test(base, base - 100)["ks_p"] < 0.01
    assert isnan(paired.cliff([], []).estimate) and isnan(paired.paired_permutation_test([], [])["ks_p"])


def test_pairs_see_what_the_usual_test_misses() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 3, 200)
    other = base + rng.normal(0.4, 0.1, 200)
    assert stats.ks_2samp(base, other).pvalue > 0.05 > paired.paired_permutation_test(base, other)["ks_p"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    # FP16 moves each logit by noise of standard deviation 0.21; the null control does the same.
    noise = 0.15 / synthetic.SHRINK["fp16"] ** 0.5
    return analysis.load(synthetic.write(tmp_path_factory.mktemp("effects"), synthetic.DECK, placebo=noise))


def test_the_table_holds_the_effect_put_in_and_one_family_of_the_main_arm(study) -> None:
    found = paired.paired_effects(study, resamples=200)
    own = found[found.arm == "native"]
    assert len(own) == 6 * 4 * 3 and set(found[found.arm != "native"].precision) == {"batch"}
    row = own.query("generator == 'sd3' and detector == 'npr' and precision == 'fp4'").iloc[0]
    assert row.lost_share > 0.9 and row.cliff < -0.95 and row.shift_low < -6 < row.shift_high
    assert max(row[f"{name}_holm"] for name in ("p", "shift_p")) < 1e-6
    assert own.p_holm.to_numpy() == pytest.approx(multipletests(own.p, method="holm")[1])
    assert found[found.arm == "batch"].p_holm.isna().all()
    calm = own[(own.detector == "clip_d") & (own.precision == "fp16")]
    assert (calm.shift_p_holm > 0.05).all() and (calm["standard"].abs() < 0.1).all()


def test_what_moves_no_further_than_the_control_is_not_said_to(study) -> None:
    found = paired.beyond(study, resamples=200)
    assert set(found.control) == {"batch", "fp16"}
    beside = found[found.control == "batch"].groupby("precision", sort=False).further.mean()
    assert beside["fp16"] == 0 and beside["fp4"] > 0.9
    row = found.query("control == 'batch' and precision == 'fp4' and generator == 'sd3' and detector == 'npr'").iloc[0]
    assert row.n == 100 and row.apart_low < row.apart < row.apart_high < -3 and row.excess > 3
    assert "fp16" not in set(found[found.control == "fp16"].precision)


def test_two_pairs_are_no_proof() -> None:
    assert paired._t(np.array([0.5, 0.5])) == 0.5 and paired._t(np.array([0.5, 0.5]), "greater") == 0.25  # 1/2 each
    assert paired._t(np.array([-1.0, -1.0]), "greater") == 1 and paired._t(np.zeros(2)) == 1
    one = paired.paired_permutation_test([1.0], [2.0])
    assert one["ks"] == 1 and isnan(one["ks_p"]) and isnan(one["wasserstein_p"])


def test_what_is_identical_to_the_baseline_is_no_control(tmp_path) -> None:
    folder = synthetic.write(tmp_path, images=30, placebo=0.0, generators=("sd3", "sd15"))
    found = analysis.load(folder)
    assert paired.identical(found) == ["null control"] and set(paired.controls(found)) == {"fp16"}
    said = sentences.null(found)
    assert "The null control changes no score of any image: it is identical, so no control." in said
    assert "is not known" in said and "verdicts" not in said
    assert set(paired.beyond(found, resamples=20).control) == {"fp16"}
    scores = pd.read_parquet(folder / "scores.parquet")
    fp32 = scores[(scores.arm == "native") & (scores.precision == "fp32") & (scores.generator == "sd3")]
    kept = scores[~((scores.precision == "fp16") & (scores.generator == "sd3"))]
    pd.concat([kept, fp32.assign(precision="fp16")]).to_parquet(folder / "scores.parquet")
    # FP16 is a control of one generator alone.
    beyond = paired.beyond(analysis.load(synthetic.vouch(folder)), resamples=20)
    assert set(beyond[beyond.control == "fp16"].generator) == {"sd15"}
    # The same pixels, scored beside other images.
    again = fp32.assign(precision="fp16", logit=fp32.logit + np.float32(1e-6))
    moved = scores[scores.arm == "batch"].assign(logit=lambda rows: rows.logit + 0.1, image_sha256="")
    pd.concat([kept[kept.arm != "batch"], again, moved]).to_parquet(folder / "scores.parquet")
    beyond = paired.beyond(analysis.load(synthetic.vouch(folder)), resamples=20)
    assert set(beyond[beyond.control == "fp16"].generator) == {"sd15"}
    assert set(beyond[beyond.control == "batch"].generator) == {"sd15", "sd3"}  # of which no digest is known
    assert "On SD3 FP16 changes nothing, so there it is no control" in sentences.beyond_note(beyond)
    assert "changes nothing" not in sentences.beyond_note(beyond[beyond.generator == "sd15"])


def test_pairs_are_counted_where_fp16_does_something(tmp_path) -> None:
    """As where checkpoints are stored in 16 bits: of six generators three have FP32's own images at FP16."""
    effects = {(d, g, "fp4"): -6.0 for d in synthetic.DETECTORS for g in synthetic.SIZES}
    folder = synthetic.write(tmp_path, effects, images=30, placebo=0.01)
    scores = pd.read_parquet(folder / "scores.parquet")
    equal = (scores.precision == "fp16") & scores.generator.isin(["sd3", "sd35", "flux1"])
    keys = ["generator", "detector", "index"]
    fp32 = scores[(scores.precision == "fp32") & (scores.arm == "native")].set_index(keys)
    own = fp32.loc[pd.MultiIndex.from_frame(scores.loc[equal, keys])]
    # The same file, its logit another in the last digit, as beside other images in a batch.
    scores.loc[equal, "image_sha256"] = own.image_sha256.to_numpy()
    scores.loc[equal, "logit"] = own.logit.to_numpy() + np.float32(1e-6)
    scores.to_parquet(folder / "scores.parquet")
    results = analysis.load(synthetic.vouch(folder))
    beyond = paired.beyond(results, resamples=20)
    said = sentences.beyond_note(beyond)
    assert "than the null control does in 24 of 24 and than FP16 does in 12 of 12 pairs" in said
    assert "On Flux.1, SD3 and SD3.5 FP16 changes nothing, so there it is no control" in said
    told = paired.beyond_by_control(beyond).set_index(["precision", "control_title"])
    assert told.pairs["fp8", "FP16"] == 12 and told.pairs["fp8", "null control"] == 24
    assert paired.identical(results) == []  # it is one of the other three
