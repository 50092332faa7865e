"""Makers of images: a cell's quantized pipeline, or the renderer of real images."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from helpers import generators, precision
from helpers.core import device as machine
from helpers.core.files import tree_sha256
from helpers.runs.plan import Source
from helpers.runs.store import versions
from helpers.study.schema import GeneratorSettings, Study
from helpers.world import scenes

__all__ = ["AlignedMaker", "CellMaker", "RealMaker", "computing_type", "maker"]


def maker(study: Study, source: Source, device: str = "cpu") -> CellMaker | RealMaker:
    """The maker of a source's images; pipelines run on `device`."""
    if source.label:
        return CellMaker(study, source, device)
    return RealMaker(source) if source.arm == "none" else AlignedMaker(study, source, device)


class RealMaker:
    """Renders of the miniature world's test scenes: index i shows the scene whose caption is prompt i."""

    def __init__(self, source: Source) -> None:
        self.size = source.size
        self.record: dict[str, Any] = {}

    def model(self) -> str:
        """Digest of what makes the images: the renderer's source."""
        return tree_sha256(scenes.__file__)

    def load(self) -> None:
        """Nothing to load."""

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices."""
        first = scenes.SPLITS["test"]
        return [Image.fromarray(scenes.render(first + index, self.size)) for index in indices]

    def check(self, image: Image.Image) -> str | None:
        """A render always counts."""
        return None


class AlignedMaker(RealMaker):
    """The same renders after a generator's own VAE, in full precision: reals of the protocol `aligned`."""

    def __init__(self, study: Study, source: Source, device: str = "cpu") -> None:
        super().__init__(source)
        self.device = device
        self.key, self.where = source.arm, study.source(source.arm)
        self._pipeline: Any = None

    def model(self) -> str:
        """Digest of what makes the images: the renderer's source and the VAE's files."""
        return tree_sha256(scenes.__file__, Path(generators.source(self.key, self.where)) / "vae")

    def load(self) -> None:
        """Load the pipeline that has the VAE."""
        self._pipeline = generators.load(self.key, self.where, device=self.device)

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices; after `load`."""
        return generators.reconstruct(self._pipeline, super().make(indices))


class CellMaker:
    """A generator at a precision.

    `record` holds what was measured of the cell: seconds_load, seconds_quantize, peak_memory_mb, device, versions;
    after `load`, `pipeline` is the quantized pipeline and `coverage` what was covered.
    """

    def __init__(self, study: Study, source: Source, device: str = "cpu") -> None:
        self.study, self.source, self.device = study, source, device
        self.settings = study.generators[source.generator]
        self.record: dict[str, Any] = {}
        self.pipeline: Any = None

    def model(self) -> str:
        """Digest of what makes the images: the checkpoint's files, or its hub id and revision."""
        where = generators.source(self.source.generator, self.study.source(self.source.generator))
        return tree_sha256(where) if Path(where).is_dir() else tree_sha256(f"{where}@{self.settings.revision}")

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices, in one batch; after `load`."""
        count = max(indices) + 1
        prompts, seeds = self.study.prompts_for(count), self.study.seeds(count, self.source.arm)
        images = generators.sample(
            self.pipeline,
            [prompts[index] for index in indices],
            [seeds[index] for index in indices],
            steps=self.settings.steps,
            guidance=self.settings.guidance,
            size=self.settings.size,
            batch_size=len(indices),
        )
        self.record["peak_memory_mb"] = machine.peaks(self.device)["peak_allocated"] / 1e6
        return images

    def check(self, image: Image.Image) -> str | None:
        """Why an image must not count, or None."""
        return generators.check(image)

    def load(self) -> None:
        """Load and quantize the pipeline."""
        _import_libraries(generators.GENERATORS[self.source.generator].pipeline)
        machine.forget_peak(self.device)
        began = time.perf_counter()
        pipeline = generators.load(
            self.source.generator,
            self.study.source(self.source.generator),
            dtype=computing_type(self.settings, self.source.precision, self.device),
            revision=self.settings.revision,
            variant=self.settings.variant,
            device=self.device,
        )
        loaded = time.perf_counter()
        asked = (self.study.setting(name, self.source.arm) for name in ("way", "coverage", "components"))
        self.coverage = precision.apply(pipeline, self.source.precision, *asked)
        self.record = {
            "seconds_load": loaded - began,
            "seconds_quantize": time.perf_counter() - loaded,
            "device": machine.accelerator(self.device)["card"] if self.device != "cpu" else "cpu",
            "versions": versions(),
        }
        self.pipeline = pipeline


def computing_type(settings: GeneratorSettings, precision: str, device: str) -> str:
    """The type in which a cell computes: FP32 in itself, other precisions on a GPU in the study's `dtype`.

    On a CPU everything computes in single precision, since many have no arithmetic of 16 bits.
    """
    return "float32" if precision == "fp32" or device == "cpu" else settings.dtype or "float32"


def _import_libraries(pipeline: str) -> None:
    # Their import takes seconds, once per process: it is not the time of the cell that happens to be first.
    for name in ("bitsandbytes", "optimum.quanto"):
        importlib.import_module(name)
    getattr(importlib.import_module("diffusers"), pipeline)
