"""What a study has: the fakes of each cell, their twins at the baseline, the reals beside them and what those are."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.core.errors import Damaged
from helpers.generators.catalogue import GENERATORS
from helpers.images.confounds import differences
from helpers.precision import catalogue as precisions
from helpers.results.results import Results

__all__ = [
    "DECK",
    "FAKES",
    "PHOTOGRAPHS",
    "Grid",
    "as_they_came",
    "fakes",
    "grid",
    "of_deck",
    "photographs",
    "reals",
    "reals_kind",
    "same_scores",
    "twins",
]

#: The deck's grid, whatever other packages and studies add: (generator, precision).
DECK = [(generator, precision) for generator in GENERATORS.own for precision in precisions.DECK]

#: The columns of `fakes` beside keys and titles.
FAKES = ["images", "twins", "same"]

#: The columns of `photographs`: the file's name in its folder, its digest, its format, and its pixels.
PHOTOGRAPHS = ["name", "sha256", "format", "width", "height"]


def fakes(results: Results) -> pd.DataFrame:
    """One row per cell that any detector has scored, in the study's order: generator and precision with titles.

    `images` it has, `twins` of them that the baseline has too (image by image, by index; all of the baseline's own),
    and whether every detector scores the twins exactly as at the baseline (`same`; None of the baseline itself and
    where there are none).
    """
    rows = []
    for generator in results.generators:
        first = _images(results, generator, results.baseline)
        for precision in results.precisions:
            own = _images(results, generator, precision)
            if len(own):
                counts = {"images": len(own), "twins": len(own.intersection(first))}
                same = _scored_alike(results, generator, precision)
                rows.append(results.titled(generator, precision) | counts | {"same": same})
    keys = ["generator", "generator_title", "precision", "precision_title"]
    return pd.DataFrame(rows, columns=[*keys, *FAKES])


def _images(results: Results, generator: str, precision: str) -> pd.Index:
    """The images of a cell that any detector has scored."""
    found = [results.logits(detector, generator, precision).index for detector in results.detectors]
    return functools.reduce(pd.Index.union, found)


def _scored_alike(results: Results, generator: str, precision: str) -> bool | None:
    if precision == results.baseline:
        return None
    equal = []
    for detector in results.detectors:
        base, own = (results.logits(detector, generator, key) for key in (results.baseline, precision))
        shared = base.index.intersection(own.index)
        if len(shared):
            equal.append(np.array_equal(base[shared], own[shared]))
    return all(equal) if equal else None


def reals(results: Results) -> pd.DataFrame:
    """One row per size of images that the study has fakes of: `size` in pixels and the reals, `images`, of that size.

    Where detectors have scored different numbers of them, the most.
    """
    scores = results.scores
    sizes = scores["size"][scores.label == 1].unique()
    kept = scores[(scores.label == 0) & scores["size"].isin(sizes)]
    counts = kept.groupby(["size", "detector"], observed=True)["index"].nunique()
    return counts.groupby("size").max().reset_index(name="images")


def reals_kind(results: Results) -> str:
    """What the reals are: "world" (renders), "folder" (photographs), "unknown" (nobody says), "" (there are none)."""
    if not (results.scores.label == 0).any():
        return ""
    if len(photographs(results)):
        return "folder"
    imported = "imported" in results.manifest
    return "world" if results.scale == "mini" and not imported else "unknown"


def photographs(results: Results) -> pd.DataFrame:
    """The files that the reals were made of, by index, with the columns `PHOTOGRAPHS`; empty where they are no files.

    Raises Damaged where the manifest does not say it as a run does.
    """
    said = (results.manifest.get("reals") or {}).get("photographs") or []
    if not (isinstance(said, list) and all(isinstance(row, dict) and {*PHOTOGRAPHS} <= {*row} for row in said)):
        raise Damaged("manifest.json: its 'reals.photographs' are no list of files; run the study again")
    scored = results.scores["index"][results.scores.label == 0].max()
    return pd.DataFrame(said, columns=PHOTOGRAPHS)[: 0 if pd.isna(scored) else int(scored) + 1]


def as_they_came(results: Results) -> list[str]:
    """In what the photographs' files differ from the fakes' (see `images.confounds.differences`), which a run keeps as
    PNG of the generator's size."""
    fakes_ = results.scores[results.scores.label == 1].drop_duplicates(["generator", "precision", "index"])
    fakes_ = pd.DataFrame({"label": "fake", "format": "PNG", "width": fakes_["size"], "height": fakes_["size"]})
    return differences(pd.concat([photographs(results).assign(label="real"), fakes_], ignore_index=True))


@dataclass(frozen=True)
class Grid:
    """What was run: how many generators, precisions, `cells` of them with `images` in all, `missing` cells, `reals`
    beside them, and detectors."""

    generators: int
    precisions: int
    cells: int
    missing: int
    images: int
    reals: int
    detectors: int


def grid(results: Results) -> Grid:
    """The study's grid, counted."""
    made, sides = fakes(results), (len(results.generators), len(results.precisions))
    missing = sides[0] * sides[1] - len(made)
    images, real = int(made.images.sum()), int(reals(results).images.sum())
    return Grid(*sides, len(made), missing, images, real, len(results.detectors))


def of_deck(fakes: pd.DataFrame) -> int:
    """How many cells of a table of `fakes` are of the deck's grid."""
    return len(set(zip(fakes.generator, fakes.precision, strict=True)) & set(DECK))


def twins(fakes: pd.DataFrame, baseline: str) -> tuple[int, int]:
    """Of a table of `fakes`: the images at other precisions than the baseline, and how many have a twin there."""
    others = fakes[fakes.precision != baseline]
    return int(others.images.sum()), int(others.twins.sum())


def same_scores(fakes: pd.DataFrame, precision: str) -> tuple[list[str], int]:
    """Of a table of `fakes`: the titles of the generators of which a precision changes no score, and how many have
    twins at it.
    """
    there = fakes[(fakes.precision == precision) & fakes.same.notna()]
    return list(there.generator_title[there.same.astype(bool)]), len(there)
