"""What a precision covered, measured from how the weights are stored after it was applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from torch import Tensor, nn

from helpers.precision.formats import Storage

__all__ = ["Component", "Coverage", "holdings"]


@dataclass(frozen=True)
class Component:
    """One component of a pipeline.

    Attributes:
        parameters: how many it had at first.
        quantized: how many are now stored in the format (in as few bits or fewer), in the rounding arm how many lie on
            its grid; 0 for FP32.
        share: quantized / parameters, 0 to 1.
        bytes_before, bytes_after: of all its parameters as they are stored, scales included; the 4-bit code books (16
            numbers) are not. The rounding arm packs nothing, so its bytes stay.
        format: key of the precision.
    """

    parameters: int
    quantized: int
    share: float
    bytes_before: int
    bytes_after: int
    format: str


@dataclass(frozen=True)
class Coverage:
    """What was asked, and per component (`apply.COMPONENTS`) what came of it."""

    precision: str
    arm: str
    coverage: str
    components: dict[str, Component]

    @property
    def share(self) -> float:
        """The denoiser's share; where it was not asked for, that of all components together."""
        parts = list(self.components.values())
        chosen = [self.components["denoiser"]] if "denoiser" in self.components else parts
        total = sum(part.parameters for part in chosen)
        return sum(part.quantized for part in chosen) / total if total else 0.0

    def as_json(self) -> str:
        """The components as a JSON object: name -> fields of `Component`."""
        return json.dumps({name: asdict(component) for name, component in self.components.items()})


def holdings(component: nn.Module) -> Iterator[tuple[int, int, int]]:
    """(parameters, bits of one, bytes in all) of every tensor the component's parameters are stored in, each once.

    The bits of a rounded parameter are those of the grid its numbers lie on; its bytes are those it takes.
    """
    for module in component.modules():  # a module that is met twice is given once
        if isinstance(module, Storage):
            yield module.parameters_held, module.bits, module.bytes_held
    for parameter in component.parameters():
        yield _held(parameter)


def _held(parameter: Tensor) -> tuple[int, int, int]:
    state = getattr(parameter, "quant_state", None)  # bitsandbytes
    if state is not None:
        return state.shape.numel(), 4, parameter.nbytes + state.absmax.nbytes
    qtype = getattr(parameter, "qtype", None)  # optimum-quanto
    if qtype is not None:
        return parameter.numel(), qtype.bits, _bytes(parameter)
    bits = getattr(parameter, "rounded_bits", 8 * parameter.element_size())
    return parameter.numel(), bits, parameter.nbytes


def _bytes(tensor: Tensor) -> int:
    """Bytes of the plain tensors in a tensor of tensors.

    A kernel's own packing is another such tensor within: Marlin's, on a GPU, says of itself that it has a whole number
    of 32 bits for each weight, where it holds one for four.
    """
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    inner, _ = tensor.__tensor_flatten__()
    return sum(_bytes(getattr(tensor, name)) for name in inner)
