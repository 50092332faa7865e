"""C4, size: on SD3 they fall from about 0.9 to under 0.4."""

from __future__ import annotations

from math import isnan

from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import accuracies, finding_of, missing, present
from helpers.claims.rule import END_TO_END, Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """On SD3 the end-to-end detectors fall from about 0.9 to under 0.4."""
    base = named(results.baseline)
    limits, detectors = margins(results), present(END_TO_END, results.detectors)
    before = accuracies(results, ["sd3"], [results.baseline], detectors, low=limits["anomaly_before"])
    after = accuracies(results, ["sd3"], ["fp4"], detectors, high=limits["anomaly_after"])
    there = len(before) == len(after) == len(detectors) > 0
    if not there or results.baseline == "fp4":
        return missing(f"scores of an end-to-end detector on SD3 at both {base} and FP4")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        pairs = [row for row in zip(detectors, before, after, strict=True) if not isnan(shown[row[1]].estimate)]
        parts = [f"from {number(shown[b])} to {number(shown[a])} for {named(d)}" for d, b, a in pairs]
        return f"On SD3, from {base} to FP4, the detection rate goes {listed(parts)}."

    return finding_of(before | after, sentence)


CLAIM = Claim(
    id="C4",
    part="size",
    words="R50_nodown and NPR fall from about 0.9 to under 0.4 on SD3.",
    short="They fall from about 0.9 to under 0.4",
    quantity="detection rate on SD3 at FP32 and at FP4, NPR and R50_nodown",
    rule=(
        "That means at least {anomaly_before:.2f} at FP32 and at most {anomaly_after:.2f} at FP4, with each "
        "whole interval."
    ),
    margins=("anomaly_before", "anomaly_after", "adequate", "ceiling"),
    page="03_sd3_anomaly",
    anchor="before-and-after",
    judge=judge_claim,
    reads=Reads(FALL, generators=("sd3",), groups=(END_TO_END,)),
    formats=("fp4",),
    true_world=World({("npr", "sd3", "fp4"): -6.0, ("r50_nodown", "sd3", "fp4"): -6.0}),
    false_world=World(),
)
