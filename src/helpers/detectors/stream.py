"""Files of any kind to scores: each is read and decoded once for all detectors, in order, and none is left out.

A file that no detector can read (broken, truncated, empty, no image, too large) becomes a row that says why. Files are
taken in windows of bounded size: while one is scored, in batches of one size per detector, the next is decoded; both
are spread over the processor's cores. With images of 8192 x 8192 px and the four miniature detectors a process stays
under 3 GB, of which the libraries take one.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import itertools
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from helpers.core.errors import UsageError, shortened
from helpers.detectors.batching import BATCH_PIXELS, batches, cores, logits
from helpers.detectors.detector import Detector
from helpers.detectors.preprocessing import SIZE_RULES, Unfit, check_size, decode
from helpers.images.perturbations import Perturbation

__all__ = ["FORMATS", "FileScore", "find", "format_of", "judge", "open_image", "placed", "reason"]

#: What is read; anything else is no image here.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")

_CODECS = {"MPO": "JPEG"}  # as cameras write it: the picture, then further ones that are no part of it

#: A window ends before it would hold more pixels or files than this, one image excepted.
WINDOW_PIXELS, WINDOW_FILES = 16 * 2**20, 512


@dataclass
class FileScore:
    """What came of a file: one logit per detector, or why there is none.

    Attributes:
        path: as it was given. width, height: pixels as shown, before any perturbation; 0 where it is no image.
        format: by content, not by name; "" where it is no image. sha256: of the file's bytes, hex.
        error: why it has no logits, in one line; "" where it has.
        logits: by detector.
    """

    path: Path
    width: int = 0
    height: int = 0
    format: str = ""
    sha256: str = ""
    error: str = ""
    logits: dict[str, float] = field(default_factory=dict)


def find(places: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return every file behind files, folders (recursive, by name) and patterns (`*`, `**`, `?`), in their order.

    A folder stands for all its files, whatever they are: leaving some out is the caller's choice, by a pattern.

    Raises:
        UsageError: nothing is there, a pattern matches nothing, or a folder holds no file or cannot be listed.
    """
    return [path for path, _ in placed(places)]


