"""Notebooks run side by side, in kernels that begin with the study read and what several pages need computed.

A process of its own imports what the notebooks import, reads the results and computes what they share; for each
notebook it then forks one process that runs it and one that is its kernel. Both begin with all of that in memory, and
neither sees what another notebook does. Where a process with threads of the system's libraries cannot be forked (macOS,
Windows) several such processes run one notebook after the other, each in a kernel of its own. `helpers.paper.starting`
is the other side of it.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers import analysis, claims
from helpers.analysis import paired
from helpers.core import files
from helpers.core.errors import Failure
from helpers.paper import kernels
from helpers.paper.contents import Job, code, declared
from helpers.paper.execution import execute

__all__ = ["SHARED", "main"]

#: Seconds between two looks at what has ended.
PAUSE = 0.02

#: What more than one notebook computes from the whole study. It is kept with the results, so that a kernel has it.
SHARED: tuple[Callable[[analysis.Results], object], ...] = (
    claims.evaluate, claims.by_condition, paired.paired_effects, paired.beyond, analysis.trainings,
    analysis.conditions, analysis.cells,
)  # fmt: skip
#: The parameters by which a page opens its results (`page.setup`), in the order of `analysis.load`.
OPENED = ("results", "generators", "precisions", "detectors", "threshold", "protocol")


def main() -> None:
    """Run what stdin says (see `starting`), and say on stdout how each ended: its number, and what went wrong."""
    said = json.loads(sys.stdin.readline())
    jobs = [Job(Path(notebook), Path(out), parameters) for notebook, out, parameters in said["jobs"]]
    # What a notebook or a library prints must not come between the lines.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if said["forks"]:
        _prepare(jobs)
        runs = _side_by_side(jobs, Path(said["failed"]), said["workers"])
    else:
        runs = _in_turn(jobs, Path(said["failed"]))
    for job, wrong in runs:
        print(json.dumps({"job": jobs.index(job), "wrong": wrong}), file=told, flush=True)


def _in_turn(jobs: Sequence[Job], failed: Path) -> Iterator[tuple[Job, list[str]]]:
    for job in jobs:
        wrong = _attempt(job, failed)
        yield job, wrong
        if wrong:
            return


def _attempt(job: Job, failed: Path, **kernel: Any) -> list[str]:
    """Run a notebook; [], or the line and the details of its failure."""
    try:
        execute(job.notebook, job.out, job.parameters, failed=failed / job.notebook.name, **kernel)
    except Failure as failure:
        return [str(failure), failure.details]
    return []


def _prepare(jobs: Sequence[Job]) -> None:
    """Import what the notebooks import and, for more than one, compute what they share."""
    kernels.prepare()
    opened = [declared(job.notebook) | dict(job.parameters) for job in jobs]
    opened = [given for given in opened if set(OPENED) <= given.keys()]
    # Whatever goes wrong here goes wrong again in a cell, which says so.
    for name in dict.fromkeys(name for job in jobs for name in _imports(code(job.notebook))):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    with contextlib.suppress(Exception):
        results = analysis.load(*(opened[0][name] for name in OPENED))
        for shared in SHARED if len(opened) > 1 else ():
            with contextlib.suppress(Exception):
                shared(results)
    gc.collect()
    gc.freeze()  # else each child's collector would touch, and so copy, all that it shares


def _imports(source: str) -> Iterator[str]:
    """The modules that a notebook's code imports, those after `from` with all that may be modules in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _side_by_side(jobs: Sequence[Job], failed: Path, workers: int) -> Iterator[tuple[Job, list[str]]]:
    """Each job as it ends, with what went wrong."""
    caller, waiting, running = os.getppid(), list(jobs), {}
    while running or waiting:
        while waiting and len(running) < workers:
            job = waiting.pop(0)
            running[_forked(job, failed)] = job
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            job = running.pop(pid)
            wrong = _outcome(job, os.waitstatus_to_exitcode(status))
            waiting = [] if wrong else waiting
            yield job, wrong
        elif os.getppid() != caller:  # killed: nobody waits for these any more
            os.killpg(0, signal.SIGKILL)
        else:
            time.sleep(PAUSE)


def _forked(job: Job, failed: Path) -> int:
    """A process that runs a notebook; what goes wrong it leaves beside the notebook's place."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        with kernels.forked() as kernel:
            wrong = _attempt(job, failed, kernel_manager_class=kernel)
        if wrong:
            files.write_json({"wrong": wrong}, _wrong(job))
        status = 0
    except BaseException as error:
        said = f"{job.notebook.name}: {type(error).__name__}: {error}"
        files.write_json({"wrong": [said, traceback.format_exc()]}, _wrong(job))
    finally:
        os._exit(status)  # what the parent does at its end is not this process's to do


def _outcome(job: Job, status: int) -> list[str]:
    """What went wrong with a notebook whose process has ended; [] where nothing did."""
    if _wrong(job).is_file():
        wrong: list[str] = files.read_json(_wrong(job))["wrong"]
        return wrong
    said = f"{job.notebook.name}: the process that runs it ended ({status}); see that there is memory left"
    return [said] if status else []


def _wrong(job: Job) -> Path:
    return job.out.with_suffix(".wrong")


if __name__ == "__main__":
    main()
