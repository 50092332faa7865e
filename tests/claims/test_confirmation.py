"""The deck judged again beside a study: what counts as a confirmation, and what is said of it."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats

from helpers import analysis, claims
from helpers.claims import confirmation
from helpers.paper.pages import rules as rules_page
from helpers.results import from_frame
from helpers.study import rules


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The deck's story, told again in one confirmation and not at all in another. Read only."""
    folder = tmp_path_factory.mktemp("written")
    synthetic.write(folder / "first", synthetic.DECK, images=300)
    other(synthetic.write(folder / "same", synthetic.DECK, images=300, seed=1))
    other(synthetic.write(folder / "flat", synthetic.FLAT, images=300, seed=2))
    return folder


def other(folder):
    """Images of another name for each, of a study that confirms the synthetic one."""
    scores = pd.read_parquet(folder / "scores.parquet")
    again = [hashlib.sha256(f"again {digest}".encode()).hexdigest() for digest in scores.image_sha256]
    scores.assign(image_sha256=again).to_parquet(folder / "scores.parquet")
    stated(folder, name="again", confirms="synthetic")
    synthetic.vouch(folder)


def stated(folder, **said):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"] |= said
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def beside(written, tmp_path):
    """A function that lays one of the confirmations beside the study and reads the study."""

    def lay(which):
        shutil.copytree(written / "first", tmp_path / "x")
        if which:
            shutil.copytree(written / which, tmp_path / "x-confirmation")
        return analysis.load(tmp_path / "x")

    return lay


def told(results):
    outcomes = claims.evaluate(results)
    table = confirmation.compared(results, outcomes)
    return table, confirmation.sentence(results, table)


def test_what_comes_out_the_same_is_confirmed(beside):
    table, said = told(beside("same"))
    rows = table.set_index("key")
    assert "C1_memory" not in rows.index  # counted, not scored
    for key in ("C3", "C4", "C7"):
        assert list(rows.loc[key, ["verdict", "there_verdict", "result"]]) == ["supported", "supported", "confirmed"]
    decided = table.verdict.isin(["supported", "contradicted"])
    assert (table.result[~decided] == confirmation.OPEN).all()
    shown = rules_page.confirmation(table).data
    assert "holds" in shown and "supported" not in shown and "contradicted" not in shown
    assert f"{decided.sum()} are decided by it, and {(table.result == 'confirmed').sum()} of these" in said


def test_what_comes_out_otherwise_is_not_confirmed_and_is_named(beside):
    table, said = told(beside("flat"))
    row = table.set_index("key").loc["C3"]
    assert (row.verdict, row.there_verdict, row.result) == ("supported", "contradicted", "not confirmed")
    assert "Not confirmed: C3, which holds here and fails there" in said
    assert table.result.eq("confirmed").any() and table.result.eq("not confirmed").sum() >= 3


def test_the_figure_is_the_same_one_and_of_the_other_images(beside):
    results = beside("flat")
    table, _ = told(results)
    row = table.set_index("key").loc["C3"]
    for where, folder in (("", results.folder), ("there_", results.folder.with_name("x-confirmation"))):
        scores = pd.read_parquet(folder / "scores.parquet")
        cell = scores[(scores.generator == "sd15") & (scores.precision == "fp32") & (scores.detector == "npr")]
        hits, ends = int((cell.logit > 0).sum()), row[[f"{where}estimate", f"{where}low", f"{where}high"]]
        wilson = stats.binomtest(hits, len(cell)).proportion_ci(method="wilson")
        np.testing.assert_allclose(ends.astype(float), [hits / len(cell), *wilson], atol=1e-9)


def test_both_are_judged_by_the_rules_of_the_first(beside):
    results = beside("flat")
    record = rules.shipped().record()
    record["margins"]["challenging"]["value"] = 1.0  # so that any accuracy is challenging
    manifest = json.loads((results.folder / "manifest.json").read_text())
    (results.folder / "manifest.json").write_text(json.dumps(manifest | {"rules": record}))
    table, _ = told(analysis.load(results.folder))
    row = table.set_index("key").loc["C3"]
    assert (row.verdict, row.there_verdict, row.result) == ("supported", "supported", "confirmed")


