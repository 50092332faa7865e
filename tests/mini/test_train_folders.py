"""Training on anybody's folders: it learns, says what from, keeps copies on one side, and refuses what misleads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image, ImageFilter
from safetensors.torch import load_file

from helpers import detectors, world
from helpers.cli import app as command
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.mini.training import detectors as train_detectors
from helpers.mini.training import folders as train_folders
from helpers.mini.training.detectors import Recipe, auc
from helpers.mini.training.folders import FULL_CROP, split

FEW = Recipe(steps=24, rate=3e-3, every=12, pairs=6, probe=4)
SOLVED = replace(FEW, steps=0, every=0, probe=40, strengths=(0.1, 1.0))  # a linear head, at two penalties
MORE = replace(FEW, steps=60, every=30, rate=1e-3)  # NPR, at its published size, is slower to learn


def blurred(seed: int) -> Image.Image:
    """A fake that anybody tells from a render: in a magenta haze."""
    haze = Image.new("RGB", (80, 72), (255, 0, 255))
    image = Image.fromarray(world.render(seed, 96)).resize((80, 72)).filter(ImageFilter.GaussianBlur(1))
    return Image.blend(image, haze, 0.5)


def test_a_refusal_is_the_one_line(tmp_path):
    asked = ["train", "detector", "npr", "--real", "r", "--fake", "f", "--out", str(tmp_path / "npr.pth")]
    ran = subprocess.run([sys.executable, "-m", "helpers.cli", *asked], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1, ran.stderr


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Thirty reals and thirty fakes of several sizes, PNG and JPEG in both."""
    folder = tmp_path_factory.mktemp("own")
    for label in ("real", "fake"):
        (folder / label / "more").mkdir(parents=True)
        for i in range(30):
            image = blurred(i) if label == "fake" else Image.fromarray(world.render(100 + i, 96))
            image.save(folder / label / ("more" if i % 3 else "") / f"{i}.{'png' if i % 2 else 'jpg'}")
    return folder


@pytest.mark.parametrize("name", detectors.DETECTORS)
def test_every_detector_trains_on_folders_and_its_card_says_what_on(name, folders, tmp_path):
    recipe = {"npr": MORE, "patch_probe": SOLVED}.get(name, FEW)
    out = train_folders.train_folders(
        name, folders / "real", folders / "fake", tmp_path / "own.safetensors", recipe=recipe, seed=5
    )
    card = json.loads((tmp_path / "own.json").read_text())
    assert card["name"] == name and card["seed"] == 5 and len(card["curve"]) == 2
    assert recipe is SOLVED or [row["step"] for row in card["curve"]] == [recipe.every, recipe.steps]
    assert str(folders / "real") in card["task"] and str(folders / "fake") in card["task"]
    table = pd.read_csv(tmp_path / "own.csv")
    assert len(table) == 60 and set(table.split) == {"train", "validation"}
    assert card["data"]["images"] == {part: own.label.value_counts().to_dict() for part, own in table.groupby("split")}
    assert all(row.sha256 == files.file_sha256(row.path) for row in table.itertuples())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own.csv", "own.json", "own.safetensors"]
    detector = detectors.load(name, out)  # whole: no backbone beside it
    fakes = detector.score([blurred(200 + i) for i in range(8)])
    reals = detector.score([Image.fromarray(world.render(300 + i, 96)) for i in range(8)])
    assert auc(fakes, reals) > 0.9 and card["validation"]["folders"]["auc"] > 0.9


def test_weights_that_are_there_stay(folders, tmp_path):
    there = tmp_path / "own.safetensors"
    there.write_bytes(b"of yesterday")
    with pytest.raises(UsageError, match="own.safetensors: there already; name another file"):
        train_folders.train_folders("npr", folders / "real", folders / "fake", there)
    assert there.read_bytes() == b"of yesterday" and [*tmp_path.iterdir()] == [there]


def test_a_stopped_training_goes_on_and_other_images_start_anew(folders, tmp_path, monkeypatch):
    own = tmp_path / "images"
    shutil.copytree(folders, own)

    def trained(folder, **settings):
        out = tmp_path / folder / "r.safetensors"
        path = train_folders.train_folders("r50_nodown", own / "real", own / "fake", out, recipe=FEW, **settings)
        return load_file(path)

    whole, draw, calls = trained("whole"), train_folders._Folders.batch, []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(train_folders, "learn", lambda *a, **k: LEARN(*a, save_seconds=0.0, **k))
    monkeypatch.setattr(train_folders._Folders, "batch", stopped)
    with pytest.raises(KeyboardInterrupt):
        trained("parts")
    resumed = trained("parts")
    assert len(calls) == 20 + 5  # steps 0 to 18 were not done again
    assert all((resumed[key] == value).all() for key, value in whole.items())
    other = trained("other", seed=1)
    assert any((other[key] != value).any() for key, value in whole.items())


LEARN = train_folders.learn


