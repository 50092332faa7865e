"""The dose that a format gives the pictures themselves: how far they lie from the baseline's, and what they still show.

Read from distances.parquet (`helpers.runs.stages.distances`); every table is empty where a study has none. PSNR is an
imperfect bridge between studies: pictures of other size, content and contrast reach the same figure by other changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

import numpy as np
import pandas as pd

from helpers.analysis import controls, real_ladders
from helpers.analysis.image_traces import read
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.analysis.words import share
from helpers.precision.catalogue import PRECISIONS
from helpers.results.memo import once
from helpers.results.results import Results, with_cells

__all__ = [
    "ALL", "FULL", "PARTS", "TABLE", "WHOLE", "Match", "at_matched_dose", "at_neighbouring_dose", "content",
    "doses", "ladder_share", "matched_rung", "matches", "neighbouring", "neighbours", "responses", "rungs",
    "side_by_side", "strata",
]  # fmt: skip

TABLE = "distances.parquet"

#: The coverage of a ladder that quantizes convolutions too, and the share of a denoiser's parameters from which a
#: ladder of linear layers does as much: a DiT has next to no others.
ALL, FULL = "all", 0.9

#: From so many bits on a format is no dose to be matched: what it does to real images was not measured.
WHOLE = 16

#: What the judge reads.
PARTS = ("ground", "colours", "shapes")

_CELL = ["generator", "arm", "precision"]


@once
def _measured(results: Results) -> pd.DataFrame:
    """Rows of distances.parquet of the page's generators, but for those at the baseline in the main arm."""
    table = read(results, TABLE)
    return table[(table.arm != results.arm) | (table.precision != results.baseline)]


def coverage_of(results: Results, arm: str) -> str:
    """Which layers an arm quantizes: its own setting, else the study's; "" where neither says."""
    own = results.arms.get(arm, {}).get("coverage")
    return str(own or results.manifest.get("study", {}).get("coverage") or "")


@once
def doses(results: Results) -> pd.DataFrame:
    """One row per generator, arm and precision beside the baseline (with titles), of all arms, the finest first.

    arm, arm_title, coverage, n; `psnr` in dB and `gmsd`, medians over images with their ends (inf dB where half of the
    images or more are equal); `identical`, how many images are the baseline's byte for byte, and `exact`, whether all
    are: such a cell is no control, for nothing was done to its images.
    """
    rows = []
    names = {results.arm: "main arm"} | {name: str(arm.get("title", name)) for name, arm in results.arms.items()}
    table = _measured(results)
    # the figures alone: words are slow to take apart
    cells = table.groupby(_CELL, sort=False)[["psnr", "gmsd", "identical"]] if len(table) else ()
    for (generator, arm, precision), cell in cells:
        row = results.titled(generator, precision) | {"arm": arm, "arm_title": names.get(arm, arm)}
        row |= {"coverage": coverage_of(results, arm), "n": len(cell), "identical": int(cell.identical.sum())}
        row |= interval_columns(psnr=metrics.median(cell.psnr), gmsd=metrics.median(cell.gmsd))
        rows.append(row | {"exact": bool(cell.identical.all())})
    if not rows:
        return pd.DataFrame()
    generators, arms, levels = list(results.generators), list(names), list(PRECISIONS)
    rows.sort(key=lambda row: (
        generators.index(row["generator"]), arms.index(row["arm"]) if row["arm"] in arms else len(arms),
        -_bits(row["precision"]), levels.index(row["precision"]) if row["precision"] in levels else len(levels),
    ))  # fmt: skip
    return pd.DataFrame(rows)


def _bits(precision: str) -> float:
    return PRECISIONS[precision].bits_with_scales if precision in PRECISIONS else inf


