"""Training of the miniatures' denoisers: noise, velocity or flow prediction on cached latents of captioned renders.

Text encoders and VAE are trained before and stay frozen, as in the originals. One caption in ten is dropped, for
classifier-free guidance. Flux's guidance embedding is learnt from its own moving average: the target of an image at
guidance g moves by (g - 1) times the average's difference between with and without prompt, which is what guidance
distillation teaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.mini.families import ARCHITECTURES, MAX_TOKENS
from helpers.mini.training.data import latents
from helpers.mini.training.loop import EMA, ramp, run_steps, step_rng
from helpers.world import SPLITS, prompt

__all__ = ["RECIPES", "Recipe", "train_denoiser"]

_DROP, _GUIDANCE = 0.1, (1.0, 4.0)

#: Share of a round of Flux's before its guidance embedding is learnt: three passes a step are dear, and good once it
#: draws.
_UNGUIDED = 0.75

#: Epsilon prediction's noise also has an offset per channel, as SDXL's had: without it the noisiest input still shows
#: the ground's colour, and the network trusts that instead of the prompt.
_OFFSET = 0.15


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
        """The step's number in its round, and the round's length."""
        for length in self.rounds:
            if step < length:
                return step, length
            step -= length
        raise IndexError(f"step {step} beyond the last round")


RECIPES: Mapping[str, Recipe] = {
    "sd15": Recipe(rounds=(5000, 4000), seed=21),
    "sd21": Recipe(rounds=(6500,), seed=22),
    "sdxl": Recipe(rounds=(4500, 3500, 3000), seed=23),
    "sd3": Recipe(rounds=(9000, 12000, 8000), seed=24),
    "sd35": Recipe(rounds=(8000, 12000, 8000), seed=25),
    "flux1": Recipe(rounds=(9000, 7500, 12000), seed=26),
}


@torch.no_grad()
def _encode(key: str, pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    """Encode prompts as the family's pipeline does: what its denoiser is given, by name."""
    if key in ("sd15", "sd21"):
        return {"context": pipeline.encode_prompt(texts, "cpu", 1, False)[0]}
    if key == "sdxl":
        context, _, pooled, _ = pipeline.encode_prompt(texts, device="cpu", do_classifier_free_guidance=False)
        return {"context": context, "pooled": pooled}
    if key == "flux1":
        context, pooled, _ = pipeline.encode_prompt(texts, None, device="cpu", max_sequence_length=MAX_TOKENS)
        return {"context": context, "pooled": pooled}
    context, _, pooled, _ = pipeline.encode_prompt(
        texts, None, None, device="cpu", do_classifier_free_guidance=False, max_sequence_length=MAX_TOKENS
    )
    return {"context": context, "pooled": pooled}


