"""Getting what a full study needs, from a hub on this machine that speaks the paths of the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub import Hub, serving, sha256

from helpers import detectors
from helpers.core.errors import UsageError
from helpers.core.files import MODELS, STUDIES
from helpers.detectors.catalogue import DETECTORS
from helpers.runs import fetching
from helpers.study import schema

PINNED = "0123456789abcdef0123456789abcdef01234567"
BACKBONE = DETECTORS["clip_d"].backbone

#: A pipeline's repository as the hub has them: what is read, and what is not.
READ = {
    "model_index.json": json.dumps(
        {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "U"], "tokenizer": ["transformers", "T"],
         "vae": ["diffusers", "A"], "safety_checker": ["stable_diffusion", "S"], "feature_extractor": [None, None]}
    ).encode(),
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors.index.json": b"{}",
    "unet/diffusion_pytorch_model-00001-of-00002.safetensors": b"u" * 5000,
    "unet/diffusion_pytorch_model-00002-of-00002.safetensors": b"w" * 3000,
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.bin": b"v" * 100,
    "tokenizer/merges.txt": b"a b",
}  # fmt: skip
UNREAD = {
    "README.md": b"words",
    "whole-ema.safetensors": b"e" * 9000,
    "unet/diffusion_pytorch_model.bin": b"b" * 8000,
    "unet/diffusion_pytorch_model.fp16.safetensors": b"h" * 4000,
    "unet/diffusion_pytorch_model.non_ema.safetensors": b"n" * 8000,
    "unet/model.onnx": b"o" * 8000,
    "safety_checker/model.safetensors": b"s" * 800,
    "feature_extractor/preprocessor_config.json": b"{}",
    "assets/unet/config.json": b"{}",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    tower = {"README.md": b"words", "open_clip_pytorch_model.bin": b"tower" * 100}
    repos = {"me/open": (PINNED, READ | UNREAD), "me/gated": (PINNED, READ), BACKBONE.hub: ("f" * 40, tower)}
    with serving(Hub(repos, gated={"me/gated"})) as hub:
        yield hub


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The full study, of an open and of a gated checkpoint on that hub and of two detectors."""
    text = (STUDIES / "full.toml").read_text(encoding="utf-8").partition("[reals]")[0]
    text = text.replace('weights = "released"', f'weights = "{tmp_path}/released"').replace(
        '"r50_nodown", "r50_tf", ', ""
    )
    for key, repo in (("sd15", "me/open"), ("sd3", "me/gated")):
        text += (
            f'[generators.{key}]\ncheckpoint = "{repo}"\nrevision = "{PINNED}"\nsize = 64\nsteps = 2\nguidance = 1.0\n'
        )
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fetch(study: Path, hub: Hub, *words: str, **more: str) -> tuple[int, list[str], str]:
    """Status, lines and errors of the command: in a process of its own, for the hub's address is read at its start."""
    place = study.parent / "cache"
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(place), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
    own |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"} | more
    command = [sys.executable, "-m", "helpers.cli", "fetch", str(study), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    return done.returncode, done.stdout.splitlines(), done.stderr


def cached(study: Path, repo: str) -> dict[str, bytes]:
    folder = study.parent / "cache" / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / PINNED
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_open_comes_and_what_must_be_accepted_is_said(study: Path, hub: Hub) -> None:
    status, said, error = fetch(study, hub)
    assert status == 1 and "3 of 5 are missing" in error
    assert [line for line in said if line.startswith("there")] == [
        f"there    sd15: me/open at {PINNED[:12]}",
        f"there    clip_d (backbone): {BACKBONE.hub} at ffffffffffff",
    ]
    assert cached(study, "me/open") == READ
    gated = next(line for line in said if "me/gated" in line)
    assert gated.startswith("missing  sd3") and f"{hub.address}/me/gated" in gated
    assert "Stability AI Community License" in gated and "hf auth login" in gated
    assert any(line.startswith("missing  npr: no ") and "NPR-DeepfakeDetection" in line for line in said)
    folder = study.parent / "released"
    assert (folder / "open_clip_pytorch_model.bin").read_bytes() == b"tower" * 100
    record = json.loads((folder / fetching.FETCHED).read_text())
    assert record["weights"]["open_clip_pytorch_model.bin"] == {"sha256": sha256(b"tower" * 100), "from": BACKBONE.hub}
    assert record["hub"]["me/open"]["files"] == {name: sha256(data) for name, data in READ.items()}
    hub.asked.clear()
    fetch(study, hub, "--only", "sd15,clip_d")
    assert hub.asked == []  # all of it is there, and known to be


def test_one_that_breaks_off_goes_on_and_one_of_other_bytes_is_refused(study: Path, hub: Hub) -> None:
    part = "unet/diffusion_pytorch_model-00001-of-00002.safetensors"
    hub.cut[part] = 1000
    hub.spoilt.add("unet/diffusion_pytorch_model-00002-of-00002.safetensors")
    status, said, _ = fetch(study, hub, "--only", "sd15")
    assert status == 1 and "came with other bytes" in said[0]
    assert cached(study, "me/open")[part] == READ[part]
    hub.spoilt.clear()
    hub.asked.clear()
    status, said, error = fetch(study, hub, "--only", "sd15")
    assert (status, error) == (0, "") and cached(study, "me/open") == READ
    again = hub.downloads()
    assert not any(name.endswith(part) for name in again) and any("00002-of-00002" in name for name in again)


def test_offline_each_missing_thing_has_a_line_and_nobody_is_asked(study: Path, hub: Hub) -> None:
    status, said, _ = fetch(study, hub, HF_HUB_OFFLINE="1")
    assert status == 1 and hub.asked == []
    assert [line.split()[:2] for line in said] == [
        ["missing", f"{key}:"] for key in ("sd15", "sd3", "npr", "clip_d")
    ] + [["missing", "clip_d"]]
    assert not (study.parent / "cache" / "hub").exists()
    hub.address = "http://127.0.0.1:9"  # where nobody listens
    status, said, error = fetch(study, hub, "--only", "sd15")
    assert status == 1 and len(said) == 1 and "was not fetched" in said[0] and error.count("\n") == 1


def test_a_revision_that_is_gone_is_a_line(study: Path, hub: Hub) -> None:
    hub.repos["me/open"] = ("9" * 40, READ)
    status, said, _ = fetch(study, hub, "--only", "sd15")
    assert status == 1 and len(said) == 1 and "RevisionNotFound" in said[0]


def test_a_variant_is_taken_where_there_is_one() -> None:
    names = [*READ, *UNREAD]
    half = fetching.needed(names, ["unet", "vae"], "fp16")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in half and "vae/diffusion_pytorch_model.bin" in half
    assert not any("-of-" in name or name == "unet/diffusion_pytorch_model.bin" for name in half)


def test_weights_that_were_got_by_hand_go_where_they_belong(study: Path, tmp_path: Path) -> None:
    loaded = schema.load(study)
    file = tmp_path / "NPR of its authors.safetensors"
    file.write_bytes((MODELS / "mini" / "detectors" / "npr.safetensors").read_bytes())
    target = fetching.put(loaded, "npr", file)
    assert target == tmp_path / "released" / "npr.safetensors" and target.read_bytes() == file.read_bytes()
    assert detectors.load("npr", tmp_path / "released").name == "npr"
    record = json.loads((tmp_path / "released" / fetching.FETCHED).read_text())["weights"]
    assert record["npr.safetensors"] == {"sha256": sha256(file.read_bytes()), "from": file.name}
    old = file.with_name("model.ckpt")
    torch.save(detectors.build("npr", "full").state_dict(), old)
    assert fetching.put(loaded, "npr", old) == target.with_suffix(".pth")  # which the study looks for, and finds first
    assert detectors.weights_path("npr", tmp_path / "released") == target.with_suffix(".pth") and not target.exists()
    assert target.with_name("npr.safetensors.before").read_bytes() == file.read_bytes()  # nothing is lost
    assert fetching.put(loaded, "npr", file) == target
    for missing in (tmp_path, tmp_path / "none.pth"):
        with pytest.raises(UsageError, match="no such file; name the weights of npr"):
            fetching.put(loaded, "npr", missing)
    file.write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="not a readable weights file"):
        fetching.put(loaded, "npr", file)
    assert len(target.read_bytes()) > 1000
    with pytest.raises(UsageError, match="nearest: 'npr'"):
        fetching.put(loaded, "nrp", file)


def test_a_miniature_study_has_all_that_it_needs() -> None:
    with pytest.raises(UsageError, match="all of it is in the repository"):
        fetching.fetch(schema.load("mini"))
    with pytest.raises(UsageError, match="nearest: 'flux1'"):
        fetching.fetch(schema.load("full"), ["flux"])