def test_a_split_depends_on_content_and_seed_alone(folders, tmp_path):
    first = split(folders / "real", folders / "fake", seed=3)
    copied = tmp_path / "renamed"
    shutil.copytree(folders / "real", copied)
    for i, path in enumerate(sorted(copied.rglob("*.png"))):
        shutil.copy(path, copied / f"copy-{i}.png")  # a picture twice
        path.rename(path.with_name(f"x{path.name}"))
    again = split(copied, folders / "fake", seed=3)
    where = first.set_index("sha256").split
    assert (again.sha256.map(where) == again.split).all() and len(again) > len(first)
    assert (split(folders / "real", folders / "fake", seed=4).split != first.split).any()
    shares = [(split(folders / "real", folders / "fake", seed=s).split == "validation").mean() for s in range(20)]
    assert np.mean(shares) == pytest.approx(train_folders.VALIDATION, abs=0.05)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "real" / "notes.txt").write_text("x"), "notes.txt: not an image.*take it out"),
        (lambda f: Image.new("RGB", (40, 90)).save(f / "fake" / "s.png"), "s.png: 40x90 px, a crop needs 64"),
        (lambda f: shutil.copy(f / "real" / "0.jpg", f / "fake" / "c.jpg"), "same picture is real and fake"),
        (lambda f: [p.unlink() for p in f.rglob("fake/**/*.*") if p.stem != "1"], "1 fake images leave none"),
    ],
)
def test_images_that_mislead_are_refused(spoil, said, folders, tmp_path):
    shutil.copytree(folders, tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(UsageError, match=said):
        split(tmp_path / "own" / "real", tmp_path / "own" / "fake")


def test_the_command_trains_and_warns_of_a_confound(folders, tmp_path, capsys, monkeypatch):
    small = tmp_path / "own"
    for label, suffix in (("real", "jpg"), ("fake", "png")):
        (small / label).mkdir(parents=True)
        for path in sorted((folders / label).rglob(f"*.{suffix}")):
            shutil.copy(path, small / label)
    monkeypatch.setitem(train_detectors.RECIPES, "r50_nodown", FEW)
    words = ["train", "detector", "r50_nodown", "--real", str(small / "real"), "--fake", str(small / "fake")]
    assert command.main([*words, "--out", str(tmp_path / "a.safetensors")]) == 0
    said = capsys.readouterr()
    assert "validation AUC" in said.out and "differ in format: 15 reals are 15 JPEG, 15 fakes 15 PNG" in said.err
    assert json.loads((tmp_path / "a.json").read_text())["data"]["cautions"]
    assert command.main([*words, "--out", str(tmp_path / "a.pth")]) == 2
    assert "give it that ending" in capsys.readouterr().err


def test_the_command_takes_steps_device_and_the_published_width(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(train_detectors.RECIPES, "npr", replace(FEW, pairs=2))
    large = tmp_path / "large"
    for label in ("real", "fake"):
        (large / label).mkdir(parents=True)
        for i in range(8):
            size = (FULL_CROP + 8 * i, FULL_CROP)
            Image.fromarray(world.render(i + 50 * (label == "fake"), 96)).resize(size).save(large / label / f"{i}.png")
    words = ["train", "detector", "npr", "--real", str(large / "real"), "--fake", str(large / "fake")]
    out = tmp_path / "full.safetensors"
    assert command.main([*words, "--out", str(out), "--width", "full", "--steps", "2", "--device", "cpu"]) == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["steps"], card["width"], card["augmentation"]["crop"]) == (2, "full", FULL_CROP)
    assert detectors.load("npr", out).width == "full"
    capsys.readouterr()
    for more, said in (
        (["--width", "ful"], "nearest: 'full'"),
        (["--device", "tpu"], "give cpu, cuda"),
        (["--backbone", "x.pth"], "takes none"),
    ):
        assert command.main([*words, "--out", str(out), *more]) == 2
        assert said in capsys.readouterr().err
    assert command.main(["train", "detector", "clip_d", *words[3:], "--out", str(out), "--width", "full"]) == 2
    assert "name its file by --backbone" in capsys.readouterr().err
    words = ["train", "detector", "patch_probe", *words[3:], "--out", str(out), "--steps", "3"]
    assert command.main(words) == 2 and "leave --steps out" in capsys.readouterr().err


def test_a_published_backbone_is_torchvisions_by_its_own_names(tmp_path):
    whole = torchvision.models.resnet50()
    torch.save(whole.state_dict(), tmp_path / "resnet50.pth")
    frozen = train_detectors.published_backbone("r50_tf", tmp_path / "resnet50.pth")
    wanted = {f"backbone.{key}": value for key, value in whole.state_dict().items() if not key.startswith("fc.")}
    assert frozen.keys() == {key for key in wanted if not key.endswith("num_batches_tracked")}
    assert all((value == wanted[key]).all() for key, value in frozen.items())
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="no backbone of r50_tf: it has no backbone.bn1"):
        train_detectors.published_backbone("r50_tf", tmp_path / "other.pth")
