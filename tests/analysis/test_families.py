"""UNets against DiTs on a study of several trainings whose truth is known: what each generator and training moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_distances
import synthetic_traces
from scipy import stats

from helpers import analysis
from helpers.analysis import dose, families
from helpers.claims import dose as said
from helpers.paper.pages import mechanism

IMAGES, NOISE = 200, 0.1
PSNR = {("native", "fp16"): np.inf, ("native", "fp8"): 40.0, ("native", "fp4"): 33.0, ("ladder", "int2"): 19.0}
#: What INT2, the one rung, takes from every logit of a generator; the last three are DiTs.
APART = {"sd15": 2.9, "sd21": 3.0, "sdxl": 3.1, "sd3": 0.9, "sd35": 1.0, "flux1": 1.1}
#: A mean difference of 1.5 that three of a kind cannot show: they differ among themselves by as much.
WIDE = {"sd15": 0.2, "sd21": 2.5, "sdxl": 4.8, "sd3": 0.5, "sd35": 1.0, "flux1": 1.5}


def study(folder, taken: Mapping[str, float], trained: Mapping[str, float], lacking: Collection[str] = ()):
    """A study whose INT2 takes so much, under NPR's further trainings so much more; the last of those did not score the
    rung of the generators that are `lacking`."""
    synthetic.write(folder, images=IMAGES, level=1.5, seeds=dict.fromkeys(trained, 0.0))
    synthetic_traces.ladder(folder, images=IMAGES, size=0.0)
    rng = np.random.default_rng(4)
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[scores.arm != "ladder"]
    reals = scores[(scores.label == 0) & (scores.detector == "npr")]
    added = [reals.assign(weights=label) for label in trained]
    for (weights, generator), base in scores[scores.precision == "fp32"].groupby(["weights", "generator"]):
        if weights != [*trained][-1] or generator not in lacking:
            moved = taken[generator] + trained.get(weights, 0.0) + rng.normal(0, NOISE, len(base))
            added.append(base.assign(precision="int2", arm="ladder", logit=(base.logit - moved).astype(np.float32)))
    pd.concat([scores, *added]).to_parquet(folder / "scores.parquet")
    return analysis.load(synthetic_distances.write(folder, PSNR))


def rows(results):
    table = families.by_family(results)
    return table[table.precision == "fp4"].set_index(["kind", "detector"])


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    return study(tmp_path_factory.mktemp("apart"), APART, {"mini-s1": 0.3, "mini-s2": -0.3})


def test_kinds_that_differ_in_all(apart) -> None:
    found = rows(apart)
    row = found.loc[families.DIFFERENCE, "npr"]
    units = {key: apart.logits("npr", key, "fp32").std() for key in APART}
    own = [-APART[key] / units[key] for key in APART]
    assert row["shift"] == pytest.approx(np.mean(own[:3]) - np.mean(own[3:]), abs=0.03)
    assert row.shift_mean_low < -2 / 1.2 < row.shift_mean_high < 0  # scenes have a standard deviation of 1.2
    assert row.trainings == 3 and row.generators == 6 and row.auc_mean_high < 0
    assert found.loc[families.DIFFERENCE, "clip_d"].trainings == 1
    # Each end of a wider question lies further out than that of this training's prompts.
    assert row.shift_mean_high - row.shift_mean_low > row.shift_high - row.shift_low
    told = said.kinds(apart)
    assert "differs in 4 of 4 detectors (95 % interval in all without 0). Over prompts alone" in told
    assert "generators and trainings: 3 UNets (SD1.5, SD2.1, SDXL) and 3 DiTs (SD3, SD3.5, Flux.1)" in told
    assert "3 trainings of NPR, 1 of R50_nodown, R50_TF and CLIP-D" in told and "stays open" not in told
    shown = mechanism.families_table(families.by_family(apart), apart).data
    assert "in all" in shown and "over prompts" in shown


def test_generators_are_the_random_factor(tmp_path) -> None:
    """Generators of a kind that lie far apart: the interval of one training is Welch's over them, and 0 is in it."""
    results = study(tmp_path, WIDE, {"mini-s1": 0.0, "mini-s2": 0.0})
    found, each = rows(results), families.by_generator(results)
    each = each[(each.precision == "fp4") & (each.detector == "clip_d")].set_index("kind")["shift"]
    row = found.loc[families.DIFFERENCE, "clip_d"]
    ends = stats.ttest_ind(each["UNets"], each["DiTs"], equal_var=False).confidence_interval(0.95)
    # Beside it next to nothing: 200 prompts with a noise of .1.
    assert (row.shift_mean_low, row.shift_mean_high) == pytest.approx((ends.low, ends.high), rel=0.02)
    assert row.shift_high < 0 < row.shift_mean_high
    told = said.kinds(results)
    assert (
        "differs in 0 of 4 detectors" in told
        and "of this training, it differs in 4." in told
        and "most for" not in told
    )


def test_of_one_generator_trainings_alone(apart) -> None:
    """Of a generator as it is: the t interval of its three trainings, as prompts say next to nothing beside them."""
    table = families.by_generator(apart).set_index(["generator", "precision", "detector"])
    row = table.loc["sd3", "fp4", "npr"]
    expected = [-(APART["sd3"] + of) for of in (0.0, 0.3, -0.3)]
    half = stats.t.ppf(0.975, 2) * np.std(expected, ddof=1) / 3**0.5 / 1.2
    assert row.shift_mean == pytest.approx(np.mean(expected) / 1.2, rel=0.1)
    assert row.shift_mean_high - row.shift_mean == pytest.approx(half, rel=0.2)
    assert row.trainings == 3 and row.n == IMAGES
    one = table.loc["sd3", "fp4", "clip_d"]
    assert (one.auc_low, one.auc_high) == pytest.approx((one.auc_mean_low, one.auc_mean_high))


def test_a_training_without_a_rung_is_left_out(tmp_path) -> None:
    results = study(tmp_path, APART, {"mini-s1": 0.3, "mini-s2": -0.3}, lacking=["sd3"])
    assert dose.at_matched_dose(results, dose.ALL) is not None
    found = rows(results).trainings
    assert found["UNets", "npr"] == 3 and found["DiTs", "npr"] == 2 == found[families.DIFFERENCE, "npr"]
    assert "2 trainings of NPR, 1 of" in said.kinds(results)


def test_one_of_a_kind_leaves_the_kinds_open(tmp_path) -> None:
    synthetic.write(tmp_path, images=60, level=1.5, generators=("sd15", "sd3", "sd35"))
    synthetic_traces.ladder(tmp_path, images=60)
    told = said.kinds(analysis.load(synthetic_distances.write(tmp_path, PSNR)))
    assert "1 UNet (SD1.5) and 2 DiTs (SD3, SD3.5)" in told
    assert "As one UNet says nothing of UNets at large, whether the kinds differ stays open" in told
