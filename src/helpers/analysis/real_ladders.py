"""What public pictures of large generators say: one prompt and seed at falling precisions, and on other hardware.

A ladder is a set of images that a repository shows in its documentation. Its *rungs* differ from its baseline in the
precision of the weights, its *nulls* in the hardware, the compiler or the number of devices alone: the null control
that large checkpoints have. `helpers.analysis.ladder_images` measured them. Pairs of a ladder share a baseline and a
scene, so intervals draw whole ladders. Families are keys of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.analysis.words import counted, listed, number, percent, share
from helpers.core import files

__all__ = [
    "COARSE",
    "DOUBTS",
    "Directions",
    "Dose",
    "Evidence",
    "GROUPS",
    "KINDS",
    "LEAST_LADDERS",
    "WEIGHTS",
    "coarse",
    "directions",
    "doses",
    "doubts",
    "evidence",
    "faults",
    "grouped",
    "medians",
    "movement",
    "nulls",
    "pairs",
    "real_dose",
    "source",
    "sources",
    "symmetric_steps",
]

FILE = files.RESULTS / "published" / "ladders.csv"

#: The generators' networks: those of one kind are set beside nulls of their own kind.
KINDS = {"unet": "U-Net", "mmdit": "transformer", "dit": "transformer"}

#: What is quantized in a rung that counts as one of the generator's weights.
WEIGHTS = ("weights", "weights+activations")

#: Bits a weight, block scales counted, up to which a rung is coarse: the deck's FP4 and what is below it.
COARSE = 4.5

#: Groups of pairs as they are printed, with the bits of each rung of weights from the first number to below the second.
GROUPS = {
    "same weights": (np.inf, np.inf), "16 bits": (16, 32), "8 bits": (8, 9), "5 to 6 bits": (5, 8), "4 bits": (4, 5),
    "2 to 3 bits": (0, 4), "attention, VAE": (np.inf, np.inf),
}  # fmt: skip

#: With fewer ladders no interval is given: what so few have in common says nothing of the next.
LEAST_LADDERS = 4

#: What a conclusion from these pictures must not forget.
DOUBTS = (
    "pairs of a ladder share a baseline, a prompt and a seed, and some ladders share a prompt: intervals draw whole "
    "ladders, and can know no more than that",
    "they are the pictures that repositories chose to show",
    "formats are integers, block formats and palettes, some with quantized activations, and not the deck's FP4",
    "U-Nets with the same weights were shown on Core ML's compute units alone, transformers on other hardware and by "
    "compilers",
    "one ladder, of FLUX.1-dev, has 8 bits for its baseline",
)


def pairs(file: Path = FILE) -> pd.DataFrame:
    """The stored summary, one row per rung or null, as `ladder_images.summary` made it, with `kind` and `group`.

    ladder, model, family, role ("rung", "null"), bits (a weight, block scales counted), technique, quantized, psnr_db,
    high_db, power_db (dB), npr_change, residual_change (shares), width, height, source (a repository), path, commit,
    licence, sha256, baseline_sha256.
    """
    return grouped(pd.read_csv(file, keep_default_na=False))  # a role is "null"


def grouped(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `kind`, the sort of network, and `group`, one of GROUPS."""
    weights = table.quantized.isin(WEIGHTS)
    group = pd.Series("attention, VAE", index=table.index)
    for name, (least, below) in GROUPS.items():
        group[weights & (table.bits >= least) & (table.bits < below)] = name
    group[table.role == "null"] = "same weights"
    return table.assign(kind=table.family.map(KINDS), group=group)


def _median(values: pd.Series, ladders: pd.Series) -> Interval:
    """The median with whole ladders drawn again; the ends are NaN of fewer than LEAST_LADDERS."""
    found = metrics.bootstrap_median(values, ladders)
    return found if ladders.nunique() >= LEAST_LADDERS else Interval(found.estimate, np.nan, np.nan)


