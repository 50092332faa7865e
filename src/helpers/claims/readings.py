"""What the stored public figures say, source by source: the readers of which `helpers.claims.evidence` has one a row.

A reader is called with a study's margins, by name, and gives a `Reading`: figures from a committed file, each with the
region in which it should lie if the deck is right. It types no number. A figure whose source states no interval has
NaN for its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, log10, nan, sqrt

import pandas as pd

from helpers.analysis import footprint, public_study, real_checkpoints, real_ladders
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, printed
from helpers.claims.rule import END_TO_END, FROZEN
from helpers.claims.savings import memory_shares, time_shares
from helpers.generators.catalogue import GENERATORS

__all__ = [
    "Measured",
    "Reader",
    "Reading",
    "changes",
    "deficit",
    "fine_detail",
    "kinds",
    "levels",
    "memory",
    "npr_residual",
    "old_and_new",
    "published",
    "rates",
    "shifts",
    "start_and_end",
    "time",
]

#: Generators that came after SD1.5 and SD2.1, which C10 calls older.
OLDER = ("sd15", "sd21")


@dataclass(frozen=True)
class Measured:
    """One public figure and the region, `low` to `high`, in which it lies if the deck is right."""

    interval: Interval
    low: float = -inf
    high: float = inf

    @property
    def room(self) -> float:
        """How far the estimate lies inside its region; below 0 outside."""
        return min(self.interval.estimate - self.low, self.high - self.interval.estimate)

    @property
    def judged(self) -> Interval:
        """The figure as it is judged: by its estimate where its source states no interval."""
        one = self.interval.estimate
        return Interval(one, one, one) if isnan(self.interval.low) or isnan(self.interval.high) else self.interval


@dataclass(frozen=True)
class Reading:
    """Figures by name, the number that they rest on (None: it is not known), and doubts that follow from them."""

    figures: Mapping[str, Measured]
    n: int | None = None
    doubts: tuple[str, ...] = ()


Reader = Callable[[Mapping[str, float]], Reading]


def _rates() -> pd.DataFrame:
    found = public_study.published_rates()
    return found[found.figure == "tpr"]


def rates(generators: Sequence[str], detectors: Sequence[str] = (), least: str = "", most: str = "") -> Reader:
    """TrueFake's share of fakes called fake, on generators and by detectors (none named: all); `least` and `most` name
    the margins that they should lie between."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = _rates()
        found = found[found.images.isin(generators) & (found.detector.isin(detectors) | (not detectors))]
        ends = limits[least] if least else -inf, limits[most] if most else inf
        figures = {
            f"{named(row.detector)} on {named(row.images)}": Measured(Interval(row.value, nan, nan), *ends)
            for row in found.itertuples()
        }
        seen = list(dict.fromkeys(named(key) for key in found.images[found.in_training == "yes"]))
        doubts = (f"the detectors were trained on fakes of {listed(seen)}",) if seen else ()
        return Reading(figures, doubts=doubts)

    return read


def deficit(limits: Mapping[str, float]) -> Reading:
    """TrueFake's rate of NPR on SD1.5, and how far it lies under the mean of the newer generators'."""
    found = _rates()
    found = found[found.detector == "npr"].set_index("images")
    newer = found[[key in GENERATORS and key not in OLDER for key in found.index]]
    old = float(found.value["sd15"])
    gap = old - float(newer.value.mean())
    unseen = newer[newer.in_training != "yes"]
    seen = listed([named(key) for key in newer.index[newer.in_training == "yes"]])
    fair = printed(old - float(unseen.value.mean()), sign=True)
    doubt = f"{seen} was in the training; against the newer generators that were not the difference is {fair}"
    return Reading(
        {
            "NPR on SD1.5": Measured(Interval(old, nan, nan), high=limits["challenging"]),
            f"SD1.5 minus {listed([named(key) for key in newer.index])}": Measured(
                Interval(gap, nan, nan), high=-limits["drop"]
            ),
        },
        doubts=(doubt,) if seen and len(unseen) else (),
    )


def _cells(generators: Sequence[str], detectors: Sequence[str], precisions: Sequence[str]) -> pd.DataFrame:
    """The public study's comparisons with its baseline."""
    found = real_checkpoints.public_cells()
    kept = found.generator.isin(generators) & found.detector.isin(detectors) & found.precision.isin(precisions)
    return found[kept]


def _pairs(found: pd.DataFrame) -> int | None:
    return int(found.n.min()) if len(found) else None


