"""The formats against their definitions, computed by hand; coverage against an independent count."""

from __future__ import annotations

import copy
import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from optimum import quanto
from optimum.quanto.tensor.weights import marlin, qbytes
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers import generators, precision
from helpers.core.errors import Failure, UsageError
from helpers.precision import audit, formats, quantize
from helpers.precision.formats import FORMATS, FourBit
from helpers.precision.ideal import ideal
from helpers.precision.quantize import LAYERS, targets
from helpers.study.schema import MAX_KERNEL_DEVIATION

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


def _grid(key: str, block: np.ndarray) -> np.ndarray:
    """All values that a group (K,) of an integer format can hold, by the formats' definitions: (levels,)."""
    if key == "int4_affine":  # zero point an integer, range widened to hold zero (Jacob et al. 2018)
        low, high = min(block.min(), 0.0), max(block.max(), 0.0)
        scale = (high - low) / 15 or 1.0
        return (np.arange(16) - np.round(-low / scale)) * scale
    largest = {"int8": 127, "int4": 7, "int3": 3, "int2": 1}[key]
    return np.arange(-largest, largest + 1) * (np.abs(block).max() / largest)


def _nearest(value: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return grid[np.abs(value[:, None] - grid).argmin(axis=1)]


@pytest.mark.parametrize("shape", [(4, 128), (5, 96), (7, 10), (1, 1), (5, 3, 3, 3)])
@pytest.mark.parametrize("key", ["int8", "int4", "int4_affine", "int3", "int2"])
def test_integers_are_the_nearest_of_their_grid(key, shape):
    torch.manual_seed(2)
    weight = torch.randn(shape) + 0.3
    found = FORMATS[key].rounded(weight).numpy().astype(np.float64)
    exact = weight.numpy().astype(np.float64)
    flat = (
        exact.reshape(shape[0], -1) if key == "int8" else [exact.ravel()[i : i + 64] for i in range(0, exact.size, 64)]
    )
    expected = np.concatenate([_nearest(block, _grid(key, block)) for block in flat]).reshape(shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert weight.equal(torch.tensor(exact).float())  # the weight itself is left alone


@pytest.mark.parametrize("shape", [(40, 96), (9, 64), (7, 10), (5, 3, 3, 3), (1, 1)])
@pytest.mark.parametrize("code", ["fp4", "nf4"])
def test_rounded_codes_are_the_published_ones(code, shape):
    torch.manual_seed(1)
    weight = torch.randn(shape)
    np.testing.assert_allclose(FORMATS[code].rounded(weight), four_bits(weight, BOOKS[code]), atol=3e-4, rtol=1e-4)


LAYER_FORMATS = [key for key, row in FORMATS.items() if row.scope == "layers"]
#: Those of this file alone; formats with blocks of their own have one (test_blocks.py).
PLAIN = [key for key in LAYER_FORMATS if FORMATS[key].module == "helpers.precision.formats"]


def _hard(which: str) -> torch.Tensor:
    torch.manual_seed(3)
    weight = torch.randn(6, 128) / 10
    if which == "zeros":
        return torch.zeros(6, 128)
    if which == "a channel of zeros":
        weight[2] = 0
    if which == "one outlier":
        weight[1, 5] = 1e4
    if which == "subnormals":
        weight[3] = 1e-40 * torch.randn(128)
    if which == "huge":
        weight *= 1e30
    return weight


@pytest.mark.parametrize("which", ["zeros", "a channel of zeros", "one outlier", "subnormals", "huge"])
@pytest.mark.parametrize("key", PLAIN)
def test_hard_weights_stay_finite_and_within_a_step(key, which):
    weight, row = _hard(which), FORMATS[key]
    rounded = row.rounded(weight)
    assert torch.isfinite(rounded).all()
    groups = (weight if row.group == "channel" else weight.reshape(-1, 64)).abs().amax(1)
    off = (rounded - weight).abs().reshape(len(groups), -1).amax(1)
    # Half the widest gap between neighbouring codes, as a share of the largest magnitude; subnormals may become 0.
    gap = {"fp8": 32 / 448, "fp8_e5m2": 8192 / 57344, "int8": 1 / 127, "fp4": 1 / 3, "nf4": 0.3039}
    gap |= {"int4": 1 / 7, "w4a4": 1 / 7, "int4_affine": 2 / 15, "int3": 1 / 3, "int2": 1.0}
    assert (off <= gap[key] / 2 * groups * 1.001 + 1e-38).all()
    assert (rounded[weight == 0] == 0).all()
    if row.native:
        layer = nn.Linear(128, 6, bias=False)
        layer.weight.data = weight.clone()
        native = audit.dense(row.native(layer))
        assert torch.isfinite(native).all()
        torch.testing.assert_close(native, rounded, atol=3e-4 * float(groups.max()) + 1e-38, rtol=1e-3)


def plain(key: str, weight: torch.Tensor) -> torch.Tensor:
    """What the libraries alone make of a weight in single precision."""
    if key in ("fp4", "nf4"):
        functional = importlib.import_module("bitsandbytes").functional
        packed, state = functional.quantize_4bit(weight.reshape(1, -1), blocksize=64, quant_type=key)
        return functional.dequantize_4bit(packed, state).view(weight.shape)
    from optimum import quanto

    qtype = getattr(quanto, {"fp8": "qfloat8_e4m3fn", "fp8_e5m2": "qfloat8_e5m2", "int8": "qint8"}[key])
    scale = quanto.AbsmaxOptimizer()(weight, qtype, 0)
    return quanto.quantize_weight(weight, qtype, 0, scale).dequantize()


def off(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double() - exact.double()).norm() / exact.double().norm())


def stored(key: str, weight: torch.Tensor) -> torch.Tensor:
    """The weight of a layer in the native arm, as the numbers it stands for."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.clone())
    return audit.dense(FORMATS[key].native(layer))


TYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("key", PLAIN)
def test_the_error_is_the_formats_own_at_every_magnitude(key, dtype):
    """Against the libraries alone in single precision, and, where there is none, against the step of the integers."""
    torch.manual_seed(4)
    uniform = torch.rand(32, 128) * 2 - 1
    for power in range(-7, 4):
        weight = (uniform * 10.0**power).to(dtype)
        exact = weight.float()
        if FORMATS[key].native:
            expected = off(plain(key, exact), exact)
        else:  # uniform numbers on equal steps: a step / sqrt(12) of 1 / sqrt(3)
            steps = {"int4": 1 / 7, "w4a4": 1 / 7, "int4_affine": 2 / 15, "int3": 1 / 3, "int2": 1.0}
            expected = 0.5 * steps[key]
        least = float(torch.finfo(dtype).tiny * torch.finfo(dtype).eps) / float(exact.abs().max())
        arms = [FORMATS[key].rounded(weight)] + ([stored(key, weight)] if FORMATS[key].native else [])
        for found in arms:
            assert torch.isfinite(found).all()
            # A coarse scale moves numbers among the codes; rounding in the type adds its eps, or its least number where
            # that is more. float16 weights of 1e-6 are a handful of its least numbers: many formats hold them.
            high = 1.15 * expected + torch.finfo(dtype).eps / 2 + least
            assert (0.85 * expected if least < 1e-3 else 0) <= off(found, exact) <= high, (power, expected)


def test_uniform_weights_are_off_by_what_the_theory_says():
    """A step / sqrt(12) in each binade: case by hand for 3 and 2 binary digits, and for 127 integers."""
    torch.manual_seed(5)
    weight = torch.rand(64, 512) * 2 - 1
    for key, digits, binades in (("fp8", 3, 14), ("fp8_e5m2", 2, 20), ("int8", None, 0)):
        if digits is None:
            expected = 0.5 / 127
        else:  # up to 1.75 (1.75): a binade from 2 ** -k on has the share 2 ** -k of numbers, the first .75 of it
            shares = [0.75, *(2.0**-k for k in range(1, binades))]
            steps = [2.0 ** (-k - digits) for k in range(binades)]
            square = sum(share * step**2 / 12 for share, step in zip(shares, steps, strict=True)) / 1.75
            expected = (square / (1.75**2 / 3)) ** 0.5
        assert off(ideal(key, weight), weight) == pytest.approx(expected, rel=0.03)
        for dtype in TYPES:
            small = (weight / 200).to(dtype)
            assert off(FORMATS[key].rounded(small), small) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("key", PLAIN)
def test_rows_of_zeros_one_number_and_one_outlier_in_every_type(key, dtype):
    torch.manual_seed(6)
    top = float(torch.finfo(dtype).max) / (8 if key == "int4_affine" else 1)
    weight = (torch.randn(6, 128) / 100).to(dtype)
    weight[0], weight[1], weight[2] = 0, 0, 1e-7
    weight[1, 3], weight[3, 7], weight[4, 0], weight[5] = -6e-8, 1e4, top, 1e-5
    for found in [FORMATS[key].rounded(weight)] + ([stored(key, weight)] if FORMATS[key].native else []):
        found = found.double()
        assert torch.isfinite(found).all() and (found[0] == 0).all()
        for row, place in ((1, 3), (3, 7), (4, 0)):  # a group's largest number is held
            exact = float(weight[row, place])
            assert float(found[row, place]) == pytest.approx(exact, rel=0.07 if key == "int4_affine" else 0.01)
        # A scale of float16 down there is a whole number of its least ones, so the largest code may not be reached.
        step = {"fp8": 1 / 16, "fp8_e5m2": 1 / 8}.get(key, 0.01) if dtype is torch.float16 else 0.01
        torch.testing.assert_close(found[5], weight[5].double(), rtol=step, atol=6e-8)


def test_weights_of_any_layout_are_quantized_alike():
    torch.manual_seed(7)
    turned, kernel = torch.randn(128, 40).t(), torch.randn(6, 64, 3, 3).to(memory_format=torch.channels_last)
    for key in LAYER_FORMATS:
        for layer, weight in ((nn.Linear(128, 40), turned), (nn.Conv2d(64, 6, 3), kernel)):
            expected = FORMATS[key].rounded(weight.contiguous())
            torch.testing.assert_close(FORMATS[key].rounded(weight), expected, atol=0, rtol=0)
            if FORMATS[key].native:
                layer.weight = nn.Parameter(weight)
                torch.testing.assert_close(audit.dense(FORMATS[key].native(layer)), expected, atol=2e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("arm", precision.ARMS)
@pytest.mark.parametrize("key", ["fp16", "fp8", "nf4", "int3"])
def test_a_layer_without_numbers_is_left_alone(key, arm):
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 0), nn.Linear(0, 64))
    if FORMATS[key].native or arm == "rounding":
        cover = precision.apply(pipeline(net), key, arm).components["denoiser"]
        assert cover.quantized >= 64 * 64 and net[1].weight.numel() == net[2].weight.numel() == 0


def test_a_shared_weight_is_rounded_once_and_packed_nowhere():
    tied = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    tied[1].weight = tied[0].weight
    twice = nn.Sequential(tied[0], nn.ReLU(), tied[0])
    for net, other in ((tied, "1"), (twice, "2")):
        with pytest.raises(
            Failure, match=rf"toy at fp8: denoiser\.0\.weight is that of {other} too, .*use arm 'rounding'"
        ):
            precision.apply(pipeline(net), "fp8")
        assert type(net[0]) is nn.Linear  # nothing has changed
    assert precision.apply(pipeline(tied), "fp8", "rounding").components["denoiser"].quantized == 64
    assert precision.apply(pipeline(twice), "fp16").components["denoiser"].share == 1


def test_the_ideal_is_the_nearest_of_all_codes():
    """Every code of a format listed; float types by torch's own bits."""
    torch.manual_seed(8)
    weight = torch.cat([torch.randn(5, 64), torch.randn(5, 64) * 10.0 ** torch.linspace(-9, 0, 64)])
    bits = torch.arange(256, dtype=torch.uint8)
    for key, dtype in (("fp8", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)):
        codes = bits.view(dtype).double()
        books = {key: codes[torch.isfinite(codes)].unique().numpy()}
        _nearest_in_rows(key, weight, books[key])
    for key in ("int8", "int4", "int3", "int2"):
        largest = {"int8": 127, "int4": 7, "int3": 3, "int2": 1}[key]
        _nearest_in_rows(key, weight, np.arange(-largest, largest + 1.0))
    for key, book in BOOKS.items():
        assert off(ideal(key, weight), torch.tensor(four_bits(weight, book))) < 1e-4
    for key, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        assert ideal(key, weight).equal(weight.to(dtype).double())
    exact = weight.numpy().astype(np.float64)
    expected = [_nearest(row, _grid("int4_affine", row)) for row in exact]
    np.testing.assert_allclose(ideal("int4_affine", weight), expected, atol=1e-12)


def _nearest_in_rows(key: str, weight: torch.Tensor, book: np.ndarray) -> None:
    exact = weight.numpy().astype(np.float64)
    scales = np.abs(exact).max(axis=1, keepdims=True) / book.max()
    expected = [_nearest(row, book * scale) for row, scale in zip(exact, scales, strict=True)]
    np.testing.assert_allclose(ideal(key, weight), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("generator", list(generators.GENERATORS))
def test_what_a_format_makes_of_a_miniature_is_what_it_should(generator):
    """A dozen layers of each denoiser, all formats and both arms: nothing departs, in no type."""
    pipe = generators.load(generator)
    denoiser = getattr(pipe, precision.attributes(pipe)["denoiser"])
    layers = [module for module in denoiser.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    original = nn.Sequential(*layers[:: len(layers) // 12])
    for key, row in FORMATS.items():
        for arm in precision.ARMS if row.native else ["rounding"]:
            for dtype in TYPES:
                net = copy.deepcopy(original).to(dtype)
                precision.apply(pipeline(net), key, arm, "all")
                names = targets(original, row, LAYERS["all"])
                changes = audit.changes(net, original, names, key)
                assert len(changes) >= len(original) and not any(change.departs for change in changes.values())


@pytest.mark.parametrize(
    ("key", "magnitude", "dtype"),
    [("fp8", 0.005, torch.float16), ("int8", 0.02, torch.float32), ("fp8_e5m2", 1e-5, torch.bfloat16)],
)
def test_both_arms_wrong_in_the_same_way_depart(key, magnitude, dtype, monkeypatch):
    monkeypatch.setattr(formats, "_scale", lambda magnitudes, code: torch.ones_like(magnitudes))  # the fault it was
    torch.manual_seed(0)
    original = nn.Sequential(nn.Linear(128, 32))
    original[0].weight.data = (torch.rand(32, 128) * 2 - 1) * magnitude
    for arm in precision.ARMS:
        net = copy.deepcopy(original).to(dtype)
        precision.apply(pipeline(net), key, arm)
        assert audit.changes(net, original, ["0"], key)["0.weight"].departs


def test_what_was_not_quantized_at_all_departs_too():
    original = network()
    for key in LAYER_FORMATS:
        changes = audit.changes(network(), original, ["0", "1", "3"], key)
        assert {name for name, change in changes.items() if change.departs} == {"0.weight", "1.weight", "3.weight"}
    with torch.no_grad():
        broken = network()
        broken[1].weight[0, 0] = float("nan")
    assert audit.changes(broken, original, ["1"], "fp8")["1.weight"].departs


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("key", "arm"), [("fp8", "native"), ("fp4", "native"), ("int4", "rounding"), ("fp16", "native")]
)
def test_weights_that_are_not_finite_are_refused_with_the_layer_named(key, arm, bad):
    net = network()
    with torch.no_grad():
        net[1].weight[2, 3] = bad
    with pytest.raises(Failure, match=rf"toy at {key}: denoiser\.1\.weight"):
        precision.apply(pipeline(net), key, arm)
    assert net[3].weight.dtype == torch.float32 and type(net[3]) is nn.Linear  # nothing has changed


def test_fp8_is_stored_for_no_kernel_that_must_be_compiled(monkeypatch):
    """On such a GPU optimum-quanto takes its Marlin tensor beside 16-bit scales, in quantizing and in moving."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(qbytes, "is_extension_available", lambda name: True)
    monkeypatch.setattr(marlin, "MarlinF8QBytesTensor", lambda *arguments: pytest.fail("nvcc was called for"))
    formats.FORMATS["fp8"].native(nn.Linear(64, 64))
    with FakeTensorMode():
        data = torch.empty(128, 128, dtype=torch.float8_e4m3fn, device="cuda")
        scale = torch.empty(128, 1, dtype=torch.bfloat16, device="cuda")
    settings = {"size": data.size(), "stride": data.stride(), "activation_qtype": None}
    made = qbytes.WeightQBytesTensor.create(quanto.qfloat8_e4m3fn, 0, data=data, scale=scale, **settings)
    assert type(made) is qbytes.WeightQBytesTensor and made.device.type == "cuda"


@pytest.mark.parametrize("arm", precision.ARMS)
@pytest.mark.parametrize("key", ["fp16", "fp8", "fp4"])
def test_layers_are_quantized_where_the_study_works_and_put_back(key, arm, monkeypatch):
    """A device is played by another name of the processor's memory: what is brought there is written down."""
    brought = []
    monkeypatch.setattr(quantize, "_brought", lambda layer, device: brought.append(device) or layer)
    monkeypatch.setattr(quantize.torch, "device", lambda name: SimpleNamespace(type=name))
    here, there = network(), network()
    precision.apply(pipeline(here), key, arm, "all")
    where = {"device": "card"} if (arm, FORMATS[key].scope) == ("native", "layers") else {}
    precision.apply(pipeline(there), key, arm, "all", **where)
    assert brought == ["card"] * (3 if where else 0)
    for name in ("0", "1", "3"):
        one, other = (audit.dense(net.get_submodule(name)) for net in (here, there))
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_a_layer_is_brought_elsewhere_without_its_own_parameters_being_moved():
    layer = nn.Linear(4, 4, bias=False)
    weight = layer.weight
    made = quantize._brought(layer, "meta")
    assert made.weight.device.type == "meta" and layer.weight is weight and weight.device.type == "cpu"
    assert made.bias is None


@pytest.mark.parametrize("key", ["fp16", "bf16"])
def test_weights_that_are_of_the_type_stay_parameters(key):
    net = network().to(getattr(torch, {"fp16": "float16", "bf16": "bfloat16"}[key]))
    before = [parameter.clone() for parameter in net.parameters()]
    assert precision.apply(pipeline(net), key).components["denoiser"].share == 1
    after = [parameter for name, parameter in net.named_parameters() if name != "computing_type"]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_cast_that_would_overflow_is_refused():
    net = network()
    with torch.no_grad():
        net[1].weight[0, 0] = 1e5  # FP16 ends at 65504
    with pytest.raises(Failure, match="too large for the format; use bf16"):
        precision.apply(pipeline(net), "fp16")
    precision.apply(pipeline(net), "bf16")


def test_formats_without_a_library_are_for_the_rounding_arm_only():
    with pytest.raises(UsageError, match="int3: no library here stores it; use arm 'rounding'"):
        precision.apply(pipeline(network()), "int3")
    cover = precision.apply(pipeline(network()), "int3", "rounding").components["denoiser"]
    assert (cover.quantized, cover.bytes_after) == (3840 + 576, 4 * TOTAL)  # on the grid, but nothing is packed


@pytest.mark.parametrize("key", LAYER_FORMATS)
def test_stored_bytes_are_those_of_the_storage(key):
    row = FORMATS[key]
    # By hand: 40 x 96 numbers in 60 groups of 64, scales (and zero points) in two bytes; others in 120 blocks of 32,
    # 240 of 16 (and one scale of them all) or 15 of 256.
    counted = {"int4": 1920 + 120, "w4a4": 1920 + 120, "int4_affine": 1920 + 240, "int3": 1440 + 120, "int2": 960 + 120}
    counted |= {"mxfp4": 1920 + 120, "nvfp4": 1920 + 240 + 4, "q8_0": 3840 + 240, "q4_0": 1920 + 240}
    counted |= {"q4_k": 1920 + 15 * (8 * (6 + 6) // 8 + 2 + 2)}
    if not row.native:
        assert row.stored_bytes((40, 96), 2) == counted[key]
        return
    for layer in (nn.Linear(96, 40), nn.Linear(64, 9, bias=False), nn.Conv2d(3, 5, 3)):
        bias = 0 if layer.bias is None else 4 * len(layer.bias)
        expected = row.stored_bytes(layer.weight.shape, 4) + bias
        assert sum(size for *_, size in precision.holdings(row.native(layer))) == expected


def test_native_layers_give_what_rounded_weights_give():
    """Both arms of every native format on a miniature: the same denoiser but for the order of sums."""
    for key in ("fp16", "fp8", "int8", "fp8_e5m2", "nf4", "fp4"):
        nets = [generators.load("sd15").unet for _ in range(2)]
        for net, arm in zip(nets, precision.ARMS, strict=True):
            precision.apply(pipeline(net), key, arm, "all")
        call = (
            (torch.randn(1, 4, 8, 8), torch.tensor(500), torch.randn(1, 16, nets[0].config.cross_attention_dim)),
            {},
        )
        native, rounded = (audit.outputs(net, [call]) for net in nets)
        assert audit.output_error(native, rounded) < 0.01


def test_a_wrong_kernel_is_found_and_its_layer_named():
    net, rounded = network(), network()
    precision.apply(pipeline(rounded), "fp8", "rounding")
    precision.apply(pipeline(net), "fp8")
    body = (
        nn.Sequential(*[nn.Sequential(part[1], part[2]) for part in (net,)]),
        nn.Sequential(nn.Sequential(rounded[1], rounded[2])),
    )
    names, call = ["0.0"], ((torch.randn(4, 96),), {})
    assert audit.kernel_deviations(*body, names, [call])["0.0"] < 1e-5
    noisy = lambda module, args, output: torch.randn_like(output)  # noqa: E731 - as a broken kernel does
    body[0][0][0].register_forward_hook(noisy)
    assert audit.kernel_deviations(*body, names, [call])["0.0"] > MAX_KERNEL_DEVIATION
    undefined = lambda module, args, output: output * float("nan")  # noqa: E731
    body[0][0][0].register_forward_hook(undefined)
    assert audit.kernel_deviations(*body, names, [call])["0.0"] == float("inf")


def test_weight_errors_are_relative_frobenius_norms():
    net, original = network(), network()
    with torch.no_grad():
        net[1].weight.mul_(1.1)
    errors = audit.weight_errors(audit.changes(net, original, ["1", "3"], "fp32"), audit.squares(original))
    whole = sum(float(p.square().sum()) for p in original.parameters())
    own = float(original[1].weight.square().sum())
    kept = float(original[3].weight.square().sum() + original[1].bias.square().sum())
    assert errors["other"] == pytest.approx(0.1 * (own / (own + kept)) ** 0.5, rel=1e-4)
    assert errors["all"] == pytest.approx(0.1 * (own / whole) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "attention"),
        ("down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2", "feed-forward"),
        ("down_blocks.0.attentions.0.proj_in", "other"),
        ("transformer_blocks.3.ff_context.net.0.proj", "feed-forward"),
        ("transformer_blocks.3.norm1.linear", "other"),
        ("encoder.block.0.layer.0.SelfAttention.q", "attention"),
        ("encoder.block.0.layer.1.DenseReluDense.wo", "feed-forward"),
        ("text_model.encoder.layers.0.self_attn.out_proj", "attention"),
        ("text_model.encoder.layers.0.mlp.fc1", "feed-forward"),
        ("single_transformer_blocks.0.proj_mlp", "feed-forward"),
        ("decoder.mid_block.attentions.0.to_out.0", "attention"),
    ],
)
def test_layers_have_a_kind(name, expected):
    assert audit.kind(name, nn.Linear(1, 1)) == expected
    assert audit.kind(name, nn.Conv2d(1, 1, 1)) == "convolution"


def test_every_text_encoder_has_a_name():
    names = {key: list(precision.attributes(generators.load(key))) for key in ("sd15", "sdxl", "sd3", "flux1")}
    assert names == {
        "sd15": ["denoiser", "text_encoder", "vae"],
        "sdxl": ["denoiser", "text_encoder", "text_encoder_2", "vae"],
        "sd3": ["denoiser", "text_encoder", "text_encoder_2", "t5", "vae"],
        "flux1": ["denoiser", "text_encoder", "t5", "vae"],
    }


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


@pytest.mark.parametrize("key", ["sd15", "sd3", "flux1"])
@pytest.mark.parametrize("level", [key for key, row in FORMATS.items() if row.native])
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
