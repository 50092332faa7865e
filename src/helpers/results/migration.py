"""An older results folder brought up to what is read today, each change said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.results.results import check_results, manifest_of
from helpers.study import schema

__all__ = ["migrate"]


def migrate(folder: str | Path) -> list[str]:
    """Add to a folder's manifest what today's reader asks for, and say each change; [] where it has all.

    The roles of arms are those that the shipped study of the same name gives to arms of the same name. Nothing else is
    touched: no score, image or digest depends on a role. Raises UsageError where the folder holds no scores or its
    study is not shipped.
    """
    folder = check_results(folder)
    manifest = manifest_of(folder)
    arms: dict[str, dict[str, Any]] = manifest.get("study", {}).get("arms") or {}
    lacking = [name for name, arm in arms.items() if "role" not in arm]
    if not lacking:
        return []
    shipped = schema.load(manifest["study"]["name"]).arms
    said = []
    for name in lacking:
        role = shipped[name].role if name in shipped else None
        arms[name]["role"] = role
        said.append(f"manifest.json: the role of arm {name!r} is {role!r}")
    files.write_json(manifest, folder / "manifest.json")
    return said
