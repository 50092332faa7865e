"""Evidence from real checkpoints: what others published, one public study's per-image scores analysed again, and where
miniatures and real checkpoints agree.

Each table names its source. Of the public study the repository holds what is computed from its scores
(`quantdetect import-scores FILE --map studies/maps/public-scores.toml --summary results/real_checkpoints/summary.csv`),
not the scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.power import TTestPower

from helpers.analysis import controls
from helpers.analysis.cells import cells, standard_shift
from helpers.analysis.paired import holm
from helpers.analysis.stats import metrics
from helpers.core import files
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results, all_arms

__all__ = [
    "ALL",
    "agreement",
    "beside_published",
    "flips_for_power",
    "mean_changes",
    "min_discordant_pairs",
    "minimal_detectable_effect",
    "power",
    "public_effects",
    "published_aucs",
    "published_rates",
    "study_effects",
    "summary",
]

PUBLISHED = files.RESULTS / "published"
SUMMARY = files.RESULTS / "real_checkpoints" / "summary.csv"
ALL = "all"
KEYS = ["generator", "detector", "precision"]


def published_rates() -> pd.DataFrame:
    """TPR and TNR that TrueFake's table prints: source, figure, images (a generator or a set of reals), detector,
    value, in_training (whether the detectors were trained on that generator)."""
    return files.read_csv(PUBLISHED / "rates.csv")


def published_aucs() -> pd.DataFrame:
    """AUC as the public study states it: source, generator, detector, label (its word), precision (our key), auc."""
    return files.read_csv(PUBLISHED / "aucs.csv")


def public_effects(file: Path = SUMMARY) -> pd.DataFrame:
    """The public study's effects as `summary` computed them from its scores."""
    return files.read_csv(file)


def summary(results: Results) -> pd.DataFrame:
    """Every pair of cells of a study, all arms: what changes in the same images from the finer to the coarser one.

    One row per generator, detector and pair: `precision` and `arm` against `against` and `against_arm`; n pairs, r
    (Pearson's, of the paired logits), the columns of `effect`, `p_holm` over all rows with the same `against` being
    the baseline or not; tpr and auc with `_before`, tnr; `reading`, what is known of the cell; `source`. Rows of
    generator "all" hold `change` alone: the mean over generators, images resampled whole. Empty without a pair.
    """
    scores = all_arms(results)
    rows = []
    for generator, detector in itertools.product(results.generators, results.detectors):
        cells = {key: group.set_index("index").logit.sort_index() for key, group in scores[
            (scores.generator == generator) & (scores.detector == detector)
        ].groupby(["arm", "precision"])}  # fmt: skip
        reals = results.reals(detector, generator).to_numpy()
        for finer, coarser in itertools.combinations(sorted(cells, key=_order(results)), 2):
            row = {"generator": generator, "detector": detector, "precision": coarser[1], "arm": coarser[0]}
            row |= {"against": finer[1], "against_arm": finer[0]}
            threshold = results.threshold_of(detector)
            row |= effect(cells[finer], cells[coarser], threshold)
            rows.append(row | _rates(cells[finer], cells[coarser], reals, threshold))
    if not rows:
        return pd.DataFrame()
    table = _corrected(pd.DataFrame(rows), results)
    notes = _notes(results)
    table["reading"] = [notes.get((row.generator, row.precision, row.arm), "") for row in table.itertuples()]
    main = scores[scores.arm == results.arm]
    base = main[main.precision == results.baseline]
    keys = ["generator", "detector", "index"]
    paired = main[main.precision != results.baseline].merge(base[[*keys, "logit"]], on=keys, suffixes=("", "_before"))
    paired = paired.rename(columns={"logit": "after", "logit_before": "before"})
    means = mean_changes(paired, paired.detector.map(results.threshold_of))
    means = means.assign(arm=results.arm, against=results.baseline, against_arm=results.arm)
    said = results.manifest.get("imported", {})
    source = ", ".join(filter(None, [said.get("title"), said.get("source")])) or results.name
    whole = {name: "Int64" for name in ("n", "lost", "gained", "reals")}
    return pd.concat([table, means], ignore_index=True).round(5).astype(whole).assign(source=source)


def _order(results: Results) -> Any:
    places = {key: place for place, key in enumerate(PRECISIONS)}
    return lambda cell: (cell != (results.arm, results.baseline), places[cell[1]], cell[0] != results.arm, cell[0])


