"""A pipeline's own run, step by step: what the lab's graphs and schedules are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from helpers import generators, study

PROMPT, SEED = "a photo of a red ball on sand", 7


@dataclass
class Run:
    """One image of a miniature generator at the study's settings.

    Attributes:
        given: what its denoiser was given at each step, by argument.
        samples, predictions, results: what its scheduler was given and returned at each step.
        latents: what its VAE decoded, scaled as the last step left them.
        image: what came out.
    """

    pipeline: Any
    given: list[dict[str, Any]]
    samples: list[np.ndarray]
    predictions: list[np.ndarray]
    results: list[np.ndarray]
    image: Image.Image


def run(key: str) -> Run:
    """Make an image with hooks on the pipeline's denoiser and scheduler."""
    pipeline, settings = generators.load(key), study.load("mini").generators[key]
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    given, steps, scheduler = [], [], pipeline.scheduler

    def step(prediction: Any, time: Any, sample: Any, **named: Any) -> Any:
        made = type(scheduler).step(scheduler, prediction, time, sample, **named)
        steps.append([of.float().numpy().copy() for of in (sample, prediction, made[0])])
        return made

    hook = denoiser.register_forward_pre_hook(lambda _, args, named: given.append(named), with_kwargs=True)
    scheduler.step = step
    (image,) = generators.sample(
        pipeline, [PROMPT], [SEED], steps=settings.steps, guidance=settings.guidance, size=settings.size
    )
    hook.remove()
    del scheduler.step
    samples, predictions, results = (list(of) for of in zip(*steps, strict=True))
    return Run(pipeline, given, samples, predictions, results, image)
