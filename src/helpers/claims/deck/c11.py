"""C11: end-to-end detectors are less robust to FP4 than feature-based ones."""

from __future__ import annotations

from math import isnan

from helpers.analysis.cells import mean_change, paired_logits
from helpers.analysis.words import named, number
from helpers.claims.claim import Claim, World
from helpers.claims.figures import Figure, finding_of, missing, present, unjudged
from helpers.claims.rule import END_TO_END, FROZEN, NOT_TESTABLE, Finding, margins, unscaled
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """The end-to-end detectors are less robust to FP4 than the feature-based ones, over all generators."""
    base = named(results.baseline)
    groups = [present(group, results.detectors) for group in (END_TO_END, FROZEN)]
    changes = [mean_change(results, group, precision="fp4") for group in groups]
    lacking = unjudged(results, *groups[0], *groups[1])
    if all(groups) and lacking:
        return Finding(NOT_TESTABLE, f"This study cannot say: {unscaled(lacking)}.", {})
    if any(isnan(change.estimate) for change in changes):
        return missing(f"pairs of {base} and FP4 images for both kinds of detectors")
    images = min(
        len({i for g in results.generators for d in group for i in paired_logits(results, d, g, "fp4")[2]})
        for group in groups
    )
    figure = Figure(
        lambda level: mean_change(results, groups[0], groups[1], level, "fp4"),
        images,
        high=-margins(results)["drop"],
    )
    return finding_of(
        {"end-to-end minus feature-based": figure},
        lambda shown, worst: (
            f"From {base} to FP4 accuracy, averaged over generators, changes by {number(changes[0], 3, sign=True)} for "
            f"end-to-end detectors and {number(changes[1], 3, sign=True)} for feature-based ones, a difference of "
            f"{number(shown[worst], 3, sign=True)}."
        ),
    )


CLAIM = Claim(
    id="C11",
    part="",
    words=(
        "Detectors that learn from scratch (NPR, R50_nodown) are less robust than feature-based ones (R50_TF, CLIP-D)."
    ),
    short="End-to-end detectors are less robust",
    quantity=("change of accuracy from FP32 to FP4 averaged over generators, end-to-end minus feature-based detectors"),
    rule="Less robust means that the whole interval is a deficit of more than {drop:.2f}.",
    margins=("drop",),
    page="02_heatmap",
    anchor="figure-heatmap",
    judge=judge_claim,
    true_world=World({("npr", "sd3", "fp4"): -6.0, ("r50_nodown", "sd3", "fp4"): -6.0}),
    false_world=World({("clip_d", "flux1", "fp4"): -6.0, ("r50_tf", "sd3", "fp4"): -6.0}),
)
