"""A results folder is read as its manifest vouches for it; what is no such folder is told in one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic

from helpers import analysis, claims
from helpers.analysis import controls, image_traces, paired, perturbed
from helpers.core import columns, files
from helpers.core.errors import Damaged, UsageError
from helpers.results import from_frame
from helpers.results.memo import once, once_copied
from helpers.results.migration import migrate
from helpers.results.results import read_verified, with_fakes
from helpers.study import schema as studies

ONE = ("sd3",)
BESIDE = [name for name in columns.TABLES if name != "scores.parquet"]


@pytest.fixture
def folder(tmp_path):
    return synthetic.write(tmp_path / "study", images=20, generators=ONE, level=0.5)


def scores_of(folder, change):
    """The folder with its scores changed, and vouched for."""
    change(pd.read_parquet(folder / "scores.parquet")).to_parquet(folder / "scores.parquet")
    return synthetic.vouch(folder)


def test_another_threshold_is_another_answer(tmp_path):
    # Logits far enough from the reals' that detectors count, and near enough that the threshold matters.
    folder = synthetic.write(tmp_path / "study", images=20, generators=ONE, level=1.5)
    study = analysis.load(folder)
    first = claims.by_condition(study), paired.controls(study), analysis.cells(study)
    other = replace(study, threshold=1.0)
    pd.testing.assert_frame_equal(claims.by_condition(other), claims.by_condition(analysis.load(folder, threshold=1.0)))
    assert not claims.by_condition(other).equals(first[0])
    narrowed = with_fakes(study, ("fp32",), {("npr", "sd3", "fp32"): pd.Series([9.0])})
    assert narrowed.logits("npr", "sd3", "fp32").tolist() == [9.0]
    assert len(study.logits("npr", "sd3", "fp32")) == 20


@pytest.mark.parametrize("name", BESIDE)
def test_a_table_that_the_manifest_does_not_vouch_for_is_not_there(folder, name):
    """What another study left in the folder: not listed, or listed with other bytes."""
    blank = {"key": "x", "text": "x", "whole": 0, "number": 0.0}
    frame = pd.DataFrame({one.name: [blank[one.kind]] for one in columns.TABLES[name].columns if one.needed})
    frame = frame.assign(radial=[[0.0]])
    frame = frame.assign(generator="sd3", precision="fp32", arm="native")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].pop(name, None)
    frame.to_parquet(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert read_verified(folder, name) is None
    study = analysis.load(folder)
    assert study.cells.empty == (name == "cells.parquet")
    assert perturbed._stored(study).empty and image_traces.read(study, name).empty
    assert len(read_verified(synthetic.vouch(folder), name)) == 1
    frame.assign(arm="other").to_parquet(folder / name)
    assert read_verified(folder, name) is None
    frame.drop(columns="arm").to_parquet(folder / name)
    with pytest.raises(Damaged, match=f"{name}: it lacks the column 'arm'"):
        read_verified(synthetic.vouch(folder), name)
    (folder / name).unlink()
    assert read_verified(folder, name) is None


def test_scores_of_another_run_than_the_manifests_are_refused(folder):
    pd.read_parquet(folder / "scores.parquet").iloc[1:].to_parquet(folder / "scores.parquet")
    with pytest.raises(Damaged, match="not the scores that its manifest.json vouches for"):
        analysis.load(folder)
    (folder / "manifest.json").unlink()
    study = analysis.load(folder)
    assert (study.manifest, study.scale, len(study.cells)) == ({}, "unknown", 0)


def test_rows_without_a_number_are_left_out_and_counted(folder):
    def change(scores):
        own = (scores.generator == "sd3") & (scores.precision == "fp4") & (scores.detector == "npr")
        scores.loc[own & (scores["index"] < 3), "logit"] = [np.nan, np.inf, -np.inf]
        scores.loc[(scores.label == 0) & (scores.detector == "clip_d") & (scores["index"] == 0), "logit"] = np.nan
        return scores

    study = analysis.load(scores_of(folder, change))
    assert study.dropped == {"sd3 fp4 npr": 3, "real none clip_d": 3}  # reals of three sizes
    assert len(study.logits("npr", "sd3", "fp4")) == 17 and study.scores.logit.dtype == np.float64
    shift = analysis.shifts(study).set_index(["detector", "precision"])
    assert shift.n["npr", "fp4"] == 17 and shift.n["npr", "fp8"] == 20
    assert analysis.load(folder, precisions=["fp32"], detectors=["npr"]).dropped == {}
    assert np.isfinite(analysis.cells(study)[["auc", "tpr", "mean_logit"]]).all(axis=None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda scores: pd.concat([scores, scores.iloc[:2]]),
            "2 rows stand there twice, the first sd3 fp32 native 0 by npr",
        ),
        (lambda scores: pd.concat([scores, scores.iloc[:1].assign(logit=9)]), "1 rows stand there twice"),
        (lambda scores: scores.assign(logit="x"), "its column 'logit' holds str, not numbers"),
        (
            lambda scores: scores.assign(index=scores["index"] + 0.5),
            "its column 'index' holds float64, not whole numbers",
        ),
        (lambda scores: scores.assign(generator=None), "its column 'generator' has blank rows"),
        (lambda scores: scores.assign(label=2), "its column 'label' holds numbers beyond its range, 1 fake, 0 real"),
        (lambda scores: scores.drop(columns="weights"), "it lacks the column 'weights'"),
    ],
)
def test_a_table_that_is_no_table_of_scores_is_told(folder, change, said):
    with pytest.raises(Damaged, match=said) as told:
        analysis.load(scores_of(folder, change))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds a JSON list"), ("null", "holds a JSON NoneType"), ("", "not JSON"), ("[" * 100_000, "not JSON"),
        ('{"study": null}', "'study' is not a table"), ('{"files": []}', "'files' is not a table"),
        ('{"imported": 1}', "'imported' is not a table"), ('{"study": {"arms": []}}', "'study.arms' is not a table"),
        ('{"study": {"arms": {"a": 1}}}', "'study.arms' is not"),
        ('{"study": {"margins": 1}}', "'study.margins' is not"),
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_told(folder, text, said):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(Damaged, match=f"manifest.json: .*{said}") as told:
        analysis.load(folder)
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_parquet_is_told(folder):
    (folder / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(Damaged, match="scores.parquet: not a readable Parquet table"):
        analysis.load(synthetic.vouch(folder))


def test_what_is_misspelt_is_told_with_the_nearest(folder):
    for asked, said in {
        "weights": ("mini_s1", r"weights: no 'mini_s1' \(nearest: 'mini'\); the study has mini"),
        "protocol": ("plane", r"has no scores under 'plane' .*\(nearest: 'plain'\)"),
        "arm": ("nativ", r"has no fakes under 'plain' with arm 'nativ' \(nearest: 'native'\)"),
    }.items():
        with pytest.raises(UsageError, match=said[1]):
            analysis.load(folder, **{asked: said[0]})


def test_a_detector_of_another_training_does_not_vanish(folder):
    change = {"clip_d": "openai", "r50_tf": "v1.2"}
    study = analysis.load(
        scores_of(folder, lambda scores: scores.assign(weights=scores.detector.map(change).fillna(scores.weights)))
    )
    assert study.trainings == {"npr": "mini", "r50_nodown": "mini"} | change
    assert set(analysis.cells(study).detector) == set(study.detectors) == set(synthetic.DETECTORS)
    assert controls.spreads(study).groupby("detector").size().to_dict() == dict.fromkeys(synthetic.DETECTORS, 3)
    assert set(claims.by_condition(study).condition) == {"plain", "plain, calibrated threshold"}


def test_the_archive_is_vouched_for():
    study = analysis.load(files.RESULTS / "mini", generators=["sd3"])
    assert study.dropped == {} and study.trainings == dict.fromkeys(study.detectors, "mini")
    assert [name for name in BESIDE if read_verified(study.folder, name) is None] == []
    shipped = studies.load("mini")
    for label, of in shipped.further.items():
        protocol = "aligned" if "aligned" in label else "plain"
        assert analysis.load(study.folder, weights=label, protocol=protocol).detectors == tuple(of)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("cells.parquet", {"coverage": 1.2}, "'coverage' holds numbers beyond its range, 0 to 1"),
        ("cells.parquet", {"seconds_load": -0.1}, "'seconds_load' holds numbers beyond its range, from 0"),
        ("cells.parquet", {"steps": 0}, "'steps' holds numbers beyond its range, from 1"),
        ("cells.parquet", {"steps": 1.5}, "'steps' holds float64, not whole numbers"),
        ("cells.parquet", {"component_coverage": "{"}, "'component_coverage' holds str, not words that are JSON"),
        ("cells.parquet", {"device": 1}, "'device' holds int64, not words"),
        ("spectra.parquet", {"share": "x"}, "'share' holds str, not numbers"),
        ("spectra.parquet", {"radial": [[1.0, -31.0]]}, "'radial' holds numbers beyond its range, from -30"),
        ("spectra.parquet", {"radial": 1.0}, "'radial' holds float64, not lists of numbers"),
        ("patterns.parquet", {"autocorrelation": [[-1.5]]}, "holds numbers beyond its range, -1 to 1"),
        ("patterns.parquet", {"label": 2}, "'label' holds numbers beyond its range, 1 fake, 0 real"),
    ],
)
def test_a_column_that_is_not_as_declared_is_refused(folder, name, change, said):
    """Each column where it is there, needed or not: its type and its range."""
    frame = pd.DataFrame({"generator": ["sd3"], "precision": "fp32", "arm": "native", "size": 128, "label": 1})
    known = {"coverage": np.nan, "steps": np.nan, "component_coverage": None}
    frame = frame.assign(**known if name == "cells.parquet" else {"index": 0})
    frame.to_parquet(folder / name)
    assert len(read_verified(synthetic.vouch(folder), name)) == 1
    frame.assign(**change).to_parquet(folder / name)
    with pytest.raises(Damaged, match=f"{name}: its column .*{said}"):
        read_verified(synthetic.vouch(folder), name)


def test_ranges_are_printed_from_their_numbers():
    said = {str(columns.Range(*ends)): ends for ends in ((0,), (-1, 1), (0.5, 2))}
    assert list(said) == ["from 0", "-1 to 1", "0.5 to 2"] and str(columns.Range()) == ""
    assert str(columns.Range(0, note="1 is no peak")) == "from 0; 1 is no peak"
    assert columns.Range(0, 1).holds(np.array([0, 1, np.nan])) and not columns.Range(0, 1).holds(np.array([1.1]))


def test_what_is_not_declared_is_not_written():
    table = columns.TABLES["cells.parquet"]
    frame = pd.DataFrame({"images": [1], "generator": "sd3"})
    assert list(columns.ordered(table, frame)) == ["generator", "images"]
    with pytest.raises(ValueError, match="the column 'speed' is not declared"):
        columns.ordered(table, frame.assign(speed=1))


def test_the_books_data_dictionary_is_the_declarations():
    page = (files.ROOT / "book" / "data_dictionary.md").read_text(encoding="utf-8")
    assert page == columns.dictionary()
    words = [column.words for column in columns.SCORES.columns if len(column.words) > 25]
    assert len(words) > 5 and all(page.count(said) == 1 for said in words)  # said once
    for table in columns.TABLES.values():
        section = page.partition(f"## {table.file}\n")[2].partition("\n## ")[0]
        whole = "all columns of" in section
        assert all(whole or re.search(rf"(?<!\w){name}(?!\w)", section) for name in table.names), table.file
    for table in columns.TABLES.values():
        assert f"## {table.file}" in page and all(f"{column.name}" in page for column in table.columns)


@pytest.mark.parametrize("name", columns.TABLES)
def test_every_column_of_the_archive_is_declared(name):
    if not (files.RESULTS / "mini" / name).is_file():
        pytest.skip(f"the archive has no {name} yet")
    found = pd.read_parquet(files.RESULTS / "mini" / name)
    declared = columns.TABLES[name].names
    assert set(found) <= set(declared) and len(declared) == len(set(declared))
    columns.check(columns.TABLES[name], found, name)


def test_a_table_in_memory_is_judged_as_the_folder_is(folder):
    study = analysis.load(folder)
    frame = pd.read_parquet(folder / "scores.parquet")
    same = from_frame(frame, manifest=study.manifest)
    assert same.folder is None and same.table("spectra.parquet") is None
    pd.testing.assert_frame_equal(analysis.cells(same), analysis.cells(study))
    pd.testing.assert_frame_equal(claims.by_condition(same), claims.by_condition(study))
    with pytest.raises(Damaged, match="the table: it lacks the column 'logit'"):
        from_frame(frame.drop(columns="logit"))


def test_what_is_kept_is_kept_for_one_object_alone(folder):
    asked = []

    @once
    def threshold(results, more=0):
        asked.append(results)
        return results.threshold + more

    study = analysis.load(folder)
    other = replace(study, threshold=5.0)
    assert [threshold(study), threshold(study), threshold(other), threshold(study, 1)] == [0, 0, 5, 1]
    assert len(asked) == 3


def test_a_table_is_computed_once_and_each_caller_may_write_to_its_own(folder):
    asked = []

    @once_copied
    def table(results, more=0):
        asked.append(more)
        return pd.DataFrame({"x": [results.threshold + more]})

    study = analysis.load(folder)
    first = table(study)
    first.loc[0, "x"] = 9.0
    assert table(study).x[0] == table(study, 0).x[0] == table(study, more=0).x[0] == 0.0
    assert table(study, more=1).x[0] == table(study, 1).x[0] == 1.0 and asked == [0, 1]
    cells = analysis.cells(study)
    cells["auc"] = -1.0
    assert (analysis.cells(analysis.load(folder)).auc >= 0).all()


def test_an_unchanged_folder_is_read_once_and_a_changed_one_again(folder):
    study = analysis.load(folder)
    assert analysis.load(folder) is study is analysis.load(str(folder), (), [], None)
    assert analysis.load(folder, threshold=1.0) is not study
    changed = scores_of(folder, lambda scores: scores.assign(logit=scores.logit + 1))
    assert analysis.load(changed) is not study
    assert np.isclose(analysis.load(changed).scores.logit.mean(), study.scores.logit.mean() + 1)


def test_roles_are_added_to_an_older_manifest_and_said(tmp_path):
    folder = synthetic.write(tmp_path / "old", images=20, generators=ONE, placebo=0.1)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["name"] = "mini"
    del manifest["study"]["arms"]["batch"]["role"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert analysis.load(folder).arm_of("null") == "" and not paired.controls(analysis.load(folder)).get("batch")
    assert migrate(folder) == ["manifest.json: the role of arm 'batch' is 'null'"] and migrate(folder) == []
    assert analysis.load(folder).arm_of("null") == "batch" and "batch" in paired.controls(analysis.load(folder))


def test_the_archive_says_its_roles_as_its_study_file_does():
    study = analysis.load(files.RESULTS / "mini", generators=["sd3"])
    shipped = studies.load("mini")
    assert {name: arm["role"] for name, arm in study.arms.items()} == {n: a.role for n, a in shipped.arms.items()}
    assert {arm.role for arm in shipped.arms.values()} - {None} == set(studies.ROLES)
    assert study.manifest["study_digest"] == shipped.digest()
    assert shipped.model_copy(update={"arms": {}}).digest() == shipped.digest()
