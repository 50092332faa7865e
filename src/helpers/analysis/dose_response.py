"""Dose and response along the ladder of formats: does detection follow the bits, the weight error, or the format?

The response is the mean paired shift of logit, in standard deviations of the generator's baseline logits; the dose is
the relative error that a format leaves in the denoiser's weights (Frobenius), as measured. Everything is resampled by
prompt, the same prompts in all cells at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from helpers.analysis import controls
from helpers.analysis.image_traces import paired
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.precision.catalogue import PRECISIONS, SYMMETRIC
from helpers.results.memo import once
from helpers.results.results import Results, titles

__all__ = ["CONTRASTS", "FORMATS", "contrasts", "ladder", "ladder_arm", "off_zero", "relations", "weight_errors"]

#: Bits of a stored weight and the family of its code, of every format of layers' weights alone, the finest first. One
#: of inputs too is no rung: the error of its weights is not its dose.
FORMATS = {
    key: (row.bits, row.family)
    for key, row in sorted(PRECISIONS.items(), key=lambda item: -item[1].bits)
    if row.scope == "layers" and not row.inputs
}

#: Formats of equal bits that are set side by side: the first less the second.
CONTRASTS = (
    ("nf4", "fp4"), ("nf4", "int4"), ("int4_affine", "int4"), ("fp4", "int4"), ("fp8", "int8"),
    ("nvfp4", "mxfp4"), ("nvfp4", "fp4"), ("q4_k", "q4_0"), ("q8_0", "int8"),
)  # fmt: skip

#: A ladder has at least so many formats.
_RUNGS = 4


@dataclass(frozen=True)
class Responses:
    """Mean shifts (R + 1, G, D, F) by generator, detector and format, of all prompts and of each resample.

    `errors` (G, F) are relative weight errors; `prompts` is how many were drawn from; `keys` the names along the last
    three axes.
    """

    shifts: np.ndarray
    errors: np.ndarray
    prompts: int
    keys: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def ladder_arm(results: Results) -> str:
    """The name of the ladder; "" where the study has none, or one of too few of the formats above."""
    name = results.arm_of("ladder")
    rungs = sum(key in FORMATS for key in results.arms.get(name, {}).get("precisions", ()))
    return name if rungs >= _RUNGS else ""


def weight_errors(results: Results) -> dict[tuple[str, str], float]:
    """Relative weight error of the denoiser by generator and format."""
    cells = results.table("cells.parquet")
    if cells is None:
        return {}
    cells = cells[cells.arm == ladder_arm(results)]
    found = {}
    for generator, precision, stored in zip(cells.generator, cells.precision, cells.component_coverage, strict=True):
        parts = json.loads(stored) if isinstance(stored, str) else {}
        error = parts.get("denoiser", {}).get("weight_errors", {}).get("all")
        if error:
            found[generator, precision] = float(error)
    return found


@once
def _changes(results: Results) -> pd.DataFrame:
    """Paired changes along the ladder, in standard deviations of the baseline's logits (`moved`), image by image."""
    rows = controls.differences(results)
    rows = rows[(rows.arm == ladder_arm(results)) & rows.precision.isin(FORMATS)]
    spread = rows.drop_duplicates(["generator", "detector", "index"]).groupby(["generator", "detector"]).before.std()
    rows = rows.join(spread.rename("spread"), on=["generator", "detector"])
    rows = rows[rows.spread > 0]
    limits = rows.detector.map(results.threshold_of)
    return rows.assign(moved=rows.change / rows.spread, fake=metrics.verdicts(rows.after, limits))


