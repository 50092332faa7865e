"""Stable Diffusion 3.5 in small: SD3's miniature, decoder included, with normed queries and keys."""

from __future__ import annotations

from dataclasses import replace

from diffusers import SD3Transformer2DModel

from helpers.mini.families import sd3
from helpers.mini.families._common import Recipe

__all__ = ["FAMILY"]


def _denoiser() -> SD3Transformer2DModel:
    return sd3.transformer(qk_norm="rms_norm")


FAMILY = replace(sd3.FAMILY, recipe=Recipe(rounds=(8000, 12000, 8000), seed=25), denoiser=_denoiser)
