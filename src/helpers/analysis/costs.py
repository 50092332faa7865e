"""What each cell cost: bytes, seconds, coverage; and the settings of each generator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import nan
from typing import Any

import pandas as pd

from helpers.generators.catalogue import GENERATORS
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = ["MEASURED", "Record", "costs", "images_per_cell", "on_cpu", "record", "settings"]


#: What a run measures of each cell, in seconds and MB.
MEASURED = ("seconds_load", "seconds_quantize", "seconds_per_image", "peak_memory_mb")


def images_per_cell(results: Results) -> str:
    """How many fakes a cell has, as words: one number, or "a to b" where cells differ."""
    fakes = results.scores[results.scores.label == 1]
    counts = fakes.groupby(["generator", "precision"], observed=True)["index"].nunique()
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"


def costs(results: Results) -> pd.DataFrame:
    """One row per cell as it was run: coverage and seconds as measured, denoiser bytes against FP32's, images kept."""
    rows = []
    for cell in results.cells.to_dict("records"):
        before, after = _bytes(cell.get("component_coverage"))
        rows.append(
            results.titled(cell["generator"], cell["precision"])
            | {
                "coverage": float(cell.get("coverage", nan)),
                **{name: float(cell.get(name, nan)) for name in MEASURED},
                "bytes_before": before,
                "bytes_after": after,
                "bytes_share": after / before,
                "images": int(cell.get("images", 0)),
                "rejected": int(cell.get("rejected", 0) or 0),
                "rejected_why": str(cell.get("rejected_why") or ""),
                "size": int(cell.get("size", 0)),
                "steps": int(cell.get("steps", 0)),
                "guidance": float(cell.get("guidance", nan)),
                "device": str(cell.get("device", "")),
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    for column, catalogue in (("generator", GENERATORS), ("precision", PRECISIONS)):
        table[f"_{column}"] = table[column].map({key: place for place, key in enumerate(catalogue)}).fillna(99)
    order = ["_generator", "_precision"]
    return table.sort_values(order).drop(columns=order).reset_index(drop=True)


@dataclass(frozen=True)
class Record:
    """On which devices a study's cells were made, how many images were rejected, and for which reasons."""

    devices: list[str]
    rejected: int
    reasons: list[str]


def record(costs: pd.DataFrame) -> Record | None:
    """What a table of `costs` has on record of all cells; None where no device is on record."""
    if costs.empty or not any(costs.device):
        return None
    reasons = sorted({reason for reason in costs.rejected_why if reason})
    return Record(sorted(set(costs.device)), int(costs.rejected.sum()), reasons)


def on_cpu(costs: pd.DataFrame) -> bool:
    """Whether all cells of a table of `costs` were made on a CPU."""
    return set(costs.get("device", ())) == {"cpu"}


def settings(results: Results) -> pd.DataFrame:
    """One row per generator for print: title, family, edge in pixels, steps, guidance."""
    table = costs(results)
    rows = []
    for key, title in results.titles("generator").items():
        cell = table[table.generator == key].iloc[0].to_dict() if len(table) and key in set(table.generator) else {}
        family = GENERATORS[key].family if key in GENERATORS else results.own_generators.get(key, {}).get("family", "")
        rows.append(
            {
                "generator": title,
                "family": family,
                "pixels": cell.get("size") or None,
                "steps": cell.get("steps") or None,
            }
            | {"guidance": cell.get("guidance")}
        )
    return pd.DataFrame(rows)


def _bytes(component_coverage: Any) -> tuple[float, float]:
    """Bytes of the components before and after quantization, from the stored JSON; NaN where it holds none."""
    parts = json.loads(component_coverage) if isinstance(component_coverage, str) else {}
    before = sum(part.get("bytes_before", 0) for part in parts.values())
    after = sum(part.get("bytes_after", 0) for part in parts.values())
    return (float(before), float(after)) if before else (nan, nan)
