"""The statistics on simulated studies whose truth is known: coverage of intervals, errors of families, power.

Where an interval should hold the truth in 95 % of studies, 93 to 97 % of at least 1,000 must; the seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt

import numpy as np
import pytest
import synthetic
from scipy import stats

from helpers import analysis, claims
from helpers.analysis import paired
from helpers.analysis.cells import standard_shift
from helpers.analysis.stats import metrics, power
from helpers.analysis.stats.metrics import Interval
from helpers.claims import rule

STUDIES = 1000


def coverage(intervals: Iterable[Interval], truth: float | np.ndarray) -> float:
    ends = np.array([(interval.low, interval.high) for interval in intervals])
    assert len(ends) >= STUDIES
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


def rates(rng: np.random.Generator, p: float, images: int, studies: int = STUDIES) -> list[Interval]:
    return [metrics.wilson(int(k), images) for k in rng.binomial(images, p, studies)]


@pytest.mark.parametrize(("p", "images"), [(0.5, 500), (0.9, 500), (0.98, 500), (0.9, 100)])
def test_rates_and_their_means_and_differences_are_covered(p: float, images: int) -> None:
    rng = np.random.default_rng(1)
    first, second = rates(rng, p, images), rates(rng, 0.8, images)
    assert 0.93 <= coverage(first, p) <= 0.97
    both = list(zip(first, second, strict=True))
    assert 0.93 <= coverage([metrics.balanced_accuracy(*pair) for pair in both], (p + 0.8) / 2) <= 0.97
    assert 0.93 <= coverage([metrics.independent_difference(*pair) for pair in both], 0.8 - p) <= 0.97


@pytest.mark.parametrize(("lost", "gained"), [(0.15, 0.01), (0.05, 0.05), (0.03, 0.0)])
def test_a_paired_change_of_a_rate_is_covered(lost: float, gained: float) -> None:
    rng = np.random.default_rng(2)
    first = rng.random((STUDIES, 500)) < 0.9
    turn = rng.random((STUDIES, 500))
    second = np.where(first, turn >= lost / 0.9, turn < gained / 0.1)
    found = [metrics.paired_difference(*pair) for pair in zip(first, second, strict=True)]
    assert 0.93 <= coverage(found, gained - lost) <= 0.97


@pytest.mark.parametrize("apart", [0.5, 1.5, 2.5])
def test_auc_is_covered(apart: float) -> None:
    rng = np.random.default_rng(3)
    fake, real = rng.normal(apart, 1, (STUDIES, 500)), rng.normal(0, 1, (STUDIES, 500))
    found = [metrics.auc(*pair) for pair in zip(fake, real, strict=True)]
    assert 0.93 <= coverage(found, stats.norm.cdf(apart / sqrt(2))) <= 0.97


def normal_truth(apart: float) -> dict[str, float]:
    """`metrics.OPERATING` of fakes N(apart, 1) against as many reals N(0, 1), from the distributions."""
    x = np.linspace(-8, 12, 100_001)
    tpr, fpr = stats.norm.sf(x, apart), stats.norm.sf(x)
    precision = tpr / (tpr + fpr)
    at = {f"tpr_at_{share}": stats.norm.sf(stats.norm.isf(share / 100) - apart) for share in (1, 5)}
    return {"ap": np.trapezoid(precision * stats.norm.pdf(x, apart), x), "eer": stats.norm.sf(apart / 2)} | at


@pytest.mark.parametrize("apart", [1.0, 2.5])
def test_figures_of_the_curve_are_covered(apart: float) -> None:
    rng = np.random.default_rng(4)
    prompts = np.arange(500)
    found = [
        metrics.operating(
            rng.normal(apart, 1, 500), rng.normal(0, 1, 500), prompts, prompts, resamples=400, seed=study % 4
        )
        for study in range(STUDIES)
    ]  # fmt: skip
    for name, truth in normal_truth(apart).items():
        assert 0.93 <= coverage([figures[name] for figures in found], truth) <= 0.97, name


def test_means_of_clusters_and_of_cells_are_covered() -> None:
    rng = np.random.default_rng(5)
    prompt = np.repeat(np.arange(100), 4)  # four images a prompt, which share most of their value
    values = rng.normal(0, 1, (STUDIES, 100)).repeat(4, axis=1) + rng.normal(0, 0.5, (STUDIES, 400))
    found = [metrics.bootstrap_mean(row, prompt, seed=study % 4) for study, row in enumerate(values)]
    assert 0.93 <= coverage(found, 0.0) <= 0.97
    careless = [metrics.bootstrap_mean(row, resamples=400) for row in values]
    assert coverage(careless, 0.0) < 0.8  # what clusters are for
    weights = rng.random(400)
    sums = [metrics.bootstrap_sum(row * weights, prompt, seed=study % 4) for study, row in enumerate(values)]
    assert 0.93 <= coverage(sums, 0.0) <= 0.97


def test_shifts_and_cliffs_delta_are_covered() -> None:
    rng = np.random.default_rng(6)
    base = rng.normal(0, 2, (STUDIES, 200))
    other = 0.5 + base + rng.normal(0, 1, (STUDIES, 200))
    index = np.arange(200)
    pairs = list(zip(base, other, strict=True))
    shifts = [standard_shift(*pair, index, resamples=1000) for pair in pairs]
    assert 0.93 <= coverage(shifts, 0.25) <= 0.97
    deltas = [paired.cliff(*pair, index, resamples=300) for pair in pairs]
    assert 0.93 <= coverage(deltas, 2 * stats.norm.cdf(0.5 / 3) - 1) <= 0.97  # 3: the spread of other less base


def test_the_calibrated_accuracy_is_covered() -> None:
    rng = np.random.default_rng(7)
    found, truth = [], []
    for fake, real in zip(rng.normal(1.5, 1, (STUDIES, 500)), rng.normal(0, 1, (STUDIES, 500)), strict=True):
        limit = metrics.calibrate(fake[::2], real[::2])
        sides = int((fake[1::2] > limit).sum()), int((real[1::2] <= limit).sum())
        found.append(metrics.balanced_accuracy(*(metrics.wilson(count, 250) for count in sides)))
        truth.append((stats.norm.sf(limit, 1.5) + stats.norm.cdf(limit)) / 2)  # at the threshold as it is
    assert 0.93 <= coverage(found, np.array(truth)) <= 0.97


def at_most(level: float, studies: int = STUDIES) -> float:
    """A share of studies that an error of at most `level` exceeds by chance once in a thousand."""
    return stats.binom.ppf(0.999, studies, level) / studies


def family_errors(p: Callable[[], np.ndarray], studies: int = STUDIES) -> float:
    return float(np.mean([np.nanmin(paired.holm(p())) < 0.05 for _ in range(studies)]))


def test_a_family_without_effects_has_a_false_alarm_in_at_most_a_twentieth_of_studies() -> None:
    rng = np.random.default_rng(8)

    def shifts() -> np.ndarray:  # 72 cells of 100 images, whose scenes are the same in all
        change = rng.normal(0, 1, (72, 100)) + 0.5 * rng.normal(0, 1, 100)
        return stats.ttest_1samp(change, 0, axis=1).pvalue

    assert family_errors(shifts) <= at_most(0.05)

    def verdicts() -> np.ndarray:
        turned = rng.binomial(25, 0.5, 72)
        return np.array([tail[k] for k in turned])

    tail = [stats.binomtest(k, 25).pvalue for k in range(26)]  # what `metrics.mcnemar` gives for these counts
    first = np.arange(100) < 50
    second = np.where(np.arange(100) < 10, False, np.where(np.arange(100) >= 85, True, first))
    assert metrics.mcnemar(first, second)[2] == pytest.approx(tail[10])
    assert family_errors(verdicts) <= at_most(0.05)

    def beyond() -> np.ndarray:  # a precision and a control that do the same
        moved, placebo = rng.standard_t(5, (2, 72, 100))
        return stats.ttest_1samp(np.abs(moved) - np.abs(placebo), 0, axis=1, alternative="greater").pvalue

    assert family_errors(beyond) <= at_most(0.05)


def test_swaps_within_pairs_raise_no_false_alarm() -> None:
    rng = np.random.default_rng(9)
    scenes = rng.normal(0, 2, (STUDIES, 60))
    pairs = scenes + rng.normal(0, 0.5, (2, STUDIES, 60))
    found = [paired.paired_permutation_test(*pair, times=199) for pair in zip(*pairs, strict=True)]
    for name in ("ks_p", "wasserstein_p"):
        assert np.mean([row[name] <= 0.05 for row in found]) <= at_most(0.05)
    assert np.mean([row["wasserstein_p"] <= 0.05 for row in found]) >= 0.03  # nor is it blind


def test_the_whole_table_raises_no_false_alarm_on_studies_without_effects(tmp_path) -> None:
    alarms = 0
    for seed in range(12):
        results = analysis.load(synthetic.write(tmp_path / str(seed), images=60, seed=seed))
        found = paired.paired_effects(results, resamples=20)
        alarms += bool((found[["p_holm", "shift_p_holm"]] < 0.05).any(axis=None))
    assert alarms <= stats.binom.ppf(0.999, 12, 0.10)  # two families a study


def test_a_claim_of_many_figures_at_its_edge_is_seldom_contradicted_or_supported() -> None:
    rng = np.random.default_rng(10)
    hits = rng.binomial(500, 0.95, (STUDIES, 32))  # C2: 32 accuracies of exactly the margin
    shown, widened = ([metrics.wilson(k, 500, level) for k in range(501)] for level in (0.95, 1 - 0.05 / 32))
    found = [rule.verdict([shown[k] for k in row], 0.95, 1, [widened[k] for k in row]) for row in hits]
    assert found.count("contradicted") / STUDIES <= at_most(0.05)
    assert found.count("supported") / STUDIES <= at_most(0.025)


def test_power_is_what_simulated_studies_reach() -> None:
    rng = np.random.default_rng(11)
    lows = np.array([metrics.wilson(k, 500).low for k in range(501)])
    reached = (lows[rng.binomial(500, 0.97, 4000)] >= 0.95).mean()
    assert power.stays_high(0.97, 500, 0.95) == pytest.approx(reached, abs=4 * sqrt(0.25 / 4000))
    change = rng.normal(-0.55, power.CHANGE, (STUDIES, 500))
    highs = np.array([metrics.bootstrap_mean(row, resamples=400).high for row in change])
    assert power.shift(0.55, 500, 0.5) == pytest.approx((highs <= -0.5).mean(), abs=4 * sqrt(0.25 / STUDIES))
    ends = change.mean(axis=1) + np.outer((-1.96, 1.96), change.std(axis=1, ddof=1)) / sqrt(500) + 0.55 + 0.15
    inside = ((ends[0] >= -0.2) & (ends[1] <= 0.2)).mean()
    assert power.overlap(0.15, 500, 0.2) == pytest.approx(inside, abs=4 * sqrt(0.25 / STUDIES))
    first, turn = rng.random((2, STUDIES, 500))
    losses = [metrics.paired_difference(f < 0.9, np.where(f < 0.9, t >= 0.08 / 0.9, t < 0.1))
              for f, t in zip(first, turn, strict=True)]  # fmt: skip
    reached = np.mean([loss.high <= -0.05 for loss in losses])
    assert power.drop(0.08, 500, 0.05) == pytest.approx(reached, abs=4 * sqrt(0.25 / STUDIES))


def test_more_images_show_more_and_the_margins_own_truth_shows_nothing() -> None:
    found = power.table()
    assert (found.n_30 <= found.n_100 + 0.02).all() and (found.n_100 <= found.n_500 + 0.02).all()
    assert power.stays_high(0.95, 500, 0.95) < 0.04 and power.shift(0.5, 500, 0.5) == pytest.approx(0.025)
    said = power.sentence(found)
    assert "C4: a drop (10 % lost and 1 % gained or 15 % lost and 1 % gained)." in said and "8 % lost" not in said
    stricter = power.table({"high": 0.99})
    assert (stricter.n_500[:3] < found.n_500[:3]).all()


def test_a_claim_of_several_figures_has_less_of_a_chance_than_one_as_is_said() -> None:
    """Of two independent figures at 0.98 both are shown in 0.95 squared of studies; the table has one of them."""
    rng = np.random.default_rng(5)
    lows = np.array([metrics.wilson(k, 500).low for k in range(501)])
    both = (lows[rng.binomial(500, 0.98, (4000, 2))] >= 0.95).all(axis=1).mean()
    one = power.stays_high(0.98, 500, 0.95)
    assert both == pytest.approx(one**2, abs=4 * sqrt(0.25 / 4000)) and both < one - 0.03
    assert power.sentence(power.table()).endswith(power.BEYOND) and "several figures needs all of them" in power.BEYOND


def test_the_power_of_a_claim_is_that_of_whole_studies(tmp_path) -> None:
    # C5 on studies whose R50_TF finds 93 % of SD3's images at FP4; the margin is 0.90.
    limit = stats.norm.ppf(0.93) * np.hypot(1.2, 0.15 / synthetic.SHRINK["fp4"] ** 0.5)
    supported = 0
    for seed in range(60):
        moved = {("r50_tf", "sd3", "fp4"): limit - 4.0}
        folder = synthetic.write(tmp_path / str(seed), moved, images=300, seed=seed, generators=("sd3",))
        (outcome,) = claims.evaluate(analysis.load(folder), "C5")
        supported += outcome.verdict == "supported"
    chance = power.stays_high(0.93, 300, 0.90)
    assert stats.binom.ppf(0.001, 60, chance) <= supported <= stats.binom.ppf(0.999, 60, chance)


FEW_STUDIES = 300  # a twentieth too many failures is four standard errors


def held(intervals: Iterable[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@pytest.mark.parametrize("images", [5, 20, 50])
def test_few_images_are_covered_too(images: int) -> None:
    """Where the usual intervals fail: few images, and figures next to their ceiling."""
    rng, index = np.random.default_rng(images), np.arange(images)
    shape = (FEW_STUDIES, images)
    assert held([metrics.bootstrap_mean(row, resamples=400) for row in rng.normal(0, 1, shape)], 0.0) >= 0.9
    base = rng.normal(0, 2, shape)
    pairs = list(zip(base, 0.5 + base + rng.normal(0, 1, shape), strict=True))
    assert held([standard_shift(*pair, index, resamples=400) for pair in pairs], 0.25) >= 0.9
    deltas = [paired.cliff(*pair, index, resamples=100) for pair in pairs]
    assert held(deltas, 2 * stats.norm.cdf(0.5 / 3) - 1) >= 0.9
    sides = list(zip(rng.normal(2.5, 1, shape), rng.normal(0, 1, shape), strict=True))
    assert held([metrics.auc(*pair) for pair in sides], stats.norm.cdf(2.5 / sqrt(2))) >= 0.9
    curves = [metrics.operating(*pair, index, index, resamples=60) for pair in sides[:150]]
    for name, truth in normal_truth(2.5).items():
        assert held([figures[name] for figures in curves], truth) >= 0.88, name


@pytest.mark.parametrize(("images", "lost"), [(5, 0.1), (20, 0.02), (20, 0.1), (50, 0.05), (50, 0.3)])
def test_a_mean_of_verdicts_that_hardly_turn_is_covered(images: int, lost: float) -> None:
    """C11's figure: two groups of two generators each, the same prompts in all; one group loses, the other hardly."""
    rng = np.random.default_rng(images)
    index, weights = np.tile(np.arange(images), 4), np.repeat([0.5, -0.5], 2 * images) / images
    turned = -1.0 * (rng.random((FEW_STUDIES, 4 * images)) < np.repeat([lost, 0.01], 2 * images))
    found = [metrics.mean_turn(row, weights, index, resamples=400) for row in turned]
    assert held(found, 0.01 - lost) >= 0.91
    assert all(interval.low < interval.estimate < interval.high for interval in found)


