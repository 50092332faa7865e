"""What a run consists of: sources of images, cut into shards of fixed size (no torch)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers.core.errors import UsageError, nearest, shown
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import weights_for
from helpers.precision.catalogue import PRECISIONS
from helpers.study.schema import Cell, Study, training_label

__all__ = ["REAL", "Scoring", "Shard", "Source", "parse_share", "scorings", "shards", "sources"]

REAL = "real"


@dataclass(frozen=True)
class Source:
    """Where images come from: a cell of the study (label 1), or the renderer of real images at one size (label 0).

    `size` is in pixels; the precision is "none" for real images. Their arm is "none" too, or the generator through
    whose VAE they were passed (protocol `aligned`).
    """

    generator: str
    precision: str
    arm: str
    size: int
    label: int

    @property
    def folder(self) -> str:
        """Path of its images below images/: real/64, real/64-sd15, sd15/fp4, sd15/fp4-rounding."""
        if self.label == 0:
            return f"{REAL}/{self.size}" + ("" if self.arm == "none" else f"-{self.arm}")
        return f"{self.generator}/{self.precision}" + ("" if self.arm == "native" else f"-{self.arm}")

    @property
    def cell(self) -> Cell:
        """The study's cell of this source, a cell "real" for renders."""
        return Cell(self.generator, self.precision, self.arm)


@dataclass(frozen=True)
class Scoring:
    """One way in which images are scored: a detector, its weights (a training's label or a path), the protocol."""

    detector: str
    weights: str
    protocol: str

    @property
    def label(self) -> str:
        """The weights' name in tables."""
        return training_label(self.weights)

    @property
    def key(self) -> str:
        """Its name in records."""
        return f"{self.detector}/{self.label}/{self.protocol}"

    def applies(self, source: Source) -> bool:
        """Whether it scores a source's images: `aligned` has reals of its own."""
        return source.label == 1 or (source.arm != "none") == (self.protocol == "aligned")


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
    study: Study,
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    arms: Sequence[str] | None = None,
) -> list[Source]:
    """The chosen cells, those of the main arm first, then the renders at their sizes (in a mini study only).

    Raises UsageError for a generator, precision or arm that the study does not have.
    """
    every = study.cells() + study.beside()
    keys = _chosen("generator", generators, study.keys, GENERATORS)
    levels = _chosen("precision", precisions, list(dict.fromkeys(cell.precision for cell in every)), PRECISIONS)
    ways = _chosen("arm", arms, [study.arm, *study.arms], ())
    cells = [cell for cell in every if cell.generator in keys and cell.precision in levels and cell.arm in ways]
    fakes = [
        Source(cell.generator, cell.precision, cell.arm, study.generators[cell.generator].size, 1) for cell in cells
    ]
    if study.scale != "mini":
        return fakes
    sizes = sorted({study.generators[key].size for key in keys})
    own = [key for key in keys if "aligned" in study.protocols]
    return (
        fakes
        + [Source(REAL, "none", "none", size, 0) for size in sizes]
        + [Source(REAL, "none", key, study.generators[key].size, 0) for key in own]
    )


def scorings(study: Study) -> list[Scoring]:
    """Every way in which the study scores its images: each protocol, then the further trainings under `plain`."""
    main = [Scoring(name, weights_for(p, study.weights), p) for p in study.protocols for name in study.detectors]
    return main + [Scoring(name, label, "plain") for label, names in study.further.items() for name in names]


def shards(study: Study, chosen: Iterable[Source], images: int, share: tuple[int, int] | None = None) -> list[Shard]:
    """Shards for `images` images of every source, at most an arm's own number; with share (i, n) every n-th of them
    from the i-th.

    Shards begin at multiples of the study's shard size, so a run with more images extends the last one and keeps the
    others.
    """
    if images < 1:
        raise UsageError(f"{images} images per cell: ask for at least 1")
    size = study.shard_size
    every = [
        Shard(source, start, min(start + size, most))
        for source in chosen
        for most in [study.images_of(source.arm, images)]
        for start in range(0, most, size)
    ]
    first, step = share or (1, 1)
    return every[first - 1 :: step]


def parse_share(text: str) -> tuple[int, int]:
    """(i, n) of "I/N", the I-th of N equal shares of a run; 1 <= I <= N, else UsageError."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    share = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= share[0] <= share[1]:
        raise UsageError(f"shard {shown(text)}: write I/N with 1 <= I <= N, for instance 1/4")
    return share


def _chosen(what: str, wanted: Sequence[str] | None, there: Sequence[str], known: Iterable[str]) -> Sequence[str]:
    for word in wanted or ():
        if word not in there:
            state = f"the study has no {what} '{word}'" if word in known else f"no {what} '{word}'"
            raise UsageError(f"{state}{nearest(word, there)}; one of {', '.join(there)}")
    return there if wanted is None else wanted
