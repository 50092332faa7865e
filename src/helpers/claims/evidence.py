"""Real evidence: what public figures say of each of the deck's statements, and the word for all of it.

`ROWS` has one row a piece of evidence. A piece speaks by the rule of a study's own claims and by its margins: it agrees
with the deck where each of its figures lies inside its region with the whole interval, contradicts it where one lies
wholly outside, and decides nothing else. A piece that reads a part of what the statement says may contradict it so, and
agrees with nothing, as all of it must hold. A figure whose source states no interval is judged by its estimate, and is
printed so. Intervals are not widened for their number. Of a miniature none of these words is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isnan

from helpers.analysis import real_ladders
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, number, printed
from helpers.claims import readings
from helpers.claims.readings import Measured, Reader
from helpers.claims.rule import END_TO_END, verdict
from helpers.study.rules import shipped

__all__ = ["AGREEMENT", "ROWS", "SOURCES", "Piece", "Row", "Source", "overall", "pieces"]

#: What is said of one piece and of all of a statement's.
AGREEMENT = {
    "supported": "agrees with the deck", "contradicted": "contradicts the deck", "mixed": "mixed",
    "inconclusive": "undecided", "": "no evidence",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Whose figures: their name in print, the entry of `book/references.bib` ("": this project's own), and the page and
    anchor that show them."""

    title: str
    cite: str
    page: str
    anchor: str
    doubts: tuple[str, ...] = ()


