"""Names of a package that are imported when they are first asked for, so that importing the package costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["attribute"]


def attribute(package: str, name: str, where: Mapping[str, Iterable[str]]) -> Any:
    """The attribute `name` of a package, for its `__getattr__` (PEP 562); `where` says which module has which names.

    Raises AttributeError for a name that none has.
    """
    for module, names in where.items():
        if name in names:
            return getattr(importlib.import_module(f"{package}.{module}"), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
