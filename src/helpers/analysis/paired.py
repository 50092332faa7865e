"""What a precision does to the scores of the same images, and whether it does more than what should do nothing.

Everything is paired: image i at a precision has the prompt and the noise of image i at the baseline. A control is a
change that should not matter (images computed in batches, weights cast to 16 bits) or one whose size is a yardstick
(another seed): "FP4 moves the score" means that it moves the same images further than the control does.
"""

from __future__ import annotations

import functools
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from helpers.analysis.cells import logits_at, paired_logits, shifts
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.core import scores
from helpers.results.memo import once, once_copied
from helpers.results.results import Results, all_arms, with_fakes

__all__ = [
    "TESTS",
    "beyond",
    "beyond_by_control",
    "cliff",
    "controls",
    "holm",
    "identical",
    "paired_effects",
    "paired_permutation_test",
]

#: Roles of the arms that are controls, with their names in print.
CONTROLS = {"null": "null control", "seed": "other seed"}

#: The p-values of a row of `paired_effects`; each is one family with Holm's correction, in a column `X_holm`.
TESTS = ("p", "shift_p", "ks_p", "wasserstein_p")


@once_copied
def paired_effects(results: Results, confidence: float = 0.95, resamples: int = 2000) -> pd.DataFrame:
    """`cells.shifts` and more: one row per generator, detector and precision other than the baseline, then one per
    control.

    Beside the columns of `shifts` there are the shares of images `lost_share` (fake to real) and `gained_share`
    (Wilson); `shift_p` (paired t-test); `ks` with `ks_p` and `wasserstein` (in standard deviations of the baseline)
    with `wasserstein_p`, both from `paired_permutation_test`; `cliff` (bootstrapped by prompt); and for each of `TESTS`
    the same corrected by Holm over the family of all rows of the main arm (`X_holm`; NaN for controls). `arm` names
    the control and `role` its role in the study file ("" in the main arm); there the precision is its key and its
    title.
    """
    main = shifts(results, confidence, resamples).assign(arm=results.arm, role="")
    frames = [main] if len(main) else []
    for name, (title, series) in _arms(results).items():
        rows = shifts(_control_cells(results, series, name), confidence, resamples)
        frames.append(rows.assign(arm=name, role=results.arms[name]["role"], precision=name, precision_title=title))
    if not frames:
        return pd.DataFrame()
    found = pd.concat(frames, ignore_index=True)
    more = [_more(results, row, confidence, resamples) for row in found.to_dict("records")]
    found = pd.concat([found, pd.DataFrame(more)], axis=1)
    own = found.arm == results.arm
    for name in TESTS:
        found.loc[own, f"{name}_holm"] = holm(found.loc[own, name])
    return found


def _more(results: Results, row: dict[str, Any], confidence: float, resamples: int) -> dict[str, float]:
    key = (row["detector"], row["generator"])
    if row["arm"] == results.arm:
        base, other, index = paired_logits(results, *key, row["precision"])
    else:
        base, other, index = _paired(results.logits(*key, results.baseline), _arms(results)[row["arm"]][1].get(key))
    n, spread = len(base), float(base.std(ddof=1)) if len(base) > 1 else nan
    found = paired_permutation_test(base, other)
    return {
        **metrics.interval_columns(
            lost_share=metrics.wilson(row["lost"], n, confidence),
            gained_share=metrics.wilson(row["gained"], n, confidence),
        ),
        "shift_p": _t(other - base),
        **found,
        "wasserstein": found["wasserstein"] / spread if spread else nan,
        **metrics.interval_columns(cliff=cliff(base, other, index, resamples=resamples, confidence=confidence)),
    }


