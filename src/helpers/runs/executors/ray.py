"""Workers that are actors of Ray: on the cluster that RAY_ADDRESS names, or else on this machine.

Ray places them, by the GPU or the processor that each needs, starts a lost one again, on another machine where its own
is gone, and gives it its work again.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.core.errors import UsageError, shortened, shown
from helpers.core.workers import processors
from helpers.runs.executors.staff import Staff
from helpers.runs.executors.worker import Job, Worker
from helpers.runs.plan import Shard

__all__ = ["hired"]

#: No network but the cluster's; and workers as important as any process, for beside others those of Ray, which are
#: niced by 15, hardly get a turn.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}

#: How often Ray starts a lost actor, and gives a piece of work, again before the others take it.
AGAIN = 3

#: Seconds within which a cluster answers.
PATIENCE = 10.0


class _Actor:
    """An actor, and what Ray says of one that it has given up."""

    def __init__(self, ray: Any, job: Job, number: int, device: str) -> None:
        self.number, self.lost, self._ray = number, _lost(ray), ray
        needs = {"num_cpus": 1} if device == "cpu" else {"num_cpus": 1, "num_gpus": 1}
        actor = ray.remote(max_restarts=AGAIN, max_task_retries=AGAIN, **needs)(Worker)
        self._actor = actor.remote(job, number, device)

    def start(self, shards: Sequence[Shard]) -> Future[Any]:
        return self._actor.do.remote(shards).future()

    def rest(self) -> None:
        """End it: one that waits to be started again may need its place."""
        self._ray.kill(self._actor)


def _lost(ray: Any) -> tuple[type[BaseException], ...]:
    """What Ray says of an actor that it has given up, and of one that it ended itself as memory ran out."""
    return ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError


@contextmanager
def hired(job: Job, staff: Staff) -> Iterator[list[_Actor]]:
    """The staff's actors, by default as many as the cluster has GPUs or, on CPUs, processors; they end with the block.

    Raises UsageError where Ray is not installed, no cluster is where RAY_ADDRESS says, or it has no GPU for them.
    """
    with _connected(staff.count) as ray:
        kind = "CPU" if staff.device == "cpu" else "GPU"
        there = int(ray.cluster_resources().get(kind, 0))
        if not there:
            raise UsageError(f"device {staff.device}: Ray has no {kind} to give; start it on machines that have one")
        yield [_Actor(ray, job, number, staff.device) for number in range(1, (staff.count or there) + 1)]


@contextmanager
def _connected(count: int | None) -> Iterator[Any]:
    os.environ |= SETTINGS  # before its import
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("ray is not installed; pip install 'quantdetect[models,ray]' brings it") from None
    address = os.environ.get("RAY_ADDRESS")
    main = threading.current_thread() is threading.main_thread()
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)} if main else {}
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_short(), ignore_cleanup_errors=True) as scratch:
        own = {"num_cpus": count or processors(), "include_dashboard": False, "_temp_dir": scratch}
        _knock(address)
        try:
            ray.init(address or "local", logging_level="error", **({} if address else own))
        except (ConnectionError, ValueError, RuntimeError) as error:  # none there; no address; another version of Ray
            if not address:
                raise
            raise UsageError(f"RAY_ADDRESS={shown(address)}: {shortened(error, 400)}") from None
        for name, handler in handlers.items():  # Ray's own would end this process without a word
            signal.signal(name, handler)
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise UsageError where nothing answers at an address: Ray itself would try for a quarter of an hour."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+)\]?:([0-9]{1,5})", address or "")
    if not found:
        return
    try:
        socket.create_connection((found[1], int(found[2])), PATIENCE).close()
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"RAY_ADDRESS={shown(address)}: nothing answers there: {why}; name a cluster's head") from None


def _short() -> str | None:
    """A place for Ray's sockets, whose paths have at most some hundred characters: TMPDIR may be too long."""
    return "/tmp" if Path("/tmp").is_dir() else None
