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
        guided: whether it saw the image twice, with the empty prompt and with its own.
        scheduler: a copy of the scheduler as it was before its first step.
    """

    denoiser: nn.Module
    given: dict[str, Any]
    times: tuple[float, ...]
    guided: bool
    scheduler: Any


#: The arguments of a UNet that go by their places, and what a transformer calls the first of them.
_PLACES, _LATENTS = ("sample", "timestep"), "hidden_states"


def record(pipeline: Any, prompt: str, steps: int, guidance: float, size: int) -> Recording:
    """Run the pipeline as `generators.sample` does, its denoiser replaced by one that predicts zeros."""
    denoiser = getattr(pipeline, attributes(pipeline)["denoiser"])
    scheduler, calls, copies = pipeline.scheduler, [], []

    def nothing(*args: Any, **named: Any) -> tuple[Tensor]:
        given = dict(zip(_PLACES, args, strict=False)) | named
        calls.append(given)
        return (torch.zeros_like(given.get(_PLACES[0], given.get(_LATENTS))),)

    def step(*args: Any, **named: Any) -> Any:
        del scheduler.step  # from its first step on it is left to itself
        copies.append(copy.deepcopy(scheduler))
        return scheduler.step(*args, **named)

    denoiser.forward, scheduler.step = nothing, step
    try:
        sampling.sample(pipeline, [prompt], [0], steps=steps, guidance=guidance, size=size)
    finally:
        del denoiser.forward
    times = tuple(float(call["timestep"].flatten()[0]) for call in calls)
    guided = calls[0]["encoder_hidden_states"].shape[0] == 2
    return Recording(denoiser, calls[0], times, guided, copies[0])
