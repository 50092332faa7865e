"""Distances and readings of a run: measured of all images, against the baseline's of the main arm, and kept."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import world
from helpers.mini import judge
from helpers.runs import Source, Store, make, resolve, store
from helpers.runs.stages import cache, distances
from helpers.study import schema

IMAGES, OFFSETS = 120, {"fp32": 0, "fp16": 0, "fp8": 1, "fp4": 16}


def _studied(**changes):
    loaded = schema.load("mini")
    kept = {"generators": {"sd15": loaded.generators["sd15"]}, "detectors": ["npr"], "arms": {}}
    return loaded.model_copy(update=kept | changes)


def _score(kept, images):
    rows = []
    for source, pictures in images.items():
        for index, pixels in pictures.items():
            image = Image.fromarray(pixels)
            kept.save(image, source, index)
            rows.append([*vars(source).values(), index, store.pixel_sha256(image), "plain", "npr", "mini", 0.0])
    names = [*cache.CELL, "index", "image_sha256", "protocol", "detector", "weights", "logit"]
    pd.DataFrame(rows, columns=names).to_parquet(kept.folder / "scores.parquet")
    (kept.folder / "manifest.json").write_text('{"files": {}}')


@pytest.fixture(scope="module")
def renders():
    pixels = world.renders([world.SPLITS["test"] + i for i in range(IMAGES)], 64)
    return pixels.clip(0, 255 - max(OFFSETS.values()))


@pytest.fixture
def run(tmp_path, renders):
    """Renders of the prompts' own scenes in place of a generator's images, each precision lighter by its offset."""
    kept = Store(tmp_path)
    cells = {
        Source("sd15", precision, "native", 64, 1): dict(enumerate(renders + np.uint8(offset)))
        for precision, offset in OFFSETS.items()
    }
    _score(kept, cells)
    return kept


def _table(kept):
    return pd.read_parquet(kept.folder / distances.TABLE)


def test_every_image_has_its_distance_and_what_is_read_off_it(run):
    assert distances.write(resolve(_studied()), run, progress=False)
    table = _table(run)
    assert table.groupby("precision").size().to_dict() == dict.fromkeys(OFFSETS, IMAGES)  # all, not the first hundred
    for precision, offset in OFFSETS.items():
        own = table[table.precision == precision]
        expected = 20 * np.log10(255 / offset) if offset else np.inf
        np.testing.assert_allclose(own.psnr, expected, rtol=1e-6)
        assert (own.identical == (offset == 0)).all()
    scored = pd.read_parquet(run.folder / "scores.parquet")
    assert list(table.image_sha256) == list(scored.image_sha256)
    # A render shows what its prompt says, and the judge was trained on renders.
    right = table[table.precision == "fp32"][["ground_right", "colours_right", "shapes_right"]].mean()
    assert (right > 0.9).all()
    row = table[table["index"] == 7].iloc[0]
    scene = world.scene(world.SPLITS["test"] + 7)
    assert row.shapes_right == (row.shapes == " ".join(solid.shape for solid in scene.solids))
    said = json.loads((run.folder / "manifest.json").read_text())["files"][distances.TABLE]
    assert said == hashlib.sha256((run.folder / distances.TABLE).read_bytes()).hexdigest()


def test_what_was_measured_is_kept_until_pixels_or_the_judge_change(run, monkeypatch, tmp_path):
    plan = resolve(_studied())
    distances.write(plan, run, progress=False)
    monkeypatch.setattr(distances, "measures", lambda *_: pytest.fail("measured again"))
    assert not distances.write(plan, run, progress=False)
    assert not distances.write(resolve(_studied(), images=2), run, progress=False)  # a smaller call changes nothing
    other = tmp_path / "judge.safetensors"
    other.write_bytes(judge.FILE.read_bytes() + b" ")
    monkeypatch.setattr(judge, "FILE", other)
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        distances.write(plan, run, progress=False)


def test_images_that_are_not_as_they_were_scored_are_left_out(run):
    source = Source("sd15", "fp4", "native", 64, 1)
    run.save(run.open(source, 0), source, 1)
    distances.write(resolve(_studied()), run, progress=False)
    assert set(_table(run).precision) == {"fp32", "fp16", "fp8"}
    run.image(Source("sd15", "fp32", "native", 64, 1), 3).unlink()
    for old in (run.folder / "parts/distances").rglob("*.parquet"):
        old.unlink()
    distances.write(resolve(_studied()), run, progress=False)
    assert not (run.folder / distances.TABLE).exists()


def test_arms_are_set_beside_the_main_arm(tmp_path, renders):
    loaded = schema.load("mini")
    kept, study = Store(tmp_path), _studied(arms={name: loaded.arms[name] for name in ("seed", "ladder")})
    sources = {"native": "fp32", "seed": "fp32", "ladder": "int2"}
    cells = {
        Source("sd15", precision, arm, 64, 1): dict(enumerate(renders[:4] + np.uint8(5 * place)))
        for place, (arm, precision) in enumerate(sources.items())
    }
    cells[Source("sd15", "int2", "ladder", 64, 1)][9] = renders[9]  # of which the baseline has none
    _score(kept, cells)
    distances.write(resolve(study), kept, progress=False)
    table = _table(kept)
    assert table.groupby("arm").size().to_dict() == dict.fromkeys(sources, 4)
    np.testing.assert_allclose(table[table.arm == "seed"].psnr, 20 * np.log10(255 / 5), rtol=1e-6)
    np.testing.assert_allclose(table[table.arm == "ladder"].psnr, 20 * np.log10(255 / 10), rtol=1e-6)


def test_prompts_of_another_kind_have_no_readings(run):
    grammar = resolve(_studied(prompts=schema.PromptSource(kind="grammar")))
    distances.write(grammar, run, progress=False)
    table = _table(run)
    assert table[["ground", "shapes", "colours_right"]].isna().all(axis=None) and table.psnr.notna().all()


def test_a_run_without_a_judge_says_so(run, monkeypatch, tmp_path):
    monkeypatch.setattr(judge, "FILE", tmp_path / "none.safetensors")
    distances.write(resolve(_studied()), run, progress=False)
    assert _table(run).ground.isna().all() and any("no judge" in note for note in run.notes)


@pytest.mark.slow
def test_a_run_of_its_own_measures_its_images(tmp_path):
    study = _studied(precisions=["fp32", "fp16", "fp4"], protocols=["plain"], further={}, perturbations=None)
    make.run(study, tmp_path, images=2, progress=False)
    table = _table(Store(tmp_path)).set_index(["precision", "index"])
    assert len(table) == 6 and np.isinf(table.loc["fp32"].psnr).all()
    assert (table.loc["fp4"].psnr < table.loc["fp16"].psnr).all() and (table.loc["fp4"].psnr > 10).all()
    assert table.ground.isin(world.GROUNDS).all()
