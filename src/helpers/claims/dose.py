"""Sentences on the dose: which cells have none, which rung stands for a real dose, and what the pictures still show."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from helpers.analysis import dose
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.results.results import Results

__all__ = ["BRIDGE", "NONE", "doses", "exact", "shown"]

#: What a study without distances says.
NONE = (
    "How far this study's images lie from their baseline was not measured: quantdetect run STUDY --out FOLDER, over "
    "the folder that holds its images, adds distances.parquet to it."
)

BRIDGE = (
    "PSNR is an imperfect bridge from these pictures to others: it counts a shape that has moved and a grain that is "
    "lost alike, and pictures of another size or contrast reach the same figure by other changes."
)


def exact(results: Results) -> str:
    """The sentence on cells of which every image is the baseline's byte for byte; "" where there is none."""
    table = dose.doses(results)
    table = table[table.exact & (table.arm == results.arm)] if len(table) else table
    if table.empty:
        return ""
    each = [
        f"{title} of {listed(list(cell.generator_title))}"
        for title, cell in table.groupby("precision_title", sort=False)
    ]
    return (
        f"The images of {listed(each)} are those of {named(results.baseline)} byte for byte, as where a checkpoint is "
        "stored in no more bits than the format has: nothing was done to them, and as a control they say nothing."
    )


def doses(results: Results, targets: Mapping[str, float]) -> str:
    """The sentences on the dose of the lowest precision and on the rung that stands for each of the `targets` (dB, by
    name): median PSNRs, from the least to the most of the generators."""
    table = dose.doses(results)
    if table.empty:
        return NONE
    said = []
    low = table[(table.arm == results.arm) & (table.precision == results.lowest)]
    if len(low):
        low = low.sort_values("psnr")
        ends = [f"{row.psnr:.1f} dB ({row.generator_title})" for row in (low.iloc[0], low.iloc[-1])]
        spread = ends[0] if len(low) == 1 else f"{ends[0]} to {ends[1]}"
        said.append(f"The median PSNR of {named(results.lowest)} images to {named(results.baseline)}'s is {spread}.")
    said += [_matched(results, name, target) for name, target in targets.items()]
    return " ".join([*said, exact(results), BRIDGE]).replace("  ", " ")


def _matched(results: Results, name: str, target: float) -> str:
    """Which rung stands for a dose, generator by generator, and for which there is none and why."""
    found = {key: dose.matched_rung(results, key, target) for key in results.generators}
    titles = results.titles("generator")
    rungs: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for key, match in found.items():
        own = f"{named(match.precision)} ({match.psnr.estimate:.1f})" if match.precision else ""
        (rungs.setdefault(own, []) if own else without.setdefault(match.why, [])).append(titles[key])
    parts = [f"{rung} for {listed(keys)}" for rung, keys in rungs.items()]
    lead = f"To {name}, {target:.1f} dB, "
    told = f"{lead}the nearest rung is {listed(parts)}." if parts else f"{lead}no rung of the ladder matches."
    return " ".join([told, *(f"No rung matches for {listed(keys)}: {why}." for why, keys in without.items())])


def shown(results: Results) -> str:
    """The sentences on what part of the lowest precision's change is other content: what is read otherwise, and how far
    the logits of the images move of which nothing is."""
    table = dose.content(results, [results.arm])
    table = table[table.precision == results.lowest] if len(table) else table
    if table.empty:
        return "" if dose.doses(results).empty else (
            "What this study's pictures show was not read: its prompts are no captions of the miniature world, which "
            "are all that the judge knows."
        )  # fmt: skip
    low, base = named(results.lowest), named(results.baseline)
    most = table.loc[table.changed.idxmax()]
    where = f", most in {most.generator_title}'s" if most.changed > table.changed.min() else ""
    told = (
        f"At {low} the judge reads another ground, colour or shape than at {base} in {_share(table, 'changed')} of a "
        f"generator's images{where}{_unrest(results)}."
    )
    return f"{told} {_moved(results)}".strip()


def _share(table: pd.DataFrame, name: str) -> str:
    """Least and most of a share, in print."""
    ends = [f"{100 * value:.1f}\N{NO-BREAK SPACE}%" for value in (table[name].min(), table[name].max())]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _unrest(results: Results) -> str:
    null = dose.content(results, [results.arm_of("null")]) if results.arm_of("null") else pd.DataFrame()
    return f" (in the null control, in {_share(null, 'changed')})" if len(null) else ""


def _moved(results: Results) -> str:
    """Of the pairs of generator and detector that the lowest precision moves, how many move where nothing is read
    otherwise too."""
    table = dose.strata(results)
    table = table[(table.precision == results.lowest)].dropna(subset=["same_low"]) if len(table) else table
    if table.empty:
        return ""
    moved = table[(table.same_low > 0) | (table.same_high < 0)]
    told = (
        f"Among the images of which it reads the same, the logits still move in {len(moved)} of "
        f"{counted(len(table), 'pair')} of generator and detector (95 % interval without 0)"
    )
    if moved.empty:
        return f"{told}; so no shift is known that content, as the judge reads it, does not go with."
    most = moved.loc[moved.same.abs().idxmax()]
    figure = number(Interval(most.same, most.same_low, most.same_high), sign=True)
    also = f", by {figure} standard deviations for {most.detector_title} on {most.generator_title} at most"
    return (
        f"{told}{also}; such shifts are not the work of another ground, colour or shape. What the judge does not read, "
        "place, size, light and texture, may be."
    )
