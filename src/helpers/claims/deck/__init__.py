"""The deck's claims, one file each, in the deck's order.

A file `cNN.py`, or `cNN_part.py` where a claim makes several statements, holds one `CLAIM` with the deck's words, the
margins it uses, what is measured, what counts, the judge, and a world in which it is true and one in which it is false.
To add a claim is to add a file: pages, lists and the scorecard take them from here.
"""

from __future__ import annotations

import importlib
import pkgutil

from helpers.claims.claim import Claim

__all__ = ["CLAIMS", "collect"]


def collect() -> tuple[Claim, ...]:
    """The claims of this package's files, by file name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").CLAIM for name in names)


CLAIMS = collect()
