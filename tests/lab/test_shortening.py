"""Left-out digits of 32-bit weights change no rounding, and FP32 itself by less than is said."""

from __future__ import annotations

import gzip

import ml_dtypes
import numpy as np
import pytest
import torch

from helpers import generators
from helpers.core import files
from helpers.lab.rules import precisions
from helpers.lab.shortening import LARGEST_CHANGE, shortened
from helpers.lab.weights import halves, packed
from helpers.precision.catalogue import UNQUANTIZED
from helpers.precision.formats import FORMATS


def _spread(count: int, seed: int = 0) -> np.ndarray:
    """Numbers of many sizes, with neighbours of every tie of FP16 and BF16 among them."""
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal(count) * 10.0 ** rng.uniform(-9, 4, count)
    halves = np.arange(1, 2**15, 7, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = (halves[np.isfinite(halves)][:-1] + halves[np.isfinite(halves)][1:]) / 2
    near = np.concatenate([ties * (1 + sign * 2.0**-22) for sign in (-1, 0, 1)])
    return np.float32(np.concatenate([wide, near, -near, [0.0, -0.0]]))


@pytest.mark.parametrize("type_", [np.float16, ml_dtypes.bfloat16])
def test_a_cast_gives_what_it_gave(type_: type) -> None:
    given = _spread(20_000)
    short = shortened(given, "component")
    assert (short != given).mean() > 0.5
    with np.errstate(over="ignore"):
        assert short.astype(type_).tobytes() == given.astype(type_).tobytes()


@pytest.mark.parametrize("scope", ["component", "layers"])
def test_numbers_change_by_no_more_than_is_said_and_most_lose_eight_bits(scope: str) -> None:
    given = np.random.default_rng(1).standard_normal((64, 640), np.float32)
    short = shortened(given, scope)
    assert (short.view(np.uint32) & 255 == 0).mean() > 0.85
    assert LARGEST_CHANGE == 2.0**-16
    assert (np.abs(short.astype(np.float64) - given) <= 2.0**-16 * np.abs(given)).all()


@pytest.mark.parametrize("shape", [(40, 96), (3, 7), (1, 1), (5, 257)])
@pytest.mark.parametrize("kind", ["normal", "equal", "zero", "tails"])
def test_every_format_makes_the_same_of_a_shortened_weight(shape: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(2)
    given = {
        "normal": rng.standard_normal(shape), "equal": np.full(shape, 0.1), "zero": np.zeros(shape),
        "tails": rng.standard_t(2, shape),
    }[kind].astype(np.float32)  # fmt: skip
    short = shortened(given, "layers")
    assert short.shape == shape and short.dtype == np.float32
    _assert_alike(torch.from_numpy(given), torch.from_numpy(short))


def test_a_miniature_travels_shorter_and_rounds_alike() -> None:
    layers = [of for of in generators.load("sdxl").unet.modules() if isinstance(of, torch.nn.Linear)][:40]
    given = {str(place): of.weight.detach().numpy() for place, of in enumerate(layers)}
    short = {name: shortened(of, "layers") for name, of in given.items()}
    for name, of in given.items():
        assert not halves(of)
        _assert_alike(torch.from_numpy(of), torch.from_numpy(short[name]))
    before, after = (len(gzip.compress(packed(of)[0])) for of in (given, short))
    assert after < 0.8 * before


def _assert_alike(given: torch.Tensor, short: torch.Tensor) -> None:
    for row in precisions():
        if row["key"] == UNQUANTIZED:
            continue
        type_ = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(row["key"])
        made = [of.to(type_) if type_ else FORMATS[row["key"]].rounded(of) for of in (given, short)]
        kind = torch.int16 if type_ else torch.int32
        assert torch.equal(*(of.view(kind) for of in made)), row["key"]


def test_the_page_says_by_how_much() -> None:
    said = (files.NOTEBOOKS / "12_try_it.ipynb").read_text(encoding="utf-8")
    assert f"one part in {round(1 / LARGEST_CHANGE):,}" in said
