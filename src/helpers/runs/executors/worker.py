"""What a worker of a run is given, and what it does with it: the same in a process of this machine and in Ray."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from helpers.core.device import require
from helpers.core.errors import Failure
from helpers.core.files import temporary
from helpers.runs import lock
from helpers.runs.plan import Plan, Scoring, Shard
from helpers.runs.progress import working_on
from helpers.runs.store import Store

__all__ = ["Job", "Worker", "one_thread"]


@dataclass(frozen=True)
class Job:
    """What all workers of a run are given; it can be pickled.

    Attributes:
        plan, share: of the run; `folder`: its, absolute.
        weights: scoring -> digest of what its logits come from.
        work: a module's function that makes and scores shards; called with plan, store, shards, weights, progress and
            device.
        progress: whether lines are shown.
        token: the name of a file that the folder holds while they work, and that no other folder of its name does; each
            of the shares that work there has its own.
    """

    plan: Plan
    folder: Path
    weights: Mapping[Scoring, str]
    work: Callable[..., Any]
    share: tuple[int, int] | None = None
    progress: bool = True
    token: str = field(default_factory=lambda: temporary("seen").name)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the token in the folder while the block runs."""
        seen = self.folder / self.token
        seen.touch()
        try:
            yield
        finally:
            seen.unlink(missing_ok=True)


class Worker:
    """Makes and scores shards on a device ("cpu", "cuda:1"), in a process that has nothing else to do.

    What it loads it may keep. Raises Failure where it does not see the run's folder, UsageError where its machine lacks
    the device.
    """

    def __init__(self, job: Job, number: int, device: str) -> None:
        self.job, self.number, self.device = job, number, device
        self._held = ExitStack()  # until the process ends
        tqdm.set_lock(threading.RLock())  # its own is the system's, and would outlive a process that is killed
        self._began = False

    def do(self, shards: Sequence[Shard]) -> Any:
        """Make and score shards, those of a source together; what `work` returned."""
        job = self.job
        self._begin()
        with working_on(job.share, self.number), one_thread(self.device):
            return job.work(job.plan, Store(job.folder), shards, job.weights, job.progress, self.device)

    def _begin(self) -> None:
        """Once, with the first shards: what is wrong is then an error of theirs."""
        if self._began:
            return
        if not (self.job.folder / self.job.token).exists():
            raise Failure(
                f"{self.job.folder}: worker {self.number} does not see this folder; name one by --out that all machines"
                " share, under the same path"
            )
        require(self.device)
        self._held.enter_context(lock.at_work(self.job.folder, self.job.share))
        self._began = True


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Let PyTorch compute in one thread on a CPU while the block runs: sums that are spread over threads round
    otherwise, and images would depend on the number of processors and of workers."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
