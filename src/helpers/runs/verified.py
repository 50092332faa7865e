"""Whether what `verify` found still stands: the same check on the same machine, of the same archive, by the same code.

An image and a logit follow from the code, the packages, the models and the processor to the last bit or, where a
library spreads its sums over other threads, nearly so; where none of these has changed, a check made again is the same
check.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.core import files, reach
from helpers.core.device import processor
from helpers.core.errors import Damaged
from helpers.core.workers import processors
from helpers.study.schema import Study

__all__ = ["standing", "state"]

#: The module that checks, with all that it imports.
CHECKS = "helpers.runs.verify"


def state(study: Study, images: int, results: Path, device: str = "cpu", arms: Sequence[str] | None = None) -> str:
    """SHA-256 (hex) over all that a check of an archive depends on; "" of a study whose models lie elsewhere than in
    this checkout, of which that cannot be told."""
    if study.scale != "mini":
        return ""
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    return reach.key({
        "study": study.digest(), "images": images, "arms": arms, "device": device,
        "machine": _processor(), "threads": threads,
        "archive": reach.held(results / "scores.parquet", results / "manifest.json"),
        "models": reach.held(files.MODELS / "mini"), "sources": reach.Sources().reached("", CHECKS),
        "environment": reach.environment(),
    })  # fmt: skip


def standing(out: Path, state: str) -> dict[str, Any] | None:
    """The report in a file that stands in this state and agreed; None where it must be made, or was not reproduced: a
    check that failed is made again."""
    try:
        found = files.read_json(out)
    except Damaged:
        return None
    return found if state and found.get("state") == state and found.get("agree") is True else None


def _processor() -> list[object]:
    """Its name, what it can do as Linux says it, and how many may be used."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    able = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return [processor(), able, processors()]
