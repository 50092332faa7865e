"""How a weight is stored in each format of the catalogue: rounded to it, and in its library's own layer.

Only storage changes: the computation stays in the type the pipeline was loaded with. Many CPUs have no half-precision
arithmetic, so FP16 there means weights rounded to FP16, stored in FP16 and computed in FP32.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType

import torch
from torch import nn

from helpers.core.errors import Failure
from helpers.precision.catalogue import BLOCK, PRECISIONS, Entry

__all__ = ["CODES", "FORMATS", "INPUTS", "NATIVE", "ROUNDED", "Cast", "Format", "FourBit", "Storage"]

# On some CPUs the import of bitsandbytes, which diffusers imports, warns of a package that only its BF16 kernels need.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """One precision: its row of the catalogue and its functions.

    Attributes:
        rounded: weight -> the nearest weight that the format can hold, of the same shape and type.
        native: layer -> the layer that stores its weight in the format; for casts, component -> None, changed in
            place; None where no library here has it.
        rounded_inputs: inputs of a layer (..., features) -> the nearest that the format can hold, of the same shape and
            type; None where they stay as computed.
    """

    rounded: Callable[[torch.Tensor], torch.Tensor]
    native: Callable[[nn.Module], nn.Module | None] | None = None
    rounded_inputs: Callable[[torch.Tensor], torch.Tensor] | None = None


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
    return importlib.import_module("bitsandbytes")


def _cast(dtype: torch.dtype, component: nn.Module) -> None:
    stored: dict[int, Storage] = {}  # a parameter that two modules share stays shared
    for module in list(component.modules()):
        for name, parameter in list(module._parameters.items()):
            # One that is of the type, as on a GPU that computes in it, is stored so already.
            other = parameter is not None and parameter.is_floating_point() and parameter.dtype != dtype
            if other and parameter.numel():
                storage = stored.setdefault(id(parameter), Cast(parameter, dtype))
                Storage.put(module, name, storage)


@cache
def _optimum_quanto() -> ModuleType:
    """optimum-quanto, from now on with its kernel-agnostic tensors alone.

    On GPUs of compute capability 8 and more it stores FP8 beside 16-bit scales for a kernel (Marlin) that nvcc compiles
    at first use and that gave noise for some users (its issues 343 and 409). It chooses so whenever it quantizes,
    unless told otherwise, and again whenever a weight is moved to the GPU, where it cannot be told.
    """
    from optimum.quanto.tensor.weights.qbytes import WeightQBytesTensor

    WeightQBytesTensor.create = WeightQBytesTensor
    return importlib.import_module("optimum.quanto")


def _quanto(qtype: str, layer: nn.Module) -> nn.Module:
    """optimum-quanto: one scale per output channel, weights scaled back before the product.

    Its 4- and 2-bit types are left out: they compile a C++ extension at first use, for more than a minute.
    """
    quanto = _optimum_quanto()
    from optimum.quanto.nn.qmodule import quantize_module

    class Absmax(quanto.SymmetricOptimizer):
        """The library's own of this name, with scales that serve at every magnitude."""

        def optimize(self, base, qtype, axis=None):
            others = [place for place in range(base.ndim) if axis is None or place != axis % base.ndim]
            return _scale(base.detach().abs().amax(others, keepdim=axis is not None), qtype.qmax)

    packed = quantize_module(layer, weights=getattr(quanto, qtype), optimizer=Absmax())
    packed.freeze()
    return packed


def _blockwise(code: str, layer: nn.Module) -> nn.Module:
    # The library's own layer where it computes what it should (see FourBit); the same numbers otherwise.
    if isinstance(layer, nn.Linear) and layer.in_features % BLOCK == 0:
        return _linear_4bit(layer, code)
    Storage.put(layer, "weight", FourBit(layer.weight, code))
    return layer


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


def _scale(magnitudes: torch.Tensor, code: float) -> torch.Tensor:
    """What groups are divided by, in their own type: their largest `magnitudes` over the largest `code`.

    The nearest number of the type, as the libraries take it, but where that would not serve. Below the type's normal
    range, where its numbers lie far apart (float16's begins at 6e-5, where an FP8 channel's scale may well lie), the
    next one above, so that nothing is cut off and no scale is 0; at the type's end the next one below, so that the
    product stays finite. A group of zeros has the smallest scale that there is.
    """
    exact = magnitudes.float() / code
    scale, type_ = exact.to(magnitudes.dtype), torch.finfo(magnitudes.dtype)
    above = (scale < exact) & (scale < type_.tiny)
    below = torch.isinf(scale * code)
    whole = {2: torch.int16, 4: torch.int32}[scale.itemsize]  # neighbours of a type are neighbours as integers
    scale = (scale.view(whole) + above.to(whole) - below.to(whole)).view(scale.dtype)
    # Single precision's own numbers below its normal range are 0 to processors that are told to flush them.
    return scale.clamp(min=max(type_.tiny * type_.eps, torch.finfo(torch.float32).tiny))


