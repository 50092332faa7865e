"""Who makes and scores a run's images, as a call asks for it (no torch)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from helpers.core.errors import UsageError, nearest, shown

__all__ = ["EXECUTORS", "Staff", "staff"]

#: Executor -> the module whose `hired(job, staff)` has its workers.
EXECUTORS = {"local": "helpers.runs.executors.local", "ray": "helpers.runs.executors.ray"}


@dataclass(frozen=True)
class Staff:
    """The workers of a run: one for each of `devices`, or `count` actors of Ray (None: as many as there are places)."""

    executor: str
    devices: tuple[str, ...]
    count: int | None

    @property
    def device(self) -> str:
        """The device of this process, which does what is done once."""
        return self.devices[0]

    @property
    def here(self) -> bool:
        """Whether this process is the only worker."""
        return self.executor == "local" and len(self.devices) == 1

    @property
    def hired(self) -> Callable[..., AbstractContextManager[list[Any]]]:
        """What has the workers, in a context: called with a `worker.Job` and this."""
        found: Callable[..., AbstractContextManager[list[Any]]]
        found = importlib.import_module(EXECUTORS[self.executor]).hired
        return found


def staff(executor: str = "local", device: str = "cpu", workers: int | None = None) -> Staff:
    """The staff that a call names: `device` is "cpu", "cuda", "cuda:1", or several with commas between them.

    Raises UsageError where there is no such executor, and where the words do not go together.
    """
    if executor not in EXECUTORS:
        raise UsageError(f"no executor {shown(executor)}{nearest(executor, EXECUTORS)}; use {' or '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers: give at least one")
    devices = tuple(one.strip() for one in device.split(","))
    kinds, numbers = zip(*(one.partition(":")[::2] for one in devices), strict=True)
    if len(set(kinds)) > 1 or len({number.lstrip("0") for number in numbers}) < len(numbers):  # "cuda" is "cuda:0"
        raise UsageError(f"devices {shown(device)}: name different ones of one kind, for images depend on the kind")
    if executor == "ray" and (len(devices) > 1 or ":" in device):
        raise UsageError(f"device {shown(device)}: Ray gives each worker its own; write {devices[0].partition(':')[0]}")
    if len(devices) > 1 and workers not in (None, len(devices)):
        raise UsageError(f"{workers} workers: each of {len(devices)} devices has one; leave --workers out")
    if executor == "local" and len(devices) == 1:
        devices *= workers or 1
    return Staff(executor, devices, workers)
