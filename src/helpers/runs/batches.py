"""Batches of images, made in halves where memory is too small for a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from helpers.core.device import release
from helpers.core.errors import Failure
from helpers.runs.plan import Recipe
from helpers.runs.sources import QuantizedPipeline, Reals

__all__ = ["Batches", "short_of_memory"]


def short_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory: a GPU's, Python's own, or that of PyTorch's allocator in RAM."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


class Batches:
    """Makes batches of a source on a device.

    Where memory is too small, `size` is halved and the batch made again, in parts; it stays so for the batches to come,
    and `note` says it. The batches of a recipe whose arm is about them are made as they are, or not at all.
    """

    def __init__(self, source: QuantizedPipeline | Reals, recipe: Recipe, device: str = "cpu") -> None:
        self.source, self.recipe, self.device = source, recipe, device
        self.size = recipe.batch_size

    @property
    def note(self) -> str | None:
        """What the user should know of it; None where batches were whole."""
        if self.size == self.recipe.batch_size:
            return None
        return (
            f"{self.recipe.folder}: memory was too small for {self.recipe.batch_size} images at once; made"
            f" {self.size} at once"
        )

    def make(self, indices: Sequence[int]) -> list[Any]:
        """The images of the given indices.

        Raises Failure where memory is too small for one image, or for a batch that must be whole.
        """
        while True:
            size = self.size
            try:
                parts = [indices[start : start + size] for start in range(0, len(indices), size)]
                return [image for part in parts for image in self.source.make(part)]
            except Exception as error:
                if not short_of_memory(error):
                    raise
            # Here, for the error holds the memory of all that was being computed.
            self._halve(min(size, len(indices)))

    def _halve(self, size: int) -> None:
        release(self.device)
        if self.recipe.batch_counts:
            raise Failure(
                f"memory is too small for the {size} images at once that arm '{self.recipe.source.arm}' is about; take"
                " a larger card, or another placement ([memory] in the study file)"
            )
        if size == 1:
            raise Failure(
                "memory is too small for one image; take a larger card, or another placement or tiles for the VAE"
                " ([memory] in the study file; 'quantdetect grid STUDY --memory SIZE' says what is needed)"
            )
        self.size = size // 2
