"""Apply a precision to the components of a loaded pipeline, and measure what it covered."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from helpers.core.errors import Failure, UsageError
from helpers.core.registry import unknown
from helpers.precision.catalogue import ARMS, COMPONENTS, UNQUANTIZED
from helpers.precision.coverage import Component, Coverage, holdings
from helpers.precision.formats import FORMATS, Format

__all__ = ["LAYERS", "apply", "attributes", "declare_type", "targets"]

#: The classes of layers of each of `catalogue.COVERAGES`.
LAYERS: dict[str, tuple[type[nn.Module], ...]] = {"linear": (nn.Linear,), "all": (nn.Linear, nn.Conv2d)}


def attributes(pipeline: Any) -> dict[str, str]:
    """Components that can be quantized, by their names in `COMPONENTS` -> the pipeline's attribute; those it has."""
    found = {}
    for attribute, part in pipeline.components.items():
        if isinstance(part, nn.Module):
            name = "denoiser" if attribute in ("unet", "transformer") else attribute
            found["t5" if "T5" in type(part).__name__ else name] = attribute
    return {name: found[name] for name in COMPONENTS if name in found}


def apply(
    pipeline: Any,
    precision: str,
    arm: str = "native",
    coverage: str = "linear",
    components: Sequence[str] = ("denoiser", "t5"),
    device: str | None = None,
) -> Coverage:
    """Store the weights of the pipeline's `components` at `precision`, in place; return what was covered, measured.

    `arm` is one of `ARMS`. `coverage` says which layers the formats of 8 bits and fewer take: "linear" (what users of
    these libraries get) or "all" (Linear and Conv2d). Casts (fp16, bf16) take every parameter of a component, as a
    pipeline in that type does. A format of inputs too (w4a4) rounds what these layers are given, whenever they are
    called. A component that the pipeline lacks is left out. Layers are quantized on `device`, one at a time, and put
    back where they were (default: there), so that a device need not hold a pipeline before it is quantized. Raises
    UsageError for unknown words, for a format without a native library in the native arm, and where nothing of the
    denoiser (of any component, if it is not among them) would be quantized. Raises Failure, which names the layer, for
    weights that are not finite, or that a library would store more than once.
    """
    row = FORMATS[precision]
    layers = LAYERS[_one_of("coverage", coverage, LAYERS)]
    if _one_of("arm", arm, ARMS) == "native" and row.native is None:
        raise UsageError(f"{precision}: no library here stores it; use arm 'rounding'")
    where = attributes(pipeline)
    for component in components:
        _one_of("component", component, COMPONENTS)
    asked = {name: getattr(pipeline, where[name]) for name in components if name in where}
    must = {"denoiser": asked["denoiser"]} if "denoiser" in asked else asked
    if precision != UNQUANTIZED and not any(targets(part, row, layers) for part in must.values()):
        _refuse_uncovered(f"{_name(pipeline)} at {precision}", coverage, "denoiser" in asked)
    for name, part in asked.items():
        what, names = f"{_name(pipeline)} at {precision}: {name}", targets(part, row, layers)
        _refuse_undefined(what, part, row, names)
        if arm == "native" and row.scope == "layers":
            _refuse_shared(what, part, names)
    parts = {name: _convert(part, precision, row, arm, layers, device) for name, part in asked.items()}
    return Coverage(precision, arm, coverage, parts)


def _refuse_uncovered(what: str, coverage: str, denoiser: bool) -> None:
    raise UsageError(
        f"{what} with coverage '{coverage}': 0 % of the {'denoiser' if denoiser else 'components'} would be quantized;"
        " use coverage 'all' or leave the cell out"
    )


