"""The metrics against scikit-learn, scipy, statsmodels and closed forms; ties and one-class inputs included."""

from __future__ import annotations

import re
from math import exp, isnan, nan, sqrt

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score, roc_curve
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from tabled import rows_of

from helpers import analysis, charts
from helpers.analysis import controls, paired
from helpers.analysis.conditions import trainings
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.claims import rule
from helpers.core import files
from helpers.core import scores as scores_
from helpers.core.errors import UsageError
from helpers.paper import tables


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (3, 7), (475, 500), (1, 1)])
def test_wilson_is_scipys(hits: int, trials: int) -> None:
    found = metrics.wilson(hits, trials)
    known = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-12)
    assert found.low <= found.estimate <= found.high


def test_wilson_of_a_sum_of_shares_solves_its_equation() -> None:
    found, z = metrics.wilson(7.25, 20, 0.9), stats.norm.ppf(0.95)
    for end in (found.low, found.high):
        assert abs(found.estimate - end) == pytest.approx(z * sqrt(end * (1 - end) / 20))


def test_nothing_is_not_zero() -> None:
    assert isnan(metrics.wilson(0, 0).estimate)
    assert isnan(metrics.auc([1.0, 2.0], []).estimate)
    assert isnan(metrics.auc([], [1.0]).low)
    assert isnan(metrics.bootstrap_mean([]).estimate)
    for one_class in (([1.0, 2.0], []), ([], [1.0])):
        assert all(isnan(found.estimate) and isnan(found.high) for found in metrics.operating(*one_class).values())


@pytest.mark.parametrize("digits", [6, 0], ids=["continuous", "ties"])
def test_auc_is_sklearn_with_the_variance_of_delong(digits: int) -> None:
    rng = np.random.default_rng(1)
    fake, real = rng.normal(1, 1.3, 80).round(digits), rng.normal(0, 1, 120).round(digits)
    found = metrics.auc(fake, real)
    labels = np.r_[np.ones(80), np.zeros(120)]
    assert found.estimate == pytest.approx(roc_auc_score(labels, np.r_[fake, real]))
    wins = (fake[:, None] > real) + 0.5 * (fake[:, None] == real)  # (fakes, reals), DeLong's placements written out
    error = sqrt(wins.mean(1).var(ddof=1) / 80 + wins.mean(0).var(ddof=1) / 120)
    assert found.high - found.low == pytest.approx(2 * stats.norm.ppf(0.975) * error)


def test_separated_classes_are_not_certain() -> None:
    few, many = (metrics.auc(np.ones(n), np.zeros(n)) for n in (20, 500))
    assert few.estimate == many.estimate == few.high == 1
    assert few.low < many.low < 1
    assert metrics.auc(np.zeros(5), np.zeros(5)).estimate == 0.5


@pytest.mark.parametrize("digits", [6, 1, 0], ids=["continuous", "some ties", "ties"])
@pytest.mark.parametrize(("fakes", "reals"), [(120, 150), (7, 90), (40, 3), (1, 1)])
def test_figures_of_the_curve_are_sklearns(digits: int, fakes: int, reals: int) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        fake, real = rng.normal(1, 1.3, fakes).round(digits), rng.normal(0, 1, reals).round(digits)
        found = {name: interval.estimate for name, interval in metrics.operating(fake, real, resamples=20).items()}
        labels, scores = np.r_[np.ones(fakes), np.zeros(reals)], np.r_[fake, real]
        fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
        assert found["ap"] == pytest.approx(average_precision_score(labels, scores))
        for share in (1, 5):
            assert found[f"tpr_at_{share}"] == pytest.approx(tpr[fpr <= share / 100 + 1e-12].max())
        at = int(np.flatnonzero(fpr + tpr >= 1)[0])  # the curve crosses FPR = 1 - TPR between at - 1 and at
        along = (1 - fpr[at - 1] - tpr[at - 1]) / (fpr[at] + tpr[at] - fpr[at - 1] - tpr[at - 1])
        assert found["eer"] == pytest.approx(fpr[at - 1] + along * (fpr[at] - fpr[at - 1]))


