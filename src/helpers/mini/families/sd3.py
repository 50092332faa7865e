"""Stable Diffusion 3 in small: an MMDiT that predicts flow at 128 px, two CLIP encoders and T5, 16 latent channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
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

__all__ = ["FAMILY", "transformer"]


def transformer(qk_norm: str | None = None) -> SD3Transformer2DModel:
    """Return the untrained MMDiT; `qk_norm` names the norm of queries and keys, which SD3 lacks and SD3.5 has."""
    return SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=4,
        attention_head_dim=32,
        num_attention_heads=3,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=96,
        pooled_projection_dim=2 * CLIP_WIDTH,
        pos_embed_max_size=16,
        qk_norm=qk_norm,
    )


def _assemble(vae: AutoencoderKL, transformer: nn.Module) -> StableDiffusion3Pipeline:
    return StableDiffusion3Pipeline(
        vae=vae,
        text_encoder=clip_encoder(projected=True),
        text_encoder_2=clip_encoder(projected=True),
        text_encoder_3=t5_encoder(),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("clip"),
        tokenizer_3=tokenizer("t5"),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.5),
    )


def _encode(pipeline: Any, texts: list[str]) -> dict[str, Tensor]:
    context, _, pooled, _ = pipeline.encode_prompt(
        texts, None, None, device="cpu", do_classifier_free_guidance=False, max_sequence_length=MAX_TOKENS
    )
    return {"context": context, "pooled": pooled}


def _predict(
    pipeline: Any, network: Any, noisy: Tensor, time: Tensor, text: Mapping[str, Tensor], guidance: Tensor
) -> Tensor:
    return network(noisy, text["context"], text["pooled"], time).sample


FAMILY = Family(
    size=128,
    vae="kl16",
    decoder=Decoder("sd3", sizes=(128,), seed=15),
    prediction="flow",
    recipe=Recipe(rounds=(9000, 12000, 8000), seed=24),
    denoiser=transformer,
    assemble=_assemble,
    encode=_encode,
    predict=_predict,
)