def _same_type(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return weight.to(dtype).to(weight.dtype)


def _per_channel(round_: Callable[[torch.Tensor], torch.Tensor], largest: float, weight: torch.Tensor) -> torch.Tensor:
    """Each output channel divided by its largest magnitude / `largest`, rounded, and scaled back.

    Scales are of the weight's type, as they are stored; quotients are single precision.
    """
    rows = weight.detach().flatten(1)
    scale = _scale(rows.abs().amax(1, keepdim=True), largest)
    codes = round_((rows.float() / scale.float()).clamp(-largest, largest))
    return (codes.to(weight.dtype) * scale).view(weight.shape)


def _per_group(round_: Callable[[torch.Tensor], torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """`round_` of groups of 64 consecutive weights in row-major order (groups, 64), in single precision."""
    flat = weight.detach().float().flatten()
    short = -len(flat) % BLOCK
    # The last group is filled up with its own last number, which changes neither its largest magnitude nor its range.
    groups = torch.cat([flat, flat[-1:].expand(short)]).view(-1, BLOCK)
    return round_(groups).flatten()[: len(flat)].view(weight.shape).to(weight.dtype)


def _per_token(round_: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """`round_` of groups of 64 consecutive features of each token (..., features), in single precision."""
    features = inputs.shape[-1]
    filled = nn.functional.pad(inputs.float(), (0, -features % BLOCK))  # zeros change no largest magnitude
    return round_(filled.reshape(-1, BLOCK)).view(filled.shape)[..., :features].to(inputs.dtype)


def _symmetric(levels: int, groups: torch.Tensor) -> torch.Tensor:
    """Integers -levels to levels times a scale: the group's largest magnitude / levels."""
    scale = _scale(groups.abs().amax(1, keepdim=True), levels)
    return (groups / scale).round().clamp(-levels, levels) * scale


def _affine(steps: int, groups: torch.Tensor) -> torch.Tensor:
    """Integers 0 to steps times a scale, from the group's least number to its largest; zero is held exactly.

    The range is widened to hold zero and the zero point is an integer, as in Jacob et al. 2018 (arXiv 1712.05877).
    """
    low, high = groups.amin(1, keepdim=True).clamp(max=0), groups.amax(1, keepdim=True).clamp(min=0)
    scale = _scale(high - low, steps)
    zero = (-low / scale).round()
    return ((groups / scale + zero).round().clamp(0, steps) - zero) * scale


def _coded(codes: Sequence[float], groups: torch.Tensor) -> torch.Tensor:
    """The nearest of `codes` (-1 to 1) times the group's largest magnitude."""
    book = torch.tensor(sorted(codes), dtype=groups.dtype, device=groups.device)
    scale = _scale(groups.abs().amax(1, keepdim=True), 1.0)
    return book[torch.bucketize(groups / scale, (book[1:] + book[:-1]) / 2)] * scale


def _float8(dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    return partial(_per_channel, lambda scaled: scaled.to(dtype), torch.finfo(dtype).max)


#: FP4 of bitsandbytes' kernels (not OCP E2M1), and NF4 of QLoRA (Dettmers et al. 2023, arXiv 2305.14314, appendix E).
_FP4 = (0.0, 0.0052083333, 0.16666667, 0.25, 0.33333333, 0.5, 0.66666667, 1.0)
CODES = {
    "fp4": tuple(sign * code for code in _FP4 for sign in (1, -1)),
    "nf4": (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ),
}  # fmt: skip

#: Key -> weight -> the nearest weight that the format can hold, of the same shape and type.
ROUNDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "fp32": lambda weight: weight,
    "fp16": partial(_same_type, dtype=torch.float16),
    "fp8": _float8(torch.float8_e4m3fn),
    "fp4": partial(_per_group, partial(_coded, CODES["fp4"])),
    "bf16": partial(_same_type, dtype=torch.bfloat16),
    "int8": partial(_per_channel, torch.round, 127.0),
    "fp8_e5m2": _float8(torch.float8_e5m2),
    "nf4": partial(_per_group, partial(_coded, CODES["nf4"])),
    "int4": partial(_per_group, partial(_symmetric, 7)),
    "int4_affine": partial(_per_group, partial(_affine, 15)),
    "int3": partial(_per_group, partial(_symmetric, 3)),
    "int2": partial(_per_group, partial(_symmetric, 1)),
    "w4a4": partial(_per_group, partial(_symmetric, 7)),
}

#: Key -> inputs of a layer (..., features) -> the nearest that the format can hold, scaled anew in every call.
INPUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "w4a4": partial(_per_token, partial(_symmetric, 7)),
}

#: Key -> layer -> the layer that stores its weight in the format; for casts, component -> None, changed in place.
NATIVE: dict[str, Callable[[nn.Module], nn.Module | None]] = {
    "fp32": lambda component: None,
    "fp16": partial(_cast, torch.float16),
    "fp8": partial(_quanto, "qfloat8_e4m3fn"),
    "fp4": partial(_blockwise, "fp4"),
    "bf16": partial(_cast, torch.bfloat16),
    "int8": partial(_quanto, "qint8"),
    "fp8_e5m2": partial(_quanto, "qfloat8_e5m2"),
    "nf4": partial(_blockwise, "nf4"),
}


class _Formats(Mapping[str, Format]):
    """The catalogue's rows with their functions, from the module that a row names, imported when it is asked for."""

    def __getitem__(self, key: str) -> Format:
        row = PRECISIONS[key]
        module = importlib.import_module(row.module)
        if key not in module.ROUNDED:
            raise Failure(f"precision {key}: {row.module}.ROUNDED has no function of it")
        native, inputs = (getattr(module, table, {}).get(key) for table in ("NATIVE", "INPUTS"))
        return Format(**vars(row), rounded=module.ROUNDED[key], native=native, rounded_inputs=inputs)

    def __contains__(self, key: object) -> bool:
        return key in PRECISIONS

    def __iter__(self) -> Iterator[str]:
        return iter(PRECISIONS)

    def __len__(self) -> int:
        return len(PRECISIONS)


#: Every precision by key; UsageError for an unknown one.
FORMATS = _Formats()
