"""Evidence from real checkpoints: effects against a second calculation, the stored summary against its source."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from tabled import rows_of

from helpers import analysis, charts
from helpers.analysis import public_study
from helpers.analysis import real_checkpoints as real
from helpers.core import files
from helpers.paper.pages import real_checkpoints
from helpers.results import importing

MINI = files.RESULTS / "mini"
FILE = Path(
    os.environ.get("QUANTDETECT_PUBLIC_SCORES")
    or files.ROOT.parent / "shared" / "data" / "public_scores_real_checkpoints.csv"
)


def study(folder: Path, moves: dict[tuple[str, str], float], images: int = 200, noise: float = 0.3) -> analysis.Results:
    """Real-checkpoint scores of SD3 whose formats move each detector's logit by `moves`, paired by image."""
    rng, rows = np.random.default_rng(5), []
    for detector in ("npr", "clip_d"):
        scene = rng.normal(0, 1, images)
        for precision in ("fp16", "int8", "nf4"):
            moved = moves.get((detector, precision), 0.0) + rng.normal(0, noise, images)
            for index, logit in enumerate(scene + (0 if precision == "fp16" else moved)):
                rows.append(("sd3", precision, detector, 1, index, logit))
        rows += [("real", "none", detector, 0, index, logit) for index, logit in enumerate(rng.normal(-3, 1, images))]
    columns = ["generator", "precision", "detector", "label", "index", "logit"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "scores.csv", index=False)
    importing.import_scores(folder / "scores.csv", folder / "out", importing.Map(baseline="fp16"))
    return analysis.load(folder / "out")


@pytest.fixture(scope="module")
def moved(tmp_path_factory) -> analysis.Results:
    return study(tmp_path_factory.mktemp("moved"), {("npr", "nf4"): -0.8, ("clip_d", "nf4"): 0.5})


def test_the_summary_is_what_the_tables_of_a_study_say(moved):
    summary = public_study.summary(moved).set_index(["detector", "precision", "against"])
    shifts = analysis.shifts(moved).set_index(["detector", "precision"])
    cells = analysis.cells(moved).set_index(["detector", "precision"])
    for detector, precision in shifts.index:
        row, shift = summary.loc[(detector, precision, "fp16")], shifts.loc[(detector, precision)]
        row = row[row.generator == "sd3"].iloc[0]
        for name in ("shift", "shift_low", "shift_high", "standard", "change", "change_high", "lost", "gained", "p"):
            assert row[name] == pytest.approx(shift[name], abs=1e-5), name
        for name, place in (("tpr", precision), ("auc_low", precision), ("tnr", precision)):
            assert row[name] == pytest.approx(cells.loc[(detector, place), name], abs=1e-5)
        assert row["auc_before"] == pytest.approx(cells.loc[(detector, "fp16"), "auc"], abs=1e-5)
    assert summary.loc[("npr", "nf4", "fp16")].shift_high.max() < -0.7
    assert set(public_study.summary(moved).against) == {"fp16", "int8"}  # coarser formats among each other too


