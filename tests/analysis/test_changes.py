"""Paired changes of AUC and of TPR at 5 % FPR: scikit-learn's estimates, closed forms of normal scores, coverage."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from helpers.analysis.stats import changes, metrics
from helpers.analysis.stats.changes import Pairs

STUDIES = 1000


def cell(rng: np.random.Generator, prompts: int, before: float, after: float, digits: int = 9, weight=1.0) -> Pairs:
    """Normal scores of spread 1: fakes at `before` and `after`, correlated .8 with each other, reals at 0."""
    own = rng.normal(0, 1, prompts)
    moved = 0.8 * own + 0.6 * rng.normal(0, 1, prompts)
    index = np.arange(prompts)
    return Pairs(
        (own + before).round(digits), (moved + after).round(digits), index, rng.normal(0, 1, prompts).round(digits),
        index, weight,
    )  # fmt: skip


def at_5(fake: np.ndarray, real: np.ndarray) -> float:
    labels, scores = np.r_[np.ones(len(fake)), np.zeros(len(real))], np.r_[fake, real]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(tpr[fpr <= 0.05 + 1e-12].max())


def area(fake: np.ndarray, real: np.ndarray) -> float:
    return float(roc_auc_score(np.r_[np.ones(len(fake)), np.zeros(len(real))], np.r_[fake, real]))


@pytest.mark.parametrize("digits", [6, 0], ids=["continuous", "ties"])
def test_the_changes_are_sklearns_weighted_by_cell(digits: int) -> None:
    rng = np.random.default_rng(1)
    cells = [cell(rng, n, 1.5, 1.0, digits, weight) for n, weight in ((60, 0.75), (45, 0.5), (80, -0.25))]
    for found, figure in ((changes.area_change(cells, 200), area), (changes.caught_change(cells, 0.05, 200), at_5)):
        wanted = sum(of.weight * (figure(of.other, of.real) - figure(of.base, of.real)) for of in cells)
        assert found.estimate == pytest.approx(wanted, abs=1e-12)
        assert found.low < found.estimate < found.high


def test_resamples_are_those_of_the_images_drawn_again() -> None:
    one = cell(np.random.default_rng(2), 40, 1.5, 0.8, 1)
    by_hand = []
    for times in metrics.bootstrap_weights(40, 60).T.astype(int):  # a prompt drawn twice: all its images twice
        base, other, real = (np.repeat(of, times) for of in (one.base, one.other, one.real))
        by_hand.append(at_5(other, real) - at_5(base, real))
    found = changes.caught_change([one], 0.05, 60)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=1e-9)


@pytest.mark.parametrize(("before", "after"), [(2.5, 1.5), (1.0, 1.0), (3.0, 2.8)])
@pytest.mark.parametrize("prompts", [100, 500])
def test_changes_hold_what_normal_scores_give_in_closed_form(before: float, after: float, prompts: int) -> None:
    rng, resamples = np.random.default_rng(3), 1000 if prompts == 100 else 400
    found = [
        (changes.area_change([one], resamples), changes.caught_change([one], 0.05, resamples))
        for one in (cell(rng, prompts, before, after) for _ in range(STUDIES))
    ]
    limit = stats.norm.isf(0.05)  # 1.645: TPR = Phi(d - 1.645), AUC = Phi(d / sqrt 2)
    truths = [
        stats.norm.cdf(after / sqrt(2)) - stats.norm.cdf(before / sqrt(2)),
        stats.norm.cdf(after - limit) - stats.norm.cdf(before - limit),
    ]
    held = [
        np.mean([interval.low <= truth <= interval.high for interval in intervals])
        for intervals, truth in zip(zip(*found, strict=True), truths, strict=True)
    ]
    assert 0.93 <= held[0] <= 0.97
    # A resample's threshold moves in steps, the more so where five reals of 100 lie over it: rather too wide.
    assert 0.93 <= held[1] <= (0.985 if prompts == 500 else 1.0)


def test_cells_that_share_prompts_and_reals_are_not_counted_as_independent() -> None:
    one = cell(np.random.default_rng(4), 200, 1.5, 1.0)
    for change in (changes.area_change, changes.caught_change):
        alone, copied = change([one]), change([one._replace(weight=0.25)] * 4)
        assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
        none = change([one, one._replace(weight=-1.0)])
        assert none.estimate == pytest.approx(0, abs=1e-12)


def test_no_change_is_not_certain_and_no_reals_no_figure() -> None:
    rng = np.random.default_rng(5)
    one = cell(rng, 50, 9.0, 9.0)
    most = stats.binomtest(0, 50).proportion_ci(method="wilson").high
    for change in (changes.area_change, changes.caught_change):
        found = change([one._replace(other=one.base)])
        assert found.estimate == 0 and found.low <= -most + 1e-9 and found.high >= most - 1e-9
        assert isnan(change([one._replace(real=one.real[:0], real_prompt=one.prompt[:0])]).estimate)
        assert isnan(change([]).estimate)
        with pytest.raises(ValueError, match="not finite"):
            change([one._replace(other=np.where(one.prompt == 3, np.nan, one.other))])
