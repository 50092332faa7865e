"""A scheduler as numbers: what each step makes of latents and predictions, found from the scheduler's own `step`.

Every scheduler here is linear: the next latents are a sum of the latest latents and predictions with fixed weights.
Handed unit vectors in their place, its `step` returns these weights, whatever formula it has inside.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch

from helpers.core.errors import Failure
from helpers.lab.recording import Recording

__all__ = ["Schedule", "schedule"]


@dataclass(frozen=True)
class Schedule:
    """How noise becomes latents, in as many steps as there are rows.

    x = noise * n at first; at step i the network is given x * scale_input[i] and timesteps[i] and predicts p; then
    x becomes a x + b p + c x' + d p', where x' and p' are those of the step before.

    Attributes:
        noise: n. scale_input, timesteps: one number a step. steps: (a, b, c, d) a step.
    """

    noise: float
    scale_input: tuple[float, ...]
    timesteps: tuple[float, ...]
    steps: tuple[tuple[float, float, float, float], ...]

    def as_json(self) -> dict[str, Any]:
        """The fields, as JSON has them."""
        return asdict(self)


def schedule(recorded: Recording) -> Schedule:
    """The schedule of a recorded run. Raises Failure where a step needs more than the two latest predictions."""
    scheduler = copy.deepcopy(recorded.scheduler)
    count = len(scheduler.timesteps)
    scales, steps = [], []
    for step, time in enumerate(scheduler.timesteps):
        # Latents and prediction of every step are directions of their own.
        latents, prediction = torch.eye(2 * count, dtype=torch.float32)[2 * step : 2 * step + 2]
        scales.append(_scale(scheduler, time))
        found = scheduler.step(prediction, time, latents, return_dict=False)[0].double()
        own, before = found[2 * step : 2 * step + 2], found[max(2 * step - 2, 0) : 2 * step]
        if found[: max(2 * step - 2, 0)].any():
            raise Failure(f"{type(scheduler).__name__} looks back more than one step: no room for that in a schedule")
        steps.append((*own.tolist(), *(before.tolist() or (0.0, 0.0))))
    noise = float(getattr(recorded.scheduler, "init_noise_sigma", 1.0))
    return Schedule(noise, tuple(scales), recorded.times, tuple(steps))


def _scale(scheduler: Any, time: torch.Tensor) -> float:
    """What the latents are multiplied with before the network sees them."""
    if not hasattr(scheduler, "scale_model_input"):
        return 1.0
    return float(scheduler.scale_model_input(torch.ones(1), time))
