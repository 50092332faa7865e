"""Each room and module says what it is and which of its names are for others; others use no more than those."""

from __future__ import annotations

import ast
import importlib

import pytest

from helpers.core import files

SOURCE = files.ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in sorted((SOURCE / "helpers").rglob("*.py"))
}


def public(name: str) -> list[str] | None:
    """The names in a module's `__all__`, or None where there is none."""
    tree = MODULES[name]
    if any(isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "__all__" for node in tree.body):
        return importlib.import_module(name).__all__  # it collects names from its files
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    return list(ast.literal_eval(values[0])) if values else None


def defined(tree: ast.Module) -> set[str]:
    """Names that exist at the top of a module, those for type checkers included: a package may import them lazily."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            found |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)} if target else set()
    return found


def asked(tree: ast.Module) -> set[tuple[str, str]]:
    """(module, name) of all that a module takes from others, by import or as an attribute of an imported module."""
    found, modules = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES:
                    modules[alias.asname or alias.name] = inner
                else:
                    found.add((node.module, alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            if f"{module}.{node.attr}" not in MODULES and not node.attr.startswith("__"):
                found.add((module, node.attr))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_module_begins_with_a_sentence(name: str) -> None:
    said = (ast.get_docstring(MODULES[name]) or "").partition("\n\n")[0]
    assert len(said) > 10 and said[0].isupper() or said.startswith("`"), name
    assert said.rstrip().endswith((".", ":", "?")), f"{name}: its first paragraph is no sentence"


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_defines_for_others_is_in_its_all(name: str) -> None:
    tree = MODULES[name]
    names = public(name)
    # A package without names of its own is its modules: a list of them would be one more place to add a file to.
    if names is None:
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in tree.body), name
        return
    assert len(names) == len(set(names)), name
    assert set(names) <= defined(tree) or all(hasattr(importlib.import_module(name), word) for word in names), name
    assert not [word for word in names if word.startswith("_") and word != "__version__"]


def test_no_module_takes_from_another_what_is_not_for_others() -> None:
    borrowed = [
        f"{name} takes {word} of {module}"
        for name, tree in MODULES.items()
        for module, word in sorted(asked(tree))
        if word not in (public(module) or ())
    ]
    assert "\n".join(borrowed) == ""
