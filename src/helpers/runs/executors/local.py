"""Workers that are processes of this machine: one for each device, or as many as are asked for on one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

from helpers.core.workers import FORKS
from helpers.runs.executors.staff import Staff
from helpers.runs.executors.worker import Job, Worker
from helpers.runs.plan import Shard

__all__ = ["hired"]


class _Process:
    """A pool of one process, so that its end is nobody else's."""

    lost = (BrokenProcessPool,)

    def __init__(self, job: Job, number: int, device: str) -> None:
        self.number = number
        starting = _starting(device)
        theirs, self._end = starting.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, starting, _begin, (theirs, job, number, device))

    def start(self, shards: Sequence[Shard]) -> Future[Any]:
        try:
            return self._pool.submit(_do, shards)
        except BrokenProcessPool as error:  # it ended while it had nothing to do
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def rest(self) -> None:
        """It stays: should another end, it takes over."""

    def end(self) -> None:
        """End the process, whatever it is doing: every file is written in one step."""
        self._end.close()
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def hired(job: Job, staff: Staff) -> Iterator[list[_Process]]:
    """A worker for each of the staff's devices; they end with the block, and with this process however it ends.

    They import the script that calls this, as `multiprocessing` says: it does so below `if __name__ == "__main__"`.
    """
    hands: list[_Process] = []
    try:
        for number, device in enumerate(staff.devices, 1):
            hands.append(_Process(job, number, device))
        yield hands
    finally:
        for hand in hands:
            hand.end()


def _starting(device: str) -> BaseContext:
    """How a process starts: on a CPU, where that can be, from one that has imported all and computed nothing; else
    anew, for a fork cannot use a GPU that its origin may have looked at."""
    if not FORKS or device != "cpu":
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["helpers.runs.make"])
    return forking


#: The worker that this process is.
_WORKER: list[Worker] = []


def _begin(caller: Connection, *given: Any) -> None:
    """Begin a worker: an interruption is its caller's to handle, and without the caller it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
    _WORKER[:] = [Worker(*given)]


def _end_with(caller: Connection) -> None:
    try:
        caller.recv_bytes()  # nothing is sent: it is closed when the caller ends or wants this to
    except (EOFError, OSError):
        pass
    os._exit(1)


def _do(shards: Sequence[Shard]) -> Any:
    (worker,) = _WORKER
    return worker.do(shards)
