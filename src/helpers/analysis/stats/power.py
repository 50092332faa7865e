"""What a study of so many images can show: the chance that a figure comes out right when it is right by so much.

Each function gives the probability that the whole 95 % interval over prompts lies where a claim wants it, for a truth
and a number of images a cell. Nothing here looks at results: a study's size is judged by what it could have shown.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pandas as pd
from scipy import stats

from helpers.analysis.stats import metrics
from helpers.study.rules import shipped

__all__ = ["drop", "overlap", "sentence", "shift", "stays_high", "table"]

#: What the chance of one figure over prompts leaves out.
BEYOND = "A claim of several figures needs all of them, and how far trainings lie apart is not counted."
#: Standard deviation of the paired change of a logit, in standard deviations of the FP32 logits, that the table takes.
CHANGE = 0.5


def stays_high(truth: float, images: int, margin: float) -> float:
    """That a detection rate of `truth` on so many images has its whole Wilson interval at `margin` or above (exact)."""
    hits = np.arange(images + 1)
    enough = [metrics.wilson(int(k), images).low >= margin for k in hits]
    return float(stats.binom.pmf(hits, images, truth)[enough].sum())


def drop(lost: float, images: int, margin: float, gained: float = 0.01, draws: int = 2000, seed: int = 0) -> float:
    """That a loss of `lost` of the images, and a gain of others, has its whole paired interval beyond `margin`.

    By simulation: `draws` studies in which 90 % of the images are called fake at FP32.
    """
    rng = np.random.default_rng(seed)
    kept = 0.9 - lost
    counts = rng.multinomial(images, [kept, lost, gained, 1 - kept - lost - gained], size=draws)
    distinct, times = np.unique(counts, axis=0, return_counts=True)
    shown = 0
    for (both, gone, new, _), often in zip(distinct, times, strict=True):
        first = np.arange(images) < both + gone
        second = (np.arange(images) < both) | ((np.arange(images) >= images - new) & (new > 0))
        shown += often * (metrics.paired_difference(first, second).high <= -margin)
    return float(shown / draws)


def shift(truth: float, images: int, margin: float, change: float = CHANGE) -> float:
    """That a mean shift of `truth` (standard deviations) has its whole interval beyond `margin` (normal theory)."""
    return float(stats.norm.cdf((truth - margin) * sqrt(images) / change - stats.norm.ppf(0.975)))


def overlap(truth: float, images: int, margin: float, change: float = CHANGE) -> float:
    """That a mean shift of `truth` has its whole interval within `margin` of none, either way (normal theory)."""
    error, z = change / sqrt(images), stats.norm.ppf(0.975)
    inside = stats.norm.cdf((margin - truth) / error - z) - stats.norm.cdf((-margin - truth) / error + z)
    return float(max(inside, 0.0))


def table(margins: dict[str, float] | None = None, sizes: tuple[int, ...] = (30, 100, 500)) -> pd.DataFrame:
    """One row per claim and truth: claim, truth (words), and the power at each number of images, `n_30`, `n_100` ..."""
    limits = shipped().limits() | (margins or {})
    high, fall, moved, same = (limits[name] for name in ("high", "drop", "shift", "overlap"))
    asked: list[tuple[str, str, Callable[[float, int, float], float], float, float]] = [
        *(("C2, C9: stays high", f"detection rate {p:.2f}", stays_high, p, high) for p in (0.97, 0.98, 0.99)),
        *(("C4: a drop", f"{100 * p:.0f} % lost and 1 % gained", drop, p, fall) for p in (0.08, 0.10, 0.15)),
        *(("C7: a shift", f"{d:.1f} standard deviations to the left", shift, d, moved) for d in (0.6, 0.7)),
        *(("C8: an overlap", f"{d:.1f} standard deviations of shift", overlap, d, same) for d in (0.0, 0.1)),
    ]
    return pd.DataFrame([
        {"claim": claim, "truth": words} | {f"n_{n}": chance(truth, n, margin) for n in sizes}
        for claim, words, chance, truth, margin in asked
    ])  # fmt: skip


def sentence(found: pd.DataFrame, chance: float = 0.8) -> str:
    """The sentences that say which rows of `table` the largest number of images shows with at least this chance, and
    what a row leaves out: a claim of several figures needs them all, by intervals that count trainings too."""
    last = [name for name in found if name.startswith("n_")][-1]
    parts = []
    for claim, rows in found.groupby("claim", sort=False):
        shown = " or ".join(rows.truth[rows[last] >= chance]) or "none of the cases of the table"
        parts.append(f"{claim} ({shown}).")
    shown = f"With {last[2:]} images a cell one figure shows these with a chance of at least {100 * chance:.0f} %."
    return " ".join([shown, *parts, BEYOND])
