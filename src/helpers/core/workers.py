"""How many things may run at once on this machine; apart from `core.device`, for it takes no torch to know."""

from __future__ import annotations

import os
import sys

__all__ = ["FORKS", "processors"]

#: Whether a process that has computed can be forked safely: macOS and Windows have threads of the system's libraries.
FORKS = sys.platform == "linux"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
