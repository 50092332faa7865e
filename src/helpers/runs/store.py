"""A run's folder: lossless images, what is known of each shard, tables and the manifest, each written in one step.

images/<generator>/<precision>/<index>.png     images/real/<size>/<index>.png
images/.../rejected/<index>.png                images that do not count, for the eye
parts/<the same folders>/<start>.json          what made the shard: digests, times, rejections
parts/<the same folders>/<start>.parquet       its scores
proof/<generator>/<precision>.json             what was measured of the cell's weights (`runs.proof`)
parts/spectra, parts/patterns, parts/counterfactuals   what was measured of the scored images (`runs.spectra` ...)
scores.parquet  cells.parquet  manifest.json   the run's results, merged from the parts
spectra.parquet  patterns.parquet  counterfactuals.parquet   likewise, where the images were at hand
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from helpers import paths
from helpers.runs.plan import Shard, Source

__all__ = [
    "RESULTS",
    "Store",
    "git_revision",
    "pixel_sha256",
    "read_json",
    "versions",
    "write_json",
    "write_parquet",
]

#: The files that make up a run's results.
RESULTS = ("scores.parquet", "cells.parquet", "manifest.json")
_LIBRARIES = ("numpy", "torch", "onnxruntime", "diffusers", "transformers", "optimum-quanto", "bitsandbytes")


class Store:
    """The files of one run below a folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def image(self, source: Source, index: int, rejected: bool = False) -> Path:
        """Path of an image."""
        return self.folder / "images" / source.folder / ("rejected" if rejected else "") / f"{index:04d}.png"

    def save(self, image: Image.Image, source: Source, index: int, rejected: bool = False) -> None:
        """Write an image as PNG; fixed settings, so equal pixels give equal files."""
        with paths.replacing(self.image(source, index, rejected)) as temporary:
            image.save(temporary, format="PNG", compress_level=1)

    def open(self, source: Source, index: int) -> Image.Image | None:
        """The image, decoded; None where it is missing or not readable."""
        try:
            with Image.open(self.image(source, index)) as image:
                return image.convert("RGB")
        except (OSError, SyntaxError):  # PIL raises SyntaxError for a broken PNG chunk
            return None

    def state(self, shard: Shard) -> Path:
        """Path of what is known of a shard."""
        return self.folder / "parts" / f"{shard.name}.json"

    def proof(self, source: Source) -> Path:
        """Path of what was measured of a cell's weights."""
        return self.folder / "proof" / f"{source.folder}.json"

    def part(self, shard: Shard) -> Path:
        """Path of a shard's scores."""
        return self.folder / "parts" / f"{shard.name}.parquet"


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256 (hex) of an image's size and RGB bytes, whatever file it came from."""
    pixels = np.ascontiguousarray(np.asarray(image.convert("RGB")))
    return hashlib.sha256(f"{image.width}x{image.height} RGB\n".encode() + pixels.tobytes()).hexdigest()


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file; empty where the file is missing or broken, for then its work is done again."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write a JSON file in one step."""
    with paths.replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table in one step."""
    with paths.replacing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that make and score images; those installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The commit of this checkout, with "+" where files other than results differ; None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
