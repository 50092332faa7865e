"""What a run consists of: sources of images, cut into shards of fixed size (no torch)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers.errors import UsageError, nearest
from helpers.study import GENERATORS, PRECISIONS, Cell, Study

__all__ = ["REAL", "Shard", "Source", "parse_share", "shards", "sources"]

REAL = "real"


@dataclass(frozen=True)
class Source:
    """Where images come from: a cell of the study (label 1), or the renderer of real images at one size (label 0).

    `size` is in pixels; precision and arm are "none" for real images.
    """

    generator: str
    precision: str
    arm: str
    size: int
    label: int

    @property
    def folder(self) -> str:
        """Path of its images below images/: real/64, sd15/fp4, sd15/fp4-rounding (arms other than native)."""
        if self.label == 0:
            return f"{REAL}/{self.size}"
        return f"{self.generator}/{self.precision}" + ("" if self.arm == "native" else f"-{self.arm}")

    @property
    def cell(self) -> Cell:
        """The study's cell of this source, a cell "real" for renders."""
        return Cell(self.generator, self.precision, self.arm)


@dataclass(frozen=True)
class Shard:
    """The images `start` <= index < `stop` of a source; the unit of work and of bookkeeping."""

    source: Source
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Path of its files below parts/, without suffix."""
        return f"{self.source.folder}/{self.start:04d}"

    @property
    def indices(self) -> range:
        """The indices of its images."""
        return range(self.start, self.stop)


def sources(
    study: Study, generators: Sequence[str] | None = None, precisions: Sequence[str] | None = None
) -> list[Source]:
    """The chosen cells, generator by generator, then the renders at their sizes (in a mini study only).

    Raises UsageError for a generator or precision that the study does not have.
    """
    keys = _chosen("generator", generators, study.keys, GENERATORS)
    levels = _chosen("precision", precisions, study.precisions, PRECISIONS)
    cells = [cell for cell in study.cells() if cell.generator in keys and cell.precision in levels]
    fakes = [
        Source(cell.generator, cell.precision, cell.arm, study.generators[cell.generator].size, 1) for cell in cells
    ]
    sizes = sorted({source.size for source in fakes}) if study.scale == "mini" else []
    return fakes + [Source(REAL, "none", "none", size, 0) for size in sizes]


def shards(chosen: Iterable[Source], images: int, size: int, share: tuple[int, int] | None = None) -> list[Shard]:
    """Shards of `size` images for `images` images of every source; with share (i, n) every n-th of them from the
    i-th.

    Shards begin at multiples of `size`, so a run with more images extends the last one and keeps the others.
    """
    if images < 1:
        raise UsageError(f"{images} images per cell: ask for at least 1")
    every = [Shard(source, start, min(start + size, images)) for source in chosen for start in range(0, images, size)]
    first, step = share or (1, 1)
    return every[first - 1 :: step]


def parse_share(text: str) -> tuple[int, int]:
    """(i, n) of "I/N", the I-th of N equal shares of a run; 1 <= I <= N, else UsageError."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    share = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= share[0] <= share[1]:
        raise UsageError(f"shard '{text}': write I/N with 1 <= I <= N, for instance 1/4")
    return share


def _chosen(what: str, wanted: Sequence[str] | None, there: Sequence[str], known: Iterable[str]) -> Sequence[str]:
    for word in wanted or ():
        if word not in there:
            state = f"the study has no {what} '{word}'" if word in known else f"no {what} '{word}'"
            raise UsageError(f"{state}{nearest(word, there)}; one of {', '.join(there)}")
    return there if wanted is None else wanted
