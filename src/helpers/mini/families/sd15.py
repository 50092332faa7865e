"""Stable Diffusion 1.5 in small: a UNet that predicts noise at 64 px, one CLIP text encoder, a VAE of 4 channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from helpers.mini.families._common import CLIP_WIDTH, SCHEDULE, UNET, Decoder, Family, Recipe, clip_encoder, tokenizer

__all__ = ["FAMILY"]


def _denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **UNET,
        sample_size=16,
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=4,  # diffusers' name: heads per attention in this family
    )


def _assemble(vae: AutoencoderKL, unet: nn.Module) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=clip_encoder(projected=False),
        tokenizer=tokenizer("clip"),
        unet=unet,
        scheduler=DDIMScheduler(
            **SCHEDULE,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            rescale_betas_zero_snr=False,
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _encode(pipeline: Any, texts: list[str]) -> dict[str, Tensor]:
    return {"context": pipeline.encode_prompt(texts, "cpu", 1, False)[0]}


def _predict(
    pipeline: Any, network: Any, noisy: Tensor, time: Tensor, text: Mapping[str, Tensor], guidance: Tensor
) -> Tensor:
    return network(noisy, time, text["context"]).sample


FAMILY = Family(
    size=64,
    vae="kl4",
    decoder=Decoder("sd", sizes=(64, 96), seed=13),
    prediction="epsilon",
    recipe=Recipe(rounds=(5000, 4000), seed=21),
    denoiser=_denoiser,
    assemble=_assemble,
    encode=_encode,
    predict=_predict,
)
