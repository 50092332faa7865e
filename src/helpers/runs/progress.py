"""How far a stage of a run has come: one live line on a terminal, plain lines at intervals elsewhere.

Each worker is a process with a line of its own; where several write to one place, a line begins with the I/N of its
share, the worker's number, or both.
"""

from __future__ import annotations

import contextvars
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from tqdm import tqdm

__all__ = ["Line", "Lines", "bar", "each", "span", "working_on"]

#: Seconds between two plain lines: a log of days stays readable.
INTERVAL = 30.0

_WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="")
_ROW: contextvars.ContextVar[int | None] = contextvars.ContextVar("row", default=None)
_Item = TypeVar("_Item")


@contextmanager
def working_on(share: tuple[int, int] | None, worker: int | None = None) -> Iterator[None]:
    """Name the share (i, n) and the worker (from 1) in all lines while the block runs; on a terminal each worker writes
    into a row of its own.
    """
    who = ("{}/{} ".format(*share) if share else "") + (f"worker {worker} " if worker else "")
    tokens = _WHO.set(who), _ROW.set(worker - 1 if worker else None)
    try:
        yield
    finally:
        _WHO.reset(tokens[0])
        _ROW.reset(tokens[1])


def bar(total: int, title: str, shown: bool, unit: str | None = None) -> Line:
    """A line over `total` units, by default those of its title, on standard error; none where nothing is to be done."""
    title = _WHO.get() + title
    if shown and total and not sys.stderr.isatty():
        return Lines(total, title, sys.stderr)
    return tqdm(
        total=total,
        unit=f" {unit or title}",
        desc=title,
        disable=not (shown and total),
        file=sys.stderr,
        dynamic_ncols=True,
        position=_ROW.get(),
        leave=_ROW.get() is None,
    )


def each(items: Collection[_Item], title: str, shown: bool, unit: str) -> Iterator[_Item]:
    """The items, with a line that shows how many have been worked on."""
    with bar(len(items), title, shown, unit) as line:
        for item in items:
            yield item
            line.update(1)


class Lines:
    """Progress in plain lines: the first at once, then one in `INTERVAL` at most, and the last when all is done."""

    def __init__(self, total: int, title: str, file: TextIO) -> None:
        self.total, self.title, self.file = total, title, file
        self.done, self.what = 0, ""
        self._began = time.monotonic()
        self._last = -INTERVAL

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        if self.done < self.total:
            self._write()

    def set_postfix_str(self, what: str) -> None:
        """Say what is being worked on, in the lines to come."""
        self.what = what

    def update(self, count: int) -> None:
        """Count what was done since the last time."""
        self.done += count
        now = time.monotonic()
        if self.done >= self.total or now - self._last >= INTERVAL:
            self._last = now
            self._write()

    def _write(self) -> None:
        gone = time.monotonic() - self._began
        left = f", {span(gone / self.done * (self.total - self.done))} left" if 0 < self.done < self.total else ""
        what = f" ({self.what})" if self.what else ""
        print(f"{self.title} {self.done}/{self.total}{what}, {span(gone)} gone{left}", file=self.file, flush=True)


def span(seconds: float) -> str:
    """A time as it is said: "45 s", "12 min", "3.5 h", "2.1 days".

    >>> [span(seconds) for seconds in (44.6, 700, 12_600, 180_000)]
    ['45 s', '12 min', '3.5 h', '2.1 days']
    """
    for most, unit, name, digits in ((90, 1, "s", 0), (5_400, 60, "min", 0), (129_600, 3_600, "h", 1)):
        if seconds < most:
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 86_400:.1f} days"


#: What counts on a terminal or elsewhere.
Line = tqdm | Lines
