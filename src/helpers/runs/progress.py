"""The bar that shows how far a stage of a run has come."""

from __future__ import annotations

import sys

from tqdm import tqdm

__all__ = ["bar"]


def bar(total: int, unit: str, shown: bool) -> tqdm:
    """A bar over `total` things of a kind on standard error; none where there is nothing to do."""
    return tqdm(
        total=total,
        unit=f" {unit}",
        desc=unit,
        disable=not (shown and total),
        file=sys.stderr,
        dynamic_ncols=True,
    )
