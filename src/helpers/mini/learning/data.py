"""Training data of the miniatures: pools of renders and of their latents, made once and kept as NumPy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from helpers import world
from helpers.core.files import replacing
from helpers.mini.learning.loop import autocast

__all__ = ["latents", "pool", "to_tensor"]


def pool(folder: Path, split: str, size: int, count: int) -> np.ndarray:
    """Return the first `count` renders of a split, uint8 (count, size, size, 3), memory-mapped from the folder."""
    path = folder / f"renders-{split}-{size}-{count}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        first = world.SPLITS[split]
        with replacing(path) as temporary:
            out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, size, size, 3))
            for i in tqdm(range(count), desc=f"renders {split} {size}", mininterval=5):
                out[i] = world.render(first + i, size)
            out.flush()
    return np.load(path, mmap_mode="r")


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 (N, H, W, 3) into float32 (N, 3, H, W) from -1 to 1."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def latents(folder: Path, vae: AutoencoderKL, kind: str, size: int, count: int, device: str) -> np.ndarray:
    """Return mean and log-variance of the latents of the training renders, float16 (count, 2C, h, w)."""
    path = folder / f"latents-{kind}-{size}-{count}.npy"
    if not path.exists():
        images = pool(folder, "train", size, count)
        vae = vae.to(device).eval()
        with replacing(path) as temporary:
            out = None
            for i in tqdm(range(0, count, 16), desc=f"latents {kind} {size}", mininterval=5):
                with torch.no_grad(), autocast(device):
                    moments = vae.encode(to_tensor(images[i : i + 16]).to(device)).latent_dist.parameters
                if out is None:
                    out = np.lib.format.open_memmap(temporary, "w+", np.float16, (count, *moments.shape[1:]))
                out[i : i + 16] = moments.float().cpu().numpy()
            out.flush()
    return np.load(path, mmap_mode="r")
