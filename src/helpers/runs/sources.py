"""Sources of images, ready to make them by their recipes: a quantized pipeline, or real images."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from helpers import generators, precision, world
from helpers.core.device import accelerator, forget_peak, peaks
from helpers.core.errors import UsageError
from helpers.core.files import tree_sha256
from helpers.core.hashes import known_sha256
from helpers.generators import placement
from helpers.precision.catalogue import UNQUANTIZED
from helpers.runs import fitting, originals, photographs
from helpers.runs.plan import Recipe
from helpers.runs.store import versions

__all__ = ["Aligned", "Photographs", "QuantizedPipeline", "Reals", "Renders", "open_source"]


def open_source(recipe: Recipe, device: str = "cpu") -> QuantizedPipeline | Reals:
    """The source of a recipe's images; pipelines run on `device`. It holds nothing large until `load`."""
    if recipe.source.label:
        return QuantizedPipeline(recipe, device)
    reals = Photographs(recipe) if recipe.photographs else Renders(recipe)
    return reals if recipe.checkpoint is None else Aligned(reals, recipe, device)


class Reals:
    """Real images of one size. They always count, and nothing is measured of their making (`record`)."""

    def __init__(self, recipe: Recipe) -> None:
        self.size = recipe.source.size
        self.record: dict[str, Any] = {}

    def model(self) -> str:
        """Digest of what makes the images, beside the recipe."""
        return tree_sha256(self.method)

    @property
    def method(self) -> str:
        """The number of the method that makes them."""
        raise NotImplementedError

    def load(self) -> None:
        """Nothing to load."""

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices."""
        raise NotImplementedError

    def check(self, image: Image.Image) -> str | None:
        """A real image always counts."""
        return None


class Renders(Reals):
    """Renders of the miniature world's test scenes: index i shows the scene whose caption is the prompt of image i."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.first = world.SPLITS["test"] + recipe.first

    @property
    def method(self) -> str:
        """The renderer's."""
        return world.METHOD

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices."""
        return [Image.fromarray(world.render(self.first + index, self.size)) for index in indices]


class Photographs(Reals):
    """Photographs of a folder, cropped and shrunk (see `helpers.runs.photographs`): index i is the recipe's i-th."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.photographs = recipe.photographs

    @property
    def method(self) -> str:
        """That of cropping and shrinking; which files are taken is the recipe's."""
        return f"photographs {photographs.METHOD}"

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices. Raises Failure where a file cannot be read any more."""
        return [photographs.open_square(self.photographs[index], self.size) for index in indices]


class Aligned(Reals):
    """Real images after a generator's own VAE, in full precision: reals of the protocol `aligned`."""

    def __init__(self, reals: Reals, recipe: Recipe, device: str = "cpu") -> None:
        super().__init__(recipe)
        self.reals, self.recipe, self.device = reals, recipe, device
        self._pipeline: Any = None

    def model(self) -> str:
        """Digest of what makes the images: the reals' method and the VAE's files, or its hub id and revision."""
        where = generators.source(self.recipe.generator, self.recipe.checkpoint, self.recipe.entry)
        folder = Path(where)
        vae = folder / "vae" if folder.is_dir() else f"{where}@{self.recipe.revision}/vae"
        return tree_sha256(self.reals.method, vae, of_file=known_sha256)

    def load(self) -> None:
        """Load the pipeline that has the VAE."""
        recipe = self.recipe
        self._pipeline = generators.load(
            recipe.generator,
            recipe.checkpoint,
            entry=recipe.entry,
            revision=recipe.revision,
            variant=recipe.variant,
            device=self.device,
            vae_only=True,
        )

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices; after `load`."""
        return generators.reconstruct(self._pipeline, self.reals.make(indices))


class QuantizedPipeline:
    """A generator at a precision.

    `record` holds what was measured of the cell: seconds_load, seconds_quantize, peak_memory_mb, device, versions, and
    of a GPU placement and estimated_peak_mb. After `load`, `pipeline` is the quantized pipeline, in RAM, and `coverage`
    what was covered; `place`, which the first `make` calls, brings it to the device. seconds_load counts the reading of
    the generator's files, which happens once for all its cells, for each of them.
    """

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device = recipe, device
        self.record: dict[str, Any] = {}
        self.pipeline: Any = None
        self._making = False

    def model(self) -> str:
        """Digest of what makes the images: the checkpoint's files, or its hub id and revision."""
        where = generators.source(self.recipe.generator, self.recipe.checkpoint, self.recipe.entry)
        if Path(where).is_dir():
            return tree_sha256(where, of_file=known_sha256)
        return tree_sha256(f"{where}@{self.recipe.revision}")

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices, in one batch; after `load`."""
        recipe = self.recipe
        self.place()
        if not self._making:  # what quantizing and the audit took is not what images take
            forget_peak(self.device)
            self._making = True
        images = generators.sample(
            self.pipeline,
            [recipe.prompts[index] for index in indices],
            [recipe.seed + index for index in indices],
            steps=recipe.steps,
            guidance=recipe.guidance,
            size=recipe.source.size,
            batch_size=len(indices),
        )
        self.record["peak_memory_mb"] = peaks(self.device)["peak_allocated"] / 1e6
        return images

    def check(self, image: Image.Image) -> str | None:
        """Why an image must not count, or None."""
        return generators.check(image)

    def load(self, encodings: bool = True) -> None:
        """Copy the generator's pipeline (see `runs.originals`) and quantize it, on a GPU layer by layer.

        With `encodings`, prompts that another cell with the same text encoders has had encoded are not encoded again.
        """
        recipe = self.recipe
        _import_libraries(recipe.entry.pipeline)
        held, type_ = originals.original(recipe, self.model()), recipe.computing_type(self.device)
        types, balanced = recipe.types(self.device), self.device != "cpu" and recipe.memory.placement == "balanced"
        read, began = held.seconds, time.perf_counter()
        pipeline = held.pipeline(type_, types, balanced)
        loaded = time.perf_counter()
        self.coverage = precision.apply(
            pipeline, recipe.source.precision, recipe.way, recipe.coverage, recipe.components, self.device
        )
        self.record = {
            "seconds_load": loaded - began + read,
            "seconds_quantize": time.perf_counter() - loaded,
            "device": accelerator(self.device)["card"] if self.device != "cpu" else "cpu",
            "versions": versions(),
        }
        if encodings and self._encodes_as_published():
            held.encodings.attach(pipeline, (type_, *sorted(types.items()), self.device))
        self.pipeline = pipeline
        fitting.decode_in_parts(pipeline, recipe.memory)

    def place(self) -> None:
        """Bring the pipeline to the device, once, as the recipe says or as its memory allows.

        Raises UsageError where that takes a package that is missing, or layers that cannot be moved.
        """
        if self.device == "cpu" or "placement" in self.record:
            return
        need = fitting.need(self.pipeline, self.recipe, self.device)
        how = self.recipe.memory.placement or need.chosen(placement.free(self.device))[0]
        if how == "sequential" and how not in need.peaks:
            raise UsageError(
                f"layers stored at {self.recipe.source.precision} cannot be brought to the card one by one; take"
                ' memory.placement "model" for this generator'
            )
        placement.place(self.pipeline, how, self.device)
        self.record |= {"placement": how, "estimated_peak_mb": need.peaks.get(how, 0) / 1e6 or None}

    def _encodes_as_published(self) -> bool:
        """Whether no text encoder of the cell is quantized."""
        return self.recipe.source.precision == UNQUANTIZED or not {*self.coverage.components} - {"denoiser", "vae"}


def _import_libraries(pipeline: str) -> None:
    # Their import takes seconds, once per process: it is not the time of the cell that happens to be first.
    for name in ("bitsandbytes", "optimum.quanto"):
        importlib.import_module(name)
    getattr(importlib.import_module("diffusers"), pipeline, None)  # one that there is not is told of when it is loaded
