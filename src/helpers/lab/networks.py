"""A generator's networks as its pipeline uses them: prompt to embeddings, one guided prediction, latents to pixels.

Each is a module of tensors alone, so that it can become a graph: what a pipeline adds around its networks (the empty
prompt and guidance, packing, scaling) is inside, and nobody who runs the graphs needs to know the pipeline. Networks
have their names of `precision.catalogue.COMPONENTS`, so parameters are called as in the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.lab.recording import Recording

__all__ = ["Decoder", "Prediction", "Text", "ids", "prediction", "text", "tokenizers"]

#: Where a tokenizer stands among those of its pipeline.
_PLACES = {"clip": 0, "t5": -1}


class Text(nn.Module):
    """Token ids of one prompt (1, length), by tokenizer, to what the denoiser is given: embeddings, and pooled ones.

    With guidance these are the empty prompt's and the prompt's, in this order, else the prompt's alone.

    Attributes:
        tokenizers: names of the ids, in the order of `forward`'s arguments.
    """

    tokenizers: tuple[str, ...] = ("clip",)

    def __init__(self, pipeline: Any, guided: bool):
        super().__init__()
        self.guided = guided
        for name, tokenizer in tokenizers(pipeline, self.tokenizers).items():
            self.register_buffer(f"empty_{name}", ids(tokenizer, ""), persistent=False)
        for name, attribute in self.encoders().items():
            self.add_module(name, getattr(pipeline, attribute))

    def encoders(self) -> Mapping[str, str]:
        """Names of text encoders -> the pipeline's attributes."""
        return {"text_encoder": "text_encoder"}

    def forward(self, *ids: Tensor) -> tuple[Tensor, ...]:
        if self.guided:
            empty = (getattr(self, f"empty_{name}") for name in self.tokenizers)
            ids = tuple(torch.cat(both) for both in zip(empty, ids, strict=True))
        return self.encoded(*ids)

    def encoded(self, clip: Tensor) -> tuple[Tensor, ...]:
        return (self.text_encoder(clip)[0],)


class _TwoTowers(Text):
    """SDXL: the next-to-last states of both CLIP encoders side by side; the second's projection."""

    def encoders(self) -> Mapping[str, str]:
        return {"text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}

    def encoded(self, clip: Tensor) -> tuple[Tensor, ...]:
        first = self.text_encoder(clip, output_hidden_states=True)
        second = self.text_encoder_2(clip, output_hidden_states=True)
        return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1), second[0]


class _ThreeTowers(Text):
    """SD3: both CLIP encoders' states, side by side and filled up to T5's width, then T5's; both projections."""

    tokenizers = ("clip", "t5")

    def encoders(self) -> Mapping[str, str]:
        return {"text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2", "t5": "text_encoder_3"}

    def encoded(self, clip: Tensor, t5: Tensor) -> tuple[Tensor, ...]:
        first = self.text_encoder(clip, output_hidden_states=True)
        second = self.text_encoder_2(clip, output_hidden_states=True)
        both, long = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1), self.t5(t5)[0]
        both = F.pad(both, (0, long.shape[-1] - both.shape[-1]))
        return torch.cat([both, long], -2), torch.cat([first[0], second[0]], -1)


class _PooledAndLong(Text):
    """Flux: T5's states; CLIP's pooled output."""

    tokenizers = ("clip", "t5")

    def encoders(self) -> Mapping[str, str]:
        return {"text_encoder": "text_encoder", "t5": "text_encoder_2"}

    def encoded(self, clip: Tensor, t5: Tensor) -> tuple[Tensor, ...]:
        return self.t5(t5)[0], self.text_encoder(clip).pooler_output


