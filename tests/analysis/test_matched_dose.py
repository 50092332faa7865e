"""A study at the dose of real images: the rungs are those that are known, and what is asked of it comes out as made."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_distances
import synthetic_traces

from helpers import analysis, charts, claims
from helpers.analysis import dose, effects, families, image_traces, real_ladders
from helpers.analysis.conditions import under
from helpers.analysis.effects import over_trainings
from helpers.analysis.instruments import instruments
from helpers.analysis.repeats import rests
from helpers.charts import theme
from helpers.claims import dose as said

IMAGES, GENERATORS = 60, ("sd15", "sd3", "flux1")
#: What each rung of `synthetic_traces.ladder` takes from every logit: three times the error of its weights.
TAKEN = {"int8": 0.018, "int4": 0.33, "int2": 2.1}
#: Real images lie at 26.6 dB at 8 bits and at 18.1 dB at 4 bits: INT4 and INT2 stand for them.
RUNGS = {("ladder", "int8"): 45.0, ("ladder", "int4"): 26.0, ("ladder", "int2"): 19.0}
MAIN = {("native", "fp16"): np.inf, ("native", "fp8"): 40.0, ("native", "fp4"): 33.0}


def study(folder, effects=synthetic.FLAT, images=IMAGES, *, generators=GENERATORS, distances=None, ladders=(), **more):
    """A study with a ladder (and further `ladders`), its images as far from the baseline as said."""
    synthetic.write(folder, effects, images=images, generators=generators, **more)
    for own in ladders or ({},):
        synthetic_traces.ladder(folder, images=images, **own)
    return analysis.load(synthetic_distances.write(folder, MAIN | RUNGS | (distances or {})))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known")
    return study(folder, placebo=0.1, protocols={"shared": synthetic.FLAT}, distances={
        ("ladder", "int2", "flux1"): 8.0, ("ladder", "int4", "flux1"): 26.5,  # out of reach at 4 bits
    })  # fmt: skip


def test_the_effect_is_that_of_the_dose(known):
    there = dose.at_matched_dose(known)
    table = analysis.shifts(there).set_index(["generator", "precision", "detector"])
    for generator, precision, rung in (("sd15", "fp8", "int4"), ("sd3", "fp4", "int2"), ("flux1", "fp8", "int4")):
        row = table.loc[(generator, precision, "npr")]
        # The noise of a logit on the ladder has a standard deviation of .1.
        assert row["shift"] == pytest.approx(-TAKEN[rung], abs=4 * 0.1 / IMAGES**0.5)
        assert row.n == IMAGES
    # The nominal formats move nothing.
    nominal = analysis.shifts(known)
    assert nominal[nominal.precision == "fp4"]["shift"].abs().max() < 0.3
    for precision in ("fp32", "fp16"):
        assert there.logits("npr", "sd3", precision).equals(known.logits("npr", "sd3", precision))
    assert there.reals("npr", "sd3").equals(known.reals("npr", "sd3"))


def test_a_generator_out_of_reach_has_no_cell(known):
    found = dose.matches(known)
    assert {cell: match.precision for cell, match in found.items()} == {
        (generator, "fp8"): "int4" for generator in GENERATORS
    } | {("sd15", "fp4"): "int2", ("sd3", "fp4"): "int2", ("flux1", "fp4"): ""}  # fmt: skip
    assert [match.target for match in found.values()][:2] == [
        real_ladders.real_dose(bits).psnr.estimate for bits in (8, 4)
    ]
    there = dose.at_matched_dose(known)
    assert there.logits("npr", "flux1", "fp4").empty and len(there.logits("npr", "flux1", "fp8")) == IMAGES
    assert "8.4 dB away" in found["flux1", "fp4"].why
    assert dose.matches(known, "", 9.0)["flux1", "fp4"].precision == "int4"


def test_it_goes_with_protocols_trainings_and_thresholds(known):
    there = dose.at_matched_dose(known)
    again = under(there, "shared", "mini", ["npr", "clip_d"])
    rows = known.stored
    rows = rows[(rows.protocol == "shared") & (rows.arm == "ladder") & (rows.precision == "int2")]
    rows = rows[(rows.detector == "npr") & (rows.generator == "sd3")]
    assert again.logits("npr", "sd3", "fp4").to_numpy() == pytest.approx(rows.sort_values("index").logit.to_numpy())
    assert again.detectors == ("npr", "clip_d")
    # A threshold at the baseline's best: the same for both views, as it reads the baseline alone.
    moved, nominal = claims.calibrated(there), claims.calibrated(known)
    limit = known.logits("npr", "sd3", "fp32") - nominal.logits("npr", "sd3", "fp32")
    own = there.logits("npr", "sd3", "fp4") - moved.logits("npr", "sd3", "fp4")
    assert own.dropna().unique() == pytest.approx(limit.dropna().unique()[:1], abs=1e-9)
    assert instruments(there)["npr"].best == instruments(known)["npr"].best
    with pytest.raises(ValueError, match="not those that are stored"):
        dose.at_matched_dose(nominal)


def test_what_lies_beside_the_scores_goes_with_them(known):
    there = dose.at_matched_dose(known)
    table = dose.doses(there).set_index(["generator", "arm", "precision"])
    assert table.loc[("sd3", "native", "fp4"), "psnr"] == 19.0 and ("flux1", "native", "fp4") not in table.index
    cells = there.table("cells.parquet").set_index(["generator", "arm", "precision"])
    part = json.loads(cells.loc[("sd3", "native", "fp4"), "component_coverage"])["denoiser"]
    assert part["weight_errors"]["all"] == 0.7  # INT2's


def test_filtered_images_are_not_those_of_the_rung(tmp_path):
    folder = synthetic.write(tmp_path, images=50, generators=("sd15", "sd3"), placebo=0.01)
    synthetic_traces.traces(folder, "smooths", decoder=0.5)
    synthetic_traces.ladder(folder, images=50)
    results = analysis.load(synthetic_distances.write(folder, MAIN | RUNGS))
    there = dose.at_matched_dose(results)
    assert len(image_traces.treatments(results)) and image_traces.treatments(there).empty
    assert set(there.table("counterfactuals.parquet").treatment) == {"decoded"}
    outcome = claims.evaluate(results, "C6")[0]
    assert outcome.verdict == "supported" and outcome.matched.verdict == "not testable"  # no spectra of the ladder
    assert "no spectra of FP32 and images at the real 4-bit dose." in outcome.matched_answer
    assert "INT2 of SD1.5's ladder (19.0 dB)" in outcome.matched_answer


def test_a_claim_of_several_doses_does_not_hold_by_those_that_there_are(tmp_path) -> None:
    """C8 is of every precision: where nothing stands for 4 bits, 8 bits alone cannot show it."""
    found = study(tmp_path / "c8", images=300, generators=("sd3",), distances={
        ("ladder", "int8"): 26.5, ("ladder", "int4"): 33.0, ("ladder", "int2"): 8.0,
    })  # fmt: skip
    (outcome,) = claims.evaluate(found, "C8")
    assert [match.precision for match in dose.matches(found).values()] == ["int8", ""]
    assert outcome.verdict == "supported" and outcome.matched.verdict == "inconclusive"
    assert "No rung of SD3 stands for real 4-bit images" in outcome.matched_answer
    assert said.LACKING in outcome.matched_answer and "the claim stays open" in outcome.matched_answer


def test_a_rung_that_nobody_scored_stands_for_nothing(tmp_path) -> None:
    """Under a protocol without scores of the ladder the baseline alone is left, which answers no claim of doses."""
    synthetic.write(tmp_path, images=60, generators=GENERATORS, protocols={"shared": synthetic.FLAT})
    synthetic_traces.ladder(tmp_path, images=60)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    scores[(scores.protocol == "plain") | (scores.arm != "ladder")].to_parquet(tmp_path / "scores.parquet")
    table = claims.by_condition(analysis.load(synthetic_distances.write(tmp_path, MAIN | RUNGS)))
    rows = table[table.condition == "shared, matched dose"]
    assert len(rows) > 5 and set(rows.verdict) == {"not testable"}


def test_trainings_that_lack_a_rung_are_not_in_the_interval(tmp_path) -> None:
    """Flux.1's dose is INT3's, which the further trainings did not score: a mean over generators is over the page's
    training alone, and not over fewer generators; SD3's own figure is over all three."""
    synthetic.write(tmp_path, images=60, seeds={"mini-s1": 0.1, "mini-s2": 0.2})
    synthetic_traces.ladder(tmp_path, images=60)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    ladder = scores[(scores.arm == "ladder") & (scores.precision == "int2") & (scores.detector == "npr")]
    again = [ladder.assign(weights=label) for label in ("mini-s1", "mini-s2")]
    pd.concat([scores, *again]).to_parquet(tmp_path / "scores.parquet")
    far = {("ladder", "int2", "flux1"): 8.0, ("ladder", "int3", "flux1"): 18.5, ("ladder", "int3"): 23.0}
    there = dose.at_matched_dose(analysis.load(synthetic_distances.write(tmp_path, MAIN | RUNGS | far)))
    ((contrast,), three) = (
        over_trainings(lambda of: effects.contrast(of, ["npr"], ["clip_d"], "fp4"), there, ["npr", "clip_d"]),
        over_trainings(lambda of: effects.change(of, "npr", "sd3", "fp4"), there, ["npr"]),
    )
    assert set(contrast.estimates) == set(synthetic.SIZES) and len(three) == 3
    nominal = analysis.load(tmp_path)
    assert rests(nominal) == "3 trainings of NPR, 1 of R50_nodown, R50_TF and CLIP-D"
    assert rests(there) == f"{rests(nominal)}; of some cells fewer"


