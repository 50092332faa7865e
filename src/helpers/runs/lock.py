"""Who works in a run's folder: locks that the operating system lifts when their process ends, however it ends.

.lock            held by a run, alone, or by its shares, together
.lock-1-of-4     held by that share, alone
.lock-merge      held by whoever writes the results, for of shares that end together each writes them
.worker.*        held by a worker of a run in several processes; .worker-1-of-4.* by one of that share's

A worker may outlive a run that was killed, for the moment that it takes to notice: the next run waits for it. The files
of runs and shares stay; only what holds them counts. Where the platform has no such locks (Windows) nothing is locked.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.core.errors import Failure, UsageError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

__all__ = ["at_work", "merging", "workers", "working"]

#: Seconds that a run waits for the workers of one that was killed.
PATIENCE = 20.0


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
            _outlast(folder, ".worker*")
            yield
            _outlast(folder, ".worker.*")
            return
        with _held(folder / f".lock{_suffix(share)}"):
            _outlast(folder, f".worker{_suffix(share)}.*")
            yield
            _outlast(folder, f".worker{_suffix(share)}.*")


@contextmanager
def at_work(folder: Path, share: tuple[int, int] | None = None) -> Iterator[None]:
    """Say, while the block runs, that this process is a worker of the run, or of the share, that holds the folder."""
    path = folder / f".worker{_suffix(share)}.{uuid.uuid4().hex[:8]}"
    with _held(path):
        yield
    path.unlink(missing_ok=True)


def _suffix(share: tuple[int, int] | None) -> str:
    return "-{}-of-{}".format(*share) if share else ""


def _outlast(folder: Path, pattern: str) -> None:
    """Wait for workers that nobody waits for any more, and take their files away."""
    until = time.monotonic() + PATIENCE
    for path in sorted(folder.glob(pattern)):
        while fcntl is not None and _holder(path) and time.monotonic() < until:
            time.sleep(0.05)
        with _held(path):
            path.unlink(missing_ok=True)


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
    """The numbers of the processes that work in a run's folder: of a run or share in several processes, its workers';
    none where the platform has no locks.
    """
    found: list[str] = []
    for path in (folder / ".lock", *sorted(folder.glob(".lock-*-of-*"))) if fcntl is not None else ():
        if path.is_file() and (number := _holder(path)):
            own = map(_holder, sorted(folder.glob(f".worker{path.name.removeprefix('.lock')}.*")))
            found += sorted(filter(None, own)) or [number]
    return found


def _holder(path: Path) -> str:
    """The number in the file of a run, a share or a worker at work; empty where its process has ended."""
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return path.read_text("utf-8")
    except FileNotFoundError:  # a worker that has just ended
        pass
    return ""