def targets(component: nn.Module, row: Format, layers: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the layers whose weight the format takes; for casts, of every module with parameters of its own.

    A layer without numbers is none.
    """
    if row.scope == "component":
        return [name for name, module in component.named_modules() if module._parameters]
    return [name for name, module in component.named_modules() if isinstance(module, layers) and module.weight.numel()]


def _convert(
    component: nn.Module, precision: str, row: Format, arm: str, layers: tuple[type[nn.Module], ...], device: str | None
) -> Component:
    before = list(holdings(component))
    if precision != UNQUANTIZED:
        _CONVERT[arm](component, row, targets(component, row, layers), device)
        component.requires_grad_(False).eval()
    after = list(holdings(component))
    total = sum(parameters for parameters, _, _ in before)
    if sum(parameters for parameters, _, _ in after) != total:
        raise Failure(f"{type(component).__name__} at {precision}: parameters were lost or counted twice")
    few = 0 if precision == UNQUANTIZED else sum(parameters for parameters, bits, _ in after if bits <= row.bits)
    return Component(
        total, few, few / total, sum(size for *_, size in before), sum(size for *_, size in after), precision
    )


def _pack(component: nn.Module, row: Format, names: Sequence[str], device: str | None) -> None:
    declare_type(component)
    if row.scope == "component":
        row.native(component)
        return
    for name in names:
        layer = component.get_submodule(name)
        home = layer.weight.device
        moved = device is not None and home.type != torch.device(device).type
        packed = row.native(_brought(layer, device) if moved else layer)
        component.set_submodule(name, packed.to(home) if moved else packed)


def _brought(layer: nn.Module, device: str | None) -> nn.Module:
    """The layer with its parameters on a device; the layer itself, whose parameters others may hold, stays as it is."""
    made = copy.copy(layer)
    made._parameters = {
        key: None if parameter is None else nn.Parameter(parameter.to(device), requires_grad=False)
        for key, parameter in layer._parameters.items()
    }
    return made


def _round(component: nn.Module, row: Format, names: Sequence[str], device: str | None) -> None:
    holders = _holders(component)
    for name in names:
        module = component.get_submodule(name)
        for parameter in list(module._parameters.values()) if row.scope == "component" else [module.weight]:
            # One that two modules share is rounded once, and is shared afterwards too. What it was is left as it is:
            # the component may have it from a pipeline that is not to change.
            if parameter is not None and parameter.is_floating_point() and id(parameter) in holders:
                value = row.rounded(parameter.data.to(device)).to(parameter.device)
                made = nn.Parameter(value, requires_grad=False)
                made.rounded_bits = row.bits
                for holder, key in holders.pop(id(parameter)):
                    holder._parameters[key] = made
        if row.rounded_inputs:
            module.register_forward_pre_hook(partial(_with_rounded_inputs, row.rounded_inputs))


def _holders(component: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """The places of each parameter, by its id."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in component.modules():
        for key, parameter in module._parameters.items():
            found.setdefault(id(parameter), []).append((module, key))
    return found


def _with_rounded_inputs(
    rounded: Callable[[Tensor], Tensor], layer: nn.Module, args: tuple[Any, ...]
) -> tuple[Any, ...]:
    """A layer's arguments with its input rounded; a convolution's tokens are its pixels."""
    inputs, *others = args
    if isinstance(layer, nn.Conv2d):
        return rounded(inputs.movedim(-3, -1)).movedim(-1, -3), *others
    return rounded(inputs), *others


_CONVERT = {"native": _pack, "rounding": _round}


def _refuse_undefined(what: str, component: nn.Module, row: Format, names: Sequence[str]) -> None:
    """Raise Failure for a weight that is not finite, or that the format cannot hold."""
    for name in names:
        for key, parameter in component.get_submodule(name)._parameters.items():
            if parameter is None or (row.scope == "layers" and key != "weight"):
                continue
            if not torch.isfinite(parameter).all():
                raise Failure(f"{what}.{name}.{key} holds numbers that are not finite; get the weights again")
            beyond = row.scope == "layers" and (parameter.abs() > row.largest).any()
            if beyond or (row.scope == "component" and not torch.isfinite(row.rounded(parameter)).all()):
                raise Failure(f"{what}.{name}.{key} holds numbers too large for the format; use bf16")


def _refuse_shared(what: str, component: nn.Module, names: Sequence[str]) -> None:
    """Raise Failure for a weight that another module, or the same under another name, holds too."""
    holders: dict[int, list[str]] = {}
    for name, module in component.named_modules(remove_duplicate=False):
        for parameter in module._parameters.values():
            holders.setdefault(id(parameter), []).append(name)
    for name in names:
        others = [other for other in holders[id(component.get_submodule(name).weight)] if other != name]
        if others:
            raise Failure(
                f"{what}.{name}.weight is that of {others[0]} too, and no library here stores it once;"
                " use arm 'rounding'"
            )


def declare_type(component: nn.Module) -> None:
    """Give the component an empty first parameter in its computing type.

    diffusers and transformers take a network's type from its first floating-point parameter; with that one quantized,
    they would cast its inputs to the storage type.
    """
    first = next(parameter for parameter in component.parameters() if parameter.is_floating_point())
    # On the same device: a pipeline runs where the first parameter of its components is.
    empty = torch.empty(0, dtype=first.dtype, device=first.device)
    component.register_parameter("computing_type", nn.Parameter(empty, requires_grad=False))


def _name(pipeline: Any) -> str:
    return str(getattr(pipeline, "name_or_path", None) or type(pipeline).__name__).rstrip("/").rpartition("/")[2]


def _one_of(what: str, word: str, options: Iterable[str]) -> str:
    if word not in options:
        raise unknown(what, word, options)
    return word
