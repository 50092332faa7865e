"""Whether a built book may be published: `python -m helpers.paper.guard` refuses one with a failed check.

The build stops by itself where a cell or a page fails. What it lets pass is a live check that disagrees with the
archive, or no check at all: a book that says so serves a reader at home better than none.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from helpers import analysis
from helpers.analysis import inventory, live_check
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.paper.contents import pages
from helpers.paper.pages import setup
from helpers.results.results import Results, check_results

__all__ = ["faults", "main"]

#: How MyST-NB marks the output of a cell that failed.
FAILED = re.compile(r'class="[^"]*\boutput traceback\b')
AGAIN = "run `make book` again"


def faults(build: str | Path = files.BUILD, results: str | Path = files.RESULTS / "mini") -> list[str]:
    """Why the book in `build` (html/ and live.json) must not be published, a line each; [] where it may be.

    It may where every page of the table of contents is there, no page shows a cell that failed, and the live check is
    of these `results`, covers every cell of their main arm, agrees with them, and is the one that the book tells of.
    Raises UsageError where `results` are none.
    """
    found = analysis.load(check_results(results))
    return [line for check in CHECKS for line in check(Path(build), found)]


def _pages(build: Path, _results: Results) -> list[str]:
    there = ["index", *pages()]
    return [f"{page}.html: missing; {AGAIN}" for page in there if not (build / "html" / f"{page}.html").is_file()]


def _cells(build: Path, _results: Results) -> list[str]:
    return [f"{page}: shows a cell that failed" for page, text in _texts(build).items() if FAILED.search(text)]


def _live(build: Path, results: Results) -> list[str]:
    file = build / "live.json"
    found = live_check.read(file)
    if found is None:
        return [f"{file.name}: no live check; {AGAIN}"]
    cells = inventory.grid(results).cells
    told = _words(html.escape(setup.live_check(str(file), results)))
    wrong = {
        f"a check of other results than these; {AGAIN}": not found.is_of(results),
        f"only {found.cells} of {cells} cells were made again; {AGAIN}": found.cells < cells,
        "the archive was not reproduced": not found.agree,
        f"the book tells of another check; {AGAIN}": not any(told in _words(text) for text in _texts(build).values()),
    }
    return [f"{file.name}: {why}" for why, so in wrong.items() if so]


CHECKS: tuple[Callable[[Path, Results], list[str]], ...] = (_pages, _cells, _live)


def _words(page: str) -> str:
    """The words of HTML on one line: a sentence may have links in it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


def _texts(build: Path) -> dict[str, str]:
    """The pages that are there, by their names."""
    place = build / "html"
    return {
        file.relative_to(place).as_posix(): file.read_text(encoding="utf-8") for file in sorted(place.rglob("*.html"))
    }


def main(arguments: Sequence[str]) -> int:
    """The exit status for the arguments of `faults`, whose lines go to stderr."""
    try:
        found = faults(*arguments)
    except (UsageError, Failure) as error:
        found = [str(error)]
    for line in found:
        print(f"not to be published: {line}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
