"""Where networks lie on a GPU: counts against published figures, the choice, and what diffusers does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import generators, precision
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.generators import placement
from helpers.generators.networks import architecture

GB = 10**9


def test_the_allowance_is_the_most_that_published_runs_took():
    published = pd.read_csv(files.RESULTS / "footprint/published.csv").dropna(subset="peak_gb")
    assert (published.pixels == 1024).all()
    most = (published.peak_gb - published.loaded_gb).max()
    assert placement.activations(1024, 1, 2) / GB == pytest.approx(most)
    # By the pixels, the images and the bytes of a number.
    assert placement.activations(512, 4, 4) / GB == pytest.approx(2 * most)


def test_scores_that_attention_keeps_are_counted():
    config = architecture("sd21").parts["denoiser"].config
    scores = torch.empty(2 * 5, 96 * 96, 96 * 96, dtype=torch.float32, device="meta")  # 5 heads, 96 x 96 latents
    assert placement.attention(config, 768, 1, "float16") == 2 * scores.nbytes
    assert placement.attention(config, 768, 1, "bfloat16") == 0
    assert placement.attention(architecture("sd15").parts["denoiser"].config, 512, 1, "float16") == 0


@pytest.mark.parametrize(
    ("memory", "by_layers", "chosen"),
    [
        (33, True, ("whole", True)),  # 28 of weights and 5 beside them
        (32, True, ("model", True)),
        (19, True, ("model", True)),  # the text encoder alone, beside which next to nothing is computed
        (18, True, ("sequential", True)),
        (18, False, ("model", False)),
        (6, True, ("sequential", True)),
        (5, True, ("sequential", False)),
    ],
)
def test_the_quickest_placement_that_fits_is_chosen(memory, by_layers, chosen):
    parts = {"transformer": 8 * GB, "text_encoder_3": 19 * GB, "vae": GB}
    assert placement.Need(parts, GB, 5 * GB, by_layers).chosen(memory * GB) == chosen


class Pipeline:
    """Writes down what is asked of it."""

    def __init__(self):
        self.asked = []

    def to(self, device):
        self.asked.append(("to", device))

    def enable_model_cpu_offload(self, device):
        self.asked.append(("model", device))

    def enable_sequential_cpu_offload(self, device):
        self.asked.append(("sequential", device))


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ("whole", [("to", "cuda:1")]), ("model", [("model", "cuda:1")]), ("sequential", [("sequential", "cuda:1")]),
        ("balanced", []),
    ],
)  # fmt: skip
def test_a_pipeline_is_placed_by_diffusers_own_means(monkeypatch, how, asked):
    monkeypatch.setattr(placement, "find_spec", lambda name: name)
    pipeline = Pipeline()
    placement.place(pipeline, how, "cuda:1")
    assert pipeline.asked == asked


@pytest.mark.parametrize("how", ["model", "sequential", "balanced"])
def test_offload_without_accelerate_says_what_brings_it(monkeypatch, how):
    monkeypatch.setattr(placement, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the package accelerate; pip install 'quantdetect\[models\]'"):
        placement.place(Pipeline(), how, "cuda")
    placement.place(Pipeline(), "whole", "cuda")


@pytest.mark.parametrize(("level", "by_layers"), [("fp32", True), ("fp16", True), ("fp8", False), ("fp4", False)])
def test_offload_changes_no_pixel_and_cannot_part_a_librarys_layers(level, by_layers):
    """On the processor, which accelerate takes for a device too."""
    accelerate = pytest.importorskip("accelerate")

    def made(place):
        pipeline = generators.load("sd15")
        precision.apply(pipeline, level)
        place(pipeline)
        return np.asarray(generators.sample(pipeline, ["a red ball"], [1], steps=2, guidance=3.0, size=64)[0])

    def layer_by_layer(pipeline):
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                accelerate.cpu_offload(part, "cpu", offload_buffers=True)

    plain = made(lambda pipeline: None)
    assert (made(lambda pipeline: pipeline.enable_model_cpu_offload(device="cpu")) == plain).all()
    if by_layers:
        assert (made(layer_by_layer) == plain).all()
    else:
        with pytest.raises((TypeError, NotImplementedError)):
            made(layer_by_layer)


def test_components_compute_in_the_type_that_a_study_gives_them():
    pipeline = generators.load("sd3", dtype="bfloat16", types={"vae": "float32", "t5": "float32"})
    kinds = {name: getattr(pipeline, at).dtype for name, at in precision.attributes(pipeline).items()}
    assert kinds["vae"] == kinds["t5"] == torch.float32
    assert {kinds[name] for name in ("denoiser", "text_encoder", "text_encoder_2")} == {torch.bfloat16}
    seen = []
    pipeline.vae.decoder.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    [image] = generators.sample(pipeline, ["a red ball"], [1], steps=1, guidance=3.0, size=64)
    assert seen == [torch.float32] and np.asarray(image).std() > 2


def test_copies_are_of_the_types_that_loading_gives_and_move_alone():
    whole = generators.load("sd15")
    made = generators.copied("sd15", whole, dtype="bfloat16", types={"vae": "float32"})
    assert (made.unet.dtype, made.vae.dtype) == (torch.bfloat16, torch.float32)
    one, other = next(whole.vae.parameters()), next(made.vae.parameters())
    assert one.data_ptr() == other.data_ptr()  # the same numbers
    made.vae.to("meta")
    assert one.device.type == "cpu"
