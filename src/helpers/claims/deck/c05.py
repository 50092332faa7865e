"""C5: on SD3 at FP4 R50_TF stays above 0.9."""

from __future__ import annotations

from helpers.analysis.words import number
from helpers.claims.claim import LEVEL, Claim, Reads, World
from helpers.claims.figures import accuracies, finding_of, missing
from helpers.claims.rule import Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """On SD3 at FP4 R50_TF stays above 0.9."""
    figures = accuracies(results, ["sd3"], ["fp4"], ["r50_tf"], low=margins(results)["robust"])
    if not figures:
        return missing("scores of R50_TF on SD3 at FP4")
    return finding_of(figures, lambda shown, worst: f"R50_TF's detection rate on SD3 at FP4 is {number(shown[worst])}.")


CLAIM = Claim(
    id="C5",
    part="",
    words="On SD3 at FP4 R50_TF stays above 0.9.",
    short="R50_TF stays above 0.9 there",
    quantity="detection rate of R50_TF on SD3 at FP4",
    rule="It stays above if the whole interval is at least {robust:.2f}.",
    margins=("robust", "adequate"),
    page="03_sd3_anomaly",
    anchor="before-and-after",
    judge=judge_claim,
    reads=Reads(LEVEL, generators=("sd3",), groups=(("r50_tf",),)),
    formats=("fp4",),
    true_world=World(),
    false_world=World({("r50_tf", "sd3", "fp4"): -6.0}),
)
