"""A study beside the public ones of real checkpoints: the same effects in both, published rates.

The public study's own figures are read and computed in `helpers.analysis.public_study`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from helpers.analysis import public_study
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.results.memo import once
from helpers.results.results import Results, titles

__all__ = [
    "BASE",
    "FORMATS",
    "Sensitivity",
    "agreement",
    "agreement_counts",
    "correlation_span",
    "correlations_of_runs",
    "direction",
    "doubtful",
    "leading_detector",
    "least_and_most_seen",
    "mean_change",
    "own_correlation_span",
    "own_effects",
    "public_cells",
    "published_beside",
    "rank_correlations",
    "sensitivity",
    "side_by_side",
    "stated_aucs",
]

FORMATS = ("nf4", "int8")
BASE = "fp16"  # the public study's
KEYS = ["generator", "detector", "precision"]


def public_cells() -> pd.DataFrame:
    """The public study's comparisons with its baseline, cell by cell, with the columns of `public_study.summary`."""
    table = public_study.public_effects()
    return table[(table.against == BASE) & (table.generator != public_study.ALL)]


@once
def own_effects(results: Results) -> pd.DataFrame:
    """`public_study.study_effects` of a study in the public study's formats, for its generators and detectors."""
    there = public_cells()
    narrowed = replace(
        results,
        generators=tuple(key for key in results.generators if key in set(there.generator)),
        detectors=tuple(key for key in results.detectors if key in set(there.detector)),
    )
    return public_study.study_effects(narrowed, FORMATS)


def mean_change(effects: pd.DataFrame, precision: str) -> Interval | None:
    """The change of the detection rate averaged over generators and detectors, of a table of effects; None
    where it has none."""
    every = public_study.ALL
    rows = effects[(effects.generator == every) & (effects.detector == every) & (effects.precision == precision)]
    return Interval(*rows[["change", "change_low", "change_high"]].iloc[0]) if len(rows) else None


def direction(change: Interval) -> int:
    """1 where the whole interval lies above zero, -1 where below, else 0."""
    return 1 if change.low > 0 else -1 if change.high < 0 else 0


def leading_detector(effects: pd.DataFrame, precision: str) -> pd.Series:
    """The detector whose detection rate changes most, averaged over generators: its row of a table of effects."""
    every = public_study.ALL
    rows = effects[(effects.generator == every) & (effects.detector != every) & (effects.precision == precision)]
    return rows.loc[rows.change.abs().idxmax()]


def agreement(results: Results) -> pd.DataFrame:
    """Where the public study and this one agree, cell by cell: `public_study.agreement`."""
    return public_study.agreement(public_study.public_effects(), own_effects(results))


def agreement_counts(found: pd.DataFrame) -> dict[str, int]:
    """How many rows of `agreement` "agree", "part" and are "open"; in how many the public study's interval of the shift
    holds zero (`public_zero`), and the intervals of the standardized shift overlap (`sizes`).
    """
    verdicts = {name: int((found.verdict == name).sum()) for name in ("agree", "part", "open")}
    zero = (found.shift_low_real <= 0) & (found.shift_high_real >= 0)
    return verdicts | {"public_zero": int(zero.sum()), "sizes": int(found.sizes.sum())}


@dataclass(frozen=True)
class Sensitivity:
    """What so many pairs a cell can show.

    Attributes:
        pairs: how many there are, the most of any cell.
        shift: the mean difference, in standard deviations of the differences, that they show with 80 % power.
        flips: verdicts that must all turn the same way for McNemar's exact test at 5 %; `change` is their share.
        powerful_change: the change of the detection rate that they show with 80 % power.
    """

    pairs: int
    shift: float
    flips: int
    powerful_change: float

    @property
    def change(self) -> float:
        return self.flips / self.pairs


def sensitivity(effects: pd.DataFrame, tests: int = 1) -> Sensitivity:
    """What the largest cell of a table of effects can show; `flips` after a correction over so many tests."""
    pairs = int(effects[effects.generator != public_study.ALL].n.max())
    return Sensitivity(
        pairs,
        public_study.minimal_detectable_effect(pairs),
        public_study.min_discordant_pairs(0.05 / tests),
        public_study.flips_for_power(pairs),
    )


