"""The precisions: one row each, of what a weight takes in storage; how it gets there is in `formats`. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, prod
from typing import Any, Literal

from helpers.core.registry import Registry

__all__ = [
    "ARMS", "BASELINE", "BLOCK", "COMPONENTS", "COVERAGES", "DECK", "PRECISIONS", "SYMMETRIC", "UNQUANTIZED",
    "Entry",
]  # fmt: skip

#: Weights that share one scale in the formats of 4 bits and fewer.
BLOCK = 64
#: The precision of weights that are left as they were published: it quantizes nothing.
UNQUANTIZED = "fp32"
#: What the others are compared with, where a study says nothing else.
BASELINE = UNQUANTIZED
#: Those that the deck compares, the finest first.
DECK = ("fp32", "fp16", "fp8", "fp4")
#: How weights are quantized. "native": by the library's own storage and kernels. "rounding": each weight becomes the
#: nearest one that the format can hold and stays in the computing type, so that nothing but its precision differs.
ARMS = ("native", "rounding")
#: Parts of a pipeline by name: the network run at every step, each text encoder ("t5" the T5-like one), the VAE.
COMPONENTS = ("denoiser", "text_encoder", "text_encoder_2", "t5", "vae")
#: Which layers a format takes: Linear ones, as diffusers' quantizers do, or convolutions too.
COVERAGES = ("linear", "all")
#: Families of codes. The symmetric integers are the plainest, which the others are held against.
SYMMETRIC, AFFINE, FLOATING = "integer, symmetric", "integer, affine", "floating point"


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
        scales: numbers kept with each group: 0, 1 (a scale), 2 (a scale and a zero point) or more (`q4_k`).
        backend: the library whose storage and kernels the native arm uses, "none" where there is none.
        scope: "layers" for formats of Linear (and Conv2d) weights, "component" for casts, which take every
            parameter.
        scale_bytes: of all scales of one group together; None where each is kept in the computing type.
        tensor_bytes: of what is kept once for a whole weight.
        largest: magnitude of the largest weight that is sure to be held, infinity where the scales reach as far as
            single precision does; a weight beyond it is refused.
        inputs: what becomes of the inputs of its layers, in words; "" where they stay as computed.
        source: who defines it, and what of that is left out.
        colour: of its marks in charts.
        module: where its functions lie, by its key in tables: ROUNDED, and NATIVE where a library stores it. It has
            INPUTS where inputs are rounded too (see `formats`), and IDEAL where its definition is written down a second
            time (see `ideal`).
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
    tensor_bytes: int = 0
    largest: float = inf
    inputs: str = ""
    source: str = ""
    colour: str = "#666666"
    module: str = "helpers.precision.formats"

    def stored_bytes(self, shape: Sequence[int], itemsize: int) -> int:
        """Bytes of one stored weight of `shape`, scales included, beside a computing type of `itemsize` bytes."""
        numbers = prod(shape)
        groups = 0 if self.group is None else shape[0] if self.group == "channel" else ceil(numbers / self.group)
        return ceil(numbers * self.bits / 8) + groups * self._group_bytes(itemsize) + self.tensor_bytes

    @property
    def bits_with_scales(self) -> float:
        """Bits of a stored weight with its share of its group's scales, beside a computing type of 16 bits.

        What a channel or a whole weight keeps is shared by so many that it does not count.
        """
        if not isinstance(self.group, int):
            return float(self.bits)
        return self.bits + 8 * self._group_bytes(2) / self.group

    def _group_bytes(self, itemsize: int) -> int:
        return self.scales * itemsize if self.scale_bytes is None else self.scale_bytes


def _cast(title: str, bits: int, code: str, colour: str, source: str) -> Entry:
    return Entry(title, bits, code, FLOATING, backend="torch", scope="component", colour=colour, source=source)


def _per_channel(title: str, code: str, family: str, colour: str, source: str) -> Entry:
    return Entry(title, 8, code, family, "channel", 1, "optimum-quanto", colour=colour, source=source)


def _bitsandbytes(title: str, code: str, family: str, colour: str, source: str) -> Entry:
    return Entry(title, 4, code, family, BLOCK, 1, "bitsandbytes", scale_bytes=4, colour=colour, source=source)


def _rounded_only(title: str, bits: int, code: str, family: str, colour: str, source: str, scales: int = 1) -> Entry:
    return Entry(title, bits, code, family, BLOCK, scales, colour=colour, source=source)


def _in_blocks(
    title: str, bits: int, code: str, family: str, group: int, scale_bytes: int, colour: str, source: str, **more: Any
) -> Entry:
    """A format of today, in blocks of its own: rounded only."""
    return Entry(
        title, bits, code, family, group, more.pop("scales", 1), scale_bytes=scale_bytes, colour=colour, source=source,
        module="helpers.precision.blocks", **more,
    )  # fmt: skip


_PM = "\N{PLUS-MINUS SIGN}"
_E2M1 = f"E2M1: {_PM}{{0, .5, 1, 1.5, 2, 3, 4, 6}}"
_PLAIN = "plain symmetric integers"
#: The largest number of FP16, in which GGUF keeps its scales.
_HALF = 65504.0


#: The deck's four first, in order of their bits; then what goes beyond the deck. The colours are those of Okabe and
#: Ito, which keep apart under the common colour deficiencies, and a few more.
PRECISIONS = Registry(
    "precision",
    {
        "fp32": _cast("FP32", 32, "binary32", "#0072B2", "IEEE 754"),
        "fp16": _cast("FP16", 16, "binary16", "#56B4E9", "IEEE 754"),
        "fp8": _per_channel("FP8", f"float8_e4m3fn, to {_PM}448", FLOATING, "#E69F00", "OCP 8-bit floating point"),
        "fp4": _bitsandbytes(
            "FP4", f"{_PM}{{0, .0052, .1667, .25, .3333, .5, .6667, 1}}", FLOATING, "#D55E00", "bitsandbytes"
        ),
        "bf16": _cast("BF16", 16, "bfloat16", "#009E73", "the first 16 bits of binary32"),
        "int8": _per_channel("INT8", "integers -127 to 127", SYMMETRIC, "#CC79A7", _PLAIN),
        "fp8_e5m2": _per_channel(
            "FP8 (E5M2)", f"float8_e5m2, to {_PM}57344", FLOATING, "#F0C808", "OCP 8-bit floating point"
        ),
        "nf4": _bitsandbytes(
            "NF4", "16 quantiles of a normal distribution, -1 to 1", "normal float", "#882255",
            "QLoRA, arXiv 2305.14314",
        ),
        "int4": _rounded_only("INT4", 4, "integers -7 to 7", SYMMETRIC, "#AA4499", _PLAIN),
        "int4_affine": _rounded_only(
            "INT4 (affine)", 4, "integers 0 to 15 less a zero point", AFFINE, "#117733",
            "Jacob et al. 2018, arXiv 1712.05877", scales=2,
        ),
        "int3": _rounded_only("INT3", 3, "integers -3 to 3", SYMMETRIC, "#555555", _PLAIN),
        "int2": _rounded_only("INT2", 2, "-1, 0, 1", SYMMETRIC, "#000000", _PLAIN),
        "mxfp4": _in_blocks(
            "MXFP4", 4, _E2M1, FLOATING, 32, 1, "#332288",
            "OCP Microscaling v1.0: scales in E8M0, a quarter of the power of two below the block's largest magnitude",
        ),
        "nvfp4": _in_blocks(
            "NVFP4", 4, _E2M1, FLOATING, 16, 1, "#44AA99",
            "NVIDIA, arXiv 2509.25149: scales in E4M3, times one FP32 scale of the whole weight", tensor_bytes=4,
        ),
        "q8_0": _in_blocks(
            "Q8_0", 8, "integers -127 to 127", SYMMETRIC, 32, 2, "#DDAA77", "GGUF (llama.cpp): scales in FP16",
            largest=127 * _HALF,
        ),
        "q4_0": _in_blocks(
            "Q4_0", 4, "integers -8 to 7", "integer, -8 to 7", 32, 2, "#999933",
            "GGUF (llama.cpp): FP16 scales that put the number of largest magnitude at -8", largest=8 * _HALF,
        ),
        "q4_k": _in_blocks(
            "Q4_K", 4, "integers 0 to 15 less a minimum", AFFINE, 256, 16, "#661100",
            "GGUF (llama.cpp), without an importance matrix: eight parts of 32 with 6-bit scales and minima, searched"
            " by weighted least squares, times two FP16 scales", scales=18, largest=63 * _HALF,
        ),
        "w4a4": Entry(
            "W4A4", 4, "integers -7 to 7", SYMMETRIC, BLOCK, 1, colour="#AA7700",
            inputs="INT4, each token in groups of 64",
            source="SVDQuant's INT4 setting, arXiv 2411.05007, without its smoothing and its low-rank branch",
        ),
    },
    group="quantdetect.precisions",
    kind=Entry,
)  # fmt: skip
