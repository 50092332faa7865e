"""How good the miniature generators are at FP32: measures fixed beforehand, with their targets, and the table of them.

Nothing here looks at a quantized image. The pictures are validation images: prompts and noise that neither a training
nor the study uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL
from scipy import linalg
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import generators, world
from helpers.core.files import CARD, replacing
from helpers.generators.catalogue import GENERATORS
from helpers.mini import judge
from helpers.mini.learning.data import pool, to_tensor
from helpers.study import schema

__all__ = [
    "COUNT",
    "TABLE",
    "TARGETS",
    "evaluate",
    "frechet",
    "measure",
    "nearest",
    "plain_facts",
    "spread",
    "trivial_auc",
]

#: FP32 images, and renders, that a generator is measured on.
COUNT = 500

#: Name of the table beside the models.
TABLE = "measures.csv"

#: Least value of each measure that has a target, set before any quantized image was scored; less was asked beforehand
#: of a VAE with 4 channels at 128 px.
TARGETS = {"vae_psnr_db": 30.0, "vae_fine_energy": 0.5, "ground": 0.95, "colour": 0.90, "shape": 0.80}
_EASED = {("sdxl", "vae_psnr_db"): 27.0}

_SEEDS_PER_PROMPT = 16
_NOISE = 2_000_000_000  # first seed of the noise of the images of one prompt


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance between normal distributions fitted to features (N, D) and (M, D) (Heusel et al. 2017)."""
    mean = ((first.mean(0) - second.mean(0)) ** 2).sum()
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # The trace of the root of a product of covariances is the sum of the roots of its eigenvalues, none negative.
    roots = np.sqrt(np.clip(linalg.eigvals(a @ b).real, 0, None)).sum()
    return float(mean + np.trace(a) + np.trace(b) - 2 * roots)


def _small(images: np.ndarray, side: int = 16) -> np.ndarray:
    """Pictures uint8 (N, S, S, 3) as block means on a side x side grid, float32 (N, 3 * side^2), 0 to 1."""
    count, size = images.shape[:2]
    blocks = images.reshape(count, side, size // side, side, size // side, 3)
    return blocks.mean((2, 4), dtype=np.float32).reshape(count, -1) / 255


def nearest(images: np.ndarray, among: np.ndarray) -> float:
    """Median distance from pictures (N, S, S, 3) to the nearest of others (M, S, S, 3), RMS of 16 x 16 block means.

    A generator that has learnt its training renders by heart comes nearer to them than a new render does.
    """
    queries, known = _small(images), _small(among)
    squares = (queries**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * queries @ known.T
    return float(np.median(np.sqrt(np.clip(squares.min(1), 0, None) / queries.shape[1])))


def spread(images: np.ndarray) -> float:
    """Mean distance between two pictures of a set (N, S, S, 3), RMS of 16 x 16 block means."""
    small = _small(images)
    return float(np.mean([np.sqrt(((a - b) ** 2).mean()) for a, b in combinations(small, 2)]))


def trivial_auc(fakes: np.ndarray, reals: np.ndarray) -> float:
    """AUC, cross-validated five times, of a logistic regression on what needs no detector: colour means, colour
    variances and the total gradient of pictures (N, S, S, 3)."""
    facts = np.concatenate([plain_facts(fakes), plain_facts(reals)])
    labels = np.repeat([1, 0], [len(fakes), len(reals)])
    found = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression()), facts, labels, cv=5, method="decision_function"
    )
    return float(roc_auc_score(labels, found))


def plain_facts(images: np.ndarray) -> np.ndarray:
    """Seven numbers of each picture (N, S, S, 3) uint8: colour means, colour variances and the total gradient, of
    values from 0 to 1; float32 (N, 7)."""
    grey = images.astype(np.float32) / 255
    steps = [np.abs(np.diff(grey, axis=axis)).mean((1, 2, 3)) for axis in (1, 2)]
    return np.column_stack([grey.mean((1, 2)), grey.var((1, 2)), steps[0] + steps[1]])


def _scenes(split: str, count: int) -> list[world.Scene]:
    return [world.scene(world.SPLITS[split] + i) for i in range(count)]


def _one_prompt() -> str:
    """The first validation prompt with a single solid."""
    return world.caption(next(scene for scene in _scenes("validation", 100) if scene.relation == "alone"))


def _of_one_prompt(key: str) -> tuple[np.ndarray, np.ndarray]:
    """FP32 images of one prompt under 16 seeds, and 16 renders of the same caption."""
    settings, prompt = schema.load("mini").generators[key], _one_prompt()
    made = generators.sample(
        generators.load(key, "mini"), [prompt] * _SEEDS_PER_PROMPT, [_NOISE + i for i in range(_SEEDS_PER_PROMPT)],
        steps=settings.steps, guidance=settings.guidance, size=settings.size, batch_size=1,
    )  # fmt: skip
    seed, same = world.SPLITS["validation"], []
    while len(same) < _SEEDS_PER_PROMPT:
        if world.prompt(seed) == prompt:
            same.append(world.render(seed, settings.size))
        seed += 1
    return np.stack([np.asarray(image) for image in made]), np.stack(same)


