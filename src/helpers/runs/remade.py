"""Images of a study made and scored again, in this process: what `verify` hands to each of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from helpers import detectors as detection
from helpers.core.device import require
from helpers.runs import plan as planning
from helpers.runs.plan import Recipe, Source
from helpers.runs.sources import open_source
from helpers.runs.store import pixel_sha256
from helpers.study.schema import Study

__all__ = ["Maker", "arithmetic"]


def arithmetic() -> dict[str, Any]:
    """instructions and threads with which PyTorch computes in this process."""
    return {"instructions": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}


class Maker:
    """What makes the images of a study's sources, and its detectors, loaded once.

    Args:
        study: the study.
        images: of each cell, as many as the largest index asks for.
        one_thread: whether PyTorch computes in one thread; else in as many as it chooses.
        device: "cpu", "cuda" or "cuda:N".
    """

    def __init__(self, study: Study, images: int, one_thread: bool, device: str = "cpu") -> None:
        if one_thread:
            torch.set_num_threads(1)
        require(device)  # which sets how it computes, in each process
        self.device = device
        self.recipes = planning.resolve(study, images).recipes
        self.loaded = {name: detection.load(name, study.weights, device=device) for name in study.detectors}

    def make(self, source: Source, indices: Sequence[int]) -> tuple[list[str], dict[str, np.ndarray]]:
        """The SHA-256 (hex) of the pixels of the source's images of these indices (N), and their logits (N,) by
        detector."""
        made = _made(self.recipes[source], indices, self.device)
        return [pixel_sha256(image) for image in made], {name: of.score(made) for name, of in self.loaded.items()}


def _made(recipe: Recipe, indices: Sequence[int], device: str) -> list[Image.Image]:
    source, made = open_source(recipe, device), []
    source.load()
    for start in range(0, len(indices), recipe.batch_size):
        made += source.make(indices[start : start + recipe.batch_size])
    return made
