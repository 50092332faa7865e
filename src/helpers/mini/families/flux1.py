"""FLUX.1-dev in small: a transformer told its guidance that predicts flow at 128 px on packed latents, CLIP and T5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import Tensor, nn

from helpers.mini.families._common import (
    CLIP_WIDTH,
    MAX_TOKENS,
    T5_WIDTH,
    Decoder,
    Family,
    Recipe,
    clip_encoder,
    t5_encoder,
    tokenizer,
)

__all__ = ["FAMILY"]

_SIZE = 128


def _denoiser() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=32,
        num_attention_heads=3,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=CLIP_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )


def _assemble(vae: AutoencoderKL, transformer: nn.Module) -> FluxPipeline:
    return FluxPipeline(
        vae=vae,
        text_encoder=clip_encoder(projected=False),
        text_encoder_2=t5_encoder(),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("t5"),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.5),
    )


def _encode(pipeline: Any, texts: list[str]) -> dict[str, Tensor]:
    context, pooled, _ = pipeline.encode_prompt(texts, None, device="cpu", max_sequence_length=MAX_TOKENS)
    return {"context": context, "pooled": pooled}


def _predict(
    pipeline: Any, network: Any, noisy: Tensor, time: Tensor, text: Mapping[str, Tensor], guidance: Tensor
) -> Tensor:
    count, channels, high, wide = noisy.shape
    context, words = text["context"], torch.zeros(text["context"].shape[1], 3, device=noisy.device)
    packed = pipeline._pack_latents(noisy, count, channels, high, wide)
    places = pipeline._prepare_latent_image_ids(count, high // 2, wide // 2, noisy.device, noisy.dtype)
    made = network(packed, context, text["pooled"], time / 1000, places, words, guidance).sample
    return pipeline._unpack_latents(made, _SIZE, _SIZE, pipeline.vae_scale_factor)


FAMILY = Family(
    size=_SIZE,
    vae="kl16",
    decoder=Decoder("flux1", sizes=(_SIZE,), seed=16),
    prediction="flow",
    recipe=Recipe(rounds=(9000, 7500, 12000), seed=26),
    denoiser=_denoiser,
    assemble=_assemble,
    encode=_encode,
    predict=_predict,
    distilled=True,
)
