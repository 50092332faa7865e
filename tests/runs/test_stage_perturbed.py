"""The stage of perturbed scores: what is in the table, what is kept, what is left out; the archived table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import detectors, world
from helpers.core import files
from helpers.core.columns import SCORES
from helpers.images import perturbations
from helpers.runs import Source, Store, plan
from helpers.runs.stages import perturbed
from helpers.runs.store import pixel_sha256
from helpers.study import schema

NAMES = ["jpeg:75", "noise:8"]
CELLS = [
    Source("sd15", "fp32", "native", 64, 1),
    Source("sd15", "fp4", "native", 64, 1),
    Source("sd15", "fp8", "native", 64, 1),
    Source("real", "none", "none", 64, 0),
]


def settings(**changes):
    sample = schema.Perturbations(names=NAMES, precisions=["fp32", "fp4"], images=2)
    return schema.load("mini").model_copy(update={"detectors": ["npr"], "perturbations": sample, **changes})


def digests(loaded):
    return {scoring: "weights" for scoring in plan.scorings(loaded)}


@pytest.fixture
def store(tmp_path) -> Store:
    """A folder with three images of each cell, and their scores."""
    store, rows = Store(tmp_path), []
    for place, source in enumerate(CELLS):
        for index in range(3):
            image = Image.fromarray(world.render(10 * place + index, 64))
            store.save(image, source, index)
            values = (
                source.generator, source.precision, source.arm, "plain", 64, index, source.label, "npr", "mini", 0.0,
                pixel_sha256(image),
            )  # fmt: skip
            rows.append(dict(zip(SCORES.names, values, strict=True)))
    pd.DataFrame(rows).to_parquet(tmp_path / "scores.parquet")
    return store


def table(store: Store) -> pd.DataFrame:
    return pd.read_parquet(store.folder / perturbed.TABLE)


def test_the_sample_is_scored_after_each_perturbation(store):
    loaded = settings()
    assert perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False) == 3 * 2 * len(
        NAMES
    )  # FP8 is not asked for
    found = table(store)
    assert tuple(found) == (*SCORES.names, "perturbation") and found.logit.dtype == np.float64
    assert set(found.precision) == {"fp32", "fp4", "none"} and set(found["index"]) == {0, 1}
    detector = detectors.load("npr")
    for row in found.itertuples():
        source = Source(row.generator, row.precision, row.arm, row.size, row.label)
        image = store.open(source, row.index)
        assert pixel_sha256(image) == row.image_sha256
        wanted = detector.score([perturbations.parse(row.perturbation)(image, row.index)])[0]
        assert row.logit == pytest.approx(wanted, abs=1e-5)
    listed = json.loads((store.folder / "manifest.json").read_text())["files"]
    assert listed == {perturbed.TABLE: files.file_sha256(store.folder / perturbed.TABLE)}


def test_what_is_scored_is_kept_and_the_rest_is_added(store, monkeypatch):
    loaded = settings()
    perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False)
    before = table(store)
    assert perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False) == 0
    more = settings(perturbations=loaded.perturbations.model_copy(update={"names": [*NAMES, "blur:1"]}))
    assert perturbed.score(plan.resolve(more), store, digests(more), progress=False) == 6
    pd.testing.assert_frame_equal(
        table(store)[lambda rows: rows.perturbation != "blur:1"].reset_index(drop=True), before
    )
    (store.folder / "perturbed" / "sd15" / "fp4.parquet").unlink()  # as where a call was stopped before it
    assert perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False) == 4
    pd.testing.assert_frame_equal(table(store), before)
    assert perturbed.score(plan.resolve(loaded), store, dict.fromkeys(digests(loaded), "others"), progress=False) == 12


def test_an_image_of_other_pixels_is_left_out(store):
    loaded = settings()
    store.save(Image.new("RGB", (64, 64)), CELLS[0], 1)
    store.image(CELLS[1], 0).unlink()
    assert perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False) == 8
    left = table(store)[["precision", "index"]].drop_duplicates()
    assert set(left.itertuples(index=False, name=None)) == {("fp32", 0), ("fp4", 1), ("none", 0), ("none", 1)}


def test_a_study_without_perturbations_has_no_table(store):
    loaded = settings(perturbations=None)
    assert perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False) == 0
    assert not (store.folder / perturbed.TABLE).exists()


def test_the_archived_table_is_of_the_archived_images():
    """Every row has its untouched image in scores.parquet, of the same pixels, and none of the sample is missing."""
    archive, loaded = files.RESULTS / "mini", schema.load("mini")
    found = pd.read_parquet(archive / perturbed.TABLE)
    scores = pd.read_parquet(archive / "scores.parquet")
    keys = [column for column in SCORES.names if column != "logit"]
    assert len(found.merge(scores, on=keys)) == len(found)
    sample, sizes = loaded.perturbations, {settings.size for settings in loaded.generators.values()}
    sources = len(loaded.keys) * len(sample.precisions) + len(sizes)
    assert len(found) == sources * sample.images * len(sample.names) * len(loaded.detectors)
    assert list(found.perturbation.unique()) == sample.names and not found.duplicated([*keys, "perturbation"]).any()
    manifest = json.loads((archive / "manifest.json").read_text())
    assert manifest["files"][perturbed.TABLE] == files.file_sha256(archive / perturbed.TABLE)
    assert manifest["study"]["perturbations"] == sample.model_dump(mode="json")


def test_a_call_with_nothing_to_do_writes_nothing(store):
    loaded = settings()
    perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    perturbed.score(plan.resolve(loaded), store, digests(loaded), progress=False)
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before
