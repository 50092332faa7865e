"""The report's parameters and places: what is refused before any work, and what a stopped report leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import synthetic

from helpers import analysis
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.paper import build, execution
from helpers.paper.contents import Job, pages


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.write(tmp_path_factory.mktemp("deck"), synthetic.DECK, images=20)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A build without kernels and Sphinx; the parameters that each notebook got."""
    given: list[dict] = []

    def compiled(source: Path, scratch: Path) -> None:
        for page in ["index", *pages()]:
            file = scratch / "_build" / "html" / f"{page}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("new")

    @contextmanager
    def started(jobs: Collection[Job], *_: object) -> Iterator[Iterator[Job]]:
        given.extend(dict(job.parameters) for job in jobs)
        yield iter(())

    monkeypatch.setattr(build, "_started", started)
    monkeypatch.setattr(build, "_compile", compiled)
    return given


def test_a_book_is_put_where_the_caller_stands(
    deck: Path, quick: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build.build(deck, "mine") == tmp_path / "mine" / "html" / "index.html"
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["cache", "heatmap.png", "html"]
    build.build(deck, "mine", {"threshold": 0.5})  # a book of its own is replaced
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["cache", "heatmap.png", "html"]


def test_one_word_is_a_list_of_one(deck: Path, quick: list[dict], tmp_path: Path) -> None:
    build.build(deck, tmp_path, {"detectors": "npr", "protocol": "plain"})
    assert quick and all(plan["detectors"] == ["npr"] and plan["protocol"] == "plain" for plan in quick)


@pytest.mark.parametrize("threshold", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_threshold_is_a_number_that_floats_hold(
    deck: Path, quick: list[dict], tmp_path: Path, threshold: float
) -> None:
    with pytest.raises(UsageError, match="threshold: .* is not a finite number"):
        build.build(deck, tmp_path / "out", {"threshold": threshold})
    assert not (tmp_path / "out").exists() and not quick


def test_what_is_no_book_is_not_replaced(deck: Path, quick: list[dict], tmp_path: Path) -> None:
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("somebody else's")
    with pytest.raises(UsageError, match="html: there already and not a book of this project's"):
        build.build(deck, tmp_path)
    assert [file.name for file in tmp_path.rglob("*")] == ["html", "index.html"] and not quick


def test_results_are_named_once(deck: Path, quick: list[dict], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name its folder by --results"):
        build.build(deck, tmp_path, {"results": "/nope"})


@pytest.mark.parametrize("inside", ["book", "notebooks/x", "results/mini", "src/../tests"])
def test_the_sources_take_no_book(deck: Path, quick: list[dict], inside: str) -> None:
    with pytest.raises(UsageError, match="lies in the checkout's"):
        build.build(deck, files.ROOT / inside)


def test_what_killed_reports_leave_is_cleared_and_their_book_put_back(
    deck: Path, quick: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; from helpers.core import files; print(files.temporary(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "html.book")], capture_output=True, text=True, check=True
    )
    dead, alive = Path(done.stdout.strip()), tmp_path / files.temporary(tmp_path / "html.book").name
    for left in (dead, alive):
        (left / "old").mkdir(parents=True)
        (left / "old" / "index.html").write_text(left.name)

    def failing(source: Path, scratch: Path) -> None:
        raise Failure("Sphinx")

    monkeypatch.setattr(build, "_compile", failing)
    with pytest.raises(Failure, match="Sphinx"):
        build.build(deck, tmp_path)
    assert not dead.exists() and alive.exists()
    assert (tmp_path / "html" / "index.html").read_text() == dead.name


def test_a_swap_that_fails_leaves_the_old_book(tmp_path: Path) -> None:
    (tmp_path / "html").mkdir()
    with pytest.raises(FileNotFoundError):
        build._swap(tmp_path / "absent", tmp_path / "html", tmp_path / "old")
    assert [file.name for file in tmp_path.iterdir()] == ["html"]


def test_a_dead_kernel_is_told_in_a_line(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )
    book.cells = [nbformat.v4.new_code_cell("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")]
    nbformat.write(book, tmp_path / "dying.ipynb")
    with pytest.raises(Failure, match="dying.ipynb: its kernel died"):
        execution.execute(tmp_path / "dying.ipynb", tmp_path / "out.ipynb")
    assert os.listdir(tmp_path) == ["dying.ipynb"]


def test_a_study_of_rounded_weights_is_its_own_main_arm(tmp_path: Path) -> None:
    """`arm = "rounding"` in the study file: results, tables and the book's pages read that arm without being told."""
    folder = synthetic.write(tmp_path, synthetic.DECK, images=20)
    wanted = analysis.cells(analysis.load(folder))
    for name in ("scores.parquet", "cells.parquet"):
        table = files.read_parquet(folder / name)
        files.write_parquet(table.assign(arm=table.arm.replace("native", "rounding")), folder / name)
    manifest = files.read_json(folder / "manifest.json")
    manifest["study"] = manifest.get("study", {}) | {"arm": "rounding"}
    if "files" in manifest:
        manifest["files"] = {name: files.file_sha256(folder / name) for name in manifest["files"]}
    files.write_json(manifest, folder / "manifest.json")
    loaded = analysis.load(folder)
    assert loaded.arm == "rounding"
    found = analysis.cells(loaded)
    assert found.equals(wanted)