def test_a_bootstrap_of_the_curve_is_that_of_the_resampled_images() -> None:
    rng = np.random.default_rng(5)
    fake, real = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 30).round(1)
    by_hand = []
    for times in metrics.bootstrap_weights(30, 40, seed=3).T.astype(int):  # drawn twice: both its images twice
        again = metrics.operating(np.repeat(fake, times), np.repeat(real, times), resamples=2)
        by_hand.append([again[name].estimate for name in ("ap", "eer")])
    found = metrics.operating(fake, real, np.arange(30), np.arange(30), resamples=40, seed=3)
    ends = np.quantile(by_hand, [0.025, 0.975], axis=0)
    assert (found["eer"].low, found["eer"].high) == pytest.approx(tuple(ends[:, 1]), abs=1e-6)
    p = found["ap"].estimate
    half = stats.norm.ppf(0.975) * np.std(by_hand, axis=0)[0] / (p * (1 - p))
    assert found["ap"].high == pytest.approx(1 / (1 + (1 / p - 1) * np.exp(-half)), abs=1e-6)


def test_perfect_figures_have_width() -> None:
    found = metrics.operating(np.arange(50) + 100.0, np.arange(50.0))
    assert {name: found[name].estimate for name in found} == {"ap": 1, "eer": 0, "tpr_at_1": 1, "tpr_at_5": 1}
    wilson = stats.binomtest(0, 50).proportion_ci(method="wilson").high
    assert found["eer"].high == pytest.approx(wilson)
    assert found["tpr_at_1"].low < 0.5  # the highest of 50 reals says little of the highest hundredth
    sure = metrics.operating(np.arange(5000) + 6000.0, np.arange(5000.0))["tpr_at_1"]
    assert sure.low == pytest.approx(stats.beta.ppf(0.025, 5000.5, 0.5), abs=2e-4) and sure.high <= 1
    assert found["ap"].low == metrics.auc(np.ones(50), np.zeros(50)).low < 1


def test_a_calibrated_threshold_is_the_best_there_is() -> None:
    rng = np.random.default_rng(6)
    for digits in (6, 0):
        fake, real = rng.normal(1, 1, 80).round(digits), rng.normal(0, 1, 60).round(digits)
        labels, scores = np.r_[np.ones(80), np.zeros(60)], np.r_[fake, real]
        found = metrics.calibrate(fake, real)
        tried = [balanced_accuracy_score(labels, scores > at) for at in np.r_[np.unique(scores), -99, found]]
        assert tried[-1] == pytest.approx(max(tried)) and found not in scores
    assert metrics.calibrate([3.0, 4.0], [0.0, 1.0]) == 2.0  # the middle of the gap
    assert isnan(metrics.calibrate([], [1.0])) and isnan(metrics.calibrate([1.0], []))


def test_the_calibrated_accuracy_has_not_seen_its_images(tmp_path) -> None:
    study = analysis.load(synthetic.write(tmp_path, synthetic.DECK, images=61))
    found = analysis.cells(study, resamples=50)
    row = found.query("generator == 'sd3' and detector == 'npr' and precision == 'fp8'").iloc[0]
    base, real, fake = study.logits("npr", "sd3", "fp32"), study.reals("npr", "sd3"), study.logits("npr", "sd3", "fp8")
    at = metrics.calibrate(base.iloc[::2], real.iloc[::2])
    labels, scores = np.r_[np.ones(30), np.zeros(30)], np.r_[fake.iloc[1::2], real.iloc[1::2]]
    assert row.calibrated == pytest.approx(balanced_accuracy_score(labels, scores > at))
    for name in ("tpr", "tnr", "balanced", "auc", "calibrated", "mean_logit", *metrics.OPERATING):
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        assert ((low <= found[name] + 1e-9) & (found[name] <= high + 1e-9)).all()


def test_bootstrap_is_as_wide_as_the_theory_says_and_follows_clusters() -> None:
    values = np.random.default_rng(2).normal(3, 2, 400)
    found = metrics.bootstrap_mean(values)
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / 20
    assert found.estimate == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    copied = metrics.bootstrap_mean(np.repeat(values, 4), np.repeat(np.arange(400), 4))
    assert copied.high - copied.low == pytest.approx(found.high - found.low)


def test_a_mean_in_standard_deviations_has_the_interval_of_its_resamples() -> None:
    rng = np.random.default_rng(8)
    unit = rng.normal(5, 3, 40)
    values = rng.normal(1, 1, 40)
    found, double = metrics.bootstrap_ratio([values, 2 * values], unit, np.arange(40), resamples=100, seed=2)
    assert double.high == pytest.approx(2 * found.high)
    again = [np.repeat(np.arange(40), times) for times in metrics.bootstrap_weights(40, 100, 2).T.astype(int)]
    by_hand = [values[rows].mean() / unit[rows].std(ddof=1) for rows in again]
    assert found.estimate == pytest.approx(values.mean() / unit.std(ddof=1))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))
    assert isnan(metrics.bootstrap_ratio([1.0, 2.0], [3.0, 3.0], [0, 1])[0].estimate)