def _of_vae(vae: AutoencoderKL, folder: Path, size: int, device: str, count: int = 64) -> dict[str, Any]:
    """Measures of a VAE on validation renders: PSNR in dB, and the share of energy above half Nyquist that survives."""
    images = pool(folder, "validation", size, count)
    with torch.no_grad():
        wanted = to_tensor(images).to(device)
        parts = [vae.decode(vae.encode(part).latent_dist.mean).sample for part in wanted.split(8)]
        made = torch.cat(parts).clamp(-1, 1)
    psnr = 10 * torch.log10(4 / (made - wanted).square().mean((1, 2, 3)))
    return {"psnr_db": round(psnr.mean().item(), 2), "fine_energy": round(_fine(made) / _fine(wanted), 3)}


def _fine(image: torch.Tensor) -> float:
    """Mean power of the grey image above half the Nyquist frequency."""
    across = torch.fft.fftfreq(image.shape[-1], device=image.device)
    above = torch.hypot(across[None], across[:, None]) > 0.25
    return torch.fft.fft2(image.mean(1), norm="ortho").abs().square().mean(0)[above].mean().item()


def measure(key: str, fakes: np.ndarray, work: Path, device: str = "cpu") -> dict[str, float]:
    """All measures of one shipped generator.

    Args:
        key: the generator.
        fakes: its FP32 images of the first validation prompts, uint8 (N, S, S, 3).
        work: folder of the pools of renders.
        device: where the VAE is run.
    """
    size, reader = fakes.shape[1], judge.load()
    reals, others = (pool(work, split, size, COUNT)[: len(fakes)] for split in ("validation", "train"))
    seen = judge.features(reader, reals)
    alone, alike = _of_one_prompt(key)
    vae = _of_vae(generators.load(key, "mini").vae, work, size, device)
    read = judge.fidelity(reader, fakes, _scenes("validation", len(fakes)))
    on_renders = judge.fidelity(reader, reals, _scenes("validation", len(fakes)))
    known = pool(work, "train", size, 6000)
    return {
        **{f"vae_{name}": value for name, value in vae.items()},
        **read,
        **{f"{name}_on_renders": value for name, value in on_renders.items()},
        "frechet": frechet(judge.features(reader, fakes), seen),
        "frechet_of_renders": frechet(judge.features(reader, others), seen),
        "nearest": nearest(fakes, known),
        "nearest_of_renders": nearest(reals, known),
        "spread": spread(alone),
        "spread_of_renders": spread(alike),
        "trivial_auc": trivial_auc(fakes, reals),
    }


def evaluate(
    keys: Sequence[str], fakes: Callable[[str, str, int], np.ndarray], work: Path, out: Path, device: str = "cpu"
) -> pd.DataFrame:
    """Measure generators, write the table and put each one's measures in its card.

    Args:
        keys: which generators; the rows of others stay in the table.
        fakes: (split, generator, count) -> its FP32 images, uint8 (count, S, S, 3).
        work: folder of the pools of renders.
        out: models/mini.

    Returns:
        one row per generator and measure: generator, measure, value, target (NaN without one), met.
    """
    table = Path(out) / TABLE
    kept = pd.read_csv(table) if table.is_file() else pd.DataFrame(columns=["generator"])
    frames = [kept[~kept["generator"].isin(keys)]]
    for key in keys:
        found = measure(key, fakes("validation", key, COUNT), work, device)
        found = {name: round(value, 4) for name, value in found.items()}
        frames.append(pd.DataFrame([_row(key, name, value) for name, value in found.items()]))
        _describe(Path(out) / key / CARD, found)
    every = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    order = {key: place for place, key in enumerate(GENERATORS)}
    every = every.sort_values("generator", key=lambda keys: keys.map(order), kind="stable", ignore_index=True)
    with replacing(table) as temporary:
        every.to_csv(temporary, index=False)
    return every


def _row(generator: str, measure: str, value: float) -> dict[str, Any]:
    target = _EASED.get((generator, measure), TARGETS.get(measure))
    met = None if target is None else value >= target
    return {"generator": generator, "measure": measure, "value": value, "target": target, "met": met}


def _describe(card: Path, measures: dict[str, float]) -> None:
    """Put a generator's measures in its card."""
    described = json.loads(card.read_text()) | {"measures": measures}
    with replacing(card) as temporary:
        temporary.write_text(json.dumps(described, indent=1) + "\n")
