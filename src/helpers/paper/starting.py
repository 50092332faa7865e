"""Notebooks begun to be run by processes of their own (`helpers.paper.running`), and waited for.

Nothing that a notebook needs is imported here, so those processes begin at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.core.errors import Failure
from helpers.core.workers import FORKS
from helpers.paper.contents import Job

__all__ = ["THREADS", "started"]

#: One thread a notebook, for there are as many at once as processors; and the last digit of a sum depends on the
#: threads that it was spread over.
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")}


@contextmanager
def started(jobs: Collection[Job], failed: Path, workers: int) -> Iterator[Iterator[Job]]:
    """Begin to run notebooks, at most `workers` at once; yields the jobs in the order in which they end.

    At the first that fails no further one is begun, those that run are waited for, and the iterator raises its Failure;
    what ran of it is left in the folder `failed`. Where the block is left early all are stopped.
    """
    shares = [list(jobs)] if FORKS else [list(jobs)[place::workers] for place in range(workers)]
    running = [(_begun(share, failed, workers), share) for share in shares if share]
    try:
        yield _ended(running)
    finally:
        for process, _ in running:
            _stop(process)


def _begun(jobs: Sequence[Job], failed: Path, workers: int) -> subprocess.Popen[str]:
    rows = [[str(job.notebook), str(job.out), dict(job.parameters)] for job in jobs]
    said = json.dumps({"jobs": rows, "failed": str(failed), "workers": workers, "forks": FORKS})
    # -P: the folder where the caller stands is no place to import from.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "helpers.paper.running"], env=os.environ | THREADS, text=True, encoding="utf-8",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(f"{said}\n")
    process.stdin.flush()
    return process


def _ended(running: Sequence[tuple[subprocess.Popen[str], Sequence[Job]]]) -> Iterator[Job]:
    """The jobs that ended well, as they do; Failure for the first that did not, when all have ended."""
    wrong: list[Failure] = []
    for process, jobs in running:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told["wrong"]:
                wrong.append(Failure(*told["wrong"]))
            else:
                yield jobs[told["job"]]
        if process.wait():
            wrong.append(Failure("notebooks: the process that runs them ended; see that there is memory left"))
    if wrong:
        raise wrong[0]


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            stream.close() if stream else None
