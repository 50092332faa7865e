"""Bytes of the public checkpoints' weights at each precision, counted from their networks' shapes on any machine.

Nothing is downloaded and no weight exists: every parameter is counted in the bytes that its format stores, by the same
rules and the same table as a quantized pipeline's. Activations are not weights and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from torch import nn

from helpers.generators.networks import Network, build, named
from helpers.precision.catalogue import PRECISIONS
from helpers.precision.formats import FORMATS, Format
from helpers.precision.quantize import LAYERS, targets

__all__ = ["QUANTIZED", "chosen", "count", "held", "table"]

#: Components that a precision below 16 bits quantizes; the others stay in 16 bits beside them, as in a pipeline loaded
#: in half precision.
QUANTIZED = ("denoiser", "t5")


def chosen(precisions: Sequence[str] | None) -> list[str]:
    """The named precisions, each once, or all. Raises UsageError for an unknown one."""
    for precision in precisions or ():
        PRECISIONS[precision]
    return list(dict.fromkeys(precisions or PRECISIONS))


def count(component: nn.Module, row: Format, coverage: str, itemsize: int) -> tuple[int, int]:
    """(parameters stored in the format, bytes in all) of a network with the format's layers quantized.

    `itemsize` is that of the computing type, in bytes: what is not quantized takes it, scales too where the format
    keeps them in it. A parameter that two layers share is counted once. For casts every parameter is in the format.
    """
    names = targets(component, row, LAYERS[coverage]) if row.scope == "layers" else []
    packed = {id(component.get_submodule(name).weight) for name in names}
    parameters = list(component.parameters())
    inside = [parameter for parameter in parameters if id(parameter) in packed]
    outside = sum(parameter.numel() for parameter in parameters if id(parameter) not in packed)
    if row.scope == "component":
        return outside, outside * row.bits // 8
    held = sum(row.stored_bytes(parameter.shape, itemsize) for parameter in inside)
    return sum(parameter.numel() for parameter in inside), held + outside * itemsize


def held(component: nn.Module, row: Format, quantized: bool, coverage: str = "linear") -> tuple[int, int]:
    """(parameters stored in the format, bytes in all) of a network of a pipeline in 16 bits beside the format.

    A cast takes it whole; a format of layers, where it is among the `quantized` ones; else it stays in 16 bits.
    """
    if quantized or row.scope == "component":
        return count(component, row, coverage, 2)
    return 0, 2 * sum(parameter.numel() for parameter in component.parameters())


def table(checkpoints: Sequence[str] | None = None, precisions: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per checkpoint, component, precision and coverage: parameters, quantized, bytes.

    At FP32 every component is in FP32, at FP16 and BF16 every one in 16 bits (coverage "whole"). At the other
    precisions `QUANTIZED` are in the format, as far as the coverage ("linear", or "all": convolutions too) reaches, and
    all else is in 16 bits. A name given twice counts once. Raises UsageError for an unknown checkpoint or precision.
    """
    rows: list[dict[str, Any]] = []
    keys = chosen(precisions)
    for checkpoint in named(checkpoints):
        for name, network in checkpoint.parts.items():
            key = {"checkpoint": checkpoint.key, "component": name}
            rows += [key | row for row in _rows(network, keys, name in QUANTIZED)]
    return pd.DataFrame(rows)


def _rows(network: Network, precisions: Sequence[str], quantized: bool) -> Iterator[dict[str, Any]]:
    """The rest of the rows of one component: `quantized` where the precisions are for it at all."""
    component = build(network)
    for precision in precisions:
        row = FORMATS[precision]
        for coverage in ["whole"] if row.scope == "component" else LAYERS:
            inside, size = held(component, row, quantized, coverage)
            settings = {"precision": precision, "coverage": coverage}
            yield settings | {"parameters": network.parameters, "quantized": inside, "bytes": size}