def _title(row: object, precision: bool = True) -> str:
    """A row of the public study in print."""
    cell = f"{named(row.detector)} on {named(row.generator)}"  # type: ignore[attr-defined]
    return f"{cell} at {named(row.precision)}" if precision else cell  # type: ignore[attr-defined]


def _interval(row: object, name: str) -> Interval:
    return Interval(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


def levels(generator: str, detector: str, most: str) -> Reader:
    """The public study's detection rate at FP16, which should lie under the margin `most`."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = _cells([generator], [detector], ["nf4"])
        figures = {
            f"{_title(row, precision=False)} at {named(real_checkpoints.BASE)}": Measured(
                _interval(row, "tpr_before"), high=limits[most]
            )
            for row in found.itertuples()
        }
        return Reading(figures, _pairs(found), _weak(found, limits["adequate"]))

    return read


def changes(generator: str, detectors: Sequence[str], precision: str) -> Reader:
    """The public study's paired change of the detection rate from FP16, which should be a loss of more than the margin
    `drop`."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = _cells([generator], detectors, [precision])
        figures = {_title(row): Measured(_interval(row, "change"), high=-limits["drop"]) for row in found.itertuples()}
        doubts = (*_no_room(found, limits["drop"]), *_weak(found, limits["adequate"]))
        return Reading(figures, _pairs(found), doubts)

    return read


def _no_room(found: pd.DataFrame, drop: float) -> tuple[str, ...]:
    """The doubt on detectors that find too few images at FP16 to lose more than `drop` of them."""
    idle = found[found.tpr_before <= drop]
    if idle.empty:
        return ()
    parts = [f"{row.tpr_before:.2f} by {_title(row, precision=False)}" for row in idle.itertuples()]
    return (f"the detection rate at {named(real_checkpoints.BASE)} is {listed(parts)}: a fall could not show there",)


def _weak(found: pd.DataFrame, adequate: float) -> tuple[str, ...]:
    """The doubt on detectors whose AUC at FP16 is nowhere here what a study asks of one that counts."""
    rows = found.drop_duplicates(["generator", "detector"])
    weak = rows[rows.groupby("detector").auc_before.transform("max") < adequate]
    if weak.empty:
        return ()
    parts = [f"{row.auc_before:.2f} by {_title(row, precision=False)}" for row in weak.itertuples()]
    base = named(real_checkpoints.BASE)
    return (f"AUC at {base} is {listed(parts)}, where a study asks {adequate:.2f} of a detector that counts",)


def start_and_end(generator: str, detectors: Sequence[str], precision: str) -> Reader:
    """The public study's detection rate at FP16 and at a precision, which should lie above the margin `anomaly_before`
    and under `anomaly_after`."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = _cells([generator], detectors, [precision])
        before = {
            f"{_title(row, precision=False)} at {named(real_checkpoints.BASE)}": Measured(
                _interval(row, "tpr_before"), low=limits["anomaly_before"]
            )
            for row in found.itertuples()
        }
        after = {
            _title(row): Measured(_interval(row, "tpr"), high=limits["anomaly_after"]) for row in found.itertuples()
        }
        return Reading(before | after, _pairs(found), _weak(found, limits["adequate"]))

    return read


def shifts(generator: str, detector: str, precisions: Sequence[str]) -> Reader:
    """The public study's paired shift from FP16 in standard deviations of its logits, which should be further to the
    left than the margin `shift`."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = _cells([generator], [detector], precisions)
        figures = {
            _title(row): Measured(_interval(row, "standard"), high=-limits["shift"]) for row in found.itertuples()
        }
        return Reading(figures, _pairs(found), _weak(found, limits["adequate"]))

    return read


def old_and_new(limits: Mapping[str, float]) -> Reading:
    """The public study's detection rate of NPR at FP16 on SD1.5, and how far it lies under that on the newer
    generators."""
    found = real_checkpoints.public_cells()
    found = found[(found.detector == "npr") & (found.precision == "nf4")].set_index("generator")
    newer = found[[key not in OLDER for key in found.index]]
    images, hits = newer.n.sum(), (newer.tpr_before * newer.n).sum()
    old = _interval(found.loc["sd15"], "tpr_before")
    gap = metrics.independent_difference(metrics.wilson(round(hits), int(images)), old)
    base = named(real_checkpoints.BASE)
    return Reading(
        {
            f"NPR on SD1.5 at {base}": Measured(old, high=limits["challenging"]),
            f"SD1.5 minus {listed([named(key) for key in newer.index])}": Measured(gap, high=-limits["drop"]),
        },
        _pairs(found),
        (
            "the generators redraw the same photographs, which the interval of the difference leaves aside",
            *_weak(found.reset_index(), limits["adequate"]),
        ),
    )


def kinds(precision: str) -> Reader:
    """The public study's mean change of the detection rate over generators, of end-to-end less feature-based detectors,
    which should be a deficit of more than the margin `drop`.

    The ends of a kind's mean are the means of its detectors' ends, as where they move together; those of the difference
    are combined from both kinds' (MOVER: Zou & Donner, Stat. Med. 2008).
    """

    def read(limits: Mapping[str, float]) -> Reading:
        table = public_study.public_effects()
        rows = table[(table.generator == public_study.ALL) & (table.precision == precision)].set_index("detector")
        groups = [[key for key in group if key in rows.index] for group in (END_TO_END, FROZEN)]
        if not all(groups):
            return Reading({})
        ends = ["change", "change_low", "change_high"]
        learnt, frozen = (Interval(*rows.loc[group, ends].mean()) for group in groups)
        estimate = learnt.estimate - frozen.estimate
        low = estimate - sqrt((learnt.estimate - learnt.low) ** 2 + (frozen.high - frozen.estimate) ** 2)
        high = estimate + sqrt((learnt.high - learnt.estimate) ** 2 + (frozen.estimate - frozen.low) ** 2)
        names = [listed([named(key) for key in group]) for group in groups]
        figure = Measured(Interval(estimate, low, high), high=-limits["drop"])
        each = [
            f"{printed(of.estimate, sign=True)} for {name}" for of, name in zip((learnt, frozen), names, strict=True)
        ]
        n = int(rows.loc[[*groups[0], *groups[1]]].n.min())
        cells = real_checkpoints.public_cells()
        learnt_from = cells[cells.detector.isin(END_TO_END) & (cells.precision == precision)]
        doubts = (f"it is {listed(each)}", *_no_room(learnt_from, limits["drop"]))
        return Reading({f"{names[0]} minus {names[1]}": figure}, n, doubts)

    return read


def fine_detail(limits: Mapping[str, float]) -> Reading:
    """The ladders' median change of fine detail in dB, which should be a loss of more than the margin `smoothing`, a
    share of the energy."""
    found = real_ladders.evidence().get("C6")
    if found is None:
        return Reading({})
    loss = 10 * log10(1 - limits["smoothing"])
    return Reading({found.figure: Measured(found.interval, high=loss)}, found.n, found.doubts)


def npr_residual(_: Mapping[str, float]) -> Reading:
    """The ladders' median change of the energy of NPR's residual, which should fall; no margin speaks of it."""
    found = real_ladders.evidence().get("C7")
    return Reading({found.figure: Measured(found.interval, high=0.0)}, found.n, found.doubts) if found else Reading({})


def _shares(shares: pd.Series, family: str, limit: float) -> Reading:
    """Exact shares of one family's checkpoints ("UNets" or "DiTs")."""
    of = footprint.by_family(shares).get(family, pd.Series(dtype=float))
    figures = {title: Measured(Interval(share, share, share), high=limit) for title, share in of.items()}
    return Reading(figures, len(of))


def memory(family: str, base: str) -> Reader:
    """The bytes of weights at FP4 as a share of those at `base`, counted for each checkpoint of a family; they should
    lie under the margin `memory`."""
    return lambda limits: _shares(memory_shares(base), family, limits["memory"])


def time(family: str, base: str) -> Reader:
    """The seconds of a denoising step at FP4 as a share of those at `base`, measured on a GPU, for each checkpoint of a
    family; they should lie under the margin `time`."""
    return lambda limits: _shares(time_shares(base), family, limits["time"])


def published(column: str, margin: str, precisions: Iterable[str] = ("nf4", "int4")) -> Reader:
    """What others published of four-bit weights as a share of 16 bits: a column ("loaded_gb", "seconds") of
    `footprint.published`, which should lie under a margin."""

    def read(limits: Mapping[str, float]) -> Reading:
        found = footprint.published()
        base = found[found.precision.isin(["bf16", "fp16"])].set_index("source")[column]
        rows = found[found.precision.isin(list(precisions))]
        shares = {f"{row.title}, {row.format}": getattr(row, column) / base[row.source] for row in rows.itertuples()}
        figures = {name: Measured(Interval(share, nan, nan), high=limits[margin]) for name, share in shares.items()}
        return Reading(figures, len(figures))

    return read
