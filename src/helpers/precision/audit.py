"""Whether a precision is what it says: errors of weights and outputs, native layers against rounded weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from helpers.generators.placement import works_on
from helpers.precision.catalogue import UNQUANTIZED
from helpers.precision.formats import FORMATS
from helpers.precision.ideal import ideal
from helpers.study.schema import MAX_ERROR_DEVIATION

__all__ = [
    "KINDS",
    "Call",
    "Change",
    "Recorder",
    "changes",
    "dense",
    "kind",
    "output_error",
    "outputs",
    "relative",
    "kernel_deviations",
    "squares",
    "weight_errors",
]

#: Kinds of layers by their names; the first that fits.
KINDS = {
    "feed-forward": re.compile(r"(^|\.)(ff|ff_context|mlp|DenseReluDense)\.|proj_mlp$|fc[12]$"),
    "attention": re.compile(r"(^|\.)(attn\w*|self_attn|SelfAttention)\.|to_(q|k|v|out)\b"),
}

Call = tuple[tuple[Any, ...], dict[str, Any]]


def kind(name: str, layer: nn.Module) -> str:
    """The kind of a layer: "convolution", "attention", "feed-forward", or "other" (embeddings, modulation, ends)."""
    if isinstance(layer, nn.Conv2d):
        return "convolution"
    return next((title for title, sign in KINDS.items() if sign.search(name)), "other")


def dense(layer: nn.Module, name: str = "weight") -> Tensor:
    """A layer's parameter as the numbers it stands for, however it is stored, in single precision."""
    value = getattr(layer, name)
    state = getattr(value, "quant_state", None)
    if state is not None:  # bitsandbytes
        import bitsandbytes

        value = bitsandbytes.functional.dequantize_4bit(value.data, state)
    elif hasattr(value, "dequantize") and hasattr(value, "qtype"):  # optimum-quanto
        value = value.dequantize()
    return value.detach().float().cpu()


def relative(change: float, whole: float) -> float:
    """sqrt(change / whole) of two sums of squares; 0 where nothing changed, infinity where nothing was before."""
    return (change / whole) ** 0.5 if whole else (0.0 if not change else float("inf"))


@dataclass(frozen=True)
class Change:
    """What became of a parameter: square roots of sums of squares (Frobenius norms).

    Attributes:
        kind: the kind of its layer.
        found: of what it changed by.
        expected: of what the format changes it by, by its definition (`ideal`).
        whole: of the parameter itself.
        least: of what rounding in the computing type may add to `found`.
    """

    kind: str
    found: float
    expected: float
    whole: float
    least: float

    @property
    def departs(self) -> bool:
        """Whether the change is not the format's: off by more than `study.MAX_ERROR_DEVIATION` of it
        and what the type may add.
        """
        return not abs(self.found - self.expected) <= MAX_ERROR_DEVIATION * self.expected + self.least  # so NaN departs


def changes(component: nn.Module, original: nn.Module, names: Sequence[str], precision: str) -> dict[str, Change]:
    """The change of each parameter of the named layers against `original`, by its name; of a shared one by its first.

    The expected one begins with the cast to the type that the layer computes in.
    """
    found: dict[str, Change] = {}
    seen: set[int] = set()
    for name in names:
        layer, before = component.get_submodule(name), original.get_submodule(name)
        for key, parameter in before._parameters.items():
            if parameter is not None and parameter.numel() and id(parameter) not in seen:
                seen.add(id(parameter))
                norms = _norms(layer, key, parameter.detach().cpu(), precision)
                found[f"{name}.{key}".lstrip(".")] = Change(kind(name, before), *norms)
    return found


def _norms(layer: nn.Module, key: str, before: Tensor, precision: str) -> list[float]:
    exact, dtype = before.double(), getattr(layer, key).dtype
    # Of a layer format the weight alone is quantized; a bias has no more than the computing type.
    taken = precision if key == "weight" or FORMATS[precision].scope == "component" else UNQUANTIZED
    norms = [float((value - exact).norm()) for value in (dense(layer, key), ideal(taken, before.to(dtype)))]
    whole, type_ = float(exact.norm()), torch.finfo(dtype)
    return [*norms, whole, type_.eps * whole + type_.tiny * type_.eps * exact.numel() ** 0.5]


def squares(component: nn.Module) -> float:
    """The sum of squares of all parameters of a component, as `weight_errors` takes it: of a large one, seconds."""
    return sum(float(p.detach().double().square().sum()) for p in component.parameters())


def weight_errors(changed: Mapping[str, Change], total: float, which: str = "found") -> dict[str, float]:
    """Relative error (Frobenius) of changed parameters by kind of layer, and of the whole component ("all").

    `which` of a change: "found" or "expected". "all" counts every parameter of the component, whose sum of squares is
    `total`, so it grows with the coverage as well as with the coarseness.
    """
    sums: dict[str, list[float]] = {}
    for change in changed.values():
        of = sums.setdefault(change.kind, [0.0, 0.0])
        of[0] += getattr(change, which) ** 2
        of[1] += change.whole**2
    errors = {title: relative(*of) for title, of in sorted(sums.items())}
    return errors | {"all": relative(sum(change for change, _ in sums.values()), total)}


def outputs(component: nn.Module, calls: Sequence[Call]) -> list[Tensor]:
    """The component's first output for each of the recorded calls, single precision, on the CPU.

    A VAE's calls are those of its decoder. The inputs are brought to the type of the component and the device on which
    it computes.
    """
    run = component.decode if hasattr(component, "decode") else component
    type_ = next(parameter.dtype for parameter in component.parameters() if parameter.is_floating_point())
    like = torch.empty(0, dtype=type_, device=works_on(component))
    with torch.inference_mode():
        given = (brought(call, like) for call in calls)
        return [_first(run(*args, **kwargs)).float().cpu() for args, kwargs in given]


def output_error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Relative error (Frobenius) of outputs over all calls together."""
    pairs = list(zip(found, expected, strict=True))
    change = sum(float((one - other).double().square().sum()) for one, other in pairs)
    return relative(change, sum(float(other.double().square().sum()) for _, other in pairs))


def kernel_deviations(
    native: nn.Module, rounded: nn.Module, names: Sequence[str], calls: Sequence[Call]
) -> dict[str, float]:
    """For each named layer that the calls reach, how far its native output lies from that of the rounded weight.

    The rounded component is run; each of its layers' inputs is given to the native layer too. Relative (Frobenius), the
    largest over the calls.
    """
    found: dict[str, float] = {}

    def compare(name: str) -> Any:
        layer = native.get_submodule(name)

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if torch.is_tensor(output) and output.is_floating_point():
                with _beside(layer, output.device):
                    other = layer(*args, **kwargs)
                change = output_error([other.float()], [output.float()])
                # An undefined difference is the largest of all, and max() would pass it over.
                found[name] = max(found.get(name, 0.0), change if change == change else float("inf"))

        return hook

    hooks = [
        rounded.get_submodule(name).register_forward_hook(compare(name), with_kwargs=True)
        for name in names
        if not any(True for _ in rounded.get_submodule(name).children())
    ]
    try:
        outputs(rounded, calls)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _beside(layer: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a layer on a device while the block runs: of a network that waits in RAM it may be there."""
    home = next((tensor.device for tensor in [*layer.parameters(), *layer.buffers()]), device)
    if home == device or home.type == "meta":  # what is brought layer by layer comes by itself
        yield
        return
    layer.to(device)
    try:
        yield
    finally:
        layer.to(home)


class Recorder:
    """Records, while it is open, the calls of a pipeline's components: {name: [(arguments, keywords)]}.

    The tensors are copied to the CPU. A VAE's calls are those of its `decode`.
    """

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        self.parts, self.calls = parts, {name: [] for name in parts}
        self._undo: list[Any] = []

    def __enter__(self) -> Recorder:
        for name, part in self.parts.items():
            if hasattr(part, "decode"):
                self._wrap(name, part)
            else:
                keep = lambda module, args, kwargs, name=name: self._keep(name, args, kwargs)  # noqa: E731
                self._undo.append(part.register_forward_pre_hook(keep, with_kwargs=True).remove)
        return self

    def __exit__(self, *_: Any) -> None:
        for undo in self._undo:
            undo()

    def _wrap(self, name: str, part: nn.Module) -> None:
        decode = part.decode

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._keep(name, args, kwargs)
            return decode(*args, **kwargs)

        part.decode = wrapped
        self._undo.append(lambda: delattr(part, "decode"))

    def _keep(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # A generator only feeds sampling inside the VAE, and cannot be run twice.
        kept = {key: _copied(value) for key, value in kwargs.items() if not isinstance(value, torch.Generator)}
        self.calls[name].append((tuple(_copied(value) for value in args), kept))


def brought(value: Any, like: Tensor) -> Any:
    """A value with every tensor in it on the device of `like`, numbers that are not whole in its type too."""
    if torch.is_tensor(value):
        return value.to(like.device, like.dtype if value.is_floating_point() else None)
    if isinstance(value, dict):
        return {key: brought(item, like) for key, item in value.items()}
    return type(value)(brought(item, like) for item in value) if isinstance(value, (list, tuple)) else value


def _copied(value: Any) -> Any:
    if torch.is_tensor(value):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return type(value)(_copied(item) for item in value) if isinstance(value, (list, tuple)) else value


def _first(output: Any) -> Tensor:
    if torch.is_tensor(output):
        return output
    return next(item for item in _items(output) if torch.is_tensor(item))


def _items(output: Any) -> Iterator[Any]:
    return iter(output.values() if isinstance(output, dict) else output)
