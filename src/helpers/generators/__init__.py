"""The text-to-image generators: one catalogue, one way to load a pipeline and one way to make images with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.core.lazy import attribute

if TYPE_CHECKING:
    from helpers.generators.catalogue import GENERATORS, Entry
    from helpers.generators.loading import copied, copied_network, load, source
    from helpers.generators.sampling import Encodings, check, reconstruct, sample

__all__ = [
    "GENERATORS",
    "Encodings",
    "Entry",
    "check",
    "copied",
    "copied_network",
    "load",
    "reconstruct",
    "sample",
    "source",
]

#: The catalogue is read without torch; what needs it is imported when it is first asked for (PEP 562).
_WHERE = {
    "catalogue": ("GENERATORS", "Entry"),
    "loading": ("copied", "copied_network", "load", "source"),
    "sampling": ("Encodings", "check", "reconstruct", "sample"),
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, name, _WHERE)