class Prediction(nn.Module):
    """Latents (1, C, H, W), the time (1,) and what `Text` gives, to the prediction that the scheduler is given.

    Args:
        pipeline: the diffusers pipeline.
        recorded: what it hands its denoiser in one run.
        guidance: weight of the prompt's prediction over the empty prompt's.
    """

    def __init__(self, pipeline: Any, recorded: Recording, guidance: float):
        super().__init__()
        self.denoiser, self.guidance = recorded.denoiser, guidance

    def forward(self, x: Tensor, t: Tensor, *text: Tensor) -> Tensor:
        empty, prompt = self.predicted(x.repeat(2, 1, 1, 1), t.expand(2), *text).chunk(2)
        return empty + self.guidance * (prompt - empty)

    def predicted(self, x: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
        return self.denoiser(x, t, encoder_hidden_states=embeds, return_dict=False)[0]


class _WithSizes(Prediction):
    """SDXL: it is told the sizes of image and crop."""

    def __init__(self, pipeline: Any, recorded: Recording, guidance: float):
        super().__init__(pipeline, recorded, guidance)
        self.register_buffer("sizes", recorded.given["added_cond_kwargs"]["time_ids"].clone(), persistent=False)

    def predicted(self, x: Tensor, t: Tensor, embeds: Tensor, pooled: Tensor) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": self.sizes}
        return self.denoiser(x, t, encoder_hidden_states=embeds, added_cond_kwargs=added, return_dict=False)[0]


class _Pooled(Prediction):
    """SD3."""

    def predicted(self, x: Tensor, t: Tensor, embeds: Tensor, pooled: Tensor) -> Tensor:
        return self.denoiser(
            hidden_states=x, timestep=t, encoder_hidden_states=embeds, pooled_projections=pooled, return_dict=False
        )[0]


class _Packed(Prediction):
    """Flux: squares of 2 x 2 latents are tokens with their places, guidance is an input of the network."""

    def __init__(self, pipeline: Any, recorded: Recording, guidance: float):
        super().__init__(pipeline, recorded, guidance)
        self.pack, self.unpack = pipeline._pack_latents, pipeline._unpack_latents
        for name in ("guidance", "txt_ids", "img_ids"):
            self.register_buffer(f"given_{name}", recorded.given[name].clone(), persistent=False)

    def forward(self, x: Tensor, t: Tensor, *text: Tensor) -> Tensor:
        embeds, pooled = text
        count, channels, height, width = x.shape
        found = self.denoiser(
            hidden_states=self.pack(x, count, channels, height, width), timestep=t, guidance=self.given_guidance,
            pooled_projections=pooled, encoder_hidden_states=embeds, txt_ids=self.given_txt_ids,
            img_ids=self.given_img_ids, return_dict=False,
        )[0]  # fmt: skip
        return self.unpack(found, height, width, 1)


class Decoder(nn.Module):
    """Latents (1, C, H, W), as the last step leaves them, to pixels (1, 3, size, size) of 0 to 1."""

    def __init__(self, pipeline: Any):
        super().__init__()
        self.vae = pipeline.vae

    def forward(self, x: Tensor) -> Tensor:
        own = self.vae.config
        latents = x / own.scaling_factor + (own.shift_factor or 0.0)
        return (self.vae.decode(latents, return_dict=False)[0] / 2 + 0.5).clamp(0, 1)


#: The pipeline's class -> how its prompt is encoded, and its denoiser called.
_TEXTS: Mapping[str, type[Text]] = {
    "StableDiffusionPipeline": Text,
    "StableDiffusionXLPipeline": _TwoTowers,
    "StableDiffusion3Pipeline": _ThreeTowers,
    "FluxPipeline": _PooledAndLong,
}
_PREDICTIONS: Mapping[str, type[Prediction]] = {
    "StableDiffusionPipeline": Prediction,
    "StableDiffusionXLPipeline": _WithSizes,
    "StableDiffusion3Pipeline": _Pooled,
    "FluxPipeline": _Packed,
}


def text(pipeline: Any, recorded: Recording) -> Text:
    """The text encoders of a pipeline of one of the four classes, with the empty prompt where the run had one."""
    return _TEXTS[type(pipeline).__name__](pipeline, guided=recorded.guided)


def prediction(pipeline: Any, recorded: Recording, guidance: float) -> Prediction:
    """The denoiser of a pipeline of one of the four classes, with guidance."""
    return _PREDICTIONS[type(pipeline).__name__](pipeline, recorded, guidance)


def tokenizers(pipeline: Any, names: Sequence[str]) -> dict[str, Any]:
    """A pipeline's tokenizers by name: "clip" the first, which all its CLIP encoders share, "t5" the last."""
    own = [getattr(pipeline, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    own = [one for one in own if one is not None]
    return {name: own[_PLACES[name]] for name in names}


def ids(tokenizer: Any, prompt: str) -> Tensor:
    """Token ids (1, length) of a prompt, cut and filled up to the tokenizer's own length."""
    return tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