def test_without_distances_or_ladder_there_is_no_such_view(tmp_path):
    plain = analysis.load(synthetic.write(tmp_path, images=40))
    assert dose.at_matched_dose(plain) is None
    outcomes = {outcome.claim.key: outcome for outcome in claims.evaluate(plain)}
    assert outcomes["C4"].matched.verdict == "not testable" and "not measured" in outcomes["C4"].matched.sentence
    assert not any("dose" in name for name in claims.by_condition(plain).condition)


def test_a_claim_is_judged_at_the_dose_too(tmp_path):
    """Nominal FP4 costs nothing, INT2 of the ladder nearly every verdict of the same detectors."""
    images = 300
    folder = synthetic.write(tmp_path, images=images, placebo=0.1)
    synthetic_traces.ladder(folder, images=images, size=12.0)  # INT2 takes 8.4
    results = analysis.load(synthetic_distances.write(folder, MAIN | RUNGS | {("ladder", "int2", "sdxl"): 8.0}))
    found = {outcome.claim.key: outcome for outcome in claims.evaluate(results)}
    assert (found["C4"].verdict, found["C4"].matched.verdict) == ("contradicted", "supported")
    assert (found["C5"].verdict, found["C5"].matched.verdict) == ("supported", "contradicted")
    assert (found["C9_loss"].verdict, found["C9_loss"].matched.verdict) == ("supported", "contradicted")
    said_ = found["C4"].matched_answer
    assert "INT2 of SD3's ladder (19.0 dB) stands for real 4-bit images at 18.1 dB." in said_
    assert "the real 4-bit dose" in said_ and "FP4" not in said_ and "In this study the claim holds" in said_
    lost = found["C9_loss"].matched_answer
    assert "No rung of SDXL stands" in lost and "SDXL at" not in lost.split("No rung")[0]
    assert found["C3"].matched is None and found["C10"].matched is None and found["C1_memory"].matched is None
    table = claims.table(list(found.values())).set_index("key")
    assert table.loc["C4", "matched_verdict"] == "supported" and table.loc["C3", "matched_verdict"] == ""
    row = table.loc["C4"]
    assert row.matched_low <= row.matched_estimate <= row.matched_high < -0.5 and row.matched_n == images
    by = claims.by_condition(results)
    there = by[by.condition == "plain, matched dose"].set_index("key")
    assert there.loc["C4", "verdict"] == "supported" and "C3" not in there.index and "C10" not in there.index
    assert "plain, matched dose" in set(claims.of_claim(results, found["C4"]).condition)


