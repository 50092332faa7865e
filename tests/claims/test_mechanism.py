"""Verdicts on the mechanism where it is known: FP4 that smooths, roughens or spares; decoders that tell all or none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_traces
from sklearn.metrics import roc_auc_score

from helpers import analysis, charts
from helpers.analysis import decoder, image_traces
from helpers.charts import theme
from helpers.claims import smoothing
from helpers.core import files
from helpers.paper import starting
from helpers.paper.contents import Job
from helpers.paper.pages import mechanism

TWO = ("sd15", "sd3")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Studies by name, made when first asked for."""
    kept = {}

    def make(name: str, **kwargs) -> analysis.Results:
        if name not in kept:
            # No stray reals: shares of detection are then those that the decoder was given, exactly.
            place = tmp_path_factory.mktemp(name)
            folder = synthetic.write(place, images=100, placebo=0.01, generators=TWO, stray=False)
            kept[name] = synthetic_traces.traces(folder, **kwargs)
        return analysis.load(kept[name])

    return make


@pytest.fixture
def smooth(made):
    return made("smooth", mechanism="smooths", decoder=0.9)


def test_a_smoothing_filter_is_found_to_be_one(smooth):
    found = smoothing.predictions(smooth)
    assert {key: finding.verdict for key, finding in found.items()} == dict.fromkeys("abcd", "supported")
    whole = smoothing.smoothing(smooth)
    assert whole.verdict == "supported" and whole.sentence.startswith("Quantization is a smoothing filter here")
    assert smoothing.smoothing_answer(smooth).startswith("Yes: FP4 removes fine detail")
    assert set(smoothing.lowered(smooth)) == {(g, d) for g in TWO for d in synthetic_traces.END_TO_END}


def test_one_generator_has_no_range(smooth):
    told = smoothing.predictions(analysis.load(smooth.folder, ["sd3"]))["a"].sentence
    assert " on SD3; the residual energy by " in told and "average" not in told