def ladder(results: Results) -> pd.DataFrame:
    """One row per generator, detector and format: the dose, the response and what the images' spectra do.

    bits, family, `error` (relative weight error), n; `shift` in standard deviations, the figures
    `auc`, `tpr_at_5` and `tpr` of `analysis.cells`, and `high`, the change of the energy above half Nyquist in dB (NaN
    without spectra.parquet), all with ends. Empty without a ladder.
    """
    rows, errors = [], weight_errors(results)
    cells = _changes(results).groupby(["generator", "precision", "detector"], sort=False)
    for (generator, precision, detector), group in cells[["index", "moved", "after", "fake"]]:
        if (generator, precision) not in errors:
            continue
        bits, family = FORMATS[precision]
        row = results.titled(generator, precision, detector) | {"bits": bits, "family": family, "n": len(group)}
        row |= {"error": errors[generator, precision]}
        real = results.reals(detector, generator)
        row |= interval_columns(
            shift=metrics.bootstrap_mean(group.moved, group["index"]),
            auc=metrics.auc(group.after, real),
            tpr_at_5=metrics.tpr_at(group.after, real),
            tpr=metrics.rate(group.fake),
            high=_high(results, generator, precision),
        )
        rows.append(row)
    return pd.DataFrame(rows)


@once
def _high(results: Results, generator: str, precision: str) -> Interval:
    values, index = paired(results, generator, precision, ladder_arm(results), "high")
    return metrics.bootstrap_mean(values, index) if len(values) else metrics.UNKNOWN


@once
def _responses(results: Results) -> Responses | None:
    """Responses of the generators, detectors and formats of which all cells are there; None without a ladder."""
    rows, errors = _changes(results), weight_errors(results)
    if rows.empty or not errors:
        return None
    there = set(rows.precision)
    formats = tuple(p for p in FORMATS if p in there)
    keys = (tuple(g for g in results.generators if all((g, p) in errors for p in formats)), results.detectors, formats)
    wide = rows.pivot_table(index="index", columns=["generator", "detector", "precision"], values="moved")
    wide = wide.reindex(columns=pd.MultiIndex.from_product(keys)).dropna(axis=0)
    if len(wide) < 2 or len(formats) < _RUNGS:
        return None
    drawn = np.concatenate([np.ones((1, len(wide))), metrics.bootstrap_weights(len(wide)).T])
    shifts = (drawn @ wide.to_numpy() / len(wide)).reshape(-1, *map(len, keys))
    return Responses(shifts, np.array([[errors[g, p] for p in formats] for g in keys[0]]), len(wide), keys)


def _over(of: Responses) -> list[tuple[dict[str, str], list[int]]]:
    """All detectors together (key ""), then each alone: titles and places along the axis of detectors."""
    alone = [(titles(detector=key), [place]) for place, key in enumerate(of.keys[1])]
    return [({"detector": "", "detector_title": "all"}, list(range(len(of.keys[1])))), *alone]


