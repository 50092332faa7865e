"""A built wheel gives the command where there is no checkout, for all that needs no notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from helpers.core import files


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory):
    """A caller of the command in a folder of its own, on a wheel that is unpacked there and nothing else of this."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("outside")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(built, cwd=files.ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    (folder / "here").mkdir()

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(folder / "site")}
        command = [sys.executable, "-m", "helpers.cli", *words]
        return subprocess.run(command, cwd=folder / "here", env=environment, capture_output=True, text=True)

    call.here = folder / "here"
    return call


def test_the_grid_and_the_footprint_are_there(outside) -> None:
    grid = outside("grid", "mini")
    assert grid.returncode == 0 and "sd35" in grid.stdout and "missing" not in grid.stdout, grid.stderr
    counted = outside("footprint", "--checkpoints", "sd15", "--precisions", "fp16")
    assert counted.returncode == 0, counted.stderr
    assert (outside.here / "_build" / "footprint.csv").is_file()


def test_images_are_scored(outside) -> None:
    Image.effect_noise((64, 64), 50).save(outside.here / "noise.png")
    done = outside("detect", "noise.png", "--detectors", "npr", "--out", "scores.csv")
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(outside.here / "scores.csv")["npr_logit"].notna().all()


def test_scores_are_imported(outside) -> None:
    archived = pd.read_parquet(files.RESULTS / "mini" / "scores.parquet")
    archived[archived["detector"] == "npr"].head(4000).to_csv(outside.here / "own.csv", index=False)
    done = outside("import-scores", "own.csv", "--out", "theirs")
    assert done.returncode == 0, done.stderr
    assert (outside.here / "theirs" / "manifest.json").is_file()


def test_the_book_says_where_it_is_made(outside) -> None:
    refused = outside("report")
    assert refused.returncode == 2 and refused.stderr.strip().count("\n") == 0 and "checkout" in refused.stderr


def test_the_package_is_read_from_the_wheel(outside) -> None:
    where = [sys.executable, "-c", "import helpers; print(helpers.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(outside.here.parent / "site")}
    found = subprocess.run(where, cwd=outside.here, env=environment, capture_output=True, text=True).stdout
    assert Path(found.strip()).is_relative_to(outside.here.parent)
