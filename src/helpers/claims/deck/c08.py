"""C8: R50_TF's densities on SD3 overlap across precisions."""

from __future__ import annotations

from helpers.analysis.words import named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import finding_of, missing, shifts
from helpers.claims.rule import Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """R50_TF's densities on SD3 overlap across precisions."""
    base = named(results.baseline)
    most = margins(results)["overlap"]
    others = [precision for precision in results.precisions if precision != results.baseline]
    figures = shifts(results, "r50_tf", "sd3", others, low=-most, high=most)
    if not figures:
        return missing("pairs of R50_TF's scores on SD3")
    return finding_of(
        figures,
        lambda shown, worst: (
            f"The largest of R50_TF's shifts on SD3 is {number(shown[worst], sign=True)} standard deviations of the "
            f"{base} scores, at {worst}."
        ),
    )


CLAIM = Claim(
    id="C8",
    part="",
    words="R50_TF's densities on SD3 overlap across precisions.",
    short="R50_TF's densities overlap",
    quantity="paired logit shift of R50_TF on SD3 at each precision, in standard deviations of FP32",
    rule="An overlap means that each whole interval lies within {overlap:.2f} of no shift, either way.",
    margins=("overlap", "adequate", "ceiling"),
    page="04_distribution_shift",
    anchor="densities-of-r50-tf",
    judge=judge_claim,
    reads=Reads(FALL, generators=("sd3",), groups=(("r50_tf",),), rate=False),
    true_world=World(),
    false_world=World({("r50_tf", "sd3", "fp4"): -6.0}),
)