def _ranked(shifts: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """Spearman's correlation (R + 1, G, D) of shifts (R + 1, G, D, F) with doses (G, F)."""
    ranks, doses = stats.rankdata(shifts, axis=-1), stats.rankdata(dose, axis=-1)[:, None, :]
    ranks, doses = (values - values.mean(axis=-1, keepdims=True) for values in (ranks, doses))
    norm = np.sqrt((ranks**2).sum(axis=-1) * (doses**2).sum(axis=-1))
    found: np.ndarray = np.divide((ranks * doses).sum(axis=-1), norm, out=np.zeros(norm.shape), where=norm > 0)
    return found


def _peers(formats: tuple[str, ...]) -> dict[int, list[int]]:
    """Each format, by place, that has others of as many bits: the places of those."""
    bits = [FORMATS[key][0] for key in formats]
    found = {own: [o for o in range(len(bits)) if o != own and bits[o] == bits[own]] for own in range(len(bits))}
    return {own: others for own, others in found.items() if others}


def _missed(of: Responses) -> dict[str, np.ndarray]:
    """How far each format's shift lies from what the other formats predict: squares (R + 1, G, D, formats with peers).

    By bits: the mean of those of as many bits. By error: a straight line between the two nearest errors among all
    others, no error and no shift counted as one of them.
    """
    peers = _peers(of.keys[2])
    by_bits = [of.shifts[..., own] - of.shifts[..., others].mean(axis=-1) for own, others in peers.items()]
    by_error = []
    for own in peers:
        others = [place for place in range(len(of.keys[2])) if place != own]
        by_error.append(of.shifts[..., own] - _between(of, others)[..., own])
    return {name: np.stack(missed, axis=-1) ** 2 for name, missed in (("bits", by_bits), ("error", by_error))}


def relations(results: Results) -> pd.DataFrame:
    """What the shifts follow: one row for all detectors (detector ""), one for each.

    `rank_error`, `rank_bits`: Spearman's correlation of the shift with the weight error, and with fewer bits, within a
    generator, mean over generators. `miss_error`, `miss_bits`: by how much, in standard deviations, the shift of a
    format that has others of as many bits is missed when it is predicted from the other formats, by their errors or by
    their bits (root mean square over generators and formats); `gain_error` is miss_bits less miss_error. All with ends,
    of prompts drawn again: the formats stay these.
    """
    of = _responses(results)
    if of is None or not _peers(of.keys[2]):
        return pd.DataFrame()
    fewer = -np.tile(np.array([FORMATS[key][0] for key in of.keys[2]], dtype=float), (len(of.errors), 1))
    ranks = {"rank_error": _ranked(of.shifts, of.errors), "rank_bits": _ranked(of.shifts, fewer)}
    missed, rows = _missed(of), []
    for row, over in _over(of):
        found = {name: values[:, :, over].mean(axis=(1, 2)) for name, values in ranks.items()}
        found |= {f"miss_{name}": np.sqrt(square[:, :, over].mean(axis=(1, 2, 3))) for name, square in missed.items()}
        found["gain_error"] = found["miss_bits"] - found["miss_error"]
        intervals = {name: metrics.resampled(values[0], values[1:], of.prompts) for name, values in found.items()}
        rows.append(row | interval_columns(**intervals))
    return pd.DataFrame(rows)


def _between(of: Responses, knots: list[int]) -> np.ndarray:
    """Shifts (R + 1, G, D, F) that straight lines through some formats' shifts, over error, give at every error.

    The lines begin at no error and no shift, and are level beyond the largest error.
    """
    expected = np.empty(of.shifts.shape)
    for place, errors in enumerate(of.errors):
        order = sorted(knots, key=lambda knot: errors[knot])
        at = np.concatenate([[0.0], errors[order]])
        heights = np.concatenate([np.zeros(of.shifts[:, place, :, :1].shape), of.shifts[:, place][..., order]], axis=-1)
        # Interpolation is linear in the heights: the weight of each knot at each error.
        expected[:, place] = heights @ np.array([np.interp(errors, at, knot) for knot in np.eye(len(at))])
    return expected


def contrasts(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """Formats of equal bits side by side: one row per contrast of `CONTRASTS` and detector, and one for all ("").

    `difference`: the shift of the first format less that of the second, mean over generators; `expected`: the same of
    the symmetric integers' curve at the two errors; `beyond`: the rest, which belongs to the format; all with ends.
    `error_first`, `error_second`: mean relative weight errors. `first` and `second` are keys, with titles.
    """
    of = _responses(results)
    if of is None or sum(FORMATS[key][1] == SYMMETRIC for key in of.keys[2]) < 2:
        return pd.DataFrame()
    own = [place for place, key in enumerate(of.keys[2]) if FORMATS[key][1] == SYMMETRIC]
    curve, rows = _between(of, own), []
    for pair in CONTRASTS:
        if not set(pair) <= set(of.keys[2]):
            continue
        first, second = (of.keys[2].index(key) for key in pair)
        parts = {name: values[..., first] - values[..., second] for name, values in (
            ("difference", of.shifts), ("expected", curve), ("beyond", of.shifts - curve))}  # fmt: skip
        for row, over in _over(of):
            row = row | {"first": pair[0], "second": pair[1]}
            row |= {
                f"{end}_title": titles(precision=key)["precision_title"] for end, key in zip(_ENDS, pair, strict=True)
            }
            row |= {"error_first": of.errors[:, first].mean(), "error_second": of.errors[:, second].mean()}
            means = {name: values[:, :, over].mean(axis=(1, 2)) for name, values in parts.items()}
            intervals = {
                name: metrics.resampled(mean[0], mean[1:], of.prompts, confidence) for name, mean in means.items()
            }
            rows.append(row | interval_columns(**intervals))
    return pd.DataFrame(rows)


_ENDS = ("first", "second")


def off_zero(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows whose interval of the column `name` leaves out 0."""
    return rows[(rows[f"{name}_low"] > 0) | (rows[f"{name}_high"] < 0)]
