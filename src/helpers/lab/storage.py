"""The files of the lab's folder, as a plain web server can give them out."""

from __future__ import annotations

import gzip
from pathlib import Path

__all__ = ["Files"]


class Files:
    """Files in a folder that is made as they come. What is large is stored as gzip, for plain servers compress nothing
    that they do not know, and what holds the same is stored once.

    Attributes:
        sizes: name -> bytes of the contents ("bytes") and of the file ("transfer").
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, dict[str, int]] = {}
        self._names: dict[bytes, str] = {}

    def put(self, name: str, contents: bytes) -> str:
        """Store `contents` as the gzip file `name`.gz, or find what holds the same; returns the file's name."""
        if contents not in self._names:
            self._names[contents] = self._write(f"{name}.gz", gzip.compress(contents, mtime=0), len(contents))
        return self._names[contents]

    def plain(self, name: str, contents: bytes) -> str:
        """Store `contents` as they are; returns the name."""
        return self._write(name, contents, len(contents))

    def _write(self, name: str, stored: bytes, size: int) -> str:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stored)
        self.sizes[name] = {"bytes": size, "transfer": len(stored)}
        return name
