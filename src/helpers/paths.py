"""Where everything lies in a checkout, and how a file is replaced without ever being half written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BOOK", "BUILD", "MODELS", "NOTEBOOKS", "RESULTS", "ROOT", "STUDIES", "replacing"]

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
STUDIES = ROOT / "studies"
RESULTS = ROOT / "results"
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place in one step, or is deleted on failure.

    The folder is made where it is missing. The temporary name keeps the suffix, for writers that go by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
