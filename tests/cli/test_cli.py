"""The command: help with examples, quick answers, exit codes and one-line errors."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from helpers import world
from helpers.cli import app as cli
from helpers.core import files
from helpers.core.errors import Failure
from helpers.study import schema

COMMANDS = [
    ["grid"], ["run"], ["detect"], ["import-scores"], ["import-device"], ["report"], ["migrate"], ["verify"],
    ["footprint"],
    ["train", "mini"], ["train", "detector"], ["fetch"],
]  # fmt: skip


def call(capsys, *words):
    status = cli.main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, size in enumerate((64, 96)):
        Image.fromarray(world.render(world.SPLITS["test"] + index, size)).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(capsys, command):
    status, said, _ = call(capsys, *command, "--help")
    assert status == 0 and f"Example: quantdetect {' '.join(command)}" in said


def test_what_a_failure_has_to_tell_beside_its_line_comes_before_it(capsys, monkeypatch):
    def failing(*_):
        raise Failure("01_setup.ipynb: cell 4: ValueError", "Traceback:\n  line 1")

    monkeypatch.setattr("helpers.paper.build.build", failing)
    assert call(capsys, "report") == (1, "", "Traceback:\n  line 1\nquantdetect: 01_setup.ipynb: cell 4: ValueError\n")


def test_help_and_grid_need_no_torch():
    code = "import sys; from helpers import cli; s=cli.main(['grid']); sys.exit(s or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith(("sd", "flux"))]) == 24


def test_grid_tells_which_weights_of_detectors_are_there(capsys, tmp_path):
    (tmp_path / "npr.pth").touch()
    (tmp_path / "open_clip_pytorch_model.bin").touch()
    full = (files.STUDIES / "full.toml").read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(full.replace('"released"', f'"{tmp_path.as_posix()}"'), encoding="utf-8")
    status, said, _ = call(capsys, "grid", str(tmp_path / "own.toml"))
    rows = {line.split("  ")[0]: line for line in said.split("\n\n")[-1].splitlines()[1:]}
    assert status == 0 and list(rows) == ["npr", "r50_nodown", "r50_tf", "clip_d", "clip_d (backbone)"]
    there = {name: "  yes  " in line for name, line in rows.items()}
    assert there == {"npr": True, "r50_nodown": False, "r50_tf": False, "clip_d": False, "clip_d (backbone)": True}
    assert "npr.pth" in rows["npr"] and "r50_tf.safetensors" in rows["r50_tf"] and "CC0" in rows["r50_tf"]
    assert "MIT" in rows["clip_d (backbone)"] and "CommonPool.XL" in rows["clip_d (backbone)"]
    status, said, _ = call(capsys, "grid", "mini")
    assert status == 0 and "npr.safetensors" in said and "  no  " not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PAR1", "not a readable Parquet table"), (None, "it lacks the column 'images'")],
    ids=["four bytes", "another table"],
)
def test_grid_tells_of_a_damaged_archive_in_one_line(capsys, tmp_path, monkeypatch, content, said):
    stored = tmp_path / "mini" / "cells.parquet"
    stored.parent.mkdir()
    monkeypatch.setattr(files, "RESULTS", tmp_path)
    if content is None:
        pd.DataFrame({"generator": ["sd3"], "precision": "fp4", "arm": "native"}).to_parquet(stored)
    else:
        stored.write_bytes(content)
    status, _, error = call(capsys, "grid", "mini")
    assert status == 1 and f"{stored}: {said}" in error and error.count("\n") == 1
    (tmp_path / "mini" / "manifest.json").write_text('{"files": {"cells.parquet": "of others"}}', encoding="utf-8")
    status, _, error = call(capsys, "grid", "mini")
    assert status == 1 and f"{stored}: not the record that its manifest.json vouches for" in error


def test_grid_counts_the_images_of_the_archive(capsys, tmp_path, monkeypatch):
    cells = pd.DataFrame({"generator": ["sd3"], "precision": "fp4", "arm": "native", "images": 7})
    (tmp_path / "mini").mkdir()
    cells.to_parquet(tmp_path / "mini" / "cells.parquet")
    monkeypatch.setattr(files, "RESULTS", tmp_path)
    status, said, _ = call(capsys, "grid", "mini")
    lines = said.splitlines()
    place = lines[0].split().index("archived")
    found = {tuple(line.split()[:2]): line.split()[place] for line in lines[1:] if line.startswith("sd3 ")}
    assert status == 0 and found["sd3", "fp4"] == "7" and found["sd3", "fp32"] == "0"


def test_grid_adds_up_what_an_arm_has_of_each_precision(capsys):
    status, said, _ = call(capsys, "grid", "mini")
    ladder = next(line.split() for line in said.splitlines() if line.startswith("ladder "))
    own = schema.load("mini").arms["ladder"]
    rungs = 6 * len(own.precisions)
    assert status == 0 and ladder[1:3] == [str(rungs), str(rungs * own.images)]


def test_full_grid_names_checkpoints_and_gates(capsys):
    status, said, _ = call(capsys, "grid", "full")
    assert status == 0 and "stabilityai/stable-diffusion-3-medium-diffusers" in said and "gated" in said


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["grid", "mni"], "'mini'"),
        (["run", "mini", "--generators", "sd9"], "sd9"),
        (["run", "mini", "--precisions", "fp5"], "fp5"),
        (["run", "mini", "--shard", "3/2"], "3/2"),
        (["run", "mini", "--images", "0"], "--images"),
        (["run", "mini", "--executor", "cloud"], "cloud"),
        (["detect", "/nowhere.png"], "/nowhere.png"),
        (["report", "-p", "threshold"], "threshold"),
        (["verify", "mini", "--results", "/nowhere"], "/nowhere"),
        (["verify", "mini", "--arms", "ladders"], "ladder"),
        (["paint"], "paint"),
        (["run", "mini", "--out", ""], "--out: '' names nothing"),
        (["run", "mini", "--out="], "--out: '' names nothing"),
        (["run", "mini", "--generators", ","], "',' names nothing"),
        (["run", "mini", "--shard", ""], "--shard: '' names nothing"),
        (["run", "mini", "--device", "cuda:²"], "'cuda:²'; give cpu, cuda or cuda:N"),
        (["run", "mini", "--device", "cuda:-1"], "'cuda:-1'; give cpu, cuda or cuda:N"),
        (["run", "mini", "--device", "cuda:99999999999999999999"], "give cpu, cuda or cuda:N"),
        (["run", "mini", "--device", "CUDA"], "'CUDA'; give cpu, cuda or cuda:N"),
        (["detect", "x.png", "--detectors", ""], "--detectors: '' names nothing"),
        (["footprint", "--precisions", ","], "',' names nothing"),
        (["verify", "mini", "--out", "/dev/null/x.json"], "nothing can be written there"),
        (["footprint", "--out", "/dev/null/x.csv"], "nothing can be written there"),
        (["report", "-p", "results", "/nope"], "name its folder by --results"),
        (["report", "-p", "detectors", "nrp"], "no 'nrp' (nearest: 'npr')"),
        (["report", "--out", str(files.BOOK / "x")], "lies in the checkout's book"),
        (["report", "--out", str(files.ROOT / "src")], "lies in the checkout's src"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(capsys, words, named):
    status, _, said = call(capsys, *words)
    assert status == 2
    assert said.startswith("quantdetect: ") and named in said and said.count("\n") == 1


def test_an_interruption_exits_130_and_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    from helpers.runs import make

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "run", stopped)
    status, _, said = call(capsys, "run", "mini", "--out", str(tmp_path))
    assert status == 130 and "again to go on" in said


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "name a place that can be written"),
        (errno.EACCES, "change its permissions"),
        (errno.ENAMETOOLONG, "give a shorter name"),
        (errno.EIO, "call it again"),
    ],
)
def test_an_error_of_the_system_is_a_line_and_exits_1(capsys, monkeypatch, tmp_path, number, mend):
    from helpers.runs import make

    def broken(*arguments, **options):
        raise OSError(number, os.strerror(number), "some/file.png")

    monkeypatch.setattr(make, "run", broken)
    status, _, said = call(capsys, "run", "mini", "--out", str(tmp_path))
    assert status == 1 and said.count("\n") == 1
    assert said.startswith(f"quantdetect: some/file.png: {os.strerror(number)}; ") and mend in said


def test_too_little_memory_is_a_line_and_exits_1(capsys, monkeypatch, tmp_path):
    from helpers.runs import make

    def broken(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(make, "run", broken)
    status, _, said = call(capsys, "run", "mini", "--out", str(tmp_path))
    assert status == 1 and "memory is too small" in said and said.count("\n") == 1


def test_a_termination_stops_a_command_as_an_interruption_does(capsys, monkeypatch, tmp_path):
    from helpers.runs import make

    before = signal.getsignal(signal.SIGTERM)

    def stopped(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr(make, "run", stopped)
    status, _, said = call(capsys, "run", "mini", "--out", str(tmp_path))
    assert status == 130 and said == "quantdetect: stopped; call it again to go on where it stopped\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_stands_twice_in_a_list_is_done_once(capsys, monkeypatch, tmp_path):
    from helpers.runs import make

    given = []
    monkeypatch.setattr(make, "run", lambda *a, **k: given.append((*a[2:4], k["arms"])) or make.Done())
    words = ["--generators", "sd15, sd15,sd21", "--precisions", "fp4,fp4", "--arms", "seed,seed"]
    assert call(capsys, "run", "mini", "--out", str(tmp_path), *words)[0] == 0
    assert given == [(["sd15", "sd21"], ["fp4"], ["seed"])]


def test_a_failure_exits_1(capsys, monkeypatch):
    from helpers.runs import verify

    row = {
        "generator": "sd3",
        "precision": "fp4",
        "arm": "ladder",
        "images": 1,
        "images_equal": 0,
        "max_logit_diff": {"npr": 9.0},
    }
    outcome = {"cells": [row | {"agree": False}], "real": [], "agree": False}
    asked = []
    monkeypatch.setattr(verify, "verify_archive", lambda *_, **options: asked.append(options["arms"]) or outcome)
    status, said, error = call(capsys, "verify")
    assert status == 1 and "sd3/fp4-ladder" in error and "DISAGREES" in said
    call(capsys, "verify", "--arms", "ladder,seed, seed")
    assert asked == [None, ["ladder", "seed"]]


def test_a_run_reports_and_then_has_nothing_to_do(capsys, tmp_path):
    words = [
        "run",
        "mini",
        "--generators",
        "sd15",
        "--precisions",
        "fp4",
        "--images",
        "1",
        "--out",
        str(tmp_path),
    ]
    status, said, _ = call(capsys, *words)
    assert status == 0 and "images made" in said
    # From files alone: neither networks nor tables are read again.
    code = (
        "import sys; from helpers import cli\n"
        f"status = cli.main({words!r})\n"
        "print(status, [name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "nothing to do" in done.stdout and done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_detect_prints_a_logit_per_image_and_detector(capsys, photos):
    status, said, _ = call(capsys, "detect", str(photos / "*.png"), "--detectors", "npr,clip_d")
    lines = said.splitlines()
    assert status == 0 and lines[0].split() == ["path", "format", "size", "npr", "clip_d", "error"] and len(lines) == 5
    for line in lines[1:3]:
        cells = line.split()[3:]
        assert [verdict == "fake" for verdict in cells[1::2]] == [float(logit) > 0 for logit in cells[::2]]
    assert lines[3] == "2 files: 2 scored, 0 with errors" and lines[4].startswith("caution: miniature weights")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["*.webp"], "matches no file"),
        (["0.png", "--perturb", "jpg:75"], "nearest: 'jpeg'"),
        (["0.png", "--detectors", "nrp"], "npr"),
        (["0.png", "--out", "scores.xlsx"], "scores.xlsx"),
        (["0.png", "--weights", "/nowhere"], "/nowhere"),
    ],
)
def test_detect_names_what_it_cannot_use(capsys, photos, words, named):
    status, _, said = call(capsys, "detect", str(photos / words[0]), *words[1:])
    assert status == 2 and named in said and said.count("\n") == 1


def test_parameters_come_in_two_words(monkeypatch, capsys):
    report = pytest.importorskip("helpers.paper.build")
    given = []
    monkeypatch.setattr(report, "build", lambda results, out, values: given.append(values) or out)
    status, _, _ = call(capsys, "report", "-p", "threshold", "0.5", "-p", "generators", "sd3,flux1")
    assert status == 0 and given == [{"threshold": 0.5, "generators": ["sd3", "flux1"]}]
