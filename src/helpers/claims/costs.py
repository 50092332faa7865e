"""C1, counted: memory and time of the real architectures at each precision."""

from __future__ import annotations

import pandas as pd

from helpers.analysis.footprint import measured, published, totals, weights
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed
from helpers.claims.rule import Finding, verdict
from helpers.precision.catalogue import PRECISIONS
from helpers.study.schema import Margins

__all__ = ["memory", "time"]


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
