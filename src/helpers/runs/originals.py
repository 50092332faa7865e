"""A generator without quantization in main memory, once per process: each of its cells is a copy that shares what it
does not change.

It is read when the first cell of a generator asks for it, in FP32, and let go when another generator's does, or by
`forget`. A cell's copy has weights of its own only where they are quantized, computed in another type, or on a GPU; so
on a CPU a generator takes its own bytes and those of a cell's quantized layers, and the audit compares with the same
weights. Where main memory is too small (`ROOM`), nothing is kept, and each cell is read from its files in its own type.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import generators
from helpers.core.device import memory_left
from helpers.generators.catalogue import GENERATORS
from helpers.runs.plan import Recipe

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from torch import nn

__all__ = ["ROOM", "Original", "forget", "original"]

#: How many times the bytes of its weights' files there must be of free main memory for a generator to be kept: files of
#: 16 bits are twice as large in FP32, and a cell's quantized layers come beside it.
ROOM = 3.0


class Original:
    """One generator without quantization.

    Attributes:
        seconds: what reading its files took, 0 before.
        encodings: what its text encoders, unquantized, have made of prompts.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.seconds = recipe, 0.0
        self.encodings = generators.Encodings()
        self._pipeline: DiffusionPipeline | None = None
        self._keeps: bool | None = None

    def pipeline(self, dtype: str, types: Mapping[str, str] | None = None, balanced: bool = False) -> DiffusionPipeline:
        """A pipeline of its own in a type (its name in torch; `types` of components that have another), in RAM or
        balanced over the GPUs, as `generators.load` gives it.

        Weights may be shared with other pipelines: they may be replaced and not written into. Raises what
        `generators.load` does.
        """
        recipe = self.recipe
        # Which weights stay in FP32 beside 16 bits has been held against loading for the catalogue's classes alone.
        known = recipe.entry is None or recipe.entry.pipeline in {row.pipeline for row in GENERATORS.values()}
        if not balanced and self.keeps and (known or dtype == "float32"):
            return generators.copied(recipe.generator, self._whole(), entry=recipe.entry, dtype=dtype, types=types)
        return self._read(dtype, types, "balanced" if balanced else None)

    def parts(self, where: dict[str, str]) -> dict[str, nn.Module]:
        """Networks in FP32 on the CPU, by name; `where` says of each which attribute of the pipeline it is."""
        whole = self._whole()
        return {name: getattr(whole, attribute) for name, attribute in where.items()}

    @property
    def keeps(self) -> bool:
        """Whether main memory has room to keep it."""
        if self._keeps is None:
            left = memory_left()
            self._keeps = left is None or left >= ROOM * _bytes(self.recipe)
        return self._keeps

    def _whole(self) -> DiffusionPipeline:
        if self._pipeline is not None:
            return self._pipeline
        began = time.perf_counter()
        found = self._read("float32")
        self.seconds = time.perf_counter() - began
        self._pipeline = found if self.keeps else None
        return found

    def _read(
        self, dtype: str, types: Mapping[str, str] | None = None, device_map: str | None = None
    ) -> DiffusionPipeline:
        recipe = self.recipe
        return generators.load(
            recipe.generator, recipe.checkpoint, entry=recipe.entry, dtype=dtype, types=types,
            revision=recipe.revision, variant=recipe.variant, device_map=device_map,
        )  # fmt: skip


def _bytes(recipe: Recipe) -> int:
    """Bytes of the files that hold a checkpoint's weights, 0 where they are not here: loading says so."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    where = generators.source(recipe.generator, recipe.checkpoint, recipe.entry)
    if not Path(where).is_dir():
        try:
            where = snapshot_download(where, revision=recipe.revision, local_files_only=True)
        except (LocalEntryNotFoundError, HfHubHTTPError, ValueError):
            return 0
    found = [*Path(where).glob("*/*.safetensors")] or [*Path(where).glob("*/*.bin")]
    return sum(file.stat().st_size for file in found)


#: What is held: a generator by what tells it from others.
_HELD: dict[tuple[Any, ...], Original] = {}


def original(recipe: Recipe, model: str) -> Original:
    """The generator of a cell's recipe; `model` is the digest of its files. Another one that was held is let go."""
    key = (recipe.generator, recipe.checkpoint, recipe.revision, recipe.variant, recipe.entry, model)
    if key not in _HELD:
        forget()
        _HELD[key] = Original(recipe)
    return _HELD[key]


def forget() -> None:
    """Let go of what is held."""
    _HELD.clear()
