"""Training of the miniatures' denoisers: noise, velocity or flow prediction on cached latents of captioned renders.

Text encoders and VAE are trained before and stay frozen, as in the originals. One caption in ten is dropped, for
classifier-free guidance. Flux's guidance embedding is learnt from its own moving average: the target of an image at
guidance g moves by (g - 1) times the average's difference between with and without prompt, which is what guidance
distillation teaches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.mini.families import FAMILIES, Family, Recipe
from helpers.mini.learning.data import latents
from helpers.mini.learning.loop import EMA, descend, ramp, run_steps, set_rate, step_rng
from helpers.world import SPLITS, prompt

__all__ = ["train_denoiser"]

_DROP, _GUIDANCE = 0.1, (1.0, 4.0)

#: Share of a round of Flux's before its guidance embedding is learnt: three passes a step are dear, and good once it
#: draws.
_UNGUIDED = 0.75

#: Epsilon prediction's noise also has an offset per channel, as SDXL's had: without it the noisiest input still shows
#: the ground's colour, and the network trusts that instead of the prompt.
_OFFSET = 0.15


@torch.no_grad()
def _texts(of: Family, pipeline: Any, count: int) -> dict[str, torch.Tensor]:
    """Encoded training captions, and in the last row the empty prompt."""
    prompts = [prompt(SPLITS["train"] + i) for i in range(count)] + [""]
    parts = [of.encode(pipeline, prompts[i : i + 200]) for i in range(0, len(prompts), 200)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


class _Captioned:
    """Latents of training renders with their encoded captions, drawn at random; one caption in ten is the empty one."""

    def __init__(self, of: Family, pipeline: Any, recipe: Recipe, folder: Path, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.moments = latents(folder, pipeline.vae, of.vae, of.size, recipe.images, device)
        texts = _texts(of, pipeline.to("cpu"), recipe.images)
        self.texts = {name: value.to(device) for name, value in texts.items()}

    def draw(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """A batch of latents (N, C, h, w), noise of that shape, and what the denoiser is told, each (N, ...)."""
        count, batch = self.recipe.images, self.recipe.batch
        rows = torch.randint(count, (batch,), generator=rng)
        moments = torch.from_numpy(np.array(self.moments[rows.numpy()])).float().to(self.device)
        mean, logvar = moments.chunk(2, 1)
        draws = torch.randn((2, *mean.shape), generator=rng).to(self.device)
        kept = torch.where(torch.rand(batch, generator=rng) < _DROP, count, rows).to(self.device)
        return mean + (0.5 * logvar).exp() * draws[0], draws[1], {name: t[kept] for name, t in self.texts.items()}

    def unprompted(self) -> dict[str, torch.Tensor]:
        """A batch of empty prompts."""
        return {name: t[-1:].expand(self.recipe.batch, *t.shape[1:]) for name, t in self.texts.items()}


@dataclass(frozen=True)
class _Task:
    """One noisy batch: model input, timestep (0 to 1000), target and loss weight per image."""

    noisy: torch.Tensor
    time: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor


# Diffusion tasks weigh the loss, as an error of the clean image, by SNR + 1 (Salimans & Ho 2022), with the SNR clamped
# at 5 (Hang et al. 2023). Without the 1 the noisiest steps, where the prompt alone says what to draw, would count for
# nothing.


def _times(scheduler: Any, clean: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random times (N,) of a diffusion, and the share of the image's power that is left at each, (N, 1, 1, 1)."""
    time = torch.randint(1000, (len(clean),), generator=rng)
    return time.to(clean.device), scheduler.alphas_cumprod[time].to(clean)[:, None, None, None]


def _noise_task(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, rng: torch.Generator) -> _Task:
    """Prediction of the noise."""
    time, kept = _times(scheduler, clean, rng)
    noise = noise + _OFFSET * torch.randn((*noise.shape[:2], 1, 1), generator=rng).to(clean)
    ratio = (kept / (1 - kept)).flatten()
    return _Task(kept.sqrt() * clean + (1 - kept).sqrt() * noise, time, noise, (ratio.clamp(max=5) + 1) / ratio)


def _velocity_task(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, rng: torch.Generator) -> _Task:
    """Prediction of the velocity."""
    time, kept = _times(scheduler, clean, rng)
    ratio = (kept / (1 - kept)).flatten()
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    return _Task(noisy, time, velocity, (ratio.clamp(max=5) + 1) / (ratio + 1))


