"""What miniature families share: the record of one, its recipe, word-level tokenizers, text encoders, and VAEs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from helpers.world import vocabulary

__all__ = [
    "CLIP_WIDTH",
    "MAX_TOKENS",
    "SCHEDULE",
    "T5_WIDTH",
    "UNET",
    "VAES",
    "Decoder",
    "Family",
    "Recipe",
    "Vae",
    "build_vae",
    "clip_encoder",
    "t5_encoder",
    "tokenizer",
]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast one denoiser is trained.

    Attributes:
        rounds: optimisation steps of each round; the rate rises and falls once a round (warm restarts, Loshchilov &
            Hutter 2017), so that a finished training can be taken further by one more round.
        seed: of weights, batches and noise.
        batch: images a step. rate: the highest learning rate. images: training renders.
    """

    rounds: tuple[int, ...]
    seed: int
    batch: int = 16
    rate: float = 1.0e-3
    images: int = 12000

    @property
    def steps(self) -> int:
        """Steps of all rounds."""
        return sum(self.rounds)

    def place(self, step: int) -> tuple[int, int]:
        """The step's number in its round, and the round's length; IndexError beyond the last round."""
        for length in self.rounds:
            if step < length:
                return step, length
            step -= length
        raise IndexError(f"step {step} beyond the last round")


@dataclass(frozen=True)
class Vae:
    """A kind of VAE, whose encoder families share.

    Attributes:
        channels: of each level; each level but the last halves the image. latent: channels of its latents.
        sizes: of the renders that it is trained on, pixels. seed: of weights and batches.
    """

    channels: tuple[int, ...]
    latent: int
    sizes: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Decoder:
    """A VAE's decoder, trained for the families that name it: its name, the renders' sizes in pixels, its seed."""

    name: str
    sizes: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Family:
    """How one miniature is put together, trained and called.

    Attributes:
        size: native width and height of its images, pixels.
        vae: kind of its VAE (`VAES`). decoder: the VAE's trained decoder.
        prediction: what the denoiser predicts ("epsilon", "v_prediction" or "flow").
        recipe: how the denoiser is trained.
        denoiser: builds the untrained UNet or transformer.
        assemble: (VAE, denoiser) -> the pipeline.
        encode: (pipeline, texts) -> what the denoiser is told of N texts, by name, each (N, ...).
        predict: (pipeline, network, noisy latents (N, C, h, w), times (N,) from 0 to 1000, encoded texts, guidance
            (N,)) -> prediction (N, C, h, w); `network` is the denoiser, or stands in its place.
        distilled: whether the denoiser is told the guidance and learns what it does.
    """

    size: int
    vae: str
    decoder: Decoder
    prediction: str
    recipe: Recipe
    denoiser: Callable[[], nn.Module]
    assemble: Callable[[AutoencoderKL, nn.Module], Any]
    encode: Callable[[Any, list[str]], dict[str, Tensor]]
    predict: Callable[[Any, Callable[..., Any], Tensor, Tensor, Mapping[str, Tensor], Tensor], Tensor]
    distilled: bool = False


# Text

#: Length of a tokenized prompt: the longest caption has 17 words and marks, and two marks of its own.
MAX_TOKENS = 20
_SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
_PAD, _UNK, _BOS, _EOS = range(4)

#: Widths of the text encoders' states.
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


def clip_encoder(projected: bool) -> CLIPTextModel | CLIPTextModelWithProjection:
    """Return an untrained CLIP text encoder, `projected` with the projection of its pooled state."""
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


def t5_encoder() -> T5EncoderModel:
    """Return an untrained T5 encoder."""
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


# Images

VAES: Mapping[str, Vae] = {
    "kl4": Vae((16, 32, 64), latent=4, sizes=(64, 96, 128), seed=11),
    "kl16": Vae((16, 32, 48, 64), latent=16, sizes=(128,), seed=12),
}


def build_vae(kind: str) -> AutoencoderKL:
    """Return an untrained VAE of a kind in `VAES`; as in the originals, only `kl4` has quant convolutions."""
    of = VAES[kind]
    levels = len(of.channels)
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=list(of.channels),
        layers_per_block=1,
        latent_channels=of.latent,
        norm_num_groups=8,
        mid_block_add_attention=False,
        use_quant_conv=of.latent == 4,
        use_post_quant_conv=of.latent == 4,
        sample_size=128,
        force_upcast=False,
        shift_factor=None if of.latent == 4 else 0.0,
        scaling_factor=1.0,
    )


# Denoisers

#: What the UNets have in common.
UNET = {
    "block_out_channels": (32, 48, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 16,
}

#: The originals' noise schedule, without its end.
SCHEDULE = {"beta_start": 0.00085, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1}
