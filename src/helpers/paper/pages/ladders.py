"""What the page on real checkpoints says of public ladders of pictures: its sentences, figures and table of sources.

Each takes the table of `helpers.analysis.real_ladders.pairs`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from IPython.display import HTML

from helpers import charts
from helpers.analysis import real_ladders as real
from helpers.analysis.words import capitalised, counted, listed, number, printed
from helpers.charts.real_ladders import MEASURES
from helpers.paper import tables
from helpers.paper.prose import Source, escaped

__all__ = [
    "BITS", "answer", "by_bits", "dose", "doubts", "groups", "nulls", "residual", "smoothing", "sources", "steps",
    "told", "what",
]  # fmt: skip

#: Whole bits of the deck's two formats, whose doses are stated.
BITS = (8, 4)


def _count(rows: pd.DataFrame) -> str:
    return f"{counted(len(rows), 'picture')} of {counted(rows.ladder.nunique(), 'ladder')}"


def what(table: pd.DataFrame) -> str:
    """How many pictures there are, of how many ladders and repositories."""
    rungs, same = table[table.role == "rung"], real.nulls(table)
    return (
        f"{_count(rungs)} differ from their baseline in precision, {_count(same)} in the hardware or the compiler "
        f"alone; {table.source.nunique()} repositories show them."
    )


def answer(table: pd.DataFrame) -> str:
    """Which way fine detail goes at as few bits as the deck's FP4 has, and fewer."""
    found = real.evidence(table)
    return found["C6"].sentence if "C6" in found else "There is no picture at so few bits as the deck's FP4 has."


def told(table: pd.DataFrame) -> Source:
    """`answer` as a paragraph of the page's first box."""
    return Source(f"**Public pictures at falling precision, without scores:** {escaped(answer(table))}")


def smoothing(table: pd.DataFrame) -> str:
    """`answer`, and which way fine detail goes at finer rungs and with the same weights."""
    said, of = [answer(table)], real.directions(table)
    parts = [
        f"{(rungs.high_db < 0).sum()} of {counted(len(rungs), 'picture')} at {group}"
        for group in ("5 to 6 bits", "8 bits")
        if len(rungs := table[table.group == group])
    ]
    if parts:
        said.append(f"Of finer rungs, fine detail falls in {listed(parts)}.")
    if of.null_pairs:
        median = number(of.null_median, 1, sign=True)
        same = f"{of.null_lose} of {counted(of.null_pairs, 'picture')}"
        said.append(f"With the same weights it falls in {same} (median {median} dB).")
    return " ".join(said)


def residual(table: pd.DataFrame) -> str:
    """Which way the energy of the residual that NPR reads goes."""
    found = real.evidence(table)
    return found["C7"].sentence if "C7" in found else "No picture of SD3's family is at so few bits as the deck's FP4."


def nulls(table: pd.DataFrame) -> str:
    """How far the picture moves with the same weights, and how many coarse rungs move it no further."""
    moved = real.movement(table)
    if moved.empty:
        return "No ladder has a picture of the same weights."
    parts = [
        f"{counted(row.nulls, 'picture')} by {row.kind}s with the same weights ({counted(row.null_ladders, 'ladder')}) "
        f"have a PSNR of {row.psnr_least:.1f} to {row.psnr_most:.1f} dB to their baseline, "
        f"{tables.interval(row, 'psnr', 1)} in the median{_beyond(row)}. {_within(row)} "
        f"rungs of {row.kind}s at {real.COARSE:g} bits and below move the picture no further than the furthest of "
        "these."
        for row in moved.itertuples()
    ]
    as_far = [f"a {row.kind}'s" for row in moved.itertuples() if row.within > row.rungs / 2]
    said = f"{listed(as_far)} picture as far as" if as_far else "no picture as far as"
    return f"{' '.join(parts)} So other hardware or another compiler can move {said} most of these rungs do."


def _within(row: Any) -> str:
    """How many of the rungs of a row of `real_ladders.movement` move a picture no further than the same weights do."""
    return {0: f"None of the {row.rungs}", row.rungs: f"All {row.rungs}"}.get(
        row.within, f"{row.within} of the {row.rungs}"
    )


def _beyond(row: Any) -> str:
    """Where a row of `real_ladders.movement` has an interval that ends beyond what was seen, the words that say why."""
    if not (row.psnr_low < row.psnr_least or row.psnr_high > row.psnr_most):
        return ""
    return f"; an interval from {counted(row.null_ladders, 'ladder')} is widened and may reach beyond what was seen"


def dose(table: pd.DataFrame) -> str:
    """The median PSNR at the deck's bits, to which doses are matched."""
    known = [of for bits in BITS if (of := real.real_dose(bits, table=table)).pairs]
    parts = [
        f"{number(of.psnr, 1)} dB at {of.bits} bits ({counted(of.pairs, 'picture')} of {counted(of.ladders, 'ladder')})"
        for of in known
    ]
    return f"The median PSNR is {listed(parts)}." if parts else "No picture has the deck's bits."


def steps(table: pd.DataFrame) -> str:
    """The symmetric 4-bit rung against its neighbours, ladder by ladder."""
    found = real.symmetric_steps(table)
    if found.empty:
        return "No ladder has GGUF's symmetric 4-bit format."
    models = table.drop_duplicates("ladder").set_index("ladder").model
    moved = [f"{printed(step, 1, sign=True)} dB" for step in found.high_db]
    parts = [f"{step} of {models[ladder]}" for step, ladder in zip(moved, found.ladder, strict=True)]
    return (
        f"In {int((found.high_db < 0).sum())} of {counted(len(found), 'ladder')} that have it, GGUF's symmetric 4-bit "
        f"format (q4_0) has less fine detail than its neighbours on the ladder ({listed(parts)}). With one prompt and "
        "one seed each this is an observation and not a test."
    )


def doubts(table: pd.DataFrame) -> str:
    """What the ladders cannot carry."""
    return " ".join(f"{capitalised(said)}." for said in real.doubts(table))


def groups(table: pd.DataFrame) -> Any:
    """Every picture's change by bits and kind of network, beside those of the same weights."""
    return charts.ladder_groups(table, real.medians(table, tuple(MEASURES)), list(real.GROUPS))


def by_bits(table: pd.DataFrame) -> Any:
    """PSNR against bits, with the medians of `dose`."""
    weights = table[table.quantized.isin(real.WEIGHTS) | (table.role == "null")]
    return charts.ladder_dose(weights, real.doses(table, BITS))


def sources(table: pd.DataFrame) -> HTML:
    """Whose pictures they are, and under which licence."""
    shown = real.sources(table)[["source", "licence", "ladders", "pairs", "models"]]
    shown = shown.rename(columns={"source": "repository", "pairs": "pairs of pictures"})
    return tables.table(shown, "Public pictures, measured by this project")
