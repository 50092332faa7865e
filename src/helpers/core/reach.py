"""What an outcome depends on beside its data: the sources of a package that code reaches by its imports, and what is
installed.

What was computed from the same of both, the same data and the same parameters need not be computed again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from helpers.core import files

__all__ = ["PACKAGE", "Sources", "environment", "held", "key"]

#: The folder of this package.
PACKAGE = Path(__file__).resolve().parents[1]
#: The function by which a room imports its names when they are asked for, and the room's table of them.
LAZY, TABLE = "attribute", "_WHERE"
#: Functions that import, or list, modules which no import statement names.
DYNAMIC = ("import_module", "iter_modules", "walk_packages", "__import__")


def key(parts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over named parts that JSON can hold, whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def held(*places: Path) -> dict[str, str]:
    """SHA-256 (hex) of each file in some folders, or of files, by path, hidden ones left out; "" of an empty folder and
    of what is not there."""
    found: dict[str, str] = {}
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        kept = [file for file in inside if file.is_file() and not _hidden(file, place)]
        found |= {str(file): files.file_sha256(file) for file in kept} or {str(place): ""}
    return found


def _hidden(file: Path, place: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(place).parts)


@cache
def environment() -> str:
    """SHA-256 (hex) over what runs the code: Python, the system, the installed packages with their versions, and the
    sources of those that add rows to a catalogue. Read once a process."""
    places = [Path(place) for place in sys.path if Path(place).is_dir()]
    installed = {found.name for place in places for kind in ("dist", "egg") for found in place.glob(f"*.{kind}-info")}
    points = entry_points()
    groups = [group for group in points.groups if group.startswith("quantdetect.")]
    rows = {point.module.partition(".")[0] for group in groups for point in points.select(group=group)}
    origins = [Path(spec.origin) for name in sorted(rows) if (spec := find_spec(name)) and spec.origin]
    added = [origin.parent if origin.name == "__init__.py" else origin for origin in origins]
    sources = [file for place in added for file in (sorted(place.rglob("*.py")) or [place])]
    return key({
        "python": sys.version, "system": platform.platform(), "installed": sorted(installed),
        "rows": [files.file_sha256(file) for file in sources],
    })  # fmt: skip


class Sources:
    """The files of a package (default this one) as they are when this is made; `digest` is over all of them.

    Args:
        package: its folder, whose name is the package's.
    """

    def __init__(self, package: Path = PACKAGE) -> None:
        self.package = package
        paths = sorted(package.rglob("*.py"))
        self.modules = {_called(path.relative_to(package.parent)): path for path in paths}
        self._digests = {Path(path): digest for path, digest in held(package).items()}
        self.digest = key({path.relative_to(package).as_posix(): of for path, of in self._digests.items()})
        self._found: dict[str, frozenset[str]] = {}
        self._trees: dict[str, ast.Module] = {}

    def reached(self, code: str = "", *names: str) -> dict[str, str]:
        """The files that Python source, or modules by their names, can reach: SHA-256 (hex) by path in the package.

        Followed are all imports, those inside functions too, and not those for type checkers alone. A room whose names
        are imported when they are asked for is reached as far as an import names them. A module that imports by names
        which it makes reaches its whole folder, and where it takes the names from elsewhere also every module that a
        text names in what is reached. What is no Python file counts with the folder that it lies in.
        Raises SyntaxError where a source is not Python.
        """
        waiting = {*names, *_Imports(self, "").of(ast.parse(code))}
        found: set[str] = set()
        while waiting:
            found |= waiting
            waiting = {name for module in waiting for name in self._imports(module)} - found
            if not waiting and any(self._asks(module) for module in found):
                waiting = {name for module in found for name in self._named(module)} - found
        paths = {self.modules[name] for name in found}
        folders = {path.parent for path in paths}
        beside = {path for path in self._digests if path.suffix != ".py" and path.parent in folders}
        return {path.relative_to(self.package).as_posix(): self._digests[path] for path in sorted(paths | beside)}

    def tree(self, name: str) -> ast.Module:
        """The syntax of a module."""
        if name not in self._trees:
            self._trees[name] = ast.parse(self.modules[name].read_text(encoding="utf-8"))
        return self._trees[name]

    def below(self, name: str) -> set[str]:
        """A module or room and all modules in it."""
        return {module for module in self.modules if f"{module}.".startswith(f"{name}.")}

    def _imports(self, name: str) -> frozenset[str]:
        if name not in self._found:
            found = _Imports(self, name).of(self.tree(name)) | self._above(name)
            if _calls(self.tree(name), DYNAMIC):
                folder = name if self.modules[name].name == "__init__.py" else name.rpartition(".")[0]
                found |= self.below(folder)
            self._found[name] = frozenset(found)
        return self._found[name]

    def _above(self, name: str) -> set[str]:
        """The rooms that a module lies in, which are imported before it."""
        parts = name.split(".")
        return {".".join(parts[:count]) for count in range(1, len(parts))} & self.modules.keys()

    def _asks(self, name: str) -> bool:
        """Whether a module imports others by names that come from elsewhere, other than those of lazy rooms."""
        calls = _calls(self.tree(name), DYNAMIC[:1])
        own = [call for call in calls if call.args and "__name__" in ast.dump(call.args[0])]
        return len(own) < len(calls) and not any(
            isinstance(node, ast.FunctionDef) and node.name == LAZY for node in self.tree(name).body
        )

    def _named(self, name: str) -> set[str]:
        """The modules that a text in a module names, whole."""
        return {
            node.value for node in ast.walk(self.tree(name))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in self.modules
        }  # fmt: skip


class _Imports:
    """The modules that the code of one module (`name`, "" of a script) imports."""

    def __init__(self, sources: Sources, name: str) -> None:
        self.sources, self.name = sources, name

    def of(self, node: ast.AST) -> set[str]:
        """Those of a piece of its syntax and of all that it holds."""
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return {name for below in node.orelse for name in self.of(below)}
        found = set(self._own(node))
        for below in ast.iter_child_nodes(node):
            found |= self.of(below)
        return found

    def _own(self, node: ast.AST) -> Iterator[str]:
        known = self.sources.modules
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._whole(alias.name) if alias.name in known else ()
        if isinstance(node, ast.ImportFrom):
            place = self._place(node)
            for alias in node.names if place in known else ():
                inner = f"{place}.{alias.name}"
                yield from self._whole(inner) if inner in known else self._taken(place, alias.name)

    def _place(self, node: ast.ImportFrom) -> str:
        """The module that names are imported from."""
        if not node.level:
            return node.module or ""
        of = self.name.split(".")
        is_room = self.sources.modules[self.name].name == "__init__.py" if self.name else False
        above = of[: len(of) - node.level + is_room]
        return ".".join([*above, *filter(None, [node.module])])

    def _whole(self, name: str) -> set[str]:
        """A module that is imported as such: of a room that imports when it is asked, all that it may import."""
        lazy = self._table(name)
        return {name, *(f"{name}.{module}" for module in lazy or ())} & self.sources.modules.keys()

    def _taken(self, place: str, name: str) -> set[str]:
        """A module of which a name is taken."""
        lazy = self._table(place)
        asked = [module for module, names in (lazy or {}).items() if name in names or name == "*"]
        return {place, *(f"{place}.{module}" for module in asked)} & self.sources.modules.keys()

    def _table(self, name: str) -> dict[str, tuple[str, ...]] | None:
        """Which module of a lazy room has which names; None of a module that is none."""
        for node in self.sources.tree(name).body:
            targets = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
            if isinstance(node, ast.Assign) and TABLE in targets:
                found: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
                return found
        return None


def _called(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _calls(tree: ast.Module, names: tuple[str, ...]) -> list[ast.Call]:
    """The calls of functions of these names, of whatever module."""
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in called if getattr(call.func, "attr", getattr(call.func, "id", "")) in names]
