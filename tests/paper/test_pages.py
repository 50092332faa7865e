"""What one page alone says: the sentences of notebooks 01 and 02 for studies of other precisions than the deck's."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from helpers import results
from helpers.analysis import controls
from helpers.paper.pages import heatmap, setup


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
    assert found.sentence.startswith("NF4 changes accuracy by \N{MINUS SIGN}0.250") or "-0.250" in found.sentence
    assert "against FP16" in found.sentence and "FP4 changes" not in found.sentence.replace("NF4", "")
    assert found.figures["mean change at NF4"].estimate == pytest.approx(-0.25)


def test_a_study_of_its_baseline_alone_has_no_change():
    found = heatmap.overview(study({}, precisions=("fp16",)))
    assert found.sentence.startswith("All images of this study are at FP16; accuracy is 1.00")


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
