"""C2: SDXL and Flux.1 are highly detectable at every precision."""

from __future__ import annotations

from helpers.claims.claim import LEVEL, Claim, Reads, World
from helpers.claims.figures import stay_high
from helpers.claims.rule import Finding
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """SDXL and Flux are highly detectable across all precisions."""
    return stay_high(results, results.precisions, "at every precision")


CLAIM = Claim(
    id="C2",
    part="",
    words="SDXL and Flux are highly detectable across all precisions.",
    short="SDXL and Flux are highly detectable across all precisions",
    quantity="detection rate of every detector on SDXL and Flux.1 at every precision",
    rule="Highly detectable means that each whole interval is at least {high:.2f}.",
    margins=("high", "adequate"),
    page="02_heatmap",
    anchor="all-cells-at-once",
    judge=judge_claim,
    reads=Reads(LEVEL, generators=("sdxl", "flux1")),
    true_world=World(),
    false_world=World({("clip_d", "flux1", "fp4"): -6.0}),
)
