"""A program: plain papermill runs the notebooks that its input names, in the forked kernels that builds use.

Its input and output are those of `helpers.paper.running`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill

from helpers.paper import execution, running


def execute(notebook: Path, out: Path, parameters: Mapping[str, Any], *, failed: Path, **kernel: Any) -> None:
    """What stands in place of `execution.execute`; nothing is left in `failed`."""
    papermill.execute_notebook(
        str(notebook), str(out), dict(parameters), kernel_name="python3", progress_bar=False,
        start_timeout=execution.START, **kernel,
    )  # fmt: skip


if __name__ == "__main__":
    running.execute = execute
    running.main()