def test_mcnemar_is_statsmodels() -> None:
    first, second = np.random.default_rng(3).random((2, 200)) < [[0.9], [0.7]]
    lost, gained, p = metrics.mcnemar(first, second)
    both = [[(first & second).sum(), lost], [gained, (~first & ~second).sum()]]
    assert p == pytest.approx(reference_mcnemar(both, exact=True).pvalue)
    assert metrics.mcnemar(first, first) == (0, 0, 1.0)
    assert isnan(metrics.mcnemar([], [])[2])  # of no pairs nothing is known


def test_newcombes_own_examples() -> None:
    # Newcombe 1998 (differences of independent proportions), table II, method 10: 56/70 against 48/80.
    found = metrics.independent_difference(metrics.wilson(48, 80), metrics.wilson(56, 70))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    # Equal decisions still leave doubt, and a reversal takes the whole range.
    same = metrics.paired_difference(np.ones(50, bool), np.ones(50, bool))
    assert same.estimate == 0 and same.low < -0.05 and same.high > 0.05
    assert metrics.paired_difference(np.ones(50, bool), np.zeros(50, bool)).estimate == -1


def test_balanced_accuracy_is_as_wide_as_two_independent_rates() -> None:
    tpr, tnr = metrics.wilson(400, 500), metrics.wilson(450, 500)
    found = metrics.balanced_accuracy(tpr, tnr)
    normal = stats.norm.ppf(0.975) * sqrt(0.8 * 0.2 / 500 + 0.9 * 0.1 / 500)  # of the sum of both rates
    assert found.estimate == pytest.approx(0.85)
    assert found.high - found.low == pytest.approx(normal, rel=0.02)


def test_probability_survives_any_logit() -> None:
    assert scores_.probability([-1000, 0, 1000]) == pytest.approx([0, 0.5, 1])
    assert scores_.probability([-39.5, -36.0]) == pytest.approx([exp(-39.5), exp(-36.0)], rel=1e-9)  # the left tail


def test_one_comparison_with_the_threshold_for_all_tables(tmp_path) -> None:
    folder = synthetic.write(tmp_path, images=30, level=0.0, placebo=0.05, generators=("sd3",))
    scores = pd.read_parquet(folder / "scores.parquet")
    scores["logit"] = scores["logit"].astype(np.float64).where(scores["index"] % 3 > 0, 0.3)  # a third are ties
    scores.to_parquet(folder / "scores.parquet")
    study = analysis.load(synthetic.vouch(folder), threshold=0.3)
    cells = analysis.cells(study).set_index(["detector", "precision"])
    spreads = controls.spreads(study).set_index(["arm", "detector", "precision"])
    shifts = analysis.shifts(study, resamples=20).set_index(["detector", "precision"])
    fakes = scores[(scores.label == 1) & (scores.arm == "native")].groupby(["detector", "precision"]).logit
    right = fakes.agg(lambda logit: np.mean([value > 0.3 for value in logit]))
    for key in right.index:
        assert (
            cells.tpr[key]
            == analysis.conditions(study).set_index("detector").loc[key[0], f"tpr_{key[1]}"]
            == right[key]
        )
        if key[1] != "fp32":
            assert spreads.tpr["native", *key] == pytest.approx(right[key])
            assert shifts.change[key] == pytest.approx(right[key] - right[key[0], "fp32"])
    single = np.array([0.3], np.float32)  # 0.30000001192 as float64
    assert scores_.is_fake(single, 0.3).all() and not scores_.is_fake([0.3], 0.3).any()
    for bad in ([nan], [np.inf]):
        with pytest.raises(ValueError, match="1 of 1 scores are not finite"):
            scores_.is_fake(bad)


def test_no_other_comparison_with_a_threshold_is_written_in_the_package() -> None:
    for file in (files.ROOT / "src" / "helpers").rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            compares = re.search(r"(?<![-=])[<>]=? *-?([a-z_]+\.)*threshold\b", line)
            assert not compares or "float(threshold)" in line, f"{file.name}: {line.strip()}"


