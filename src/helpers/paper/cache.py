"""What a build keeps for the next: executed notebooks and the state of the book, by what they were made from.

An executed notebook is kept under a digest of all that its outputs depend on: its own text, its parameters, the data,
the sources that it can reach and the installed packages. A change of any of them is another digest, so nothing here
is ever out of date, only unused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.core.errors import Damaged
from helpers.core.reach import PACKAGE, Sources, environment, held, key
from helpers.paper.contents import code
from helpers.paper.published import VARIABLES
from helpers.paper.site import LAB, PICTURE, colophon

__all__ = ["Cache", "State"]

#: Executed notebooks that are kept, of those the ones that were used last: a few states of the whole book.
KEPT = 60
#: What may lie beside a run's tables and is no part of its results: images and how far it came.
MADE = ("images", "parts", "audit", "perturbed")
#: What runs a notebook, beside what it imports itself; and the modules that begin it, which alone count: one imports
#: whatever any notebook does.
RUNNERS = ("helpers.paper.execution", "helpers.paper.kernels")
BEGINS = [PACKAGE / "paper" / f"{name}.py" for name in ("starting", "running")]


class State:
    """What a book of a results folder depends on, as it is now.

    Args:
        folder: the results.
        parameters: what the whole book is given.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        self.sources = Sources()
        self.folder, self.parameters = folder, {name: _writable(value) for name, value in parameters.items()}
        self.data = key(held(*_data(folder)))

    @property
    def book(self) -> str:
        """The digest of all that the whole book depends on."""
        places = [files.BOOK, files.NOTEBOOKS, *map(files.ROOT.joinpath, ("_toc.yml", "_config.yml", "LICENSE"))]
        return key({
            "results": str(self.folder), "parameters": self.parameters, "data": self.data,
            "sources": self.sources.digest, "environment": environment(), "pages": held(*places),
            "colophon": colophon(), "addresses": {name: os.environ.get(name) for name in VARIABLES},
            "files": _files(self.parameters), "made here": held(*sorted(files.BUILD.glob("*.json")), LAB),
        })  # fmt: skip

    def notebook(self, notebook: Path, parameters: Mapping[str, Any]) -> str:
        """The digest of all that a notebook's outputs depend on, run with these parameters (all that it has)."""
        return key({
            "notebook": files.file_sha256(notebook), "parameters": parameters, "files": _files(parameters),
            "data": self.data, "environment": environment(),
            "sources": self.sources.reached(code(notebook), *RUNNERS), "begun": held(*BEGINS),
        })  # fmt: skip

    def stands(self) -> bool:
        """Whether the sources are still what they were; else what was made meanwhile is of neither state."""
        return Sources().digest == self.sources.digest


def _writable(value: Any) -> Any:
    """A parameter as JSON can hold it, checked or not: Python writes whole numbers of any length in base 16 alone."""
    if isinstance(value, list):
        return [_writable(one) for one in value]
    return hex(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _data(folder: Path) -> list[Path]:
    """The tables and pictures that a book shows: the study's, its confirmation's and its other trainings', those of
    other people, the rules and the cards of the miniatures."""
    studies = [folder, *sorted(folder.parent.glob(f"{folder.name}-*"))]
    tables = [place for study in studies for place in sorted(study.glob("*")) if place.name not in MADE]
    others = [place for place in sorted(files.RESULTS.glob("*")) if not (place / "scores.parquet").is_file()]
    return [*tables, *others, files.STUDIES, files.MODELS / "mini"]


def _files(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The digests of files that parameters name, as notebooks do, relative to the checkout."""
    named = {name: files.ROOT / value for name, value in parameters.items() if isinstance(value, str) and value}
    # Unlike a path's own, this question has an answer for a text that no file could be called by.
    return {name: files.file_sha256(file) for name, file in named.items() if os.path.isfile(file)}


class Cache:
    """The folder in which a build keeps what the next may use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, digest: str, out: Path) -> bool:
        """Put the notebook that is kept under a digest at `out`; whether there is one."""
        kept = self._kept(digest)
        if not kept.is_file():
            return False
        shutil.copyfile(kept, out)
        kept.touch()
        return True

    def keep(self, digest: str, notebook: Path) -> None:
        """Keep an executed notebook under a digest, and no more than `KEPT` in all."""
        with files.replacing(self._kept(digest)) as temporary:
            shutil.copyfile(notebook, temporary)
        used = sorted(self._kept(digest).parent.glob("[0-9a-f]*.ipynb"), key=lambda file: file.stat().st_mtime)
        for old in used[:-KEPT]:
            old.unlink(missing_ok=True)

    def stands(self, state: str, out: Path) -> bool:
        """Whether the book in `out` is the one of this state, to the last byte."""
        try:
            return files.read_json(self._book) == {"state": state, "book": _built(out)}
        except Damaged:
            return False

    def remember(self, state: str, out: Path) -> None:
        """The book in `out` is the one of this state."""
        files.write_json({"state": state, "book": _built(out)}, self._book)

    def _kept(self, digest: str) -> Path:
        return self.folder / "notebooks" / f"{digest}.ipynb"

    @property
    def _book(self) -> Path:
        return self.folder / "book.json"


def _built(out: Path) -> str:
    found = held(out / "html", out / PICTURE)
    return key({Path(path).relative_to(out).as_posix(): digest for path, digest in found.items()})
