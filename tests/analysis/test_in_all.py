"""Intervals in all, on data drawn from the model that they state by a simulator that knows nothing of them."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from helpers.analysis.stats import metrics
from helpers.analysis.stats.in_all import CHANGE, SHARE, Sample, in_all
from helpers.analysis.stats.metrics import Interval

PROMPTS, STUDIES = 500, 1500
#: Four standard errors of a share of STUDIES near 95 %.
NOISE = 4 * sqrt(0.95 * 0.05 / STUDIES)


def normal_mean(values: np.ndarray):
    """The interval of a mean by the normal law, for one training."""

    def at(level: float) -> Interval:
        half = stats.norm.ppf(0.5 + level / 2) * values.std(ddof=1) / sqrt(len(values))
        return Interval(values.mean(), values.mean() - half, values.mean() + half)

    return at


def sample(values: np.ndarray, at=normal_mean) -> Sample:
    """A mean over generators of means over prompts, values (J, N)."""
    keys = [str(place) for place in range(len(values))]
    errors = [pd.Series((row - row.mean()) / len(row)) for row in values]
    return Sample(at(values.mean(axis=0)), dict(zip(keys, values.mean(axis=1), strict=True)),
                  dict(zip(keys, errors, strict=True)))  # fmt: skip


def drawn(rng, generators: int, trainings: int, between: dict[str, float]) -> np.ndarray:
    """Paired changes (J, K, N): parts of generators, trainings, both, prompts, prompts with each, and the rest, normal
    with the variances `between` where that of a mean over prompts of the rest is 1."""
    shapes = {
        "generator": (generators, 1, 1), "training": (1, trainings, 1), "both": (generators, trainings, 1),
        "prompt": (1, 1, PROMPTS), "prompt_generator": (generators, 1, PROMPTS),
        "prompt_training": (1, trainings, PROMPTS), "rest": (generators, trainings, PROMPTS),
    }  # fmt: skip
    scale = {key: PROMPTS if shape[2] > 1 else 1 for key, shape in shapes.items()}
    return sum(
        rng.normal(0, sqrt(between.get(key, 0) * scale[key]), shape) for key, shape in shapes.items()
    ) + np.zeros((generators, trainings, PROMPTS))  # fmt: skip


def held(found: list[Interval], truth: float = 0.0) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in found]))


@pytest.mark.parametrize("trainings", [3, 5])
@pytest.mark.parametrize("between", [0.5, 4.0, 40.0])
def test_over_prompts_and_trainings_it_covers_and_over_prompts_alone_does_not(trainings: int, between: float) -> None:
    rng = np.random.default_rng([trainings, int(10 * between)])
    parts = {"training": between, "prompt": 1.0, "rest": 1.0}
    found, naive = [], []
    for _ in range(STUDIES):
        samples = [sample(one[None]) for one in drawn(rng, 1, trainings, parts)[0]]
        found.append(in_all(samples))
        naive.append(samples[0].at(0.95))
    assert 0.93 - NOISE <= held(found) <= 0.97 + NOISE
    # One training's own interval knows of its prompts, variance 2, and not of `between`.
    expected = 2 * stats.norm.cdf(1.96 * sqrt(2 / (2 + between))) - 1
    assert held(naive) == pytest.approx(expected, abs=0.04) and held(naive) < 0.93


@pytest.mark.parametrize("trainings", [1, 3, 5])
def test_over_generators_too(trainings: int) -> None:
    rng = np.random.default_rng(trainings)
    parts = {"generator": 2.0, "training": 2.0 if trainings > 1 else 0.0, "both": 1.0, "prompt": 0.5,
             "prompt_generator": 0.3, "prompt_training": 0.3 if trainings > 1 else 0.0, "rest": 0.5}  # fmt: skip
    found, naive = [], []
    for _ in range(STUDIES // 2):
        values = drawn(rng, 6, trainings, parts)
        samples = [sample(values[:, place]) for place in range(trainings)]
        found.append(in_all(samples, general=True))
        naive.append(samples[0].at(0.95))
    assert 0.93 - 1.5 * NOISE <= held(found) <= 0.97 + 1.5 * NOISE
    assert held(naive) < 0.9


@pytest.mark.parametrize(("generators", "trainings"), [(4, 3), (5, 3), (6, 2)])
def test_where_trainings_make_nearly_all_of_the_variance(generators: int, trainings: int) -> None:
    rng = np.random.default_rng([generators, trainings])
    parts = {"training": 20.0, "both": 0.2, "prompt": 0.5, "rest": 0.5}
    found = []
    for _ in range(STUDIES):
        values = drawn(rng, generators, trainings, parts)
        found.append(in_all([sample(values[:, place]) for place in range(trainings)], general=True))
    assert 0.93 - NOISE <= held(found) <= 0.97 + NOISE


def test_two_of_each_are_no_wider_than_one_degree_makes_them() -> None:
    rng = np.random.default_rng(4)
    parts = {"generator": 1.0, "training": 1.0, "both": 1.0, "prompt": 0.5, "rest": 0.5}
    for _ in range(200):
        values = drawn(rng, 2, 2, parts)
        found = in_all([sample(values[:, place]) for place in range(2)], general=True)
        spread = np.ptp(values.mean(axis=2)) + values.std() / sqrt(PROMPTS)
        assert found.high - found.low <= 2 * stats.t.ppf(0.975, 1) * spread


@pytest.mark.parametrize("trainings", [3, 5])
@pytest.mark.parametrize(("level", "spread"), [(1.3, 0.15), (1.7, 0.4)])
def test_rates_are_covered_and_stay_within_their_bounds(trainings: int, level: float, spread: float) -> None:
    """A fake is found where its prompt's part, the training's and a rest lie above 0: the mean rate is known."""
    rng = np.random.default_rng([trainings, int(10 * level)])
    truth = stats.norm.cdf(level / sqrt(1 + 1 + spread**2) * sqrt(2))
    found, naive = [], []
    for _ in range(STUDIES):
        latent = sqrt(2) * level + rng.normal(0, 1, PROMPTS) + rng.normal(0, 1, (trainings, PROMPTS))
        called = latent + rng.normal(0, spread, (trainings, 1)) > 0
        samples = [sample(one[None].astype(float), lambda x: lambda p: metrics.rate(x, p)) for one in called]
        found.append(in_all(samples, bounds=SHARE))
        naive.append(samples[0].at(0.95))
    assert 0.93 - NOISE <= held(found, truth) <= 0.97 + NOISE
    assert held(naive, truth) < 0.9
    assert all(0 <= interval.low <= interval.estimate <= interval.high <= 1 for interval in found)


def test_the_variance_is_that_of_a_mixed_model_of_crossed_parts() -> None:
    """With many of each no quantile matters: the error is that of REML with prompts and trainings crossed."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, 25) + rng.normal(0, 0.5, (20, 1)) + rng.normal(0, 1, (20, 25))
    frame = pd.DataFrame([(k, i, y) for (k, i), y in np.ndenumerate(values)], columns=["k", "i", "y"]).assign(one=1)
    parts = {"training": "0 + C(k)", "prompt": "0 + C(i)"}
    fit = smf.mixedlm("y ~ 1", frame, groups="one", re_formula="0", vc_formula=parts).fit(reml=True)
    error = fit.bse["Intercept"]
    found = in_all([sample(one[None]) for one in values])
    assert found.estimate == pytest.approx(fit.params["Intercept"], abs=1e-6)
    assert 1.96 * error <= (found.high - found.low) / 2 <= stats.t.ppf(0.975, 19) * error * 1.01


