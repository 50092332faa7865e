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

from helpers.errors import Failure

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

__all__ = ["merging", "working"]


@contextmanager
def working(folder: Path, share: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold a run's folder while the block runs; with share (i, n) beside the run's other shares.

    Raises:
        Failure: another run, or the same share, works there; the message names its process.
    """
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
        if not shared:  # the name is for the message alone
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        try:
            yield
        finally:
            if not shared:
                file.truncate(0)


def _holders(path: Path) -> str:
    """The process that holds a lock; where shares hold it together, theirs."""
    own = _written(path)
    shares = [pid for other in sorted(path.parent.glob(".lock-*-of-*")) if (pid := _written(other))]
    held = [own] if own else shares
    return f"process {', '.join(held)}" if held else "its process did not say its number"


def _written(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return text if text.isascii() and text.isdigit() else ""
