"""The dry runs of the full study that are kept: real architectures with random weights, led through its commands.

`benchmarks/dry_run.py` writes such a record; those in results/dry_run were kept.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from helpers.core import files
from helpers.generators.catalogue import GENERATORS
from helpers.precision.catalogue import BASELINE

__all__ = ["FOLDER", "dearer", "families", "markdown", "records", "sentence"]

FOLDER = files.RESULTS / "dry_run"


def records() -> list[dict[str, Any]]:
    """The kept records as written, by file name: `machine` (device, card, driver, versions) and `families`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def families(record: dict[str, Any]) -> pd.DataFrame:
    """One row per family of a record: family, depth (share of its layers), parameters, cells and made (how many cells
    there are, and how many of them have all their images), estimated and peak (bytes on the GPU at the baseline; NaN
    on a CPU), and of each command that was called whether it ended well, in a column of its name.
    """
    rows = []
    for one in record["families"]:
        baseline = next(cell for cell in one["cells"] if cell["cell"] == f"{one['family']}/{BASELINE}")
        rows.append(
            {
                "family": one["family"], "depth": one["depth"], "parameters": sum(one["parameters"].values()),
                "cells": len(one["cells"]), "made": sum(cell["images"] > 0 for cell in one["cells"]),
                "estimated": baseline.get("estimated_peak_mb", float("nan")) * 1e6,
                "peak": baseline["peak_memory_mb"] * 1e6,
                **{name: said["exit"] == 0 for name, said in one["commands"].items()},
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def dearer(record: dict[str, Any]) -> pd.DataFrame:
    """The cells that took more of a GPU than was expected: cell, estimated and peak (bytes)."""
    cells = pd.DataFrame([cell for one in record["families"] for cell in one["cells"] if "estimated_peak_mb" in cell])
    more = cells[cells.peak_memory_mb > cells.estimated_peak_mb]
    return pd.DataFrame({
        "cell": more["cell"], "estimated": more.estimated_peak_mb * 1e6, "peak": more.peak_memory_mb * 1e6,
    }).sort_values("peak", ascending=False, ignore_index=True)  # fmt: skip


def sentence(record: dict[str, Any]) -> str:
    """How many cells took more of the GPU than was expected, and which most, as it stands on that page."""
    found, cells = dearer(record), sum(len(one["cells"]) for one in record["families"])
    if found.empty:
        return f"None of the {cells} cells took more than was expected."
    worst = found.iloc[0]
    return (
        f"Of {cells} cells {len(found)} took more than was expected, most of them `{worst.cell}`: "
        f"{worst.peak / 1e9:.1f} GB, where {worst.estimated / 1e9:.1f} had been expected."
    )


def markdown(record: dict[str, Any]) -> str:
    """The table of `families`, as it stands on the page on reproducing."""
    head = [
        "generator",
        "layers",
        "parameters, billions",
        "cells made",
        "again the same",
        "FP32, expected GB",
        "FP32, taken GB",
    ]
    rows = [
        [GENERATORS[row.family].title, _layers(row.depth), f"{row.parameters / 1e9:.2f}", f"{row.made} of {row.cells}",
         "yes" if row.verify else "no", f"{row.estimated / 1e9:.1f}", f"{row.peak / 1e9:.1f}"]
        for row in families(record).itertuples()
    ]  # fmt: skip
    lines = [head, ["---", "---", "---:", "---", "---", "---:", "---:"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _layers(depth: float) -> str:
    return {0.0: "one of each kind", 1.0: "all"}.get(depth, f"1 in {1 / max(depth, 1e-9):.0f}")
