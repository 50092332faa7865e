"""Where a pipeline's networks lie while it works on a GPU: counted, chosen, and done by diffusers' own means.

Weights are counted. What a pipeline takes beside them, its activations, is an allowance: the most that published runs
of one image of 1024 px took (results/footprint/published.csv: 5.1 GB, the peak less what was loaded, in 16 bits), by
the pixels, the images computed together and the bytes of a number. Attention that keeps its scores, as SD2.1's does in
float16, is counted besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from helpers.core.errors import UsageError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

__all__ = [
    "RESERVE", "WORDS", "Need", "activations", "attention", "bring", "free", "place", "require", "take_own_types",
    "works_on",
]  # fmt: skip

#: Bytes of activations of one image of 1024 px in 16 bits.
ACTIVATIONS = 5_100_000_000
#: Bytes of a card that no allocation gets: the context of CUDA, its kernels, and what lies between blocks.
RESERVE = 1_000_000_000

#: The placements, the quickest first, with their names in print.
WORDS = {
    "whole": "whole on the card",
    "model": "model offload",
    "sequential": "sequential offload",
    "balanced": "balanced over the cards",
}


@dataclass(frozen=True)
class Need:
    """What a pipeline needs of a card, in bytes.

    Attributes:
        parts: of each component's weights as they are stored.
        largest: of the weights of the largest single layer.
        working: of what the denoiser and the VAE take beside weights; a text encoder, of a few hundred tokens, next to
            nothing.
        by_layers: whether its layers can be brought one by one: layers in a library's 8 or 4 bits cannot (accelerate
            loses what belongs to their weights: diffusers' issues 10526 and 10800).
    """

    parts: Mapping[str, int]
    largest: int
    working: int
    by_layers: bool = True

    @property
    def peaks(self) -> dict[str, int]:
        """Peak of each placement on one card that is possible, the quickest first."""
        alone = [size + (0 if _encodes_text(name) else self.working) for name, size in self.parts.items()]
        found = {"whole": sum(self.parts.values()) + self.working, "model": max(alone, default=self.working)}
        return found | ({"sequential": self.largest + self.working} if self.by_layers else {})

    def chosen(self, memory: int) -> tuple[str, bool]:
        """The quickest placement whose peak is within `memory`, and whether one is; else the most sparing one."""
        fitting = [how for how, peak in self.peaks.items() if peak <= memory]
        return (fitting[0], True) if fitting else (min(self.peaks, key=self.peaks.__getitem__), False)


def _encodes_text(component: str) -> bool:
    return component == "t5" or component.startswith("text_encoder")


def activations(size: int, batch: int, itemsize: int) -> int:
    """The allowance, in bytes, for `batch` images of `size` px in a type of `itemsize` bytes."""
    return round(ACTIVATIONS * (size / 1024) ** 2 * batch * itemsize / 2)


def attention(config: Mapping[str, Any], size: int, batch: int, dtype: str) -> int:
    """Bytes of the scores of a UNet's attention where they are kept: in float16, if its configuration has it upcast.

    The largest are those of its first level: for each image, twice for guidance, and each head (which the configuration
    calls attention_head_dim) one number for each pair of latent pixels, in FP32 before and after the softmax.
    """
    if dtype != "float16" or not config.get("upcast_attention"):
        return 0
    heads = config["attention_head_dim"]
    return 2 * batch * (heads if isinstance(heads, int) else heads[0]) * (size // 8) ** 4 * 4 * 2


def free(device: str) -> int:
    """Bytes that a GPU has for a pipeline now: what no process holds, and what PyTorch keeps here for itself."""
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def place(pipeline: DiffusionPipeline, how: str, device: str) -> None:
    """Put a quantized pipeline from RAM on a GPU in one of `WORDS`; one that was loaded "balanced" is there already.

    Raises UsageError where accelerate is missing, which all but "whole" need.
    """
    require(how)
    if how == "whole":
        pipeline.to(device)
    elif how == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif how == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)


def bring(network: torch.nn.Module, device: str, working: int) -> None:
    """Put one network from RAM on a device: whole, or where it and `working` bytes do not fit there, layer by layer.

    Raises UsageError where that takes accelerate and it is missing.
    """
    size = sum(tensor.nbytes for tensor in [*network.parameters(), *network.buffers()])
    if device == "cpu" or size + working <= free(device):
        network.to(device)
        return
    require("sequential")
    from accelerate import cpu_offload

    cpu_offload(network, device, offload_buffers=True)


def works_on(network: torch.nn.Module) -> torch.device:
    """The device on which a network computes, wherever its weights wait."""
    for module in network.modules():
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if device is not None:
            import torch

            return torch.device(device)
    return next(parameter for parameter in network.parameters()).device


def require(how: str | None) -> None:
    """Raise UsageError where a placement needs accelerate and it is not installed."""
    if how not in (None, "whole") and find_spec("accelerate") is None:
        raise UsageError(
            f"{WORDS[how]} needs the package accelerate; pip install 'quantdetect[models]' brings it, or set"
            ' memory.placement = "whole" on a card that is large enough'
        )


def take_own_types(pipeline: DiffusionPipeline) -> None:
    """Let every network take floating-point inputs in its own type: pipelines hand over what the one before gave."""
    import torch

    for part in pipeline.components.values():
        for entrance in _entrances(part) if isinstance(part, torch.nn.Module) else ():
            entrance.register_forward_pre_hook(_in_type(part.dtype), with_kwargs=True)


def _entrances(part: Any) -> list[torch.nn.Module]:
    """The modules by which inputs come in: a VAE's are called by `encode` and `decode`, past itself."""
    inner = [getattr(part, name, None) for name in ("encoder", "post_quant_conv", "decoder")]
    return [module for module in inner if module is not None] if hasattr(part, "decode") else [part]


def _in_type(dtype: torch.dtype) -> Any:
    def cast(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        def one(value: Any) -> Any:
            return value.to(dtype) if getattr(value, "is_floating_point", lambda: False)() else value

        return tuple(map(one, args)), {name: one(value) for name, value in kwargs.items()}

    return cast