@pytest.mark.parametrize(("images", "lost"), [(50, 0.98), (80, 0.995), (80, 0.97)])
def test_a_mean_of_verdicts_that_nearly_all_turn_is_covered(images: int, lost: float) -> None:
    """What the coarsest formats do: next to no verdict stays as it was."""
    rng = np.random.default_rng(images)
    index, weights = np.tile(np.arange(images), 2), np.full(2 * images, 0.5 / images)
    # Both generators lose the same prompts, so that no second draw makes up for what was not seen.
    turned = -1.0 * np.tile(rng.random((FEW_STUDIES, images)) < lost, 2)
    found = [metrics.mean_turn(row, weights, index, resamples=400) for row in turned]
    assert held(found, -lost) >= 0.9
    assert all(interval.low <= interval.estimate < interval.high for interval in found)


@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [[4, 3, 4, 2] + [1] * 7, [1] * 15])
def test_medians_of_unlike_clusters_are_covered(sizes: list[int], between: float) -> None:
    rng, clusters = np.random.default_rng(8), np.repeat(np.arange(len(sizes)), sizes)
    found = [
        metrics.bootstrap_median(
            rng.normal(0, between, len(sizes))[clusters] + rng.normal(0, 1, len(clusters)), clusters, resamples=500
        )
        for _ in range(STUDIES)
    ]
    assert 0.91 <= coverage(found, 0) <= 0.975


def test_a_bootstrap_of_medians_is_that_of_the_values_drawn() -> None:
    rng = np.random.default_rng(9)
    for n in (5, 8, 9):
        values, clusters = rng.normal(size=n), np.array([0, 1, 2, 0, 1, 2, 0, 0, 0][:n])
        weights = metrics.bootstrap_weights(3)[clusters].astype(int)
        drawn = [np.median(np.repeat(values, times)) for times in weights.T]
        assert metrics.bootstrap_median(values, clusters) == metrics.resampled(float(np.median(values)), drawn, 3)
    assert np.isnan(metrics.bootstrap_median([], []).estimate)
