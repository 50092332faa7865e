"""How much FP4 saves of memory and time against a precision: C1's figures, counted and measured, whatever the study."""

from __future__ import annotations

import pandas as pd

from helpers.analysis.footprint import by_family, measured, published, totals, weights
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, share
from helpers.claims.rule import NOT_TESTABLE, Finding, verdict
from helpers.study.rules import shipped

__all__ = ["memory", "memory_shares", "time", "time_shares"]

#: The weights as published and as they are computed in: whole networks in one type.
_WHOLE = "whole"


def memory(limit: float | None = None, base: str = "fp32") -> Finding:
    """What FP4 keeps of a checkpoint's bytes at `base` (figures: each checkpoint's share).

    Counted, not sampled: the intervals have no width. `limit` is the share up to which a saving is drastic.
    """
    limit = shipped().margins.memory.value if limit is None else limit
    if weights().empty:
        return Finding(NOT_TESTABLE, "The checkpoints' memory was not counted: `quantdetect footprint` does it.", {})
    sizes, shares = totals(), memory_shares(base)
    most = shares.idxmax()
    before, after = (sizes.loc[most, key] / 1e9 for key in ((base, _WHOLE), ("fp4", "linear")))
    sentence = (
        f"With denoiser and T5 encoder at FP4, as the libraries do it, the weights of the {len(sizes)} checkpoints take"
        f" {_ranges(shares)} of their bytes at {named(base)}; up to {share(limit)} counts as drastic. {most} keeps most"
        f" ({before:.1f} to {after:.1f} GB): {share(_reach(most))} of its weights lie in layers that the libraries"
        " take."
    )
    return Finding(verdict(_exact(shares), high=limit), sentence, _named(shares), most)


def memory_shares(base: str) -> pd.Series:
    """The bytes of each checkpoint (its title) at FP4 as a share of those at `base`; empty where none were counted."""
    if weights().empty:
        return pd.Series(dtype=float)
    sizes = totals()
    return sizes["fp4", "linear"] / sizes[base, _WHOLE]


def _reach(title: str) -> float:
    """The share of a checkpoint's parameters that the libraries quantize to FP4."""
    held = weights()
    held = held[(held.title == title) & (held.precision == "fp4") & (held.coverage == "linear")]
    return float(held.quantized.sum() / held.parameters.sum())


def time(limit: float | None = None, base: str = "fp32") -> Finding:
    """What FP4 takes of a denoising step's time at `base` (figures: each checkpoint's share).

    Judged on an archived run on a GPU alone; where there is none the sentence tells the published timings.
    """
    limit = shipped().margins.time.value if limit is None else limit
    runs = measured()
    return _published() if runs.empty else _timed(runs, limit, base)


def time_shares(base: str) -> pd.Series:
    """The seconds of a step of each checkpoint (its title) at FP4 as a share of those at `base`, linear layers alone;
    empty where they were not measured."""
    runs = measured()
    if runs.empty:
        return pd.Series(dtype=float)
    runs = runs[runs.fits & (runs.coverage != "all")]
    wide = runs.pivot(index="title", columns="precision", values="seconds_per_step")
    return (wide["fp4"] / wide[base]).dropna() if {base, "fp4"} <= set(wide) else pd.Series(dtype=float)


def _published() -> Finding:
    found = published()
    others = found[~found.precision.isin(["bf16", "fp16"])]
    if others.empty:
        return Finding(NOT_TESTABLE, "No run on a GPU is archived, so this project cannot say.", {})
    faster = int((others.ratio < 1).sum())
    sentence = (
        f"No run on a GPU is archived, so this project cannot say. Of {len(others)} published timings of quantized"
        f" weights ({listed(sorted(set(others.title)))}, {listed(sorted(set(others.card)))}) "
        f"{faster or 'none'} {'is' if faster < 2 else 'are'} faster than 16 bits; they take {others.ratio.min():.1f} to"
        f" {others.ratio.max():.1f} times as long."
    )
    return Finding(NOT_TESTABLE, sentence, {})


def _timed(runs: pd.DataFrame, limit: float, base: str) -> Finding:
    shares = time_shares(base)
    if shares.empty:
        return Finding(NOT_TESTABLE, f"The archived run on a GPU lacks {named(base)} or FP4, so it cannot say.", {})
    sentence = (
        f"On {listed(sorted(set(runs.card)))} a denoising step at FP4 takes {_ranges(shares)} of its time at"
        f" {named(base)}; up to {share(limit)} counts as drastic."
    )
    return Finding(verdict(_exact(shares), high=limit), sentence, _named(shares), shares.idxmax())


def _ranges(shares: pd.Series) -> str:
    """Shares by family in words: 15 % to 49 % (3 UNets) and 12 % to 14 % (4 DiTs)."""
    parts = []
    for kind, part in by_family(shares).items():
        ends = " to ".join(dict.fromkeys(map(share, (part.min(), part.max()))))
        count = f"{len(part)} {kind}" if len(part) > 1 else f"1 {kind.removesuffix('s')}"
        parts.append(f"{ends} ({count})")
    return listed(parts)


def _exact(shares: pd.Series) -> list[Interval]:
    """Figures that no sample stands behind."""
    return [Interval(share, share, share) for share in shares]


def _named(shares: pd.Series) -> dict[str, Interval]:
    return dict(zip(shares.index, _exact(shares), strict=True))
