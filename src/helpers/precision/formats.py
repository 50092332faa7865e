"""The weight formats, as one table, and how a weight is stored in each of them.

Only storage changes: the computation stays in the type the pipeline was loaded with. Many CPUs have no half-precision
arithmetic, so FP16 there means weights rounded to FP16, stored in FP16 and computed in FP32.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Literal

import torch
from torch import nn

__all__ = ["BLOCK", "FORMATS", "Cast", "Format", "FourBit", "Storage"]

#: Weights that share one scale in the 4-bit formats.
BLOCK = 64


@dataclass(frozen=True)
class Format:
    """One precision.

    Attributes:
        title: what it is, in print.
        bits: of one stored weight, its scale apart.
        scope: "layers" for formats of Linear (and Conv2d) weights, "component" for casts, which take every
            parameter.
        convert: changes the component's named layers in place; "component" formats ignore the names.
    """

    title: str
    bits: int
    scope: Literal["layers", "component"]
    convert: Callable[[nn.Module, Iterable[str]], None]


class Storage(nn.Module):
    """A parameter held in few bits; calling it gives the parameter in its computing type."""

    bits: int

    def __init__(self, parameter: torch.Tensor) -> None:
        super().__init__()
        self.shape, self.dtype = parameter.shape, parameter.dtype

    @property
    def parameters_held(self) -> int:
        """How many numbers are stored."""
        return self.shape.numel()

    @property
    def bytes_held(self) -> int:
        """Bytes of the stored numbers and their scales."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @classmethod
    def put(cls, module: nn.Module, name: str, storage: Storage) -> None:
        """Let `storage` hold parameter `name` of `module`, which reads it as before: `module.<name>` computes it."""
        del module._parameters[name]
        holder = f"{name}_storage"
        module.add_module(holder, storage)
        read = property(lambda self: getattr(self, holder)())
        # A class of its own for this module, as torch.nn.utils.parametrize does: the attribute stays what it was to
        # every reader, and the module keeps its forward and its type.
        module.__class__ = type(type(module).__name__, (type(module),), {name: read})


class Cast(Storage):
    """A parameter rounded to a 16-bit type."""

    bits = 16

    def __init__(self, parameter: torch.Tensor, dtype: torch.dtype) -> None:
        super().__init__(parameter)
        self.register_buffer("data", parameter.detach().to(dtype))

    def forward(self) -> torch.Tensor:
        return self.data.to(self.dtype)


class FourBit(Storage):
    """A weight in bitsandbytes' blockwise 4-bit code, two weights to the byte and one FP32 scale to each 64 weights.

    The weight is handed to the library as one row: bitsandbytes (0.50, CPU) assigns the scales of a matrix to wrong
    weights where the row length is no multiple of the block, and compiles a slow fallback where it is odd.
    """

    bits = 4

    def __init__(self, parameter: torch.Tensor, code: str) -> None:
        super().__init__(parameter)
        self.code = code
        row = nn.functional.pad(parameter.detach().reshape(1, -1), (0, parameter.numel() % 2))
        data, state = _bitsandbytes().functional.quantize_4bit(row, blocksize=BLOCK, quant_type=code)
        self.register_buffer("data", data)
        self.register_buffer("absmax", state.absmax)
        self.row = row.shape

    def forward(self) -> torch.Tensor:
        functional = _bitsandbytes().functional
        state = functional.QuantState(
            self.absmax, shape=self.row, dtype=self.dtype, blocksize=BLOCK, quant_type=self.code
        )
        return functional.dequantize_4bit(self.data, state).flatten()[: self.parameters_held].view(self.shape)


@cache
def _bitsandbytes() -> ModuleType:
    # On some CPUs its import warns of a package that only its BF16 kernels there need.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return importlib.import_module("bitsandbytes")


def _keep(component: nn.Module, layers: Iterable[str]) -> None:
    """FP32 is what the pipeline comes in."""


def _cast(dtype: torch.dtype, component: nn.Module, layers: Iterable[str]) -> None:
    stored: dict[int, Storage] = {}  # a parameter that two modules share stays shared
    for module in list(component.modules()):
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and parameter.is_floating_point() and parameter.numel():
                storage = stored.setdefault(id(parameter), Cast(parameter, dtype))
                Storage.put(module, name, storage)


def _quanto(qtype: str, component: nn.Module, layers: Iterable[str]) -> None:
    """optimum-quanto: one scale per output channel, weights scaled back before the product."""
    from optimum import quanto
    from optimum.quanto import AbsmaxOptimizer

    class Absmax(AbsmaxOptimizer):
        """The library's, but an output channel of zeros alone gets scale 1: with scale 0 it would be NaN."""

        def optimize(self, base, qtype, axis=None):
            scale = super().optimize(base, qtype, axis)
            return torch.where(scale > 0, scale, torch.ones_like(scale))

    include = list(layers)
    quanto.quantize(component, weights=getattr(quanto, qtype), optimizer=Absmax(), include=include)
    quanto.freeze(component)


def _blockwise(code: str, component: nn.Module, layers: Iterable[str]) -> None:
    for name in layers:
        module = component.get_submodule(name)
        # The library's own layer where it computes what it should (see FourBit); the same numbers otherwise.
        if isinstance(module, nn.Linear) and module.in_features % BLOCK == 0:
            component.set_submodule(name, _linear_4bit(module, code))
        else:
            Storage.put(module, "weight", FourBit(module.weight, code))


def _linear_4bit(linear: nn.Linear, code: str) -> nn.Module:
    # Bytes are kept in tensors of the computing type: T5 casts its input to the type of its last weight, and
    # diffusers and transformers read a network's type off its weights.
    nn4 = _bitsandbytes().nn
    options = dict(compress_statistics=False, quant_type=code, quant_storage=linear.weight.dtype)
    packed = nn4.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=linear.weight.dtype,
        device="meta",
        **options,
    )
    weight = linear.weight.detach()
    packed.weight = nn4.Params4bit(weight, requires_grad=False, blocksize=BLOCK, module=packed, **options)
    packed.bias = linear.bias
    # On CPUs with AVX512-BF16 the library would repack the weights and compute in BF16: other images there than
    # elsewhere.
    packed.support_avx512bf16_for_cpu = False
    return packed.to(weight.device)


FORMATS: dict[str, Format] = {
    "fp32": Format("FP32", 32, "component", _keep),
    "fp16": Format("FP16", 16, "component", partial(_cast, torch.float16)),
    "fp8": Format("FP8 E4M3 (optimum-quanto)", 8, "layers", partial(_quanto, "qfloat8_e4m3fn")),
    "fp4": Format("FP4 (bitsandbytes)", 4, "layers", partial(_blockwise, "fp4")),
    "bf16": Format("BF16", 16, "component", partial(_cast, torch.bfloat16)),
    "int8": Format("INT8 (optimum-quanto)", 8, "layers", partial(_quanto, "qint8")),
    "fp8_e5m2": Format("FP8 E5M2 (optimum-quanto)", 8, "layers", partial(_quanto, "qfloat8_e5m2")),
    "nf4": Format("NF4 (bitsandbytes)", 4, "layers", partial(_blockwise, "nf4")),
}
