"""The branches for a GPU, walked through on the CPU with a stand-in (tests/standin.py)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from standin import ALLOCATED, CARD, stand_in
from torch import nn

from helpers import detectors, generators
from helpers.cli import app
from helpers.core import device as machine
from helpers.core.errors import UsageError
from helpers.detectors import batching
from helpers.generators import placement
from helpers.generators.networks import Architecture, Network
from helpers.mini.training import miniatures
from helpers.precision import timing
from helpers.runs import fitting, make, plan, remade, sources
from helpers.study import schema

COMPUTED = {"fp32": torch.float32, "fp8": torch.bfloat16}


@pytest.fixture
def gpu(monkeypatch):
    return stand_in(monkeypatch)


def study():
    """SD1.5 in one step, that a GPU computes in BF16, NPR, and one image at FP32 and FP8."""
    mini = schema.load("mini")
    sd15 = mini.generators["sd15"].model_copy(update={"steps": 1, "dtype": "bfloat16"})
    plain = {"protocols": ["plain"], "further": {}, "arms": {}, "perturbations": None, "detectors": ["npr"]}
    small = {"generators": {"sd15": sd15}, "precisions": list(COMPUTED), "images_per_cell": 1, "batch_size": 1}
    return mini.model_copy(update=plain | small)


def test_a_run_on_a_gpu_goes_to_its_end_and_one_on_a_cpu_mixes_no_images_with_it(tmp_path, gpu, monkeypatch):
    types, make_images = {}, sources.QuantizedPipeline.make

    def seen(self, indices):
        types.setdefault(self.recipe.source.precision, set()).add(self.pipeline.vae.dtype)
        return make_images(self, indices)

    monkeypatch.setattr(sources.QuantizedPipeline, "make", seen)
    with gpu:
        done = make.run(study(), tmp_path, device="cuda:1", progress=False)
        again = make.run(study(), tmp_path, device="cuda:1", progress=False)
        other_card = make.run(study(), tmp_path, device="cuda:0", progress=False)
    assert (done.made, done.rejected, done.scored) == (3, 0, 3)
    assert again.nothing and other_card.nothing and not other_card.notes  # cards of one kind are one device
    assert types == {level: {dtype} for level, dtype in COMPUTED.items()}
    assert "cuda:1" in gpu.asked and {"cuda:1"} <= set(gpu.named("max_memory_allocated"))
    cells = pd.read_parquet(tmp_path / "cells.parquet")
    assert set(cells.device) == {CARD} and set(cells.peak_memory_mb) == {ALLOCATED / 1e6}
    assert (cells.native_deviation.dropna() < schema.MAX_KERNEL_DEVIATION).all() and cells.coverage.notna().all()
    with gpu:
        source = next(source for source in plan.resolve(study()).recipes if source.precision == "fp8")
        digests, _ = remade.Maker(study(), 1, False, "cuda:1").make(source, [0])
    before = pd.read_parquet(tmp_path / "scores.parquet")
    assert digests == list(before[before.precision == "fp8"].image_sha256)  # what was made there is made again there
    moved = make.run(study(), tmp_path, device="cpu", progress=False)
    assert moved.made == 2  # the render is no network's
    assert any("on another device" in note for note in moved.notes)
    after, cells = pd.read_parquet(tmp_path / "scores.parquet"), pd.read_parquet(tmp_path / "cells.parquet")
    assert set(cells.device) == {"cpu"} and len(after) == len(before)


def test_a_device_is_asked_for_by_its_number_and_computes_single_precision_as_such(gpu):
    torch.backends.cudnn.allow_tf32 = True
    machine.require("cuda:1")
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(UsageError, match="device cuda:2: PyTorch sees 2 CUDA devices"):
        machine.require("cuda:2")


def test_the_runtime_is_asked_of_the_device_that_was_named(gpu, monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text("570.1\n")
    real = machine.Path
    monkeypatch.setattr(machine, "Path", lambda path: driver if str(path).startswith("/sys/module") else real(path))
    said = machine.accelerator("cuda:1")
    assert (said["device"], said["card"], said["driver"]) == ("cuda:1", CARD, "570.1") and "CUDA" in said["versions"]
    machine.synchronize("cuda:1")
    machine.forget_peak("cuda:1")
    assert machine.peaks("cuda:1") == {"peak_allocated": ALLOCATED, "peak_reserved": 5_000_000}
    machine.release("cuda:1")
    names = ("get_device_name", "synchronize", "reset_peak_memory_stats", "max_memory_allocated", "max_memory_reserved")
    assert {name: gpu.named(name) for name in names} == dict.fromkeys(names, ["cuda:1"])
    assert len(gpu.named("empty_cache")) == 1
    gpu.calls.clear()
    for ask in (machine.synchronize, machine.release, machine.forget_peak, machine.peaks, machine.accelerator):
        ask("cpu")
    assert not gpu.calls


def tiny() -> Architecture:
    """A small UNet of SD1.5's kind."""
    from diffusers import UNet2DConditionModel

    config = {
        "sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": [32, 64], "attention_head_dim": 4,
        "cross_attention_dim": 16, "layers_per_block": 1, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    }  # fmt: skip
    count = sum(parameter.numel() for parameter in UNet2DConditionModel(**config).parameters())
    return Architecture(
        "tiny", "Tiny", "someone/tiny", 64, {"denoiser": Network("UNet2DConditionModel", config, count)}
    )


