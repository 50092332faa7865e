"""Makers of images: a cell's quantized pipeline, or the renderer of real images."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from helpers import generators, precision
from helpers.mini import world
from helpers.paths import tree_sha256
from helpers.runs.plan import Source
from helpers.runs.store import versions
from helpers.study import Study

__all__ = ["AlignedMaker", "CellMaker", "RealMaker", "maker"]


def maker(study: Study, source: Source) -> CellMaker | RealMaker:
    """The maker of a source's images."""
    if source.label:
        return CellMaker(study, source)
    return RealMaker(source) if source.arm == "none" else AlignedMaker(study, source)


class RealMaker:
    """Renders of the miniature world's test scenes: index i shows the scene whose caption is prompt i."""

    def __init__(self, source: Source) -> None:
        self.size = source.size
        self.record: dict[str, Any] = {}

    def model(self) -> str:
        """Digest of what makes the images: the renderer's source."""
        return tree_sha256(world.__file__)

    def load(self) -> None:
        """Nothing to load."""

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices."""
        first = world.SPLITS["test"]
        return [Image.fromarray(world.render(first + index, self.size)) for index in indices]

    def check(self, image: Image.Image) -> str | None:
        """A render always counts."""
        return None


class AlignedMaker(RealMaker):
    """The same renders after a generator's own VAE, in full precision: reals of the protocol `aligned`."""

    def __init__(self, study: Study, source: Source) -> None:
        super().__init__(source)
        self.key, self.where = source.arm, study.source(source.arm)
        self._pipeline: Any = None

    def model(self) -> str:
        """Digest of what makes the images: the renderer's source and the VAE's files."""
        return tree_sha256(world.__file__, Path(generators.source(self.key, self.where)) / "vae")

    def load(self) -> None:
        """Load the pipeline that has the VAE."""
        self._pipeline = generators.load(self.key, self.where)

    def make(self, indices: Sequence[int]) -> list[Image.Image]:
        """The images of the given indices; after `load`."""
        return generators.reconstruct(self._pipeline, super().make(indices))


class CellMaker:
    """A generator at a precision.

    `record` holds what was measured of the cell: seconds_load, seconds_quantize, peak_memory_mb, device, versions;
    after `load`, `pipeline` is the quantized pipeline and `coverage` what was covered.
    """

    def __init__(self, study: Study, source: Source) -> None:
        self.study, self.source = study, source
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
        self.record["peak_memory_mb"] = _peak_memory_mb()
        return images

    def check(self, image: Image.Image) -> str | None:
        """Why an image must not count, or None."""
        return generators.check(image)

    def load(self) -> None:
        """Load and quantize the pipeline."""
        _import_libraries(generators.entry(self.source.generator).pipeline)
        _forget_peak_memory()
        began = time.perf_counter()
        # FP32 and the 16-bit casts start from FP32 weights; formats of layers compute in the study's dtype.
        layers = precision.FORMATS[self.source.precision].scope == "layers"
        pipeline = generators.load(
            self.source.generator,
            self.study.source(self.source.generator),
            dtype=self.settings.dtype if layers else None,
            revision=self.settings.revision,
            variant=self.settings.variant,
        )
        loaded = time.perf_counter()
        asked = (self.study.setting(name, self.source.arm) for name in ("way", "coverage", "components"))
        self.coverage = precision.apply(pipeline, self.source.precision, *asked)
        self.record = {
            "seconds_load": loaded - began,
            "seconds_quantize": time.perf_counter() - loaded,
            "device": "cpu",
            "versions": versions(),
        }
        self.pipeline = pipeline


def _import_libraries(pipeline: str) -> None:
    # Their import takes seconds, once per process: it is not the time of the cell that happens to be first.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for name in ("bitsandbytes", "optimum.quanto"):
        importlib.import_module(name)
    getattr(importlib.import_module("diffusers"), pipeline)


def _forget_peak_memory() -> None:
    # Linux only: start the process's peak afresh; elsewhere the peak is that of the process so far.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _peak_memory_mb() -> float:
    """Peak resident memory of this process, MB (10^6 bytes): of the cell on Linux, elsewhere of the process so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
