"""Work for the workers of a run in tests: images are noise, those of tests/runs/test_run_folder.py, and some workers
die or stand still. By reference, for workers are other processes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent / "runs"))

import test_run_folder as own  # noqa: E402

#: In a run's folder: the numbers of the processes that made images of it.
PIDS = ".pids"


def produced(plan: Any, store: Any, *others: Any) -> Any:
    """As a run does it, from noise."""
    with open(store.folder / PIDS, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    own.sources.open_source, own.audit.QuantizationAudit = own.Noise, own.NoAudit
    return own.make._produced(plan, store, *others)


def dying(plan: Any, store: Any, *others: Any) -> Any:
    """The same, but of all processes one is killed when it has made an image."""

    def once() -> None:
        try:
            os.close(os.open(store.folder / ".died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    _after_an_image(store, once)
    return produced(plan, store, *others)


def doomed(plan: Any, store: Any, *others: Any) -> Any:
    """The same, but each process is killed."""
    _after_an_image(store, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return produced(plan, store, *others)


def still(plan: Any, store: Any, *others: Any) -> Any:
    """The same, but each process stands still."""
    _after_an_image(store, lambda: time.sleep(600))
    return produced(plan, store, *others)


def _after_an_image(store: Any, do: Callable[[], None]) -> None:
    """Do something when this process has made an image and it is on disk, before it makes another."""
    made, make = [], own.Noise.make

    def then(self: Any, indices: Any) -> Any:
        if made:
            while not made[0].is_file():  # it is written meanwhile
                time.sleep(0.01)
            do()
        made.append(store.image(self.source, indices[0]))
        return make(self, indices)

    own.Noise.make = then