def test_an_effect_agrees_with_scipy_and_statsmodels(moved):
    base, other = (moved.logits("npr", "sd3", precision).astype(float) for precision in ("fp16", "nf4"))
    found = public_study.effect(base, other)
    before, after = base > 0, other > 0
    table = pd.crosstab(before, after).to_numpy()
    assert found["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert (found["lost"], found["gained"]) == (table[1, 0], table[0, 1])
    assert found["change"] == pytest.approx(after.mean() - before.mean())
    assert found["sd"] == pytest.approx((other - base).std())
    assert found["r"] == pytest.approx(stats.pearsonr(base, other).statistic)
    t = stats.ttest_1samp(other - base, 0).confidence_interval()  # 200 pairs: the bootstrap is close to it
    assert (found["shift_low"], found["shift_high"]) == pytest.approx((t.low, t.high), abs=0.01)


def test_holm_is_over_the_comparisons_with_the_baseline_alone(moved):
    summary = public_study.summary(moved)
    first = summary[(summary.against == "fp16") & (summary.generator == "sd3")].sort_values("p")
    steps = np.maximum.accumulate(first.p.to_numpy() * np.arange(len(first), 0, -1)).clip(max=1)
    assert first.p_holm.to_numpy() == pytest.approx(steps, abs=2e-5)


def test_formats_without_shared_images_have_no_p_value_and_are_no_member_of_the_family(tmp_path):
    logits = {"fp16": [1.0] * 12, "int8": [-1.0] * 10 + [1.0] * 2}
    rows = [("sd3", p, i, 1, "npr", x) for p, of in logits.items() for i, x in enumerate(of)]
    rows += [("sd3", "nf4", 100 + i, 1, "npr", -1.0) for i in range(12)]  # other images altogether
    table = pd.DataFrame(rows, columns=["generator", "precision", "index", "label", "detector", "logit"])
    table.to_csv(tmp_path / "scores.csv", index=False)
    importing.import_scores(tmp_path / "scores.csv", tmp_path / "out", importing.Map(baseline="fp16"))
    found = public_study.summary(analysis.load(tmp_path / "out"))
    found = found[(found.generator == "sd3") & (found.against == "fp16")].set_index("precision")
    assert found.n["nf4"] == 0 and np.isnan(found.p["nf4"]) and np.isnan(found.p_holm["nf4"])
    assert found.p_holm["int8"] == pytest.approx(2 * 0.5**10, abs=1e-5)


def test_mean_changes_weigh_generators_the_same_whatever_their_number_of_images():
    pairs = pd.DataFrame(
        {
            "generator": ["a"] * 4 + ["b"], "detector": "npr", "precision": "nf4", "index": [0, 1, 2, 3, 0],
            "before": [1.0, 1.0, 1.0, 1.0, -1.0], "after": [-1.0, 1.0, 1.0, 1.0, 1.0],
        }
    )  # fmt: skip
    rows = public_study.mean_changes(pairs).set_index("detector")
    assert rows.change["all"] == rows.change["npr"] == pytest.approx((-1 / 4 + 1) / 2)
    assert rows.change_low["all"] <= rows.change["all"] <= rows.change_high["all"]


def test_power_is_that_of_the_t_test_and_of_the_exact_mcnemar_test():
    for n in (10, 30, 500):
        d = public_study.minimal_detectable_effect(n)
        critical, centre = stats.t.ppf(0.975, n - 1), d * np.sqrt(n)
        reached = stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre)
        assert reached == pytest.approx(0.8, abs=1e-4)
    assert public_study.min_discordant_pairs() == 6 and 2 * 0.5**6 <= 0.05 < 2 * 0.5**5
    assert public_study.min_discordant_pairs(0.05 / 18) == 10 and 2 * 0.5**10 <= 0.05 / 18 < 2 * 0.5**9
    share = public_study.flips_for_power(30)
    assert stats.binom.sf(5, 30, share) >= 0.8 > stats.binom.sf(5, 30, share - 0.002)
    assert public_study.flips_for_power(5) == 1.0  # six verdicts cannot turn among five


def test_a_simulated_shift_at_the_least_seen_is_seen_four_times_in_five():
    n, rng = 30, np.random.default_rng(2)
    drawn = rng.normal(public_study.minimal_detectable_effect(n), 1, (4000, n))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.8, abs=0.02)


def effects(**changed):
    row = {"generator": "sd3", "detector": "npr", "precision": "nf4", "against": "fp16", "arm": "native"}
    row |= {"shift": 1.0, "shift_low": 0.5, "shift_high": 1.5, "standard": 1.0}
    return pd.DataFrame([row | {"standard_low": 0.5, "standard_high": 1.5} | changed])


@pytest.mark.parametrize(
    ("own", "verdict", "sizes"),
    [
        (effects(), "agree", True),
        (effects(standard_low=2.0, standard_high=3.0), "agree", False),
        (effects(shift_low=-1.5, shift_high=-0.5), "part", True),
        (effects(shift_low=-0.1), "open", True),
    ],
)
def test_studies_agree_part_or_stay_open(own, verdict, sizes):
    found = public_study.agreement(effects(), own.drop(columns=["against", "arm"]))
    assert (found.verdict.tolist(), found.sizes.tolist()) == ([verdict], [sizes])
    assert public_study.agreement(effects(), own.assign(generator="flux1")).empty


def test_published_tables_name_their_sources():
    rates, aucs = public_study.published_rates(), public_study.published_aucs()
    assert all(table.source.str.len().min() > 10 for table in (rates, aucs, public_study.public_effects()))
    assert rates.figure.value_counts().to_dict() == {"tpr": 20, "tnr": 8} and len(aucs) == 27
    assert set(rates.images[rates.in_training == "yes"]) == {"sdxl"}
    assert rates.value.between(0, 1).all() and aucs.auc.between(0.5, 1).all()


