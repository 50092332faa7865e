"""Perturbed scores beside FP4: estimates are the metrics' own, differences are paired, the sentence follows them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats
from synthetic_perturbed import write
from tabled import rows_of

from helpers import analysis, charts
from helpers.analysis import perturbed
from helpers.analysis.stats import metrics
from helpers.charts import theme
from helpers.claims.perturbed import perturbation_finding
from helpers.core import files
from helpers.paper.execution import execute
from helpers.paper.pages import perturbations


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return analysis.load(write(tmp_path_factory.mktemp("study")))


def row(effects: pd.DataFrame, detector: str, precision: str, name: str) -> pd.Series:
    found = effects[(effects.detector == detector) & (effects.precision == precision) & (effects.perturbation == name)]
    assert len(found) == 1
    return found.iloc[0]


def test_estimates_are_the_mean_over_generators_of_the_metrics(study):
    effects = perturbed.perturbation_effects(study, resamples=200)
    assert len(effects) == 4 * 2 * 3 and list(effects.perturbation.unique()) == ["none", "jpeg:75", "blur:1"]
    fakes = [study.logits("npr", generator, "fp4").to_numpy() - np.float32(1) for generator in study.generators]
    reals = [study.reals("npr", generator).to_numpy() for generator in study.generators]
    found = row(effects, "npr", "fp4", "jpeg:75")
    assert found.auc == pytest.approx(np.mean([metrics.auc(*pair).estimate for pair in zip(fakes, reals, strict=True)]))
    assert found.tpr == pytest.approx(np.mean([(fake > 0).mean() for fake in fakes]))
    assert found.tnr == pytest.approx(np.mean([(real <= 0).mean() for real in reals]))
    assert found.auc_low < found.auc < found.auc_high and found.n == 60


def test_an_interval_is_as_wide_as_delongs(study):
    """One generator alone, whose area has a closed form for its variance."""
    one = analysis.load(study.folder, generators=["sd3"])
    found = row(perturbed.perturbation_effects(one), "npr", "fp32", "none")
    delong = metrics.auc(one.logits("npr", "sd3", "fp32"), one.reals("npr", "sd3"))
    assert found.auc_high - found.auc_low == pytest.approx(delong.high - delong.low, rel=0.25)


def test_what_changes_nothing_costs_no_more_than_sixty_prompts_can_hide(study):
    """The differences are paired: a perturbation without effect has no spread, whatever the images'; but 0 of 60 is not
    0 of all, as Wilson's interval says."""
    most = stats.binomtest(0, 60).proportion_ci(method="wilson").high
    effects = perturbed.perturbation_effects(study, resamples=200)
    for detector in study.detectors:
        found = row(effects, detector, "fp32", "blur:1")
        assert found.auc_low < found.auc_high
        assert (found.auc_change, found.auc_change_low, found.auc_change_high) == pytest.approx((0, -most, most))
    assert "no width" not in perturbations.reading(study, effects)


@pytest.mark.parametrize(
    ("fp4", "jpeg", "verdict", "said"),
    [
        (0.0, -1.5, "less", "FP4 is less damaging than JPEG 75 for NPR, R50_nodown, R50_TF and CLIP-D"),
        (-1.5, 0.0, "more", "FP4 is more damaging than JPEG 75 for NPR"),
    ],
)
def test_the_answer_follows_the_data(tmp_path, fp4, jpeg, verdict, said):
    effects = {(d, g, "fp4"): fp4 for d in synthetic.DETECTORS for g in synthetic.SIZES}
    loaded = analysis.load(write(tmp_path, effects, {"jpeg:75": jpeg}))
    found = perturbation_finding(loaded)
    assert found.verdict == verdict and said in found.sentence
    for of in perturbed.damages(loaded):
        assert of.difference.estimate == pytest.approx(of.quantization.estimate - of.perturbation.estimate)


def test_detectors_that_differ_are_named_apart(tmp_path):
    effects = {("npr", g, "fp4"): -1.5 for g in synthetic.SIZES}
    found = perturbation_finding(analysis.load(write(tmp_path, effects, {"jpeg:75": -0.8})))
    assert found.verdict == "depends"
    assert "less damaging than JPEG 75 for R50_nodown, R50_TF and CLIP-D and more damaging than JPEG 75 for NPR" in (
        found.sentence
    )


def test_a_study_without_perturbed_scores_says_so(tmp_path):
    loaded = analysis.load(synthetic.write(tmp_path / "bare", images=20))
    assert perturbed.perturbation_effects(loaded).empty and perturbation_finding(loaded).verdict == "not testable"
    assert "no perturbed.parquet" in perturbations.table(perturbed.perturbation_effects(loaded), "auc", "").data
    only = analysis.load(write(tmp_path / "some"), precisions=["fp32", "fp8"])
    assert perturbation_finding(only).verdict == "not testable"
    assert set(perturbed.perturbation_effects(only, resamples=10).precision) == {"fp32"}


def test_chart_and_table_show_every_condition(study):
    effects = perturbed.perturbation_effects(study, resamples=100)
    charts.enable()
    spec = charts.perturbations(effects).to_dict()
    assert spec["width"] == "container" and sum("bind" in param for param in spec["params"]) == 2
    assert "JPEG 75" in theme.page(spec, "")
    rows = rows_of(perturbations.table(effects, "auc", "AUC").data)
    assert rows[0] == ["perturbation", "precision", "NPR", "R50_nodown", "R50_TF", "CLIP-D"]
    assert [line[:2] for line in rows[1:]] == [
        [done, precision] for done in ("untouched", "JPEG 75", "blur 1 px") for precision in ("FP32", "FP4")
    ]
    assert [line[0] for line in rows_of(perturbations.table(effects, "tnr", "").data)[1:]] == [
        "untouched",
        "JPEG 75",
        "blur 1 px",
    ]


def test_the_page_runs_on_perturbed_scores(study, tmp_path):
    notebook = files.NOTEBOOKS / "11_perturbations.ipynb"
    text = execute(notebook, tmp_path / "out.ipynb", {"results": str(study.folder)}).read_text(encoding="utf-8")
    assert "quantdetect-chart" in text and "FP4 is less damaging than JPEG 75" in text
