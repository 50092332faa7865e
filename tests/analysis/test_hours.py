"""What the full study costs: seconds of a step times steps and images, and nothing that nobody has timed."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from helpers.analysis import hours
from helpers.core import files
from helpers.study import schema


@pytest.fixture
def timed(monkeypatch):
    """SD1.5 measured at FP32 and at FP8 with two coverages, Flux published at BF16 and NF4, Flux FP8 did not fit."""
    row = {"card": "card", "fits": True, "coverage": "linear"}
    own = [
        row | {"checkpoint": "sd15", "precision": "fp32", "coverage": "whole", "seconds_per_step": 0.5},
        row | {"checkpoint": "sd15", "precision": "fp8", "seconds_per_step": 0.25},
        row | {"checkpoint": "sd15", "precision": "fp8", "coverage": "all", "seconds_per_step": 0.75},
        row | {"checkpoint": "flux1-dev", "precision": "fp8", "seconds_per_step": 9.0, "fits": False},
    ]
    row = {"checkpoint": "flux1-dev", "card": "other", "source": "paper", "steps": 50.0}
    theirs = [row | {"precision": "bf16", "seconds": 10.0}, row | {"precision": "nf4", "seconds": 20.0}]
    monkeypatch.setattr(hours, "measured", lambda: pd.DataFrame(own))
    monkeypatch.setattr(hours, "published", lambda: pd.DataFrame(theirs))
    full = schema.load("full")
    settings = {
        "sd15": full.generators["sd15"].model_copy(update={"steps": 20}),
        "flux1": full.generators["flux1"].model_copy(update={"steps": 25}),
    }
    arm = schema.Arm(title="all", generators=["sd15"], precisions=["fp8"], coverage="all", images=90)
    return full.model_copy(update={"generators": settings, "arms": {"all": arm}, "images_per_cell": 360})


def test_hours_are_steps_times_images(timed):
    found = hours.cells(timed).set_index(["generator", "arm", "precision"])
    assert found.hours["sd15", "native", "fp32"] == pytest.approx(360 * 20 * 0.5 / 3600)  # an hour
    assert found.hours["sd15", "native", "fp8"] == pytest.approx(0.5)
    assert found.hours["sd15", "all", "fp8"] == pytest.approx(90 * 20 * 0.75 / 3600)
    assert found.seconds["flux1", "native", "fp16"] == pytest.approx(5.0)  # half of 50 steps in BF16
    assert found.seconds["flux1", "native", "fp4"] == pytest.approx(10.0)  # the same library's other code of 4 bits
    assert list(found.basis["flux1", "native"]) == ["", "published", "", "published"]
    assert math.isnan(found.hours["flux1", "native", "fp8"]) and math.isnan(found.hours["sd15", "native", "fp4"])


def test_of_a_generator_with_a_cell_that_nobody_timed_no_hours_are_told(timed):
    found = hours.generators(timed).set_index("generator")
    assert found.hours.isna().all() and found.images.to_dict() == {"sd15": 4 * 360 + 90, "flux1": 4 * 360}
    assert found.gb["flux1"] == pytest.approx(4 * 360 * 3 * 1024**2 / 1e9)


def test_a_pixel_takes_three_bytes():
    assert hours.disk(10, 100) == 10 * 100 * 100 * 3


def test_the_page_on_reproducing_has_the_table_of_the_full_study():
    full = schema.load("full")
    found = hours.generators(full)
    assert found.images.sum() == 6 * 4 * 500 + 6 * 100 + 3 * 2 * 500 and found.hours.notna().all()
    page = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
    assert hours.markdown(full) in page, "put what hours.markdown gives in its place"
