"""The numbers of the rounding rules are those that the formats' own definitions state."""

from __future__ import annotations

import bitsandbytes.functional
import gguf
import ml_dtypes
import numpy as np
import pytest

from helpers.lab.rules import precisions, rule
from helpers.precision.catalogue import PRECISIONS

TYPES = {
    "fp8": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "mxfp4": ml_dtypes.float4_e2m1fn,
    "nvfp4": ml_dtypes.float4_e2m1fn,
}


def test_every_precision_of_weights_alone_has_a_rule() -> None:
    rows = precisions()
    assert [row["key"] for row in rows] == [key for key in PRECISIONS.own if key != "w4a4"]
    assert [row["title"] for row in rows if row["deck"]] == ["FP32", "FP16", "FP8", "FP4"]
    assert {row["rule"]["kind"] for row in rows} == {
        "none", "cast", "channel", "codes", "symmetric", "affine", "mxfp4", "nvfp4", "q8_0", "q4_0", "q4_k",
    }  # fmt: skip


@pytest.mark.parametrize("key", TYPES)
def test_floating_point_codes_are_spaced_as_their_type(key: str) -> None:
    found, type_ = rule(key), ml_dtypes.finfo(TYPES[key])
    assert found.get("largest", found["number"].get("largest")) == float(type_.max)
    assert found["number"]["eps"] == float(type_.eps)
    assert found["number"]["tiny"] == float(type_.smallest_normal)


def test_the_scales_of_nvfp4_are_of_eight_bits() -> None:
    scale, type_ = rule("nvfp4")["scale"], ml_dtypes.finfo(ml_dtypes.float8_e4m3fn)
    assert scale == {"eps": float(type_.eps), "tiny": float(type_.smallest_normal), "largest": float(type_.max)}


@pytest.mark.parametrize("key", ["fp4", "nf4"])
def test_code_books_are_those_of_the_library(key: str) -> None:
    found = rule(key)
    assert found["block"] == 64 and found["codes"] == sorted(found["codes"])
    library = np.unique(bitsandbytes.functional.get_4bit_type(key, device="cpu").numpy())
    np.testing.assert_allclose(np.unique(np.float32(found["codes"])), library, atol=1e-4)


@pytest.mark.parametrize("key, levels", [("int4", 7), ("int3", 3), ("int2", 1), ("q8_0", 127)])
def test_symmetric_integers_have_as_many_levels_as_their_bits(key: str, levels: int) -> None:
    assert rule(key)["levels"] == levels


def test_integers_of_a_channel_reach_127() -> None:
    assert rule("int8") == {"kind": "channel", "largest": 127.0, "number": None}


@pytest.mark.parametrize("key", ["q8_0", "q4_0", "q4_k"])
def test_blocks_are_as_long_as_those_of_gguf(key: str) -> None:
    kind = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}
    numbers, _ = gguf.GGML_QUANT_SIZES[kind.get(key, gguf.GGMLQuantizationType.Q4_K)]
    assert rule(key)["block"] == numbers


def test_casts_name_their_type() -> None:
    assert {key: rule(key)["type"] for key in ("fp16", "bf16")} == {"fp16": "float16", "bf16": "bfloat16"}