def test_one_training_is_over_prompts_alone() -> None:
    one = sample(np.random.default_rng(0).normal(0, 1, (1, 50)))
    assert in_all([one]) == one.at(0.95) == in_all([one], general=True)


def test_trainings_that_show_nothing_are_no_surer_than_one() -> None:
    always = sample(np.ones((1, 60)), lambda x: lambda level: metrics.rate(x, level))
    assert in_all([always] * 5, bounds=SHARE) == metrics.wilson(60, 60)
    still = sample(np.zeros((1, 60)), lambda x: lambda level: metrics.paired_difference(x, x, level))
    assert in_all([still] * 3, bounds=CHANGE) == metrics.paired_difference(np.zeros(60), np.zeros(60))


def test_more_doubt_is_wider_and_what_is_not_known_stays_so() -> None:
    rng = np.random.default_rng(2)
    samples = [sample(rng.normal(mean, 1, (1, 100))) for mean in (0, 0.2, 0.5)]
    narrow, wide = (in_all(samples, level) for level in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    moved = in_all([sample(rng.normal(mean, 1, (1, 100))) for mean in (0, 0.2, 5)])
    assert moved.high - moved.low > narrow.high - narrow.low
    lost = sample(np.full((1, 10), np.nan))
    assert np.isnan(in_all([samples[0], lost]).estimate)
    blind = Sample.single(lambda level: Interval(0.1, np.nan, np.nan), 0.1, pd.Series(np.zeros(100)))
    assert np.isnan(in_all([samples[0], blind]).low)


def less(parts: np.ndarray, first: int) -> list[Sample]:
    """The mean over the first generators less that over the others, of values (J, K, N), by training."""
    found = []
    for values in parts.transpose(1, 0, 2):
        one = sample(values, normal_mean)
        others = frozenset(list(one.estimates)[first:])
        at = normal_mean(values[:first].mean(axis=0) - values[first:].mean(axis=0))
        found.append(Sample(at, one.estimates, one.influences, others))
    return found


@pytest.mark.parametrize("first", [[0.1, 0.4, 0.2], [0.3, -0.2]])
def test_the_difference_of_two_kinds_under_one_training_is_welchs(first: list[float]) -> None:
    """Where prompts say nothing: against scipy's interval of two samples of unlike variance."""
    others = [1.0, 2.5, 1.1, 1.7]
    values = np.repeat(np.array([*first, *others])[:, None, None], PROMPTS, axis=2)
    found = in_all(less(values, len(first)), general=True)
    ends = stats.ttest_ind(first, others, equal_var=False).confidence_interval(0.95)
    assert found.estimate == pytest.approx(np.mean(first) - np.mean(others))
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    taken = in_all(less(values, len(first)))
    assert taken.estimate == pytest.approx(found.estimate)
    assert taken.high - taken.low < 1e-9  # as they are, they vary in nothing


@pytest.mark.parametrize("trainings", [1, 3, 5])
@pytest.mark.parametrize("general", [0.0, 4.0])
def test_the_difference_of_two_kinds(trainings: int, general: float) -> None:
    """Three generators against three: generators, what a training does to one kind alone, and what it does to both,
    which cancels."""
    rng = np.random.default_rng([trainings, int(general)])
    parts = {"generator": general, "training": 20.0, "both": 0.1, "prompt": 20.0, "rest": 0.5}
    of_kind = 2.0 * (trainings > 1)
    found, naive = [], []
    for _ in range(STUDIES // 3):
        one = drawn(rng, 6, trainings, parts)
        one[:3] += rng.normal(0, sqrt(of_kind), (1, trainings, 1))
        samples = less(one, 3)
        found.append(in_all(samples, general=True))
        naive.append(samples[0].at(0.95))
    noise = NOISE * sqrt(3)
    # Of prompts and trainings alone the degrees of freedom are held too low: such intervals are longer than need be.
    assert 0.93 - noise <= held(found) <= (0.985 + noise if general else 1.0)
    if general:
        assert held(naive) < 0.9


def test_one_generator_is_taken_as_it_is() -> None:
    """A kind of one against one, under three trainings: the interval of the three differences."""
    values = np.repeat(np.array([[1.0, 1.4, 1.5], [0.2, 0.1, 0.6]])[:, :, None], PROMPTS, axis=2)
    samples = less(values, 1)
    differences = values[0, :, 0] - values[1, :, 0]
    found = in_all(samples, general=True)
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / sqrt(3)
    assert (found.estimate, found.high) == pytest.approx((differences.mean(), differences.mean() + half))
    assert in_all(samples) == found
