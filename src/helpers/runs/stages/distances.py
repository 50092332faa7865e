"""Measure how far each image lies from the baseline's of the same prompt, and what the judge reads off it.

distances.parquet    one row per image of each cell and arm whose generator has the image of that index at the baseline
                     in the main arm: generator, precision, arm, size, index, image_sha256; `psnr` in dB, inf where all
                     pixels are equal; `gmsd`; `identical`, 1 where the bytes are; `ground`, `colours`, `shapes`, what
                     the judge reads; `ground_right`, `colours_right`, `shapes_right`, 1 where that is the prompt's

The images at the baseline have rows of their own, at no distance, for what is read off them. An arm with other seeds is
set beside the same images, and so shows how far apart two pictures of one prompt lie. The judge (`helpers.mini.judge`)
reads captions of the miniature world alone: a study with other prompts has no readings, nor has one without the judge.
Measures and units are in `helpers.images.distances`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd

from helpers import world
from helpers.core.files import file_sha256
from helpers.images import distances
from helpers.mini import judge as judging
from helpers.runs.plan import Plan, Recipe, Source
from helpers.runs.progress import each
from helpers.runs.stages import cache
from helpers.runs.store import Store, pixel_sha256

__all__ = ["METHOD", "TABLE", "measures", "read", "write"]

#: To be raised when what is measured, or how it is stored, changes here: parts made by another number are made again.
METHOD = 1

TABLE = "distances.parquet"

#: Columns of a reading, and of whether each part of it is the prompt's.
_READ = ("ground", "colours", "shapes")
_RIGHT = tuple(f"{name}_right" for name in _READ)

#: Pairs of images in memory at a time.
_BATCH = 25

_Judge = Callable[[], judging.Judge]


def write(plan: Plan, store: Store, *, progress: bool = True) -> bool:
    """Write distances.parquet of all images that are scored in a run's folder; says whether anything is new.

    A cell is measured where its scored images and those at the baseline are at hand with the pixels that were scored;
    what was measured of the same pixels by the same methods, and read by the same judge, is kept.
    """
    digests = cache.scored(store, None)
    judge = functools.cache(judging.load) if _reads(plan, store) else None
    method = [f"distances {distances.METHOD}.{METHOD}", file_sha256(judging.FILE) if judge else ""]
    sources = [source for source in plan.recipes if source.label and source in digests]
    parts = []
    for source in each(sources, "distances", progress, "cells"):
        base = Source(source.generator, plan.baseline, plan.arm, source.size, 1)
        both = pd.DataFrame({"base": digests.get(base), "own": digests[source]}).dropna()
        recipe = plan.recipes[source]
        made_of = [*method, str(len(recipe.prompts) if judge else 0), *both.index.map(str), *both.base, *both.own]
        make = functools.partial(_rows, store, recipe, base, both, judge)
        parts.append(cache.cached(store, f"distances/{source.folder}", made_of, make) if len(both) else None)
    return cache.publish(store, {TABLE: parts})


def _reads(plan: Plan, store: Store) -> bool:
    """Whether the judge has something to read in this study; notes where it is not there to do so."""
    if plan.study["prompts"]["kind"] != "world":
        return False
    if not judging.FILE.is_file():
        store.note(f"{judging.FILE}: no judge, so {TABLE} says nothing of what the images show")
    return judging.FILE.is_file()


def _rows(store: Store, recipe: Recipe, base: Source, both: pd.DataFrame, judge: _Judge | None) -> pd.DataFrame | None:
    source, frames = recipe.source, []
    for start in range(0, len(both), _BATCH):
        part = both.iloc[start : start + _BATCH]
        pairs = [_verified(store, of, part[name]) for of, name in ((base, "base"), (source, "own"))]
        if pairs[0] is None or pairs[1] is None:
            return None
        prompts = [recipe.prompts[i] if i < len(recipe.prompts) else None for i in part.index]
        found = [measures(*pairs), read(judge, pairs[1], prompts)]
        frames.append(pd.concat(found, axis=1).assign(index=part.index, image_sha256=part.own.to_numpy()))
    rows = pd.concat(frames, ignore_index=True)
    cell = {name: value for name, value in zip(cache.CELL, astuple(source), strict=True) if name != "label"}
    rows = rows.assign(**cell)
    own = [*cell, "index", "image_sha256"]
    return rows[own + [name for name in rows if name not in own]]


def _verified(store: Store, source: Source, digests: pd.Series) -> np.ndarray | None:
    """Pixels (N, S, S, 3) of images by index; None where one is not at hand with its digest. Each is decoded once."""
    images = [store.open(source, index) for index in digests.index]
    if any(image is None or pixel_sha256(image) != digest for image, digest in zip(images, digests, strict=True)):
        return None
    return np.stack([np.asarray(image) for image in images])


def measures(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """One row for each pair of RGB images (N, S, S, 3), uint8: psnr, gmsd, identical."""
    figures = {"psnr": distances.psnr(first, second), "gmsd": distances.gmsd(first, second)}
    frame = pd.DataFrame({name: values.astype(np.float32) for name, values in figures.items()})
    return frame.assign(identical=(first == second).all(axis=(1, 2, 3)).astype(np.int8))


def read(judge: _Judge | None, pixels: np.ndarray, prompts: Sequence[str | None]) -> pd.DataFrame:
    """What the judge reads off RGB images (N, S, S, 3), and whether it is what their N prompts say.

    Words are in reading order, with a space between. Blank of an image whose prompt is not known (None).
    """
    wanted = [world.parse(prompt) if judge and prompt else None for prompt in prompts]
    known = [place for place, one in enumerate(wanted) if one]
    words = np.full((len(prompts), len(_READ)), None, dtype=object)
    right = np.full((len(prompts), len(_READ)), np.nan)
    if judge and known:
        found = judging.readings(judge(), pixels[known], [one.relation for one in wanted if one])
        for place, one in zip(known, found, strict=True):
            words[place] = _words(one)
            right[place] = np.equal(_words(one), _words(wanted[place]))
    frame = pd.DataFrame(words, columns=list(_READ))
    return frame.join(pd.DataFrame(right, columns=list(_RIGHT)).astype("Int8"))


def _words(parsed: world.Parsed) -> list[str]:
    colours, shapes = zip(*parsed.solids, strict=True)
    return [parsed.ground, " ".join(colours), " ".join(shapes)]
