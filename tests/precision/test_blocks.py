"""Formats of today against other libraries: ml_dtypes for E2M1, E8M0 and E4M3, gguf and ggml for GGUF."""

from __future__ import annotations

import base64
import json

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from helpers import cli, precision
from helpers.core.errors import Failure
from helpers.precision import audit
from helpers.precision.formats import FORMATS
from helpers.precision.ideal import ideal

#: Weights to a block.
SIZES = {"mxfp4": 32, "nvfp4": 16, "q8_0": 32, "q4_0": 32, "q4_k": 256}
GGUF = {"q8_0": "Q8_0", "q4_0": "Q4_0", "q4_k": "Q4_K", "mxfp4": "MXFP4"}


def rounded(key: str, weight: np.ndarray) -> np.ndarray:
    return FORMATS[key].rounded(torch.tensor(weight)).numpy()


def drawn(which: str, shape: tuple[int, ...] = (16, 512)) -> np.ndarray:
    rng = np.random.default_rng(3)
    made = {
        "normal": rng.normal(size=shape) / 50,
        "heavy": rng.standard_t(2, size=shape) / 50,
        "above 0": 0.5 + rng.random(shape) / 10,
        "below 0": -0.5 - rng.random(shape) / 10,
        "one block of zeros": rng.normal(size=shape) * (np.arange(shape[1]) >= 256),
    }
    return made[which].astype(np.float32)


@pytest.fixture(scope="module")
def gguf():
    """GGUF's own package; it holds what a test needs of llama.cpp, and nothing else here needs it."""
    return pytest.importorskip("gguf")


KINDS = ("normal", "heavy", "above 0", "below 0", "one block of zeros")


@pytest.mark.parametrize("which", KINDS)
@pytest.mark.parametrize("key", ["q8_0", "q4_0", "mxfp4"])
def test_gguf_stores_the_same_numbers_to_the_bit(gguf, key, which):
    weight, kind = drawn(which), gguf.GGMLQuantizationType[GGUF[key]]
    expected = gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)
    np.testing.assert_array_equal(rounded(key, weight), expected)


#: What `quantize_row_q4_K_ref` of ggml 0.21.0, compiled from its source, makes of `_made()`: two blocks of 144 bytes.
GGML = (
    "KQqNFdPWa2jX121r//czUwA7mEovSKRFGiF+/sDIE4JEO2XThXuT4JFmj9trP0aBAFzrv7bxYCMZU8FjWHLef0RsuUgcFG/uoZjSQfPoAn8QnjAV"
    "T7xMESmGBvnxLLtuZa8Nz7XuPO3C6ifHm6P+bjHRla3oZxoQS8l7UIv4iW6G4mI3T5oK7eMPjT8kX81utAE2CRsef3D//f7/+Pfs/hPRxJIHheCs"
    "CPlacXIUAAoQkFE/oCDQd9EnpjBfkxILADIYKZf/4LofOGAZjg0hDIMUb0AUxdDpoBAhPwHwEQ0xLXFQkEaRVmUQPPICODIO+kswmjvskfsU9Xqh"
    "YVIADdfiLH4UEoEjwPZgEjFzIio4kGwCwnqBnB8XIAXbFgA4"
)