@pytest.mark.parametrize("figure", [
    lambda x: metrics.bootstrap_mean(x), lambda x: metrics.bootstrap_ratio(x, [1.0, 2.0], [0, 1]),
    lambda x: metrics.bootstrap_ratio([1.0, 2.0], x, [0, 1]), lambda x: metrics.bootstrap_sum(x, [0, 1]),
    lambda x: metrics.mean_turn(x, [1.0, 1.0], [0, 1]), lambda x: metrics.auc(x, [1.0]),
    lambda x: metrics.auc([1.0], x), lambda x: metrics.operating(x, [1.0]), lambda x: metrics.calibrate(x, [1.0]),
    lambda x: metrics.separable(x, [1.0]), lambda x: paired.cliff(x, [1.0, 2.0]),
    lambda x: paired.paired_permutation_test(x, [1.0, 2.0]),
])  # fmt: skip
@pytest.mark.parametrize("bad", [nan, np.inf])
def test_what_is_no_number_gives_no_number(figure, bad: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are not finite numbers"):
        figure([0.5, bad])


def test_no_figure_of_a_sample_is_without_width() -> None:
    one, same = metrics.bootstrap_mean([3.0]), metrics.bootstrap_mean([3.0] * 50)
    assert one.estimate == same.estimate == 3.0 and isnan(one.low) and isnan(same.high)
    (two,) = metrics.bootstrap_ratio([-1.4, -1.3], [1.0, 1.7], [0, 1])
    assert two.estimate == pytest.approx(-1.35 / (0.7 / sqrt(2))) and isnan(two.low) and isnan(two.high)
    (still,) = metrics.bootstrap_ratio(np.zeros(50), np.arange(50.0), np.arange(50))
    most = stats.binomtest(0, 50).proportion_ci(method="wilson").high
    assert still.high == -still.low == pytest.approx(most * 49 / np.arange(50.0).std(ddof=1))
    none = metrics.mean_turn(np.zeros(20), np.full(20, 1 / 20), np.arange(20))
    rate = stats.binomtest(0, 20).proportion_ci(method="wilson").high
    assert (none.low, none.high) == pytest.approx((-rate, rate))
    triples = paired.cliff([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert triples.estimate == triples.high == 1 and triples.low < 0.3
    t = stats.ttest_1samp([1.0, 2.0, 4.0, 8.0], 0).confidence_interval()
    few = metrics.bootstrap_mean([1.0, 2.0, 4.0, 8.0])
    assert few.high - few.low == pytest.approx(t.high - t.low, rel=0.2)
    for figure in metrics.operating([1.0, 2.0], [0.0, 1.5]).values():
        assert isnan(figure.low) or figure.low < figure.high


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=12), st.floats(-20, 20, width=16))
@settings(max_examples=60, deadline=None)
def test_intervals_hold_their_estimate_and_move_with_their_data(values: list[float], by: float) -> None:
    values = np.asarray(values, dtype=np.float64)
    found, moved = metrics.bootstrap_mean(values, resamples=200), metrics.bootstrap_mean(values + by, resamples=200)
    assert moved.estimate == pytest.approx(found.estimate + by, abs=1e-9)
    for interval in (found, metrics.auc(values, values[::-1] - by), paired.cliff(values, values + by, resamples=50)):
        assert isnan(interval.low) or interval.low < interval.high
        assert isnan(interval.low) or interval.low - 1e-9 <= interval.estimate <= interval.high + 1e-9
    turned = np.sign(values.round())
    turn = metrics.mean_turn(turned, np.full(len(values), 1 / len(values)), np.arange(len(values)))
    assert turn.estimate == pytest.approx(turned.mean()) and turn.low <= turn.estimate <= turn.high != turn.low


def test_the_rule_of_verdicts() -> None:
    inside, across, outside = Interval(0.97, 0.96, 0.98), Interval(0.95, 0.9, 0.99), Interval(0.5, 0.4, 0.6)
    assert rule.verdict([inside, inside], low=0.95) == "supported"
    assert rule.verdict([inside, across], low=0.95) == "inconclusive"
    assert rule.verdict([inside, outside], low=0.95) == "contradicted"
    assert rule.verdict([outside], low=0.55, widened=[Interval(0.5, 0.3, 0.7)]) == "inconclusive"
    assert rule.verdict([], low=0.95) == rule.verdict([metrics.UNKNOWN]) == "not testable"


def test_shifts_find_the_known_effect(tmp_path) -> None:
    study = analysis.load(synthetic.write(tmp_path, synthetic.DECK))
    row = analysis.shifts(study).query("generator == 'sd3' and detector == 'npr' and precision == 'fp4'").iloc[0]
    assert row.shift_low < -6.0 < row.shift_high
    assert row["lost"] > 90 and row["gained"] == 0 and row["p"] < 1e-6


def test_load_refuses_by_name(tmp_path) -> None:
    folder = synthetic.write(tmp_path / "study", images=5)
    with pytest.raises(UsageError, match="no folder"):
        analysis.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="scores.parquet"):
        analysis.load(tmp_path)
    with pytest.raises(UsageError, match="nearest: 'sd3'"):
        analysis.load(folder, generators=["sd_3"])


