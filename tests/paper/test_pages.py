"""What one page alone says: the sentences of notebooks 01 and 02 for studies of other precisions than the deck's."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import synthetic

from helpers import analysis, claims, results
from helpers.analysis import controls
from helpers.paper import claim_lists, page, sentences
from helpers.paper.pages import cards, heatmap, limits, setup


def study(change: dict[str, float], precisions=("fp16", "nf4"), images=40):
    """A study in memory from FP16 down: of `images` fakes the share `change[precision]` is called real."""
    rows = [("real", "none", "none", 0, index, -2.0) for index in range(images)]
    for precision in precisions:
        lost = round(images * change.get(precision, 0.0))
        rows += [("sd3", precision, "native", 1, index, -1.0 if index < lost else 1.0) for index in range(images)]
    frame = pd.DataFrame(rows, columns=["generator", "precision", "arm", "label", "index", "logit"])
    frame = frame.assign(protocol="plain", size=512, detector="npr", weights="mine")
    manifest = {"study": {"baseline": "fp16", "precisions": list(precisions), "scale": "full"}}
    return results.from_frame(frame, manifest=manifest)


def test_the_overview_is_at_the_studys_lowest_precision():
    found = heatmap.overview(study({"nf4": 0.25}))
    # Fakes score 1, those lost -1, all reals -2: at any threshold that reals set every fake is caught.
    assert found.sentence.startswith("NF4 changes AUC by 0.000") or "NF4 changes AUC by +0.000" in found.sentence
    assert "and detection rate by \N{MINUS SIGN}0.250" in found.sentence
    assert "against FP16" in found.sentence and "FP4 changes" not in found.sentence.replace("NF4", "")
    assert found.figures["mean change of AUC at NF4"].estimate == 0
    assert "detection rate leads" not in found.sentence


def test_without_reals_the_overview_leads_with_the_detection_rate_and_says_so():
    whole = study({"nf4": 0.25})
    fakes = results.from_frame(whole.scores[whole.scores.label == 1], manifest=whole.manifest)
    found = heatmap.overview(fakes)
    assert found.sentence.startswith("NF4 changes detection rate by \N{MINUS SIGN}0.250")
    assert "no real images, so neither AUC nor TPR at 5 % FPR is known and the detection rate leads" in found.sentence
    assert found.figures["mean change of detection rate at NF4"].estimate == pytest.approx(-0.25)


def test_a_study_of_its_baseline_alone_has_no_change():
    found = heatmap.overview(study({}, precisions=("fp16",)))
    assert found.sentence.startswith("All images of this study are at FP16. AUC is 1.00")


def test_every_page_that_uses_a_cell_says_that_too_many_of_its_images_were_rejected(tmp_path):
    folder = synthetic.write(tmp_path, generators=("sd15", "sd3"), images=99)
    rejected = {("sd3", "fp4"): 2, ("sd15", "fp8"): 1}  # of 101, more than 1 %, and of 100, not more

    def said(**chosen: list[str]) -> str:
        found = results.load(folder, **chosen)
        counts = [rejected.get(cell, 0) for cell in zip(found.cells.generator, found.cells.precision, strict=True)]
        return page.box(replace(found, cells=found.cells.assign(rejected=counts)), "x").markdown

    assert "more than 1\N{NO-BREAK SPACE}% of the images were rejected of SD3 at FP4 (2 of 101);" in said()
    assert "rejected" not in said(generators=["sd15"]) + said(precisions=["fp32", "fp8"])


def test_a_page_with_other_parameters_says_which(tmp_path):
    folder = synthetic.write(tmp_path, generators=("sd15", "sd3"))
    assert "chosen" not in sentences.scale_note(analysis.load(folder))
    everything = ["fp32", "fp16", "fp8", "fp4"]
    assert sentences.scale_note(analysis.load(folder, precisions=everything)) == sentences.scale_note(
        analysis.load(folder)
    )
    narrowed = analysis.load(folder, ["sd15"], ["fp32", "fp4"], threshold=1.5)
    assert sentences.scale_note(narrowed).endswith(
        " A part of the study was chosen: generators SD1.5; precisions FP32 and FP4. What is said to be missing may be"
        " there. The threshold was set to 1.5, in place of the detectors' own."
    )


def test_what_was_run_is_counted():
    few = study({})
    assert setup.grid(few).startswith(
        "1 generator at 2 precisions makes 2 cells with 80 generated images in all; 40 real"
    )
    assert setup.crossed(few) == "This study has 1 of them." and "no arms" in setup.controls(controls.spreads(few)).data


def test_a_live_check_counts_where_it_is_of_these_results(tmp_path):
    report = {"images": 2, "study_digest": None, "scores_sha256": None, "agree": True, "cells": [
        {"images": 2, "images_equal": 1, "max_logit_diff": {"npr": 0.02, "clip_d": 0.3}},
        {"images": 2, "images_equal": 2, "max_logit_diff": {"npr": 0.0}},
    ]}  # fmt: skip
    path = tmp_path / "live.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    said = setup.live_check(str(path), study({}))
    assert "They agree (3 of 4 images equal to the last bit, largest difference of a logit 0.3)." in said
    path.write_text(json.dumps(report | {"study_digest": "other"}), encoding="utf-8")
    assert "of other results than these" in setup.live_check(str(path), study({}))
    path.write_text("{", encoding="utf-8")
    assert "was not run" in setup.live_check(str(path), study({}))


def test_what_a_study_cannot_show_follows_from_it(tmp_path):
    shipped = limits.sentences(analysis.load(synthetic.write(tmp_path / "mini", images=40)))
    full = study({"nf4": 0.25})
    told = limits.sentences(full)
    assert shipped[0].startswith("Images have 64 to 128 pixels a side") and told[0] == "Images have 512 pixels a side."
    assert any("one renderer" in said for said in shipped) and not any("renderer" in said for said in told)
    assert any("targets of their training" in said for said in shipped) and not any("target" in said for said in told)
    assert "There is one training of sd3" in " ".join(told).replace("SD3", "sd3")
    assert told[-1:] == shipped[-1:] == list(limits.ALWAYS)
    assert "imperfect bridge" in told[-2] and told[-2] == shipped[-2]


def test_a_detector_that_tells_nothing_apart_is_a_limit():
    blind, sharp = study({}), study({})
    alike = blind.scores.assign(logit=blind.scores["index"] % 7 - 3.0)
    blind = results.from_frame(alike, manifest=blind.manifest)
    assert "NPR reaches an AUC of 0.50 at FP16" in " ".join(limits.sentences(blind))
    assert not any("reaches an AUC" in said for said in limits.sentences(sharp))


def test_trainings_are_counted_without_their_seeds(tmp_path):
    folder = synthetic.write(tmp_path / "seeds", images=30, seeds={"mini-s1": 0.0, "mini-s2": 0.0})
    again = analysis.load(folder)
    assert limits.trainings(again) == (
        "Trainings in these results: of mini 3 of NPR and 1 of R50_nodown, R50_TF and CLIP-D."
    )
    said = " ".join(limits.sentences(again))
    assert "There is one training of R50_nodown, R50_TF and of CLIP-D" in said and "There are 3 of NPR" in said
    every = study({})  # all detectors five times
    labels = ["mini", *(f"mini-s{place}" for place in range(1, 5))]
    five = pd.concat([every.stored.assign(weights=label) for label in labels])
    several = results.from_frame(five, manifest={"study": {"weights": "mini", "scale": "mini", "baseline": "fp16"}})
    assert "There are 5 trainings of NPR" in " ".join(limits.sentences(several))


def test_a_crop_that_no_image_exceeds_is_none(tmp_path, monkeypatch):
    found = analysis.load(synthetic.write(tmp_path / "crops", images=30))
    monkeypatch.setattr(limits.miniatures, "crops", lambda trainings: {64: ["npr"], 128: ["r50_tf"], 512: ["clip_d"]})
    assert limits.sentences(found)[0] == "Images have 64 to 128 pixels a side; NPR learnt from crops of 64."


def test_an_answer_begins_with_the_protocol_that_its_figures_are_of():
    of = study({"nf4": 0.25})
    outcome = claims.evaluate(of, "C4")[0]
    moved = replace(outcome, finding=replace(outcome.finding, protocol="aligned"))
    own, other = (page.answer(of, [one], "C4").markdown for one in (outcome, moved))
    assert "Under the protocol" not in own
    assert other.index("Under the protocol *aligned*: ") < other.index("Real evidence")
    # So do its card, and the list of the conclusion, beside which charts and numbers of the page's protocol stand.
    for shown in (cards.scorecard, claim_lists.verdicts):
        own, other = (shown(of, [one]).data for one in (outcome, moved))
        assert "Under the protocol" not in own and "Under the protocol aligned: " in other


def test_what_stands_behind_a_claim_is_folded_in_the_book_and_open_elsewhere():
    of = study({"nf4": 0.25})
    outcomes = claims.evaluate(of, "C4")
    told = page.claim(of, outcomes, "C4")
    seen, _, inside = told.markdown.partition('<details class="behind">')
    assert "*What counts:* A drop means" in seen and inside.count("</details>") == 1
    assert "<details open><summary>C4 in full</summary>" in told.html
    # A table of every condition, in one line of HTML, which no reader of Markdown takes apart.
    table = next(line for line in inside.splitlines() if line.startswith("<figure"))
    assert table.endswith("</figure>") and 'id="tab-claim-c4-under-each-condition"' in table
    assert table.count("<tr>") - 1 == len(claims.by_condition(of).query("key == 'C4'"))
    assert table in told.html and "(decides)" in table


def test_a_linked_term_leaves_tables_in_prose_alone():
    from helpers.paper.terms import Linker

    assert Linker().linked("<td>detector</td>\n\nA detector.") == "<td>detector</td>\n\nA {term}`detector`."