@pytest.mark.parametrize("level", ["fp32", "fp16", "fp8", "fp4"])
def test_steps_are_timed_on_a_gpu_once_it_has_done_them(gpu, level):
    with gpu:
        row = timing.measure(tiny(), level, "all", "cuda:1", steps=2)
    assert row["fits"] and (row["card"], row["device"]) == (CARD, "cuda:1") and row["peak_allocated"] == ALLOCATED
    assert gpu.named("synchronize") == ["cuda:1"] * (timing.WARM + 2)
    assert gpu.named("reset_peak_memory_stats") == ["cuda:1"] * 2  # before the networks, and before the timed steps
    assert gpu.named("empty_cache") and "cuda:1" in gpu.asked


def test_a_gpu_that_is_too_small_gives_its_memory_back(gpu, monkeypatch):
    monkeypatch.setattr(timing, "materialise", lambda *arguments: (_ for _ in ()).throw(torch.OutOfMemoryError))
    row = timing.measure(tiny(), "fp4", "all", "cuda", steps=1)
    assert not row["fits"] and row["card"] == CARD and gpu.named("empty_cache")


def test_a_gpu_gets_larger_batches_of_a_network_that_is_not_compiled_for_a_cpu(gpu, monkeypatch):
    monkeypatch.setattr(detectors.detector, "compiled", lambda network: pytest.fail("compiled for a CPU"))
    images = [Image.fromarray(np.full((128, 128, 3), shade, np.uint8)) for shade in range(0, 240, 24)]
    sizes: list[int] = []

    class Mean(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x.mean((1, 2, 3))

    with gpu:
        loaded = detectors.load("npr", device="cuda")
        found = batching.score(Mean(), images, loaded.ready, "cuda")
    assert sizes == [len(images)]  # at once, in one thread
    here = batching.score(Mean(), images, loaded.ready)
    assert max(sizes[1:]) == batching.BATCH_PIXELS["cpu"] // 128**2 and np.array_equal(found, here)


def test_a_card_of_a_miniature_names_the_gpu_that_it_was_trained_on(gpu):
    assert miniatures._device(None) == "cuda" and miniatures._device("cpu") == "cpu"
    told = miniatures._card("sd15", generators.load("sd15"), {}, "cuda:1", 0)
    assert (told["device"], told["hardware"]) == ("cuda:1", CARD) and gpu.named("get_device_name") == ["cuda:1"]


def test_a_full_study_is_run_on_a_gpu_and_a_machine_without_one_says_so_in_a_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for words in (["run", "full", "--out", str(tmp_path / "run")], ["verify", "full", "--results", str(tmp_path)]):
        assert app.main(words) == 2
        said = capsys.readouterr().err
        assert "device cuda: PyTorch sees 0 CUDA devices" in said and said.count("\n") == 1


def test_a_small_card_makes_the_same_images_with_networks_or_layers_brought_one_by_one(gpu, monkeypatch):
    pytest.importorskip("accelerate")
    source = next(source for source in plan.resolve(study()).recipes if source.precision == "fp32")
    recipe, pixels = plan.resolve(study()).recipes[source], {}
    for how in ("whole", "model", "sequential"):
        with gpu:
            made = sources.open_source(recipe, "cuda:1")
            made.load(encodings=False)
            room = fitting.need(made.pipeline, recipe, "cuda:1").peaks[how]
            monkeypatch.setattr(placement, "free", lambda device, room=room: room)
            pixels[how] = make.pixel_sha256(made.make([0])[0])
        assert made.record["placement"] == how and made.record["estimated_peak_mb"] == room / 1e6
    assert len(set(pixels.values())) == 1
