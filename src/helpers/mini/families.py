"""The six miniature generators, untrained: diffusers' own classes at small sizes, each true to its family in kind.

What is kept of each family: its denoiser class, its prediction type and scheduler, how many text encoders of which
kind feed it and through which layers, the channels of its VAE, and the ratio of resolutions 512 : 768 : 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from helpers.core.errors import UsageError, nearest
from helpers.world import vocabulary

__all__ = ["ARCHITECTURES", "MAX_TOKENS", "VAES", "Architecture", "build", "build_vae", "tokenizer"]

#: Length of a tokenized prompt: the longest caption has 17 words and marks, and two marks of its own.
MAX_TOKENS = 20
_SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
_PAD, _UNK, _BOS, _EOS = range(4)

CLIP_WIDTH, T5_WIDTH = 64, 128


def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return the word-level tokenizer of a "clip" (begin and end marks) or "t5" (end mark) text encoder."""
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate((*_SPECIAL, *vocabulary()))}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    single = "<bos> $A <eos>" if kind == "clip" else "$A <eos>"
    words.post_processor = processors.TemplateProcessing(single, special_tokens=[("<bos>", _BOS), ("<eos>", _EOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        model_max_length=MAX_TOKENS,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
    )


def _clip(projected: bool) -> CLIPTextModel | CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(_SPECIAL) + len(vocabulary()),
        hidden_size=CLIP_WIDTH,
        intermediate_size=4 * CLIP_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=CLIP_WIDTH,
        pad_token_id=_PAD,
        bos_token_id=_BOS,
        eos_token_id=_EOS,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(_SPECIAL) + len(vocabulary()),
            d_model=T5_WIDTH,
            d_ff=2 * T5_WIDTH,
            d_kv=32,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=16,
            feed_forward_proj="gated-gelu",
            pad_token_id=_PAD,
            eos_token_id=_EOS,
            dropout_rate=0.0,
        )
    )


#: VAEs by kind: channels per level (each level but the last halves the image), and latent channels.
VAES: Mapping[str, tuple[tuple[int, ...], int]] = {"kl4": ((16, 32, 64), 4), "kl16": ((16, 32, 48, 64), 16)}


def build_vae(kind: str) -> AutoencoderKL:
    """Return an untrained VAE of a kind in `VAES`; as in the originals, only `kl4` has quant convolutions."""
    channels, latent = VAES[kind]
    levels = len(channels)
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=list(channels),
        layers_per_block=1,
        latent_channels=latent,
        norm_num_groups=8,
        mid_block_add_attention=False,
        use_quant_conv=latent == 4,
        use_post_quant_conv=latent == 4,
        sample_size=128,
        force_upcast=False,
        shift_factor=None if latent == 4 else 0.0,
        scaling_factor=1.0,
    )


@dataclass(frozen=True)
class Architecture:
    """How one miniature is put together.

    Attributes:
        size: native width and height of its images, pixels.
        vae: kind of its VAE (`VAES`) ; trained: the key under which its trained weights are shared.
        denoiser: builds the untrained UNet or transformer.
        assemble: builds the pipeline from its VAE and denoiser.
        prediction: what the denoiser predicts ("epsilon", "v_prediction" or "flow").
    """

    size: int
    vae: str
    trained: str
    prediction: str
    denoiser: Callable[[], torch.nn.Module]
    assemble: Callable[[AutoencoderKL, torch.nn.Module], Any]


_SCHEDULE = {"beta_start": 0.00085, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1}
#: The originals' noise schedule.
_NOISE = {"beta_end": 0.012, **_SCHEDULE}
#: The same with a higher end: on so few latents the original's last step would still show the ground's colour.
_MORE_NOISE = {"beta_end": 0.025, **_SCHEDULE}


def _unet15() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 48, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=4,  # diffusers' name: heads per attention in this family
        norm_num_groups=16,
    )


def _unet21() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=24,
        block_out_channels=(32, 48, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=(2, 4, 4),
        norm_num_groups=16,
        use_linear_projection=True,
    )


def _unetxl() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(32, 48, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        layers_per_block=1,
        cross_attention_dim=2 * CLIP_WIDTH,
        attention_head_dim=(2, 4, 4),
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=CLIP_WIDTH + 6 * 16,
    )


def _mmdit(qk_norm: str | None) -> SD3Transformer2DModel:
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


def _flux() -> FluxTransformer2DModel:
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


def _assemble15(vae: AutoencoderKL, unet: torch.nn.Module) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=_clip(projected=False),
        tokenizer=tokenizer("clip"),
        unet=unet,
        scheduler=DDIMScheduler(
            **_NOISE,
            clip_sample=False,
            set_alpha_to_one=False,
            rescale_betas_zero_snr=False,
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _assemble21(vae: AutoencoderKL, unet: torch.nn.Module) -> StableDiffusionPipeline:
    encoder = _clip(projected=False)
    # SD2.1 reads the layer before the last: its published encoder is cut there, and this one is cut likewise.
    cut = {"num_hidden_layers": 2, "hidden_act": "gelu"}
    encoder = CLIPTextModel(CLIPTextConfig(**{**encoder.config.to_dict(), **cut}))
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer("clip"),
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(
            **_MORE_NOISE, prediction_type="v_prediction", timestep_spacing="trailing"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _assemblexl(vae: AutoencoderKL, unet: torch.nn.Module) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=_clip(projected=False),
        text_encoder_2=_clip(projected=True),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("clip"),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**_NOISE, timestep_spacing="trailing"),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def _assemble3(vae: AutoencoderKL, transformer: torch.nn.Module) -> StableDiffusion3Pipeline:
    return StableDiffusion3Pipeline(
        vae=vae,
        text_encoder=_clip(projected=True),
        text_encoder_2=_clip(projected=True),
        text_encoder_3=_t5(),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("clip"),
        tokenizer_3=tokenizer("t5"),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.5),
    )


def _assembleflux(vae: AutoencoderKL, transformer: torch.nn.Module) -> FluxPipeline:
    return FluxPipeline(
        vae=vae,
        text_encoder=_clip(projected=False),
        text_encoder_2=_t5(),
        tokenizer=tokenizer("clip"),
        tokenizer_2=tokenizer("t5"),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.5),
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    "sd15": Architecture(64, "kl4", "sd", "epsilon", _unet15, _assemble15),
    "sd21": Architecture(96, "kl4", "sd", "v_prediction", _unet21, _assemble21),
    "sdxl": Architecture(128, "kl4", "sdxl", "epsilon", _unetxl, _assemblexl),
    "sd3": Architecture(128, "kl16", "sd3", "flow", lambda: _mmdit(None), _assemble3),
    "sd35": Architecture(128, "kl16", "sd3", "flow", lambda: _mmdit("rms_norm"), _assemble3),
    "flux1": Architecture(128, "kl16", "flux1", "flow", _flux, _assembleflux),
}


def build(key: str, seed: int = 0, vae: AutoencoderKL | None = None) -> Any:
    """Return an untrained miniature pipeline, the same for the same seed.

    Args:
        key: one of `ARCHITECTURES`.
        seed: seeds the weights.
        vae: a trained VAE to put in; untrained if None.

    Raises:
        UsageError: the key is unknown; the message names the nearest.
    """
    if key not in ARCHITECTURES:
        raise UsageError(f"no miniature generator {key!r}{nearest(key, ARCHITECTURES)}")
    of = ARCHITECTURES[key]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = of.assemble(vae or build_vae(of.vae), of.denoiser())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
