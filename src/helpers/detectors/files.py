"""Files of any kind to scores: each is read and decoded once for all detectors, in order, and none is left out.

A file that no detector can read (broken, truncated, empty, no image, too large) becomes a row that says why. Files are
taken in windows of bounded size: while one is scored, in batches of one size per detector, the next is decoded; both
are spread over the processor's cores. With images of 8192 x 8192 px and the four miniature detectors a process stays
under 3 GB, of which the libraries take one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from helpers.detectors.base import Detector
from helpers.detectors.images import SIZE_RULES, Unfit, check_size, decode
from helpers.detectors.scoring import BATCH_PIXELS, batches, cores, logits
from helpers.errors import UsageError
from helpers.perturbations import Perturbation

__all__ = ["FORMATS", "Seen", "find", "judge"]

#: What is read; anything else is no image here.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")

#: A window ends before it would hold more pixels or files than this, one image excepted.
WINDOW_PIXELS, WINDOW_FILES = 16 * 2**20, 512


@dataclass
class Seen:
    """A file and what came of it.

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
        UsageError: nothing is there, a pattern matches nothing, or a folder holds no file.
    """
    found: list[Path] = []
    for place in map(str, places):
        matches = [place] if os.path.lexists(place) else sorted(glob.glob(place, recursive=True))
        if not matches:
            what = "matches no file" if glob.has_magic(place) else "no such file or folder"
            raise UsageError(f"{place}: {what}; name images, folders of images, or a pattern in quotes")
        for match in matches:
            own = _below(Path(match), set()) if os.path.isdir(match) else [Path(match)]
            if not own and match == place:
                raise UsageError(f"{place}: no files in this folder; name another")
            found += own
    return found


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
) -> Iterator[Seen]:
    """Yield what came of each file, in the order given; a logit does not depend on the other files.

    Args:
        detectors: by the name that its logits get.
        perturbation: applied to each image before any detector's size rule, seeded by the file's own digest.
        threads: cores to use, by default as many as torch uses; each detector runs on one core per batch.
    """
    rules = {detector.ready.size_rule for detector in detectors.values()}
    with cores(threads) as pool:
        scoring: tuple[list[Seen], list[tuple[str, list[int], Future[np.ndarray]]]] = ([], [])
        for window in _windows(paths):
            reading = [pool.submit(_read, seen, rules, perturbation) for seen in window]
            yield from _scored(*scoring)
            views = [future.result() for future in reading]
            scoring = (window, list(_batched(pool, detectors, views)))
            del reading, views
        yield from _scored(*scoring)


def _windows(paths: Sequence[Path]) -> Iterator[list[Seen]]:
    """The files in groups that fit into memory, each with its size and format by its header, or its error."""
    window, pixels = [], 0
    for path in paths:
        seen = Seen(path)
        try:
            with (
                warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
                _opened(seen) as image,
            ):
                seen.format, (seen.width, seen.height) = image.format or "", image.size
                check_size(*image.size)
        except Exception as error:  # a file of strangers can make a decoder raise anything
            seen.error = _why(error)
        size = 0 if seen.error else seen.width * seen.height
        if window and (pixels + size > WINDOW_PIXELS or len(window) == WINDOW_FILES):
            yield window
            window, pixels = [], 0
        window.append(seen)
        pixels += size
    if window:
        yield window


def _opened(seen: Seen) -> Image.Image:
    if not seen.path.is_file():
        raise Unfit("not a file" if seen.path.exists() else "the file is gone")
    if not seen.path.stat().st_size:
        raise Unfit("the file is empty")
    return Image.open(seen.path, formats=FORMATS)


def _read(seen: Seen, rules: set[str], perturbation: Perturbation | None) -> dict[str, np.ndarray]:
    """What the detectors look at, by size rule, uint8 (H, W, 3); empty, with the error noted, where there is none."""
    try:
        with open(seen.path, "rb") as file:
            seen.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if seen.error:
            return {}
        with _opened(seen) as opened:
            opened.verify()  # a PNG's checksums: Pillow decodes some damaged ones to black without a word
        with _opened(seen) as opened:
            image = decode(opened)
        seen.width, seen.height = image.size
        if perturbation is not None:
            image = perturbation(image, int(seen.sha256[:8], 16))
        return {rule: np.asarray(SIZE_RULES[rule].apply(image)) for rule in rules}
    except Exception as error:  # as above
        seen.error = seen.error or _why(error)
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


def _scored(window: list[Seen], work: list[tuple[str, list[int], Future[np.ndarray]]]) -> Iterator[Seen]:
    for name, places, future in work:
        for place, logit in zip(places, future.result(), strict=True):
            window[place].logits[name] = float(logit)
    yield from window


def _why(error: Exception) -> str:
    """An error in one line, in a reader's words."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image ({', '.join(FORMATS)}), or a broken one"
    if isinstance(error, Image.DecompressionBombError):
        return "a decompression bomb: its header claims more pixels than are taken"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return text if isinstance(error, Unfit) else f"broken: {text}"
