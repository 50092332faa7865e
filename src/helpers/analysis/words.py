"""How numbers, lists and names are printed in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import pandas as pd

from helpers.analysis.stats.metrics import Interval
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.precision.catalogue import PRECISIONS

__all__ = ["capitalised", "counted", "listed", "named", "number", "percent", "printed", "quoted", "share", "span"]


def number(interval: Interval, digits: int = 2, sign: bool = False) -> str:
    """An estimate with its interval, for prose: 0.93 (0.88 to 0.96); it says so where one of them is not known."""
    if isnan(interval.estimate):
        return "unknown"
    estimate, low, high = (printed(value, digits, sign) for value in (interval.estimate, interval.low, interval.high))
    if isnan(interval.low) or isnan(interval.high):
        return f"{estimate} (interval unknown)"
    return f"{estimate} ({low} to {high})"


def printed(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number for print, with a true minus sign: 0.93, or with its sign +0.93.

    What rounds to zero keeps its sign where signs are asked for, for an interval's end says by it whether zero lies
    inside, and Vega's tooltips keep it too; elsewhere it has none. Zero itself has none anywhere.
    """
    sided = round(float(value), 12 if sign else digits)  # what arithmetic leaves of a zero, 1e-17, lies on no side
    before = "\N{MINUS SIGN}" if sided < 0 else "+" if sign and sided > 0 else ""
    return f"{before}{abs(value):,.{digits}f}"


def counted(count: int, noun: str) -> str:
    """A number with its noun, for prose: "no image", "1 image", "1,200 images"."""
    return f"{f'{count:,}' if count else 'no'} {noun}{'' if count < 2 else 's'}"


def listed(parts: Sequence[str], word: str = "and") -> str:
    """Parts joined as in a sentence: a, b and c."""
    return f" {word} ".join(filter(None, [", ".join(parts[:-1]), parts[-1] if parts else ""]))


def capitalised(words: str) -> str:
    """Words with a capital at their beginning and all else as it is."""
    return words[:1].upper() + words[1:]


def named(key: str) -> str:
    """A generator's, detector's or precision's name in print; a key outside the catalogue is its own."""
    return next((of[key].title for of in (GENERATORS, DETECTORS, PRECISIONS) if key in of), key)


def percent(interval: Interval) -> str:
    """A change of a share with its interval in print, as `share` spells it: +3 % (+1 to +5)."""
    shown = number(Interval(*(100 * end for end in (interval.estimate, interval.low, interval.high))), 1, sign=True)
    return shown.replace(" (", "\N{NO-BREAK SPACE}% (", 1)


def share(value: float, digits: int = 0, sign: bool = False) -> str:
    """A share in print, in percent after a space at which no line breaks: 27 %."""
    return f"{printed(100 * value, digits, sign)}\N{NO-BREAK SPACE}%"


def quoted(words: str) -> str:
    """Words in the quotation marks of prose."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{words}\N{RIGHT DOUBLE QUOTATION MARK}"


def span(counts: Sequence[int] | pd.Series) -> str:
    """One or more counts by their least and their most, or by the one that they all are: 100, or 64 to 128."""
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
