"""A training loop that can be killed: seeded per step, checkpointed by the minute, logged to a CSV file."""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from helpers.core.files import replacing

__all__ = ["EMA", "autocast", "descend", "ramp", "record", "run_steps", "set_rate", "step_rng"]


class EMA:
    """Exponential moving average of a module's parameters and buffers (decay warmed up from 0)."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: torch.nn.Module) -> None:
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            state = module.state_dict()
            moving = [name for name, value in state.items() if value.is_floating_point()]
            torch._foreach_lerp_([self.shadow[name] for name in moving], [state[name] for name in moving], 1 - keep)
            for name in state.keys() - set(moving):
                self.shadow[name].copy_(state[name])

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.updates, self.shadow = state["updates"], state["shadow"]


def step_rng(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of one step: a resumed run draws what an uninterrupted one would have drawn."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def ramp(step: int, steps: int, warmup: int = 100, hold: float = 0.6) -> float:
    """Factor of the learning rate: linear warm-up, constant, linear decay to 2 % over the last 1 - `hold`."""
    rest = (steps - step) / max(1, steps * (1 - hold))
    return min(1.0, (step + 1) / warmup, max(0.02, rest))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all of an optimiser's parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def descend(loss: torch.Tensor, optimiser: torch.optim.Optimizer, module: torch.nn.Module) -> None:
    """Take one step down the loss's gradient, clipped to norm 1 over the module's parameters, and forget it."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def autocast(device: str) -> torch.autocast:
    """Return bfloat16 autocast where the hardware computes in it (CUDA, CPUs with AVX512-BF16), else a no-op."""
    able = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported() and _cpu_has_bf16()
    return torch.autocast(device, torch.bfloat16, enabled=able)


def _cpu_has_bf16() -> bool:
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def run_steps(
    name: str,
    folder: Path,
    steps: int,
    state: Mapping[str, Any],
    step: Callable[[int], Mapping[str, float]],
    every: float = 60.0,
) -> dict[str, Any]:
    """Run `step(i)` for i below `steps`, going on from the last checkpoint in the folder.

    Args:
        name: shown on the progress bar; names the checkpoint and the log.
        folder: where `<name>.pt` (state, steps done, seconds spent) and `<name>.csv` (losses) are kept.
        state: objects with `state_dict`/`load_state_dict` that make up the training's state.
        step: does one optimisation step and returns its losses by name.
        every: least seconds between checkpoints; with 0 each step has one.

    Returns:
        {"steps": steps done, "seconds": time spent in all runs}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved, log = folder / f"{name}.pt", folder / f"{name}.csv"
    done, seconds = _resume(saved, state)
    started = last = time.monotonic()
    sums: dict[str, float] = defaultdict(float)
    since = 0
    bar = tqdm(total=steps, initial=done, desc=name, mininterval=5)
    while done < steps:
        for key, value in step(done).items():
            sums[key] += float(value)
        done, since = done + 1, since + 1
        bar.update()
        now = time.monotonic()
        if now - last >= every or done == steps:
            means = {key: total / since for key, total in sums.items()}
            bar.set_postfix({key: f"{value:.4g}" for key, value in means.items()})
            _log(log, {"step": done, "seconds": round(seconds + now - started, 1), **means})
            _save(saved, state, done, seconds + now - started)
            sums, since, last = defaultdict(float), 0, now
    bar.close()
    return {"steps": done, "seconds": round(seconds + time.monotonic() - started, 1)}


def _resume(path: Path, state: Mapping[str, Any]) -> tuple[int, float]:
    """Load the last checkpoint, where there is one, into the objects of `state`: steps done and seconds spent."""
    if not path.exists():
        return 0, 0.0
    held = torch.load(path, map_location="cpu", weights_only=True)
    for key, value in state.items():
        value.load_state_dict(held["state"][key])
    return held["done"], held["seconds"]


def _save(path: Path, state: Mapping[str, Any], done: int, seconds: float) -> None:
    held = {key: value.state_dict() for key, value in state.items()}
    with replacing(path) as temporary:
        torch.save({"done": done, "seconds": seconds, "state": held}, temporary)


def _log(path: Path, row: Mapping[str, float]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})


def record(folder: Path, name: str, points: int = 40) -> dict[str, Any]:
    """What the log of a training in a folder says: steps, seconds, and its losses at up to `points` steps."""
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    chosen = sorted({round(i * (len(rows) - 1) / max(1, points - 1)) for i in range(points)})
    curve = [{"step": int(row.pop("step")), **row} for row in (dict(rows[i]) for i in chosen)]
    seconds = curve[-1]["seconds"]
    for row in curve:
        del row["seconds"]
    return {"steps": curve[-1]["step"], "seconds": seconds, "curve": curve}
