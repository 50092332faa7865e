"""The camera of the miniature world: lens blur, Bayer mosaic, sensor noise, demosaicing, gamma, 8 bits.

It gives a render the kind of noise that forensic detectors look for in photographs: it is what makes a render "real".
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["LENS", "READ", "SHOT", "photograph"]

#: Camera: lens blur (pixels), shot noise (variance per unit light), read noise (standard deviation, linear light).
LENS, SHOT, READ = 0.55, 0.0012, 0.004


def photograph(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what the camera makes of linear light.

    Args:
        light: float32 (3, size, size), red, green and blue, even size; 0 to 1, more is clipped.
        rng: draws exposure (8 % up or down), then shot and read noise.

    Returns:
        uint8 array (size, size, 3), sRGB.
    """
    seen = ndimage.gaussian_filter(light, LENS, axes=(1, 2), truncate=3)
    seen = np.clip(seen * np.float32(rng.uniform(0.92, 1.08)), 0, 1)
    raw = np.empty(seen.shape[1:], np.float32)
    raw[0::2, 0::2], raw[1::2, 1::2] = seen[0, 0::2, 0::2], seen[2, 1::2, 1::2]
    raw[0::2, 1::2], raw[1::2, 0::2] = seen[1, 0::2, 1::2], seen[1, 1::2, 0::2]
    raw += rng.standard_normal(raw.shape, np.float32) * np.sqrt(SHOT * raw + READ**2)
    linear = np.clip(_demosaic(raw), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def _smooth(plane: np.ndarray, axis: int) -> np.ndarray:
    """[1, 2, 1] / 2 along one axis with mirrored borders, which keep the mosaic's parity."""
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 1)
    wide = np.pad(plane, pad, mode="reflect")
    cut = [slice(None), slice(None)]
    before, after = list(cut), list(cut)
    before[axis], after[axis] = slice(None, -2), slice(2, None)
    return plane + 0.5 * (wide[tuple(before)] + wide[tuple(after)])


def _demosaic(raw: np.ndarray) -> np.ndarray:
    """Bilinear demosaicing of an RGGB mosaic (size, size) to (3, size, size)."""
    out = np.zeros((3, *raw.shape), np.float32)
    out[0, 0::2, 0::2], out[2, 1::2, 1::2] = raw[0::2, 0::2], raw[1::2, 1::2]
    out[1, 0::2, 1::2], out[1, 1::2, 0::2] = raw[0::2, 1::2], raw[1::2, 0::2]
    out[0], out[2] = _smooth(_smooth(out[0], 0), 1), _smooth(_smooth(out[2], 0), 1)
    # Green lies on a quincunx: a missing site is the mean of its four neighbours.
    out[1] = 0.5 * (_smooth(out[1], 0) + _smooth(out[1], 1))
    out[1, 0::2, 1::2], out[1, 1::2, 0::2] = raw[0::2, 1::2], raw[1::2, 0::2]
    return out