def faults(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose image has the bytes of its baseline or of another image of its ladder: none of them is a rung."""
    twice = table.duplicated(["ladder", "sha256"], keep=False)
    baselines = table.groupby("ladder").baseline_sha256.agg(set)
    known = [row.sha256 in baselines[row.ladder] for row in table.itertuples()]
    # A null may be the baseline of another rung, of one that has the machine changed as well.
    return table[twice | (pd.Series(known, index=table.index) & (table.role == "rung")) | ~np.isfinite(table.psnr_db)]


def coarse(table: pd.DataFrame, kind: str = "") -> pd.DataFrame:
    """Rungs of the weights at COARSE bits and below, of one kind of network or of all."""
    rows = table[(table.role == "rung") & table.quantized.isin(WEIGHTS) & (table.bits <= COARSE)]
    return rows[rows.kind == kind] if kind else rows


def nulls(table: pd.DataFrame, kind: str = "") -> pd.DataFrame:
    """Pairs of the same weights, of one kind of network or of all."""
    rows = table[table.role == "null"]
    return rows[rows.kind == kind] if kind else rows


@dataclass(frozen=True)
class Dose:
    """How far real images move at so many bits: the median PSNR to the baseline in dB, of `pairs` of `ladders`."""

    bits: int
    psnr: Interval
    pairs: int
    ladders: int


def real_dose(bits: int, kind: str = "", table: pd.DataFrame | None = None) -> Dose:
    """The median PSNR of the rungs of `bits` whole bits a weight, block scales left aside, with a 95 % interval.

    Of the stored pairs, or those of `table`; of one kind of network (a value of KINDS) or of all. Unknown where there
    is no such rung, its ends where there are fewer than LEAST_LADDERS.

    >>> real_dose(8).pairs
    7
    """
    table = pairs() if table is None else table
    rows = table[(table.role == "rung") & table.quantized.isin(WEIGHTS) & (np.floor(table.bits) == bits)]
    rows = rows[rows.kind == kind] if kind else rows
    return Dose(bits, _median(rows.psnr_db, rows.ladder), len(rows), rows.ladder.nunique())


def doses(table: pd.DataFrame, bits: Sequence[int]) -> pd.DataFrame:
    """`real_dose` of each number of bits that has a rung, one row each: bits, psnr with its ends, pairs, ladders."""
    found = [of for width in bits if (of := real_dose(width, table=table)).pairs]
    rows = [vars(of) | interval_columns(psnr=of.psnr) for of in found]
    return pd.DataFrame(rows, columns=["bits", "pairs", "ladders", "psnr", "psnr_low", "psnr_high"])


@dataclass(frozen=True)
class Directions:
    """Which way a measure goes in coarse rungs, beside same-weights pairs.

    Attributes:
        pairs, ladders: coarse rungs and their ladders.
        lose, gain: rungs in which the measure falls, and rises.
        median: of the change, whole ladders drawn.
        reach: the largest change, either way, of any null.
        further: rungs that change by more than that, and `further_own` by more than any null of their kind of network.
        null_pairs, null_ladders, null_lose, null_gain, null_median: the same of the nulls.
    """

    pairs: int
    ladders: int
    lose: int
    gain: int
    median: Interval
    reach: float
    further: int
    further_own: int
    null_pairs: int
    null_ladders: int
    null_lose: int
    null_gain: int
    null_median: Interval


def directions(table: pd.DataFrame, measure: str = "high_db", kind: str = "") -> Directions:
    """Count directions of a measure ("high_db", "power_db", "npr_change", "residual_change") in coarse rungs and nulls.

    Of one kind of network or of all. `reach` is NaN, and no rung is further, where there is no null.
    """
    rungs, same = coarse(table, kind), nulls(table, kind)
    change, idle = rungs[measure], same[measure]
    furthest = idle.abs().groupby(same.kind).max().to_dict()
    own = np.array([furthest.get(name, np.nan) for name in rungs.kind])
    return Directions(
        len(rungs), rungs.ladder.nunique(), int((change < 0).sum()), int((change > 0).sum()),
        _median(change, rungs.ladder), float(idle.abs().max()),
        int((change.abs() > idle.abs().max()).sum()), int((change.abs() > own).sum()),
        len(same), same.ladder.nunique(), int((idle < 0).sum()), int((idle > 0).sum()),
        _median(idle, same.ladder),
    )  # fmt: skip


def movement(table: pd.DataFrame) -> pd.DataFrame:
    """How far the picture moves with the same weights and at coarse precisions, one row per kind of network with nulls.

    kind; nulls, null_ladders, rungs, ladders: how many; psnr (median of the nulls, dB) with its ends, psnr_least,
    psnr_most; `within`, the coarse rungs that move the picture no further than the nulls' furthest does.
    """
    rows = []
    for kind in dict.fromkeys(KINDS.values()):
        same, rungs = nulls(table, kind), coarse(table, kind)
        if same.empty:
            continue
        row = {"kind": kind, "nulls": len(same), "null_ladders": same.ladder.nunique()}
        row |= {"rungs": len(rungs), "ladders": rungs.ladder.nunique()}
        row |= interval_columns(psnr=_median(same.psnr_db, same.ladder))
        row |= {"psnr_least": same.psnr_db.min(), "psnr_most": same.psnr_db.max()}
        rows.append(row | {"within": int((rungs.psnr_db >= same.psnr_db.min()).sum())})
    return pd.DataFrame(rows)


def medians(table: pd.DataFrame, measures: tuple[str, ...]) -> pd.DataFrame:
    """The median of each measure in each group and kind of network: group, kind, n, ladders, the measures with ends."""
    rows = []
    for (group, kind), of in table.groupby(["group", "kind"]):
        row = {"group": group, "kind": kind, "n": len(of), "ladders": of.ladder.nunique()}
        found = {name: _median(of[name], of.ladder) for name in measures}
        rows.append(row | interval_columns(**found))
    return pd.DataFrame(rows)


def symmetric_steps(table: pd.DataFrame) -> pd.DataFrame:
    """How far the symmetric 4-bit format (GGUF's q4_0) of a ladder lies from its neighbours there: ladder, high_db.

    Neighbours are the next rung of as many bits or more, and the next of fewer.
    """
    rungs, rows = table[table.role == "rung"], []
    for name, of in rungs.groupby("ladder", sort=False):
        own = of[of.technique == "GGUF q4_0"]
        if own.empty or len(of) < 2:
            continue
        others, bits = of.drop(own.index), own.bits.iloc[0]
        beside = [others[others.bits >= bits].nsmallest(1, "bits"), others[others.bits < bits].nlargest(1, "bits")]
        rows.append({"ladder": name, "high_db": own.high_db.iloc[0] - pd.concat(beside).high_db.mean()})
    return pd.DataFrame(rows, columns=["ladder", "high_db"])


def sources(table: pd.DataFrame) -> pd.DataFrame:
    """Whose pictures they are, one row per repository: source, licence, models, ladders, pairs."""
    by = table.groupby(["source", "licence"], sort=False)
    models = by.model.agg(lambda of: listed(list(of.unique())))
    return pd.DataFrame({"models": models, "ladders": by.ladder.nunique(), "pairs": by.size()}).reset_index()


def source(table: pd.DataFrame) -> str:
    """Whose pictures and whose measures they are, in a few words."""
    count = table.source.nunique()
    whose = "a public repository" if count == 1 else f"{count} public repositories"
    terms = listed(sorted(table.licence.unique()))
    return f"pictures in the documentation of {whose} ({terms}), measured by this project"


@dataclass(frozen=True)
class Evidence:
    """What real pictures say to one claim of the deck.

    Attributes:
        claim: its id.
        figure: what `interval` is of, and `unit` its unit.
        interval: the estimate with its 95 % interval, whole ladders drawn.
        n, ladders: pairs, and the ladders that they come from.
        sentence: the finding in words.
        source: whose pictures, whose measure.
        doubts: what it must not be taken for.
    """

    claim: str
    figure: str
    unit: str
    interval: Interval
    n: int
    ladders: int
    sentence: str
    source: str
    doubts: tuple[str, ...]


def evidence(table: pd.DataFrame | None = None) -> dict[str, Evidence]:
    """What the ladders say to C6 (smoothing) and C7 (NPR), by claim; of the stored pairs or those of `table`.

    A claim to which the table has no coarse rung is left out.
    """
    table = pairs() if table is None else table
    found = {"C6": _smoothing(table), "C7": _residual(table[table.family == "mmdit"])}
    return {claim: of for claim, of in found.items() if of.n}


def doubts(table: pd.DataFrame) -> tuple[str, ...]:
    """What a conclusion on fine detail must not forget: DOUBTS, and in how many coarse rungs the measure decides."""
    rungs = coarse(table)
    turned = int((np.sign(rungs.high_db) != np.sign(rungs.power_db)).sum())
    decides = f"by the mean power in place of the mean log power, {turned} of {len(rungs)} change the other way"
    return (*DOUBTS, decides) if turned else DOUBTS


def _smoothing(table: pd.DataFrame) -> Evidence:
    of = directions(table)
    known = "" if of.null_pairs == 0 else (
        f" Of the {of.pairs} changes, those beyond the furthest of {counted(of.null_pairs, 'pair')} of the same "
        f"weights ({of.reach:.1f} dB) number {of.further}, those beyond the furthest of their own kind of network "
        f"{of.further_own}."
    )  # fmt: skip
    sentence = (
        f"At {COARSE:g} bits and below, {_of(of)} lose fine detail in {of.lose} and gain in {of.gain}; the median "
        f"change is {number(of.median, 1, sign=True)} dB: {_direction(of.median)}.{known}"
    )
    what = f"change of fine detail at {COARSE:g} bits and below, median"
    return Evidence("C6", what, "dB", of.median, of.pairs, of.ladders, sentence, source(table), doubts(table))


def _residual(table: pd.DataFrame) -> Evidence:
    of = directions(table, "npr_change")
    known = "" if of.null_pairs == 0 else (
        f" Of the {of.pairs} changes, those beyond the furthest of {counted(of.null_pairs, 'pair')} of the same "
        f"weights ({share(of.reach)}) number {of.further}."
    )  # fmt: skip
    sentence = (
        f"In generators of SD3's family (MM-DiT) at {COARSE:g} bits and below, the energy of the residual that NPR "
        f"reads falls in {of.lose} of {_of(of)} and rises in {of.gain}; the median change is {percent(of.median)}: "
        f"{_direction(of.median)}.{known}{_finer(table)}"
    )
    what = f"change of the energy of NPR's residual, MM-DiT at {COARSE:g} bits and below, median"
    other = coarse(table).model
    own = ["no picture here is Stable Diffusion 3's"] * (not other.str.startswith("Stable Diffusion 3").any())
    said = ("the energy of the residual is not NPR's score", *own, *DOUBTS)
    return Evidence("C7", what, "share", of.median, of.pairs, of.ladders, sentence, source(table), said)


def _finer(table: pd.DataFrame) -> str:
    """The words on NPR's residual at 8 bits, the deck's other format; "" where there is no such rung."""
    change = table[table.group == "8 bits"].npr_change
    if change.empty:
        return ""
    median = share(change.median(), 1, sign=True)
    return f" At 8 bits it falls in {(change < 0).sum()} of {counted(len(change), 'picture')} (median {median})."


def _of(of: Directions) -> str:
    return f"{counted(of.pairs, 'picture')} of {counted(of.ladders, 'ladder')}"


def _direction(median: Interval) -> str:
    """The words for the side of zero on which a median's whole interval lies."""
    return "a fall" if median.high < 0 else "a rise" if median.low > 0 else "no common direction"
