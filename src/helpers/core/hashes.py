"""SHA-256 of large files, computed once: remembered in a process, and beside a run from one call to the next.

A file is known by its path, size, number and times (mtime, ctime), to the nanosecond. One that was written within the
last `RACY` seconds is not remembered, for it may be written once more at what its file system calls the same time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from helpers.core.errors import Damaged
from helpers.core.files import file_sha256, read_json, write_json

__all__ = ["FILE", "known_sha256", "remembering"]

#: Where a run remembers the digests of what it read: a hidden file of its folder.
FILE = ".hashes.json"
#: Seconds within which a file counts as being written.
RACY = 2.0
#: Bytes from which a digest is worth a line in `FILE`: 16 MiB take a hundredth of a second.
WORTH = 1 << 24

#: Path -> (what it is known by, its digest).
_KNOWN: dict[str, tuple[str, str]] = {}
#: The files in which digests are to be kept, of the runs at work in this process.
_KEPT: list[Path] = []


def known_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) of a file's bytes, computed where it is not known yet or the file has changed."""
    place = os.path.realpath(path)
    mark, size, age = _mark(place)
    known = _KNOWN.get(place)
    if known is not None and known[0] == mark:
        return known[1]
    digest = file_sha256(place)
    if age > RACY and _mark(place)[0] == mark:
        _KNOWN[place] = mark, digest
        if size >= WORTH:
            _keep()
    return digest


@contextmanager
def remembering(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Take what a run's folder remembers, and keep there what is computed while the block runs, as soon as it is known.

    Small files are left out. A damaged file of digests counts for nothing, and a folder that is not there is not made.
    """
    file = Path(folder) / FILE
    for place, known in _read(file).items():
        _KNOWN.setdefault(place, known)
    _KEPT.append(file)
    try:
        yield
    finally:
        _keep()
        _KEPT.remove(file)


def _mark(place: str) -> tuple[str, int, float]:
    """What a file is known by, its bytes, and the seconds since it was last changed."""
    stat = os.stat(place)
    mark = f"{stat.st_size} {stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    return mark, stat.st_size, time.time() - max(stat.st_mtime, stat.st_ctime)


def _read(file: Path) -> dict[str, tuple[str, str]]:
    try:
        found = read_json(file)
    except Damaged:
        return {}
    return {place: (known[0], known[1]) for place, known in found.items() if _sound(known)}


def _sound(known: Any) -> bool:
    """Whether this is what a file is known by and a digest."""
    texts = isinstance(known, list) and len(known) == 2 and all(isinstance(one, str) for one in known)
    return texts and re.fullmatch(r"\d+( -?\d+){3} [0-9a-f]{64}", " ".join(known), re.ASCII) is not None


def _keep() -> None:
    """Write what is known of large files into every file that is kept, where there is more than it holds.

    Shares that write at once may lose a line, which is computed again. So is all where nothing can be written.
    """
    large = {place: known for place, known in _KNOWN.items() if int(known[0].partition(" ")[0]) >= WORTH}
    for file in dict.fromkeys(_KEPT):
        held = _read(file)
        if os.path.isdir(file.parent) and not large.items() <= held.items():
            with suppress(OSError):
                write_json(held | large, file)
