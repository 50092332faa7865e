"""C4: at FP4 the end-to-end detectors drop on SD3."""

from __future__ import annotations

from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import finding_of, known_figures, losses, missing
from helpers.claims.rule import END_TO_END, Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """SD3 at FP4 shows a significant drop in accuracy for the end-to-end detectors."""
    base = named(results.baseline)
    drop = margins(results)["drop"]
    figures = losses(results, ["sd3"], END_TO_END, high=-drop)
    if not figures:
        return missing(f"pairs of {base} and FP4 images of SD3 for an end-to-end detector")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = known_figures(shown)
        parts = [f"by {number(change, sign=True)} for {name.split(' on ')[0]}" for name, change in shown.items()]
        fell = f"{sum(change.high <= -drop for change in shown.values())} of {len(shown)}"
        falls = f" It drops for {fell}." if len(shown) > 1 else ""
        return f"On SD3, from {base} to FP4, the detection rate changes {listed(parts)}.{falls}"

    return finding_of(figures, sentence)


CLAIM = Claim(
    id="C4",
    part="",
    words="SD3 at FP4 shows a significant drop in accuracy for the end-to-end detectors.",
    short="SD3 at FP4 shows a significant drop for end-to-end detectors",
    quantity="paired change of the detection rate on SD3 from FP32 to FP4, NPR and R50_nodown",
    rule="A drop means that each whole interval is a loss of more than {drop:.2f}.",
    margins=("drop", "adequate", "ceiling"),
    page="03_sd3_anomaly",
    anchor="before-and-after",
    judge=judge_claim,
    reads=Reads(FALL, generators=("sd3",), groups=(END_TO_END,)),
    formats=("fp4",),
    true_world=World({("npr", "sd3", "fp4"): -6.0, ("r50_nodown", "sd3", "fp4"): -6.0}),
    false_world=World(),
    headline=True,
)
