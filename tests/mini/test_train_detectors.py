"""Training of the miniature detectors: it learns, and a killed training ends as any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file

from helpers import detectors, world
from helpers.core.errors import UsageError
from helpers.detectors import r50_tf
from helpers.mini import backbones
from helpers.mini.training import detectors as train_detectors
from helpers.mini.training.detectors import Recipe, Training, auc, augmented, learn, on_generators

SIZES = {"sd15": 64, "sd21": 96}
FEW = {"train": 24, "validation": 12}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tinted(split: str, generator: str, count: int) -> np.ndarray:
    """Stand-in fakes that anybody tells from renders: the same scenes, blurred, in a magenta haze."""
    seeds = range(world.SPLITS[split], world.SPLITS[split] + count)
    haze = Image.new("RGB", (SIZES[generator],) * 2, (255, 0, 255))
    renders = [Image.fromarray(r).filter(ImageFilter.GaussianBlur(1)) for r in world.renders(seeds, SIZES[generator])]
    return np.stack([np.asarray(Image.blend(render, haze, 0.5)) for render in renders])


def rendered(split: str, generator: str, count: int) -> np.ndarray:
    return world.renders(range(world.SPLITS[split], world.SPLITS[split] + count), SIZES[generator])


def train(name, work, out, *, recipe, generators=("sd15",), **settings):
    """A detector trained on the stand-ins, its weights in out/detectors."""
    task = on_generators(name, tinted, rendered, out, Training(generators=tuple(generators)), images=FEW)
    return learn(replace(task, recipe=recipe), out / "detectors" / f"{name}.safetensors", work, **settings)


def namer(folder) -> None:
    """An untrained backbone for R50_TF."""
    torch.manual_seed(0)
    (folder / "backbones").mkdir(parents=True)
    state = {f"backbone.{key}": value for key, value in r50_tf.trunk("mini").state_dict().items()}
    save_file(state, folder / "backbones" / "namer.safetensors")


def test_a_detector_learns_and_its_card_says_how_well(tmp_path):
    recipe = Recipe(steps=20, rate=3e-3, every=10, pairs=6)
    path = train("r50_nodown", tmp_path, tmp_path, generators=SIZES, recipe=recipe)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["validation"]["sd15"]["auc"] > 0.95 and card["validation"]["sd21"]["auc"] > 0.95
    assert card["licence"] == "Apache-2.0" and card["seed"] == 0 and len(card["curve"]) == 2
    detector = detectors.load("r50_nodown", path)
    fakes = detector.score([Image.fromarray(image) for image in tinted("test", "sd15", 8)])
    reals = detector.score([Image.fromarray(world.render(world.SPLITS["test"] + i, 64)) for i in range(8)])
    assert auc(fakes, reals) > 0.95


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["r50_nodown", "r50_tf"])
def test_a_killed_training_goes_on_to_the_same_end(name, tmp_path, monkeypatch):
    recipe = Recipe(steps=6, rate=1e-3, every=2, pairs=2, probe=2)
    settings = {"recipe": recipe, "save_seconds": 0.0}
    namer(tmp_path)
    whole = load_file(train(name, tmp_path / "whole", tmp_path, **settings))
    draw, calls = train_detectors._Pairs.batch, []
    probes = recipe.probe if name == "r50_tf" else 0

    def killed(*arguments):
        calls.append(1)
        if len(calls) == probes + 4:
            raise Killed
        return draw(*arguments)

    monkeypatch.setattr(train_detectors._Pairs, "batch", killed)
    with pytest.raises(Killed):
        train(name, tmp_path / "parts", tmp_path, **settings)
    resumed = load_file(train(name, tmp_path / "parts", tmp_path, **settings))
    assert len(calls) == probes + 4 + 3  # neither the probe nor steps 0 to 2 were done again
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_frozen_backbone_does_not_move(tmp_path):
    namer(tmp_path)
    before = load_file(tmp_path / "backbones" / "namer.safetensors")
    recipe = Recipe(steps=3, rate=1e-2, every=3, pairs=2, probe=2)
    path = train("r50_tf", tmp_path, tmp_path, recipe=recipe)
    assert set(load_file(path)) == {
        "backbone.fc.0.weight",
        "backbone.fc.0.bias",
        "proto.centers",
        "proto.logsigmas",
    }
    after = torch.load(tmp_path / "r50_tf.pt", weights_only=True)["state"]["model"]
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert detectors.load("r50_tf", path).score([Image.new("RGB", (64, 64))]).shape == (1,)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UsageError, match="nearest: 'npr'"):
        on_generators("nrp", tinted, rendered, tmp_path, Training())
    with pytest.raises(UsageError, match="quantdetect train mini clip"):
        on_generators("clip_d", tinted, rendered, tmp_path, Training())


def test_augmentation_keeps_type_and_size():
    image = world.render(3, 96)
    views = [augmented(image, np.random.default_rng(i), 64) for i in range(40)]
    assert {view.size for view in views} == {(64, 64)} and {view.mode for view in views} == {"RGB"}
    assert augmented(image, np.random.default_rng(0), None).size == (96, 96)
    again = augmented(image, np.random.default_rng(7), 64)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(views[7]))


def test_auc_counts_ties_half():
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert auc(np.array([1.0]), np.array([1.0])) == 0.5


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(backbones, "POOL", {64: 40, 96: 20})
    monkeypatch.setattr(backbones, "VALIDATION", 20)


@pytest.mark.parametrize(("name", "detector"), [("namer", "r50_tf"), ("clip", "clip_d")])
def test_backbones_train_and_fit_their_detector(name, detector, small, tmp_path):
    path = backbones.TRAINERS[name](tmp_path, tmp_path, steps=2)
    state = load_file(path)
    own = detectors.build(detector, "mini").state_dict()
    assert state.keys() == {key for key in own if not key.startswith(("fc.", "backbone.fc.", "proto."))}
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["validation"]["measures"] and card["parameters"] == sum(
        value.numel() for key, value in state.items() if "running" not in key and "tracked" not in key
    )


def test_facts_and_tokens_follow_the_caption():
    for seed in range(30):
        parsed = world.parse(world.prompt(seed))
        names = (*world.GROUNDS, *world.COLOURS, *world.SHAPES)
        said = {parsed.ground} | {word for solid in parsed.solids for word in solid}
        assert {name for name, there in zip(names, backbones.facts(seed), strict=True) if there} == said
    rows = backbones.tokens([world.prompt(i) for i in range(200)])
    assert rows.shape == (200, backbones.CONTEXT)
    end = len(world.vocabulary()) + len(backbones.TREATMENTS) - 1 + 2
    assert (rows.max(1).values == end).all() and ((rows == end).sum(1) == 1).all()
    assert len({tuple(row.tolist()) for row in rows}) == len({world.prompt(i) for i in range(200)})
