"""Memory and time of the real architectures on a device, with random weights: neither depends on the weights' values.

All of a checkpoint's networks are put on the device in the wanted precision, layer by layer, so that no more memory is
used on the way than at the end; then the denoiser runs steps at the checkpoint's native resolution.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from helpers.core.device import accelerator, forget_peak, peaks, release, require, synchronize
from helpers.core.errors import UsageError
from helpers.generators.networks import Architecture, Network, build, named
from helpers.precision.catalogue import DECK, UNQUANTIZED
from helpers.precision.coverage import holdings
from helpers.precision.footprint import QUANTIZED, chosen
from helpers.precision.formats import FORMATS
from helpers.precision.quantize import LAYERS, declare_type, targets

__all__ = ["STEPS", "WARM", "computing_type", "inputs", "materialise", "measure", "table"]

#: Steps that are timed, after steps that are not: kernels are chosen and caches filled in those.
STEPS, WARM = 10, 3
#: Tokens of a prompt: CLIP's, and with the T5-like encoder's behind them (SD3) or alone (Flux).
CLIP_TOKENS, SD3_TOKENS, FLUX_TOKENS = 77, 77 + 256, 512


def computing_type(precision: str) -> torch.dtype:
    """What a checkpoint computes in here: FP32 and FP16 in themselves, all other formats in BF16."""
    return {UNQUANTIZED: torch.float32, "fp16": torch.float16}.get(precision, torch.bfloat16)


def materialise(network: Network, precision: str, coverage: str, device: str, dtype: torch.dtype) -> nn.Module:
    """The network on the device with random weights of type `dtype`, its layers in the format one by one as made.

    Casts are nothing more than their type: `dtype` says it.
    """
    component, row = build(network, dtype), FORMATS[precision]
    packed = set(targets(component, row, LAYERS[coverage])) if row.scope == "layers" else set()
    if packed:
        declare_type(component)
    shared: dict[int, nn.Parameter] = {}
    for name, module in list(component.named_modules()):
        for key, parameter in list(module._parameters.items()):
            if parameter is not None:
                if id(parameter) not in shared:
                    shared[id(parameter)] = nn.Parameter(_random(parameter, device), requires_grad=False)
                module._parameters[key] = shared[id(parameter)]
        for key, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[key] = _random(buffer, device)
        if name in packed:
            component.set_submodule(name, row.native(module))
    return component.requires_grad_(False).eval()


def _random(like: Tensor, device: str) -> Tensor:
    """Small random numbers of a tensor's shape and type; zeros where it holds integers."""
    made = torch.zeros(like.shape, dtype=like.dtype, device=device)
    return made.normal_(std=0.02) if made.is_floating_point() else made


