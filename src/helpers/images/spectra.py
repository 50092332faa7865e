"""Traces that generation leaves in images: spectra, residuals, periods, fingerprints, and filters that change spectra.

Arrays in, numbers out. Images are square greys (N, S, S) in levels of 0 to 255 unless a function says otherwise;
frequencies are counted in cycles per image, so that Nyquist's is S/2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft, ndimage

__all__ = [
    "FOLDS",
    "LAGS",
    "METHOD",
    "PERIODS",
    "autocorrelation",
    "correlation",
    "filtered",
    "fold_products",
    "fold_sums",
    "grey",
    "high_energy",
    "npr_energy",
    "period_peaks",
    "power",
    "radial",
    "reliability",
    "residual",
]

#: To be raised when a figure or a filter of this module changes: what runs measured by another number is made again.
METHOD = 1

#: Periods, in pixels, at which upsampling leaves peaks.
PERIODS = (2, 4, 8)

#: Largest lag, in pixels, of the autocorrelation that is kept.
LAGS = 16

#: Groups of prompts whose residuals are summed, so that fingerprints can be resampled without their images.
FOLDS = 20


def grey(pixels: ArrayLike) -> np.ndarray:
    """Luminance (N, S, S) in levels of 255, unrounded, of RGB pixels (N, S, S, 3) (ITU-R BT.601, as PIL has it)."""
    return np.asarray(pixels, dtype=np.float64) @ np.array([0.299, 0.587, 0.114])


def power(images: np.ndarray) -> np.ndarray:
    """Power spectra (N, S, S) in levels squared: mean removed, Hann window, white noise of variance v has v everywhere.

    Without the window, the step between opposite edges would spread over all frequencies.
    """
    size = images.shape[-1]
    line = np.hanning(size + 2)[1:-1]
    window = np.outer(line, line)
    spectrum = fft.fft2((images - images.mean(axis=(-2, -1), keepdims=True)) * window)
    return np.abs(spectrum) ** 2 / (window**2).sum()


def _radius(size: int) -> np.ndarray:
    line = np.fft.fftfreq(size, 1 / size)
    return np.hypot(line[:, None], line[None, :])


def radial(spectra: np.ndarray) -> np.ndarray:
    """The azimuthal mean (N, S/2 + 1) of power spectra (N, S, S), in bins one cycle wide, from 0 to Nyquist's.

    Durall, Keuper & Keuper, CVPR 2020; the mean in place of their sum, so that white noise is flat.
    """
    size = spectra.shape[-1]
    bins = np.rint(_radius(size)).astype(int).ravel()
    counts = np.bincount(bins)[: size // 2 + 1]
    sums = [np.bincount(bins, weights=spectrum.ravel())[: size // 2 + 1] for spectrum in spectra]
    return np.array(sums).reshape(-1, size // 2 + 1) / counts


def high_energy(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Above half Nyquist's frequency: the mean power in levels squared (N,), and the share of all energy (N,) in 0..1.

    `spectra` (N, S, S); frequencies beyond Nyquist's on the diagonals belong to it.
    """
    high = _radius(spectra.shape[-1]) > spectra.shape[-1] / 4
    above, total = spectra[:, high], spectra.sum(axis=(1, 2))
    share = np.divide(above.sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
    return above.mean(axis=1), share


def residual(images: np.ndarray) -> np.ndarray:
    """Images less their 3 x 3 median (N, S, S): what is finer than a scene's shapes.

    The place of the denoising network of Corvi et al. (CVPR Workshops 2023) is taken by a filter without parameters or
    weights, which keeps edges and drops what is a pixel wide; edges that bend remain in part.
    """
    return images - ndimage.median_filter(images, size=(1, 3, 3), mode="mirror")


def autocorrelation(spectrum: np.ndarray, lags: int = LAGS) -> np.ndarray:
    """Autocorrelation (2L + 1, 2L + 1) that belongs to a mean |FFT|^2 (S, S) of residuals, 1 at lag 0 in its centre.

    Corvi et al., CVPR Workshops 2023. L is `lags`, or as many as an image has. All zero where there is no energy.
    """
    lags = min(lags, spectrum.shape[-1] // 2 - 1)
    whole = np.fft.fftshift(fft.ifft2(spectrum).real)
    centre = spectrum.shape[-1] // 2
    kept = whole[centre - lags : centre + lags + 1, centre - lags : centre + lags + 1]
    return kept / kept[lags, lags] if kept[lags, lags] > 0 else np.zeros_like(kept)


def period_peaks(images: np.ndarray, periods: Sequence[int] = PERIODS) -> np.ndarray:
    """How far the cross-difference stands out at each period: (N, P), 1 where there is no peak.

    |I(x, y) - I(x+1, y) - I(x, y+1) + I(x+1, y+1)| (Synthbuster: Bammey, IEEE OJSP 2024) of an upsampled image repeats
    with the factor's period. The power at the frequencies of a period p (multiples of 1/p cycles a pixel, along either
    axis, that no shorter period has) is divided by that of their neighbours, up to two bins away.
    """
    cross = images[:, :-1, :-1] - images[:, 1:, :-1] - images[:, :-1, 1:] + images[:, 1:, 1:]
    size = cross.shape[-1] // max(periods) * max(periods)  # else a period falls between bins
    spectra = np.abs(cross[:, :size, :size])
    spectra = np.abs(fft.fft2(spectra - spectra.mean(axis=(1, 2), keepdims=True))) ** 2
    line = np.arange(size)
    step = {p: line % (size // p) == 0 for p in sorted(periods)}
    lattice = {p: on[:, None] & on[None, :] for p, on in step.items()}
    special = lattice[max(periods)]
    ratios = []
    for period in periods:
        shorter = [lattice[p] for p in periods if p < period and period % p == 0]
        own = lattice[period] & ~np.any([np.zeros_like(special), *shorter], axis=0)
        own[0, 0] = False
        near = ndimage.binary_dilation(np.tile(own, (3, 3)), np.ones((5, 5)))[size : 2 * size, size : 2 * size]
        around = spectra[:, near & ~special].mean(axis=1)
        at = spectra[:, own].mean(axis=1)
        ratios.append(np.divide(at, around, out=np.ones(len(at)), where=around > 0))
    return np.stack(ratios, axis=1)


def npr_energy(pixels: ArrayLike) -> np.ndarray:
    """Root mean square (N,) in levels of what NPR sees of RGB pixels (N, H, W, 3): each pixel less its 2 x 2 block's
    first.

    Tan et al., CVPR 2024: the image less its nearest-neighbour down- and upsampled copy; their factor 2/3 left out.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    height, width = (side // 2 * 2 for side in pixels.shape[1:3])
    pixels = pixels[:, :height, :width]
    first = pixels[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    return np.sqrt(((pixels - first) ** 2).mean(axis=(1, 2, 3)))


def fold_sums(residuals: np.ndarray, index: ArrayLike, folds: int = FOLDS) -> np.ndarray:
    """Sums (folds, S * S) of residuals (N, S, S) over the prompts index (N,), dealt to folds by index modulo folds."""
    sums = np.zeros((folds, residuals.shape[1] * residuals.shape[2]))
    np.add.at(sums, np.asarray(index) % folds, residuals.reshape(len(residuals), -1))
    return sums


def fold_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products per pixel (folds, folds) of two cells' fold sums (folds, S * S).

    They hold all that the correlation of mean residuals needs, of all prompts or of some drawn again.
    """
    return first @ second.T / first.shape[1]


def correlation(cross: np.ndarray, first: np.ndarray, second: np.ndarray, drawn: ArrayLike | None = None) -> np.ndarray:
    """Correlation (R,) of the fingerprints of two cells, that is of the residuals that all their images share.

    `cross`, `first`, `second` (folds, folds) are the products of one cell's folds with the other's and of each with
    itself; `drawn` (R, folds) says how often a fold counts in each resample (once by default). Mean residuals (Marra et
    al., MIPR 2019) of the same prompts agree because they show the same scenes; here only products of different
    folds, hence of different scenes, count, and so the estimate is not lowered by the noise of few images either: 1 for
    the same fingerprint, 0 for unrelated ones, either side of that by chance. NaN where a cell has none.
    """
    weights = np.ones((1, len(cross))) if drawn is None else np.asarray(drawn, dtype=np.float64)
    shared, one, two = (_between(products, weights) for products in (cross, first, second))
    found = (one > 0) & (two > 0)
    return np.where(found, shared / np.sqrt(np.where(found, one * two, 1.0)), np.nan)


def _between(products: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum (R,) of the products (folds, folds) of different folds."""
    return np.einsum("rk,kl,rl->r", weights, products - np.diag(np.diag(products)), weights)


def reliability(own: np.ndarray) -> float:
    """Share of a mean residual's energy that different prompts have in common, from its own products (folds, folds).

    It is what two mean residuals of as many, but other, images would correlate by; near 0 there is no fingerprint.
    """
    one = np.ones((1, len(own)))
    total = float(own.sum())
    return float(_between(own, one)[0]) * len(own) / (len(own) - 1) / total if total > 0 else 0.0


def filtered(pixels: ArrayLike, gain: ArrayLike) -> np.ndarray:
    """RGB pixels (N, S, S, 3), uint8, with each radial frequency of each channel multiplied by its gain (S/2 + 1,).

    Gains belong to the bins of `radial`, with straight lines between and the last one beyond Nyquist's frequency; the
    mean is kept. In the cosine transform, whose images continue as in a mirror at the edge, not as in a wrap.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    size = pixels.shape[1]
    line = np.arange(size) / 2
    radius = np.hypot(line[:, None], line[None, :])
    factor = np.interp(radius, np.arange(len(np.asarray(gain))), gain)
    factor[0, 0] = 1.0
    spectrum = fft.dctn(pixels, axes=(1, 2), norm="ortho") * factor[None, :, :, None]
    return fft.idctn(spectrum, axes=(1, 2), norm="ortho").round().clip(0, 255).astype(np.uint8)
