"""Public ladders of images measured: each image against its ladder's baseline, from the pictures themselves.

A folder of ladders has the images and a `manifest.csv` that says of each whose it is, what was quantized and which
image it is set against. The images are other people's and are not stored here; `summary(measure(folder))` makes the
table that is, `results/published/ladders.csv`, which `helpers.analysis.real_ladders` reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from helpers.images import spectra

__all__ = ["BLOCK", "CROP", "FIGURES", "figures", "high_level", "measure", "psnr", "residual_median", "summary"]

#: Side of the centre crop whose spectrum is taken, in pixels, where an image is as large.
CROP = 512

#: Side of the blocks over which the residual's mean is taken before the median, in pixels.
BLOCK = 16

#: Digits that are kept of each figure of the summary.
FIGURES = {"psnr_db": 2, "high_db": 3, "power_db": 3, "npr_change": 4, "residual_change": 4}

#: Columns of a manifest that the summary takes over, with their names there.
SAID = {
    "ladder": "ladder", "model": "model", "family": "family", "role": "role", "bits": "bits", "format": "technique",
    "what_is_quantized": "quantized", "width": "width", "height": "height", "source_repo": "source",
    "source_path": "path", "commit": "commit", "licence": "licence", "sha256": "sha256",
}  # fmt: skip


def psnr(image: np.ndarray, baseline: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of RGB pixels (H, W, 3) of 0 to 255, over all pixels and channels.

    Infinite where both are the same. Raises ValueError where they differ in size.
    """
    error = float(((np.asarray(image, dtype=np.float64) - baseline) ** 2).mean())
    return 10 * np.log10(255**2 / error) if error else np.inf


def _centre(grey: np.ndarray) -> np.ndarray:
    size = min(CROP, *grey.shape)
    top, left = ((side - size) // 2 for side in grey.shape)
    return grey[top : top + size, left : left + size]


def high_level(grey: np.ndarray) -> float:
    """Mean log power in dB between half Nyquist's frequency and Nyquist's of a square grey (S, S) of 0 to 255.

    The power is of levels of 0 to 1, under a Hann window that ends in zeros. A mean of logarithms counts every
    frequency alike, where the mean power of `spectra.high_energy` counts what stands out: the two may differ in sign.
    """
    line = np.hanning(len(grey))
    power = np.abs(np.fft.fft2((grey - grey.mean()) / 255 * np.outer(line, line))) ** 2
    cycles = np.fft.fftfreq(len(grey))
    radius = np.hypot(cycles[:, None], cycles[None, :])
    return float((10 * np.log10(power[(radius > 0.25) & (radius <= 0.5)] + 1e-12)).mean())


def residual_median(grey: np.ndarray) -> float:
    """Median over blocks of 16 x 16 pixels of how far a grey (H, W) lies from its 3 x 3 median, in levels.

    Of blocks, as levels are whole numbers: the median over pixels of a smooth image is 0. The edge is repeated beyond
    itself, where `spectra.residual` leaves it out: at the border that residual is larger.
    """
    height, width = (side // BLOCK for side in grey.shape)
    size = np.abs(grey - ndimage.median_filter(grey, 3, mode="reflect"))[: height * BLOCK, : width * BLOCK]
    return float(np.median(size.reshape(height, BLOCK, width, BLOCK).mean(axis=(1, 3))))


def figures(pixels: np.ndarray) -> dict[str, float]:
    """What is measured of one image, RGB (H, W, 3) of 0 to 255.

    `high_level` in dB; `power`, the mean power above half Nyquist's frequency in levels squared (the book's own measure
    of fine detail); `residual_median` in levels; `npr_energy`, the RMS of NPR's residual, of 0 to 1.
    """
    grey = spectra.grey(pixels)
    crop = _centre(grey)
    return {
        "high_level": high_level(crop),
        "power": float(spectra.high_energy(spectra.power(crop[None]))[0][0]),
        "residual_median": residual_median(grey),
        "npr_energy": float(spectra.npr_energy(pixels[None])[0] / 255),
    }


def measure(folder: Path) -> pd.DataFrame:
    """Every image of a folder of ladders with its figures, one row per row of its manifest and in its order.

    The manifest's own words under the summary's names, `file` and `baseline_file`; the columns of `figures`; `psnr_db`
    against the baseline, NaN for a baseline. Raises OSError where an image is missing.
    """
    said = pd.read_csv(folder / "manifest.csv", dtype={"baseline_file": str}, keep_default_na=False)
    rows = []
    for row in said.itertuples():
        pixels = _pixels(folder / row.file)
        found = figures(pixels)
        found["psnr_db"] = psnr(pixels, _pixels(folder / row.baseline_file)) if row.baseline_file else np.nan
        rows.append(found)
    kept = said[["file", "baseline_file", *SAID]].rename(columns=SAID)
    return pd.concat([kept, pd.DataFrame(rows)], axis=1)


def _pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def summary(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per image that is set against another, from the table of `measure`, with what is known of it.

    `psnr_db`; `high_db` and `power_db`, the change of fine detail as `high_level` and as `power` have it, in dB;
    `npr_change` and `residual_change`, the relative change of NPR's residual energy and of the residual's median;
    `baseline_sha256` beside the image's own; then the words of the manifest.
    """
    whole = measured.set_index("file")
    pairs = whole[whole.baseline_file != ""].reset_index()
    before = whole.loc[pairs.baseline_file].reset_index(drop=True)
    pairs = pairs.assign(
        high_db=pairs.high_level - before.high_level,
        power_db=10 * np.log10(pairs.power / before.power),
        npr_change=pairs.npr_energy / before.npr_energy - 1,
        residual_change=pairs.residual_median / before.residual_median - 1,
        baseline_sha256=before.sha256,
    )
    what = list(SAID.values())
    split = what.index("width")
    return pairs[[*what[:split], *FIGURES, *what[split:], "baseline_sha256"]].round(FIGURES)
