"""How far two pictures of one prompt and seed lie apart: pixel by pixel, and as an eye would have it. No torch.

Neither tells why they differ: another scene and another grain may give the same figure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from helpers.images.spectra import grey

__all__ = ["METHOD", "gmsd", "psnr"]

#: To be raised when a figure of this module changes: what runs measured by another number is made again.
METHOD = 1

#: Of the gradient magnitude's similarity, for levels of 255 (Xue et al. 2014, section III-B).
_STABLE = 170.0


def psnr(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Peak signal-to-noise ratio (N,) in dB of RGB pixels (N, H, W, 3), uint8, over all channels; inf where equal.

    10 log10(255^2 / mean squared difference).
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    square = (difference**2).mean(axis=(1, 2, 3))
    return 20 * np.log10(255) - 10 * np.log10(square, out=np.full(len(square), -np.inf), where=square > 0)


def gmsd(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Gradient magnitude similarity deviation (N,) of RGB pixels (N, H, W, 3), uint8: 0 where equal, larger is further.

    Xue, Zhang, Mou & Bovik, IEEE Trans. Image Process. 23(2), 2014 (arXiv 1308.3052), as they define it: luminance
    halved by 2 x 2 means, Prewitt's gradients with zeros around the picture, and the standard deviation over the
    picture of the gradient magnitudes' similarity. It sees edges and grain, not tone or colour, and needs no weights;
    SSIM over several scales asks for pictures larger than the miniatures' 64 pixels. An odd last row or column is left
    out.
    """
    one, two = (_gradient(_halved(grey(pixels))) for pixels in (first, second))
    return ((2 * one * two + _STABLE) / (one**2 + two**2 + _STABLE)).std(axis=(1, 2))


def _halved(images: np.ndarray) -> np.ndarray:
    """Means (N, H/2, W/2) of the 2 x 2 blocks of images (N, H, W)."""
    height, width = (side // 2 for side in images.shape[1:])
    return images[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2).mean(axis=(2, 4))


def _gradient(images: np.ndarray) -> np.ndarray:
    """Magnitude (N, H, W) of Prewitt's gradient of images (N, H, W), its kernels divided by 3."""
    along = []
    for axis, across in ((1, 2), (2, 1)):
        steps = ndimage.correlate1d(images, [-1.0, 0.0, 1.0], axis=axis, mode="constant")
        along.append(ndimage.uniform_filter1d(steps, 3, axis=across, mode="constant"))
    return np.hypot(*along)
