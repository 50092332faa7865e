"""The deck judged again with other trainings of some generators: whose images judge, and what is said of it."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import synthetic

from helpers import analysis, claims
from helpers.analysis import effects
from helpers.claims import retrained
from helpers.paper.pages import limits
from helpers.paper.pages import rules as rules_page
from helpers.results.results import with_fakes, with_generators


def trained_again(folder, story, keys, **said):
    """Results of some generators, with images of their own, of a study that trains the synthetic one's again."""
    synthetic.write(folder, story, images=300, seed=5, generators=keys)
    scores = pd.read_parquet(folder / "scores.parquet")
    again = [hashlib.sha256(f"{folder.name} {digest}".encode()).hexdigest() for digest in scores.image_sha256]
    scores.assign(image_sha256=np.where(scores.label == 1, again, scores.image_sha256)).to_parquet(
        folder / "scores.parquet"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"] |= {"name": folder.name, "retrains": "synthetic"} | said
    (folder / "manifest.json").write_text(json.dumps(manifest))
    synthetic.vouch(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The deck's story; SD3 and SD1.5 trained again as the deck tells it, and SD3 with no effect at all. Read only."""
    folder = tmp_path_factory.mktemp("trained") / "x"
    synthetic.write(folder, synthetic.DECK, images=300)
    trained_again(folder.with_name("x-denoisers-s1"), synthetic.DECK, ("sd15", "sd3"))
    trained_again(folder.with_name("x-denoisers-s2"), synthetic.FLAT, ("sd3",))
    trained_again(folder.with_name("x-denoisers-s3"), synthetic.FLAT, ("sd3",), retrains="another")
    return folder


def test_fakes_and_tables_of_a_generator_come_from_the_other_study_and_all_else_from_this(folder):
    own, other = analysis.load(folder), analysis.load(folder.with_name("x-denoisers-s2"))
    both = with_generators(own, other)
    assert both.generators == own.generators and both.folder is None and not both.arms
    for detector in own.detectors:
        for precision in own.precisions:
            for key in own.generators:
                of = other if key == "sd3" else own
                pd.testing.assert_series_equal(
                    both.logits(detector, key, precision), of.logits(detector, key, precision)
                )
        pd.testing.assert_series_equal(both.reals(detector, "sd3"), own.reals(detector, "sd3"))
    assert len(both.scores) == len(own.scores) and set(both.stored.arm) == {"native", "none"}
    cells = both.table("cells.parquet")
    theirs = other.table("cells.parquet")
    assert len(cells[cells.generator == "sd3"]) == len(theirs) and set(cells.generator) == set(own.generators)
    assert both.table("spectra.parquet") is None  # neither has one


def test_of_fakes_that_are_not_stored_nothing_is_taken(folder):
    own = analysis.load(folder)
    with pytest.raises(ValueError, match="not those that are stored"):
        with_generators(with_fakes(own, own.precisions, {}), own)


def test_trainings_that_lie_beside_a_study_judge_it_again(folder):
    results = analysis.load(folder)
    others = retrained.beside(results)
    assert len(others) == 2  # the third is another study's
    assert retrained.trainings(results) == {"sd15": 1, "sd3": 2}
    table = retrained.compared(results, claims.evaluate(results), others)
    rows = table.set_index(["key", "training"])
    assert rows.verdict["C4", 1] == rows.verdict["C4", 2] == "supported"
    assert rows.verdict["C4", 3] == "contradicted"  # SD3, of which it tells, has no effect there
    assert rows.verdict["C3", 1] == rows.verdict["C3", 3]  # which tells of SD1.5
    said = retrained.sentence(results, others, table)
    assert said.startswith("The denoisers of SD1.5 and SD3 were trained 2 more times")
    assert "C4 (holds, then holds, then fails)" in said and "C3 (" not in said
    assert "Not decided here, but under another training: C11 (stays open, then stays open, then fails)." in said
    assert "holds" in rules_page.trainings(table).data


def test_the_limits_say_which_generators_were_trained_again(folder):
    said = " ".join(limits.sentences(analysis.load(folder)))
    assert "There is one training of SD2.1, SDXL, SD3.5 and of Flux.1" in said
    assert "Of SD1.5 and of SD3 there are more" in said


def test_changes_are_those_of_each_training(folder):
    results = analysis.load(folder)
    others = retrained.beside(results)
    found = retrained.changes(results, others)
    assert set(found.generator) == {"sd15", "sd3"} and set(found.training) == {1, 2, 3}
    row = found.set_index(["generator", "precision", "detector", "training"]).loc["sd3", "fp4", "npr", 3]
    other = analysis.load(folder.with_name("x-denoisers-s2"))
    assert row.estimate == effects.area_change(other, "npr", "sd3", "fp4").estimates[""]
    assert row.low <= row.estimate <= row.high
    found.loc[found.precision == "fp16", "estimate"] = -0.004
    shown = rules_page.retrained_changes(found).data
    assert "SD3" in shown and "change, FP4" in shown and "change, FP16" not in shown
    assert "at FP16 and FP8 all are under 0.005" in shown


def test_changes_that_are_clear_and_keep_their_sign_are_counted():
    def change(detector, *estimates, half=0.1):
        return [
            {"generator": "sd3", "precision": "fp4", "detector": detector, "training": training, "auc": 0.9,
             "estimate": value, "low": value - half, "high": value + half}
            for training, value in enumerate(estimates, 1)
        ]  # fmt: skip

    rows = change("npr", -0.2, -0.3, -0.01) + change("r50_tf", 0.2, 0.1, -0.1) + change("clip_d", 0.05, -0.3, 0.2)
    assert retrained.kept(pd.DataFrame(rows)) == (1, 2)
    said = retrained.moved(pd.DataFrame(rows))
    assert "Of 3 changes" in said and "2 are clear of 0" in said and "1 of these have the same sign" in said
    assert retrained.moved(pd.DataFrame()) == ""


def test_without_other_trainings_the_page_says_so(tmp_path):
    synthetic.write(tmp_path / "x", synthetic.DECK, images=40)
    results = analysis.load(tmp_path / "x")
    table = retrained.compared(results, claims.evaluate(results), retrained.beside(results))
    assert table.empty and "rests on one of each" in retrained.sentence(results, [], table)
    assert "lie" in rules_page.trainings(table).data
    assert rules_page.retrained_changes(retrained.changes(results, [])).data
