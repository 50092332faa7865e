"""Stable Diffusion 2.1 in small: as 1.5, but it predicts velocity at 96 px, and its text encoder is one layer shorter.

The VAE, its decoder included, and the way the UNet is called are 1.5's.
"""

from __future__ import annotations

from dataclasses import replace

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from helpers.mini.families import sd15
from helpers.mini.families._common import CLIP_WIDTH, SCHEDULE, UNET, Recipe, clip_encoder, tokenizer

__all__ = ["FAMILY"]


def _denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **UNET,
        sample_size=24,
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
    )


def _text_encoder() -> CLIPTextModel:
    """SD2.1 reads the layer before the last: its published encoder is cut there, and this one is cut likewise."""
    whole = clip_encoder(projected=False).config.to_dict()
    return CLIPTextModel(CLIPTextConfig(**{**whole, "num_hidden_layers": 2, "hidden_act": "gelu"}))


def _assemble(vae: AutoencoderKL, unet: nn.Module) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=_text_encoder(),
        tokenizer=tokenizer("clip"),
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(
            **SCHEDULE,
            beta_end=0.025,  # on so few latents the last step of the original's 0.012 would show the ground's colour
            prediction_type="v_prediction",
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


FAMILY = replace(
    sd15.FAMILY,
    size=96,
    prediction="v_prediction",
    recipe=Recipe(rounds=(6500,), seed=22),
    denoiser=_denoiser,
    assemble=_assemble,
)
