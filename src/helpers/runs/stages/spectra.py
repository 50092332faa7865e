"""Measure the spectra of a run's images: a row per image, and a row of patterns per source.

spectra.parquet    one row per image: generator, precision, arm, size, label, index, image_sha256; `high`, `share`,
                   `residual`, `npr`, `period_2`, `period_4`, `period_8`; `radial`, a list of S/2 + 1 levels in dB
patterns.parquet   one row per source: generator, precision, arm, size, label, images; `autocorrelation` of the
                   residuals, flattened, lags 0 to L down by -L to L across; `own`, the products of its fingerprint's
                   folds with each other, and `cross`, with those of the generator's images at the baseline, both
                   flattened

The methods and their units are in `helpers.images.spectra`. `residual` is the mean square of an image's residual.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from scipy import fft

from helpers.images import spectra
from helpers.runs.plan import Plan, Source
from helpers.runs.progress import each
from helpers.runs.stages import cache
from helpers.runs.store import Store

__all__ = ["METHOD", "Residuals", "measures", "pattern", "write"]

#: To be raised when what is measured, or how it is stored, changes here: parts made by another number are made again.
METHOD = 1


def write(plan: Plan, store: Store, *, progress: bool = True) -> bool:
    """Write spectra.parquet and patterns.parquet of what is scored in a run's folder; says whether anything is new.

    A source is measured where its first scored images are at hand with the pixels that were scored; what was measured
    of the same pixels by the same methods is kept.
    """
    digests = cache.scored(store)
    method = f"spectra {spectra.METHOD}.{METHOD}"
    read = functools.lru_cache(maxsize=2)(lambda source: _residuals(store, source, digests.get(source)))
    sources = [source for source in plan.recipes if source in digests]
    rows, patterns = [], []
    for source in each(sources, "spectra", progress, "cells"):
        base, of = Source(source.generator, plan.baseline, plan.arm, source.size, 1), digests[source]
        make = functools.partial(_rows, store, source, of)
        rows.append(cache.cached(store, f"spectra/{source.folder}", [method, *of], make))
        make = functools.partial(_pattern, source, base, read)
        both = [method, *of, "", *digests.get(base, ())]
        patterns.append(cache.cached(store, f"patterns/{source.folder}", both, make))
    return cache.publish(store, {"spectra.parquet": rows, "patterns.parquet": patterns})


def _rows(store: Store, source: Source, digests: pd.Series) -> pd.DataFrame | None:
    batches = cache.read_verified(store, source, digests)
    if batches is None:
        return None
    frames = [measures(pixels).assign(index=index) for pixels, index in batches]
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.assign(**dict(zip(cache.CELL, astuple(source), strict=True)), image_sha256=digests.to_numpy())
    own = [*cache.CELL, "index", "image_sha256"]
    return rows[own + [name for name in rows if name not in own]]


def measures(pixels: np.ndarray) -> pd.DataFrame:
    """One row for each of the RGB images (N, S, S, 3), uint8, with the figures of spectra.parquet."""
    images = spectra.grey(pixels)
    power = spectra.power(images)
    high, share = spectra.high_energy(power)
    figures = {"high": high, "share": share, "residual": (spectra.residual(images) ** 2).mean(axis=(1, 2))}
    figures |= {"npr": spectra.npr_energy(pixels)}
    peaks = spectra.period_peaks(images)
    figures |= {f"period_{period}": peaks[:, place] for place, period in enumerate(spectra.PERIODS)}
    curves = 10 * np.log10(np.maximum(spectra.radial(power), 1e-3))
    frame = pd.DataFrame({name: values.astype(np.float32) for name, values in figures.items()})
    return frame.assign(radial=list(curves.round(2).astype(np.float32)))


@dataclass(frozen=True)
class Residuals:
    """What is kept of a source's residuals: sums by fold (folds, S * S), mean |FFT|^2 (S, S), how many images."""

    sums: np.ndarray
    spectrum: np.ndarray
    images: int


def _residuals(store: Store, source: Source, digests: pd.Series | None) -> Residuals | None:
    batches = None if digests is None else cache.read_verified(store, source, digests)
    if batches is None:
        return None
    sums, spectrum = np.float64(0), np.float64(0)
    for pixels, index in batches:
        found = spectra.residual(spectra.grey(pixels))
        found -= found.mean(axis=(1, 2), keepdims=True)
        sums = sums + spectra.fold_sums(found, index)
        spectrum = spectrum + (np.abs(fft.fft2(found)) ** 2).sum(axis=0)
    return Residuals(sums, spectrum / len(digests), len(digests))


def _pattern(source: Source, base: Source, read: Callable[[Source], Residuals | None]) -> pd.DataFrame | None:
    own = read(source)
    if own is None:
        return None
    cell = dict(zip(cache.CELL, astuple(source), strict=True))
    return pd.DataFrame([cell | pattern(own, read(base))])


def pattern(own: Residuals, base: Residuals | None) -> dict[str, object]:
    """The figures of patterns.parquet for one source, beside the generator's at the baseline where there are any."""
    around = spectra.autocorrelation(own.spectrum)
    found = {"images": own.images, "autocorrelation": around[len(around) // 2 :].round(4)}
    found["own"] = spectra.fold_products(own.sums, own.sums)
    found["cross"] = np.empty((0, 0)) if base is None else spectra.fold_products(base.sums, own.sums)
    return {
        name: value.astype(np.float32).ravel() if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }
