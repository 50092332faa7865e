"""Apply a precision to the components of a loaded pipeline, and measure what it covered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from helpers.errors import Failure, UsageError, nearest
from helpers.precision.coverage import Component, Coverage, holdings
from helpers.precision.formats import FORMATS, Format

__all__ = ["ARMS", "LAYERS", "apply", "attributes"]

#: How the weights are quantized: "native", by the library's own storage and kernels.
ARMS = ("native",)
#: Which layers a format takes: what diffusers' quantizers take, or convolutions too.
LAYERS: dict[str, tuple[type[nn.Module], ...]] = {"linear": (nn.Linear,), "all": (nn.Linear, nn.Conv2d)}


def attributes(pipeline: Any) -> dict[str, str]:
    """Components that can be quantized: "denoiser", "t5" and "vae" -> the pipeline's attribute; only those it has."""
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    found = {"vae": "vae"} if "vae" in parts else {}
    for name, part in parts.items():
        if name in ("unet", "transformer"):
            found["denoiser"] = name
        elif "T5" in type(part).__name__:
            found["t5"] = name
    return found


def apply(
    pipeline: Any,
    precision: str,
    arm: str = "native",
    coverage: str = "linear",
    components: Sequence[str] = ("denoiser", "t5"),
) -> Coverage:
    """Store the weights of the pipeline's `components` at `precision`, in place; return what was covered, measured.

    `coverage` says which layers the 8- and 4-bit formats take: "linear" (what users of these libraries get) or "all"
    (Linear and Conv2d). Casts (fp16, bf16) take every parameter of a component, as a pipeline in that type does. A
    component that the pipeline lacks is left out. Raises UsageError for unknown words and where nothing of the
    denoiser would be quantized.
    """
    row = FORMATS[_one_of("precision", precision, FORMATS)]
    layers = LAYERS[_one_of("coverage", coverage, LAYERS)]
    _one_of("arm", arm, ARMS)
    where = attributes(pipeline)
    for component in components:
        _one_of("component", component, ("denoiser", "t5", "vae"))
    asked = {name: getattr(pipeline, where[name]) for name in components if name in where}
    if precision != "fp32" and "denoiser" in asked and not _targets(asked["denoiser"], row, layers):
        raise UsageError(
            f"{_name(pipeline)} at {precision} with coverage '{coverage}': 0 % of the denoiser would be"
            " quantized; use coverage 'all' or leave the cell out"
        )
    return Coverage(
        precision,
        arm,
        coverage,
        {name: _convert(part, precision, row, layers) for name, part in asked.items()},
    )


def _convert(component: nn.Module, precision: str, row: Format, layers: tuple[type[nn.Module], ...]) -> Component:
    before = list(holdings(component))
    if precision != "fp32":
        _declare_type(component)
        row.convert(component, _targets(component, row, layers))
        component.requires_grad_(False).eval()
    after = list(holdings(component))
    total = sum(parameters for parameters, _, _ in before)
    if sum(parameters for parameters, _, _ in after) != total:
        raise Failure(f"{type(component).__name__} at {precision}: parameters were lost or counted twice")
    few = 0 if precision == "fp32" else sum(parameters for parameters, bits, _ in after if bits <= row.bits)
    return Component(
        total, few, few / total, sum(size for *_, size in before), sum(size for *_, size in after), precision
    )


def _targets(component: nn.Module, row: Format, layers: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the layers the format takes; for casts, of every module with parameters of its own."""
    if row.scope == "component":
        return [name for name, module in component.named_modules() if module._parameters]
    return [name for name, module in component.named_modules() if isinstance(module, layers)]


def _declare_type(component: nn.Module) -> None:
    """Give the component an empty first parameter in its computing type.

    diffusers and transformers take a network's type from its first floating-point parameter; with that one quantized,
    they would cast its inputs to the storage type.
    """
    dtype = next(parameter.dtype for parameter in component.parameters() if parameter.is_floating_point())
    component.register_parameter("computing_type", nn.Parameter(torch.empty(0, dtype=dtype), requires_grad=False))


def _name(pipeline: Any) -> str:
    return str(getattr(pipeline, "name_or_path", None) or type(pipeline).__name__).rstrip("/").rpartition("/")[2]


def _one_of(what: str, word: str, options: Iterable[str]) -> str:
    if word not in options:
        raise UsageError(f"no {what} '{word}'{nearest(word, options)}; one of {', '.join(options)}")
    return word
