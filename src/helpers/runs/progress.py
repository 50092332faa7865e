"""The bar that shows how far a stage of a run has come."""

from __future__ import annotations

import sys

from tqdm import tqdm

__all__ = ["bar"]


def bar(total: int, title: str, shown: bool, unit: str | None = None) -> tqdm:
    """A bar over `total` units (by default those of its title) on standard error; none where there is nothing to do."""
    return tqdm(
        total=total,
        unit=f" {unit or title}",
        desc=title,
        disable=not (shown and total),
        file=sys.stderr,
        dynamic_ncols=True,
    )
