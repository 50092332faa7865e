"""C6: quantization is a smoothing filter (`helpers.claims.smoothing` has the four predictions)."""

from __future__ import annotations

from helpers.claims.claim import Claim, World
from helpers.claims.smoothing import smoothing

__all__ = ["CLAIM"]


CLAIM = Claim(
    id="C6",
    part="",
    words=(
        "Quantization is a smoothing filter that removes the high-frequency artifacts on which end-to-end "
        "detectors rely."
    ),
    short="Quantization is a smoothing filter",
    quantity=(
        "four predictions: fine detail falls; FP4's fingerprint is further from FP32's than the null "
        "control's; FP4's spectrum, put on FP32 images, lowers the same detectors; FP32's, given to FP4 "
        "images, restores them"
    ),
    rule=(
        "All four must hold: a loss of more than {smoothing:.2f} of the high-frequency energy, and filters "
        "that make or take back {explained:.2f} of FP4's shift."
    ),
    margins=(
        "smoothing",
        "explained",
        "overlap",
    ),
    page="07_mechanism",
    anchor="the-four-predictions",
    judge=smoothing,
    true_world=World(fp4_images="smooths"),
    false_world=World(fp4_images="roughens"),
    of_scores=False,
    of_images=True,
)
