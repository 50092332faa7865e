"""The lab's graphs compute what the pipelines and detectors compute that they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from lab_stored import Lab, weights
from lab_traced import PROMPT, SEED, Run, run
from PIL import Image

from helpers import detectors, generators, study
from helpers.core import files
from helpers.lab import manifest
from helpers.lab.__main__ import state
from helpers.lab.storage import Files
from helpers.lab.weights import halves

STUDY = study.load("mini")
GENERATORS = tuple(STUDY.generators)
DETECTORS = ("npr", "r50_nodown", "r50_tf", "clip_d")
#: Largest difference of float32 numbers around 1; those of larger magnitudes differ by as much more.
CLOSE = 1e-4


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The checkout's own where it is of the present state, else one that is made here, without the runtime."""
    folder = files.BUILD / "lab"
    kept = json.loads((folder / "lab.json").read_text(encoding="utf-8")) if (folder / "lab.json").is_file() else {}
    if kept.get("digest") != state(STUDY):
        folder = tmp_path_factory.mktemp("lab")
        files.write_json(manifest.contents(STUDY, Files(folder)), folder / "lab.json")
    return Lab(folder, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module", params=GENERATORS)
def traced(request: pytest.FixtureRequest) -> tuple[str, Run]:
    """A generator's key and its pipeline's own run."""
    return request.param, run(request.param)


def off(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, as a share of the largest magnitude where that is above 1."""
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max()))


def unpacked(tokens: np.ndarray, like: tuple[int, ...]) -> np.ndarray:
    """Flux's tokens (1, h / 2 * w / 2, 4 C) as latents (1, C, h, w); latents as they are."""
    if tokens.ndim == 4:
        return tokens
    _, channels, height, width = like
    parts = tokens.reshape(1, height // 2, width // 2, channels, 2, 2)
    return parts.transpose(0, 3, 1, 4, 2, 5).reshape(like)


def embedded(lab: Lab, key: str) -> Mapping[str, np.ndarray]:
    """What the text graph makes of the prompt, by name."""
    session = lab.part(key, "text")
    names = [of.name for of in session.get_outputs()]
    return dict(zip(names, session.run(None, lab.ids(key, PROMPT)), strict=True))


def test_the_lab_has_the_six_generators_and_the_four_detectors(lab: Lab) -> None:
    assert tuple(lab.manifest["generators"]) == GENERATORS == tuple(generators.GENERATORS.own)
    assert tuple(lab.manifest["detectors"]) == DETECTORS


def test_the_text_graph_gives_what_the_pipeline_hands_its_denoiser(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    given, found = own.given[0], embedded(lab, key)
    added = given.get("added_cond_kwargs") or {}
    wanted = {"embeds": given["encoder_hidden_states"]}
    pooled = given.get("pooled_projections", added.get("text_embeds"))
    wanted |= {} if pooled is None else {"pooled": pooled}
    assert found.keys() == wanted.keys()
    assert {name for name in found if off(found[name], wanted[name].numpy()) > CLOSE} == set()


def test_the_denoisers_graph_predicts_what_the_scheduler_is_given(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    about, text = lab.manifest["generators"][key], embedded(lab, key)
    session, schedule = lab.part(key, "denoiser"), about["schedule"]
    latent = tuple(about["latent"])
    for step in (0, len(own.samples) // 2, len(own.samples) - 1):
        x = unpacked(own.samples[step], latent) * np.float32(schedule["scale_input"][step])
        time = np.array([schedule["timesteps"][step]], np.float32)
        (found,) = session.run(None, {"x": x, "t": time, **text})
        assert off(found, unpacked(own.predictions[step], latent)) < CLOSE, step


def test_the_schedule_takes_the_steps_of_the_scheduler(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    schedule = lab.manifest["generators"][key]["schedule"]
    assert len(schedule["steps"]) == len(own.samples) == len(schedule["timesteps"])
    x, before = own.samples[0].astype(np.float64), None
    for (a, b, c, d), prediction, result in zip(schedule["steps"], own.predictions, own.results, strict=True):
        earlier = 0.0 if before is None else c * before[0] + d * before[1]
        x, before = a * x + b * prediction + earlier, (x, prediction)
        assert off(x, result) < 1e-5


def test_the_schedule_begins_with_the_noise_of_the_seed(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    about = lab.manifest["generators"][key]
    noise = torch.randn(about["latent"], generator=torch.Generator().manual_seed(SEED)).numpy()
    first = unpacked(own.samples[0], tuple(about["latent"]))
    assert off(noise * about["schedule"]["noise"], first) < 1e-6


def test_an_image_made_by_the_graphs_alone_is_the_pipelines(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    about, text = lab.manifest["generators"][key], embedded(lab, key)
    schedule, denoiser = about["schedule"], lab.part(key, "denoiser")
    x = torch.randn(about["latent"], generator=torch.Generator().manual_seed(SEED)).numpy() * schedule["noise"]
    before = np.zeros_like(x), np.zeros_like(x)
    rows = zip(schedule["steps"], schedule["scale_input"], schedule["timesteps"], strict=True)
    for (a, b, c, d), scale, time in rows:
        given = {"x": np.float32(x * scale), "t": np.array([time], np.float32), **text}
        (prediction,) = denoiser.run(None, given)
        x, before = a * x + b * prediction + c * before[0] + d * before[1], (x, prediction)
    (pixels,) = lab.part(key, "vae").run(None, {"x": np.float32(x)})
    assert pixels.shape == (1, 3, about["size"], about["size"]) and pixels.min() >= 0 and pixels.max() <= 1
    levels = (pixels[0].transpose(1, 2, 0) * 255).round()
    apart = np.abs(levels - np.asarray(own.image, np.float64))
    assert (apart <= 1).mean() >= 0.999 and (apart == 0).mean() > 0.95


@pytest.mark.parametrize("key", DETECTORS)
@pytest.mark.parametrize("size", [(64, 64), (128, 128), (97, 61)])
def test_a_detectors_graph_gives_its_logit(lab: Lab, key: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (size[1] // 4 + 1, size[0] // 4 + 1, 3), np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    of = lab.manifest["detectors"][key]["preprocess"]
    seen = image if of["side"] is None else detectors.load(key).ready.rule.apply(image)
    x = (np.asarray(seen, np.float32) / 255 - np.float32(of["mean"])) / np.float32(of["std"])
    (logit,) = lab.detector(key).run(None, {"x": x.transpose(2, 0, 1)[None]})
    assert logit == pytest.approx(detectors.load(key).score([image]), abs=CLOSE, rel=1e-5)


def test_every_weight_is_there_and_says_which_formats_round_it(lab: Lab, traced: tuple[str, Run]) -> None:
    key, own = traced
    parts = lab.manifest["generators"][key]["parts"]
    found = {tensor["name"]: tensor.get("rounds") for part in parts.values() for tensor in part["tensors"]}
    quantized = {"denoiser": getattr(own.pipeline, "unet", None) or own.pipeline.transformer}
    encoders = [part for part in own.pipeline.components.values() if type(part).__name__ == "T5EncoderModel"]
    quantized |= dict(zip(["t5"], encoders, strict=False))
    linear = {
        f"{part}.{name}.weight" for part, network in quantized.items() for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }  # fmt: skip
    assert {name for name, rounds in found.items() if rounds == "layers"} == linear
    others = {f"{part}.{name}" for part, network in quantized.items() for name, _ in network.named_parameters()}
    assert {name for name, rounds in found.items() if rounds == "component"} == others - linear
    held = weights(lab.folder, parts["text"]) | weights(lab.folder, parts["denoiser"])
    for part, network in quantized.items():
        for name, parameter in network.named_parameters():
            # What of them is left out changes no format's rounding: test_shortening.py.
            stored, travelled = parameter.detach().float().numpy(), held[f"{part}.{name}"]
            assert travelled.shape == stored.shape, name
            assert (np.abs(travelled.astype(np.float64) - stored) <= 2.0**-16 * np.abs(stored)).all(), name
            assert not halves(stored) or travelled.tobytes() == stored.tobytes(), name
