"""The parameters of a notebook, checked before anything that runs notebooks is imported."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from helpers.core.errors import UsageError, nearest, shown
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import PROTOCOLS
from helpers.paper.contents import declared
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import check_results, manifest_of

__all__ = ["check"]

KEYS = {"generators": GENERATORS, "precisions": PRECISIONS, "detectors": DETECTORS}


def check(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse, by name, a parameter that the notebook does not have, of another type, or out of its range."""
    defaults = declared(notebook)
    for name, given in parameters.items():
        if name not in defaults:
            like = nearest(name, defaults)
            raise UsageError(f"{shown(name)}: not a parameter of {notebook.name}{like}; it has {', '.join(defaults)}")
        _check_type(name, given, defaults[name])
    merged = defaults | dict(parameters)
    for name, catalogue in KEYS.items():
        own = _own_generators(merged) if name == "generators" else ()
        _check_keys(name, merged.get(name, []), [*catalogue, *own])
    if not abs(merged.get("threshold", 0.0)) <= sys.float_info.max:
        raise UsageError(f"threshold: {shown(merged['threshold'])} is not a finite number; 0 is the detectors' own")
    if merged.get("protocol", "plain") not in PROTOCOLS:
        given = merged["protocol"]
        raise UsageError(f"protocol: no {shown(given)}{nearest(given, PROTOCOLS)}; one of {', '.join(PROTOCOLS)}")
    if "results" in merged:
        check_results(merged["results"])


def _check_type(name: str, given: Any, default: Any) -> None:
    wanted = type(default)
    right = isinstance(given, wanted) and not (isinstance(given, bool) and wanted is not bool)
    number = wanted is float and isinstance(given, int) and not isinstance(given, bool)
    if not right and not number:
        raise UsageError(
            f"{name}: {shown(given)} is of type {type(given).__name__}; give a {wanted.__name__}, as {default!r}"
        )


def _own_generators(parameters: Mapping[str, Any]) -> list[str]:
    """The generators that the study of these results has and the catalogue lacks."""
    study = manifest_of(check_results(parameters["results"])).get("study", {}) if "results" in parameters else {}
    return [key for key in study.get("generators") or {} if key not in GENERATORS]


def _check_keys(name: str, given: list[Any], catalogue: Collection[str]) -> None:
    for key in given:
        if not isinstance(key, str) or key not in catalogue:
            raise UsageError(f"{name}: no {shown(key)}{nearest(key, catalogue)}; keys are {', '.join(catalogue)}")
    if len(set(given)) < len(given):
        raise UsageError(f"{name}: {', '.join(given)} names a key twice; name each once")