UNETS_TOO = (
    {"share": 0.5, "generators": ("sd15",)},
    {"name": "ladder_all", "coverage": "all", "share": 0.96, "generators": ("sd15",), "size": 6.0},
)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """SD1.5's ladder quantizes half of it, one of all layers moves it twice as far; SD3's quantizes nearly all."""
    folder = tmp_path_factory.mktemp("both")
    synthetic.write(folder, images=300, level=1.5, generators=("sd15", "sd3"))
    for own in (*UNETS_TOO, {"name": "ladder_dit", "share": 0.99, "generators": ("sd3",)}):
        synthetic_traces.ladder(folder, images=300, **own)
    at = {(arm, *key[1:]): psnr for key, psnr in RUNGS.items() for arm in ("ladder", "ladder_all", "ladder_dit")}
    return analysis.load(synthetic_distances.write(folder, MAIN | at))


def test_kinds_are_compared_at_equal_coverage(both):
    table = families.places(both).set_index(["generator", "precision"])
    assert table.loc[("sd15", "fp4"), "share"] == 0.96 and table.loc[("sd3", "fp4"), "share"] == 0.99
    assert set(table.kind) == {"UNets", "DiTs"} and (table.rung[:, "fp4"] == "int2").all()
    means = families.by_family(both).set_index(["kind", "precision", "detector"])
    spread = {key: both.logits("npr", key, "fp32").std() for key in ("sd15", "sd3")}
    unets, dits = (means.loc[(kind, "fp4", "npr")] for kind in families.KINDS)
    assert unets["shift"] == pytest.approx(-4.2 / spread["sd15"], rel=0.02)  # twice INT2's 2.1
    assert dits["shift"] == pytest.approx(-2.1 / spread["sd3"], rel=0.02)
    less = means.loc[(families.DIFFERENCE, "fp4", "npr")]
    assert less["shift"] == pytest.approx(unets["shift"] - dits["shift"]) and less.shift_high < 0
    assert less.auc_high < 0 and less.generators == 2
    own = families.by_generator(both).set_index(["generator", "precision", "detector"])
    row = own.loc[("sd15", "fp4", "npr")]
    # The areas by counting pairs.
    real = both.reals("npr", "sd15").to_numpy()
    area = {
        name: np.mean(np.subtract.outer(fake.to_numpy(), real) > 0)
        for name, fake in (("before", both.logits("npr", "sd15", "fp32")),
                           ("after", dose.at_matched_dose(both, dose.ALL).logits("npr", "sd15", "fp4")))
    }  # fmt: skip
    assert row.auc == pytest.approx(area["after"] - area["before"], abs=1e-9)
    told = said.kinds(both)
    assert "96\N{NO-BREAK SPACE}% of the UNets' denoisers" in told and "loses more on UNets" in told
    assert "1 UNet (SD1.5)" in told and "one UNet says nothing of UNets at large" in told and "stays open" in told


