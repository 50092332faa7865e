"""From results to the book: check a notebook's parameters, run it with papermill, compile all pages to static HTML."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
import vl_convert
import yaml
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from helpers import analysis, charts
from helpers.charts.theme import LAB, PICTURE_WIDTH, bundle
from helpers.core import files
from helpers.core.errors import Failure, UsageError, nearest, shown
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import PROTOCOLS
from helpers.precision.catalogue import PRECISIONS
from helpers.results.tables import check_results

__all__ = ["build", "declared", "execute", "notebooks", "of_study", "pages", "wanted"]

KEYS = {"generators": GENERATORS, "precisions": PRECISIONS, "detectors": DETECTORS}
#: What a checkout holds that a book must not be written into.
SOURCES = [files.BOOK, files.NOTEBOOKS, files.MODELS, files.STUDIES, files.RESULTS, *map(files.ROOT.joinpath, (
    ".git", ".venv", "benchmarks", "src", "tests",
))]  # fmt: skip
#: Seconds that a kernel may take to start: many, for a machine may be busy.
START = 600
# Over TCP every kernel prints a warning about encryption; Windows has nothing else.
QUIET = {"config": Config({"KernelManager": {"transport": "ipc"}})} if os.name == "posix" else {}


def pages(toc: Path | None = None) -> list[str]:
    """Every page of the table of contents in its order, as a path without suffix, relative to the checkout."""
    table = yaml.safe_load((toc or files.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    found = [table["root"]]

    def walk(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            if "file" in entry:
                found.append(entry["file"])
            for below in ("chapters", "sections"):
                walk(entry.get(below, []))

    walk([*table.get("parts", []), *table.get("chapters", [])])
    return found


def notebooks() -> list[Path]:
    """The notebooks of the table of contents, in its order."""
    return [file for page in pages() if (file := files.ROOT / f"{page}.ipynb").is_file()]


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
        _check_keys(name, merged.get(name, []), catalogue)
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


def _check_keys(name: str, given: list[Any], catalogue: Mapping[str, Any]) -> None:
    for key in given:
        if not isinstance(key, str) or key not in catalogue:
            raise UsageError(f"{name}: no {shown(key)}{nearest(key, catalogue)}; keys are {', '.join(catalogue)}")
    if len(set(given)) < len(given):
        raise UsageError(f"{name}: {', '.join(given)} names a key twice; name each once")


def execute(notebook: str | Path, out: str | Path, parameters: Mapping[str, Any] | None = None) -> Path:
    """Run a notebook with these parameters and write it, with outputs, to `out`; returns `out`.

    The parameters are checked first (UsageError). A cell that fails is a Failure that names the notebook and the
    error. Cells whose tags ask for what this study lacks (`wanted`, by the facts that `page.begin` glues) are left out
    of the outcome, and so is what differs from run to run without meaning (times, paths, warnings on stderr, what only
    a live kernel or JupyterLab can show).
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


def wanted(tags: Sequence[str], facts: Collection[str]) -> bool:
    """Whether a cell with these tags has something to say of a study: every "if-X" is a fact, no "unless-X" is one."""
    asked = [tag.partition("-") for tag in tags]
    return all((name in facts) == (how == "if") for how, _, name in asked if how in ("if", "unless"))


def _facts(book: nbformat.NotebookNode) -> list[str] | None:
    """The facts that `page.begin` has glued; None where a notebook glues none."""
    for output in (output for cell in book.cells for output in cell.get("outputs", [])):
        if output.get("metadata", {}).get("scrapbook", {}).get("name") == "facts":
            return next(text for kind, text in output["data"].items() if kind.endswith("text/plain")).split()
    return None


def _strip(file: Path) -> None:
    book = nbformat.read(file, as_version=4)
    facts = _facts(book)
    if facts is not None:
        book.cells = [cell for cell in book.cells if wanted(cell.metadata.get("tags", []), facts)]
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
                output.get("data", {}).pop(LAB, None)
    nbformat.write(book, file)


