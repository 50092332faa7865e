"""What the cards and measures of shipped models say, read from folders made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.analysis import miniatures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "measures.csv").write_text(
        "generator,measure,value,target,met\n"
        "sd15,shape,0.9,0.8,True\nsd3,shape,0.7,0.8,False\nsd15,ground,0.9,0.95,False\nsd3,frechet,1.0,,\n"
    )
    (tmp_path / "detectors").mkdir()
    for name, weights, crop in (("npr", "mini", 64), ("npr", "mini-s1", 32), ("clip_d", "mini", "none")):
        card = {"name": name, "weights": weights, "augmentation": {"crop": crop}}
        (tmp_path / "detectors" / f"{name}-{weights}.json").write_text(json.dumps(card))
    return tmp_path


def test_missed_targets_are_those_of_the_generators_asked_for(folder: Path) -> None:
    both = miniatures.missed(["sd15", "sd3"], folder)
    assert both.targets == 3
    assert {keys[0]: title for title, keys in both.missed.items()} == {
        "sd15": "ground as asked for", "sd3": "solids' shapes as asked for",
    }  # fmt: skip
    assert miniatures.missed(["sd15"], folder) == (2, {"ground as asked for": ["sd15"]})
    assert miniatures.missed(["flux1"], folder) == miniatures.missed(["sd15"], folder / "none") == (0, {})


def test_crops_are_those_of_the_trainings_asked_for(folder: Path) -> None:
    assert miniatures.crops({"npr": "mini", "clip_d": "mini"}, folder) == {64: ["npr"]}
    assert miniatures.crops({"npr": "mini-s1"}, folder) == {32: ["npr"]}
    assert miniatures.crops({"r50_tf": "mini"}, folder) == {}