def least_and_most_seen(power: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The rows of `public_study.power` whose pairs show the smallest shift, and the largest alone."""
    return power.loc[power.shift_seen.idxmin()], power.loc[power.shift_seen.idxmax()]


def side_by_side(results: Results) -> pd.DataFrame:
    """The public study's effects and this study's in the cells that both have, with titles.

    `study` is "public" or "own"; the public study's rows are all there, whatever this study has.
    """
    own, there = own_effects(results), public_cells()
    own = own[own.generator != public_study.ALL]
    frames = [there.assign(study="public")]
    if len(own):
        frames.append(own.merge(there[KEYS], on=KEYS).assign(study="own"))
    table = pd.concat(frames, ignore_index=True)
    named = [titles(row.generator, row.precision, row.detector) for row in table.itertuples()]
    return table.assign(**{f"{kind}_title": [row[f"{kind}_title"] for row in named] for kind in KEYS})


def doubtful() -> pd.DataFrame:
    """The public study's comparisons of which it is in doubt what was quantized, the clearest shift first.

    Their columns with t and p of a two-sided paired t test of the shift, uncorrected.
    """
    rows = public_cells()
    rows = rows[rows.arm != "native"]
    t = rows["shift"] * np.sqrt(rows.n) / rows.sd
    rows = rows.assign(t=t, p=2 * stats.t.sf(t.abs(), rows.n - 1))
    return rows.sort_values("t", key=np.abs, ascending=False, kind="stable")


def correlations_of_runs() -> pd.DataFrame:
    """Pearson's correlation of the paired logits of each two runs of the public study, one row per generator and
    detector, one column per pair of runs, as titles.
    """
    table = public_study.public_effects()
    table = table[table.generator != public_study.ALL]
    named = {
        (BASE, "int8"): "FP16 and 8 bits", (BASE, "nf4"): "FP16 and NF4", ("int8", "nf4"): "8 bits and NF4",
    }  # fmt: skip
    runs = [named[pair] for pair in zip(table.against, table.precision, strict=True)]
    wide = table.assign(runs=runs).pivot(index=["generator", "detector"], columns="runs", values="r")
    return wide[list(named.values())]


def correlation_span(wide: pd.DataFrame, generator: str) -> dict[str, tuple[float, float]]:
    """The least and the largest over detectors, by pair of runs, of a table of `correlations_of_runs`."""
    own = wide.loc[generator]
    return {str(runs): (float(low), float(high)) for runs, low, high in zip(wide, own.min(), own.max(), strict=True)}


def own_correlation_span(results: Results, precision: str = "nf4") -> tuple[float, float] | None:
    """The same of a study's own baseline and precision, over generators and detectors; None where it has none."""
    own = own_effects(results)
    own = own[(own.generator != public_study.ALL) & (own.precision == precision)] if len(own) else own
    return (float(own.r.min()), float(own.r.max())) if len(own) else None


def stated_aucs() -> pd.DataFrame:
    """AUC as the public study states it (`auc_stated`) and as its scores give it (`auc_computed`), and their `gap`."""
    stated, ours = public_study.published_aucs(), public_cells()
    before = ours[ours.precision == "nf4"][["generator", "detector", "auc_before"]].assign(precision=BASE)
    computed = pd.concat([before.rename(columns={"auc_before": "auc"}), ours[[*KEYS, "auc"]]])
    both = stated.merge(computed, on=KEYS, suffixes=("_stated", "_computed"))
    return both.assign(gap=(both.auc_stated - both.auc_computed).abs())


def published_beside(results: Results) -> pd.DataFrame:
    """The published rates beside the study's detection rate, by training: `public_study.beside_published` with
    `training`, "" for the page's own, and that on SDXL alone where the study has it.
    """
    said = results.manifest.get("study", {})
    sdxl = f"{said.get('weights') or 'mini'}-sdxl"
    labels = [None] + [sdxl] * (sdxl in (said.get("further") or {}))
    tables = [public_study.beside_published(results, label).assign(training=label or "") for label in labels]
    return pd.concat(tables, ignore_index=True)


def rank_correlations(beside: pd.DataFrame, resamples: int = 2000) -> pd.DataFrame:
    """Spearman's correlation of published rates with the study's detection rate, for each training there.

    training, cells (that both have), rho with its ends: 95 %, cells resampled. NaN of fewer than 4 cells, or where all
    have the same detection rate.
    """
    rows = []
    for training, table in beside.groupby("training", sort=False):
        pairs = table.dropna(subset="tpr")[["published", "tpr"]].to_numpy()
        known = len(pairs) > 3 and len(np.unique(pairs[:, 1])) > 1
        rho = _rank_correlation(pairs, resamples) if known else Interval(np.nan, np.nan, np.nan)
        rows.append({"training": training, "cells": len(pairs)} | interval_columns(rho=rho))
    return pd.DataFrame(rows, columns=["training", "cells", "rho", "rho_low", "rho_high"])


def _rank_correlation(pairs: np.ndarray, resamples: int) -> Interval:
    """Spearman's rho of pairs (N, 2) with the ends of its bootstrap; draws in which one side does not vary are left."""
    drawn = np.random.default_rng(0).integers(0, len(pairs), (resamples, len(pairs)))
    ranked = stats.rankdata(pairs[drawn[np.ptp(pairs[drawn], axis=1).all(axis=1)]], axis=1)
    ranked -= ranked.mean(axis=1, keepdims=True)
    one, other = ranked[..., 0], ranked[..., 1]
    ranks = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return Interval(float(stats.spearmanr(*pairs.T).statistic), *np.quantile(ranks, [0.025, 0.975]))
