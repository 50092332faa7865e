"""Weights of 32 bits without their last eight, wherever no format's rounding depends on these.

The lab's page loads a generator's weights once and rounds them on the device. The last digits of a fraction look random
and do not compress: left out, a UNet takes a quarter less to travel, and what is rounded from it stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from helpers.precision.catalogue import BLOCK, PRECISIONS, UNQUANTIZED
from helpers.precision.formats import FORMATS

__all__ = ["LARGEST_CHANGE", "shortened"]

#: The bits of a single-precision number that are left out, the last of its fraction's 23.
_BITS = 8
#: By no more than this share of itself a number changes: half of the last digit that it keeps.
LARGEST_CHANGE = 2.0 ** (_BITS - 24)


def shortened(values: np.ndarray, scope: str) -> np.ndarray:
    """A finite float32 weight (out, ...) with as many numbers cut to the nearest that have a fraction of 15 bits as
    leave what every format makes of it the same, to the last bit; the others are whole.

    Casts make something of it and, where `scope` is "layers", formats of layers too. A number changes by no more than
    `LARGEST_CHANGE` of itself.
    """
    scopes = {"component", scope}
    keys = [key for key in PRECISIONS.own if PRECISIONS[key].scope in scopes and not PRECISIONS[key].inputs]
    keys.remove(UNQUANTIZED)
    short, wanted = _nearest(values), _rounded(values, keys)
    whole = _extremes(values) if scope == "layers" else np.zeros(values.shape, bool)
    while True:
        found = np.where(whole, values, short)
        off = (_rounded(found, keys) != wanted).any(axis=0)
        if not off.any():
            return found
        # A number that is whole already is off by others of its block.
        whole |= next(more for more in (off, _neighbours(off), True) if np.any(more & ~whole))


def _nearest(values: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(2 ** (_BITS - 1))) & np.uint32(2**32 - 2**_BITS)).view(np.float32)


def _rounded(values: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """The bits of what each format makes of a weight: (formats, *shape of the weight)."""
    weight = torch.tensor(values)
    return np.stack([FORMATS[key].rounded(weight).numpy().view(np.uint32) for key in keys])


def _extremes(values: np.ndarray) -> np.ndarray:
    """Where a number is the least or the largest of its block or its channel: on it rests a scale of 32 bits."""
    flat = values.ravel()
    blocks = np.pad(flat, (0, -flat.size % BLOCK), mode="edge").reshape(-1, BLOCK)
    found = np.zeros(flat.size, bool)
    for groups in (blocks, values.reshape(len(values), -1)):
        starts = np.arange(len(groups)) * groups.shape[1]
        for place in (groups.argmin(1), groups.argmax(1)):
            found[np.minimum(starts + place, flat.size - 1)] = True
    return found.reshape(values.shape)


def _neighbours(off: np.ndarray) -> np.ndarray:
    """All numbers of the longest block of any format around each one that is off."""
    longest = max(row.group for row in map(PRECISIONS.__getitem__, PRECISIONS.own) if isinstance(row.group, int))
    starts = np.arange(0, off.size, longest)
    return np.repeat(np.logical_or.reduceat(off.ravel(), starts), longest)[: off.size].reshape(off.shape)
