"""C1, memory from FP16: what FP4 saves of it against FP16, counted on the real architectures."""

from __future__ import annotations

from helpers.claims.claim import Claim, World
from helpers.claims.rule import Finding, margins
from helpers.claims.savings import memory
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """Quantization drastically reduces memory, counted on the real architectures, whatever the study."""
    return memory(margins(results)["memory"], "fp16")


CLAIM = Claim(
    id="C1",
    part="memory from FP16",
    words="Quantization drastically reduces VRAM usage.",
    short="Quantization drastically reduces memory against FP16",
    quantity="weights of the real architectures at FP4, as a share of FP16's",
    rule="Drastic is a share of at most {memory:.2f}, for every checkpoint.",
    margins=("memory",),
    page="01_setup",
    anchor="what-it-costs",
    judge=judge_claim,
    true_world=World(fp4_cost=0.2),
    false_world=World(fp4_cost=0.9),
    of_scores=False,
)
