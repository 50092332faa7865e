"""The precisions: one row each, of what a weight takes in storage; how it gets there is in `formats`. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

from helpers.core.registry import Registry

__all__ = ["ARMS", "BASELINE", "BLOCK", "COMPONENTS", "COVERAGES", "PRECISIONS", "SYMMETRIC", "Entry"]

#: Weights that share one scale in the formats of 4 bits and fewer.
BLOCK = 64
#: What the others are compared with, where nothing else is said.
BASELINE = "fp32"
#: How weights are quantized. "native": by the library's own storage and kernels. "rounding": each weight becomes the
#: nearest one that the format can hold and stays in the computing type, so that nothing but its precision differs.
ARMS = ("native", "rounding")
#: Parts of a pipeline by name: the network run at every step, each text encoder ("t5" the T5-like one), the VAE.
COMPONENTS = ("denoiser", "text_encoder", "text_encoder_2", "t5", "vae")
#: Which layers a format takes: Linear ones, as diffusers' quantizers do, or convolutions too.
COVERAGES = ("linear", "all")
#: Families of codes. The symmetric integers are the plainest, which the others are held against.
SYMMETRIC, FLOATING = "integer, symmetric", "floating point"


@dataclass(frozen=True)
class Entry:
    """One precision.

    Attributes:
        title: its name in print.
        bits: of one stored weight, its scale apart.
        code: the values a stored number can have, before its scale.
        family: of the code: where it puts its values.
        group: what shares one scale: "channel" (an output channel), a number of consecutive weights in row-major order
            (the last group of a weight may be shorter), None for casts.
        scales: numbers kept with each group: 0, 1 (a scale) or 2 (a scale and a zero point).
        backend: the library whose storage and kernels the native arm uses, "none" where there is none.
        scope: "layers" for formats of Linear (and Conv2d) weights, "component" for casts, which take every
            parameter.
        scale_bytes: of one scale; None where it is kept in the computing type.
        module: where its functions lie, by its key in tables: ROUNDED, and NATIVE where a library stores it (see
            `formats`); of another package's precision IDEAL too (see `ideal`).
    """

    title: str
    bits: int
    code: str
    family: str
    group: Literal["channel"] | int | None = None
    scales: int = 0
    backend: str = "none"
    scope: Literal["layers", "component"] = "layers"
    scale_bytes: int | None = None
    module: str = "helpers.precision.formats"

    def stored_bytes(self, shape: Sequence[int], itemsize: int) -> int:
        """Bytes of one stored weight of `shape`, scales included, beside a computing type of `itemsize` bytes."""
        numbers = prod(shape)
        groups = 0 if self.group is None else shape[0] if self.group == "channel" else ceil(numbers / self.group)
        return ceil(numbers * self.bits / 8) + groups * self.scales * (self.scale_bytes or itemsize)

    @property
    def bits_with_scales(self) -> float:
        """Bits of a stored weight with its share of its group's scales, beside a computing type of 16 bits.

        A channel's scale is shared by so many that it does not count.
        """
        if not isinstance(self.group, int):
            return float(self.bits)
        return self.bits + 8 * self.scales * (self.scale_bytes or 2) / self.group


def _cast(title: str, bits: int, code: str) -> Entry:
    return Entry(title, bits, code, FLOATING, backend="torch", scope="component")


def _per_channel(title: str, code: str, family: str) -> Entry:
    return Entry(title, 8, code, family, "channel", 1, "optimum-quanto")


def _bitsandbytes(title: str, code: str, family: str) -> Entry:
    return Entry(title, 4, code, family, BLOCK, 1, "bitsandbytes", scale_bytes=4)


#: The deck's four first, in order of their bits; then what goes beyond the deck.
PRECISIONS = Registry(
    "precision",
    {
        "fp32": _cast("FP32", 32, "binary32"),
        "fp16": _cast("FP16", 16, "binary16"),
        "fp8": _per_channel("FP8", "float8_e4m3fn, to \N{PLUS-MINUS SIGN}448", FLOATING),
        "fp4": _bitsandbytes("FP4", "\N{PLUS-MINUS SIGN}{0, .0052, .1667, .25, .3333, .5, .6667, 1}", FLOATING),
        "bf16": _cast("BF16", 16, "bfloat16"),
        "int8": _per_channel("INT8", "integers -127 to 127", SYMMETRIC),
        "fp8_e5m2": _per_channel("FP8 (E5M2)", "float8_e5m2, to \N{PLUS-MINUS SIGN}57344", FLOATING),
        "nf4": _bitsandbytes("NF4", "16 quantiles of a normal distribution, -1 to 1", "normal float"),
        "int4": Entry("INT4", 4, "integers -7 to 7", SYMMETRIC, BLOCK, 1),
        "int4_affine": Entry("INT4 (affine)", 4, "integers 0 to 15 less a zero point", "integer, affine", BLOCK, 2),
        "int3": Entry("INT3", 3, "integers -3 to 3", SYMMETRIC, BLOCK, 1),
        "int2": Entry("INT2", 2, "-1, 0, 1", SYMMETRIC, BLOCK, 1),
    },
    group="quantdetect.precisions",
    kind=Entry,
)
