"""The command `python -m helpers.lab`, which `make book` calls: everything that the lab's pages load, in one folder.

The folder is made in whole before it takes the old one's place. Where npm cannot bring the browser's runtime, its
`lab.json` says so, and the book is built without a lab.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from helpers import study
from helpers.core import files, reach
from helpers.core.errors import Damaged, Failure, UsageError
from helpers.lab.runtime import Unreachable, runtime
from helpers.lab.storage import Files

__all__ = ["main", "make", "state"]

#: This module, with all that it imports; and the modules that the browser runs.
MAKES, WEB = "helpers.lab.__main__", Path(__file__).with_name("web")
#: What of the folder of web modules goes to the browser.
SERVED = ("*.js", "*.css")


def state(chosen: study.Study) -> str:
    """SHA-256 (hex) over all that graphs and weights depend on: study, models, sources, what npm and pip bring."""
    return reach.key({
        "study": chosen.digest(), "models": reach.held(files.MODELS / "mini"),
        "sources": reach.Sources().reached("", MAKES), "npm": reach.held(files.ROOT / "package-lock.json"),
        "environment": reach.environment(),
    })  # fmt: skip


def make(out: Path, if_changed: bool = False) -> str:
    """Make the lab of the miniature study at `out`; returns what was done, in a line.

    With `if_changed`, graphs and weights stay that were made from the same; web modules are always the present ones.

    Raises:
        UsageError: `out` is there and no lab. Failure: a network cannot be made a graph.
    """
    chosen = study.load("mini")
    digest, found = state(chosen), _found(out)
    scratch = files.temporary(out)
    scratch.mkdir(parents=True)
    try:
        if if_changed and found.get("digest") == digest:
            said = "as it was: nothing that it depends on has changed"
            shutil.copytree(out, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns(WEB.name))
        else:
            said = _made(scratch, chosen, digest)
        for pattern in SERVED:
            for file in sorted(WEB.glob(pattern)):
                (scratch / WEB.name).mkdir(exist_ok=True)
                shutil.copy(file, scratch / WEB.name)
        shutil.rmtree(out, ignore_errors=True)
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return f"{out}: {said}"


def _found(out: Path) -> dict[str, object]:
    """What is there already; {} of nothing. Raises UsageError where it is no lab."""
    try:
        return files.read_json(out / "lab.json")
    except Damaged:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out}: there already and no lab; name another folder") from None
        return {}


def _made(folder: Path, chosen: study.Study, digest: str) -> str:
    stored = Files(folder)
    try:
        brought = runtime(stored)
    except Unreachable as error:
        _write({"missing": str(error)}, folder)
        return f"there is none: {error}"
    from helpers.lab import manifest  # torch and diffusers: seconds, and for nothing where nothing has changed

    made = {"digest": digest, "runtime": brought} | manifest.contents(chosen, stored)
    _write(made, folder)
    return f"made, {sum(of['transfer'] for of in stored.sizes.values()) / 1e6:.0f} MB"


def _write(manifest: dict[str, object], folder: Path) -> None:
    """A file that browsers load: without the spaces that make it twice as long."""
    (folder / "lab.json").write_text(json.dumps(manifest, separators=(",", ":")) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of the command; what was done goes to stdout."""
    parser = argparse.ArgumentParser("python -m helpers.lab", description="Make what the lab's pages load.")
    parser.add_argument("--out", type=Path, default=files.BUILD / "lab", help="folder (default: _build/lab)")
    parser.add_argument("--if-changed", action="store_true", help="keep what was made from the same")
    given = parser.parse_args(arguments)
    try:
        print(f"lab: {make(given.out.absolute(), given.if_changed)}")
    except (UsageError, Failure) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
