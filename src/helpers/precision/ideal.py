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

#: The numbers of two bits of exponent and one of fraction.
_E2M1 = tuple(sign * code for code in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0) for sign in (1, -1))


def ideal(precision: str, weight: Tensor) -> Tensor:
    """The numbers that the format holds for a weight of any shape, each the nearest that its group allows; float64.

    `precision` is a key of the catalogue. One whose functions lie in a module of its own says it in that module's table
    IDEAL; without one its rounding is taken for its definition. Scales are rounded to no type but where the format says
    to which.
    """
    exact = weight.detach().double()
    of = _IDEAL[precision] if precision in _IDEAL else _from_module(precision)
    return of(exact) if exact.numel() else exact


def _from_module(precision: str) -> Callable[[Tensor], Tensor]:
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


def _power_of_two(groups: Tensor) -> Tensor:
    """E2M1 numbers times 2 ** (the exponent of the largest magnitude - 2), at least 2 ** -127 (E8M0)."""
    magnitudes = groups.abs().amax(1, keepdim=True)
    exponent = magnitudes.where(magnitudes > 0, 1).log2().floor() - 2
    scale = 2 ** exponent.clamp(-127, 127)
    return _listed(_E2M1, (groups / scale).clamp(-6, 6)) * scale


def _two_scales(groups: Tensor) -> Tensor:
    """E2M1 numbers times an E4M3 scale of the group and one of all groups, which puts the largest at 6 x 448."""
    magnitudes = groups.abs().amax(1, keepdim=True)
    whole = magnitudes.max() / (6 * 448)
    scale = _binary(3, -6, magnitudes / 6 / whole.where(whole > 0, 1)) * whole
    return _listed(_E2M1, (groups / scale.where(scale > 0, torch.inf)).clamp(-6, 6)) * scale


def _half_scaled(largest: float, groups: Tensor) -> Tensor:
    """Integers times an FP16 scale, by which the largest magnitude is `largest`; codes by the scale before that."""
    scale = groups.abs().amax(1, keepdim=True) / largest
    return (groups / scale.where(scale > 0, 1)).round() * _binary(10, -14, scale)


def _minus_eight(groups: Tensor) -> Tensor:
    """Integers -8 to 7 times an FP16 scale, by which the number of largest magnitude is -8."""
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    scale = torch.where(-low >= high, -low, -high) / 8
    return (groups / scale.where(scale != 0, 1)).round().clamp(-8, 7) * _binary(10, -14, scale)


def _parts(groups: Tensor) -> Tensor:
    """Groups of eight parts, each on 16 steps up from a minimum; steps and minima 6-bit multiples of two FP16 scales.

    Each part's own are those of the smallest weighted squared error among least squares on its codes for ranges from 14
    to 16 steps, all from its least number: llama.cpp's search without its way from one range to the next.
    """
    parts = groups.view(len(groups), 8, 32)
    weights = parts.square().mean(2, keepdim=True).sqrt() + parts.abs()
    low, high = parts.amin(2, keepdim=True).clamp(max=0), parts.amax(2, keepdim=True)
    span = (high - low).where(high > low, 1)
    found = [
        _least_squares(parts, weights, ((parts - low) * (14 + 0.1 * step) / span).round().clamp(0, 15))
        for step in range(21)
    ]
    errors, steps, minima = (torch.stack(of) for of in zip(*found, strict=True))
    best = errors.argmin(0, keepdim=True)
    step, depth = (of.gather(0, best)[0] for of in (steps, -minima))
    step, depth = (_multiples(of) for of in (step.where(high > low, 0), depth.where(high > low, -low)))
    return (((parts + depth) / step.where(step > 0, torch.inf)).round().clamp(0, 15) * step - depth).view(groups.shape)


def _least_squares(parts: Tensor, weights: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted squared error, step and minimum, at most 0, of a straight line through `parts` over `codes`."""
    mean = (weights * parts).sum(2, keepdim=True) / weights.sum(2, keepdim=True).clamp(min=1e-300)
    centre = (weights * codes).sum(2, keepdim=True) / weights.sum(2, keepdim=True).clamp(min=1e-300)
    around = (weights * (codes - centre).square()).sum(2, keepdim=True).clamp(min=1e-300)
    step = (weights * (codes - centre) * (parts - mean)).sum(2, keepdim=True) / around
    low = mean - step * centre
    through_zero = (weights * codes * parts).sum(2, keepdim=True) / (weights * codes.square()).sum(2, keepdim=True)
    step, low = torch.where(low > 0, through_zero, step), low.clamp(max=0)
    return (weights * (step * codes + low - parts).square()).sum(2, keepdim=True), step, low


def _multiples(numbers: Tensor) -> Tensor:
    """Multiples 0 to 63 of an FP16 number: of the largest of each group (groups, parts, 1), over 63."""
    unit = numbers.amax(1, keepdim=True) / 63
    return (numbers / unit.where(unit > 0, 1)).round().clamp(0, 63) * _binary(10, -14, unit)


def _channels(of: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    return of(weight.flatten(1)).view(weight.shape)


def _blocks(of: Callable[[Tensor], Tensor], weight: Tensor, size: int = BLOCK) -> Tensor:
    flat = weight.flatten()
    # Zeros change neither the largest magnitude of the last block nor a range that holds zero.
    filled = torch.nn.functional.pad(flat, (0, -len(flat) % size)).view(-1, size)
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
    "mxfp4": partial(_blocks, _power_of_two, size=32),
    "nvfp4": partial(_blocks, _two_scales, size=16),
    "q8_0": partial(_blocks, partial(_half_scaled, 127.0), size=32),
    "q4_0": partial(_blocks, _minus_eight, size=32),
    "q4_k": partial(_blocks, _parts, size=256),
    "w4a4": partial(_blocks, partial(_scaled, _whole, 7.0)),
}
