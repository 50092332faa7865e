"""How long a book takes to build again: where nothing changed, where one notebook did, and where everything did.

    python benchmarks/build.py [RESULTS]      default results/mini

The baseline is what a build without a cache would do: each notebook in a kernel of its own, one after the other, then
the same pages compiled. All four are run here, one after the other, each in a process of its own in one temporary
folder and, as a build does, with one thread a notebook, so their ratios hold on this machine whatever else it does;
seconds of a processor are those of all processes that took part. That a notebook has changed is played by forgetting
its outcome, which has the same effect. The live check of `make book` is no part of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from helpers.core import files
from helpers.paper import build, cache
from helpers.paper.contents import declared
from helpers.paper.starting import THREADS

#: What each case does in its process, with OUT for its folder and RESULTS for the study's.
BUILD = "from helpers.paper.build import build; build(RESULTS, OUT)"
SERIAL = """
from pathlib import Path
from helpers.core import files
from helpers.paper import build, execution
scratch = Path(OUT) / "serial"
source = scratch / "source"
folder = build.check_results(RESULTS)
build._lay_out(source, folder)
build._stage(source, folder)
for notebook, plan in build._plans({}, folder).items():
    execution.execute(notebook, source / notebook.relative_to(files.ROOT), plan)
build._compile(source, scratch)
"""
CHANGED = "03_sd3_anomaly"


class Spent(NamedTuple):
    """Seconds by the clock and of a processor."""

    wall: float
    busy: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default="results/mini")
    asked, before = parser.parse_args(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as out:
        found = {
            "baseline: each notebook alone, in turn, nothing kept": _spent(SERIAL, asked.results, out),
            "everything changed": _spent(BUILD, asked.results, out),
            "nothing changed": _spent(BUILD, asked.results, out),
        }
        _forget(asked.results, Path(out), CHANGED)
        found["one notebook changed"] = _spent(BUILD, asked.results, out)
    base = next(iter(found.values()))
    print("    by the clock             of a processor       (share of the baseline)")
    for name, spent in found.items():
        wall, busy = spent.wall / base.wall, spent.busy / base.busy
        print(f"{spent.wall:8.1f} s ({wall:6.1%})     {spent.busy:8.1f} s ({busy:6.1%})     {name}")
    print(f"machine: {os.cpu_count()} cores; load {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def _spent(code: str, results: str, out: str) -> Spent:
    """What a case takes, with the start of Python and all imports."""
    start = time.perf_counter()
    before = _children()
    command = [sys.executable, "-c", f"RESULTS, OUT = {results!r}, {out!r}\n{code}"]
    subprocess.run(command, check=True, env=os.environ | THREADS)
    return Spent(time.perf_counter() - start, _children() - before)


def _children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _forget(results: str, out: Path, name: str) -> None:
    """Let a notebook's outcome, and that the book stands, be unknown."""
    folder, notebook = build.check_results(results), files.NOTEBOOKS / f"{name}.ipynb"
    given = declared(notebook) | build._plans({}, folder)[notebook]
    digest = cache.State(folder, {}).notebook(notebook, given)
    (out / "cache" / "notebooks" / f"{digest}.ipynb").unlink()
    (out / "cache" / "book.json").unlink()


if __name__ == "__main__":
    main()
