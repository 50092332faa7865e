"""Precisions of a pipeline's weights: the formats, how they are applied to its components, and what they covered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.core.lazy import attribute

if TYPE_CHECKING:
    from helpers.precision.catalogue import ARMS, COMPONENTS, PRECISIONS, Entry
    from helpers.precision.coverage import Component, Coverage, holdings
    from helpers.precision.formats import FORMATS, Format
    from helpers.precision.quantize import apply, attributes

__all__ = [
    "ARMS",
    "COMPONENTS",
    "FORMATS",
    "PRECISIONS",
    "Component",
    "Coverage",
    "Entry",
    "Format",
    "apply",
    "attributes",
    "holdings",
]

#: The catalogue is read without torch; what needs it is imported when it is first asked for (PEP 562).
_WHERE = {
    "catalogue": ("ARMS", "COMPONENTS", "PRECISIONS", "Entry"),
    "coverage": ("Component", "Coverage", "holdings"),
    "formats": ("FORMATS", "Format"),
    "quantize": ("apply", "attributes"),
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, name, _WHERE)
