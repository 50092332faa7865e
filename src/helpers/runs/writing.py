"""Write what a batch came to while the next one is computed: one thread, in order, a few batches behind at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["Writer"]

#: Batches that may wait to be written: more would only hold images.
WAITING = 2


class Writer:
    """Does one piece of work after the other in a thread of its own; leaving the block waits for all that was given.

    What a piece raises is raised again by the next `write`, or on leaving, and what waits behind it is not done: so
    nothing is recorded beyond what could not be written. Where the block itself ends in an error or an interruption,
    what was given is still finished, and that error goes on.
    """

    def __init__(self) -> None:
        self._waiting: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1, "writer")
        self._failed: BaseException | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._thread.shutdown(wait=True)
        if error is None:
            while self._waiting:
                self._waiting.popleft().result()

    def write(self, work: Callable[..., None], *arguments: Any) -> None:
        """Have `work(*arguments)` done behind what was given before; waits where too much is behind."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= WAITING):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._done, work, arguments))

    def _done(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            work(*arguments)
        except BaseException as error:
            self._failed = error
            raise
