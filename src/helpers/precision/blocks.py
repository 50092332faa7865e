"""Formats with block scales of their own: MXFP4 and NVFP4 (E2M1), and GGUF's Q8_0, Q4_0 and Q4_K. Rounded only.

A block is so many consecutive weights in row-major order, as in every format of blocks here. Where the rows of a weight
are whole numbers of blocks, as the libraries ask for, these are the libraries' blocks. Where they are not, a block runs
on into the next row, and the last one of a weight is filled up with zeros; there llama.cpp takes another type for the
weight (Q5_0 for Q4_K, 16 bits where a row is no whole number of 32).

All is computed in single precision, and the result is given in the weight's type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

__all__ = ["CODE", "E2M1_MAX", "PARTS", "ROUNDED", "SIX_BITS", "TRIED"]

#: The largest E2M1 number, the exponent of the largest, and the largest E4M3 number.
E2M1_MAX, _E2M1_EXPONENT, _E4M3_MAX = 6.0, 2, 448.0
#: Parts of a Q4_K block, its largest code, and the largest of its 6-bit scales and minima.
PARTS, CODE, SIX_BITS = 8, 15, 63
#: Blocks of Q4_K that are searched at once: their search takes many times their own memory.
_AT_ONCE = 1024
#: Ranges that llama.cpp tries for a part of Q4_K, in codes: from one code less than there are to one more.
TRIED = tuple(CODE - 1 + 0.1 * step for step in range(21))


def _in_blocks(round_: Callable[[Tensor], Tensor], size: int, weight: Tensor) -> Tensor:
    """`round_` of blocks of `size` consecutive weights (blocks, size), within the range of the weight's type."""
    flat = weight.detach().float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % size)).view(-1, size)
    largest = torch.finfo(weight.dtype).max
    found = round_(blocks).flatten()[: len(flat)].view(weight.shape)
    return found.clamp(-largest, largest).to(weight.dtype)


def _e2m1(numbers: Tensor) -> Tensor:
    """The nearest E2M1 numbers, ties to even, those beyond the largest to it."""
    exponent = (torch.frexp(numbers).exponent - 1).clamp(min=0, max=_E2M1_EXPONENT)
    step = torch.ldexp(torch.full_like(numbers, 0.5), exponent)
    return ((numbers / step).round() * step).clamp(-E2M1_MAX, E2M1_MAX)


def _half(numbers: Tensor) -> Tensor:
    """Rounded to FP16."""
    return numbers.half().float()


def _inverse(scale: Tensor, numerator: float = 1.0) -> Tensor:
    """numerator / scale; 0 where that is no number, so that a block without magnitude becomes zeros."""
    found = numerator / scale
    return found.where(torch.isfinite(found), 0)


def _mxfp4(blocks: Tensor) -> Tensor:
    """OCP Microscaling v1.0, section 6.3: the scale is 2 ** (floor(log2(largest magnitude)) - 2) in E8M0."""
    exponent = torch.frexp(blocks.abs().amax(1, keepdim=True)).exponent - 1 - _E2M1_EXPONENT
    scale = torch.ldexp(torch.ones_like(blocks[:, :1]), exponent.clamp(-127, 127))
    return _e2m1(blocks / scale) * scale


def _nvfp4(blocks: Tensor) -> Tensor:
    """NVFP4 as in arXiv 2509.25149, appendix: the weight's scale puts its largest magnitude at 448 x 6, a block's,
    rounded to E4M3, its own at 6. A block too small for the least E4M3 number becomes zeros.
    """
    magnitudes = blocks.abs().amax(1, keepdim=True)
    whole = magnitudes.max() / (E2M1_MAX * _E4M3_MAX) if len(blocks) else magnitudes.new_tensor(0.0)
    shares = (magnitudes / E2M1_MAX * _inverse(whole)).clamp(max=_E4M3_MAX)
    scale = shares.to(torch.float8_e4m3fn).float() * whole
    return _e2m1(blocks / scale.where(scale > 0, torch.inf)) * scale


def _q8_0(blocks: Tensor) -> Tensor:
    """GGUF Q8_0: integers by the scale before its rounding to FP16, halves away from zero."""
    scale = blocks.abs().amax(1, keepdim=True) / 127
    scaled = blocks * _inverse(scale)
    return (scaled.abs() + 0.5).floor().clamp(max=127) * scaled.sign() * _half(scale)


