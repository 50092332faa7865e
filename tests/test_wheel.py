"""An installed package gives the command where there is no checkout, for all that needs no notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from helpers.core import files

#: Most bytes of what is installed: the miniatures with all their trainings, 82 MB, are the largest part.
LARGEST = 100_000_000


@dataclass(frozen=True)
class Outside:
    """A folder `here` that is no checkout, what was installed in `site`, and the command as it is called there."""

    here: Path
    site: Path

    def __call__(self, *words: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command as its entry point does; `prelude` is Python that runs before."""
        code = f"{prelude}\nimport sys\nfrom helpers.cli import main\nsys.exit(main())"
        environment = os.environ | {"PYTHONPATH": str(self.site)}
        return subprocess.run(
            [sys.executable, "-c", code, *words], cwd=self.here, env=environment, capture_output=True, text=True
        )


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """`pip install .` into a folder of its own; nothing is asked of the network, the builder is the environment's."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("outside")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", folder / "site", files.ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "here").mkdir()
    return Outside(folder / "here", folder / "site")


def test_it_is_the_installed_package_and_of_a_size_that_one_sends(outside: Outside) -> None:
    found = outside("grid", prelude="import helpers; print(helpers.__file__)").stdout.splitlines()[0]
    assert Path(found).is_relative_to(outside.site)
    assert (outside.site / "bin" / "quantdetect").is_file()
    assert sum(path.stat().st_size for path in outside.site.rglob("*") if path.is_file()) < LARGEST
    names = {path.relative_to(outside.site / "helpers").parts[0] for path in (outside.site / "helpers").rglob("*.py")}
    assert "tests" not in names and "cli" in names


@pytest.mark.parametrize("study", ["mini", "full"])
def test_the_grid_is_there(outside: Outside, study: str) -> None:
    grid = outside("grid", study)
    assert grid.returncode == 0 and "sd35" in grid.stdout, grid.stderr
    assert study == "full" or "missing" not in grid.stdout


def test_the_footprint_is_counted(outside: Outside) -> None:
    counted = outside("footprint", "--checkpoints", "sd15", "--precisions", "fp16")
    assert counted.returncode == 0, counted.stderr
    assert (outside.here / "_build" / "footprint.csv").is_file()


def test_images_are_scored(outside: Outside) -> None:
    Image.effect_noise((64, 64), 50).save(outside.here / "noise.png")
    done = outside("detect", "noise.png", "--out", "scores.csv")
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(outside.here / "scores.csv").filter(like="_logit").notna().all(axis=None)


def test_scores_are_imported(outside: Outside) -> None:
    archived = pd.read_parquet(files.RESULTS / "mini" / "scores.parquet")
    own = (archived.detector == "npr") & (archived.weights == "mini") & (archived.protocol == "plain")
    archived[own & archived.arm.isin(["native", "none"])].to_csv(outside.here / "own.csv", index=False)
    done = outside("import-scores", "own.csv", "--out", "theirs", "--summary", "effects.csv")
    assert done.returncode == 0, done.stderr
    assert (outside.here / "theirs" / "manifest.json").is_file() and len(pd.read_csv(outside.here / "effects.csv"))
    archived[own & (archived.precision == "fp32") & (archived.arm == "native")].to_csv(
        outside.here / "one.csv", index=False
    )
    done = outside("import-scores", "one.csv", "--out", "alone", "--summary", "none.csv")
    assert done.returncode == 0 and "0 paired effects" in done.stdout, done.stderr


def test_the_book_says_where_it_is_made(outside: Outside) -> None:
    refused = outside("report")
    assert refused.returncode == 2 and refused.stderr.strip().count("\n") == 0 and "checkout" in refused.stderr


def lacking(package: str) -> str:
    """Python that makes a package one that is not installed."""
    return (
        "import sys\nclass Lacking:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}: raise ModuleNotFoundError(f'no {{name}}', name=name)\n"
        "sys.meta_path.insert(0, Lacking)"
    )


@pytest.mark.parametrize(
    ("call", "status"),
    [(["grid"], 0), (["footprint"], 1), (["detect", "noise.png"], 1), (["run", "mini"], 1)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_without_torch_a_line_says_what_brings_it(outside: Outside, call: list[str], status: int) -> None:
    done = outside(*call, prelude=lacking("torch"))
    assert done.returncode == status, done.stderr
    if status:
        assert done.stderr == "quantdetect: torch is not installed; pip install 'quantdetect[models]' brings it\n"
