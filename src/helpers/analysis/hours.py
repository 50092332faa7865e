"""What a study's images take: a GPU's hours and the disk, extrapolated from seconds that were measured or published.

A cell's images are multiplied by the seconds of one, which are the steps of the study times the seconds of a step: as
measured here with random weights (results/footprint/device.csv), else as others published (published.csv: an image's
seconds over its steps). Encoding prompts, decoding, loading, the audit and scoring are not counted.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.analysis.footprint import measured, published
from helpers.generators.catalogue import checkpoint_titles
from helpers.precision.catalogue import DECK, PRECISIONS
from helpers.study.schema import Study

__all__ = ["STANDS_FOR", "cells", "disk", "generators", "markdown"]

#: Precisions that stand for one that was not timed: the same storage, or the same library and number of bits.
STANDS_FOR = {"fp16": ("fp16", "bf16"), "bf16": ("bf16", "fp16"), "fp4": ("fp4", "nf4"), "nf4": ("nf4", "fp4")}
#: Bytes of a pixel, uncompressed.
PIXEL = 3


def cells(study: Study) -> pd.DataFrame:
    """One row per cell: generator, precision, arm, size (pixels), images, seconds (of an image; NaN where nobody timed
    it), hours (of all), card, and `basis`: "measured", "published", or empty.
    """
    steps = _steps()
    rows = []
    for cell in [*study.cells(), *study.arm_cells()]:
        settings = study.generators[cell.generator]
        images = study.images_of(cell.arm, study.images_per_cell)
        found = _step(steps, cell.generator, cell.precision, str(study.setting("coverage", cell.arm)))
        seconds = float(found["seconds"]) * settings.steps
        rows.append(
            {
                "generator": cell.generator, "precision": cell.precision, "arm": cell.arm, "size": settings.size,
                "images": images, "seconds": seconds, "hours": images * seconds / 3600, "card": found["card"],
                "basis": found["basis"],
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def disk(images: int, size: int) -> int:
    """Bytes of images of `size` pixels as PNG at most: what they are uncompressed."""
    return images * PIXEL * size**2


def generators(study: Study) -> pd.DataFrame:
    """One row per generator: generator, images, hours (NaN where a cell's are not known), gb (10^9 bytes of disk, at
    most) and, of the main arm, the seconds of an image at each of its precisions, in columns of their keys.
    """
    every = cells(study)
    every["gb"] = [disk(count, size) / 1e9 for count, size in zip(every.images, every["size"], strict=True)]
    sums = every.groupby("generator", sort=False)[["images", "hours", "gb"]].agg(
        lambda values: values.sum(skipna=False)
    )
    main = every[every.arm == study.arm].pivot(index="generator", columns="precision", values="seconds")
    return sums.join(main[list(study.precisions)]).reset_index()


def markdown(study: Study) -> str:
    """The table of `generators` with its sum, as it stands on the page on reproducing."""
    table, titles = generators(study), checkpoint_titles()
    levels = [level for level in DECK if level in table]
    rows = [
        [titles[_checkpoint(row["generator"])], *(f"{row[level]:.1f}" for level in levels), f"{row['images']:,}",
         f"{row['hours']:.1f}", f"{row['gb']:.1f}"]
        for row in table.to_dict("records")
    ]  # fmt: skip
    rows.append(
        ["all", *[""] * len(levels), f"{table.images.sum():,}", f"{table.hours.sum():.0f}", f"{table.gb.sum():.0f}"]
    )
    head = ["checkpoint", *(f"{level.upper()}, s" for level in levels), "images", "GPU hours", "disk, GB"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _steps() -> pd.DataFrame:
    """Seconds of a denoising step: checkpoint, precision, coverage, seconds, card, basis."""
    own, theirs = measured(), published().dropna(subset="steps")
    whole = theirs.precision.map(lambda key: PRECISIONS[key].scope == "component")
    coverage = whole.map({True: "whole", False: "linear"})
    theirs = theirs.assign(basis="published", seconds=theirs.seconds / theirs.steps, coverage=coverage)
    if len(own):
        own = own[own.fits.astype(bool)].assign(basis="measured").rename(columns={"seconds_per_step": "seconds"})
    columns = ["checkpoint", "precision", "coverage", "seconds", "card", "basis"]
    return pd.concat([frame[columns] for frame in (own, theirs) if len(frame)], ignore_index=True)


def _step(steps: pd.DataFrame, generator: str, precision: str, coverage: str) -> dict[str, Any]:
    """The row of `_steps` for a cell, a measured one before a published one; casts are of whole networks."""
    own = steps[(steps.checkpoint == _checkpoint(generator)) & steps.coverage.isin([coverage, "whole"])]
    for level in STANDS_FOR.get(precision, (precision,)):
        rows = own[own.precision == level].sort_values("basis")
        if len(rows):
            return {str(key): value for key, value in rows.iloc[0].items()}
    return {"seconds": float("nan"), "card": "", "basis": ""}


def _checkpoint(generator: str) -> str:
    """The checkpoint, of those whose networks are known, that a generator of the catalogue has by default."""
    known = checkpoint_titles()
    variants = [key for key in known if key.startswith(f"{generator}-")]
    return generator if generator in known or not variants else variants[0]