def _unet(config: Any, edge: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    made = {
        "sample": torch.randn(2, config.in_channels, edge, edge, dtype=dtype, device=device),
        "timestep": torch.tensor(500, device=device),
        "encoder_hidden_states": torch.randn(2, CLIP_TOKENS, config.cross_attention_dim, dtype=dtype, device=device),
    }
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        made["added_cond_kwargs"] = {
            "text_embeds": torch.randn(2, width, dtype=dtype, device=device),
            "time_ids": torch.zeros(2, 6, dtype=dtype, device=device),
        }
    return made


def _sd3(config: Any, edge: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    return {
        "hidden_states": torch.randn(2, config.in_channels, edge, edge, dtype=dtype, device=device),
        "timestep": torch.full((2,), 500.0, device=device),
        "encoder_hidden_states": torch.randn(2, SD3_TOKENS, config.joint_attention_dim, dtype=dtype, device=device),
        "pooled_projections": torch.randn(2, config.pooled_projection_dim, dtype=dtype, device=device),
    }


def _flux(config: Any, edge: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    patches = (edge // 2) ** 2  # the pipeline packs 2 x 2 latents into one token
    made = {
        "hidden_states": torch.randn(1, patches, config.in_channels, dtype=dtype, device=device),
        "timestep": torch.tensor([0.5], dtype=dtype, device=device),
        "encoder_hidden_states": torch.randn(1, FLUX_TOKENS, config.joint_attention_dim, dtype=dtype, device=device),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim, dtype=dtype, device=device),
        "img_ids": torch.zeros(patches, 3, dtype=dtype, device=device),
        "txt_ids": torch.zeros(FLUX_TOKENS, 3, dtype=dtype, device=device),
    }
    guidance = torch.full((1,), 3.5, dtype=dtype, device=device)
    return made | ({"guidance": guidance} if config.guidance_embeds else {})


_INPUTS: dict[str, Callable[..., dict[str, Any]]] = {
    "UNet2DConditionModel": _unet,
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
}


def inputs(denoiser: nn.Module, pixels: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """Random inputs of one denoising step of an image of `pixels` edge.

    Two rows (with the prompt and without) where the pipeline guides itself so, one for Flux, whose guidance is an
    input. Latents have an eighth of the image's edge.
    """
    return _INPUTS[type(denoiser).__name__](denoiser.config, pixels // 8, dtype, device)


def measure(
    checkpoint: Architecture, precision: str, coverage: str = "linear", device: str = "cuda", steps: int = STEPS
) -> dict[str, Any]:
    """One row: a checkpoint at a precision on a device.

    fits; bytes (of all weights as stored), peak_allocated and peak_reserved (bytes during the timed steps, everything
    that is on the device; on a CPU the process's peak and None), seconds_per_step (median), batch, pixels, steps;
    kernels (JSON: kind of layer and of its weight -> how many in the denoiser); card, driver, versions. Where the
    device's memory is too small, `fits` is False and the measures are missing.
    """
    row = {
        "checkpoint": checkpoint.key, "precision": precision,
        "coverage": coverage if FORMATS[precision].scope == "layers" else "whole",
        "pixels": checkpoint.pixels, "steps": steps, "fits": True, **accelerator(device),
    }  # fmt: skip
    forget_peak(device)
    try:
        return row | _measures(checkpoint, precision, coverage, device, steps)
    except torch.OutOfMemoryError:
        return row | {"fits": False}
    finally:
        release(device)


def _measures(checkpoint: Architecture, precision: str, coverage: str, device: str, steps: int) -> dict[str, Any]:
    dtype = computing_type(precision)
    plain = precision if precision == UNQUANTIZED else "bf16"
    parts = {
        name: materialise(network, precision if name in QUANTIZED else plain, coverage, device, dtype)
        for name, network in checkpoint.parts.items()
    }
    denoiser = parts["denoiser"]
    given = inputs(denoiser, checkpoint.pixels, dtype, device)
    seconds = []
    with torch.inference_mode():
        for step in range(WARM + steps):
            if step == WARM:
                forget_peak(device)
            began = perf_counter()
            denoiser(**given)
            synchronize(device)
            seconds.append(perf_counter() - began)
    kernels = Counter(_kernel(module) for module in denoiser.modules() if isinstance(module, (nn.Linear, nn.Conv2d)))
    return {
        "bytes": sum(size for part in parts.values() for *_, size in holdings(part)),
        **peaks(device),
        "seconds_per_step": median(seconds[WARM:]),
        "batch": len(next(iter(given.values()))),
        "kernels": json.dumps(dict(sorted(kernels.items()))),
    }


def _kernel(layer: nn.Module) -> str:
    """Which product a layer runs: its class, and that of what its weight is kept in."""
    held = next((type(part).__name__ for part in layer.children()), type(layer.weight).__name__)
    return f"{type(layer).__name__}/{held}"


def table(
    device: str, checkpoints: Sequence[str] | None = None, precisions: Sequence[str] | None = None
) -> pd.DataFrame:
    """A row of `measure` for each checkpoint, precision and coverage; formats without a native library are left out.

    `precisions` are those of the deck by default; "all" is run beside "linear" where the denoiser has convolutions to
    speak of (the UNets). Raises UsageError for an unknown word, a format that no library stores, or no such device.
    """
    require(device)
    keys = chosen(precisions or DECK)
    without = [key for key in keys if FORMATS[key].native is None]
    if without:
        raise UsageError(f"{without[0]}: no library here stores it, so it has no time; leave it out")
    plan = [
        (checkpoint, precision, coverage)
        for checkpoint in named(checkpoints)
        for precision in keys
        for coverage in _coverages(checkpoint, precision)
    ]
    with tqdm(plan, desc="footprint", unit=" runs", dynamic_ncols=True) as bar:
        return pd.DataFrame([measure(checkpoint, *how, device) for checkpoint, *how in bar])


def _coverages(checkpoint: Architecture, precision: str) -> list[str]:
    convolutions = checkpoint.parts["denoiser"].kind == "UNet2DConditionModel"
    return list(LAYERS) if convolutions and FORMATS[precision].scope == "layers" else ["linear"]
