"""Commands and builds that reach no other machine: who tries is refused and named."""

from __future__ import annotations

import functools
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

_HERE = Path(__file__).parent / "no_network"


def environment(log: Path) -> dict[str, str]:
    """The environment in which every Python writes its attempts to `log` and is refused."""
    path = os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH")]))
    # A proxy would do the looking up.
    mine = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return mine | {"PYTHONPATH": path, "OFFLINE_LOG": str(log)}


@contextmanager
def refused(log: Path) -> Iterator[None]:
    """The same for this process and all that it starts, until the block ends."""
    _listen()
    with mock.patch.dict(os.environ, environment(log), clear=True):
        yield


@functools.cache
def _listen() -> None:
    runpy.run_path(str(_HERE / "sitecustomize.py"))  # for good, yet it does nothing where no log is named


@functools.cache
def namespaces() -> tuple[str, ...]:
    """The words before a command that give it a network of its own, with the user's rights; () where none do."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which(words[0]) and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            return words
    return ()


def attempts(command: Sequence[str], folder: Path) -> tuple[subprocess.CompletedProcess[str], list[str], list[str]]:
    """Run a command with no network; return how it ended, what its Pythons tried, and what was sent (with
    `namespaces` only).
    """
    tried, sent = folder / "tried.txt", folder / "sent.txt"
    watching = [*namespaces(), sys.executable, str(_HERE / "namespace.py"), str(sent)] if namespaces() else []
    done = subprocess.run([*watching, *command], env=environment(tried), capture_output=True, text=True, check=False)
    return done, lines(tried), lines(sent)


def lines(log: Path) -> list[str]:
    """The lines of a log; none where there is none."""
    return log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
