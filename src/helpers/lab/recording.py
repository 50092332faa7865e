"""What a pipeline hands its denoiser and its scheduler, recorded in one run in which nothing is predicted."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from helpers.generators import sampling
from helpers.precision.quantize import attributes

__all__ = ["Recording", "record"]


@dataclass(frozen=True)
class Recording:
    """One run of a pipeline.

    Attributes:
        denoiser: its network.
        given: what the network was given at the first step, by argument.
        times: the time (one number) it was given at each step.
        scheduler: a copy of the scheduler as it was before its first step.
    """

    denoiser: nn.Module
    given: dict[str, Any]
    times: tuple[float, ...]
    scheduler: Any

    @property
    def guided(self) -> bool:
        """Whether the denoiser sees each image twice, with the empty prompt and with its own."""
        return self.given[_SAMPLES[0]].shape[0] == 2


#: What denoisers call their latents and their time; the first of each is the name in `Recording.given`.
_SAMPLES, _TIMES = ("sample", "hidden_states"), ("timestep",)


def record(pipeline: Any, prompt: str, steps: int, guidance: float, size: int) -> Recording:
    """Run the pipeline as `generators.sample` does, its denoiser replaced by one that predicts zeros."""
    denoiser = getattr(pipeline, attributes(pipeline)["denoiser"])
    scheduler, calls, copies = pipeline.scheduler, [], []

    def nothing(*args: Any, **named: Any) -> tuple[Tensor]:
        given = dict(zip((_SAMPLES[0], _TIMES[0]), args, strict=False)) | named
        given[_SAMPLES[0]] = next(given[name] for name in _SAMPLES if name in given)
        calls.append(given)
        return (torch.zeros_like(given[_SAMPLES[0]]),)

    def step(*args: Any, **named: Any) -> Any:
        if not copies:
            copies.append(copy.deepcopy(scheduler))
        return type(scheduler).step(scheduler, *args, **named)

    denoiser.forward, scheduler.step = nothing, step
    try:
        sampling.sample(pipeline, [prompt], [0], steps=steps, guidance=guidance, size=size)
    finally:
        del denoiser.forward, scheduler.step
    for one in copies:
        vars(one).pop("step", None)
    times = tuple(float(call[_TIMES[0]].flatten()[0]) for call in calls)
    return Recording(denoiser, calls[0], times, copies[0])
