"""C1, memory: what FP4 saves of it, counted on the real architectures."""

from __future__ import annotations

from helpers.analysis.footprint import totals, weights
from helpers.analysis.stats.metrics import Interval
from helpers.claims.claim import Claim, World
from helpers.claims.rule import Finding, margins, verdict
from helpers.results import Results
from helpers.study.schema import Margins

__all__ = ["CLAIM", "memory"]


def judge_claim(results: Results) -> Finding:
    """Quantization drastically reduces memory, counted on the public checkpoints' networks, whatever the study."""
    return memory(margins(results)["memory"])


def memory(limit: float | None = None) -> Finding:
    """C1, first half: quantization drastically reduces memory, FP4 against FP32 (figures: each checkpoint's share).

    Counted, not sampled: the intervals have no width. `limit` is the share up to which a saving is drastic.
    """
    limit = Margins().memory if limit is None else limit
    if weights().empty:
        return Finding("not testable", "The checkpoints' memory was not counted: `quantdetect footprint` does it.", {})
    sizes = totals()
    shares = sizes["fp4", "linear"] / sizes["fp32", "whole"]
    half = sizes["fp4", "linear"] / sizes["fp16", "whole"]
    figures = {title: Interval(share, share, share) for title, share in shares.items()}
    most, least = half.idxmin(), half.idxmax()
    held = weights()
    held = held[(held.title == least) & (held.precision == "fp4") & (held.coverage == "linear")]
    reach = held.quantized.sum() / held.parameters.sum()
    sentence = (
        f"With denoiser and T5 encoder at FP4, as the libraries do it, the weights of the {len(sizes)} checkpoints take"
        f" {shares.min():.0%} to {shares.max():.0%} of their bytes at FP32; up to {limit:.0%} counts as drastic."
        f" Against FP16, in which they are published and run, {most} keeps {half[most]:.0%}"
        f" ({sizes.loc[most, ('fp16', 'whole')] / 1e9:.1f} to {sizes.loc[most, ('fp4', 'linear')] / 1e9:.1f} GB), but"
        f" {least} {half[least]:.0%}, since only {reach:.0%} of its weights lie in layers that the libraries take."
    )
    return Finding(verdict(figures.values(), high=limit), sentence, figures, shares.idxmax())


CLAIM = Claim(
    id="C1",
    part="memory",
    words="Quantization drastically reduces VRAM usage.",
    short="Quantization drastically reduces memory",
    quantity="weights of the real architectures at FP4, as a share of FP32's",
    rule="Drastic is a share of at most {memory:.2f}.",
    margins=("memory",),
    page="01_setup",
    anchor="what-it-costs",
    judge=judge_claim,
    true_world=World(fp4_cost=0.3),
    false_world=World(fp4_cost=0.9),
    of_scores=False,
)