def _flow_task(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, rng: torch.Generator) -> _Task:
    """Prediction of a rectified flow, with logit-normal times, shifted as the sampler's (Esser et al. 2024)."""
    sigma = torch.sigmoid(torch.randn(len(clean), generator=rng))
    shift = scheduler.config.shift
    sigma = (shift * sigma / (1 + (shift - 1) * sigma)).to(clean.device)
    share = sigma[:, None, None, None]
    return _Task((1 - share) * clean + share * noise, sigma * 1000, noise - clean, torch.ones_like(sigma))


#: Prediction -> (scheduler, clean latents, noise, generator) -> the task.
_TASKS: Mapping[str, Callable[[Any, torch.Tensor, torch.Tensor, torch.Generator], _Task]] = {
    "epsilon": _noise_task,
    "v_prediction": _velocity_task,
    "flow": _flow_task,
}


class _Training:
    """The state of one denoiser's training; `step` does one optimisation step."""

    def __init__(self, of: Family, pipeline: Any, data: _Captioned, recipe: Recipe) -> None:
        self.of, self.pipeline, self.data, self.recipe = of, pipeline, data, recipe
        self.denoiser = _denoiser(pipeline).to(data.device).train()
        self.optimiser = torch.optim.AdamW(
            self.denoiser.parameters(), recipe.rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.average = EMA(self.denoiser, 0.998)

    @property
    def state(self) -> dict[str, Any]:
        """What a stopped training goes on from."""
        return {"denoiser": self.denoiser, "optimiser": self.optimiser, "ema": self.average}

    def step(self, i: int) -> dict[str, float]:
        """One step; returns the loss."""
        rng, (place, length) = step_rng(self.recipe.seed, i), self.recipe.place(i)
        set_rate(self.optimiser, self.recipe.rate * ramp(place, length))
        clean, noise, text = self.data.draw(rng)
        task = _TASKS[self.of.prediction](self.pipeline.scheduler, clean, noise, rng)
        guidance, target = torch.ones(len(clean), device=clean.device), task.target
        if self.of.distilled and place > _UNGUIDED * length:
            guidance, target = self._guided(task, text, rng)
        made = self.of.predict(self.pipeline, self.denoiser, task.noisy, task.time, text, guidance)
        loss = (task.weight * (made - target).square().mean((1, 2, 3))).mean()
        descend(loss, self.optimiser, self.denoiser)
        self.average.update(self.denoiser)
        return {"loss": loss.item()}

    @torch.no_grad()
    def _guided(
        self, task: _Task, text: dict[str, torch.Tensor], rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Random guidance (N,), and the task's target moved as that guidance moves what the average predicts."""

        def averaged(*inputs: Any) -> Any:
            return torch.func.functional_call(self.denoiser, self.average.shadow, inputs)

        plain = torch.ones(self.recipe.batch, device=task.noisy.device)
        prompted, unprompted = (
            self.of.predict(self.pipeline, averaged, task.noisy, task.time, given, plain)
            for given in (text, self.data.unprompted())
        )
        low, high = _GUIDANCE
        guidance = (low + (high - low) * torch.rand(self.recipe.batch, generator=rng)).to(task.noisy.device)
        return guidance, task.target + (guidance - 1)[:, None, None, None] * (prompted - unprompted)


def _denoiser(pipeline: Any) -> nn.Module:
    return pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer


def train_denoiser(
    key: str, pipeline: Any, folder: Path, device: str, recipe: Recipe | None = None, name: str | None = None
) -> None:
    """Train the denoiser of a pipeline whose VAE and text encoders are trained, in place and resumably.

    Args:
        key: one of `FAMILIES`.
        pipeline: as `families.build` returns it, on the CPU.
        folder: where latents, checkpoint and log are kept.
        device: "cpu" or "cuda".
        recipe: how; the family's own if None.
        name: of checkpoint and log; denoiser-KEY if None.
    """
    of = FAMILIES[key]
    recipe = recipe or of.recipe
    data = _Captioned(of, pipeline, recipe, folder, device)
    torch.manual_seed(recipe.seed)
    training = _Training(of, pipeline, data, recipe)
    run_steps(name or f"denoiser-{key}", folder, recipe.steps, training.state, training.step)
    training.denoiser.load_state_dict(training.average.shadow)
    training.denoiser.to("cpu").eval().requires_grad_(False)
