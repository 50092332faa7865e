"""C1, time: what FP4 saves of it against FP32, measured on a GPU where a run is archived."""

from __future__ import annotations

from helpers.claims.claim import Claim, World
from helpers.claims.rule import Finding, margins
from helpers.claims.savings import time
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """Quantization drastically reduces inference time, measured on a GPU, whatever the study."""
    return time(margins(results)["time"], "fp32")


CLAIM = Claim(
    id="C1",
    part="time",
    words="Quantization drastically reduces inference time.",
    short="It drastically reduces inference time",
    quantity="seconds of a denoising step of the real architectures at FP4, as a share of FP32's",
    rule="Drastic is a share of at most {time:.2f}, for every checkpoint.",
    margins=("time",),
    page="01_setup",
    anchor="what-it-costs",
    judge=judge_claim,
    true_world=World(fp4_cost=0.2),
    false_world=World(fp4_cost=1.1),
    of_scores=False,
)