def test_conditions_give_every_training_and_protocol_its_own_figures(tmp_path) -> None:
    folder = synthetic.write(tmp_path, images=50, level=0.5, generators=("sd3", "sd15"), seeds={"mini-sdxl": -2.0})
    scores = pd.read_parquet(folder / "scores.parquet")
    aligned = scores[scores.weights == "mini"].assign(protocol="aligned", weights="mini-aligned")
    aligned["arm"] = aligned["arm"].where(aligned.label == 1, "sd3")  # reals of SD3's own VAE
    aligned["logit"] = -aligned["logit"]
    pd.concat([scores, aligned]).to_parquet(folder / "scores.parquet")
    study = analysis.load(synthetic.vouch(folder))
    found = analysis.conditions(study)
    assert set(zip(found.protocol, found.weights, strict=True)) == {
        ("plain", "mini"), ("plain", "mini-sdxl"), ("aligned", "mini-aligned"),
    }  # fmt: skip
    for row in found[(found.generator == "sd3") & (found.weights != "mini-sdxl")].itertuples():
        own = scores[(scores.detector == row.detector) & (scores.weights == "mini") & (scores["size"] == 128)]
        own = own[(own.label == 0) | ((own.generator == "sd3") & (own.precision == "fp4"))]
        sign = -1 if row.protocol == "aligned" else 1
        assert row.auc_fp4 == pytest.approx(roc_auc_score(own.label, sign * own.logit))
        assert row.tpr_fp4 == pytest.approx((sign * own.logit[own.label == 1] > 0).mean())
    table = tables.conditions(analysis.conditions(study), study, "tpr").data
    assert "mini-aligned" in table and table.index("SD1.5") < table.index("SD3")  # the catalogue's order
    again = found[(found.weights == "mini-sdxl") & (found.generator == "sd3")].iloc[0]
    assert f"{again.tpr_fp32:.2f} \N{RIGHTWARDS ARROW} {again.tpr_fp4:.2f}" in sum(rows_of(table), [])


def test_the_spread_between_trainings_is_that_of_their_effects(tmp_path) -> None:
    moved = {"mini-s1": -2.0, "mini-s2": -4.0}
    study = analysis.load(synthetic.write(tmp_path, images=200, generators=("sd3", "sd15"), seeds=moved))
    assert set(study.scores.weights) == {"mini"}  # a page's figures are the study's own training's
    found = trainings(study)
    assert set(found.detector) == {"npr"} and (found.trainings == 3).all() and len(found) == 2 * 3
    fp4 = found[(found.generator == "sd3") & (found.precision == "fp4")].iloc[0]
    assert fp4.shift_max == pytest.approx(0.0, abs=0.2) and fp4.shift_min == pytest.approx(-4.0, abs=0.2)
    assert fp4.shift_mean == pytest.approx(-2.0, abs=0.2) and fp4.change_min < fp4.change_max <= 0.0
    bands = charts.shift_forest(analysis.shifts(study, resamples=50), found).to_dict()
    drawn = [row for rows in bands["datasets"].values() for row in rows if row.get("generator_title") == "SD3"]
    npr = next(row for row in drawn if row["detector"] == "npr" and row["precision"] == "fp4")
    assert npr["shift_min"] == pytest.approx(fp4.shift_min, abs=1e-3)
    assert fp4.change_max == 0.0  # which has no sign
    printed = f"{100 * fp4.change_min:+.1f} to 0.0".replace("-", "−")  # a minus, not a hyphen
    assert printed in sum(rows_of(tables.trainings(trainings(study), "FP32", "sd3").data), [])
    alone = analysis.load(synthetic.write(tmp_path / "one", images=20))
    assert trainings(alone).empty and "one training of each" in tables.trainings(trainings(alone), "FP32").data
