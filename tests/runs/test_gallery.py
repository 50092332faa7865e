"""The gallery of a run: strips hold the very pixels that were scored, and only those."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import study as studies
from helpers.core import files
from helpers.runs import plan
from helpers.runs.stages import gallery
from helpers.runs.store import Store, pixel_sha256

IMAGES = 3


def noise(size: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def run(folder: Path, size: int = 64, images: int = IMAGES) -> tuple[plan.Plan, Store]:
    """A run of SD1.5 at two precisions with images of noise, each with one score."""
    study = studies.load("mini")
    own = study.generators["sd15"].model_copy(update={"size": size})
    study = study.model_copy(update={"precisions": ["fp32", "fp4"], "generators": {"sd15": own}, "arms": {}})
    resolved, store, rows = plan.resolve(study, images), Store(folder), []
    for place, source in enumerate(resolved.recipes):
        for index in range(images):
            image = noise(size, 100 * place + index)
            store.save(image, source, index)
            key = {name: getattr(source, name) for name in ("generator", "precision", "arm", "size", "label")}
            rows.append(key | {"index": index, "image_sha256": pixel_sha256(image)})
    scores = pd.DataFrame(rows).assign(protocol="plain", detector="npr", weights="mini", logit=1.0)
    scores.to_parquet(folder / "scores.parquet")
    return resolved, store


def strip(store: Store, index: int) -> np.ndarray:
    return np.asarray(Image.open(store.folder / f"gallery/sd15/{index:04d}.webp").convert("RGB"))


def test_a_strip_is_the_stored_pixels_side_by_side(tmp_path: Path) -> None:
    resolved, store = run(tmp_path)
    assert gallery.write(resolved, store)
    (entry,) = files.read_json(tmp_path / gallery.INDEX)["generators"].values()
    assert entry["columns"] == ["fp32", "fp4", "real"] and list(entry["images"]) == ["0", "1", "2"]
    folders = ["sd15/fp32", "sd15/fp4", "real/64"]
    for index in range(IMAGES):
        pixels = [np.asarray(Image.open(tmp_path / "images" / of / f"{index:04d}.png")) for of in folders]
        assert np.array_equal(strip(store, index), np.concatenate(pixels, axis=1))
    prompts = files.read_json(tmp_path / gallery.INDEX)["prompts"]
    sd15 = next(recipe for source, recipe in resolved.recipes.items() if source.generator == "sd15")
    assert prompts == {str(index): sd15.prompts[index] for index in range(IMAGES)}


def test_what_is_there_is_left_and_fewer_take_nothing_away(tmp_path: Path) -> None:
    resolved, store = run(tmp_path)
    gallery.write(resolved, store)
    before = (tmp_path / "gallery/sd15/0002.webp").stat().st_mtime_ns
    fewer = replace(
        resolved,
        recipes={of: replace(recipe, images=1, prompts=recipe.prompts[:1]) for of, recipe in resolved.recipes.items()},
    )
    assert not gallery.write(fewer, store)
    assert not gallery.write(resolved, store)
    assert (tmp_path / "gallery/sd15/0002.webp").stat().st_mtime_ns == before


def test_other_pixels_than_were_scored_are_not_shown(tmp_path: Path) -> None:
    resolved, store = run(tmp_path)
    gallery.write(resolved, store)
    noise(64, 999).save(tmp_path / "images/sd15/fp4/0001.png")
    (tmp_path / "gallery/sd15/0001.webp").unlink()
    assert gallery.write(resolved, store)
    assert not (tmp_path / "gallery/sd15/0001.webp").exists()
    assert list(files.read_json(tmp_path / gallery.INDEX)["generators"]["sd15"]["images"]) == ["0", "2"]


def test_of_a_large_image_the_middle_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "SIDE", 32)
    resolved, store = run(tmp_path)
    gallery.write(resolved, store)
    entry = json.loads((tmp_path / gallery.INDEX).read_text())["generators"]["sd15"]
    assert (entry["size"], entry["side"]) == (64, 32)
    whole = np.asarray(Image.open(tmp_path / "images/sd15/fp4/0000.png"))
    assert np.array_equal(strip(store, 0)[:, 32:64], whole[16:48, 16:48])


def test_the_stored_strips_are_the_images_that_were_scored() -> None:
    """Each image of the archive's gallery has the digest that the scores have of it."""
    folder = files.RESULTS / "mini"
    wanted = ["generator", "precision", "arm", "size", "index", "image_sha256"]
    scores = pd.read_parquet(folder / "scores.parquet", columns=wanted, filters=[("index", "<", 2)])
    scores = scores[scores.arm.isin(["native", "none"])].drop_duplicates(wanted[:5])
    known = scores.set_index(wanted[:5]).image_sha256
    for generator, entry in files.read_json(folder / gallery.INDEX)["generators"].items():
        size = entry["size"]
        for index in range(2):
            with Image.open(folder / "gallery" / generator / f"{index:04d}.webp") as image:
                whole = image.convert("RGB")
            for place, key in enumerate(entry["columns"]):
                own = whole.crop((place * size, 0, (place + 1) * size, size))
                of = ("real", "none", "none") if key == "real" else (generator, key, "native")
                assert pixel_sha256(own) == known[(*of, size, index)], (generator, key, index)
    assert sum(file.stat().st_size for file in folder.glob("gallery/*/*")) < 12e6
