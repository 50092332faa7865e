"""C9: Flux.1 and SDXL stay above 95 % accuracy at FP4."""

from __future__ import annotations

from helpers.claims.claim import LEVEL, Claim, Reads, World
from helpers.claims.figures import present, stay_high
from helpers.claims.rule import Finding
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """Flux.1 and SDXL stay above 95 % accuracy even at FP4."""
    return stay_high(results, present(["fp4"], results.precisions), "at FP4")


CLAIM = Claim(
    id="C9",
    part="",
    words="Flux.1 and SDXL stay above 95 % accuracy even at FP4.",
    short="Flux.1 and SDXL stay above 95\N{NO-BREAK SPACE}% at FP4",
    quantity="detection rate of every detector on SDXL and Flux.1 at FP4",
    rule="They stay above if each whole interval is at least {high:.2f}.",
    margins=("high", "adequate"),
    page="05_flux_sdxl_robustness",
    anchor="at-each-precision",
    judge=judge_claim,
    reads=Reads(LEVEL, generators=("sdxl", "flux1")),
    formats=("fp4",),
    true_world=World(),
    false_world=World({("clip_d", "flux1", "fp4"): -6.0}),
    headline=True,
)
