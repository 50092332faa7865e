"""Spectra and filtered images of a run: measured once, of the scored pixels, published; and those of the archive."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import detectors, world
from helpers.core.files import RESULTS
from helpers.generators.catalogue import GENERATORS
from helpers.images import spectra as methods
from helpers.images.protocols import shared
from helpers.runs import Source, Store, resolve, store
from helpers.runs.stages import cache, spectra
from helpers.runs.stages import filtered as counterfactuals
from helpers.study import schema

IMAGES, KEY = 4, ["generator", "precision", "arm", "size", "label", "index"]


@pytest.fixture
def run(tmp_path):
    """A run's folder with noise for SD1.5 at FP32, softer noise at FP4, and passed reals; its study and store."""
    loaded = schema.load("mini")
    loaded = loaded.model_copy(
        update={"generators": {"sd15": loaded.generators["sd15"]}, "detectors": ["npr", "clip_d"], "arms": {}}
    )
    kept, rng, rows = Store(tmp_path), np.random.default_rng(0), []
    sources = [Source("sd15", p, "native", 64, 1) for p in ("fp32", "fp4")] + [Source("real", "none", "sd15", 64, 0)]
    for source, spread in zip(sources, (30, 15, 5), strict=True):
        for index in range(IMAGES):
            image = Image.fromarray(rng.normal(128, spread, (64, 64, 3)).clip(0, 255).astype(np.uint8))
            kept.save(image, source, index)
            protocol = "plain" if source.label else "aligned"
            rows.append([*vars(source).values(), index, store.pixel_sha256(image), protocol, "npr", "mini", 0.0])
    names = [*cache.CELL, "index", "image_sha256", "protocol", "detector", "weights", "logit"]
    pd.DataFrame(rows, columns=names).to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    return loaded, kept, sources


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_each_scored_image_has_its_row_and_each_table_its_checksum(run):
    loaded, kept, sources = run
    assert spectra.write(resolve(loaded), kept, progress=False)
    rows, scores = (pd.read_parquet(kept.folder / f"{name}.parquet") for name in ("spectra", "scores"))
    both = rows.merge(scores, on=KEY)
    assert len(rows) == len(both) == 3 * IMAGES and (both.image_sha256_x == both.image_sha256_y).all()
    pixels = np.asarray(kept.open(sources[1], 2))[None]
    row = rows[(rows.precision == "fp4") & (rows["index"] == 2)].iloc[0]
    level, share = methods.high_energy(methods.power(methods.grey(pixels)))
    assert (row.high, row.share) == pytest.approx((level[0], share[0]), rel=1e-5)
    np.testing.assert_allclose(
        10 ** (row.radial[1:] / 10), methods.radial(methods.power(methods.grey(pixels)))[0][1:], rtol=2e-3
    )
    patterns = pd.read_parquet(kept.folder / "patterns.parquet").set_index("precision")
    assert list(patterns.images) == [IMAGES] * 3 and len(patterns.loc["none", "cross"]) == 0
    np.testing.assert_allclose(patterns.loc["fp32", "cross"], patterns.loc["fp32", "own"])
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    for name in ("spectra.parquet", "patterns.parquet"):
        assert manifest["files"][name] == hashlib.sha256((kept.folder / name).read_bytes()).hexdigest()


def test_what_is_there_is_kept_and_what_is_missing_is_made(run, monkeypatch):
    loaded, kept, _ = run
    measured, calls = spectra.measures, []

    def stopping(pixels):
        calls.append(len(pixels))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measured(pixels)

    monkeypatch.setattr(spectra, "measures", stopping)
    with pytest.raises(KeyboardInterrupt):
        spectra.write(resolve(loaded), kept, progress=False)
    assert not (kept.folder / "spectra.parquet").exists()
    before = files(kept.folder / "parts/spectra")
    assert len(before) == 1
    assert (
        spectra.write(resolve(loaded), kept, progress=False) and before.items() <= files(kept.folder / "parts").items()
    )
    everything = files(kept.folder)
    assert not spectra.write(resolve(loaded), kept, progress=False) and files(kept.folder) == everything
    table = (kept.folder / "spectra.parquet").read_bytes()
    (kept.folder / "spectra.parquet").write_bytes(b"damaged")
    next((kept.folder / "parts/spectra/sd15/fp4").glob("*")).write_bytes(b"damaged")
    spectra.write(resolve(loaded), kept, progress=False)
    assert (kept.folder / "spectra.parquet").read_bytes() == table


def test_images_that_were_not_scored_so_are_left_out(run):
    loaded, kept, sources = run
    kept.save(kept.open(sources[0], 0), sources[1], 1)  # other pixels than those scored
    kept.image(sources[2], 3).unlink()
    spectra.write(resolve(loaded), kept, progress=False)
    assert set(pd.read_parquet(kept.folder / "spectra.parquet").precision) == {"fp32"}
    assert not counterfactuals.write(resolve(loaded), kept, progress=False)  # nothing to set FP32 against