def _is_noise(output: Mapping[str, Any]) -> bool:
    # A widget without its kernel is a dead control.
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def build(
    results: str | Path = "results/mini",
    out: str | Path = files.BUILD,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Run every notebook on `results`, compile the book and put it at `out`/html; returns its index.html.

    The heatmap is also put at `out`/heatmap.png, for a README or a slide. `parameters` go to each notebook that has one
    of that name, where one word stands for a list of one; generators, precisions and detectors are the study's own
    where none are given. Everything is made in a temporary folder first: a build that fails (a refused parameter, a
    failing cell, any warning of Sphinx) leaves the old book where it is.

    Raises:
        UsageError: a parameter or the results are refused, or `out` cannot take a book: it cannot be written, lies in
            the checkout's sources, or its html/ is something else.
        Failure: a cell or Sphinx failed.
    """
    out = Path(out).absolute()
    _check_place(out)
    folder = check_results(results)
    if "results" in (parameters or {}):
        raise UsageError("results: not a parameter of a book, which tells of one study; name its folder by --results")
    given = of_study(folder) | dict(parameters or {}) | {"results": _short(folder)}
    has = {notebook: declared(notebook) for notebook in notebooks()}
    known = {name: default for names in has.values() for name, default in names.items()}
    for name in given:
        if name not in known:
            raise UsageError(f"{shown(name)}: no notebook has this parameter{nearest(name, known)}")
    given = {k: [v] if isinstance(v, str) and isinstance(known[k], list) else v for k, v in given.items()}
    plans = {notebook: {k: v for k, v in given.items() if k in names} for notebook, names in has.items()}
    for notebook, plan in plans.items():
        check(notebook, plan)
    with _scratch(out) as scratch:
        source = _stage(scratch / "source", folder)
        for notebook, plan in plans.items():
            execute(notebook, source / notebook.relative_to(files.ROOT), plan)
        _compile(source, scratch)
        built = scratch / "_build" / "html"
        _check_pages(built)
        _picture(folder, out / "heatmap.png")
        return _swap(built, out / "html", scratch / "old") / "index.html"


def _check_place(out: Path) -> None:
    inside = next((place for place in SOURCES if out.resolve().is_relative_to(place)), None)
    if inside:
        raise UsageError(f"{out}: lies in the checkout's {inside.name}, which a book does not belong in; name another")
    html = out / "html"
    ours = any((html / f"{page}.html").is_file() for page in pages())
    if os.path.lexists(html) and not ours and not (html.is_dir() and not any(html.iterdir())):
        raise UsageError(f"{html}: there already and not a book of this project's; name another folder")


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder in `out` to build in; what killed builds have left there is cleared first."""
    files.probe(out / "heatmap.png")
    for left in filter(files.abandoned, out.glob(".tmp-*.book")):
        _put_back(left / "old", out / "html")
        shutil.rmtree(left, ignore_errors=True)
    scratch = files.temporary(out / "html.book")
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def of_study(folder: Path) -> dict[str, Any]:
    """What the manifest says the study's main arm has of what the notebooks take as parameters."""
    file = folder / "manifest.json"
    study = files.read_json(file).get("study") if file.is_file() else None
    said = study if isinstance(study, dict) else {}
    found: dict[str, Any] = {
        name: list(said[name]) for name in KEYS if said.get(name) and isinstance(said[name], (list, dict))
    }
    protocols = said.get("protocols") or ["plain"]
    return found if "plain" in protocols else found | {"protocol": protocols[0]}


def _short(folder: Path) -> str:
    """A results folder as the notebooks are to name it: relative to the checkout where it lies inside."""
    return folder.relative_to(files.ROOT).as_posix() if folder.is_relative_to(files.ROOT) else str(folder)


def _stage(source: Path, results: Path) -> Path:
    """The pages, the style, the script of the charts and the contact sheets, where Sphinx expects them."""
    shutil.copytree(files.BOOK, source / "book", ignore=shutil.ignore_patterns(".*"))
    (source / "book" / "_static").rename(source / "_static")
    (source / "notebooks").mkdir()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(files.ROOT / name, source / name)
    bundle(source / "_static")
    if (results / "contact").is_dir():
        shutil.copytree(results / "contact", source / "notebooks" / "contact")
    return source


def _compile(source: Path, scratch: Path) -> None:
    # The module has no entry of its own, and the script need not be on the PATH.
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(scratch)]
    run = subprocess.run(
        [*command, "-W", "-n", "--keep-going"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if run.returncode:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout + run.stderr)
        said = [line for line in plain.splitlines() if "WARNING" in line or "ERROR" in line]
        why = "; ".join(said[:8]) or (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise Failure(f"jupyter-book: {why}".replace(f"{source}{os.sep}", ""))


def _check_pages(built: Path) -> None:
    # Jupyter Book has been seen to exit with 0 and no book.
    for page in ["index", *pages()]:
        if not (built / f"{page}.html").is_file():
            raise Failure(f"jupyter-book: it ended well but wrote no {page}.html")


def _picture(results: Path, file: Path) -> None:
    charts.enable()
    picture = charts.heatmap(analysis.cells(analysis.load(results))).properties(width=PICTURE_WIDTH)
    with files.replacing(file) as temporary:
        temporary.write_bytes(vl_convert.vegalite_to_png(picture.to_json(), scale=1.5))


def _swap(new: Path, place: Path, old: Path) -> Path:
    """Put a folder in the place of another, which becomes `old`; no system does so in one step."""
    try:
        if place.exists():
            place.rename(old)
        new.rename(place)
    finally:
        _put_back(old, place)
    return place


def _put_back(old: Path, place: Path) -> None:
    if old.exists() and not place.exists():
        old.rename(place)
