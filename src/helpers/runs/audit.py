"""What each cell's precision did to its weights, measured before its first image and kept beside the run.

A cell is refused at 0 % coverage, where the error of a layer's weights is not what its format makes of them, and where
a native layer does not compute what simulated quantization does.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import torch

from helpers import generators, precision
from helpers.core.device import release
from helpers.core.errors import Failure
from helpers.core.files import read_json, write_json
from helpers.generators import placement
from helpers.precision import audit
from helpers.precision.catalogue import UNQUANTIZED
from helpers.precision.quantize import LAYERS, targets
from helpers.runs import fitting, originals, sources
from helpers.runs.digests import made_by
from helpers.runs.plan import AUDITED, Plan, Recipe
from helpers.runs.sources import QuantizedPipeline
from helpers.runs.store import Store
from helpers.study.schema import MAX_KERNEL_DEVIATION

__all__ = ["QuantizationAudit"]

#: Where along the denoising of each of `AUDITED` images the denoiser's inputs are taken (0 the first step, 1 the last).
STEPS = (0.0, 0.5, 1.0)


class QuantizationAudit:
    """Measures cells of a plan and keeps what it found in audit/ of the run's folder.

    Of one generator at a time recorded inputs and outputs are in memory, computed on `device` before the first cell is
    loaded that is compared with them; the unquantized networks are those of `runs.originals`.
    """

    def __init__(self, plan: Plan, store: Store, device: str = "cpu") -> None:
        self.plan, self.store, self.device = plan, store, device
        self._reference: _Reference | None = None

    def audit(self, recipe: Recipe, source: QuantizedPipeline) -> bool:
        """Measure the cell of a recipe unless that is on record; returns whether `source`, its own, was loaded for it.

        Raises Failure, with the layer named, where its weights' error departs from its format's by more than
        `study.MAX_ERROR_DEVIATION`, and where a native layer's output does by more than `study.MAX_KERNEL_DEVIATION`.
        """
        key, former = self._keys(recipe, source)
        if known := self._known(recipe, (key, former)):
            if known["key"] == former:
                write_json(known | {"key": key}, self.store.audit(recipe.source))
            return False
        reference = None if recipe.source.precision == UNQUANTIZED else self._referred(recipe)
        source.load()
        measured = reference.measure(recipe, source) if reference else _unchanged(source)
        components = {name: asdict(covered) | measured[name] for name, covered in source.coverage.components.items()}
        write_json(
            {"key": key, "coverage": source.coverage.share, "components": components}, self.store.audit(recipe.source)
        )
        return True

    def columns(self, recipe: Recipe) -> dict[str, Any]:
        """A cell's columns of cells.parquet: coverage (share), component_coverage (JSON, all that was measured), and of
        the denoiser, or else of the cell's first component, weight_error and output_error; native_deviation of all.
        """
        known = self._known(recipe, self._keys(recipe, sources.open_source(recipe)))
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

    def _keys(self, recipe: Recipe, source: QuantizedPipeline) -> tuple[str, str]:
        """What a record says that it is of, and what an earlier version's says."""
        made = made_by(recipe, source.model(), self.device)
        # With the source's name: a copied record must not stand for another cell.
        key, former = (f"{recipe.folder}/{settings}/{made.model}" for settings in (made.recipe, made.former))
        return key, former

    def _known(self, recipe: Recipe, keys: tuple[str, str]) -> dict[str, Any]:
        """What is on record of the cell; empty where that is of other weights or settings, missing or damaged."""
        known = self.store.read(read_json, self.store.audit(recipe.source)) or {}
        return known if known.get("key") in keys and _whole(known) else {}

    def _referred(self, recipe: Recipe) -> _Reference:
        """What cells of the recipe's generator are compared with: those components that any of them quantizes."""
        if self._reference is None or self._reference.generator != recipe.generator:
            self._reference = None  # before the next one is loaded
            own = [one for one in self.plan.recipes.values() if one.source.generator == recipe.generator]
            quantized = {name for one in own if one.source.precision != UNQUANTIZED for name in one.components}
            self._reference = _Reference(self.plan.references[recipe.generator], self.device, quantized)
        return self._reference


def _unchanged(source: QuantizedPipeline) -> dict[str, dict[str, Any]]:
    """What `_Reference.measure` finds of components that are not quantized: no error, by definition."""
    found = {}
    for name in source.coverage.components:
        part = _part(source, name)
        kinds = {audit.kind(layer, part.get_submodule(layer)) for layer in _with_numbers(part)}
        found[name] = {
            "weight_errors": dict.fromkeys([*sorted(kinds), "all"], 0.0),
            "expected_error": 0.0, "output_error": 0.0, "native_deviation": None, "native_layer": None,
        }  # fmt: skip
    return found