def further(folder, label="mini-sdxl", seeds=()):
    """NPR trained otherwise, which finds little of SD1.5, and so do its `seeds`."""
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[scores.weights == "mini"]
    own = scores[scores.detector == "npr"]
    fell = 4.5 * ((own.generator == "sd15") & (own.label == 1))
    more = [own.assign(weights=name, logit=(own.logit - fell).astype(np.float32)) for name in (label, *seeds)]
    pd.concat([scores, *more]).to_parquet(folder / "scores.parquet")
    synthetic.vouch(folder)


def test_what_another_training_decided_is_judged_by_that_training_again(tmp_path):
    """C3 is decided under `mini-sdxl`: a confirmation without it does not speak of it, and one with it does."""
    synthetic.write(tmp_path / "x", synthetic.FLAT, images=300)
    further(tmp_path / "x", seeds=("mini-sdxl-s1", "mini-sdxl-s2"))
    other(synthetic.write(tmp_path / "x-confirmation", synthetic.FLAT, images=300, seed=1))
    table, said = told(analysis.load(tmp_path / "x"))
    row = table.set_index("key").loc["C3"]
    assert (row.verdict, row.there_verdict, row.result) == ("supported", "not testable", "not confirmed")
    assert "C3, which holds here and is not testable there (it has no scores of mini-sdxl under plain)" in said
    further(tmp_path / "x-confirmation")
    table, said = told(analysis.load(tmp_path / "x"))
    row = table.set_index("key").loc["C3"]
    assert (row.there_verdict, row.result, row.trainings, row.there_trainings) == ("supported", "confirmed", 3, 1)
    assert "over fewer trainings, and narrower for that" in said


def test_the_detectors_that_count_are_those_of_the_first(tmp_path):
    """Here R50_nodown has no room and NPR decides C4 alone; there it has, and loses nothing: another question."""
    fall = {("npr", "sd3", "fp4"): -6.0}
    for name, seed in (("x", 0), ("x-confirmation", 1)):
        folder = synthetic.write(tmp_path / name, fall, images=300, seed=seed)
        scores = pd.read_parquet(folder / "scores.parquet")
        full = (scores.detector == "r50_nodown") & (scores.label == 0) & (scores.logit > 0)
        logit = scores.logit.where(~full | (name != "x"), -4.0)
        scores.assign(logit=logit.astype(np.float32)).to_parquet(folder / "scores.parquet")
        synthetic.vouch(folder)
    other(tmp_path / "x-confirmation")
    results = analysis.load(tmp_path / "x")
    there = confirmation.beside(results).results
    assert [claims.evaluate(of, "C4")[0].verdict for of in (results, there)] == ["supported", "contradicted"]
    row = told(results)[0].set_index("key").loc["C4"]
    assert (row.there_verdict, row.result, row["of"]) == ("supported", "confirmed", "NPR on SD3")


def test_without_one_it_has_not_been_made(beside):
    table, said = told(beside(None))
    assert table.empty
    assert said.startswith("The confirmation has not been made yet: there is no x-confirmation beside x.")


def test_scores_in_memory_have_none(beside):
    frame = pd.read_parquet(beside(None).folder / "scores.parquet")
    table, said = told(from_frame(frame))
    assert table.empty and "lie in no folder" in said


def test_a_study_that_confirms_another_is_none(beside, tmp_path):
    results = beside("same")
    stated(tmp_path / "x-confirmation", confirms="somebody's")
    assert "is of a study that does not confirm synthetic" in told(results)[1]


@pytest.mark.parametrize("label", [1, 0])
def test_a_study_with_an_image_of_the_first_is_none(beside, tmp_path, label):
    results = beside("same")
    file = tmp_path / "x-confirmation" / "scores.parquet"
    scores, first = pd.read_parquet(file), pd.read_parquet(tmp_path / "x" / "scores.parquet")
    one = scores.index[scores.label == label][0]
    scores.loc[one, "image_sha256"] = first.image_sha256[first.label == label].iloc[0]
    scores.to_parquet(file)
    synthetic.vouch(file.parent)
    table, said = told(results)
    assert table.empty and "have 1 image in common" in said
