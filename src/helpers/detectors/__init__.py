"""The detectors behind one interface: images in, one logit per image out, above 0 means fake.

>>> from PIL import Image
>>> from helpers import detectors
>>> detectors.load("npr").score([Image.new("RGB", (64, 64)), Image.new("RGB", (96, 64))]).shape
(2,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.core.lazy import attribute

if TYPE_CHECKING:
    from helpers.detectors.catalogue import DETECTORS, Entry
    from helpers.detectors.detector import (
        Detector,
        NotFinite,
        build,
        load,
        miniature,
        trained,
        weights_files,
        weights_path,
    )

__all__ = [
    "DETECTORS", "Detector", "Entry", "NotFinite", "build", "load", "miniature", "trained",
    "weights_files", "weights_path",
]  # fmt: skip

#: The catalogue is read without torch; what needs it is imported when it is first asked for (PEP 562).
_WHERE = {
    "catalogue": ("DETECTORS", "Entry"),
    "detector": ("Detector", "NotFinite", "build", "load", "miniature", "trained", "weights_files", "weights_path"),
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, name, _WHERE)
