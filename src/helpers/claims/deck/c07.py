"""C7: NPR's scores on SD3 shift to the left."""

from __future__ import annotations

from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import finding_of, missing, shifts
from helpers.claims.rule import Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """On SD3 NPR's scores move to the left at FP8 and FP4, into false negatives."""
    base = named(results.baseline)
    figures = shifts(results, "npr", "sd3", ["fp8", "fp4"], high=-margins(results)["shift"])
    if not figures:
        return missing("pairs of NPR's scores on SD3 at FP8 or FP4")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        parts = [f"{number(figure, sign=True)} at {precision}" for precision, figure in shown.items()]
        return f"NPR's logits on SD3 shift, in standard deviations of the {base} scores, by {listed(parts)}."

    return finding_of(figures, sentence)


CLAIM = Claim(
    id="C7",
    part="",
    words="NPR's scores on SD3 shift to the left at FP8 and FP4, into false negatives.",
    short="NPR's scores on SD3 shift to the left",
    quantity="paired logit shift of NPR on SD3 at FP8 and FP4, in standard deviations of FP32",
    rule="A shift means that each whole interval is at least {shift:.2f} to the left.",
    margins=("shift", "adequate", "ceiling"),
    page="04_distribution_shift",
    anchor="densities-of-npr",
    judge=judge_claim,
    reads=Reads(FALL, generators=("sd3",), groups=(("npr",),), rate=False),
    formats=("fp8", "fp4"),
    true_world=World({("npr", "sd3", "fp8"): -2.5, ("npr", "sd3", "fp4"): -6.0}),
    false_world=World(),
)