def test_the_stated_areas_are_what_the_scores_give():
    """The study rounds its AUC to two or three digits; the stored summary was computed from the scores alone."""
    summary = public_study.public_effects()
    of = summary[(summary.against == "fp16") & (summary.generator != "all")].set_index(
        ["generator", "detector", "precision"]
    )
    for row in public_study.published_aucs().itertuples():
        column = ("auc_before", "nf4") if row.precision == "fp16" else ("auc", row.precision)
        assert of.loc[(row.generator, row.detector, column[1]), column[0]] == pytest.approx(row.auc, abs=0.0051)


@pytest.mark.skipif(not FILE.is_file(), reason=f"the public study's scores are not at hand: no {FILE.name}")
def test_the_stored_summary_is_recomputed_from_the_public_scores(tmp_path):
    mapping = importing.read_map(files.STUDIES / "maps" / "public-scores.toml")
    done = importing.import_scores(FILE, tmp_path, mapping)
    assert (done.read, done.kept, done.unpaired) == (1785, 1650, {})
    again = public_study.summary(analysis.load(tmp_path))
    again.to_csv(tmp_path / "summary.csv", index=False)
    again, stored = pd.read_csv(tmp_path / "summary.csv"), public_study.public_effects()
    pd.testing.assert_frame_equal(again, stored, atol=2e-5)
    raw = pd.read_csv(FILE, dtype={"source_image": str})
    raw = raw[(raw["mode"] == "img2img") & (raw.generator == "StableDiffusion1.5") & (raw.detector == "CLIP-D")]
    wide = raw.pivot(index="source_image", columns="precision_label", values="logit")
    row = stored.query("generator == 'sd15' and detector == 'clip_d' and arm == 'eight_bit_label'").iloc[0]
    assert row["shift"] == pytest.approx((wide.fp8 - wide.fp16).mean(), abs=1e-4)
    t = stats.ttest_rel(wide.fp8, wide.fp16).statistic
    assert f"t = {t:.2f}" in real_checkpoints.doubtful_note()


def test_the_doubtful_run_is_named_as_in_the_tables():
    (named,) = {row[2] for row in rows_of(real_checkpoints.scores(real.public_cells()).data) if "*" in "".join(row)}
    assert f"in the run that the tables name {named} (t = " in real_checkpoints.doubtful_note()


def test_sentences_follow_the_study(moved):
    said = " ".join(real_checkpoints.nf4_answer(moved))
    assert "**This study**, on the same generators" in said and "against FP16" in said
    assert "This study has" in real_checkpoints.power_note(moved) and "200 pairs" in real_checkpoints.power_note(moved)
    found = public_study.agreement(public_study.public_effects(), real.own_effects(moved)).set_index(
        ["detector", "precision"]
    )
    assert found.verdict["clip_d", "nf4"] == "agree"  # both move to fake
    assert f"in the same direction in {(found.verdict == 'agree').sum()} and" in real_checkpoints.agreement_note(moved)
    assert "Too few cells" in real_checkpoints.published_note(moved)


def test_a_study_without_the_formats_says_so():
    narrowed = analysis.load(MINI, ["flux1"])
    assert real_checkpoints.agreement_note(narrowed) == real_checkpoints.NOTHING
    assert real_checkpoints.nf4_answer(narrowed)[1] == ""
    assert real_checkpoints.NOTHING in real_checkpoints.agreement(real.agreement(narrowed), narrowed).data


def test_the_miniatures_ladder_stands_beside_the_public_study():
    own = public_study.study_effects(analysis.load(MINI, ["sd3"], detectors=["npr"]), ("nf4", "int8"))
    stored = pd.read_parquet(MINI / "scores.parquet")
    stored = stored[
        (stored.protocol == "plain") & (stored.weights == "mini") & (stored.detector == "npr")
        & (stored.generator == "sd3")
    ]  # fmt: skip
    wide = {arm: stored[(stored.arm == arm) & (stored.precision == p)].set_index("index").logit.astype(float)
            for arm, p in (("native", "fp32"), ("ladder", "nf4"))}  # fmt: skip
    change = (wide["ladder"] - wide["native"]).dropna()
    row = own[(own.generator == "sd3") & (own.precision == "nf4")].iloc[0]
    assert (row.n, row["shift"]) == (500, pytest.approx(change.mean(), abs=1e-5))


def test_the_chart_holds_every_row_and_says_what_it_shows():
    table = real_checkpoints.both(analysis.load(MINI))
    chart = charts.effect_by_study(table)
    assert len(table) == 36 and "CLIP-D" in str(chart.to_dict()) and "miniatures" in chart.description
    assert "NaN" not in str(chart.to_dict())
