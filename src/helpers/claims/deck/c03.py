"""C3: SD1.5 is challenging for NPR."""

from __future__ import annotations

from helpers.analysis.words import named, number
from helpers.claims.claim import Claim, World
from helpers.claims.figures import accuracies, finding_of, missing
from helpers.claims.rule import Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """SD1.5 is challenging for modern detectors (NPR)."""
    base = named(results.baseline)
    figures = accuracies(results, ["sd15"], [results.baseline], ["npr"], high=margins(results)["challenging"])
    if not figures:
        return missing(f"scores of NPR on SD1.5 at {base}")
    return finding_of(figures, lambda shown, worst: f"At {base} NPR's accuracy on SD1.5 is {number(shown[worst])}.")


CLAIM = Claim(
    id="C3",
    part="",
    words="SD1.5 is challenging for modern detectors (NPR).",
    short="SD1.5 is challenging for NPR",
    quantity="accuracy of NPR on SD1.5 at FP32",
    rule="Challenging means that the whole interval is at most {challenging:.2f}.",
    margins=("challenging",),
    page="06_legacy_sd15",
    anchor="figure-legacy",
    judge=judge_claim,
    true_world=World({("npr", "sd15", None): -4.5}),
    false_world=World(),
)
