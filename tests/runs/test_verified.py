"""A live check stands as long as all that it depends on is the same, and only if it agreed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import synthetic

from helpers.core import files
from helpers.runs import verified
from helpers.study import schema


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder; the models beside it are one card of the shipped ones."""
    (tmp_path / "models" / "mini").mkdir(parents=True)
    shutil.copy(files.MODELS / "mini" / "sd3" / "card.json", tmp_path / "models" / "mini")
    monkeypatch.setattr(files, "MODELS", tmp_path / "models")
    return synthetic.write(tmp_path / "archive", images=4, generators=("sd3",))


def test_another_machine_model_archive_arm_or_number_of_images_is_another_state(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = schema.load("mini")
    states = [verified.state(study, 2, archive)]
    assert states[0] == verified.state(study, 2, archive)
    states.append(verified.state(study, 3, archive))
    states.append(verified.state(study, 2, archive, arms=["ladder"]))
    states.append(verified.state(study.model_copy(update={"seed": 99}), 2, archive))
    monkeypatch.setenv("OMP_NUM_THREADS", f"{os.environ['OMP_NUM_THREADS']}0")
    states.append(verified.state(study, 2, archive))
    (tmp_path / "models" / "mini" / "card.json").write_text("{}")
    states.append(verified.state(study, 2, archive))
    (archive / "scores.parquet").write_bytes(b"others")
    states.append(verified.state(study, 2, archive))
    monkeypatch.setattr(verified, "processor", lambda: "another")
    states.append(verified.state(study, 2, archive))
    monkeypatch.setattr(verified.reach, "environment", lambda: "other packages")
    states.append(verified.state(study, 2, archive))
    assert len(set(states)) == len(states)
    assert verified.state(schema.load("full"), 2, archive) == ""  # its models may lie anywhere


def test_a_check_that_failed_or_is_of_another_state_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    assert verified.standing(file, "1") is None
    file.write_text(json.dumps({"state": "1", "agree": True, "checked": "2026-01-01"}))
    kept = verified.standing(file, "1")
    assert kept is not None and kept["checked"] == "2026-01-01"
    assert verified.standing(file, "2") is None and verified.standing(file, "") is None
    for text in ('{"state": "1", "agree": false}', '{"state": "", "agree": true}', "not JSON", "[]"):
        file.write_text(text)
        assert verified.standing(file, "1") is None
    file.write_text('{"agree": true}')
    assert verified.standing(file, "") is None