def placed(places: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Return each file that `find` does with the folder in which it was looked for: the one that was named, the
    parent of a file that was named, or the part of a pattern before its first wildcard.
    """
    found: list[tuple[Path, Path]] = []
    for place in map(os.fspath, places):
        found += _placed(place)
    return found


def _placed(place: str) -> list[tuple[Path, Path]]:
    try:
        if os.path.isdir(place):
            found = [(path, Path(place)) for path in _below(Path(place), set())]
            if not found:
                raise UsageError(f"{shortened(place)}: no files in this folder; name another")
            return found
        if os.path.lexists(place):
            return [(Path(place), Path(place).parent)]
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(place).parts))
        found = _matched(place, fixed)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        where = getattr(error, "filename", None) or place
        raise UsageError(f"{shortened(where)}: cannot be looked through: {why}") from None
    if not found:
        what = "matches no file" if glob.has_magic(place) else "no such file or folder"
        raise UsageError(f"{shortened(place)}: {what}; name images, folders of images, or a pattern in quotes")
    return [(path, fixed) for path in found]


def _matched(pattern: str, fixed: Path) -> list[Path]:
    """Every file behind a pattern once: `**` matches a folder beside its files, and a link back to a folder again and
    again. `fixed` is the part before the first wildcard.
    """

    @functools.cache
    def above(folder: Path) -> tuple[Path, ...]:
        """A folder and those above it down from `fixed`, as they are without links."""
        return (folder.resolve(), *(above(folder.parent) if fixed in folder.parents else ()))

    found: list[Path] = []
    for match in map(Path, sorted(glob.glob(pattern, recursive=True))):
        way = above(match if match.is_dir() else match.parent)
        if len(set(way)) == len(way):
            found += _below(match, set(way[1:])) if match.is_dir() else [match]
    return list(dict.fromkeys(found))


def _below(folder: Path, above: set[Path]) -> list[Path]:
    """Every file below a folder, by name; a link to a folder that is being listed is not followed round again."""
    found, above = [], above | {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            found.append(path)
        elif path.resolve() not in above:
            found += _below(path, above)
    return found


def judge(
    paths: Sequence[Path],
    detectors: Mapping[str, Detector],
    perturbation: Perturbation | None = None,
    threads: int | None = None,
) -> Iterator[FileScore]:
    """Yield what came of each file, in the order given; a logit does not depend on the other files.

    Args:
        detectors: by the name that its logits get.
        perturbation: applied to each image before any detector's size rule, seeded by the file's own digest.
        threads: cores to use, by default as many as torch uses; each detector runs on one core per batch.
    """
    rules = {detector.ready.size_rule for detector in detectors.values()}
    with cores(threads) as pool:
        scoring: tuple[list[FileScore], list[tuple[str, list[int], Future[np.ndarray]]]] = ([], [])
        for window in _windows(paths):
            reading = [pool.submit(_read, seen, rules, perturbation) for seen in window]
            yield from _scored(*scoring, detectors)
            views = [future.result() for future in reading]
            scoring = (window, list(_batched(pool, detectors, views)))
            del reading, views
        yield from _scored(*scoring, detectors)


def _windows(paths: Sequence[Path]) -> Iterator[list[FileScore]]:
    """The files in groups that fit into memory, each with its size and format by its header, or its error."""
    window, pixels = [], 0
    for path in paths:
        seen = FileScore(path)
        try:
            with (
                warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
                open_image(path) as image,
            ):
                seen.format, (seen.width, seen.height) = format_of(image), image.size
                check_size(*image.size)
        except Exception as error:  # a file of strangers can make a decoder raise anything
            seen.error = reason(error)
        size = 0 if seen.error else seen.width * seen.height
        if window and (pixels + size > WINDOW_PIXELS or len(window) == WINDOW_FILES):
            yield window
            window, pixels = [], 0
        window.append(seen)
        pixels += size
    if window:
        yield window


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture of one of `FORMATS`, not decoded yet. Pipes and devices, which may never end, are not opened.

    Raises:
        Unfit: it is no file, or empty. UnidentifiedImageError: it is no picture. OSError: it cannot be read.
    """
    with _bytes(path) as file:
        if not os.fstat(file.fileno()).st_size:
            raise Unfit("the file is empty")
        with Image.open(file, formats=FORMATS) as image:
            yield image


def format_of(image: Image.Image) -> str:
    """The format of a picture that was opened from a file, one of `FORMATS`."""
    return _CODECS.get(image.format, image.format)


@contextmanager
def _bytes(path: Path) -> Iterator[BinaryIO]:
    if not path.is_file():
        raise Unfit("not a file" if path.exists() else "the file is gone")
    # Should a pipe take its place meanwhile, opening it does not wait; Windows has none of either.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        yield file


def _read(seen: FileScore, rules: set[str], perturbation: Perturbation | None) -> dict[str, np.ndarray]:
    """What the detectors look at, by size rule, uint8 (H, W, 3); empty, with the error noted, where there is none."""
    try:
        with _bytes(seen.path) as file:
            seen.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if seen.error:
            return {}
        with open_image(seen.path) as image:
            image.verify()  # a PNG's checksums: Pillow decodes some damaged ones to black without a word
        with open_image(seen.path) as image:
            image = decode(image)
        seen.width, seen.height = image.size
        if perturbation is not None:
            image = perturbation(image, int(seen.sha256[:8], 16))
        return {rule: np.asarray(SIZE_RULES[rule].apply(image)) for rule in rules}
    except Exception as error:  # as above
        seen.error = seen.error or reason(error)
        return {}


def _batched(
    pool: ThreadPoolExecutor, detectors: Mapping[str, Detector], views: Sequence[dict[str, np.ndarray]]
) -> Iterator[tuple[str, list[int], Future[np.ndarray]]]:
    """The batches of a window, at work: the detector's name, the places in the window, the logits to come.

    Detectors that look at the same pixels take turns: those that wait for memory and those that do not share it well.
    """
    there = [place for place, view in enumerate(views) if view]
    groups: dict[tuple[str, str], list[str]] = {}
    for name, detector in detectors.items():
        groups.setdefault((detector.ready.size_rule, torch.device(detector.device).type), []).append(name)
    for (rule, device), names in groups.items():
        sizes = [views[place][rule].shape[1::-1] for place in there]
        for own in batches(sizes, BATCH_PIXELS[device]):
            places = [there[i] for i in own]
            pixels = [views[place][rule] for place in places]
            yield from ((name, places, pool.submit(_logits, detectors[name], pixels)) for name in names)


def _logits(detector: Detector, pixels: list[np.ndarray]) -> np.ndarray:
    batch = pixels[0][None] if len(pixels) == 1 else np.stack(pixels)
    return logits(detector.network, batch, detector.ready, detector.device)


def _scored(
    window: list[FileScore], work: list[tuple[str, list[int], Future[np.ndarray]]], order: Collection[str]
) -> Iterator[FileScore]:
    for name, places, future in work:
        for place, logit in zip(places, future.result(), strict=True):
            seen = window[place]
            seen.logits[name] = float(logit)
            if not np.isfinite(logit):
                seen.error = f"the logit of {name} is {logit}: its weights overflow on this image"
    for seen in window:
        if seen.error:
            seen.logits.clear()
        seen.logits = {name: seen.logits[name] for name in order if name in seen.logits}
        yield seen


def reason(error: Exception) -> str:
    """Why a picture could not be opened or decoded, by the error, in one line and in a reader's words."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image ({', '.join(FORMATS)}), or a broken one"
    if isinstance(error, Image.DecompressionBombError):
        return "a decompression bomb: its header claims more pixels than are taken"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = shortened(error, 160) or type(error).__name__
    return text if isinstance(error, Unfit) else f"broken: {text}"
