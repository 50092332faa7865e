"""What a study has: the fakes of each cell, their twins at the baseline, and the reals beside them."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from helpers.results.results import Results

__all__ = ["FAKES", "fakes", "reals"]

#: The columns of `fakes` beside keys and titles.
FAKES = ["images", "twins", "same"]


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