def _q4_0(blocks: Tensor) -> Tensor:
    """GGUF Q4_0: the number of largest magnitude (the first of them) is -8 times the scale, whatever its sign."""
    scale = blocks.gather(1, blocks.abs().argmax(1, keepdim=True)) / -8
    return ((blocks * _inverse(scale) + 8.5).floor().clamp(0, 15) - 8) * _half(scale)


def _q4_k(blocks: Tensor) -> Tensor:
    """GGUF Q4_K without an importance matrix: each of eight parts on 16 equal steps from a minimum that is not above 0.

    A part's step and minimum are searched (`_searched`), then rounded to 6-bit multiples of the block's two FP16
    scales; last the codes are the nearest to these.
    """
    return torch.cat([_q4_k_few(few) for few in blocks.split(_AT_ONCE)])


def _q4_k_few(blocks: Tensor) -> Tensor:
    parts = blocks.unflatten(1, (PARTS, -1))
    step, low = (_six_bits(found) for found in _searched(parts))
    codes = ((parts + low) / step.where(step > 0, torch.inf)).round().clamp(0, CODE)
    return (codes * step - low).flatten(1)


def _searched(parts: Tensor) -> tuple[Tensor, Tensor]:
    """Step and negated minimum (blocks, parts, 1) of each part (blocks, parts, 32), as llama.cpp searches them.

    Numbers count by their magnitude plus the part's root mean square. The start is the part's own range, widened to
    hold 0; then codes are made for `TRIED` ranges, each from the best minimum so far, and step and minimum fitted to
    them by weighted least squares, a minimum above 0 becoming 0. What leaves the smallest weighted error is kept.
    """
    weights = parts.square().mean(-1, keepdim=True).sqrt() + parts.abs()
    low, high = parts.amin(-1, keepdim=True).clamp(max=0), parts.amax(-1, keepdim=True)
    step = (high - low) / CODE
    best = _error(parts, weights, _codes(parts, low, _inverse(high - low, CODE)), step, low)
    for codes_wide in TRIED:
        codes = _codes(parts, low, _inverse(high - low, codes_wide))
        tried, minimum, known = _fitted(parts, weights, codes)
        error = _error(parts, weights, codes, tried, minimum)
        better = known & (error < best)
        step, low, best = tried.where(better, step), minimum.where(better, low), error.where(better, best)
    return step, -low


def _codes(parts: Tensor, low: Tensor, inverse: Tensor) -> Tensor:
    return ((parts - low) * inverse).round().clamp(0, CODE)


def _error(parts: Tensor, weights: Tensor, codes: Tensor, step: Tensor, low: Tensor) -> Tensor:
    return (weights * (step * codes + low - parts).square()).sum(-1, keepdim=True)


def _fitted(parts: Tensor, weights: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Step and minimum of the weighted least squares of `parts` on `codes`, and whether there is one."""
    sums = [(weights * of).sum(-1, keepdim=True) for of in (1, parts, codes, codes * codes, codes * parts)]
    whole, of_parts, of_codes, of_squares, of_products = sums
    spread = whole * of_squares - of_codes * of_codes
    step = (whole * of_products - of_parts * of_codes) / spread
    low = (of_squares * of_parts - of_codes * of_products) / spread
    step = step.where(low <= 0, of_products / of_squares)
    # A line through codes that are all the same is any line; the spread is then not 0 but what rounding leaves of it.
    return step, low.clamp(max=0), codes.amax(-1, keepdim=True) > codes.amin(-1, keepdim=True)


def _six_bits(numbers: Tensor) -> Tensor:
    """Numbers (blocks, parts, 1), rounded to multiples 0 to 63 of the block's largest / 63 in FP16; none is below 0."""
    largest = numbers.amax(1, keepdim=True).clamp(min=0)
    multiples = (numbers * _inverse(largest, SIX_BITS)).round().clamp(0, SIX_BITS)
    return multiples * _half(largest / SIX_BITS)


#: Key -> weight -> the nearest weight that the format can hold, of the same shape and type.
ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {
    "mxfp4": partial(_in_blocks, _mxfp4, 32),
    "nvfp4": partial(_in_blocks, _nvfp4, 16),
    "q8_0": partial(_in_blocks, _q8_0, 32),
    "q4_0": partial(_in_blocks, _q4_0, 32),
    "q4_k": partial(_in_blocks, _q4_k, 256),
}