def rungs(results: Results, coverage: str = "") -> pd.DataFrame:
    """The rows of `doses` that are rungs: of the arms of the role "ladder" that quantize the layers `coverage` ("" for
    the study's own).

    For `ALL` a ladder of other layers counts where the generator has none of all, and at least `FULL` of its denoiser's
    parameters are quantized by it, as measured.
    """
    table = doses(results)
    if table.empty:
        return table
    wanted = coverage or coverage_of(results, results.arm)
    ladders = {name: coverage_of(results, name) for name, arm in results.arms.items() if arm.get("role") == "ladder"}
    own = table.arm.map(ladders) == wanted
    if wanted == ALL:
        without = ~table.generator.isin(table.generator[own])
        shares = [ladder_share(results, *key) if key[1] in ladders else nan
                  for key in zip(table.generator, table.arm, strict=True)]  # fmt: skip
        own |= without & (pd.Series(shares, table.index) >= FULL)
    return table[own]


@once
def ladder_share(results: Results, generator: str, arm: str) -> float:
    """The share of a generator's denoiser that an arm quantizes, of its parameters, the least of its cells; NaN where
    it was not measured."""
    cells = results.table("cells.parquet")
    if cells is None or "component_coverage" not in cells:
        return nan
    cells = cells[(cells.generator == generator) & (cells.arm == arm)]
    parts = [json.loads(stored) for stored in cells.component_coverage if isinstance(stored, str)]
    shares = [part["denoiser"]["share"] for part in parts if "share" in part.get("denoiser", {})]
    return float(min(shares, default=nan))


@dataclass(frozen=True)
class Match:
    """The rung that stands for a dose: its arm, precision and median PSNR in dB; "" and unknown where none does.

    `target` is the dose in dB, `off` the distance of the nearest rung's median from it in dB (NaN without a rung), and
    `why` says in a few words why no rung matches ("" where one does).
    """

    target: float
    arm: str = ""
    precision: str = ""
    psnr: Interval = metrics.UNKNOWN
    off: float = nan
    why: str = ""


def matched_rung(
    results: Results, generator: str, target: float, coverage: str = "", reach: float | None = None, place: int = 0
) -> Match:
    """The rung of a generator's own ladder whose median PSNR lies nearest `target` (dB).

    `coverage` says which layers the ladder quantizes ("" for the study's own). Of two as near the one of more bits is
    taken, then the first of the catalogue. Further than `reach` dB away (None: what the study's rules say), or without
    a ladder, no rung matches, which `Match.why` tells. `place` 1 takes the second nearest in place of the nearest.
    """
    reach = results.rules.judging.reach.value if reach is None else reach
    if _measured(results).empty:
        return Match(target, why="the distances of its images were not measured")
    table = rungs(results, coverage)
    if table.empty:
        return Match(target, why="the study has no ladder of formats at this coverage")
    if table[table.generator == generator].empty:
        return Match(target, why=_no_ladder(results, generator, coverage))
    own = table[(table.generator == generator) & np.isfinite(table.psnr)]
    if own.empty:
        return Match(target, why="no rung of its ladder changes its images")
    # `doses` has the finer format first, which a stable order leaves first of equal distances.
    off = (own.psnr - target).abs().round(6).sort_values(kind="stable")
    if place >= len(off):
        return Match(target, why="its ladder has no other rung")
    row, least = own.loc[off.index[place]], float(off.iloc[place])
    if not least <= reach:
        nth = "second nearest" if place else "nearest"
        # A rung just out of reach keeps the digits that show it.
        digits = next((digits for digits in range(1, 6) if round(least, digits) > reach), 6)
        return Match(target, off=least, why=f"its {nth} rung lies {least:.{digits}f} dB away, more than {reach:.1f}")
    return Match(target, row.arm, row.precision, Interval(row.psnr, row.psnr_low, row.psnr_high), least)


