"""Who works in a run's folder: locks that the operating system lifts when their process ends, however it ends.

.lock            held by a run, alone, or by its shares, together
.lock-1-of-4     held by that share, alone
.lock-merge      held by whoever writes the results, for of shares that end together each writes them

The files stay; only what holds them counts. Where the platform has no such locks (Windows) nothing is locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.core.errors import Failure, UsageError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

__all__ = ["merging", "workers", "working"]


@contextmanager
def working(folder: Path, share: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold a run's folder, made where it is missing, while the block runs; with share (i, n) beside the other shares.

    Raises:
        UsageError: the folder does not take files.
        Failure: another run, or the same share, works there; the message names its process.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder}: no run can be kept there: {why}; name another place") from None
    with _held(folder / ".lock", shared=share is not None):
        if share is None:
            yield
            return
        with _held(folder / ".lock-{}-of-{}".format(*share)):
            yield


@contextmanager
def merging(folder: Path) -> Iterator[None]:
    """Wait until no other share writes the folder's results, then hold them while the block runs."""
    with _held(folder / ".lock-merge", wait=True):
        yield


@contextmanager
def _held(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Failure(
                f"{path.parent}: another run works there ({_holders(path)});"
                " let it end, or stop it, then call this one again"
            ) from None
        file.truncate(0)  # a killed holder's number
        if not shared:
            file.write(str(os.getpid()))  # for the message alone
            file.flush()
        yield


def _holders(path: Path) -> str:
    """The process that holds a lock; where shares hold it together, theirs."""
    others = path.parent.glob(".lock-*-of-*")
    held = [path.read_text("utf-8")] if path.read_text("utf-8") else [_holder(other) for other in sorted(others)]
    return f"process {', '.join(filter(None, held))}" if any(held) else "its process did not say its number"


def workers(folder: Path) -> list[str]:
    """The numbers of the processes that work in a run's folder; none where the platform has no locks."""
    places = [path for path in (folder / ".lock", *sorted(folder.glob(".lock-*-of-*"))) if path.is_file()]
    return [] if fcntl is None else [number for number in map(_holder, places) if number]


def _holder(path: Path) -> str:
    """The number in the file of a run or a share at work; empty where its process has ended."""
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read()
    return ""
