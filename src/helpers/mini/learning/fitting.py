"""Training of the detectors' networks: the resumable loop with validation, the best validated state kept.

Batches are a function of (seed, step) alone and the state is stored as it was, so a training that was killed ends
with the same weights as one that was not (on the same machine and thread count).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers.core.files import replacing
from helpers.mini.learning.loop import run_steps, set_rate

__all__ = ["Best", "card", "fit"]


class Best:
    """The best validated state so far, its score and step, and the validation curve.

    Attributes:
        state: state dict on the CPU. score: its "score". step: steps done when it was reached.
        history: one row of measures per evaluation. seconds: time of the whole training, once it is done.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}
        self.score, self.step, self.history, self.seconds = -math.inf, 0, [], 0.0

    def add(self, model: nn.Module, step: int, measures: dict[str, float]) -> None:
        """Record an evaluation, and keep the model's state where it is the best."""
        self.history.append({"step": step, **measures})
        if measures["score"] > self.score:
            self.score, self.step = float(measures["score"]), step
            self.state = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def fit(
    name: str,
    model: nn.Module,
    loss: Callable[[np.random.Generator], Tensor],
    evaluate: Callable[[], dict[str, float]],
    *,
    steps: int,
    rate: float,
    seed: int,
    work: Path,
    every: int,
    decay: float = 0.01,
    save_seconds: float = 30.0,
) -> Best:
    """Train what requires gradients in `model` with AdamW, or go on where an earlier call was stopped.

    Args:
        name: files are work/<name>.pt (state) and work/<name>.csv (training losses).
        loss: the loss of one step, given that step's random generator; torch's own is seeded per step too.
        evaluate: measures of the model on validation data, among them "score" (higher is better).
        steps: length of the training; the rate warms up over 3 % of it and falls as a cosine.
        rate: highest learning rate. decay: AdamW's weight decay.
        every: steps between evaluations; the last step is always evaluated.
        save_seconds: at least this long between two stored states.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    best = Best()

    def step(done: int) -> dict[str, float]:
        torch.manual_seed(1_000_003 * seed + done)
        set_rate(optimizer, rate * _schedule(done, steps))
        model.train()
        value = loss(np.random.default_rng([seed, done]))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if (done + 1) % every == 0 or done + 1 == steps:
            model.eval()
            with torch.inference_mode():
                best.add(model, done + 1, evaluate())
        return {"loss": value.item()}

    state = {"model": model, "optimizer": optimizer, "best": best}
    best.seconds = run_steps(name, Path(work), steps, state, step, every=save_seconds)["seconds"]
    return best


def _schedule(step: int, steps: int) -> float:
    """Share of the highest learning rate: linear warm-up over 3 % of the steps, then a cosine down to 2 %."""
    warm = max(1, round(0.03 * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.51 + 0.49 * math.cos(math.pi * (step - warm) / max(1, steps - warm))


def card(path: Path, facts: dict[str, Any], fitted: Best, steps: int, device: str, seed: int) -> None:
    """Write the card beside a weights file (the same name, .json): `facts`, then how the network was trained."""
    training = {
        "steps": steps,
        "best_step": fitted.step,
        "seconds": round(fitted.seconds),
        "device": torch.device(device).type,
        "seed": seed,
        "curve": fitted.history,
        "licence": "Apache-2.0",
    }
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(facts | training, indent=1) + "\n")
