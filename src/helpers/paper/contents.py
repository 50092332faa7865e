"""The pages of the book and the notebooks among them, in the order of its table of contents; what a notebook takes."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers.core import files

__all__ = ["Job", "code", "declared", "notebooks", "pages"]


@dataclass(frozen=True, eq=False)
class Job:
    """A notebook to be run with these parameters, and the file that it is written to."""

    notebook: Path
    out: Path
    parameters: Mapping[str, Any]


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


def code(notebook: Path, tag: str = "") -> str:
    """The Python of a notebook's cells, with `tag` of those that have it."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    kept = [cell for cell in cells if cell["cell_type"] == "code"]
    kept = [cell for cell in kept if not tag or tag in cell["metadata"].get("tags", [])]
    return "\n\n".join("".join(cell["source"]) for cell in kept)


def declared(notebook: Path) -> dict[str, Any]:
    """The parameters of a notebook with their defaults, from its cell tagged `parameters` (plain literals)."""
    tree = ast.parse(code(notebook, "parameters"))
    given = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in given if isinstance(node.targets[0], ast.Name)}
