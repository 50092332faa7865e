"""The formats against their definitions, computed by hand; coverage against an independent count."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from helpers import generators, precision
from helpers.errors import UsageError
from helpers.precision.formats import FourBit
from helpers.study import PRECISIONS

# The code books that bitsandbytes publishes (QLoRA, arXiv 2305.14314, appendix E; FP4 as in its kernels).
FP4 = np.array([0, 0.0052, 0.1667, 0.25, 0.3333, 0.5, 0.6667, 1])
BOOKS = {
    "fp4": np.concatenate([FP4, -FP4]),
    "nf4": np.array(
        [-1, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0]
        + [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1]
    ),
}


def pipeline(denoiser: nn.Module, name: str = "unet") -> SimpleNamespace:
    return SimpleNamespace(components={name: denoiser}, name_or_path="models/toy", **{name: denoiser})


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(96, 40), nn.LayerNorm(40), nn.Linear(64, 9, bias=False))


def four_bits(weight: torch.Tensor, book: np.ndarray) -> np.ndarray:
    """Blocks of 64 in memory order, each divided by its largest magnitude, each number to its nearest code."""
    flat = weight.detach().numpy().astype(np.float64).ravel()
    blocks = np.pad(flat, (0, -len(flat) % 64)).reshape(-1, 64)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    codes = np.abs((blocks / np.maximum(largest, 1e-38))[..., None] - book).argmin(axis=-1)
    return (book[codes] * largest).ravel()[: len(flat)].reshape(weight.shape)


@pytest.mark.parametrize("code", ["fp4", "nf4"])
@pytest.mark.parametrize("shape", [(40, 96), (9, 64), (7, 10), (5, 7), (5, 3, 3, 3), (16, 48, 3, 3), (1, 1)])
def test_four_bits_are_the_published_code(code, shape):
    torch.manual_seed(1)
    weight = torch.randn(shape)
    np.testing.assert_allclose(FourBit(weight, code)(), four_bits(weight, BOOKS[code]), atol=3e-4, rtol=1e-4)


@pytest.mark.parametrize("coverage", ["linear", "all"])
@pytest.mark.parametrize("code", ["fp4", "nf4"])
def test_four_bit_layers_compute_with_the_code(code, coverage):
    net, original = network(), network()
    precision.apply(pipeline(net), code, coverage=coverage)
    for place, size in ((1, 96), (3, 64)):
        x = torch.randn(4, size)
        weight = torch.tensor(four_bits(original[place].weight, BOOKS[code]), dtype=torch.float32)
        expected = nn.functional.linear(x, weight, original[place].bias)
        torch.testing.assert_close(net[place](x), expected, atol=5e-3, rtol=1e-3)
    x = torch.randn(2, 3, 8, 8)
    weight = original[0].weight
    if coverage == "all":
        weight = torch.tensor(four_bits(weight, BOOKS[code]), dtype=torch.float32)
    torch.testing.assert_close(net[0](x), nn.functional.conv2d(x, weight, original[0].bias), atol=5e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("key", "dtype", "largest"),
    [
        ("fp8", torch.float8_e4m3fn, 448.0),
        ("fp8_e5m2", torch.float8_e5m2, 57344.0),
        ("int8", torch.int8, 127.0),
    ],
)
def test_eight_bits_are_rounded_per_output_channel(key, dtype, largest):
    net, original = network(), network()
    with torch.no_grad():  # an output channel of zeros must stay zeros
        net[1].weight[3] = original[1].weight[3] = 0
    precision.apply(pipeline(net), key, coverage="all")
    for place in (0, 1, 3):
        weight = original[place].weight.detach()
        scale = weight.abs().flatten(1).amax(1).view(-1, *[1] * (weight.ndim - 1)) / largest
        scale[scale == 0] = 1
        scaled = weight / scale
        rounded = scaled.round() if dtype is torch.int8 else scaled
        expected = rounded.to(dtype).float() * scale
        torch.testing.assert_close(net[place].weight.dequantize(), expected, atol=0, rtol=1e-6)
    assert torch.isfinite(net[1](torch.randn(2, 96))).all()


@pytest.mark.parametrize(("key", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_casts_round_every_parameter_and_compute_in_float32(key, dtype):
    net, original = network(), network()
    before = sum(parameter.nbytes for parameter in original.parameters())
    cover = precision.apply(pipeline(net), key).components["denoiser"]
    for place, name in ((0, "weight"), (0, "bias"), (1, "weight"), (2, "weight"), (2, "bias"), (3, "weight")):
        read = getattr(net[place], name)
        assert read.dtype == torch.float32
        torch.testing.assert_close(read, getattr(original[place], name).to(dtype).float(), atol=0, rtol=0)
    assert net[1](torch.randn(2, 96)).dtype == torch.float32
    assert (cover.share, cover.bytes_before, cover.bytes_after) == (1.0, before, before // 2)


def test_a_shared_parameter_stays_shared():
    net = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 10, bias=False))
    net[1].weight = net[0].weight
    cover = precision.apply(pipeline(net), "fp16").components["denoiser"]
    assert (cover.parameters, cover.bytes_after) == (80, 160)


# By hand: Conv2d 3*5*9 + 5, Linear 96*40 + 40, LayerNorm 80, Linear 64*9.
TOTAL = 135 + 5 + 3840 + 40 + 80 + 576
LEFT = 4 * (5 + 40 + 80)  # bytes of biases and norm


@pytest.mark.parametrize(
    ("key", "coverage", "quantized", "size"),
    [
        ("fp32", "linear", 0, 4 * TOTAL),
        ("fp8", "linear", 3840 + 576, LEFT + 4 * 135 + (3840 + 4 * 40) + (576 + 4 * 9)),
        ("fp8", "all", 3840 + 576 + 135, LEFT + (135 + 4 * 5) + (3840 + 4 * 40) + (576 + 4 * 9)),
        ("fp4", "linear", 3840 + 576, LEFT + 4 * 135 + (1920 + 4 * 60) + (288 + 4 * 9)),
        ("fp4", "all", 3840 + 576 + 135, LEFT + (68 + 4 * 3) + (1920 + 4 * 60) + (288 + 4 * 9)),
    ],
)
def test_coverage_is_what_is_stored(key, coverage, quantized, size):
    cover = precision.apply(pipeline(network()), key, coverage=coverage)
    found = cover.components["denoiser"]
    assert (found.parameters, found.quantized) == (TOTAL, quantized)
    assert found.share == pytest.approx(quantized / TOTAL) == cover.share
    assert (found.bytes_before, found.bytes_after) == (4 * TOTAL, size)


def test_coverage_of_a_miniature_is_an_independent_count():
    pipe = generators.load("sd15")
    linear = sum(m.weight.numel() for m in pipe.unet.modules() if isinstance(m, nn.Linear))
    total = sum(p.numel() for p in pipe.unet.parameters())
    cover = precision.apply(pipe, "fp4")
    assert cover.share == pytest.approx(linear / total)
    assert set(cover.components) == {"denoiser"}


def test_a_cell_without_coverage_is_refused_before_anything_changes():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(UsageError, match=r"toy at fp4 with coverage 'linear': 0 %"):
        precision.apply(pipeline(net), "fp4")
    assert net[0].weight.dtype == torch.float32
    assert precision.apply(pipeline(net), "fp4", coverage="all").share > 0


@pytest.mark.parametrize("wrong", [{"precision": "fp5"}, {"arm": "nativ"}, {"coverage": "al"}, {"components": ["t6"]}])
def test_unknown_words_name_the_nearest(wrong):
    with pytest.raises(UsageError, match="nearest"):
        precision.apply(pipeline(network()), **{"precision": "fp8"} | wrong)


def test_every_format_is_a_precision_of_the_study():
    assert set(precision.FORMATS) <= set(PRECISIONS)
    assert list(precision.FORMATS)[:4] == ["fp32", "fp16", "fp8", "fp4"]


@pytest.mark.parametrize("key", ["sd15", "sd3", "flux1"])
@pytest.mark.parametrize("level", list(precision.FORMATS))
def test_miniatures_compute_in_float32_at_every_precision(key, level):
    """The type a library reads off the weights decides what it casts activations to (T5's last layer, for one)."""
    pipe = generators.load(key)
    precision.apply(pipe, level, coverage="all")
    types = set()
    for part in pipe.components.values():
        for module in part.modules() if isinstance(part, nn.Module) else ():
            module.register_forward_hook(lambda m, i, o: types.add(o.dtype) if torch.is_tensor(o) else None)
    image = generators.sample(pipe, ["a photo of a red ball on sand"], [1], steps=1, guidance=2.0, size=64)[0]
    assert types == {torch.float32}
    assert image.size == (64, 64)
    denoiser = getattr(pipe, precision.attributes(pipe)["denoiser"])
    assert denoiser.dtype == torch.float32
