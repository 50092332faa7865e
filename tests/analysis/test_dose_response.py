"""The ladder of formats on studies whose scores follow the weight error, the bits, or one format of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_traces

from helpers import analysis, charts
from helpers.analysis import dose_response
from helpers.charts import theme
from helpers.claims import ladder

TWO = ("sd15", "sd3")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    kept = {}

    def make(by: str) -> analysis.Results:
        if by not in kept:
            folder = synthetic.write(tmp_path_factory.mktemp(by), images=60, generators=TWO)
            kept[by] = analysis.load(synthetic_traces.ladder(folder, by))
        return kept[by]

    return make


def test_a_rung_has_its_dose_and_its_response(made):
    study = made("error")
    table = dose_response.ladder(study).set_index(["generator", "precision", "detector"])
    assert len(table) == 2 * 9 * 4 and table.high.isna().all()  # no spectra here
    scores = pd.read_parquet(study.folder / "scores.parquet")
    own = scores[(scores.generator == "sd3") & (scores.detector == "npr") & (scores["index"] < 60)]
    wide = own.pivot(index="index", columns=["arm", "precision"], values="logit")
    base = wide["native", "fp32"]
    row = table.loc[("sd3", "int2", "npr")]
    assert row["shift"] == pytest.approx(((wide["ladder", "int2"] - base) / base.std()).mean(), rel=1e-5)
    assert row["shift_low"] < row["shift"] < row["shift_high"] < 0
    assert row.tpr == pytest.approx((wide["ladder", "int2"] > 0).mean())
    assert (row.error, row.bits, row.n) == (0.7, 2, 60)


def test_the_error_is_found_where_scores_follow_it(made):
    study = made("error")
    table, pairs = dose_response.relations(study).set_index("detector"), dose_response.contrasts(study)
    assert table.loc["", "rank_error"] == pytest.approx(-1, abs=0.05)
    assert table.loc["", "gain_error_low"] > 0 and table.loc["", "miss_error"] < 0.02
    assert "follows the weight error more closely" in ladder.follows(study).sentence
    assert "the error accounts for what they leave" in ladder.follows(study).sentence
    pooled = pairs[pairs.detector == ""].set_index(["first", "second"])
    # A shift of 3 a unit of error, in standard deviations of scenes that spread by 1.2.
    assert pooled.loc[("nf4", "fp4"), "difference"] == pytest.approx(-3 / 1.2 * (0.09 - 0.13), abs=0.03)
    np.testing.assert_allclose(pooled.difference, pooled.expected + pooled.beyond, atol=1e-12)
    np.testing.assert_allclose(pooled.beyond, 0, atol=0.03)


def test_the_bits_are_found_where_scores_follow_them(made):
    study = made("bits")
    table = dose_response.relations(study).set_index("detector")
    assert table.loc["", "gain_error_high"] < 0 and table.loc["", "rank_bits"] < -0.8
    assert "follows the number of bits more closely" in ladder.follows(study).sentence


def test_a_format_of_its_own_stands_out(made):
    study = made("format")
    pairs = dose_response.contrasts(study)
    pooled = pairs[pairs.detector == ""].set_index(["first", "second"])
    assert pooled.loc[("fp4", "int4"), "beyond"] == pytest.approx(-3 * 0.3 / 1.2, abs=0.05)
    assert pooled.loc[("nf4", "fp4"), "beyond_low"] > 0
    said = ladder.follows(study).sentence
    assert "the format counts too" in said and "FP4" in said


def test_a_study_without_a_ladder_says_so(tmp_path):
    study = analysis.load(synthetic.write(tmp_path, images=20, generators=TWO))
    assert "no ladder" in ladder.follows(study).sentence
    assert (
        dose_response.ladder(study).empty
        and dose_response.relations(study).empty
        and dose_response.contrasts(study).empty
    )


def test_fine_detail_is_told_in_the_order_of_the_error(made):
    study = made("error")
    assert "not measured" in ladder.detail(study)
    low = pd.DataFrame({"generator": "sd3", "arm": "native", "precision": "fp32", "index": range(9), "high": 2.0})
    arm = [low.assign(arm="ladder", precision=key, high=high) for key, high in (("int2", 1.0), ("int8", 4.0))]
    pd.concat([low, *arm]).to_parquet(study.folder / "spectra.parquet")
    synthetic.vouch(study.folder)
    said = ladder.detail(analysis.load(study.folder))
    (study.folder / "spectra.parquet").unlink()
    assert said.index("+100.0\N{NO-BREAK SPACE}% (interval unknown) at INT8") < said.index(
        "50.0\N{NO-BREAK SPACE}% (interval unknown) at INT2"
    )


def test_the_figure_keeps_families_apart(made):
    charts.enable()
    spec = charts.ladder(dose_response.ladder(made("error"))).to_dict()
    assert len(theme.page(spec, "")) < 400_000 and '"log"' in str(spec).replace("'", '"')
    assert {family for _, family in dose_response.FORMATS.values()} <= set(charts.dose_response.FAMILIES)
    assert "high" not in str([param.get("bind") for param in spec["params"]])  # nothing to show of spectra
