"""`python -m helpers.lab` makes the lab in whole or says why there is none, and a book has it where it is there."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers.core import files
from helpers.lab import __main__ as command
from helpers.lab import manifest, runtime
from helpers.lab.storage import Files
from helpers.paper import site

#: What stands in for the runtime's files, which npm brings.
DIST = {"ort.wasm.min.mjs": b"a", "ort-wasm-simd-threaded.mjs": b"b", "ort-wasm-simd-threaded.wasm": b"c" * 1000}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's folder for npm, with the lock alone; npm has no network there."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "package-lock.json").write_bytes((files.ROOT / "package-lock.json").read_bytes())

    def unreachable(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "npm error code EAI_AGAIN\nnpm error network\n")

    monkeypatch.setattr(runtime.subprocess, "run", unreachable)
    monkeypatch.setattr(command, "runtime", lambda stored: runtime.runtime(stored, root))
    return root


@pytest.fixture
def installed(npm: Path) -> Path:
    """The same after npm has brought the runtime at the version of the lock."""
    lock = json.loads((npm / "package-lock.json").read_text(encoding="utf-8"))
    package = npm / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    version = lock["packages"]["node_modules/onnxruntime-web"]["version"]
    (package / "package.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    for name, contents in DIST.items():
        (package / "dist" / name).write_bytes(contents)
    return npm


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often graphs were made; they are none, which takes no time."""
    calls: list[str] = []

    def contents(chosen: Any, stored: Files) -> dict[str, Any]:
        calls.append(chosen.name)
        return {"generators": {}, "files": stored.sizes}

    monkeypatch.setattr(manifest, "contents", contents)
    return calls


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
    return found


def test_where_npm_cannot_be_reached_the_lab_says_so(
    npm: Path, made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--out", str(tmp_path / "lab")]) == 0
    found = read(tmp_path / "lab")
    assert found.keys() == {"missing"} and "npm" in found["missing"] and "EAI_AGAIN" in found["missing"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and found["missing"] in said
    assert made == []


def test_where_npm_comes_back_the_lab_is_made(
    installed: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, away = installed / "node_modules", installed / "away"
    package.rename(away)
    out = ["--out", str(tmp_path / "lab"), "--if-changed"]
    assert command.main(out) == 0 and "missing" in read(tmp_path / "lab")
    away.rename(package)
    assert command.main(out) == 0 and "missing" not in read(tmp_path / "lab") and made == ["mini"]


def test_the_runtime_is_three_files_and_its_licence(installed: Path, made: list[str], tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "lab")]) == 0
    found, about = read(tmp_path / "lab"), read(tmp_path / "lab")["runtime"]
    assert "MIT License" in (tmp_path / "lab" / about["licence"]).read_text(encoding="utf-8")
    inside = {file.relative_to(tmp_path / "lab").as_posix() for file in (tmp_path / "lab" / "ort").iterdir()}
    named = {about[name] for name in ("module", "loader", "wasm", "licence", "notices")}
    assert inside == named == {name for name in found["files"] if name.startswith("ort/")}
    for name in named:
        assert found["files"][name]["transfer"] == (tmp_path / "lab" / name).stat().st_size
    assert found["files"][about["wasm"]]["bytes"] == 1000


def test_what_has_not_changed_is_not_made_again(installed: Path, made: list[str], tmp_path: Path) -> None:
    out = tmp_path / "lab"
    assert command.main(["--out", str(out), "--if-changed"]) == 0
    before = hashlib.sha256((out / "lab.json").read_bytes()).hexdigest()
    assert command.main(["--out", str(out), "--if-changed"]) == 0
    assert made == ["mini"] and hashlib.sha256((out / "lab.json").read_bytes()).hexdigest() == before
    assert command.main(["--out", str(out)]) == 0
    assert made == ["mini", "mini"]


def test_another_state_is_made_anew(
    installed: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["--out", str(tmp_path / "lab"), "--if-changed"]
    assert command.main(out) == 0
    monkeypatch.setattr(command, "state", lambda chosen: "another")
    assert command.main(out) == 0
    assert made == ["mini", "mini"] and read(tmp_path / "lab")["digest"] == "another"


def test_web_modules_are_the_present_ones(
    installed: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = tmp_path / "web"
    web.mkdir()
    monkeypatch.setattr(command, "WEB", web)
    for name in ("one.js", "lab.css", "tsconfig.json"):
        (web / name).write_text(name, encoding="utf-8")
    out = ["--out", str(tmp_path / "lab"), "--if-changed"]
    assert command.main(out) == 0
    (web / "one.js").rename(web / "two.js")
    assert command.main(out) == 0 and made == ["mini"]
    assert {file.name for file in (tmp_path / "lab" / "web").iterdir()} == {"two.js", "lab.css"}


def test_what_is_no_lab_is_left_alone(
    installed: Path, made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    assert command.main(["--out", str(tmp_path / "mine")]) == 2
    assert str(tmp_path / "mine") in capsys.readouterr().err and made == []
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_failure_leaves_the_old_lab(
    installed: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lab"
    assert command.main(["--out", str(out)]) == 0
    before = (out / "lab.json").read_bytes()

    def fail(*_: Any) -> None:
        raise command.Failure("no graph")

    monkeypatch.setattr(manifest, "contents", fail)
    assert command.main(["--out", str(out)]) == 1
    assert (out / "lab.json").read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"checkout", "lab"}


def test_a_book_has_the_lab_that_is_there(tmp_path: Path) -> None:
    for name in ("built", "without", "lab"):
        (tmp_path / name).mkdir()
    site.bring_lab(tmp_path / "without", tmp_path / "lab")
    assert list((tmp_path / "without").iterdir()) == []
    (tmp_path / "lab" / "lab.json").write_text("{}", encoding="utf-8")
    site.bring_lab(tmp_path / "built", tmp_path / "lab")
    assert (tmp_path / "built" / "_static" / "lab" / "lab.json").is_file()
