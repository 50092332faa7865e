"""From results to the book: every notebook run on them, then all pages compiled by Jupyter Book to static HTML."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.core.errors import Failure, UsageError, nearest, shown
from helpers.core.workers import FORKS, processors
from helpers.paper import cache, site, starting
from helpers.paper.contents import Job, declared, notebooks, pages
from helpers.paper.parameters import check
from helpers.results.results import check_results

# What runs notebooks and draws is imported where a book is made: to find that nothing has changed takes none of it.

__all__ = ["build", "protocol_of"]

#: What a checkout holds that a book must not be written into.
SOURCES = [files.BOOK, files.NOTEBOOKS, files.MODELS, files.STUDIES, files.RESULTS, *map(files.ROOT.joinpath, (
    ".git", ".venv", "benchmarks", "src", "tests",
))]  # fmt: skip


def build(
    results: str | Path = "results/mini",
    out: str | Path = files.BUILD,
    parameters: Mapping[str, Any] | None = None,
    *,
    workers: int = 0,
) -> Path:
    """Run every notebook on `results`, compile the book and put it at `out`/html; returns its index.html.

    The heatmap is also put at `out`/heatmap.png, for a README or a slide. `parameters` go to each notebook that has one
    of that name, where one word stands for a list of one. `workers` notebooks run at once, by default as many as there
    are processors. Executed notebooks are kept in `out`/cache: one runs again where its text, its parameters, the data,
    the sources that it can reach or the installed packages have changed, and where nothing of a book has, nothing is
    done. Everything is made in a temporary folder first: a build that fails (a refused parameter, a failing cell, any
    warning of Sphinx) leaves the old book where it is, and what ran of a failing notebook in `out`/failed.

    Raises:
        UsageError: a parameter or the results are refused, or `out` cannot take a book: it cannot be written, lies in
            the checkout's sources, or its html/ is something else.
        Failure: a cell or Sphinx failed.
    """
    out = Path(out).absolute()
    _check_place(out)
    folder = check_results(results)
    kept, state = cache.Cache(out / "cache"), cache.State(folder, parameters or {})
    page, book = out / "html" / "index.html", state.book
    if kept.stands(book, out):
        return page
    plans = _plans(parameters or {}, folder)
    with _scratch(out) as scratch:
        source = scratch / "source"
        digests = _unexecuted(plans, source, kept, state)
        _lay_out(source, folder)
        with _started(digests, out / "failed", workers) as ended:
            _stage(source, folder)
            for job in ended:
                if state.stands():
                    kept.keep(digests[job], Path(job.out))
        _compile(source, scratch)
        built = scratch / "_build" / "html"
        _check_pages(built)
        site.bring_lab(built)
        with files.replacing(out / site.PICTURE) as temporary:
            shutil.copy(source / "_static" / site.PICTURE, temporary)
        _swap(built, out / "html", scratch / "old")
    shutil.rmtree(out / "failed", ignore_errors=True)
    if cache.State(folder, parameters or {}).book == book:  # else something was changed while it was built
        kept.remember(book, out)
    return page


def _unexecuted(
    plans: Mapping[Path, dict[str, Any]], source: Path, kept: cache.Cache, state: cache.State
) -> dict[Job, str]:
    """The notebooks that must be run, with the digests of what they depend on; the others are put into `source`."""
    found = {}
    for notebook, plan in plans.items():
        job = Job(notebook, source / notebook.relative_to(files.ROOT), plan)
        job.out.parent.mkdir(parents=True, exist_ok=True)
        digest = state.notebook(notebook, declared(notebook) | plan)
        if not kept.take(digest, job.out):
            found[job] = digest
    return found


@contextmanager
def _started(jobs: Collection[Job], failed: Path, workers: int) -> Iterator[Iterator[Job]]:
    """Notebooks being run, as they end (`starting.started`); of one that fails what ran is left in `failed`."""
    if not jobs:
        yield iter(())
        return
    with starting.started(jobs, failed, workers or processors()) as ended:
        yield ended


def _plans(parameters: Mapping[str, Any], folder: Path) -> dict[Path, dict[str, Any]]:
    """The parameters of each notebook, checked."""
    if "results" in parameters:
        raise UsageError("results: not a parameter of a book, which tells of one study; name its folder by --results")
    given = protocol_of(folder) | dict(parameters) | {"results": _short(folder)}
    has = {notebook: declared(notebook) for notebook in notebooks()}
    known = {name: default for names in has.values() for name, default in names.items()}
    for name in given:
        if name not in known:
            raise UsageError(f"{shown(name)}: no notebook has this parameter{nearest(name, known)}")
    given = {k: [v] if isinstance(v, str) and isinstance(known[k], list) else v for k, v in given.items()}
    plans = {notebook: {k: v for k, v in given.items() if k in names} for notebook, names in has.items()}
    for notebook, plan in plans.items():
        check(notebook, plan)
    return plans


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


def protocol_of(folder: Path) -> dict[str, str]:
    """The parameter `protocol` of a study that has no scores under the notebooks' own, "plain"; else {}."""
    file = folder / "manifest.json"
    study = files.read_json(file).get("study") if file.is_file() else None
    protocols = (study.get("protocols") if isinstance(study, dict) else None) or ["plain"]
    return {} if "plain" in protocols else {"protocol": protocols[0]}


def _short(folder: Path) -> str:
    """A results folder as the notebooks are to name it: relative to the checkout where it lies inside."""
    return folder.relative_to(files.ROOT).as_posix() if folder.is_relative_to(files.ROOT) else str(folder)


def _stage(source: Path, results: Path) -> Path:
    """The pages, the shell of the site, the script of the charts, the files of explorer and lab."""
    from helpers import analysis
    from helpers.charts.theme import bundle
    from helpers.paper import reference
    from helpers.paper.pages import explorer, try_it

    shutil.copytree(files.BOOK, source / "book", ignore=shutil.ignore_patterns(".*", "_static", "_templates"))
    site.stage(source)
    shutil.copy(files.ROOT / "_toc.yml", source)
    (source / "notebooks").mkdir(exist_ok=True)
    with open(source / "book" / "api.md", "a", encoding="utf-8") as api:
        api.write(f"\n{reference.page()}")
    bundle(source / "_static")
    _picture(results, source / "_static" / site.PICTURE)
    found = analysis.load(results, protocol=protocol_of(results).get("protocol", "plain"))
    explorer.stage(found, source / site.EXTRA)
    try_it.stage(found, source)
    return source


def _lay_out(source: Path, results: Path) -> None:
    """What notebooks look for beside them as they run: the contact sheets, and whether the book has an explorer."""
    (source / site.EXTRA / site.EXPLORER).mkdir(parents=True)
    if (results / "contact").is_dir():
        shutil.copytree(results / "contact", source / site.EXTRA / "contact")


#: Jupyter Book, which has no option for how many processes of Sphinx read and write pages, but an argument. Its module
#: has no entry of its own, and its script need not be on the PATH.
COMPILER = """
import functools, jupyter_book.sphinx as book
book.build_sphinx = functools.partial(book.build_sphinx, jobs={})
from jupyter_book.cli.main import main
main()
"""


def _compile(source: Path, scratch: Path) -> None:
    start = COMPILER.format(processors() if FORKS else 1)
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
    import vl_convert

    from helpers import analysis, charts
    from helpers.charts.theme import PICTURE_WIDTH

    charts.enable()
    picture = charts.heatmap(analysis.cells(analysis.load(results))).properties(width=PICTURE_WIDTH)
    file.write_bytes(vl_convert.vegalite_to_png(picture.to_json(), scale=1.5))


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
