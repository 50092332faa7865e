"""What a score is: a logit above a threshold calls an image fake, and its logistic function lies in 0 to 1; and when
too many images have none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["MUCH_REJECTED", "finite", "is_fake", "much_rejected", "probability"]

#: The share of a cell's images beyond which rejections are pointed out.
MUCH_REJECTED = 0.01


def much_rejected(kept: int, rejected: int) -> bool:
    """Whether so many of a cell's images were rejected, and have no score, that figures of the rest may mislead."""
    return rejected > MUCH_REJECTED * (kept + rejected)


def finite(values: ArrayLike) -> np.ndarray:
    """Values as float64; ValueError where one is not a finite number, for no figure of them would be true."""
    # A Series is asked for its array by name: `asarray` asks it for three protocols first that it does not have.
    values = values.to_numpy(np.float64) if hasattr(values, "to_numpy") else np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        lost = int((~np.isfinite(values)).sum())
        raise ValueError(f"{lost} of {values.size} scores are not finite numbers")
    return values


def is_fake(logits: ArrayLike, threshold: ArrayLike = 0.0) -> np.ndarray:
    """Whether each logit (N,) lies strictly above the threshold (one, or (N,)), which is what calls an image fake: bool
    (N,).

    Both are compared as float64, so a tie is the same tie in every table. The one comparison there is: reals "called
    real" are those that this does not call fake. Raises ValueError where a logit or the threshold is not a number.
    """
    limit = np.asarray(threshold, dtype=np.float64)
    if np.isnan(limit).any():
        raise ValueError("a threshold that is not known calls nothing fake or real")
    return finite(logits) > limit


def probability(logit: ArrayLike) -> np.ndarray:
    """The score that belongs to a logit (N,): the logistic function in float64, which keeps its left tail (7e-18 at
    -39.5) and is 1 from about 37 on."""
    logit = np.asarray(logit, dtype=np.float64)
    small = np.exp(-np.abs(logit))  # never overflows; SciPy's takes longer to import than a picture to judge
    return np.asarray(np.where(logit >= 0, 1, small) / (1 + small))
