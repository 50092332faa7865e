"""What tells a finished run from files alone: every change to what it depends on, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.runs import finished
from helpers.study import schema

STUDY = schema.load("mini")
CALL = finished.asked(STUDY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder that is said to be finished."""
    (tmp_path / "images" / "sd15").mkdir(parents=True)
    (tmp_path / "images" / "sd15" / "0000.png").write_bytes(b"pixels")
    (tmp_path / "manifest.json").write_text("{}")
    finished.remember(tmp_path, STUDY, CALL, ["two files are no photographs"])
    return tmp_path


def test_the_same_call_says_what_it_said(folder: Path) -> None:
    assert finished.stands(folder, STUDY, CALL) == ["two files are no photographs"]
    (folder / ".lock").write_text("12")
    assert finished.stands(folder, STUDY, CALL) is not None
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert finished.stands(link, STUDY, CALL) is None  # another name of it is looked through


def kept_times(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"PIXELS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda folder: (folder / "images" / "sd15" / "0000.png").write_bytes(b"PIXELS"),
    "other bytes, old times": lambda folder: kept_times(folder / "images" / "sd15" / "0000.png"),
    "one more": lambda folder: (folder / "images" / "sd15" / "0001.png").touch(),
    "one less": lambda folder: (folder / "manifest.json").unlink(),
    "a link to above": lambda folder: (folder / "up").symlink_to(folder),
    "a link to nothing": lambda folder: (folder / "gone.png").symlink_to(folder / "nothing"),
    "no record": lambda folder: (folder / finished.FILE).unlink(),
    "a damaged record": lambda folder: (folder / finished.FILE).write_text("["),
    "a record of another shape": lambda folder: (folder / finished.FILE).write_text('{"asked": 1, "files": []}'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_sends_the_call_the_long_way(change: str, folder: Path) -> None:
    CHANGES[change](folder)
    assert finished.stands(folder, STUDY, CALL) is None


def test_another_call_or_study_is_another_question(folder: Path) -> None:
    others = [
        finished.asked(STUDY, ["sd15"]), finished.asked(STUDY, None, ["fp32"]), finished.asked(STUDY, images=3),
        finished.asked(STUDY, arms=["native"]), finished.asked(STUDY, device="cuda"),
        finished.asked(STUDY.model_copy(update={"seed": 7})), finished.asked(schema.load("full")),
    ]  # fmt: skip
    assert len({CALL, *others}) == len(others) + 1
    assert all(finished.stands(folder, STUDY, call) is None for call in others)


def test_weights_of_detectors_and_files_of_generators_count(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = tmp_path_factory.mktemp("weights")
    (own / "npr.pth").write_bytes(b"x")
    for name in ("released", "generator"):
        (own / name).mkdir()
    full = schema.load("full")
    settings = full.generators["sd15"].model_copy(update={"checkpoint": str(own / "generator")})
    study = full.model_copy(update={"weights": str(own / "released"), "generators": {"sd15": settings}, "reals": None})
    call = finished.asked(study)
    for place in ("released/npr.pth", "released/open_clip_model.safetensors", "generator/unet.bin"):
        finished.remember(folder, study, call)
        assert finished.stands(folder, study, call) == []
        (own / place).write_bytes(b"other")
        assert finished.stands(folder, study, call) is None
