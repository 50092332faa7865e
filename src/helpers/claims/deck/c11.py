"""C11: end-to-end detectors are less robust to FP4 than feature-based ones."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.cells import paired_logits
from helpers.analysis.effects import contrast
from helpers.analysis.stats.in_all import CHANGE
from helpers.analysis.words import named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import Figure, finding_of, missing, present, unjudged
from helpers.claims.rule import END_TO_END, FROZEN, NOT_TESTABLE, Finding, margins, unscaled
from helpers.generators.catalogue import GENERATORS
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """The end-to-end detectors are less robust to FP4 than the feature-based ones, over all generators."""
    base = named(results.baseline)
    first, second = (present(group, results.detectors) for group in (END_TO_END, FROZEN))
    lacking = unjudged(results, *first, *second)
    both = bool(first and second)
    if both and lacking:
        return Finding(NOT_TESTABLE, f"This study cannot say: {unscaled(lacking)}.", {})
    if not both or contrast(results, first, second, "fp4") is None:
        return missing(f"pairs of {base} and FP4 images for both kinds of detectors")
    images = min(
        len({i for g in results.generators for d in group for i in paired_logits(results, d, g, "fp4")[2]})
        for group in (first, second)
    )
    most = -margins(results)["drop"]

    def figure(group: Sequence[str], against: Sequence[str] = ()) -> Figure:
        return Figure(
            lambda other: contrast(other, group, against, "fp4"), results, (*group, *against), images, high=most,
            bounds=CHANGE, general=CLAIM.general,
        )  # fmt: skip

    return finding_of(
        {f"end-to-end minus feature-based{_alone(results)}": figure(first, second)},
        lambda shown, worst: (
            f"From {base} to FP4, the change of the detection rate for end-to-end detectors minus that for "
            f"feature-based ones is {number(shown[worst], 3, sign=True)}, {_over(results)}. The two changes are "
            f"{number(figure(first).in_all(), 3, sign=True)} and {number(figure(second).in_all(), 3, sign=True)}."
        ),
    )


def _over(results: Results) -> str:
    """Over what the changes are averaged."""
    titles = list(results.titles("generator").values())
    return f"averaged over {len(titles)} generators" if len(titles) > 1 else f"on {titles[0]}"


def _alone(results: Results) -> str:
    """What the figure's name says of the one generator that it is of, by which the claim stays open whatever it is."""
    return f", {_over(results)} alone" if len(results.generators) == 1 else ""


CLAIM = Claim(
    id="C11",
    part="",
    words=(
        "Detectors that learn from scratch (NPR, R50_nodown) are less robust than feature-based ones (R50_TF, CLIP-D)."
    ),
    short="End-to-end detectors are less robust",
    quantity=(
        "change of the detection rate from FP32 to FP4 averaged over generators, end-to-end minus feature-based "
        "detectors"
    ),
    rule="Less robust means that the whole interval is a deficit of more than {drop:.2f}.",
    margins=("drop", "adequate", "ceiling"),
    page="02_heatmap",
    anchor="all-cells-at-once",
    judge=judge_claim,
    reads=Reads(FALL, groups=(END_TO_END, FROZEN)),
    formats=("fp4",),
    general=True,
    # A fall on one generator of six says little of generators at large.
    true_world=World({(detector, key, "fp4"): -6.0 for detector in END_TO_END for key in GENERATORS}),
    false_world=World({(detector, key, "fp4"): -6.0 for detector in FROZEN for key in GENERATORS}),
)