def _texts(key: str, pipeline: Any, count: int) -> dict[str, torch.Tensor]:
    """Encoded training captions, and in the last row the empty prompt."""
    prompts = [prompt(SPLITS["train"] + i) for i in range(count)] + [""]
    parts = [_encode(key, pipeline, prompts[i : i + 200]) for i in range(0, len(prompts), 200)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


class _Predictor:
    """Calls a family's denoiser on noisy latents (N, C, h, w) with its conditions; returns latents of that shape."""

    def __init__(self, key: str, pipeline: Any, size: int) -> None:
        self.key, self.size = key, size
        self.denoiser: nn.Module = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
        self.pipeline = pipeline

    def __call__(self, noisy: torch.Tensor, time: torch.Tensor, text: dict, guidance: torch.Tensor, using=None):
        call = using or self.denoiser
        context = text["context"]
        if self.key in ("sd15", "sd21"):
            return call(noisy, time, context).sample
        if self.key == "sdxl":
            ids = torch.tensor([self.size, self.size, 0, 0, self.size, self.size], device=noisy.device).float()
            added = {"text_embeds": text["pooled"], "time_ids": ids.expand(len(noisy), 6)}
            return call(noisy, time, context, added_cond_kwargs=added).sample
        if self.key != "flux1":
            return call(noisy, context, text["pooled"], time).sample
        count, channels, high, wide = noisy.shape
        pipe, words = self.pipeline, torch.zeros(context.shape[1], 3, device=noisy.device)
        packed = pipe._pack_latents(noisy, count, channels, high, wide)
        places = pipe._prepare_latent_image_ids(count, high // 2, wide // 2, noisy.device, noisy.dtype)
        out = call(packed, context, text["pooled"], time / 1000, places, words, guidance).sample
        return pipe._unpack_latents(out, self.size, self.size, pipe.vae_scale_factor)


@dataclass(frozen=True)
class _Task:
    """One noisy batch: model input, timestep (0 to 1000), target and loss weight per image."""

    noisy: torch.Tensor
    time: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor


def _diffused(pipeline: Any, clean: torch.Tensor, noise: torch.Tensor, rng: torch.Generator, kind: str) -> _Task:
    """Diffusion task. As an error of the clean image the loss weighs SNR + 1 (Salimans & Ho 2022), with the SNR clamped
    at 5 (Hang et al. 2023).

    Without the 1 the noisiest steps, where the prompt alone says what to draw, would count for nothing.
    """
    time = torch.randint(1000, (len(clean),), generator=rng)
    kept = pipeline.scheduler.alphas_cumprod[time].to(clean)[:, None, None, None]
    if kind == "epsilon":
        noise = noise + _OFFSET * torch.randn((*noise.shape[:2], 1, 1), generator=rng).to(clean)
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    ratio = (kept / (1 - kept)).flatten()
    weight = ratio.clamp(max=5) + 1
    if kind == "epsilon":
        return _Task(noisy, time.to(clean.device), noise, weight / ratio)
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    return _Task(noisy, time.to(clean.device), velocity, weight / (ratio + 1))


def _flowing(pipeline: Any, clean: torch.Tensor, noise: torch.Tensor, rng: torch.Generator) -> _Task:
    """Rectified-flow task with logit-normal times, shifted as the sampler's (Esser et al. 2024)."""
    sigma = torch.sigmoid(torch.randn(len(clean), generator=rng))
    shift = pipeline.scheduler.config.shift
    sigma = (shift * sigma / (1 + (shift - 1) * sigma)).to(clean.device)
    share = sigma[:, None, None, None]
    return _Task((1 - share) * clean + share * noise, sigma * 1000, noise - clean, torch.ones_like(sigma))


def train_denoiser(key: str, pipeline: Any, folder: Path, device: str, recipe: Recipe | None = None) -> None:
    """Train the denoiser of a pipeline whose VAE and text encoders are trained, in place and resumably.

    Args:
        key: one of `ARCHITECTURES`.
        pipeline: as `architectures.build` returns it, on the CPU.
        folder: where latents, checkpoint and log are kept.
        device: "cpu" or "cuda".
        recipe: how; the key's own in `RECIPES` if None.
    """
    of, recipe = ARCHITECTURES[key], recipe or RECIPES[key]
    moments = latents(folder, pipeline.vae, of.vae, of.size, recipe.images, device)
    texts = {name: value.to(device) for name, value in _texts(key, pipeline.to("cpu"), recipe.images).items()}
    torch.manual_seed(recipe.seed)
    predict = _Predictor(key, pipeline, of.size)
    denoiser = predict.denoiser.to(device).train()
    optimiser = torch.optim.AdamW(denoiser.parameters(), recipe.rate, betas=(0.9, 0.99), weight_decay=0.01)
    average = EMA(denoiser, 0.998)

    def averaged(*inputs: Any) -> Any:
        return torch.func.functional_call(denoiser, average.shadow, inputs)

    def step(i: int) -> dict[str, float]:
        rng = step_rng(recipe.seed, i)
        place, length = recipe.place(i)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * ramp(place, length)
        rows = torch.randint(recipe.images, (recipe.batch,), generator=rng)
        mean, logvar = torch.from_numpy(np.array(moments[rows.numpy()])).float().to(device).chunk(2, 1)
        draws = torch.randn((2, *mean.shape), generator=rng).to(device)
        clean = mean + (0.5 * logvar).exp() * draws[0]
        kept = torch.where(torch.rand(recipe.batch, generator=rng) < _DROP, recipe.images, rows).to(device)
        text = {name: value[kept] for name, value in texts.items()}
        guidance = torch.ones(recipe.batch, device=device)
        if of.prediction == "flow":
            task = _flowing(pipeline, clean, draws[1], rng)
        else:
            task = _diffused(pipeline, clean, draws[1], rng, of.prediction)
        target = task.target
        if key == "flux1" and place > _UNGUIDED * length:
            none = {name: value[-1:].expand(recipe.batch, *value.shape[1:]) for name, value in texts.items()}
            with torch.no_grad():
                found = (predict(task.noisy, task.time, given, guidance, averaged) for given in (text, none))
                towards = next(found) - next(found)
            low, high = _GUIDANCE
            guidance = (low + (high - low) * torch.rand(recipe.batch, generator=rng)).to(device)
            target = target + (guidance - 1)[:, None, None, None] * towards
        error = (predict(task.noisy, task.time, text, guidance) - target).square().mean((1, 2, 3))
        loss = (task.weight * error).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update(denoiser)
        return {"loss": loss.item()}

    state = {"denoiser": denoiser, "optimiser": optimiser, "ema": average}
    run_steps(f"denoiser-{key}", folder, recipe.steps, state, step)
    denoiser.load_state_dict(average.shadow)
    denoiser.to("cpu").eval().requires_grad_(False)
