"""Stable Diffusion XL in small: a UNet that predicts noise at 128 px and is told sizes and crop, two CLIP encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn

from helpers.mini.families._common import CLIP_WIDTH, SCHEDULE, UNET, Decoder, Family, Recipe, clip_encoder, tokenizer

__all__ = ["FAMILY"]

_SIZE = 128
_TIME_WIDTH = 16  # of the embedding of each of the six numbers: original size, crop, wanted size


def _denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **UNET,
        sample_size=32,
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=2 * CLIP_WIDTH,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_WIDTH,
        projection_class_embeddings_input_dim=CLIP_WIDTH + 6 * _TIME_WIDTH,
    )


def _assemble(vae: AutoencoderKL, unet: nn.Module) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=clip_encoder(projected=False),
        text_encoder_2=clip_encoder(projected=True),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("clip"),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE, beta_end=0.012, timestep_spacing="trailing"),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def _encode(pipeline: Any, texts: list[str]) -> dict[str, Tensor]:
    context, _, pooled, _ = pipeline.encode_prompt(texts, device="cpu", do_classifier_free_guidance=False)
    return {"context": context, "pooled": pooled}


def _predict(
    pipeline: Any, network: Any, noisy: Tensor, time: Tensor, text: Mapping[str, Tensor], guidance: Tensor
) -> Tensor:
    ids = torch.tensor([_SIZE, _SIZE, 0, 0, _SIZE, _SIZE], device=noisy.device).float()
    added = {"text_embeds": text["pooled"], "time_ids": ids.expand(len(noisy), 6)}
    return network(noisy, time, text["context"], added_cond_kwargs=added).sample


FAMILY = Family(
    size=_SIZE,
    vae="kl4",
    decoder=Decoder("sdxl", sizes=(_SIZE,), seed=14),
    prediction="epsilon",
    recipe=Recipe(rounds=(4500, 3500, 3000), seed=23),
    denoiser=_denoiser,
    assemble=_assemble,
    encode=_encode,
    predict=_predict,
)