def _with_numbers(part: torch.nn.Module) -> list[str]:
    """Names of the modules that have parameters of their own with numbers in them, a shared one's by its first."""
    found: dict[int, str] = {}
    for name, module in part.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.numel():
                found.setdefault(id(parameter), name)
    return list(found.values())


class _Reference:
    """A generator without quantization: the inputs that some of its components met, and what they gave."""

    def __init__(self, recipe: Recipe, device: str, components: Collection[str]) -> None:
        self.generator, self.device = recipe.generator, device
        source = QuantizedPipeline(recipe, device)
        source.load(encodings=False)  # the text encoders' inputs are recorded too
        where = {name: at for name, at in precision.attributes(source.pipeline).items() if name in components}
        # A copy on the device; on a CPU with the weights of those that cells are compared with below.
        running = {name: getattr(source.pipeline, attribute) for name, attribute in where.items()}
        with audit.Recorder(running) as recorder:
            for index in range(AUDITED):
                source.make([index])
        self.calls = {name: _chosen(name, calls) for name, calls in recorder.calls.items()}
        self.expected = {name: audit.outputs(part, self.calls[name]) for name, part in running.items()}
        model = source.model()
        del source, running, recorder  # a reference and a cell beside it are too much for most GPUs
        release(device)
        self.parts = originals.original(recipe, model).parts(where)
        self.squares = {name: audit.squares(part) for name, part in self.parts.items()}

    def measure(self, recipe: Recipe, source: QuantizedPipeline) -> dict[str, dict[str, Any]]:
        """Errors of each component of a cell, and how far its native layers differ from simulated quantization (None
        where there is no such arm); `source` is loaded and not placed.
        """
        # In RAM: on a device layers that are brought one by one have no weights in between.
        changed = {name: self._changes(recipe, name, source) for name in source.coverage.components}
        source.place()
        return {name: self._compare(recipe, name, source, changes) for name, changes in changed.items()}

    def _changes(self, recipe: Recipe, name: str, source: QuantizedPipeline) -> dict[str, audit.Change]:
        level = recipe.source.precision
        changes = audit.changes(_part(source, name), self.parts[name], self._targets(recipe, name), level)
        _refuse_departed(f"{recipe.folder}: {name}", changes, level)
        return changes

    def _targets(self, recipe: Recipe, name: str) -> list[str]:
        return targets(self.parts[name], precision.FORMATS[recipe.source.precision], LAYERS[recipe.coverage])

    def _compare(
        self, recipe: Recipe, name: str, source: QuantizedPipeline, changes: dict[str, audit.Change]
    ) -> dict[str, Any]:
        level, part = recipe.source.precision, _part(source, name)
        found = {
            "weight_errors": audit.weight_errors(changes, self.squares[name]),
            "expected_error": audit.weight_errors(changes, self.squares[name], "expected")["all"],
            "output_error": audit.output_error(audit.outputs(part, self.calls[name]), self.expected[name]),
            "native_deviation": None,
            "native_layer": None,
        }
        if recipe.way == "native" and level != UNQUANTIZED:
            layer, deviation = self._kernel_deviation(recipe, name, part, self._targets(recipe, name))
            _refuse_kernel(f"{recipe.folder}: {name}.{layer}", deviation, level)
            found |= {"native_deviation": deviation, "native_layer": layer}
        return found

    def _kernel_deviation(self, recipe: Recipe, name: str, part: Any, names: list[str]) -> tuple[str, float]:
        """The layer that differs most from simulated quantization, and by how much."""
        type_ = recipe.computing_type(self.device)
        rounded = generators.copied_network(self.parts[name], getattr(torch, type_))
        lone = _Lone(name, rounded)
        precision.apply(lone, recipe.source.precision, "rounding", recipe.coverage, [name], self.device)
        placement.bring(rounded, self.device, fitting.working(recipe, self.device))
        found = audit.kernel_deviations(part, rounded, names, self.calls[name])
        return max(found.items(), key=lambda item: item[1])


def _part(source: QuantizedPipeline, name: str) -> Any:
    return getattr(source.pipeline, precision.attributes(source.pipeline)[name])


def _refuse_kernel(what: str, deviation: float, level: str) -> None:
    """Raise Failure for a native layer that does not compute what its rounded weight would."""
    if deviation > MAX_KERNEL_DEVIATION:
        raise Failure(
            f"{what} differs from simulated quantization by {deviation:.2g} of its output, more than"
            f" {MAX_KERNEL_DEVIATION:g}; this machine's kernel for {level} cannot be trusted"
        )


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
    """Whether a record is one that `QuantizationAudit.audit` wrote."""
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
    steps = len(calls) // AUDITED
    places = sorted({round(share * (steps - 1)) for share in STEPS})
    return [calls[image * steps + place] for image in range(AUDITED) for place in places]