SOURCES = {
    "truefake": Source(
        "TrueFake (2025), Table III, unshared images", "truefake2025", "10_real_checkpoints",
        "published-rates-of-the-public-detectors",
        ("rates are at the generators' usual precision", "printed to two digits, without intervals"),
    ),
    "public study": Source(
        "The Impact of Weights Quantization in Fake Image Detection (2026), its scores analysed again",
        "weightsimpact2026", "10_real_checkpoints", "a-public-study-analysed-again",
        ("photographs redrawn (image-to-image), FP16 for a baseline, INT8 and NF4 for FP8 and FP4",
         "its runs differ in more than the precision of the weights"),
    ),
    "ladders": Source(
        "Pictures in the documentation of public repositories, measured by this project", "", "10_real_checkpoints",
        "public-ladders-of-pictures", real_ladders.DOUBTS,
    ),
    "counted": Source(
        "Counted by this project on the checkpoints' own networks", "", "01_setup", "what-it-costs",
        ("weights alone, without activations; UNets' convolutions stay at 16 bits, as the libraries leave them",),
    ),
    "measured": Source(
        "Measured by this project on an NVIDIA H100", "", "01_setup", "what-it-costs",
        ("random weights, one card, a denoising step alone, with the libraries' kernels",),
    ),
    "quanto": Source(
        "Exploring Quantization Backends in Diffusers (Hugging Face blog, 2025)", "diffusersbackends2025", "01_setup",
        "what-it-costs", ("one generator on one card, whole images, without intervals",),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One piece of evidence: the statement's key, what its figures are, of whom, how they are read and printed.

    `counted` is the noun of their number, `form` how a figure is printed: "rate", "change", "share" or "dB". `doubts`
    are those that hold of this piece beside those of its source. `part` says that the figures are of a part of what the
    statement says: another precision alone, or one consequence of several.
    """

    claim: str
    what: str
    source: str
    read: Reader
    counted: str = "image"
    form: str = "rate"
    doubts: tuple[str, ...] = ()
    part: bool = False


_NOT_FP4 = "it says nothing of FP4"
_LOW_BEFORE = f"{_NOT_FP4}, but where it is so low before, nothing can stay high"
_ELSEWHERE = (
    "another public benchmark, deepsafe-bench 1.0.0, has noncommercial terms, which keep its numbers out of this "
    "repository and of the word above. There NPR finds more of SD1.5 than here, more of SD1.4 than of SDXL and SD3, "
    "and least of FLUX.1, with many false alarms"
)

#: One row a piece of evidence; a statement without one has none.
ROWS = (
    *(
        Row(key, f"memory at FP4 as a share of {base.upper()}'s, {family}", "counted", readings.memory(family, base),
            "checkpoint", "share")
        for key, base in (("C1_memory", "fp32"), ("C1_memory_from_FP16", "fp16")) for family in ("UNets", "DiTs")
    ),
    Row("C1_memory_from_FP16", "memory after loading at 4 bits as a share of 16 bits'", "quanto",
        readings.published("loaded_gb", "memory"), "format", "share"),
    *(
        Row(key, f"time of a step at FP4 as a share of {base.upper()}'s, {family}", "measured",
            readings.time(family, base), "checkpoint", "share")
        for key, base in (("C1_time", "fp32"), ("C1_time_from_FP16", "fp16")) for family in ("UNets", "DiTs")
    ),
    Row("C1_time_from_FP16", "time of an image at 4 bits as a share of 16 bits'", "quanto",
        readings.published("seconds", "time"), "format", "share"),
    Row("C2", "fakes called fake, every detector", "truefake", readings.rates(["sdxl", "flux1"], least="high"),
        doubts=("it is one precision of those that the deck names",), part=True),
    Row("C3", "fakes called fake", "truefake", readings.rates(["sd15"], ["npr"], most="challenging"),
        doubts=(_ELSEWHERE,)),
    Row("C3", "fakes called fake", "public study", readings.levels("sd15", "npr", "challenging"), "pair"),
    Row("C4", "change of the detection rate", "public study", readings.changes("sd3", END_TO_END, "nf4"), "pair",
        "change"),
    Row("C4_size", "fakes called fake, where the fall should start", "truefake",
        readings.rates(["sd3"], END_TO_END, least="anomaly_before"), doubts=(_NOT_FP4,), part=True),
    Row("C4_size", "fakes called fake", "public study", readings.start_and_end("sd3", END_TO_END, "nf4"), "pair"),
    Row("C5", "fakes called fake", "truefake", readings.rates(["sd3"], ["r50_tf"], least="robust"),
        doubts=(_LOW_BEFORE,), part=True),
    Row("C6", "public pictures", "ladders", readings.fine_detail, "picture", "dB",
        doubts=("it is one of the explanation's four predictions",), part=True),
    Row("C7", "shift of the logits, in standard deviations", "public study",
        readings.shifts("sd3", "npr", ["int8", "nf4"]), "pair", "change"),
    Row("C7", "public pictures", "ladders", readings.npr_residual, "picture", "change", part=True),
    Row("C9", "fakes called fake, every detector", "truefake", readings.rates(["sdxl", "flux1"], least="high"),
        doubts=(_LOW_BEFORE,), part=True),
    Row("C10", "fakes called fake", "truefake", readings.deficit, doubts=(_ELSEWHERE,)),
    Row("C10", "fakes called fake", "public study", readings.old_and_new, "pair", "rate"),
    Row("C11", "mean change of the detection rate at NF4", "public study", readings.kinds("nf4"), "pair", "change"),
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """What one source says of one statement of the deck: its row, the figures by name, the number that they rest on
    (None: the source does not say), and the doubts."""

    row: Row
    figures: Mapping[str, Measured]
    n: int | None
    doubts: tuple[str, ...]

    @property
    def source(self) -> Source:
        return SOURCES[self.row.source]

    @property
    def own_doubts(self) -> tuple[str, ...]:
        """The doubts that do not hold of all that its source says."""
        return tuple(said for said in self.doubts if said not in self.source.doubts)

    @property
    def verdict(self) -> str:
        """supported, contradicted or inconclusive: which way it speaks; a part of a statement never for it."""
        found = _together([verdict([of.judged], of.low, of.high) for of in self.figures.values()])
        return "inconclusive" if self.row.part and found == "supported" else found

    @property
    def deciding(self) -> str:
        """The name of the figure that lies furthest on the wrong side of its region, or nearest to it."""
        return min(self.figures, key=lambda name: self.figures[name].room)

    @property
    def interval(self) -> Interval:
        """The deciding figure; its ends are NaN where the source states none."""
        return self.figures[self.deciding].interval

    @property
    def sentence(self) -> str:
        """What was measured, the deciding figure, what was asked of it, and how many there are."""
        of = self.figures[self.deciding]
        others = f" (of {len(self.figures)} the least in the deck's favour)" if len(self.figures) > 1 else ""
        n = counted(self.n, self.row.counted) if self.n else f"number of {self.row.counted}s not stated"
        what = f"{self.row.what[0].upper()}{self.row.what[1:]}: {self.deciding} {self._shown(of.interval)}{others}"
        return f"{what}; {self._asked(of)}; {n}."

    def _shown(self, figure: Interval) -> str:
        signed = self.row.form in ("change", "dB") or figure.estimate < 0
        exact = isnan(figure.low) or figure.low == figure.high
        said = number(figure, sign=signed).split(" (")[0] if exact else number(figure, sign=signed)
        return f"{said} dB" if self.row.form == "dB" else said

    def _asked(self, of: Measured) -> str:
        """The region in words."""
        if of.high == 0:
            return "a fall is asked"
        signed = self.row.form in ("change", "dB") or of.high <= 0
        ends = {"at least": (of.low, -inf), "at most": (of.high, inf)}
        parts = [f"{words} {printed(end, sign=signed)}" for words, (end, none) in ends.items() if end != none]
        return f"{' and '.join(parts)} is asked"


def _together(verdicts: list[str]) -> str:
    """The verdict on a piece from those on its figures: one outside is enough, all must lie inside."""
    worse = ("contradicted", "inconclusive")
    return next((name for name in worse if name in verdicts), "supported")


def pieces(key: str, limits: Mapping[str, float] | None = None) -> list[Piece]:
    """The pieces of real evidence on the statement `key` (C4, C4_size ...), judged by margins (or the shipped).

    A piece whose file holds none of its figures is left out.
    """
    limits = shipped().limits() | dict(limits or {})
    found = []
    for row in ROWS:
        if row.claim == key and (reading := row.read(limits)).figures:
            doubts = dict.fromkeys((*SOURCES[row.source].doubts, *row.doubts, *reading.doubts))
            found.append(Piece(row, reading.figures, reading.n, tuple(doubts)))
    return found


def overall(key: str, limits: Mapping[str, float] | None = None) -> str:
    """All pieces on a statement together: supported, contradicted, mixed (pieces speak both ways), inconclusive (none
    decides), or "" where there is none. `AGREEMENT` has the words."""
    ways = {piece.verdict for piece in pieces(key, limits)}
    decided = ways - {"inconclusive"}
    if len(decided) > 1:
        return "mixed"
    return next(iter(decided or ways), "")