def _no_ladder(results: Results, generator: str, coverage: str) -> str:
    """The words for a generator without a rung of a coverage that others have."""
    ladders = [name for name, arm in results.arms.items() if arm.get("role") == "ladder"]
    shares = [ladder_share(results, generator, name) for name in ladders]
    most = max((value for value in shares if not isnan(value)), default=nan)
    if coverage == ALL and not isnan(most):
        return f"its ladder quantizes {share(most)} of its denoiser alone"
    return "no rung of its ladder changes its images"


@once
def matches(results: Results, coverage: str = "", reach: float | None = None) -> dict[tuple[str, str], Match]:
    """The rung that stands for each cell of the main arm of fewer than `WHOLE` bits, by (generator, precision).

    The target is the median PSNR of real images of as many bits to their baselines' (`real_ladders.real_dose`).
    `coverage` and `reach` as in `matched_rung`. Scores play no part, so the rungs are the same under every condition.
    """
    there = results.scores[results.scores.label == 1].drop_duplicates(["generator", "precision"])
    cells = sorted(
        ((g, p) for g, p in zip(there.generator, there.precision, strict=True)
         if p != results.baseline and p in PRECISIONS and PRECISIONS[p].bits < WHOLE),
        key=lambda cell: (results.generators.index(cell[0]), results.precisions.index(cell[1])),
    )  # fmt: skip
    targets = {bits: real_ladders.real_dose(bits).psnr.estimate for bits in {PRECISIONS[p].bits for _, p in cells}}
    found = {}
    for generator, precision in cells:
        bits = PRECISIONS[precision].bits
        unknown = Match(nan, why=f"how far real images of {bits} bits move is not known")
        target = targets[bits]
        matched = unknown if isnan(target) else matched_rung(results, generator, target, coverage, reach)
        found[generator, precision] = matched
    return found


@once
def neighbours(results: Results, coverage: str = "") -> dict[tuple[str, str], Match]:
    """The neighbour of each rung that stands for a dose (`matches`): the second nearest to the same dose, on either
    side of it, and within the same reach. By (generator, precision), of the cells for which a rung stands; `Match.why`
    tells why it has none.

    What is found at the one rung and not at the other is no matter of the dose, as far as PSNR measures it.
    """
    return {
        cell: matched_rung(results, cell[0], match.target, coverage, place=1)
        for cell, match in matches(results, coverage).items() if match.precision
    }  # fmt: skip


@once
def neighbouring(results: Results, coverage: str = "") -> dict[tuple[str, str], Match]:
    """`matches` with the neighbouring rung in place of the one that stands, where there is one."""
    there = {cell: match for cell, match in neighbours(results, coverage).items() if match.precision}
    return {**matches(results, coverage), **there}


@once
def at_matched_dose(results: Results, coverage: str = "", reach: float | None = None) -> Results | None:
    """The same study with its cells of fewer than `WHOLE` bits at the dose of real images: each has the images of the
    rung that `matches` has for it, under the name of the main arm's precision, and where none matches there is no such
    cell. The baseline and 16 bits stay.

    Everything that takes results takes these, `analysis.conditions.under` and `claims.calibrated` too: the rungs stand
    in the scores of every protocol and training. None where no rung matches at all. Raises ValueError of results whose
    fakes are not those that are stored (as `calibrated` makes them): take the matched dose first.
    """
    found = matches(results, coverage, reach)
    return _with(results, found) if any(match.precision for match in found.values()) else None


@once
def at_neighbouring_dose(results: Results, coverage: str = "") -> Results | None:
    """As `at_matched_dose`, with the neighbouring rung wherever there is one (`neighbouring`); None where there is none
    at all."""
    there = any(match.precision for match in neighbours(results, coverage).values())
    return _with(results, neighbouring(results, coverage)) if there else None


def _with(results: Results, found: Mapping[tuple[str, str], Match]) -> Results:
    cells = {key: (match.arm, match.precision) if match.precision else None for key, match in found.items()}
    return with_cells(results, cells)


