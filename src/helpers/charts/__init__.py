"""One function per figure: a table in, an Altair chart out that works in a static page, with no server and no CDN.

A figure is a function in the `__all__` of one of this package's files. To add one is to add a file, or a function to a
file: it is `charts.NAME` from then on.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from helpers.charts.theme import bundle, enable

__all__ = ["bundle", "collect", "enable"]

#: What figures are made with.
TOOLS = ("findings", "layers", "theme")


def collect() -> dict[str, Any]:
    """The figures of this package's files, by name."""
    found = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in TOOLS):
        of = importlib.import_module(f"{__name__}.{module}")
        found |= {name: getattr(of, name) for name in of.__all__ if callable(getattr(of, name))}
    return found


_figures = collect()
__all__ += sorted(_figures)
globals().update(_figures)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
