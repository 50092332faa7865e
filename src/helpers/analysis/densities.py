"""Densities of scores, with bands."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from helpers.analysis.stats import metrics
from helpers.core.scores import probability
from helpers.results.results import Results

__all__ = ["densities"]


def densities(results: Results, points: int = 61) -> pd.DataFrame:
    """Smoothed densities of the scores, one row per generator, detector, scale and x; one column per precision.

    Beside each precision's column are its `_low` and `_high`, at every x a 95 % interval from a bootstrap by prompt.
    Its `_mean` is that of the scores themselves: a smoothed curve that is cut off at its ends has another.
    `threshold` is the detector's on that scale, NaN where it has none.
    On the scale "score" x is the probability in [0, 1] and the smoothing is reflected at both ends, so that mass at
    1.0 stays there. On the scale "logit" x spans the middle 99.8 % of that detector's fakes of this generator. Of
    detectors whose scale is unsaid there are the scores as they are, under "logit".
    """
    frames = [
        frame.assign(**results.titled(generator, "", detector))
        for generator, detector in product(results.generators, results.detectors)
        for frame in _curves(results, generator, detector, points)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _curves(results: Results, generator: str, detector: str, points: int) -> list[pd.DataFrame]:
    """The rows of one generator and detector, a frame for each scale."""
    logits = {p: results.logits(detector, generator, p).to_numpy() for p in results.precisions}
    logits = {p: values for p, values in logits.items() if len(values)}
    if not logits:
        return []
    limit = results.threshold_of(detector)
    limits = {"score": float(probability(limit)), "logit": limit}
    grids = {"score": np.linspace(0, 1, points), "logit": _span(np.concatenate(list(logits.values())), points)}
    frames = []
    for scale in grids if detector not in results.unsaid else ("logit",):
        curves, means = {"x": grids[scale]}, {}
        for precision, values in logits.items():
            curve, bottom, top = _density(values, grids[scale], scale)
            curves |= {precision: curve, f"{precision}_low": bottom, f"{precision}_high": top}
            scores = values if scale == "logit" else probability(values)
            means[f"{precision}_mean"] = float(scores.mean(dtype=float))
        frames.append(pd.DataFrame(curves).round(3).assign(threshold=limits[scale], scale=scale, **means))
    return frames


def _span(logits: np.ndarray, points: int) -> np.ndarray:
    """So many points across the middle 99.8 % of logits (N,) and a little beyond."""
    low, high = np.quantile(logits, [0.001, 0.999])
    pad = 0.08 * (high - low) + 0.25
    return np.linspace(low - pad, high + pad, points)


def _density(values: np.ndarray, grid: np.ndarray, scale: str, resamples: int = 200) -> np.ndarray:
    """A density on a grid (K,) with the ends of its interval: (3, K)."""
    width = 0.025 if scale == "score" else max(0.05, 0.9 * values.std() * len(values) ** -0.2)
    data = values if scale == "logit" else probability(values)
    kernel = np.zeros((len(grid), len(values)), np.float32)
    for reflected in [data, -data, 2 - data] if scale == "score" else [data]:
        kernel += np.exp(-0.5 * ((grid[:, None] - reflected[None, :]) / width) ** 2).astype(np.float32)
    kernel /= width * np.sqrt(2 * np.pi)
    curve, ends = kernel.mean(axis=1), np.maximum(metrics.bands(kernel.T, resamples), 0)
    return np.stack([curve, *np.where(curve == 0, 0, ends)])  # no density where no score is near