@once
def responses(results: Results) -> pd.DataFrame:
    """Dose and response: the rows of `doses` of the main arm and the ladders, once for each detector (with titles).

    `shift`, the mean paired change of logit in standard deviations of the generator's baseline logits, and `auc`
    against its reals (NaN without any), with ends; `auc_before` that of the same images at the baseline. Cells whose
    images are all the baseline's own are left out: they have no dose.
    """
    table = doses(results)
    if table.empty:
        return table
    ladders = [name for name, arm in results.arms.items() if arm.get("role") == "ladder"]
    table = table[table.arm.isin([results.arm, *ladders]) & np.isfinite(table.psnr)]
    rows: list[dict[str, object]] = []
    against: dict[tuple[str, str, int], tuple[pd.Series, float]] = {}  # arms of as many images hold the same prompts
    changes = controls.differences(results)
    changes = changes[changes.arm.isin(set(table.arm))]
    for key, group in changes.groupby([*_CELL, "detector"], sort=False)[["index", "before", "after", "change"]]:
        spread = float(group.before.std())
        if spread > 0:
            shift = metrics.bootstrap_mean(group.change / spread, group["index"])
            row = dict(zip([*_CELL, "detector"], key, strict=True)) | results.titled(detector=key[-1])
            cell = (key[-1], key[0], len(group))
            if cell not in against:
                real = results.reals(*cell[:2])
                against[cell] = real, metrics.auc(group.before, real).estimate
            real, before = against[cell]
            row |= interval_columns(shift=shift, auc=metrics.auc(group.after, real))
            rows.append(row | {"auc_before": before})
    return table.merge(pd.DataFrame(rows), on=_CELL) if rows and len(table) else pd.DataFrame()


def side_by_side(results: Results, coverage: str = "") -> pd.DataFrame:
    """The mean shift at the rung that stands for a dose and at its neighbour: one row per generator, precision of
    the main arm and detector (with titles) where both are there.

    bits and `target` (dB) of the dose; for the `rung` and the `next`, NAME (precision), NAME_title, NAME_psnr (median,
    dB) and NAME_shift with its ends over prompts, as in `responses`; `same`, whether both shifts have one sign, and
    `apart`, whether both intervals leave 0 out, on different sides of it.
    """
    table, rows = responses(results), []
    by = table.set_index(["generator", "arm", "precision", "detector"]) if len(table) else table
    stands = matches(results, coverage)
    pairs = {cell: (stands[cell], of) for cell, of in neighbours(results, coverage).items() if of.precision}
    for (generator, precision), both in pairs.items():
        for detector in results.detectors:
            keys = [(generator, match.arm, match.precision, detector) for match in both]
            if not len(by) or not all(key in by.index for key in keys):
                continue
            row = results.titled(generator, detector=detector) | {"precision": precision}
            row |= {"bits": PRECISIONS[precision].bits, "target": both[0].target}
            shifts = []
            for name, match, key in zip(("rung", "next"), both, keys, strict=True):
                found = by.loc[key]
                shifts.append(Interval(found["shift"], found.shift_low, found.shift_high))
                row |= {name: match.precision, f"{name}_title": PRECISIONS.title(match.precision)}
                row |= {f"{name}_psnr": match.psnr.estimate} | interval_columns(**{f"{name}_shift": shifts[-1]})
            first, second = shifts
            apart = first.low > 0 > second.high or second.low > 0 > first.high
            rows.append(row | {"same": first.estimate * second.estimate > 0, "apart": apart})
    return pd.DataFrame(rows)


