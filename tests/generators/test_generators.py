"""The table, loading with its errors, sampling with its independence of batches, and the check of images."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from helpers import generators, world
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.study import schema

PROMPTS = [
    "a photo of a red ball on sand",
    "a photo of a blue star on snow",
    "a photo of a green ring on wood",
]
KEYS = list(generators.GENERATORS)


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int16)


@pytest.mark.parametrize("key", KEYS)
def test_a_miniature_is_ready_to_sample(key):
    pipe, row = generators.load(key), generators.GENERATORS[key]
    modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    assert type(pipe).__name__ == row.pipeline
    assert hasattr(pipe, "unet") or hasattr(pipe, "transformer")
    assert row.t5 is None or "T5" in type(getattr(pipe, row.t5)).__name__
    assert not any(module.training or any(p.requires_grad for p in module.parameters()) for module in modules)
    assert getattr(pipe, "safety_checker", None) is None


@pytest.mark.parametrize("key", KEYS)
def test_plain_diffusers_loads_a_miniature_and_draws(key):
    pipeline = DiffusionPipeline.from_pretrained(files.MODELS / "mini" / key, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    size = {"height": 128, "width": 128} if key == "flux1" else {}  # its pipeline knows the original's size alone
    drawn = pipeline("a photo of a red ball on sand", num_inference_steps=2, **size).images[0]
    assert drawn.size == (schema.load("mini").generators[key].size,) * 2
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert {parameter.dtype for part in parts for parameter in part.parameters()} == {torch.float32}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e5])
@pytest.mark.parametrize(
    ("part", "name"),
    [("vae", "decoder.conv_out.bias"), ("text_encoder", "final_layer_norm.weight"), ("unet", "conv_in.weight")],
)
def test_weights_that_are_not_finite_are_refused_at_loading(part, name, bad, tmp_path):
    shutil.copytree(files.MODELS / "mini" / "sd15", tmp_path / "sd15")
    file = next((tmp_path / "sd15" / part).glob("*.safetensors"))
    tensors = safetensors.torch.load_file(file)
    key = next(key for key in tensors if key.endswith(name))
    tensors = {name: value.float() for name, value in tensors.items()}  # stored in 16 bits, which end below 1e5
    tensors[key].view(-1)[0] = bad
    safetensors.torch.save_file(tensors, file, {"format": "pt"})
    line = rf"sd15: '.*': {part}\..*{name} holds numbers that are not finite; get the weights again"
    if bad == 1e5:
        generators.load("sd15", str(tmp_path / "sd15"))
    with pytest.raises(Failure, match=line + (", or use dtype bfloat16" if bad == 1e5 else "$")):
        generators.load("sd15", str(tmp_path / "sd15"), dtype="float16" if bad == 1e5 else None)


@pytest.mark.parametrize("key", KEYS)
def test_an_image_depends_on_its_prompt_and_seed_and_not_on_its_batch(key):
    pipe = generators.load(key)
    settings = dict(steps=2, guidance=2.0, size=generators.GENERATORS[key].size)
    together = generators.sample(pipe, PROMPTS, [3, 4, 5], batch_size=3, **settings)
    alone = generators.sample(pipe, PROMPTS[2:], [5], batch_size=1, **settings)[0]
    reseeded = generators.sample(pipe, PROMPTS[2:], [6], batch_size=1, **settings)[0]
    assert [image.size for image in together] == [(settings["size"],) * 2] * 3
    assert np.abs(levels(together[2]) - levels(alone)).max() <= 1
    assert np.abs(levels(reseeded) - levels(alone)).mean() > 1


def test_noise_is_that_of_the_seed():
    """The pipeline starts from the numbers that its seed gives on the CPU."""
    pipe = generators.load("sd15")
    starts = []
    pipe.unet.register_forward_pre_hook(lambda m, args: starts.append(args[0].clone()))
    generators.sample(pipe, PROMPTS[:2], [8, 9], steps=1, guidance=2.0, size=64, batch_size=2)
    side = 64 // pipe.vae_scale_factor
    for place, seed in enumerate((8, 9)):
        noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed))[0]
        correlation = torch.corrcoef(torch.stack([starts[0][place].flatten(), noise.flatten()]))[0, 1]
        assert correlation > 0.999


def test_prompts_and_seeds_must_pair():
    with pytest.raises(UsageError, match="one seed per prompt"):
        generators.sample(None, PROMPTS, [1], steps=1, guidance=1.0, size=64)


def test_missing_weights_name_the_folder_and_the_mend(tmp_path):
    with pytest.raises(UsageError, match=r"sd3: no diffusers pipeline in '.*nothing'.*name another"):
        generators.load("sd3", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="no local copy of 'nobody/nothing'.*hf download"):
        generators.load("sd3", "nobody/nothing")
    with pytest.raises(UsageError, match="nearest: 'sd15'"):
        generators.load("sd1.5")


def test_missing_miniature_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MODELS", tmp_path)
    with pytest.raises(UsageError, match="quantdetect train mini flux1"):
        generators.load("flux1")


def test_another_generators_weights_are_refused():
    with pytest.raises(UsageError, match="holds a StableDiffusionPipeline, not a FluxPipeline"):
        generators.load("flux1", str(files.MODELS / "mini" / "sd15"))


def test_a_broken_folder_is_a_failure_of_one_line(tmp_path):
    folder = tmp_path / "sd15"
    shutil.copytree(files.MODELS / "mini" / "sd15", folder)
    for file in (folder / "unet").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(Failure, match="cannot be loaded") as raised:
        generators.load("sd15", str(folder))
    assert "\n" not in str(raised.value)


RAMP = np.broadcast_to(np.linspace(0, 255, 64)[:, None, None], (64, 64, 3))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((64, 64, 3)), "blank"),
        (np.full((64, 64, 3), 255), "blank"),
        (np.full((64, 64, 3), 90) + NOISE % 3, "blank"),
        (NOISE, "noise"),
        (RAMP, None),
        (0.7 * RAMP + 0.3 * NOISE, None),
    ],
)
def test_images_that_do_not_count(pixels, reason):
    assert generators.check(Image.fromarray(np.asarray(pixels, dtype=np.uint8))) == reason


def test_renders_count():
    first = world.SPLITS["test"]
    assert {generators.check(Image.fromarray(world.render(first + i, 64))) for i in range(40)} == {None}


def test_undefined_pixels_are_known_and_named():
    pipe = generators.load("sd15")
    with torch.no_grad():
        next(pipe.vae.decoder.parameters()).fill_(float("nan"))
    image = generators.sample(pipe, PROMPTS[:1], [1], steps=1, guidance=1.0, size=64)[0]
    assert generators.check(image) == "undefined pixels"


@pytest.mark.parametrize(
    "index",
    [
        "[]", "null", "{", "{}", '{"_class_name": 5}', '{"_class_name": "os.system"}', '{"_class_name": ["a", "b"]}',
        '{"_class_name": "StableDiffusionPipeline", "unet": ["os", "system"]}',
        '{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}',
        '{"_class_name": "StableDiffusionPipeline", "unet": 7}', "[" * 10**5, "\\0" * 99,
    ],
)  # fmt: skip
def test_a_hostile_folder_is_refused_in_a_line(tmp_path, index):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises((Failure, UsageError), match="sd15: ") as caught:
        generators.load("sd15", str(tmp_path))
    assert str(caught.value).isprintable() and len(str(caught.value).replace(str(tmp_path), "")) < 500