def _notes(results: Results) -> dict[tuple[str, str, str], str]:
    cells = results.table("cells.parquet")
    if cells is None:
        return {}
    notes = cells["note"] if "note" in cells else pd.Series("", index=cells.index)
    return dict(zip(zip(cells.generator, cells.precision, cells.arm, strict=True), notes, strict=True))


def effect(base: pd.Series, other: pd.Series, threshold: float = 0.0) -> dict[str, float]:
    """What changes between the logits of the same images (by index), other less base.

    n; shift (mean), sd (of the differences), r; standard (shift in SDs of the base); change of the detection rate
    (Newcombe); lost, gained, p (McNemar, exact; NaN of no pairs, which a family leaves out); what rests on verdicts is
    NaN at a threshold that is not known (NaN). `_low` and `_high` are ends of 95 % intervals; images are resampled
    whole.
    """
    shared = base.index.intersection(other.index)
    before, after = base[shared].to_numpy(np.float64), other[shared].to_numpy(np.float64)
    called = metrics.verdicts(before, threshold), metrics.verdicts(after, threshold)
    lost, gained, p = metrics.mcnemar(*called)
    varied = len(shared) > 2 and before.std() > 0 and after.std() > 0
    row = {"n": len(shared)} | metrics.interval_columns(
        shift=metrics.bootstrap_mean(after - before, shared, reach=np.ptp(before) if len(before) else None)
    )
    row |= {"sd": float((after - before).std(ddof=1)) if len(shared) > 1 else nan}
    row |= {"r": float(np.corrcoef(before, after)[0, 1]) if varied else nan}
    row |= metrics.interval_columns(
        standard=standard_shift(before, after, shared), change=metrics.paired_difference(*called)
    )
    return row | {"lost": lost, "gained": gained, "p": p}


def _rates(base: pd.Series, other: pd.Series, reals: np.ndarray, threshold: float) -> dict[str, float]:
    row: dict[str, float] = {"reals": len(reals)}
    for end, fakes in (("_before", base.to_numpy()), ("", other.to_numpy())):
        tpr, auc = metrics.rate(metrics.verdicts(fakes, threshold)), metrics.auc(fakes, reals)
        row |= metrics.interval_columns(**{f"tpr{end}": tpr, f"auc{end}": auc})
    return row | metrics.interval_columns(tnr=metrics.rate(1 - metrics.verdicts(reals, threshold)))


