"""What sets the files of real and of generated images apart beside their content: format and size.

A detector that is trained or tested on such files may read these alone (Grommelt et al. 2024, arXiv 2403.17608).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TELLING", "differences"]

#: Balanced accuracy of guessing by format or size alone from which a difference is told; 0.5 tells nothing.
TELLING = 0.6


def differences(table: pd.DataFrame) -> list[str]:
    """In what the reals of a table differ from the fakes, a clause each ("differ in format: ..."); [] where in nothing.

    The table has a row for each image: label ("real", "fake" or another, which does not count), format, width and
    height (pixels). Each difference is judged by the balanced accuracy of the best guess from it: half of 1 + total
    variation for formats, half of 1 + the Kolmogorov-Smirnov distance for pixel counts.
    """
    real, fake = (table[table["label"] == label] for label in ("real", "fake"))
    if real.empty or fake.empty:
        return []
    from scipy import stats  # a second to import, for who has labels

    found = []
    shares = [of["format"].value_counts(normalize=True) for of in (real, fake)]
    best = (1 + shares[0].sub(shares[1], fill_value=0).abs().sum() / 2) / 2
    if best >= TELLING:
        found.append(_clause("format", best, _formats(real), _formats(fake), len(real), len(fake)))
    pixels = [of["width"] * of["height"] for of in (real, fake)]
    best = (1 + stats.ks_2samp(*pixels).statistic) / 2
    if best >= TELLING:
        found.append(_clause("size", best, _sizes(real), _sizes(fake), len(real), len(fake)))
    return found


def _clause(what: str, best: float, real: str, fake: str, reals: int, fakes: int) -> str:
    return (
        f"differ in {what}: {reals} reals are {real}, {fakes} fakes {fake}; {what} alone tells them "
        f"apart with a balanced accuracy of {best:.2f}"
    )


def _formats(of: pd.DataFrame) -> str:
    return ", ".join(f"{count} {name}" for name, count in of["format"].value_counts().items())


def _sizes(of: pd.DataFrame) -> str:
    pixels = of.assign(pixels=of["width"] * of["height"]).sort_values("pixels")
    least, middle, most = (pixels.iloc[place] for place in (0, len(pixels) // 2, -1))
    return f"{_size(least)} to {_size(most)} (median {_size(middle)})"


def _size(row: pd.Series) -> str:
    return f"{row['width']}x{row['height']}"
