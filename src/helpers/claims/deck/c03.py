"""C3: SD1.5 is challenging for NPR."""

from __future__ import annotations

from helpers.analysis.words import named, number
from helpers.claims.claim import LEVEL, Claim, Reads, World
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
    return finding_of(
        figures, lambda shown, worst: f"At {base} NPR's detection rate on SD1.5 is {number(shown[worst])}."
    )


CLAIM = Claim(
    id="C3",
    part="",
    words="SD1.5 is challenging for modern detectors (NPR).",
    short="SD1.5 is challenging for NPR",
    quantity="detection rate of NPR on SD1.5 at FP32",
    rule="Challenging means that the whole interval is at most {challenging:.2f}.",
    margins=("challenging", "adequate"),
    page="06_legacy_sd15",
    anchor="generators-side-by-side",
    judge=judge_claim,
    reads=Reads(LEVEL, generators=("sd15",), groups=(("npr",),)),
    training="mini-sdxl",
    because="the public NPR, of which the deck speaks, saw fakes of SDXL and none of SD1.5",
    formats=(),
    true_world=World({("npr", "sd15", None): -4.5}),
    false_world=World(),
)
