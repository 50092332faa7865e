"""What each cell's precision did to its weights, measured before its first image and kept beside the run.

A cell is refused at 0 % coverage, where the error of a layer's weights is not what its format makes of them, and where
a native layer strays from the rounding arm.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from typing import Any

import torch

from helpers import precision
from helpers.core import device as machine
from helpers.core.errors import Failure
from helpers.core.files import read_json, write_json
from helpers.precision import audit
from helpers.precision.quantize import LAYERS, targets
from helpers.runs.digests import image_digest
from helpers.runs.plan import Source
from helpers.runs.sources import CellMaker, computing_type, maker
from helpers.runs.store import Store
from helpers.study.schema import STRAYS, Study

__all__ = ["Prover"]

#: Images whose denoising is recorded, and where along it the denoiser's inputs are taken (0 the first step, 1 the
#: last).
IMAGES, STEPS = 2, (0.0, 0.5, 1.0)


class Prover:
    """Measures cells of a study and keeps what it found in proof/ of the run's folder.

    One generator's unquantized networks and recorded inputs are in memory at a time, on the CPU; outputs are computed
    on `device`.
    """

    def __init__(self, study: Study, store: Store, device: str = "cpu") -> None:
        self.study, self.store, self.device = study, store, device
        self._reference: _Reference | None = None

    def prove(self, source: Source, making: CellMaker) -> bool:
        """Measure the cell unless that is on record; returns whether `making` was loaded for it.

        Raises Failure, with the layer named, where its weights' error departs from its format's by more than
        `study.DEPARTS`, and where a native layer strays by more than `study.STRAYS`.
        """
        key = self._key(source, making)
        if self._known(source, key):
            return False
        making.load()
        components = self._measure(source, making)
        write_json({"key": key, "coverage": making.coverage.share, "components": components}, self.store.proof(source))
        return True

    def columns(self, source: Source) -> dict[str, Any]:
        """A cell's columns of cells.parquet: coverage (share), component_coverage (JSON, all that was measured), and of
        the denoiser, or else of the cell's first component, weight_error and output_error; native_deviation of all.
        """
        known = self._known(source, self._key(source, maker(self.study, source)))
        parts = known.get("components", {})
        main = parts.get("denoiser") or next(iter(parts.values()), {})
        compared = [part for part in parts.values() if part["native_deviation"] is not None]
        return {
            "coverage": known.get("coverage"),
            "component_coverage": json.dumps(parts) if parts else None,
            "weight_error": main.get("weight_errors", {}).get("all"),
            "output_error": main.get("output_error"),
            "native_deviation": max((part["native_deviation"] for part in compared), default=None),
        }

    def _key(self, source: Source, making: CellMaker) -> str:
        # With the source's name: a copied record must not stand for another cell.
        return f"{source.folder}/{image_digest(self.study, source, self.device)}/{making.model()}"

    def _known(self, source: Source, key: str) -> dict[str, Any]:
        """What is on record of the cell; empty where that is of other weights or settings, missing or damaged."""
        known = self.store.read(read_json, self.store.proof(source)) or {}
        return known if known.get("key") == key and _whole(known) else {}

    def _measure(self, source: Source, making: CellMaker) -> dict[str, dict[str, Any]]:
        if self._reference is None or self._reference.key != source.generator:
            self._reference = _Reference(self.study, source, self.device)
        return {
            name: asdict(covered) | self._reference.compare(source, name, making)
            for name, covered in making.coverage.components.items()
        }


class _Reference:
    """A generator without quantization, the inputs its components met and what they gave."""

    def __init__(self, study: Study, source: Source, device: str) -> None:
        self.study, self.key, self.device = study, source.generator, device
        making = CellMaker(study, Source(source.generator, "fp32", study.arm, source.size, 1), device)
        making.load()
        where = precision.attributes(making.pipeline)
        self.parts = {name: getattr(making.pipeline, attribute) for name, attribute in where.items()}
        with audit.Recorder(self.parts) as recorder:
            for index in range(IMAGES):
                making.make([index])
        self.calls = {name: _chosen(name, calls) for name, calls in recorder.calls.items()}
        self.expected = {name: audit.outputs(part, self.calls[name]) for name, part in self.parts.items()}
        for part in self.parts.values():
            part.to("cpu")  # two pipelines of a real checkpoint are too much for most GPUs
        machine.release(device)

    def compare(self, source: Source, name: str, making: CellMaker) -> dict[str, Any]:
        """Errors of one component of a cell, and how far its native layers stray (None where there is no such arm)."""
        row = precision.FORMATS[source.precision]
        way, coverage = (self.study.setting(what, source.arm) for what in ("way", "coverage"))
        part = getattr(making.pipeline, precision.attributes(making.pipeline)[name])
        names = targets(self.parts[name], row, LAYERS[coverage])
        changes = audit.changes(part, self.parts[name], names, source.precision)
        _refuse_departed(f"{source.folder}: {name}", changes, source.precision)
        found = {
            "weight_errors": audit.weight_errors(changes, self.parts[name]),
            "expected_error": audit.weight_errors(changes, self.parts[name], "expected")["all"],
            "output_error": audit.output_error(audit.outputs(part, self.calls[name]), self.expected[name]),
            "native_deviation": None,
            "native_layer": None,
        }
        if way == "native" and source.precision != "fp32":
            layer, deviation = self._strays(source, name, part, coverage, names)
            if deviation > STRAYS:
                raise Failure(
                    f"{source.folder}: {name}.{layer} strays from the rounding arm by {deviation:.2g} of its output,"
                    f" more than {STRAYS:g}; this machine's kernel for {source.precision} cannot be trusted"
                )
            found |= {"native_deviation": deviation, "native_layer": layer}
        return found

    def _strays(self, source: Source, name: str, part: Any, coverage: str, names: list[str]) -> tuple[str, float]:
        """The layer that strays most, and by how much."""
        settings = self.study.generators[source.generator]
        dtype = getattr(torch, computing_type(settings, source.precision, self.device))
        # torch's own: diffusers' warns of an empty list of networks to leave in FP32.
        rounded = torch.nn.Module.to(copy.deepcopy(self.parts[name]), self.device, dtype)
        precision.apply(_Lone(name, rounded), source.precision, "rounding", coverage, [name])
        found = audit.strays(part, rounded, names, self.calls[name])
        return max(found.items(), key=lambda item: item[1])


def _refuse_departed(what: str, changes: dict[str, audit.Change], precision: str) -> None:
    """Raise Failure for a layer whose weights are not in the format: both arms may be wrong in the same way."""
    for name, change in changes.items():
        if change.departs:
            found, expected = (audit.relative(value**2, change.whole**2) for value in (change.found, change.expected))
            raise Failure(
                f"{what}.{name} is off by {found:.2g} of its norm, where {precision} by its definition puts it off by"
                f" {expected:.2g}; compute in another type (the generator's dtype) or leave the"
                " precision out"
            )


def _whole(known: dict[str, Any]) -> bool:
    """Whether a record is one that `Prover.prove` wrote."""
    parts = known.get("components")
    return _number(known.get("coverage")) and isinstance(parts, dict) and all(map(_whole_part, parts.values()))


def _whole_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and isinstance(part.get("weight_errors"), dict)
        and all(map(_number, part["weight_errors"].values()))
        and _number(part.get("output_error"))
        and (part.get("native_deviation", "") is None or _number(part["native_deviation"]))
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class _Lone:
    """One component, as a pipeline that has nothing else."""

    def __init__(self, name: str, part: Any) -> None:
        attribute = "transformer" if name == "denoiser" else name
        self.components, self.name_or_path = {attribute: part}, name
        setattr(self, attribute, part)


def _chosen(name: str, calls: list[audit.Call]) -> list[audit.Call]:
    """Of a denoiser's calls those of some steps of every image; of other components all."""
    if name != "denoiser":
        return calls
    steps = len(calls) // IMAGES
    places = sorted({round(share * (steps - 1)) for share in STEPS})
    return [calls[image * steps + place] for image in range(IMAGES) for place in places]
