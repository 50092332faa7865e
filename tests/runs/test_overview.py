"""How far a run has come: records written by hand into a folder, and lines of progress that are no terminal's."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cli import app as cli
from helpers.runs import lock, progress
from helpers.runs.overview import overview
from helpers.runs.plan import scorings, sources
from helpers.study import schema

STUDY = """
name = "small"
scale = "mini"
images_per_cell = 4
seed = 1
precisions = ["fp32", "fp4"]
detectors = ["npr"]
shard_size = 2
[prompts]
kind = "world"
[generators]
sd15 = { checkpoint = "sd15", size = 64, steps = 2, guidance = 3.0 }
sd3 = { checkpoint = "sd3", size = 128, steps = 2, guidance = 3.0 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


def write(folder: Path, source: str, start: int, seconds: list[float], scored: list[str], rejected: int = 0) -> None:
    """What a run keeps of a shard, by its columns of CHANGELOG and test_run_folder."""
    images = {str(start + i): {"sha256": "0" * 64, "seconds": value} for i, value in enumerate(seconds)}
    known = {"recipe": "r", "model": "m", "shard": f"{source}/{start:04d}", "images": images, "record": {}}
    known |= {"rejected": {str(start + len(seconds) + i): "black" for i in range(rejected)}}
    path = folder / "parts" / source / f"{start:04d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known | {"scorings": dict.fromkeys(scored, "d")}))


def test_counts_and_the_time_left_are_those_of_the_records(file: Path, tmp_path: Path) -> None:
    study, folder = schema.load(file), tmp_path / "run"
    keys = [scoring.key for scoring in scorings(study)]
    write(folder, "sd15/fp32", 0, [1.0, 3.0], keys)
    write(folder, "sd15/fp32", 2, [8.0], [], rejected=1)
    write(folder, "sd15/fp4", 0, [2.0, 2.0], keys)
    for size in (64, 128):
        for start in (0, 2):
            write(folder, f"real/{size}", start, [0.5, 0.5], keys)
    found = overview(study, folder)
    by_name = {one.source.folder: one for one in found.sources}
    assert set(by_name) == {source.folder for source in sources(study)}
    one = by_name["sd15/fp32"]
    assert (one.made, one.rejected, one.scored, one.missing) == (3, 1, 2, 0) and one.much_rejected
    assert (by_name["sd15/fp4"].missing, by_name["sd3/fp32"].missing) == (2, 4)
    assert found.seconds_of(one) == 3.0  # the median
    assert found.left is None  # nothing is known of SD3
    write(folder, "sd3/fp32", 0, [10.0], [])
    # 2 of SD1.5 at FP4, 3 and 4 of SD3, whose FP4 is taken to take as long as its FP32.
    assert overview(study, folder).left == pytest.approx(2 * 2.0 + 3 * 10 + 4 * 10)
    with lock.working(folder, (1, 2)), lock.working(folder, (2, 2)):
        busy = overview(study, folder)
    assert busy.workers == [str(os.getpid())] * 2 and busy.left == pytest.approx(74 / 2)
    assert overview(study, folder).workers == []
    with lock.working(folder):
        assert overview(study, folder).workers == [str(os.getpid())]


def test_foreign_and_damaged_records_count_for_nothing(file: Path, tmp_path: Path) -> None:
    study, folder = schema.load(file), tmp_path / "run"
    write(folder, "sd15/fp32", 0, [1.0, 1.0], [])
    for name, text in {"0001": "{}", "notes": "{}", "0002": "[]"}.items():
        (folder / "parts" / "sd15" / "fp32" / f"{name}.json").write_text(text)
    (folder / "parts" / "sd15" / "fp4").mkdir()
    (folder / "parts" / "sd15" / "fp4" / "0000.json").write_text('{"images": {"0": 3}, "rejected": {}, "scorings": {}}')
    found = {one.source.folder: one.made for one in overview(study, folder).sources}
    assert found["sd15/fp32"] == 2 and found["sd15/fp4"] == 0


def test_the_grid_says_how_far_a_run_has_come_without_torch(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    write(folder, "sd15/fp32", 0, [1.0], [], rejected=1)
    code = (
        "import sys; from helpers import cli\n"
        f"status = cli.main(['grid', {str(file)!r}, '--out', {str(folder)!r}])\n"
        "print(status, [name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 []", done.stderr
    assert lines[1].split() == ["sd15/fp32", "4", "1", "1", "0", "1", "2", "s"]
    assert "2 of 24 images, 0 of them scored; nobody is at work there, last written" in done.stdout
    assert "not known before the first image" in done.stdout and "sd15/fp32: more than 1 % of the images" in done.stderr
    (tmp_path / "strange").mkdir()
    assert cli.main(["grid", str(file), "--out", str(tmp_path / "strange")]) == 0
    assert "nothing of small is written yet" in capsys.readouterr().out
    assert cli.main(["grid", str(file), "--out", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_no_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), iter([0.0, 10.0, 10.0, 20.0, 50.0, 50.0, 60.0, 60.0])
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.working_on((2, 4)), progress.bar(4, "images", True) as line:
        line.set_postfix_str("sd15/fp4")
        for _ in range(4):
            line.update(1)
    assert out.getvalue().splitlines() == [
        "2/4 images 1/4 (sd15/fp4), 10 s gone, 30 s left",
        "2/4 images 3/4 (sd15/fp4), 50 s gone, 17 s left",
        "2/4 images 4/4 (sd15/fp4), 60 s gone",
    ]


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar(0, "images", True), progress.bar(3, "images", False) as line:
        line.update(3)
    assert list(progress.each([], "cells", True, "cells")) == [] and capsys.readouterr().err == ""
