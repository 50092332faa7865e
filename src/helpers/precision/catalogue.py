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
        colour: of its marks in charts.
        module: where its functions lie, by its key in tables: ROUNDED, NATIVE where a library stores it (see
            `formats`), and IDEAL where its definition is written down a second time (see `ideal`).
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
    colour: str = "#666666"
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


def _cast(title: str, bits: int, code: str, colour: str) -> Entry:
    return Entry(title, bits, code, FLOATING, backend="torch", scope="component", colour=colour)


def _per_channel(title: str, code: str, family: str, colour: str) -> Entry:
    return Entry(title, 8, code, family, "channel", 1, "optimum-quanto", colour=colour)


def _bitsandbytes(title: str, code: str, family: str, colour: str) -> Entry:
    return Entry(title, 4, code, family, BLOCK, 1, "bitsandbytes", scale_bytes=4, colour=colour)


def _rounded_only(title: str, bits: int, code: str, family: str, colour: str, scales: int = 1) -> Entry:
    return Entry(title, bits, code, family, BLOCK, scales, colour=colour)


_PM = "\N{PLUS-MINUS SIGN}"


#: The deck's four first, in order of their bits; then what goes beyond the deck. The colours are those of Okabe and
#: Ito, which keep apart under the common colour deficiencies, and a few more.
PRECISIONS = Registry(
    "precision",
    {
        "fp32": _cast("FP32", 32, "binary32", "#0072B2"),
        "fp16": _cast("FP16", 16, "binary16", "#56B4E9"),
        "fp8": _per_channel("FP8", f"float8_e4m3fn, to {_PM}448", FLOATING, "#E69F00"),
        "fp4": _bitsandbytes("FP4", f"{_PM}{{0, .0052, .1667, .25, .3333, .5, .6667, 1}}", FLOATING, "#D55E00"),
        "bf16": _cast("BF16", 16, "bfloat16", "#009E73"),
        "int8": _per_channel("INT8", "integers -127 to 127", SYMMETRIC, "#CC79A7"),
        "fp8_e5m2": _per_channel("FP8 (E5M2)", f"float8_e5m2, to {_PM}57344", FLOATING, "#F0C808"),
        "nf4": _bitsandbytes("NF4", "16 quantiles of a normal distribution, -1 to 1", "normal float", "#882255"),
        "int4": _rounded_only("INT4", 4, "integers -7 to 7", SYMMETRIC, "#AA4499"),
        "int4_affine": _rounded_only(
            "INT4 (affine)", 4, "integers 0 to 15 less a zero point", "integer, affine", "#117733", scales=2
        ),
        "int3": _rounded_only("INT3", 3, "integers -3 to 3", SYMMETRIC, "#555555"),
        "int2": _rounded_only("INT2", 2, "-1, 0, 1", SYMMETRIC, "#000000"),
    },
    group="quantdetect.precisions",
    kind=Entry,
)
