"""How images are shown to the detectors: as they are, after a platform's handling, or against reals of the same VAE.

- `plain`: fakes and renders as they were made.
- `shared`: both classes through the same seeded resize, JPEG and noise, as images met on a platform (no torch).
- `aligned`: reals passed through the generator's own VAE, in training and test, so that only the denoiser's traces
  are left. Such detectors are trainings of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helpers.images import perturbations

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LEVELS", "PROTOCOLS", "WINDOW", "Level", "chosen_level", "shared", "weights_for"]

PROTOCOLS = ("plain", "shared", "aligned")

#: Where the AUC of the best detector at FP32 is to lie under `shared`: hard enough to leave room for a loss.
WINDOW = (0.90, 0.97)

_SEED = 77  # of the handling; an image's own draws also depend on its index


@dataclass(frozen=True)
class Level:
    """One difficulty of `shared`: the least scale of the resize, the least JPEG quality, the noise's deviation (levels
    of 255)."""

    scale: float
    quality: int
    noise: float


#: Difficulties from mild to harsh.
LEVELS = (
    Level(0.95, 95, 0.5),
    Level(0.90, 90, 1.0),
    Level(0.85, 85, 2.0),
    Level(0.80, 80, 3.0),
    Level(0.75, 75, 4.0),
    Level(0.70, 70, 6.0),
    Level(0.65, 60, 8.0),
    Level(0.60, 50, 11.0),
    Level(0.50, 40, 15.0),
    Level(0.40, 30, 20.0),
)


def shared(image: Image.Image, index: int, level: int) -> Image.Image:
    """Return an RGB image of the same size after a platform's handling.

    It is made smaller by a drawn factor and brought back (bicubic), compressed as JPEG at a drawn quality, and given
    Gaussian noise. The draws depend on the index alone: the fake and the real of one prompt are handled alike.

    Args:
        index: the image's index in its cell.
        level: difficulty, 1 to len(LEVELS).
    """
    from PIL import Image  # the analysis side knows the protocols' names and does without it

    of, rng = LEVELS[level - 1], np.random.default_rng([_SEED, index])
    scale, quality = rng.uniform(of.scale, 1.0), int(rng.integers(of.quality, min(100, of.quality + 10) + 1))
    small = perturbations.resampled(image, scale)
    back = small.resize(image.size, Image.Resampling.BICUBIC)
    return perturbations.noisy(perturbations.compressed(back, quality), of.noise, rng)


def chosen_level(best: dict[int, float]) -> int:
    """The mildest level at which the best detector's FP32 AUC (by level) lies in `WINDOW`; else the nearest to it."""
    low, high = WINDOW
    return min(sorted(best), key=lambda level: max(low - best[level], best[level] - high, 0.0))


def weights_for(protocol: str, weights: str) -> str:
    """Label of the training that a protocol is scored with, beside the plain one's label."""
    return f"{weights}-aligned" if protocol == "aligned" else weights