def _corrected(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """The table with Holm's p-values, over the comparisons with the baseline and over the others."""
    first = (table.against == results.baseline) & (table.against_arm == results.arm)
    for rows in (first, ~first):
        if rows.any():
            table.loc[rows, "p_holm"] = holm(table.p[rows])
    return table


def mean_changes(pairs: pd.DataFrame, threshold: ArrayLike = 0.0) -> pd.DataFrame:
    """The change of the detection rate averaged over generators, per precision: for each detector, and for all of them.

    `pairs` has generator, detector, precision, index, before, after; `threshold` is one, or one for each pair, NaN
    where it is not known: then so is the mean. Generators and detectors weigh the same; images
    of one index are resampled together, as they share prompt or photograph.
    """
    after, before = (metrics.verdicts(pairs[name], threshold) for name in ("after", "before"))
    turned = pairs.assign(turned=after - before)
    rows = []
    for precision, of in turned.groupby("precision"):
        for detector in [*sorted(of.detector.unique()), ALL]:
            kept = of if detector == ALL else of[of.detector == detector]
            cells = kept.groupby(["generator", "detector"]).turned
            weights = 1 / cells.transform("size") / cells.ngroups
            row = {"generator": ALL, "detector": detector, "precision": precision, "n": len(kept)}
            known = kept.turned.notna().all()
            change = metrics.mean_turn(kept.turned, weights, kept["index"]) if known else metrics.UNKNOWN
            rows.append(row | metrics.interval_columns(change=change))
    return pd.DataFrame(rows)


def study_effects(results: Results, precisions: Sequence[str]) -> pd.DataFrame:
    """A study's own effects at the named precisions, from the first of its arms that has them (the main one first).

    One row per generator, detector and precision: the columns of `effect`, and `arm_title`; rows of generator "all"
    as in `mean_changes`. Empty where no arm has them.
    """
    pairs = controls.differences(results)
    pairs = pairs[pairs.precision.isin(precisions)]
    first = pairs.groupby("precision").arm.transform("first")
    pairs = pairs[pairs.arm == first]
    rows = []
    for keys, group in pairs.groupby([*KEYS, "arm_title"], sort=False):
        of = group.set_index("index")
        named = dict(zip([*KEYS, "arm_title"], keys, strict=True))
        rows.append(named | effect(of.before, of.after, results.threshold_of(named["detector"])))
    if not rows:
        nothing = pd.Series(dtype=np.float64)
        return pd.DataFrame(columns=[*KEYS, "arm_title", *effect(nothing, nothing)])
    means = mean_changes(pairs, pairs.detector.map(results.threshold_of))
    return pd.concat([pd.DataFrame(rows), means], ignore_index=True)


def agreement(public: pd.DataFrame, own: pd.DataFrame, baseline: str = "fp16") -> pd.DataFrame:
    """Where two studies agree, one row per generator, detector and precision that both have.

    Columns of `public` (against its baseline) with the ending `_real`, of `own` with `_own`. `verdict`: "agree" where
    both intervals of the shift exclude zero on the same side, "part" on opposite sides, else "open"; `sizes`: whether
    the intervals of the standardized shift overlap.
    """
    real = public[(public.against == baseline) & (public.generator != ALL)]
    both = real.merge(own[own.generator != ALL], on=KEYS, suffixes=("_real", "_own"))
    signs = [_side(both[f"shift_low_{whose}"], both[f"shift_high_{whose}"]) for whose in ("real", "own")]
    product = signs[0] * signs[1]
    both["verdict"] = product.map({1: "agree", -1: "part", 0: "open"})
    both["sizes"] = (both.standard_low_real <= both.standard_high_own) & (
        both.standard_low_own <= both.standard_high_real
    )
    return both


def _side(low: pd.Series, high: pd.Series) -> pd.Series:
    """1 where an interval lies above zero, -1 below, 0 where it holds zero."""
    return (low > 0).astype(int) - (high < 0).astype(int)


def minimal_detectable_effect(pairs: int, power: float = 0.8, level: float = 0.05) -> float:
    """The mean paired difference, in SDs of the differences, that so many pairs show with this power (t test)."""
    return float(TTestPower().solve_power(nobs=pairs, alpha=level, power=power, alternative="two-sided"))


def min_discordant_pairs(level: float = 0.05) -> int:
    """How many verdicts must turn, all one way, for McNemar's exact test to reject at this level."""
    return next(k for k in itertools.count(1) if stats.binomtest(k, k).pvalue <= level)


def flips_for_power(pairs: int, power: float = 0.8, level: float = 0.05) -> float:
    """The share of images whose verdict turns (all one way) at which so many pairs reject with this power; 1 at most.

    McNemar's exact test rejects from `min_discordant_pairs` on; their number is binomial.
    """
    shares = np.linspace(0, 1, 1001)
    return float(shares[stats.binom.sf(min_discordant_pairs(level) - 1, pairs, shares) >= power].min(initial=1.0))


def power(public: pd.DataFrame, baseline: str = "fp16") -> pd.DataFrame:
    """What each comparison of a study could have shown: n, sd of the differences, the smallest shift seen with 80 %
    power in logits (`shift_seen`) and in SDs of the baseline (`standard_seen`), the shift that was found."""
    rows = public[(public.against == baseline) & (public.generator != ALL)].copy()
    rows["shift_seen"] = [minimal_detectable_effect(int(row.n)) * row.sd for row in rows.itertuples()]
    rows["standard_seen"] = rows.shift_seen * (rows.standard / rows["shift"])
    return rows[[*KEYS, "arm", "n", "sd", "shift", "shift_seen", "standard_seen"]].reset_index(drop=True)


def beside_published(results: Results, weights: str | None = None) -> pd.DataFrame:
    """The published TPR beside a study's detection rate at its baseline, one row per generator and detector of both.

    generator, detector, published, in_training, tpr with its ends, n. `weights` is another training of the study.
    """
    first = (results.baseline,)
    loaded = results.under("plain", weights, precisions=first)
    own = cells(loaded)[["generator", "detector", "n", "tpr", "tpr_low", "tpr_high"]]
    rates = published_rates()
    rates = rates[rates.figure == "tpr"].rename(columns={"images": "generator", "value": "published"})
    return rates[["generator", "detector", "published", "in_training"]].merge(own, on=["generator", "detector"])
