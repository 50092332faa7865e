"""A run's folder: lossless images, what is known of each shard, tables and the manifest, each written in one step.

images/<generator>/<precision>/<index>.png     images/real/<size>/<index>.png
images/.../rejected/<index>.png                images that do not count, for the eye
parts/<the same folders>/<start>.json          what made the shard: digests, times, rejections
parts/<the same folders>/<start>.parquet       its scores
failed/<generator>/<precision>.json            why a cell could not be made, until it is
audit/<generator>/<precision>.json             what was measured of the cell's weights (`runs.audit`)
gallery/                                       the first images as strips, and what they show (`runs.stages.gallery`)
parts/{spectra,patterns,distances,counterfactuals}   what was measured of the scored images (`runs.stages`)
scores.parquet  cells.parquet  manifest.json   the run's results, merged from the parts
scored.json                                    when scoring began, and by which rules (`Store.begun`)
.lock                                          see `runs.lock`
.hashes.json                                   digests of large files that the run has read (`core.hashes`)
spectra.parquet  patterns.parquet  distances.parquet  counterfactuals.parquet   likewise, where the images were at hand
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from helpers.core import columns, files
from helpers.core.errors import Damaged
from helpers.runs.plan import Shard, Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MANIFEST", "RESULTS", "STALE", "Store", "pixel_sha256", "versions"]

#: The files that make up a run's results.
RESULTS = ("scores.parquet", "cells.parquet", "manifest.json")
MANIFEST = "manifest.json"
SCORED = "scored.json"
_Found = TypeVar("_Found")
_LIBRARIES = ("numpy", "torch", "onnxruntime", "diffusers", "transformers", "optimum-quanto", "bitsandbytes")


#: Why images of a source count no longer.
STALE = "made with other settings, by another model or on another device"


class Store:
    """The files of one run below a folder.

    `notes` says, a line each, what was found there that is damaged or foreign.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.notes: list[str] = []

    def rename_former(self) -> None:
        """Give what an older version named otherwise its name of today, and note it: proof/ is audit/."""
        former, today = self.folder / "proof", self.folder / "audit"
        if former.is_dir() and not today.exists():
            with contextlib.suppress(FileNotFoundError):  # another share has done it
                former.rename(today)
                self.note(f"{former}: called {today.name}/ now")

    def note(self, line: str) -> None:
        """Remember what the user should know of the folder; the same is said once."""
        if line not in self.notes:
            self.notes.append(line)

    def read(self, reader: Callable[[Path], _Found], path: Path) -> _Found | None:
        """What `reader` makes of a file; None where it is missing or damaged, for then its work is done again.

        Damage (`reader` raises Damaged) is noted.
        """
        if not os.path.lexists(path):
            return None
        try:
            return reader(path)
        except Damaged as error:
            self.note(f"{error}; made again")
            return None

    def table(self, name: str, needed: Iterable[str] = ()) -> pd.DataFrame:
        """One of the run's own tables ("spectra.parquet"), checked as it is declared, with the `needed` columns.

        Raises Damaged where it is missing or not as declared.
        """
        path, table = self.folder / name, columns.TABLES[name]
        found = files.read_parquet(path, [*table.needed, *needed])
        columns.check(table, found, str(path))
        return found

    def scores(self) -> pd.DataFrame:
        """The run's scores: every column of scores.parquet, in order; raises Damaged as `table` does."""
        return self.table(columns.SCORES.file, columns.SCORES.names)[list(columns.SCORES.names)]

    def manifest(self) -> dict[str, Any]:
        """What manifest.json holds; where it is missing or damaged, `files` (name -> SHA-256) that are none.

        Raises UsageError where a later version of this package wrote it.
        """
        return self.read(_manifest, self.folder / MANIFEST) or {"files": {}}

    def begun(self, rules: str) -> dict[str, Any]:
        """When scoring began in this folder (`at`, ISO 8601), and the digest of the rules that held then (`rules`).

        The first call, before any score, settles it for good: rules that are changed later cannot pass for those under
        which the images were scored. Of a folder that was scored by an earlier version it is known that its scores are
        no younger than its manifest, and no rules (None).
        """
        path = self.folder / SCORED
        known = self.read(files.read_json, path)
        if known is None:
            manifest = self.manifest()
            known = manifest.get("scored") or self._scored_before(manifest) or {"at": files.now(), "rules": rules}
            files.write_json(known, path)
        return known

    def _scored_before(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        if "created" not in manifest or not (self.folder / RESULTS[0]).is_file():
            return None
        scores = self.read(lambda _: self.scores(), self.folder / RESULTS[0])
        return None if scores is None or scores.empty else {"at": manifest["created"], "rules": None}

    def starts(self, source: Source, size: int) -> list[int]:
        """Where the shards of `size` images begin of which the folder knows something; other files are noted."""
        found = []
        for path in sorted((self.folder / "parts" / source.folder).glob("[!.]*.json")):
            if re.fullmatch(r"\d{4}|[1-9]\d{4,8}", path.stem, re.ASCII) and int(path.stem) % size == 0:
                found.append(int(path.stem))
            else:
                self.note(f"{path}: no part of this run; left alone")
        return found

    def image(self, source: Source, index: int, rejected: bool = False) -> Path:
        """Path of an image."""
        return self.folder / "images" / source.folder / ("rejected" if rejected else "") / f"{index:04d}.png"

    def save(self, image: Image.Image, source: Source, index: int, rejected: bool = False) -> None:
        """Write an image as PNG; fixed settings, so equal pixels give equal files."""
        with files.replacing(self.image(source, index, rejected)) as temporary:
            image.save(temporary, format="PNG", compress_level=1)

    def open(self, source: Source, index: int) -> Image.Image | None:
        """The image, decoded; None where it is missing or not readable."""
        path = self.image(source, index)
        if not path.is_file():  # a pipe would be waited for
            return None
        try:
            with Image.open(path, formats=["PNG"]) as image:
                return image.convert("RGB")
        except Exception:  # a foreign file can make a decoder raise anything
            return None

    def state(self, shard: Shard) -> Path:
        """Path of what is known of a shard."""
        return self.folder / "parts" / f"{shard.name}.json"

    def audit(self, source: Source) -> Path:
        """Path of what the audit measured of a cell's weights."""
        return self.folder / "audit" / f"{source.folder}.json"

    def fail(self, source: Source, why: str) -> None:
        """Write down why a source's images cannot be made."""
        files.write_json({"why": why, "at": files.now()}, self._failure(source))
        self.note(f"{source.folder}: not made: {why}")

    def forget_failure(self, source: Source) -> None:
        """What kept a source from being made counts no longer: it is tried again."""
        self._failure(source).unlink(missing_ok=True)

    def failures(self, sources: Iterable[Source]) -> dict[str, str]:
        """Those of the sources, by their folders, that could not be made at the last try, and why.

        What is known of others, which the study no longer has, is left alone.
        """
        known = {source.folder: self.read(_failure, self._failure(source)) for source in sources}
        return {folder: why for folder, why in known.items() if why}

    def _failure(self, source: Source) -> Path:
        return self.folder / "failed" / f"{source.folder}.json"

    def part(self, shard: Shard) -> Path:
        """Path of a shard's scores."""
        return self.folder / "parts" / f"{shard.name}.parquet"


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256 (hex) of an image's size and RGB bytes, whatever file it came from."""
    pixels = np.ascontiguousarray(np.asarray(image.convert("RGB")))
    return hashlib.sha256(f"{image.width}x{image.height} RGB\n".encode() + pixels.tobytes()).hexdigest()


def _manifest(path: Path) -> dict[str, Any]:
    found = files.read_json(path)
    columns.check_version(found, str(path))
    listed = found.setdefault("files", {})
    if not (isinstance(listed, dict) and all(isinstance(digest, str) for digest in listed.values())):
        raise Damaged(f"{path}: its 'files' are not names with checksums")
    return found


def _failure(path: Path) -> str:
    why = files.read_json(path).get("why")
    if not isinstance(why, str):
        raise Damaged(f"{path}: it does not say why")
    return why


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that make and score images; those installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