def test_what_is_missing_for_the_doses_is_named(tmp_path, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(mechanism, "display", lambda shown: told.append(shown.data))
    study = analysis.load(synthetic.write(tmp_path, generators=TWO))
    climbed = replace(study, manifest={"study": {"arms": {"rungs": {"role": "ladder"}}}})
    rows = pd.DataFrame({"arm": ["native", "rungs"], "auc": [0.9, np.nan], "detector": "npr"})
    mechanism.dose_aucs(rows, study)  # it has reals, and AUCs of its main arm
    mechanism.dose_aucs(rows, climbed)
    mechanism.dose_aucs(rows.iloc[:0], study)
    assert [words.split(".")[0] for words in told] == [
        "This study has no ladder of formats",
        "This study has no reals, so no AUC",
        "How far this study's images lie from their baseline was not measured",
    ]
    assert not any("--" in words for words in mechanism.MISSING.values())  # which a page prints as one dash


def test_its_figures_are_those_of_the_filter(smooth):
    """A Gaussian of standard deviation .7 has, above half Nyquist, exp(-(.7 w)^2) of the power at frequency w."""
    line = np.fft.fftfreq(512)
    frequency = np.hypot(line[:, None], line[None, :])
    passed = np.exp(-((0.7 * 2 * np.pi * frequency) ** 2))[frequency > 0.25].mean()
    change = image_traces.pooled(smooth, "high")
    assert 1 + change.estimate == pytest.approx(passed, abs=0.03) and change.low < change.estimate < change.high
    # Matching and restoring make, and take back, all of the fall.
    table = image_traces.treatments(smooth)
    rows = table[table.detector.isin(synthetic_traces.END_TO_END)]
    np.testing.assert_allclose(rows.of_matched, 1, atol=0.1)
    np.testing.assert_allclose(rows.of_attenuated, 1, atol=0.1)
    np.testing.assert_allclose(rows.of_restored, 1, atol=0.1)
    others = table[~table.detector.isin(synthetic_traces.END_TO_END)]
    np.testing.assert_allclose(others[["quantized", "matched", "restored", "halved"]], 0, atol=1e-9)
    assert image_traces.pooled_shift(smooth, "npr", "halved").high < 0


@pytest.mark.parametrize(
    ("name", "kwargs", "verdicts"),
    [
        ("rough", {"mechanism": "roughens"}, {"a": "contradicted", "c": "not testable", "d": "not testable"}),
        ("other", {"mechanism": "spares", "falls": True}, dict.fromkeys("acd", "contradicted")),
        ("spared", {"mechanism": "spares"}, {"a": "contradicted", "c": "not testable", "d": "not testable"}),
    ],
)
def test_what_does_not_smooth_is_contradicted(made, name, kwargs, verdicts):
    study = made(name, **kwargs)
    found = smoothing.predictions(study)
    assert {key: found[key].verdict for key in verdicts} == verdicts
    whole = smoothing.smoothing(study)
    assert whole.verdict == "contradicted" and "is not a smoothing filter" in whole.sentence
    assert smoothing.smoothing_answer(study).startswith("No:")
    if name == "spared":
        assert "no fall that a filter could explain" in found["c"].sentence
    if name == "rough":
        assert "adds fine detail" in smoothing.smoothing_answer(study)


def test_fingerprints_part_where_images_do(smooth, made):
    table = image_traces.fingerprints(smooth).set_index(["generator", "precision"])
    for generator in TWO:
        assert table.loc[(generator, "batch")].correlation == pytest.approx(1, abs=0.01)
        assert table.loc[(generator, "fp4")].further_high < 0
        assert 0.5 < table.loc[(generator, "fp4")].correlation < 0.99
    spared = image_traces.fingerprints(made("spared", mechanism="spares")).set_index(["generator", "precision"])
    assert (spared.xs("fp4", level=1).correlation > 0.98).all()


def test_a_study_without_spectra_says_so(tmp_path):
    study = analysis.load(synthetic.write(tmp_path, images=20, generators=TWO))
    assert smoothing.smoothing(study).verdict == smoothing.decoder(study).verdict == "not testable"
    assert "no spectra" in smoothing.smoothing_answer(study)
    for table in (
        image_traces.changes,
        image_traces.curves,
        image_traces.levels,
        image_traces.fingerprints,
        image_traces.treatments,
    ):
        assert table(study).empty
    assert image_traces.autocorrelations(study).empty


def test_areas_are_those_of_scikit_learn_and_their_resamples_spread_as_they_should():
    rng = np.random.default_rng(4)
    fake, real = rng.normal(1, 1, 80).round(1), rng.normal(0, 1, 80).round(1)  # rounded: with ties
    areas = decoder.areas(fake, real)
    scores, labels = np.concatenate([fake, real]), np.repeat([1, 0], 80)
    assert areas[0] == pytest.approx(roc_auc_score(labels, scores))
    again = []
    for _ in range(2000):  # the bootstrap itself, prompt by prompt
        drawn = rng.integers(0, 80, 80)
        again.append(roc_auc_score(labels, np.concatenate([fake[drawn], real[drawn]])))
    assert areas[1:].std() == pytest.approx(np.std(again), rel=0.08)
    assert areas[1:].mean() == pytest.approx(np.mean(again), abs=0.005)


def test_the_decoder_has_the_share_it_was_given(made, smooth):
    study = smooth  # reals passed through the VAE lie next to the fakes
    shares = decoder.shares(study).set_index("detector")
    assert (shares.decoder_low > 0.92).all() and (shares.denoiser < 0.5).all()
    assert shares.retrained.isna().all()  # not scored so
    assert smoothing.decoder(study).verdict == "supported"
    none = made("none", mechanism="spares", decoder=0.0)
    shares = decoder.shares(none).set_index("detector")
    np.testing.assert_allclose(shares.decoder, 0, atol=1e-9)
    np.testing.assert_allclose(shares.denoiser, 1, atol=1e-9)
    found = smoothing.decoder(none)
    assert found.verdict == "contradicted"
    assert "0.00 (\N{MINUS SIGN}0.07 to 0.07) for NPR" in found.sentence  # of 100 prompts none shows any
    assert "decoder are told from untouched ones, as a share of" in found.sentence  # not that they are: the share is 0


def test_detection_that_only_the_denoiser_loses_is_told_apart(tmp_path):
    """Under `aligned` FP4 loses all it has above chance; against renders nothing."""
    folder = synthetic.write(tmp_path, images=100, generators=TWO, stray=False)
    scores = pd.read_parquet(folder / "scores.parquet")
    again, rng = scores.assign(protocol="aligned", weights="mini-aligned"), np.random.default_rng(2)
    again.loc[(again.label == 1) & (again.precision == "fp4"), "logit"] = rng.normal(-4, 1.5, 2 * 4 * 100).astype(
        np.float32
    )
    reals = again[again.label == 0]
    again = pd.concat([again[again.label == 1], *(reals.assign(arm=generator) for generator in TWO)])
    pd.concat([scores, again]).to_parquet(folder / "scores.parquet")
    study = analysis.load(synthetic.vouch(folder))
    row = decoder.detection(study).set_index(["detector", "precision"]).loc[("", "fp4")]
    assert abs(row.plain_change) < 0.01 and row.aligned_change == pytest.approx(-0.5, abs=0.05)
    assert row.further == pytest.approx(row.aligned_change - row.plain_change)
    assert smoothing.moves(study).startswith("Detection moves more where only the denoiser's traces are left")
    shares = decoder.shares(study)
    np.testing.assert_allclose(shares.retrained, 1, atol=0.02)  # at FP32 the fakes are as far from both reals


def with_fifth(folder: Path) -> analysis.Results:
    """The study with a detector that nobody published and whose logits are noise, in every table of scores."""
    rng = np.random.default_rng(4)
    for file in (folder / f"{name}.parquet" for name in ("scores", "counterfactuals")):
        table = pd.read_parquet(file)
        more = table[table.detector == "r50_tf"].assign(detector="patch_probe")
        noise = rng.normal(0, 5, len(more)).astype(np.float32)
        pd.concat([table, more.assign(logit=noise)]).to_parquet(file)
    return analysis.load(synthetic.vouch(folder))


def test_an_unpublished_detector_changes_nothing_that_is_said_of_the_mechanism(tmp_path):
    scores = synthetic.write(tmp_path / "four", images=100, placebo=0.01, generators=TWO, protocols={"aligned": {}})
    folder = synthetic_traces.traces(scores, "smooths", decoder=0.9)
    four, five = analysis.load(folder), with_fifth(Path(shutil.copytree(folder, tmp_path / "five")))
    assert "patch_probe" in five.detectors and "patch_probe" in set(decoder.shares(five).detector)
    for told in (smoothing.smoothing, smoothing.smoothing_answer, smoothing.decoder, smoothing.moves):
        assert told(five) == told(four)
    # The mean that it is no part of does not say that it is one of all.
    titles = [decoder.detection(of).set_index("detector").detector_title[""].unique() for of in (four, five)]
    assert titles == [["all"], ["the deck's"]]


def test_what_the_denoiser_moves_is_told_beside_the_null_control(smooth):
    table = decoder.component_shifts(smooth).set_index(["part", "precision", "detector"])
    scores = pd.read_parquet(smooth.folder / "scores.parquet")
    own = scores[(scores.detector == "npr") & scores.generator.isin(TWO)]
    wide = own.pivot(index=["generator", "index"], columns=["arm", "precision"], values="logit")
    change = (wide["native", "fp4"] - wide["native", "fp32"]) / wide["native", "fp32"].groupby("generator").transform(
        "std"
    )
    row = table.loc[("denoiser", "fp4", "npr")]
    assert row["shift"] == pytest.approx(change.mean()) and row["size"] == pytest.approx(np.sqrt((change**2).mean()))
    assert row.size_low < row["size"] < row.size_high and row.n == 200
    assert table.loc[("null control", "fp32", "npr")]["size"] < 0.02


def test_what_is_of_fewer_images_than_the_page_says_of_how_many(smooth):
    """Shifts are of 200 images of two generators, filters of fewer: FP4's shift is another in either."""
    shown = mechanism.component_shifts(decoder.component_shifts(smooth), smooth).data
    assert "all generators; of 200 images each" in shown
    spec = charts.filters(image_traces.treatments(smooth)).to_dict()
    filtered = pd.read_parquet(smooth.folder / "counterfactuals.parquet")
    some = filtered[filtered.treatment == "halved"]["index"].nunique()
    assert some < 100 and f"intervals, over {some} images of a generator." in json.dumps(spec, ensure_ascii=False)


FIGURES = {
    "radial": lambda study: charts.radial(image_traces.curves(study)),
    "autocorrelation": lambda study: charts.autocorrelation(image_traces.autocorrelations(study)),
    "detail": lambda study: charts.detail(image_traces.changes(study)),
    "filters": lambda study: charts.filters(image_traces.treatments(study)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_small_bundle(smooth, name):
    charts.enable()
    spec = FIGURES[name](smooth).to_dict()
    assert spec["width"] == "container" and spec["params"]
    out = theme.render(spec)
    assert out["image/png"].startswith("iVBOR") and len(theme.page(spec, out["image/png"])) < 400_000


def test_the_fingerprints_figure_has_the_null_control(smooth):
    spec = charts.fingerprints(image_traces.fingerprints(smooth)).to_dict()
    assert "null control" in str(spec)


def test_the_page_says_what_the_study_shows(tmp_path):
    jobs, told = [], {"smooths": ("holds", "Yes: FP4"), "spares": ("fails", "No: FP4")}
    for name in told:
        folder = synthetic.write(tmp_path / name, images=60, placebo=0.01, generators=TWO)
        synthetic_traces.ladder(synthetic_traces.traces(folder, name, decoder=0.9))
        out = tmp_path / f"{name}.ipynb"
        jobs.append(Job(files.NOTEBOOKS / "07_mechanism.ipynb", out, {"results": str(folder)}))
    with starting.started(jobs, tmp_path / "failed", workers=1) as ended:
        assert [job.out.stem for job in ended] == list(told)
    for name, (verdict, words) in told.items():
        cells = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4).cells
        found = [output for cell in cells for output in cell.get("outputs", [])]
        said = [output["data"]["text/plain"] for output in found if "text/markdown" in output.get("data", {})]
        assert said[0].splitlines()[1].startswith(f"{verdict} ") and said[-1].startswith(words), name
        glued = {output.get("metadata", {}).get("scrapbook", {}).get("name") for output in found}
        assert {"radial", "detail", "autocorrelation", "fingerprints", "filters", "ladder"} <= glued, name