def _made() -> np.ndarray:
    """512 weights that need no random numbers: spread evenly in parts of three widths, then squares."""
    place = np.arange(512)
    made = (((place * place * 40503) % 65521 - 32760) / 65521 * (1 + (place // 64) % 3) / 16).astype(np.float32)
    made[256:] = made[256:] ** 2 * 3 - np.float32(0.01)
    return made


def test_q4_k_is_what_ggml_itself_stores(gguf):
    stored = np.frombuffer(base64.b64decode(GGML), np.uint8)
    expected = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType.Q4_K)
    np.testing.assert_array_equal(rounded("q4_k", _made()), expected.ravel())


@pytest.mark.parametrize("which", KINDS)
def test_q4_k_keeps_16_equal_steps_to_a_part_and_searches_better_than_its_range(which):
    weight = drawn(which)
    parts, exact = rounded("q4_k", weight).reshape(-1, 32), weight.reshape(-1, 32).astype(np.float64)
    for part in parts:
        levels = np.unique(part)
        gaps = np.diff(levels)
        assert len(levels) <= 16
        if len(gaps):  # every gap is a whole number of some step, 15 of which reach across
            counts = [gaps * steps / np.ptp(levels) for steps in range(1, 16)]
            assert any(np.allclose(count, count.round(), atol=2e-3) for count in counts)
    low = exact.min(1, keepdims=True).clip(max=0)
    step = (exact.max(1, keepdims=True) - low) / 15
    plain = low + ((exact - low) / np.where(step, step, 1)).round() * step
    # The search gains; 6-bit scales lose, by up to half a 63rd of the largest minimum, where parts lie far from 0.
    spared = np.linalg.norm(low.min() / 126) if which in ("above 0", "below 0") else 0
    assert np.linalg.norm(parts - exact) <= 1.1 * np.linalg.norm(plain - exact) + spared * exact.size**0.5


def e2m1(numbers: np.ndarray) -> np.ndarray:
    return np.clip(numbers, -6, 6).astype(ml_dtypes.float4_e2m1fn).astype(np.float32)


def test_e2m1_is_rounded_as_the_type_is_ties_and_all():
    """Blocks with the largest magnitude 4, whose scale is 1: every number between the codes, ties to even."""
    numbers = np.arange(-4, 4 + 1 / 64, 1 / 64, dtype=np.float32)
    blocks = np.full((len(numbers), 32), 4, np.float32)
    blocks[:, 1] = numbers
    np.testing.assert_array_equal(rounded("mxfp4", blocks)[:, 1], e2m1(numbers))
    blocks[:, 0] = 7.75  # still scale 1 = 2 ** (floor(log2(7.75)) - 2); what lies beyond 6 becomes 6
    found = rounded("mxfp4", blocks * np.float32(2**-9)) * 2**9
    assert (found[:, 0] == 6).all()
    np.testing.assert_array_equal(found[:, 1], e2m1(numbers))


@pytest.mark.parametrize("which", KINDS)
def test_mxfp4_is_e2m1_times_e8m0(which):
    weight = drawn(which)
    blocks = weight.reshape(-1, 32)
    largest = np.abs(blocks).max(1, keepdims=True)
    scale = np.exp2(np.floor(np.log2(np.where(largest, largest, 1))) - 2)
    assert (scale.astype(ml_dtypes.float8_e8m0fnu).astype(np.float32) == scale).all()
    np.testing.assert_array_equal(rounded("mxfp4", weight), (e2m1(blocks / scale) * scale).reshape(weight.shape))


@pytest.mark.parametrize("which", KINDS)
def test_nvfp4_is_e2m1_times_e4m3_times_one_number(which):
    weight = drawn(which)
    blocks, whole = weight.reshape(-1, 16).astype(np.float64), float(np.abs(weight).max()) / (6 * 448)
    of = (np.abs(blocks).max(1, keepdims=True) / 6 / whole).astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
    expected = e2m1(blocks / np.where(of, of * whole, np.inf)) * of * whole
    np.testing.assert_allclose(rounded("nvfp4", weight).reshape(-1, 16), expected, rtol=1e-6)


def test_nvfp4_by_hand():
    weight = np.zeros((3, 16), np.float32)
    weight[0, :3] = 2688, -1000, 100  # the weight's scale is 1, the block's 448: codes 6, -2.23, .22
    weight[1, :4] = 3, 1.2, 0.7, 0.1  # the block's scale is .5: codes 6, 2.4, 1.4, .2
    weight[2, :2] = 0.005, 0.002  # its scale would be .0008, less than half the least E4M3 number, 2 ** -9
    found = rounded("nvfp4", weight)
    assert found[0, :3].tolist() == [2688, -896, 0] and found[1, :4].tolist() == [3, 1, 0.75, 0]
    assert not found[2].any()


@pytest.mark.parametrize("key", SIZES)
def test_blocks_run_on_over_rows_and_the_last_is_filled_with_zeros(key):
    size = SIZES[key]
    whole = drawn("normal", (6, 3 * size // 4))  # rows of three quarters of a block: four and a half blocks
    filled = np.append(whole.ravel(), np.zeros(-whole.size % size, np.float32)).reshape(-1, size)
    found = rounded(key, whole)
    np.testing.assert_array_equal(found.ravel(), rounded(key, filled).ravel()[: whole.size])
    assert rounded(key, np.zeros((0, size), np.float32)).shape == (0, size)
    assert rounded(key, np.ones((1, 1), np.float32)).shape == (1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("key", SIZES)
def test_zeros_stay_zeros_and_small_numbers_finite(key, dtype):
    weight = torch.zeros(4, 512, dtype=dtype)
    assert FORMATS[key].rounded(weight).equal(weight)
    for magnitude in (1e-45, 1e-38, 1e-10, 1e-6, 1e-3, 6e4 if dtype is torch.float16 else 4e5):
        weight[1] = torch.linspace(-1, 1, 512) * magnitude
        found = FORMATS[key].rounded(weight)
        assert found.dtype == dtype and torch.isfinite(found).all()
        # Scales of 16 bits have a least number, 2 ** -24, of which a minimum may be 63.
        assert (found - weight).abs().float().max() <= magnitude / 4 + 63 * 2.0**-24
        assert not found[3].any() or key == "nvfp4"


@pytest.mark.parametrize("key", SIZES)
def test_the_definition_is_met_on_all_kinds_of_weights(key):
    for which in KINDS:
        weight = torch.tensor(drawn(which, (8, 510)))
        exact, by_definition = weight.double(), ideal(key, weight)
        found, expected = ((made - exact).norm() for made in (FORMATS[key].rounded(weight).double(), by_definition))
        # Q4_K's search goes another way there: its error is the same, to a hundredth or two.
        assert found == pytest.approx(float(expected), rel=0.05 if key == "q4_k" else 1e-5)


class Lone:
    """A pipeline of one network."""

    name_or_path = "models/toy"

    def __init__(self, network: nn.Module) -> None:
        self.unet, self.components = network, {"unet": network}


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("key", [*SIZES, "w4a4"])
def test_infinities_are_refused(key, bad):
    network = nn.Sequential(nn.Linear(64, 64))
    network[0].weight.data[1, 2] = bad
    with pytest.raises(Failure, match=rf"toy at {key}: denoiser\.0\.weight holds numbers that are not finite"):
        precision.apply(Lone(network), key, "rounding")


@pytest.mark.parametrize(("key", "fits"), [("q8_0", 8.3e6), ("q4_0", 5.2e5), ("q4_k", 4.1e6)])
def test_what_an_fp16_scale_cannot_reach_is_refused(key, fits):
    """65504 times 127, 8 and 63."""
    network = nn.Sequential(nn.Linear(256, 8))
    for magnitude in (fits, 1.01 * fits):
        network[0].weight.data = torch.linspace(-1, 1, 8 * 256).view(8, 256) * magnitude
        assert torch.isfinite(FORMATS[key].rounded(network[0].weight)).all() or magnitude > fits
    before = network[0].weight.data.clone()
    with pytest.raises(Failure, match=rf"{key}: denoiser\.0\.weight holds numbers too large for the format"):
        precision.apply(Lone(network), key, "rounding")
    assert network[0].weight.equal(before)
    for far in ("mxfp4", "nvfp4"):
        assert torch.isfinite(FORMATS[far].rounded(before * 1e31)).all()


@pytest.mark.parametrize("key", [*SIZES, "w4a4"])
def test_a_format_is_applied_measured_and_does_not_depart(key):
    network, original = (nn.Sequential(nn.Linear(512, 64), nn.Conv2d(3, 8, 3)) for _ in range(2))
    original.load_state_dict(network.state_dict())
    covered = precision.apply(Lone(network), key, "rounding", "all").components["denoiser"]
    assert covered.quantized == 512 * 64 + 3 * 8 * 9
    changes = audit.changes(network, original, ["0", "1"], key)
    assert all(change.found > 0 for name, change in changes.items() if name.endswith("weight"))
    assert not any(change.departs for change in changes.values())
    spoilt = audit.changes(original, original, ["0", "1"], key)
    assert spoilt["0.weight"].departs  # not quantized at all


def four_bits(numbers: np.ndarray) -> np.ndarray:
    """The last axis in groups of 64 from its start, each the nearest of -7 to 7 times its largest magnitude / 7."""
    found = []
    for place in range(0, numbers.shape[-1], 64):
        group = numbers[..., place : place + 64]
        scale = np.abs(group).max(-1, keepdims=True) / 7
        found.append((group / np.where(scale, scale, 1)).round() * scale)
    return np.concatenate(found, -1)


def test_w4a4_rounds_each_tokens_inputs_by_hand():
    torch.manual_seed(0)
    layer = nn.Linear(192, 16)
    weight, bias = (value.detach().double().numpy().copy() for value in (layer.weight, layer.bias))
    tokens = torch.randn(2, 5, 192) * torch.tensor([1.0, 30.0]).view(2, 1, 1)
    precision.apply(Lone(nn.Sequential(layer)), "w4a4", "rounding")
    expected = four_bits(tokens.double().numpy()) @ four_bits(weight.reshape(1, -1)).reshape(16, 192).T + bias
    np.testing.assert_allclose(layer(tokens).detach(), expected, rtol=1e-4, atol=1e-4)
    # Each token has scales of its own: what stands beside it does not matter, and nothing is kept of earlier calls.
    torch.testing.assert_close(layer(tokens[1:]), layer(tokens)[1:], rtol=1e-5, atol=1e-5)
    assert layer(torch.zeros(1, 192)).detach().numpy() == pytest.approx(bias[None], abs=1e-6)


def test_w4a4_of_a_convolution_takes_pixels_for_tokens():
    torch.manual_seed(1)
    layer = nn.Conv2d(70, 4, 1)
    weight, bias = (value.detach().double().numpy().copy() for value in (layer.weight, layer.bias))
    image = torch.randn(1, 70, 3, 5)
    precision.apply(Lone(nn.Sequential(layer)), "w4a4", "rounding", "all")
    pixels = four_bits(np.moveaxis(image.double().numpy(), 1, -1))  # groups of 64 and of 6 channels
    expected = pixels @ four_bits(weight.reshape(1, -1)).reshape(4, 70).T + bias
    np.testing.assert_allclose(np.moveaxis(layer(image).detach().numpy(), 1, -1), expected, rtol=1e-4, atol=1e-4)


STUDY = """
name = "today"
scale = "mini"
images_per_cell = 1
precisions = ["fp32", "int4", "w4a4", "nvfp4", "mxfp4", "q8_0", "q4_0", "q4_k"]
detectors = ["npr"]
arm = "rounding"
prompts = { kind = "world" }
generators = { sd3 = { checkpoint = "sd3", size = 64, steps = 2, guidance = 3.0 } }
"""


def test_a_run_of_one_image_has_them_all(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    assert cli.main(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "made")]) == 0
    cells = pd.read_parquet(tmp_path / "made" / "cells.parquet").set_index("precision")
    assert (cells.images == 1).all() and (cells.coverage.drop("fp32") > 0.5).all()
    # The same weights, so the same error of weights; rounded inputs add to that of the output.
    assert cells.weight_error["w4a4"] == cells.weight_error["int4"] > 0
    assert cells.output_error["w4a4"] > 1.2 * cells.output_error["int4"]
    assert cells.weight_error["q8_0"] < cells.weight_error["q4_k"] < cells.weight_error["q4_0"]
    assert cells.weight_error["nvfp4"] < cells.weight_error["mxfp4"]
    for stored in cells.component_coverage.drop("fp32"):
        part = json.loads(stored)["denoiser"]
        assert part["weight_errors"]["all"] == pytest.approx(part["expected_error"], rel=0.05)
    scores = pd.read_parquet(tmp_path / "made" / "scores.parquet")
    assert scores[scores.label == 1].image_sha256.nunique() == len(cells)
