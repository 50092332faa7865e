"""The pages of the book and the notebooks among them, in the order of its table of contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from helpers.core import files

__all__ = ["notebooks", "pages"]


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
