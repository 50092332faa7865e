"""A notebook run on a study: its parameters checked, its cells executed by papermill."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from helpers.charts import theme
from helpers.core import files
from helpers.core.errors import Failure
from helpers.paper.contents import declared
from helpers.paper.parameters import check

__all__ = ["check", "declared", "execute"]

#: Seconds that a kernel may take to start: many, for a machine may be busy.
START = 600


def execute(
    notebook: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    failed: str | Path | None = None,
    **kernel: Any,
) -> Path:
    """Run a notebook with these parameters and write it, with outputs, to `out`; returns `out`.

    The parameters are checked first (UsageError). A cell that fails is a Failure that names the notebook, the cell as
    its prompt counts it and the error, with the traceback in `details`; what ran is then left at `failed`, where that
    is given. `kernel` goes to nbclient (a `kernel_manager_class`). What differs from run to run without meaning (times,
    paths, warnings on stderr) and what only a live kernel or JupyterLab can show is left out of the outcome.
    """
    notebook, out = Path(notebook), Path(out)
    parameters = dict(parameters or {})
    check(notebook, parameters)
    with files.replacing(out) as temporary, tempfile.TemporaryDirectory(prefix="kernel") as sockets:
        try:
            papermill.execute_notebook(
                str(notebook), str(temporary), parameters, kernel_name="python3", cwd=str(out.parent),
                progress_bar=False, log_output=False, start_timeout=START, shutdown_kernel="immediate",
                **_local(sockets), **kernel,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            said = f"{notebook.name}: cell {error.exec_count}: {error.ename}: {error.evalue}"
            raise Failure(said + _left(temporary, failed), _plain("\n".join(error.traceback))) from None
        except DeadKernelError:
            said = f"{notebook.name}: its kernel died; see that there is memory left, then go on"
            raise Failure(said + _left(temporary, failed)) from None
        _strip(temporary)
    return out


def _local(folder: str) -> dict[str, Any]:
    """How nbclient talks to a kernel: over sockets in a folder of its own, for in one that two kernels share each would
    answer to the other's names. Over TCP every kernel prints a warning about encryption; Windows has nothing else."""
    local = {"transport": "ipc", "connection_file": os.path.join(folder, "kernel.json")}
    return {"config": Config({"KernelManager": local})} if os.name == "posix" else {}


def _left(executed: Path, place: str | Path | None) -> str:
    """Leave a notebook whose cells have not all run where somebody can look at it; words that say where."""
    if place is None or not executed.is_file():
        return ""
    with files.replacing(place) as temporary:
        shutil.copyfile(executed, temporary)
    return f"; as far as it ran it is {place}"


def _plain(text: str) -> str:
    """A text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _strip(file: Path) -> None:
    book = nbformat.read(file, as_version=4)
    for mark in ("papermill", "widgets"):
        book.metadata.pop(mark, None)
    for cell in book.cells:
        for mark in ("papermill", "execution"):
            cell.metadata.pop(mark, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["injected-parameters", "remove-cell"]
            if "id" in cell:
                cell["id"] = "injected-parameters"  # papermill draws one by lot
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_noise(output)]
            for output in cell.outputs:
                _as_page(output.get("data", {}))
    nbformat.write(book, file)


def _as_page(data: dict[str, Any]) -> None:
    """Let a chart, as JupyterLab draws it, be a figure of the book."""
    if theme.LAB in data:
        data["text/html"] = theme.page(data.pop(theme.LAB), data.get("image/png", ""))


def _is_noise(output: Mapping[str, Any]) -> bool:
    # A widget without its kernel is a dead control.
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})
