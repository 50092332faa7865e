"""A notebook run on a study: its parameters checked, its cells executed by papermill."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from helpers.charts import theme
from helpers.core import files
from helpers.core.errors import Failure, UsageError, nearest, shown
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import PROTOCOLS
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import check_results, manifest_of

__all__ = ["check", "declared", "execute"]

KEYS = {"generators": GENERATORS, "precisions": PRECISIONS, "detectors": DETECTORS}
#: Seconds that a kernel may take to start: many, for a machine may be busy.
START = 600
# Over TCP every kernel prints a warning about encryption; Windows has nothing else.
QUIET = {"config": Config({"KernelManager": {"transport": "ipc"}})} if os.name == "posix" else {}


def declared(notebook: Path) -> dict[str, Any]:
    """The parameters of a notebook with their defaults, from its cell tagged `parameters` (plain literals)."""
    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}


def check(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse, by name, a parameter that the notebook does not have, of another type, or out of its range."""
    defaults = declared(notebook)
    for name, given in parameters.items():
        if name not in defaults:
            like = nearest(name, defaults)
            raise UsageError(f"{shown(name)}: not a parameter of {notebook.name}{like}; it has {', '.join(defaults)}")
        _check_type(name, given, defaults[name])
    merged = defaults | dict(parameters)
    for name, catalogue in KEYS.items():
        own = _own_generators(merged) if name == "generators" else ()
        _check_keys(name, merged.get(name, []), [*catalogue, *own])
    if not abs(merged.get("threshold", 0.0)) <= sys.float_info.max:
        raise UsageError(f"threshold: {shown(merged['threshold'])} is not a finite number; 0 is the detectors' own")
    if merged.get("protocol", "plain") not in PROTOCOLS:
        given = merged["protocol"]
        raise UsageError(f"protocol: no {shown(given)}{nearest(given, PROTOCOLS)}; one of {', '.join(PROTOCOLS)}")
    if "results" in merged:
        check_results(merged["results"])


def _check_type(name: str, given: Any, default: Any) -> None:
    wanted = type(default)
    right = isinstance(given, wanted) and not (isinstance(given, bool) and wanted is not bool)
    number = wanted is float and isinstance(given, int) and not isinstance(given, bool)
    if not right and not number:
        raise UsageError(
            f"{name}: {shown(given)} is of type {type(given).__name__}; give a {wanted.__name__}, as {default!r}"
        )


def _own_generators(parameters: Mapping[str, Any]) -> list[str]:
    """The generators that the study of these results has and the catalogue lacks."""
    study = manifest_of(check_results(parameters["results"])).get("study", {}) if "results" in parameters else {}
    return [key for key in study.get("generators") or {} if key not in GENERATORS]


def _check_keys(name: str, given: list[Any], catalogue: Collection[str]) -> None:
    for key in given:
        if not isinstance(key, str) or key not in catalogue:
            raise UsageError(f"{name}: no {shown(key)}{nearest(key, catalogue)}; keys are {', '.join(catalogue)}")
    if len(set(given)) < len(given):
        raise UsageError(f"{name}: {', '.join(given)} names a key twice; name each once")


def execute(notebook: str | Path, out: str | Path, parameters: Mapping[str, Any] | None = None) -> Path:
    """Run a notebook with these parameters and write it, with outputs, to `out`; returns `out`.

    The parameters are checked first (UsageError). A cell that fails is a Failure that names the notebook and the
    error. What differs from run to run without meaning (times, paths, warnings on stderr) and what only a live kernel
    or JupyterLab can show is left out of the outcome.
    """
    notebook, out = Path(notebook), Path(out)
    parameters = dict(parameters or {})
    check(notebook, parameters)
    with files.replacing(out) as temporary:
        try:
            papermill.execute_notebook(
                str(notebook), str(temporary), parameters, kernel_name="python3", cwd=str(out.parent),
                progress_bar=False, log_output=False, start_timeout=START, shutdown_kernel="immediate", **QUIET,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            raise Failure(f"{notebook.name}: cell {error.exec_count}: {error.ename}: {error.evalue}") from None
        except DeadKernelError:
            raise Failure(f"{notebook.name}: its kernel died; see that there is memory left, then go on") from None
        _strip(temporary)
    return out


def _strip(file: Path) -> None:
    book = nbformat.read(file, as_version=4)
    for mark in ("papermill", "widgets"):
        book.metadata.pop(mark, None)
    for cell in book.cells:
        for mark in ("papermill", "execution"):
            cell.metadata.pop(mark, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["injected-parameters", "remove-cell"]
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
