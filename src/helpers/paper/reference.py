"""The book's Python reference: signatures and docstrings of public names, read from the source without importing it.

Sphinx's autodoc would import every room, and with it torch, which a book of somebody's scores does not need.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from helpers.paper.diagram import FLOORS

__all__ = ["page"]

_SOURCE = Path(__file__).resolve().parents[1]
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
#: A signature that is longer stands on several lines, in characters.
_WIDTH = 88

_Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def page() -> str:
    """The rooms in the order of the floors as MyST Markdown, each with its public names or, where it has none, modules.

    A name is public that its room's `__all__` has.
    """
    rooms = dict.fromkeys(room for floor in FLOORS for side in floor for room in side)
    return "\n".join(line for room in rooms for line in _room(room))


def _room(room: str) -> Iterator[str]:
    yield from (f"(api-{room})=", f"## `helpers.{room}`", "", *_markdown(ast.get_docstring(_tree(room)) or ""))
    names = _names(room)
    for name in names:
        module, found = _resolved(room, name)
        yield from (f"### `{room}.{name}`", "")
        yield from _described(name, found, module)
    if not names:
        yield from _modules(room)


def _modules(room: str) -> Iterator[str]:
    """A line for each module of a room: its name, the first sentence of its docstring, its public names."""
    folder = _SOURCE / room
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(_SOURCE).with_suffix("").as_posix().removesuffix("/__init__")
        if path.name.startswith("__") and path.parent == folder:
            continue
        said = _escaped(" ".join((ast.get_docstring(_tree(place)) or "").partition("\n\n")[0].split()))
        names = ", ".join(f"`{name}`" for name in _names(place))
        yield f"- `helpers.{place.replace('/', '.')}`: {said}" + (f" Names: {names}." if names else "")
    yield ""


@cache
def _tree(place: str) -> ast.Module:
    """The source of a module, named by its path below the package ("detectors", "detectors/weights")."""
    path = _SOURCE / place
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _lines(place: str) -> list[str]:
    path = _SOURCE / place
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text(encoding="utf-8").splitlines()


def _targets(node: ast.stmt) -> list[str]:
    """The names that a statement defines at the top of a module or class."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _names(place: str) -> list[str]:
    """A module's `__all__`; of a room that collects names from its files when it is imported, as it then is."""
    body = _tree(place).body
    if any(isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "__all__" for node in body):
        names = importlib.import_module(f"helpers.{place.replace('/', '.')}").__all__
    else:
        values = [node.value for node in body if isinstance(node, ast.Assign) and "__all__" in _targets(node)]
        names = ast.literal_eval(values[0]) if values else []
    return sorted(names, key=str.lower)


def _resolved(place: str, name: str) -> tuple[str, _Definition]:
    """The module that defines a name, and the definition, past any number of imports from one room in another."""
    tree = _tree(place)
    for node in tree.body:
        if name in _targets(node):
            return place, node  # type: ignore[return-value]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("helpers."):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _resolved(node.module.removeprefix("helpers.").replace(".", "/"), alias.name)
    for path in sorted((_SOURCE / place).glob("[a-z]*.py")):
        if name in _names(f"{place}/{path.stem}"):
            return _resolved(f"{place}/{path.stem}", name)
    raise LookupError(f"helpers.{place}: __all__ has {name}, which it does not define")


def _described(name: str, node: _Definition, place: str) -> Iterator[str]:
    """Signature and docstring of a function or class with its methods; of a constant the comment above it."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        typed = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        yield from _code(f"{name}{typed}")
        yield from _markdown(_comment(_lines(place), node.lineno))
        return
    yield from _code(_signature(node))
    yield from _markdown(ast.get_docstring(node) or "")
    for method in node.body if isinstance(node, ast.ClassDef) else ():
        said = ast.get_docstring(method) if isinstance(method, ast.FunctionDef) else None
        if isinstance(method, ast.FunctionDef) and said and not method.name.startswith("_"):
            yield from _code(_signature(method, f"{name}."))
            yield from _markdown(said)


def _comment(lines: list[str], line: int) -> str:
    """The lines that begin with `#:` above a constant."""
    above: list[str] = []
    for text in reversed(lines[: line - 1]):
        if not text.startswith("#:"):
            break
        above.insert(0, text.removeprefix("#:").strip())
    return "\n".join(above)


def _signature(node: ast.FunctionDef | ast.ClassDef, owner: str = "") -> str:
    """A function's call with types; a property's type; a class with its bases and what it is made from."""
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        return _call(f"class {node.name}", _fields(node), f"  # a {', '.join(bases)}" if bases else "")
    result = ast.unparse(node.returns) if node.returns else ""
    if any(ast.unparse(how).endswith("property") for how in node.decorator_list):
        return f"{owner}{node.name}: {result}"
    return _call(f"{owner}{node.name}", _parameters(node, bool(owner)), f" -> {result}" if result else "")


def _fields(node: ast.ClassDef) -> list[str]:
    """What a class is made from: the arguments of its `__init__`, or the fields of a record."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return _parameters(method, bound=True)
    fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
    return [ast.unparse(field) for field in fields if not ast.unparse(field.target).startswith("_")]


def _parameters(node: ast.FunctionDef, bound: bool) -> list[str]:
    """The parameters as they are written, without the one that a method is bound to."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]
    words = [_parameter(arg, default) for arg, default in zip(plain, defaults, strict=True)]
    words = words[1:] if bound and plain and plain[0].arg in ("self", "cls") else words
    if given.vararg or given.kwonlyargs:
        words.append(f"*{ast.unparse(given.vararg)}" if given.vararg else "*")
    words += [_parameter(arg, default) for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*words, f"**{ast.unparse(given.kwarg)}"] if given.kwarg else words


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    equals = " = " if argument.annotation else "="
    return ast.unparse(argument) + ("" if default is None else f"{equals}{ast.unparse(default)}")


def _call(name: str, words: list[str], after: str) -> str:
    line = f"{name}({', '.join(words)}){after}"
    return (
        line
        if len(line) <= _WIDTH or not words
        else "\n".join([f"{name}(", *(f"    {w}," for w in words), f"){after}"])
    )


def _code(text: str) -> list[str]:
    return ["```python", text, "```", ""]


def _markdown(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, lists of arguments and errors, examples."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        first, _, rest = block.partition("\n")
        if block.startswith(">>>"):
            yield from _code(block)
        elif _SECTION.match(first):
            yield from (f"**{first.removesuffix(':')}**", "")
            entries = re.split(r"\n(?!\s)", inspect.cleandoc(rest))
            yield from (f"- {_entry(' '.join(entry.split()))}" for entry in entries)
            yield ""
        elif block:
            yield from (_escaped(block), "")


def _entry(text: str) -> str:
    name, colon, said = text.partition(": ")
    return f"`{name}`: {_escaped(said)}" if colon and re.fullmatch(r"[\w*., ]+", name) else _escaped(text)


def _escaped(text: str) -> str:
    """Text in which nothing but code in backticks means anything to Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<>*_{}\[\]$|])", r"\\\1", part) for part in parts)