def test_filtered_images_are_scored_beside_a_sham(run):
    loaded, kept, sources = run
    assert not counterfactuals.write(resolve(loaded), kept, progress=False)  # before spectra are there
    spectra.write(resolve(loaded), kept, progress=False)
    assert counterfactuals.write(resolve(loaded), kept, progress=False)
    assert not counterfactuals.write(resolve(loaded), kept, progress=False)
    table = pd.read_parquet(kept.folder / "counterfactuals.parquet")
    counts = table.groupby(["treatment", "precision"]).size().to_dict()
    filtered = [("sham", "fp32"), ("sham", "fp4"), ("restored", "fp4")]
    filtered += [(treatment, "fp32") for treatment in ("matched", "attenuated", "halved")]
    scored = IMAGES * 2 * len(loaded.protocols)
    assert counts == dict.fromkeys(filtered, scored) | {("decoded", "none"): IMAGES * 2}
    hard = table[(table.protocol == "shared") & (table.treatment == "sham") & (table.detector == "npr")]
    seen = [shared(kept.open(sources[0], index), index, loaded.shared_level) for index in range(IMAGES)]
    expected = detectors.load("npr").score(seen)
    np.testing.assert_allclose(hard[hard.precision == "fp32"].logit, expected, rtol=1e-5, atol=1e-5)
    assert set(table[table.protocol == "aligned"].weights) == {"mini-aligned"}
    table = table[table.protocol == "plain"]
    assert "counterfactuals.parquet" in json.loads((kept.folder / "manifest.json").read_text())["files"]
    for treatment, source in (("sham", sources[0]), ("sham", sources[1]), ("decoded", sources[2])):
        images = [kept.open(source, index) for index in range(IMAGES)]
        rows = table[(table.treatment == treatment) & (table.precision == source.precision) & (table.detector == "npr")]
        np.testing.assert_allclose(rows.logit, detectors.load("npr").score(images), rtol=1e-5, atol=1e-5)
        assert list(rows.image_sha256) == [store.pixel_sha256(image) for image in images]
    # FP4 is the softer here: the filters must act.
    wide = table[table.precision == "fp32"].pivot(index=["detector", "index"], columns="treatment", values="logit")
    assert (wide.matched != wide.sham).all() and (wide.halved != wide.sham).all()


def test_the_precisions_set_against_each_other_are_the_studys(run):
    loaded, kept, _ = run
    plan = resolve(loaded.model_copy(update={"precisions": ["fp4", "fp32"], "baseline": "fp4", "detectors": ["npr"]}))
    spectra.write(plan, kept, progress=False)
    patterns = pd.read_parquet(kept.folder / "patterns.parquet").set_index("precision")
    np.testing.assert_allclose(patterns.loc["fp4", "cross"], patterns.loc["fp4", "own"])
    assert counterfactuals.write(plan, kept, progress=False)
    table = pd.read_parquet(kept.folder / "counterfactuals.parquet")
    assert set(table[table.treatment == "matched"].precision) == {"fp4"}
    assert set(table[table.treatment == "restored"].precision) == {"fp32"}


def test_gains_turn_one_spectrum_into_the_other():
    before, after = np.array([50.0, 20.0, 10.0, 0.0]), np.array([40.0, 20.0, 4.0, 6.0])
    np.testing.assert_allclose(counterfactuals.gain(before, after) ** 2, [1, 1, 10**-0.6, 10**0.6])
    half = counterfactuals.halving(64)
    assert half[0] == half[13] == 1 and half[33 - 1] ** 2 == pytest.approx(0.5) and half.shape == (33,)


ARCHIVE = RESULTS / "mini"


@pytest.mark.parametrize("name", ["spectra", "counterfactuals"])
def test_the_archive_measured_the_images_that_it_scored(name):
    rows = pd.read_parquet(ARCHIVE / f"{name}.parquet", columns=[*KEY, "image_sha256"]).drop_duplicates()
    scores = pd.read_parquet(ARCHIVE / "scores.parquet", columns=[*KEY, "image_sha256"]).drop_duplicates()
    both = rows.merge(scores, on=KEY, how="left", suffixes=("", "_scored"))
    assert len(both) == len(rows) and (both.image_sha256 == both.image_sha256_scored).all()
    cells = rows[rows.label == 1].groupby(["generator", "precision", "arm"]).size()
    assert (cells == cache.IMAGES).all()
    main = {(g, p) for g, p, arm in cells.index if arm == "native"}
    assert main == {
        (g, p) for g in GENERATORS for p in (("fp32", "fp16", "fp8", "fp4") if name == "spectra" else ("fp32", "fp4"))
    }


def test_the_methods_are_those_by_which_the_archive_was_measured():
    """Where this fails a METHOD is to be raised (`world.rendering`, `images.spectra`, `stages.spectra`)."""
    rows = pd.read_parquet(ARCHIVE / "spectra.parquet").query("generator == 'real' and arm == 'none' and index == 1")
    assert set(rows["size"]) == {64, 96, 128}
    for row in rows.itertuples():
        render = world.render(world.SPLITS["test"] + 1, row.size)
        found = spectra.measures(render[None]).iloc[0]
        for name in ("high", "share", "residual", "npr", "period_2", "period_4", "period_8"):
            assert found[name] == pytest.approx(getattr(row, name), rel=1e-3, abs=1e-3)
        np.testing.assert_allclose(found.radial, row.radial, atol=0.05)


def test_the_archives_sham_has_the_logits_of_its_scores():
    sham = pd.read_parquet(ARCHIVE / "counterfactuals.parquet").query("treatment == 'sham'")
    scores = pd.read_parquet(ARCHIVE / "scores.parquet")
    keys = [*KEY, "detector", "weights", "protocol"]
    both = sham.merge(scores, on=keys, suffixes=("", "_stored"))
    assert len(both) == len(sham) == 3 * 2 * 6 * 5 * cache.IMAGES  # protocols, precisions, generators, detectors
    np.testing.assert_allclose(both.logit, both.logit_stored, rtol=1e-3, atol=1e-3)


def test_the_archives_manifest_vouches_for_them():
    listed = json.loads((ARCHIVE / "manifest.json").read_text(encoding="utf-8"))["files"]
    for name in ("spectra.parquet", "patterns.parquet", "counterfactuals.parquet"):
        assert listed[name] == hashlib.sha256((ARCHIVE / name).read_bytes()).hexdigest()