@once
def _readings(results: Results) -> pd.DataFrame:
    """Images that were read, beside the baseline's: generator, arm, precision, index, for each of `PARTS` whether it
    was right before and is right now (`_was`, `_is`), and `changed`, whether anything is read otherwise."""
    table = read(results, TABLE)
    columns = [*PARTS, *(f"{part}_right" for part in PARTS)]
    if table.empty or table.ground.isna().all():
        return pd.DataFrame()
    keys = ["generator", "index"]
    base = table[(table.arm == results.arm) & (table.precision == results.baseline)].set_index(keys)[columns]
    both = _measured(results).join(base.add_suffix("_before"), on=keys, how="inner").dropna(subset=columns)
    found = both[[*_CELL, "index"]].copy()
    for part in PARTS:
        found[f"{part}_was"] = both[f"{part}_right_before"].astype(bool)
        found[f"{part}_is"] = both[f"{part}_right"].astype(bool)
    return found.assign(changed=np.any([both[part] != both[f"{part}_before"] for part in PARTS], axis=0))


def content(results: Results, arms: Sequence[str] = ()) -> pd.DataFrame:
    """What the judge reads no longer: one row per generator, arm and precision (with titles), n images.

    For each of `PARTS`, `NAME_had`, how many images show it as the prompt has it at the baseline, and `NAME_lost`, the
    share of those that no longer do (Wilson), with ends; `changed`, the share of all images of which anything is read
    otherwise than at the baseline. `arms` are the arms to take, all where none are named. The null control's
    row says how much of this is the judge's own unrest. Empty without readings.
    """
    rows = []
    table = _readings(results)
    read_ = [name for name in table if name not in (*_CELL, "index")]
    for (generator, arm, precision), cell in table.groupby(_CELL, sort=False)[read_] if len(table) else ():
        if arms and arm not in arms:
            continue
        row = results.titled(generator, precision) | {"arm": arm, "n": len(cell)}
        for part in PARTS:
            had = cell[cell[f"{part}_was"]]
            lost = metrics.wilson(int((~had[f"{part}_is"]).sum()), len(had))
            row |= {f"{part}_had": len(had)} | interval_columns(**{f"{part}_lost": lost})
        rows.append(row | interval_columns(changed=metrics.rate(cell.changed)))
    return pd.DataFrame(rows)


def strata(results: Results, arms: Sequence[str] = ()) -> pd.DataFrame:
    """The paired shift of logit among images of which the judge reads the same as at the baseline, and among the rest.

    One row per generator, arm, precision and detector (with titles): `n_same`, `n_changed`; `same` and `changed`, mean
    shifts in standard deviations of the baseline's logits, with ends; prompts are drawn again, all of them, so that the
    strata vary too. `arms` as in `content`, the main one where none are named.

    A shift where nothing is read otherwise is no work of ground, colour or shape as far as the judge sees them; it may
    be of place, size or light, which it does not read, as of texture. Whether the reading changes is itself an effect
    of the format: images that change are those that lie further off in every way, so the difference between the strata
    is no effect of content.
    """
    table = _readings(results)
    if table.empty:
        return table
    changes = controls.differences(results)
    changes = changes[changes.arm.isin(arms or [results.arm])]
    changes = changes.merge(table[[*_CELL, "index", "changed"]], on=[*_CELL, "index"])
    rows = []
    cells = changes.groupby([*_CELL, "detector"], sort=False)[["before", "change", "changed"]]
    for (generator, arm, precision, detector), group in cells:
        spread = float(group.before.std())
        if not spread > 0:
            continue
        row = results.titled(generator, precision, detector) | {"arm": arm}
        moved = group.change.to_numpy() / spread
        for name, kept in (("same", ~group.changed), ("changed", group.changed)):
            row |= {f"n_{name}": int(kept.sum())} | interval_columns(**{name: _mean_of(moved, kept.to_numpy())})
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_of(values: np.ndarray, kept: np.ndarray) -> Interval:
    """The mean of the values (N,) that are kept (N,), all N drawn again; few of them as in `metrics.resampled`."""
    if not kept.any():
        return metrics.UNKNOWN
    sums, counts = np.stack([values * kept, kept.astype(float)]) @ metrics.bootstrap_weights(len(values))
    draws = np.divide(sums, counts, out=np.full(len(sums), nan), where=counts > 0)
    return metrics.resampled(float(values[kept].mean()), draws, int(kept.sum()))