def _t(change: np.ndarray, alternative: str = "two-sided") -> float:
    """The p-value of a t-test against a mean change of zero; 1 where nothing changed, NaN for fewer than two.

    Where all changed by the same a t-test would be certain even of two, so there it is the sign test.
    """
    if len(change) < 2:
        return nan
    if not change.any():
        return 1.0
    if np.ptp(change) <= 1e-12 * np.abs(change).max():
        return float(stats.binomtest(int((change > 0).sum()), len(change), alternative=alternative).pvalue)
    return float(stats.ttest_1samp(change, 0.0, alternative=alternative).pvalue)


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values (Scand. J. Stat. 1979) of a family (N,); NaN is no member and stays NaN.

    statsmodels' `multipletests` gives the same, but collects the process's garbage at each call: .2 s beside a page.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, nan)
    members = np.flatnonzero(~np.isnan(p))
    order = members[np.argsort(p[members], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def cliff(
    base: ArrayLike,
    other: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Cliff's delta, P(other > base) - P(other < base) over all pairs of a base (N,) and an other image (N,).

    From -1 (every other score lies below every base score) to 1. Image i of both is of cluster i (N,), drawn together.
    Where no resample differs, as when both are separated, and where there are few clusters, the interval is that of
    `metrics.auc` for as many images as clusters (delta is 2 AUC - 1), which takes no account of the pairing.
    """
    base, other = (scores.finite(values) for values in (base, other))
    n = len(base)
    if n == 0:
        return metrics.UNKNOWN
    names, groups = np.unique(np.arange(n) if clusters is None else np.asarray(clusters), return_inverse=True)
    order = np.argsort(base)
    less, up_to = (np.searchsorted(base[order], other, side=side) for side in ("left", "right"))

    def delta(weights: np.ndarray) -> np.ndarray:  # (N, R) -> (R,)
        below = metrics.counted(weights[order])
        total = below[-1]
        places = below[less]
        places += below[up_to]
        places -= total
        deltas: np.ndarray = np.einsum("nr,nr->r", weights, places) / total**2
        return deltas

    estimate = float(delta(np.ones((n, 1)))[0])
    drawn = metrics.bootstrap_weights(len(names), resamples, seed)
    parts = [delta(drawn[groups, start : start + 250]) for start in range(0, resamples, 250)]
    found = metrics.resampled(estimate, np.concatenate(parts), len(names), confidence)
    if len(names) >= metrics.FEW and not isnan(found.low):
        return found
    area = metrics.area_interval((estimate + 1) / 2, len(names), len(names), confidence)
    return Interval(estimate, 2 * area.low - 1, 2 * area.high - 1)


def paired_permutation_test(base: ArrayLike, other: ArrayLike, times: int = 2000, seed: int = 0) -> dict[str, float]:
    """Distances of two distributions of paired scores (N,) (N,), with p-values that know of the pairing.

    `ks` is the Kolmogorov-Smirnov distance and `wasserstein` the area between both distribution functions, in the
    unit of the scores. Where the change does nothing, which image of a pair is called the base is chance; so `ks_p`
    and `wasserstein_p` are the share of `times` random swaps within pairs, and the pairs as they are, that lie as far
    apart. The usual test takes the samples for independent and would see too little. Both are NaN of fewer than two
    pairs, which no swap tells from chance.
    """
    base, other = (scores.finite(values) for values in (base, other))
    n = len(base)
    if n == 0:
        return dict.fromkeys(("ks", "ks_p", "wasserstein", "wasserstein_p"), nan)
    pooled = np.concatenate([base, other])
    order = np.argsort(pooled, kind="stable")
    gaps = np.diff(pooled[order])
    pair, sign = order % n, np.where(order < n, 1.0, -1.0).astype(np.float32)
    steps = np.flatnonzero(gaps > 0)  # the distribution functions are compared between distinct scores

    def distances(flips: np.ndarray) -> np.ndarray:  # (N, R) of +-1 -> (2, R)
        swapped = flips[pair]
        swapped *= sign[:, None]
        apart = np.cumsum(swapped, axis=0)[steps]
        np.abs(apart, out=apart)
        apart /= n
        return np.stack([apart.max(axis=0, initial=0.0), gaps[steps].astype(np.float32) @ apart])

    ks, area = distances(np.ones((n, 1), np.float32))[:, 0]
    flips = _flips(n, times, seed)
    drawn = np.concatenate([distances(flips[:, start : start + 250]) for start in range(0, times, 250)], axis=1)
    p = (1 + (drawn >= np.array([[ks], [area]]) * (1 - 1e-5)).sum(axis=1)) / (1 + times) if n > 1 else (nan, nan)
    return {"ks": float(ks), "ks_p": float(p[0]), "wasserstein": float(area), "wasserstein_p": float(p[1])}


@functools.lru_cache(maxsize=4)
def _flips(pairs: int, times: int, seed: int) -> np.ndarray:
    flips = np.random.default_rng(seed).integers(0, 2, (pairs, times)).astype(np.float32) * 2 - 1
    flips.setflags(write=False)
    return flips


Series = dict[tuple[str, str], pd.Series]


def controls(results: Results) -> dict[str, tuple[str, Series]]:
    """The study's controls by key, each with its name and its logits by (detector, generator).

    What changes no logit of a detector on a generator, or no byte of its images, is the baseline again and no control
    of it: `identical` names it. A test against it would be one against zero.
    Beside the arms at the baseline whose role in the study file is "null" or "seed", by their names, there is "fp16":
    the main arm's FP16, which on a CPU computes in 32 bits with weights cast to 16.
    """
    return {
        name: (title, moved)
        for name, (title, series) in _candidates(results).items()
        if (moved := {key: logits for key, logits in series.items() if not _same(results, name, key, logits)})
    }


def identical(results: Results) -> list[str]:
    """Names of what should be a control and changes no logit at all, of any detector on any generator."""
    there = controls(results)
    return [title for name, (title, series) in _candidates(results).items() if name not in there and len(series)]


def _same(results: Results, name: str, key: tuple[str, str], logits: pd.Series) -> bool:
    base, other, _ = _paired(results.logits(*key, results.baseline), logits)
    return bool((base == other).all()) or (name, key[1]) in _equal_images(results)


@once
def _equal_images(results: Results) -> set[tuple[str, str]]:
    """Controls by name, with generators of which every image of theirs is the baseline's byte for byte: the same pixels
    may still get another last digit of a logit beside other images."""
    rows = all_arms(results)
    if "image_sha256" not in rows:
        return set()
    names = rows.arm.where(rows.arm != results.arm, rows.precision)
    baseline = (rows.precision == results.baseline) & (rows.arm != results.arm)
    rows = rows.assign(name=names)[baseline | (names == "fp16") | (names == results.baseline)]
    wide = rows.drop_duplicates(["generator", "index", "name"]).pivot(
        index=["generator", "index"], columns="name", values="image_sha256"
    )
    if results.baseline not in wide:
        return set()
    found = set()
    for name in wide.columns.drop(results.baseline):
        both = wide[[name, results.baseline]].replace("", np.nan).dropna()
        equal = (both[name] == both[results.baseline]).groupby(level="generator").all()
        found |= {(str(name), str(generator)) for generator in equal.index[equal]}
    return found


def _candidates(results: Results) -> dict[str, tuple[str, Series]]:
    found: dict[str, tuple[str, Series]] = _arms(results)
    if "fp16" in results.precisions and results.baseline != "fp16":
        pairs = [(d, g) for d in results.detectors for g in results.generators]
        series = {(d, g): results.logits(d, g, "fp16") for d, g in pairs}
        found = found | {"fp16": ("FP16", {key: logits for key, logits in series.items() if len(logits)})}
    return found


@once
def _arms(results: Results) -> dict[str, tuple[str, Series]]:
    rows = all_arms(results)
    found: dict[str, tuple[str, Series]] = {}
    for name, arm in results.arms.items():
        kind = CONTROLS.get(str(arm.get("role")), "")
        own = rows[(rows.arm == name) & (rows.precision == results.baseline)]
        if kind and len(own):
            groups = own.groupby(["detector", "generator"])
            found[name] = (kind, {key: group.set_index("index")["logit"] for key, group in groups})
    return found


def _control_cells(results: Results, series: Series, name: str) -> Results:
    """The study as if the control were its one precision beside the baseline, for `cells.shifts`."""
    base, pairs = results.baseline, [(d, g) for d in results.detectors for g in results.generators]
    kept = {(d, g, base): results.logits(d, g, base) for d, g in pairs}
    kept |= {(d, g, name): logits for (d, g), logits in series.items()}
    return with_fakes(results, (base, name), kept)


def _paired(base: pd.Series, other: pd.Series | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    other = base[:0] if other is None else other
    shared = base.index.intersection(other.index)
    return logits_at(base, shared), logits_at(other, shared), shared.to_numpy()


@once_copied
def beyond(results: Results, confidence: float = 0.95, resamples: int = 2000) -> pd.DataFrame:
    """Whether each precision moves the same images' scores further than each control does.

    One row per control, generator, detector and precision other than the baseline and the control itself: `excess` is
    the mean size of the change of logit beyond that of the control's, in standard deviations of the baseline's logits,
    bootstrapped by prompt; `apart` the difference of the two mean shifts in the same unit; `p` that of a one-sided
    paired t-test of the excess, `p_holm` the same corrected over the family of all rows of one control; `further`
    whether that is under 1 - confidence. Images are those that baseline, precision and control all have.
    """
    rows = [
        row
        for name, (title, series) in controls(results).items()
        for (detector, generator), control in series.items()
        if detector in results.detectors and generator in results.generators
        for row in _excesses(results, detector, generator, control, name, confidence, resamples)
    ]
    found = pd.DataFrame(rows)
    if len(found):
        found.insert(1, "control_title", found.control.map({name: of[0] for name, of in controls(results).items()}))
        found["p_holm"] = found.groupby("control", sort=False)["p"].transform(holm)
        found["further"] = found.p_holm < 1 - confidence
    return found


def _excesses(
    results: Results, detector: str, generator: str, control: pd.Series, name: str, confidence: float, resamples: int
) -> list[dict[str, Any]]:
    """Rows of `beyond` for one detector on one generator and one control, given by its logits."""
    base = results.logits(detector, generator, results.baseline)
    rows = []
    for shared, alike in _alike(results, detector, generator, base.index.intersection(control.index)):
        precisions = [precision for precision in alike if precision not in (results.baseline, name)]
        if not precisions:
            continue
        first, placebo = (logits_at(series, shared) for series in (base, control))
        moved = [logits_at(results.logits(detector, generator, key), shared) for key in precisions]
        excess = [np.abs(other - first) - np.abs(placebo - first) for other in moved]
        apart = [other - placebo for other in moved]
        index = shared.to_numpy()
        found = metrics.bootstrap_ratio([*excess, *apart], first, index, resamples=resamples, confidence=confidence)
        for precision, values, *both in zip(precisions, excess, found[: len(moved)], found[len(moved) :], strict=True):
            row = {"control": name, "n": len(shared)} | results.titled(generator, precision, detector)
            row |= metrics.interval_columns(excess=both[0], apart=both[1])
            rows.append(row | {"p": _t(values, "greater")})
    return rows


def beyond_by_control(found: pd.DataFrame) -> pd.DataFrame:
    """The table of `beyond` told for each precision and control: in how many `pairs` of generator and detector the
    precision moves images `further`, and the `least` and the `largest` excess with their ends.

    precision and control_title with titles; `family` is the number of tests over which p was corrected.
    """
    if found.empty:
        return found
    rows = []
    families = found.groupby("control", sort=False).control.transform("size")
    for (precision, title, control), own in found.assign(family=families).groupby(
        ["precision", "precision_title", "control_title"], sort=False
    ):
        row = {"precision": precision, "precision_title": title, "control_title": control}
        row |= {"further": int(own.further.sum()), "pairs": len(own), "family": int(own.family.max())}
        known = own.dropna(subset="excess").sort_values("excess", kind="stable")
        for name, place in (("least", 0), ("largest", -1)):
            ends = known[["excess", "excess_low", "excess_high"]].iloc[place] if len(known) else (np.nan,) * 3
            row |= metrics.interval_columns(**{name: metrics.Interval(*ends)})
        rows.append(row)
    return pd.DataFrame(rows)


def _alike(results: Results, detector: str, generator: str, there: pd.Index) -> list[tuple[pd.Index, list[str]]]:
    """The precisions of a generator and detector that share the same two or more of these images, with the images."""
    found: dict[tuple[int, ...], tuple[pd.Index, list[str]]] = {}
    for precision in results.precisions:
        shared = there.intersection(results.logits(detector, generator, precision).index)
        if len(shared) > 1:
            found.setdefault(tuple(shared), (shared, []))[1].append(precision)
    return list(found.values())
