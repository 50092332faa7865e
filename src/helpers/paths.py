"""Where everything lies in a checkout, how a file is replaced without ever being half written, and files' digests."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "BOOK",
    "BUILD",
    "CARD",
    "MODELS",
    "NOTEBOOKS",
    "RESULTS",
    "ROOT",
    "STUDIES",
    "file_sha256",
    "replacing",
    "tree_sha256",
]

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
STUDIES = ROOT / "studies"
RESULTS = ROOT / "results"
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"

#: Name of the file that describes a trained model.
CARD = "card.json"


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


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(*places: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) over names and contents of files and of folders' files, hidden ones and cards left out.

    A model's card describes it and changes nothing that it makes.

    A place that does not exist counts by its name: a hub id stands for itself.
    """
    total = hashlib.sha256()
    for place in map(Path, places):
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and not file.name.startswith(".") and file.name != CARD:
                name = file.relative_to(place).as_posix() if place.is_dir() else file.name
                total.update(f"{name} {file_sha256(file)}\n".encode())
        if not place.exists():
            total.update(f"{place}\n".encode())
    return total.hexdigest()
