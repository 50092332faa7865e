"""What each format makes of a weight by its definition, in double precision: what a cell's error is held to.

Nothing here is shared with how weights are quantized (`formats`) but the four-bit code books, so that a fault there is
not repeated here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from helpers.precision.catalogue import BLOCK, PRECISIONS
from helpers.precision.formats import CODES

__all__ = ["ideal"]


def ideal(precision: str, weight: Tensor) -> Tensor:
    """The numbers that the format holds for a weight of any shape, each the nearest that its group allows; float64.

    `precision` is a key of the catalogue. One whose functions lie in a module of its own says it in that module's table
    IDEAL; without one its rounding is taken for its definition. Scales are not rounded to any type.
    """
    exact = weight.detach().double()
    of = _IDEAL[precision] if precision in _IDEAL else _elsewhere(precision)
    return of(exact) if exact.numel() else exact


def _elsewhere(precision: str) -> Callable[[Tensor], Tensor]:
    tables = importlib.import_module(PRECISIONS[precision].module)
    return getattr(tables, "IDEAL", {}).get(precision) or tables.ROUNDED[precision]


def _whole(codes: Tensor) -> Tensor:
    """The nearest integers."""
    return codes.round()


def _binary(digits: int, lowest: int, numbers: Tensor) -> Tensor:
    """The nearest binary floating-point numbers: `digits` after the point, normal from 2 ** `lowest` on."""
    power = (torch.frexp(numbers).exponent - 1).clamp(min=lowest)
    step = torch.ldexp(torch.ones_like(numbers), power - digits)
    return (numbers / step).round() * step


def _listed(codes: Sequence[float], numbers: Tensor) -> Tensor:
    """The nearest of the listed codes."""
    book = torch.tensor(sorted(set(codes)), dtype=numbers.dtype, device=numbers.device)
    above = torch.searchsorted(book, numbers.contiguous()).clamp(1, len(book) - 1)
    low, high = book[above - 1], book[above]
    return torch.where(numbers - low <= high - numbers, low, high)


def _scaled(nearest: Callable[[Tensor], Tensor], largest: float, groups: Tensor) -> Tensor:
    """Groups (groups, numbers), each scaled so that its largest magnitude is the largest code; zeros stay zeros."""
    scale = groups.abs().amax(1, keepdim=True) / largest
    return nearest(groups / scale.where(scale > 0, 1)) * scale


def _affine(steps: int, groups: Tensor) -> Tensor:
    """Groups, each on `steps` equal steps from its least number to its largest, shifted so that 0 is among them."""
    low, high = groups.amin(1, keepdim=True).clamp(max=0), groups.amax(1, keepdim=True).clamp(min=0)
    step = (high - low) / steps
    step = step.where(step > 0, 1)
    below = (low / step).round()
    return (groups / step).round().clamp(below, below + steps) * step


def _channels(of: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    return of(weight.flatten(1)).view(weight.shape)


def _blocks(of: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    flat = weight.flatten()
    # Zeros change neither the largest magnitude of the last block nor a range that holds zero.
    filled = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    return of(filled).flatten()[: len(flat)].view(weight.shape)


_IDEAL: dict[str, Callable[[Tensor], Tensor]] = {
    "fp32": partial(_binary, 23, -126),
    "fp16": partial(_binary, 10, -14),
    "bf16": partial(_binary, 7, -126),
    "fp8": partial(_channels, partial(_scaled, partial(_binary, 3, -6), 448.0)),
    "fp8_e5m2": partial(_channels, partial(_scaled, partial(_binary, 2, -14), 57344.0)),
    "int8": partial(_channels, partial(_scaled, _whole, 127.0)),
    "int4": partial(_blocks, partial(_scaled, _whole, 7.0)),
    "int4_affine": partial(_blocks, partial(_affine, 15)),
    "int3": partial(_blocks, partial(_scaled, _whole, 3.0)),
    "int2": partial(_blocks, partial(_scaled, _whole, 1.0)),
    "fp4": partial(_blocks, partial(_scaled, partial(_listed, CODES["fp4"]), 1.0)),
    "nf4": partial(_blocks, partial(_scaled, partial(_listed, CODES["nf4"]), 1.0)),
}
