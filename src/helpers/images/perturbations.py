"""What platforms and people do to a picture after it is made, by name: `jpeg:75`, `resize:0.5`, `blur:1`, `noise:4`.

- `jpeg:QUALITY` compresses as JPEG (libjpeg's quality 1 to 100, chroma subsampled 4:2:0) and decodes again.
- `resize:FACTOR` makes both sides FACTOR times as long (bicubic, with antialiasing) and leaves the picture so. That is
  what an upload does, and what robustness tables of image forensics mean by a resize: a detector at native size then
  sees fewer pixels. Bringing it back to its old size would be a second resampling that nobody applies; protocol
  `shared` (helpers.images.protocols) does so only to keep sizes equal.
- `blur:SIGMA` is Gaussian, SIGMA the deviation in pixels (Pillow's approximation by three box blurs).
- `noise:SIGMA` adds white Gaussian noise, SIGMA the deviation in levels of 255; the one that draws from the seed.

Several are applied in order: `jpeg:75+resize:0.5`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helpers.core.errors import UsageError, nearest, shown
from helpers.core.registry import Registry

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["KINDS", "NONE", "SHORTEST", "Kind", "Perturbation", "chain", "compressed", "noisy", "parse", "resampled"]

#: Name of the chain of no perturbation.
NONE = "none"

#: Shortest side that a resize leaves, in pixels: what the detectors need.
SHORTEST = 8


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """Return an RGB image after JPEG at this quality, 1 to 100."""
    from PIL import Image  # the analysis side knows the names and does without it

    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resampled(image: Image.Image, factor: float) -> Image.Image:
    """Return an image with both sides times `factor`, rounded, none below 8 pixels; bicubic."""
    from PIL import Image

    return image.resize([max(SHORTEST, round(side * factor)) for side in image.size], Image.Resampling.BICUBIC)


def blurred(image: Image.Image, sigma: float) -> Image.Image:
    """Return an image after a Gaussian blur, `sigma` in pixels."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(sigma))


def noisy(image: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """Return an RGB image with white Gaussian noise added, `sigma` in levels of 255, rounded and clipped."""
    from PIL import Image

    pixels = np.array(image)
    for rows in np.array_split(pixels, -(-len(pixels) // 256)):  # in place, so that no large picture is held in floats
        drawn = rows + sigma * rng.standard_normal(rows.shape, np.float32)
        rows[:] = drawn.round().clip(0, 255)
    return Image.fromarray(pixels)


@dataclass(frozen=True)
class Kind:
    """One kind: its title in print with a place for the amount, the word for its amount, the amount's range, whether it
    is a whole number, and what it does.
    """

    title: str
    amount: str
    low: float
    high: float
    whole: bool
    apply: Callable[[Image.Image, float, np.random.Generator], Image.Image]


#: The kinds, one row each; a package adds one by an entry point of the group `quantdetect.perturbations`.
KINDS = Registry(
    "perturbation",
    {
        "jpeg": Kind("JPEG {}", "QUALITY", 1, 100, True, lambda image, amount, _: compressed(image, int(amount))),
        "resize": Kind("resize to {}", "FACTOR", 0.1, 1, False, lambda image, amount, _: resampled(image, amount)),
        "blur": Kind("blur {} px", "SIGMA", 0.1, 20, False, lambda image, amount, _: blurred(image, amount)),
        "noise": Kind("noise {}", "SIGMA", 0.1, 50, False, noisy),
    },
    group="quantdetect.perturbations",
    kind=Kind,
)


@dataclass(frozen=True)
class Perturbation:
    """A chain of perturbations, ready to apply; equal where the steps are equal.

    Attributes:
        steps: kind and amount of each, in order of application.
    """

    steps: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """Its name, which `parse` reads back: "jpeg:75+blur:1"; "none" without steps."""
        return "+".join(f"{kind}:{_written(amount)}" for kind, amount in self.steps) or NONE

    def __call__(self, image: Image.Image, seed: int) -> Image.Image:
        """Return an RGB image after all steps.

        Args:
            image: an RGB image; it is left as it is.
            seed: of what is drawn, from 0; an image's own, such as its index. The same seed gives the same picture.
        """
        for place, (kind, amount) in enumerate(self.steps):
            image = KINDS[kind].apply(image, amount, np.random.default_rng([seed, place]))
        return image


def parse(text: str) -> Perturbation:
    """Return the perturbation of a name such as "jpeg:75", or of several joined by "+".

    Raises:
        UsageError: no such kind, or an amount that is no number or out of range.

    >>> parse("resize:0.50 + jpeg:75").name
    'resize:0.5+jpeg:75'
    """
    return Perturbation(() if text.strip() == NONE else tuple(_step(part.strip()) for part in text.split("+")))


def chain(perturbations: Iterable[Perturbation]) -> Perturbation:
    """Return the perturbation that applies these in order; without any, the one that changes nothing."""
    return Perturbation(tuple(step for perturbation in perturbations for step in perturbation.steps))


def _step(text: str) -> tuple[str, float]:
    """Kind and amount of one name."""
    name, _, amount = text.partition(":")
    if name not in KINDS:
        there = ", ".join(f"{key}:{kind.amount}" for key, kind in KINDS.items())
        raise UsageError(f"no perturbation {shown(name)}{nearest(name, KINDS)}; there are {there}")
    kind = KINDS[name]
    # Python's own reading also takes "7_5", digits of any script, and words.
    value = float(amount) if re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)(e-?[0-9]+)?\s*", amount) else math.nan
    if not kind.low <= value <= kind.high or (kind.whole and value != round(value)):
        wanted = f"a {'whole ' if kind.whole else ''}number from {kind.low:g} to {kind.high:g}"
        raise UsageError(f"perturbation {shown(text)}: {kind.amount} must be {wanted}, as in {name}:{_example(kind)}")
    return name, value


def _written(amount: float) -> str:
    short = f"{amount:g}"
    return short if float(short) == amount else repr(amount)


def _example(kind: Kind) -> str:
    return "75" if kind.whole else f"{max(kind.low, 0.5):g}"
