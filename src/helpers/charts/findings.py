"""What figures state in their titles: a sentence for each choice in their menus, from the table that is drawn.

Each function takes what a figure draws and returns the function of its menus' values that `layers.compose` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from helpers.analysis.words import capitalised, counted, printed

__all__ = ["NOTHING", "between", "by_generator", "from_to", "of_cells", "sides", "widest"]

Says = Callable[..., str]
NOTHING = "Nothing is known of this choice"


def of_cells(
    cells: pd.DataFrame,
    figures: Mapping[str, str],
    generators: Mapping[str, str],
    precisions: Mapping[str, str],
    errors: Iterable[str] = ("eer",),
) -> Says:
    """Of cells: which changes most from the first precision to the last; at one precision, what the cells run over."""

    def says(figure: str, model: str, precision: str) -> str:
        rows = cells[cells[figure].notna()]
        rows = rows[rows.generator == model] if model else rows
        there = [key for key in precisions if key in set(rows.precision)]
        on = f" on {generators[model]}" if model else ""
        if not precision and len(there) > 1:
            return between(rows, figure, figures[figure], {key: precisions[key] for key in (there[0], there[-1])}, on)
        rows = rows[rows.precision == precision] if precision else rows
        if rows.empty:
            return NOTHING
        at = precisions[precision or there[0]]
        worst = rows.loc[rows[figure].idxmax() if figure in errors else rows[figure].idxmin()]
        who = worst.detector_title if model else f"{worst.detector_title} on {worst.generator_title}"
        ends = [f"{printed(rows[figure].min())}", f"{printed(rows[figure].max())}"]
        ends[figure in errors] += f" ({who})"
        return f"{capitalised(figures[figure])}{on} at {at} runs from {ends[0]} to {ends[1]}"

    return says


def between(rows: pd.DataFrame, name: str, title: str, ends: Mapping[str, str], on: str = "") -> str:
    """Which detector's measure changes most between two precisions, by key and title; `on` names one generator."""
    (first, last), titles = ends, list(ends.values())
    keys = ["generator_title", "detector_title"]
    wide = rows[rows.precision.isin([first, last])].pivot_table(index=keys, columns="precision", values=name)
    wide = wide.dropna() if {first, last} <= set(wide) else wide.iloc[:0]
    if wide.empty:
        return NOTHING
    change = wide[last] - wide[first]
    generator, detector = change.abs().idxmax()
    if abs(change[generator, detector]) < 0.005:
        return f"From {titles[0]} to {titles[1]}, {title}{on} changes by less than 0.01 with every detector"
    before, after = (printed(wide.loc[(generator, detector), key]) for key in (first, last))
    where = on or f" on {generator}"
    return f"From {titles[0]} to {titles[1]}, {title} changes most for {detector}{where}: {before} to {after}"


def by_generator(cells: pd.DataFrame, figures: Mapping[str, str], precisions: Mapping[str, str]) -> Says:
    """Of cells at a precision: the generators with the lowest and the highest mean over the detectors."""

    def says(figure: str, precision: str) -> str:
        rows = cells[(cells.precision == precision) & cells[figure].notna()]
        means = rows.groupby("generator_title", sort=False)[figure].mean()
        if means.empty:
            return NOTHING
        low, high = means.idxmin(), means.idxmax()
        said = f"At {precisions[precision]}, mean {figures[figure]} over the detectors is"
        if printed(means[low]) == printed(means[high]):
            return f"{said} {printed(means[low])}" + (" on every generator" if len(means) > 1 else f" on {low}")
        return f"{said} lowest on {low} ({printed(means[low])}) and highest on {high} ({printed(means[high])})"

    return says


def _beyond_zero(rows: pd.DataFrame, name: str) -> tuple[int, int, int]:
    """In how many rows the interval of a measure lies below zero, in how many above, and how many rows have one."""
    known = rows[rows[name].notna()]
    return int((known[f"{name}_high"] < 0).sum()), int((known[f"{name}_low"] > 0).sum()), len(known)


def sides(rows: pd.DataFrame, name: str, less: str, more: str, noun: str = "generator") -> str:
    """In words: "less on 2 of 6 generators and more on 1", by intervals that leave zero out."""
    below, above, total = _beyond_zero(rows, name)
    many = counted(total, noun)
    if not below and not above:
        return f"neither {less} nor {more} on any of {many} (95 % intervals)"
    parts = [f"{word} on {count}" for word, count in ((less, below), (more, above)) if count]
    return f"{' and '.join(parts)} of {many} (95 % intervals)"


def widest(rows: pd.DataFrame, name: str) -> pd.Series:
    """The row whose measure lies farthest from zero."""
    return rows.loc[rows[name].abs().idxmax()]


def from_to(rows: pd.DataFrame, name: str, label: str, digits: int = 2, sign: bool = False) -> str:
    """The least and the largest of a measure with what they belong to: "from -0.3 (INT2) to 0.1 (FP8)"."""
    known = rows[rows[name].notna()]
    if known.empty:
        return "not known"
    ends = [known.loc[known[name].idxmin()], known.loc[known[name].idxmax()]]
    parts = [f"{printed(row[name], digits, sign)} ({row[label]})" for row in ends]
    return f"from {parts[0]} to {parts[1]}"
