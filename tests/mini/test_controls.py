"""The detectors' controls: what they see and what they cannot, and what is said of detectors beside them."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from helpers import detectors, world
from helpers.analysis import miniatures
from helpers.mini import backbones
from helpers.mini.training import controls, towers
from helpers.mini.training import detectors as train_detectors
from helpers.mini.training.detectors import Training, on_generators
from helpers.paper.pages import setup

SIZE, FEW = 64, {"train": 40, "validation": 40}


def rendered(split: str, generator: str, count: int) -> np.ndarray:
    return world.renders(range(world.SPLITS[split], world.SPLITS[split] + count), SIZE)


def dimmed(split: str, generator: str, count: int) -> np.ndarray:
    """The same scenes with half their red."""
    return (rendered(split, generator, count) * np.array([0.5, 1.0, 1.0])).astype(np.uint8)


def mixed(split: str, generator: str, count: int) -> np.ndarray:
    """The same scenes upside down: their plain numbers are the same."""
    return rendered(split, generator, count)[:, ::-1]


@pytest.fixture
def models(tmp_path):
    state = detectors.build("patch_probe", "mini").state_dict()
    (tmp_path / "backbones").mkdir()
    tower = {key: value for key, value in state.items() if key.startswith("visual.")}
    save_file(tower, tmp_path / "backbones" / "clip.safetensors")
    return tmp_path


def test_plain_numbers_see_a_colour_and_not_an_arrangement(models):
    for fakes, least, most in ((dimmed, 0.9, 1.0), (mixed, 0.5, 0.5)):
        task = on_generators("patch_probe", fakes, rendered, models, Training(generators=("sd15",)), images=FEW)
        assert least <= controls.plain(task, models)["sd15"]["auc"] <= most


def test_the_table_has_each_control_and_kind_of_training(models, monkeypatch):
    monkeypatch.setattr(towers, "head", lambda name, task, work, device: controls.plain(task, work))
    recipe = replace(train_detectors.RECIPES["patch_probe"], pairs=6, probe=2, strengths=(0.1,))
    monkeypatch.setitem(train_detectors.RECIPES, "patch_probe", recipe)
    kinds = {"mini": Training(generators=("sd15", "sd21")), "mini-s1": Training(seed=1)}
    monkeypatch.setattr(controls, "TRAININGS", kinds | {"mini-aligned": Training(generators=("sd15",), aligned=True)})
    reals = {False: rendered, True: mixed}
    made = controls.evaluate(models, models, fakes=dimmed, reals=reals, images={"train": 12, "validation": 12})
    assert set(zip(made.control, made.weights, made.generator, strict=True)) == {
        (control, *of) for control in controls.CONTROLS
        for of in (("mini", "sd15"), ("mini", "sd21"), ("mini-aligned", "sd15"))
    }  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_csv(models / controls.TABLE), made)
    assert set(controls.CONTROLS) == {*miniatures.CONTROLS, *miniatures.TRIED}


def test_what_is_said_of_detectors_follows_from_the_table(tmp_path):
    assert "--controls" in miniatures.beside_controls(miniatures.of_controls(tmp_path))
    (tmp_path / "detectors").mkdir()
    for name, label, auc in (("npr", "mini", 0.99), ("npr", "mini-s1", 0.97), ("clip_d", "mini", 0.6)):
        figures = {"sd15": {"auc": auc, "tpr": 0.9, "tnr": 0.8}}
        card = {"name": name, "weights": label, "validation": figures}
        (tmp_path / "detectors" / f"{name}{label}.json").write_text(json.dumps(card))
    rows = [("random_tower", 0.9), ("plain_facts", 0.8)]
    known = [{"control": c, "weights": "mini", "generator": "sd15", "auc": a, "tpr": 0.5, "tnr": 0.7} for c, a in rows]
    pd.DataFrame(known).to_csv(tmp_path / "controls.csv", index=False)
    found = miniatures.of_controls(tmp_path)
    npr = found[found.name == "npr"].iloc[0]
    assert (npr.trainings, npr.auc, npr.auc_low, npr.auc_high) == (2, pytest.approx(0.98), 0.97, 0.99)
    assert list(found.title[:2]) == ["NPR", "CLIP-D"] and list(found.control) == [False, False, True, True]
    said = miniatures.beside_controls(found)
    assert "random weights, 0.900" in said and "NPR finds more" in said and "CLIP-D finds no more" in said
    blind = miniatures.beside_controls(found.assign(auc=np.where(found.control, 0.995, found.auc)))
    assert "NPR and CLIP-D find no more than a control does" in blind and "finds more" not in blind
    setup.beside_controls("mini", found)
    setup.beside_controls("full", found)


@pytest.mark.parametrize(("aucs", "said"), [
    ((0.58, 0.55), "None finds more, and CLIP-D keeps"),
    ((0.58, 0.71), "A tower that also learnt from pairs of views finds more; CLIP-D keeps"),
])  # fmt: skip
def test_the_towers_that_were_tried_are_named_and_are_no_controls(tmp_path, aucs, said):
    (tmp_path / "detectors").mkdir()
    card = {"name": "clip_d", "weights": "mini", "validation": {"sd15": {"auc": 0.6, "tpr": 0.9, "tnr": 0.8}}}
    (tmp_path / "detectors" / "clip_d.json").write_text(json.dumps(card))
    rows = [("random_tower", 0.5), *zip(miniatures.TRIED, aucs, strict=True)]
    known = [{"control": c, "weights": "mini", "generator": "sd15", "auc": a, "tpr": 0.5, "tnr": 0.7} for c, a in rows]
    pd.DataFrame(known).to_csv(tmp_path / "controls.csv", index=False)
    found = miniatures.of_controls(tmp_path)
    assert said in miniatures.towers_tried(found) and "its own tower, 0.600" in miniatures.towers_tried(found)
    assert "CLIP-D finds more" in miniatures.beside_controls(found)  # than the one control there is
    assert miniatures.towers_tried(found[found.name != "clip_d"]) == ""


def test_two_views_are_told_apart_as_in_a_closed_form():
    """Two pictures whose views are equal and at right angles: each view has its partner at 1 and two others at 0."""
    eye = torch.eye(2)
    assert towers.two_views_loss(3 * eye, eye, 0.5).item() == pytest.approx(np.log(1 + 2 * np.exp(-2)), rel=1e-5)
    blind = torch.ones(4, 3)
    assert towers.two_views_loss(blind, blind).item() == pytest.approx(np.log(7), rel=1e-5)


def test_a_tried_tower_is_trained_and_read_by_a_linear_head(models, monkeypatch):
    """Halved red is found by a head on any tower; the tower is the configuration's, trained for the steps it says."""
    monkeypatch.setattr(backbones, "POOL", {64: 20})
    monkeypatch.setattr(backbones, "VALIDATION", 8)
    brief = partial(backbones.fit_clip, steps=2)
    monkeypatch.setattr(towers.backbones, "fit_clip", brief)
    task = on_generators("patch_probe", dimmed, rendered, models, Training(generators=("sd15",)), images=FEW)
    for name in towers.TRIED:
        assert towers.head(name, task, models)["sd15"]["auc"] > 0.8
        losses = pd.read_csv(models / f"{name}.csv")
        assert list(losses.step) == [2]
    assert (models / "clip_wide.pt").stat().st_size > 2 * (models / "clip_views.pt").stat().st_size
