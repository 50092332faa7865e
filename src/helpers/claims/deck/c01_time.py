"""C1, time: what FP4 saves of it, measured on a GPU where a run is archived."""

from __future__ import annotations

import pandas as pd

from helpers.analysis.footprint import measured, published
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed
from helpers.claims.claim import Claim, World
from helpers.claims.rule import Finding, margins, verdict
from helpers.precision.catalogue import PRECISIONS
from helpers.results import Results
from helpers.study.schema import Margins

__all__ = ["CLAIM", "time"]


def judge_claim(results: Results) -> Finding:
    """Quantization drastically reduces inference time, measured on a GPU, whatever the study."""
    return time(margins(results)["time"])


def time(limit: float | None = None) -> Finding:
    """C1, second half: quantization drastically reduces inference time (figures: FP4's seconds as a share of FP32's).

    Judged on an archived run on a GPU alone; where there is none the sentence tells the published timings.
    """
    limit = Margins().time if limit is None else limit
    runs = measured()
    if not runs.empty:
        return _timed(runs[runs.fits & (runs.coverage != "all")], limit)
    found = published()
    others = found[~found.precision.isin(["bf16", "fp16"])]
    if others.empty:
        return Finding("not testable", "No run on a GPU is archived, so this project cannot say.", {})
    faster = int((others.ratio < 1).sum())
    sentence = (
        f"No run on a GPU is archived, so this project cannot say. Of {len(others)} published timings of quantized"
        f" weights ({listed(sorted(set(others.title)))}, {listed(sorted(set(others.card)))}) "
        f"{faster or 'none'} {'is' if faster < 2 else 'are'} faster than 16 bits; they take {others.ratio.min():.1f} to"
        f" {others.ratio.max():.1f} times as long."
    )
    return Finding("not testable", sentence, {})


def _timed(runs: pd.DataFrame, limit: float) -> Finding:
    wide = runs.pivot(index="title", columns="precision", values="seconds_per_step")
    if not {"fp32", "fp4"} <= set(wide) or wide[["fp32", "fp4"]].dropna().empty:
        return Finding("not testable", "The archived run on a GPU lacks FP32 or FP4, so it cannot say.", {})
    shares = (wide.fp4 / wide.fp32).dropna()
    figures = {title: Interval(share, share, share) for title, share in shares.items()}
    half = (wide.fp4 / wide.fp16).dropna() if "fp16" in wide else pd.Series(dtype=float)
    against = f"; against FP16 it is {half.min():.2f} to {half.max():.2f}" if len(half) else ""
    sentence = (
        f"On {listed(sorted(set(runs.card)))} a denoising step at {PRECISIONS['fp4'].title} takes {shares.min():.2f} to"
        f" {shares.max():.2f} of its time at FP32 ({len(shares)} checkpoints){against}; up to {limit:.2f} counts as"
        " drastic."
    )
    return Finding(verdict(figures.values(), high=limit), sentence, figures, shares.idxmax())


CLAIM = Claim(
    id="C1",
    part="time",
    words="Quantization drastically reduces inference time.",
    short="It drastically reduces inference time",
    quantity="seconds per image of the real architectures at FP4, as a share of FP32's",
    rule="Drastic is a share of at most {time:.2f}.",
    margins=("time",),
    page="01_setup",
    anchor="what-it-costs",
    judge=judge_claim,
    true_world=World(fp4_cost=0.3),
    false_world=World(fp4_cost=1.1),
    of_scores=False,
)