def test_kinds_that_cannot_be_compared_say_why(known, tmp_path):
    folder = synthetic.write(tmp_path, images=40, generators=("sd15", "sd3"))
    synthetic_traces.ladder(folder, images=40, share=0.5)
    half = analysis.load(synthetic_distances.write(folder, MAIN | RUNGS))
    assert families.by_family(half).empty and "no ladder" in said.kinds(half)
    assert "not measured" in said.kinds(analysis.load(synthetic.write(tmp_path / "none", images=40)))
    # A ladder of linear layers that holds .97 of every denoiser counts for all.
    assert "compared where the ladder" in said.kinds(known)
    assert families.places(known).query("generator == 'flux1' and precision == 'fp4'").why.str.len().gt(0).all()


def test_figures_of_dose_and_kinds(both):
    charts.enable()
    bands = real_ladders.doses(real_ladders.pairs(), [8, 4])
    table = dose.responses(both)
    spec = charts.dose_auc(table[table.arm != "native"], bands, "npr").to_dict()
    assert "real 4-bit images lie at 18.1 dB" in spec["description"] and "image/png" in theme.render(spec)
    empty = charts.dose_auc(table[table.arm != "native"], bands[:0], "npr").to_dict()
    assert "real" not in empty["description"]
    row = table[(table.detector == "npr") & (table.generator == "sd3") & (table.precision == "int2")].iloc[0]
    fake, real = both.logits("npr", "sd3", "fp32") - 2.1, both.reals("npr", "sd3")
    assert row.auc == pytest.approx(np.mean(np.subtract.outer(fake.to_numpy(), real.to_numpy()) > 0), abs=0.02)
    assert isinstance(table, pd.DataFrame) and row.auc_low < row.auc < row.auc_high < row.auc_before
