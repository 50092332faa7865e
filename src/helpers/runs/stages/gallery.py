"""The gallery of a run: the first images of its main arm, lossless, one strip per generator and prompt.

gallery/<generator>/<index>.webp   one image at every precision, side by side, and the render of the same prompt
gallery/index.json                 what the strips show

A page shows them beside their scores, and subtracts one from another: so nothing in them is resampled or lossy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from helpers.core import files
from helpers.core.errors import Damaged
from helpers.runs.plan import REAL, Plan, Recipe
from helpers.runs.store import Store, pixel_sha256

__all__ = ["COUNT", "INDEX", "SIDE", "write"]

#: Strips of a generator: with the six miniatures as many as take 11 MB.
COUNT = 24

#: Pixels a side that are shown of an image: its middle, where it is larger.
SIDE = 256

INDEX = "gallery/index.json"

#: SHA-256 of the pixels of each image that has a score, by generator, precision, arm, size and index.
_Digests = Mapping[tuple[Any, ...], str]

#: Effort of the WebP encoder; more takes up to thirty times as long and saves nothing here.
EFFORT = {"quality": 50, "method": 4}


def write(plan: Plan, store: Store) -> bool:
    """Write the strips of each generator's first `COUNT` images that are there at every precision; says whether they
    differ from what was there.

    The run's scores vouch for the images (`image_sha256`): one with other pixels, or without a score, counts as
    missing. Beside the fakes stands the real image of the same prompt where that is a render; photographs have a
    licence of their own and are not copied. A strip that shows the same images is left as it is, unless it is damaged;
    one that can no longer be made is taken away.

    index.json holds `prompts` (index -> words) and, for each generator, its `size` and the `side` that is shown
    (pixels), its `columns` (precisions, "real") and its `images` (index -> SHA-256 over the images' own).
    """
    known = _digests(store.scores())
    before = store.read(_index, store.folder / INDEX) or {}
    found: dict[str, Any] = {"prompts": {}, "generators": {}}
    for generator, recipes in _columns(plan).items():
        # A call for fewer images knows fewer prompts, and takes nothing away.
        words = before.get("prompts", {}) | {str(index): prompt for index, prompt in enumerate(recipes[0].prompts)}
        entry = _entry(store, recipes, sorted(map(int, words)), known, before.get("generators", {}).get(generator, {}))
        if entry["images"]:
            found["generators"][generator] = entry
            found["prompts"] |= {index: words[index] for index in entry["images"]}
    _sweep(store, found["generators"])
    if found != before:
        files.write_json(found, store.folder / INDEX)
    return found != before


def _entry(
    store: Store, recipes: Sequence[Recipe], indices: Sequence[int], known: _Digests, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The entry of a generator in the index, once its strips are written; `before` is what it had."""
    size = recipes[0].source.size
    columns = [of.source.precision if of.source.label else REAL for of in recipes]
    images: dict[str, str] = {}
    for index in indices:
        if len(images) < COUNT and (digest := _write(store, recipes, index, known, before.get("images", {}))):
            images[str(index)] = digest
    return {"size": size, "side": min(size, SIDE), "columns": columns, "images": images}


def _columns(plan: Plan) -> dict[str, list[Recipe]]:
    """The recipes of each generator's cells in the main arm, and of the renders of its size."""
    found: dict[str, list[Recipe]] = {}
    for source, recipe in plan.recipes.items():
        if source.label and source.arm == plan.arm:
            found.setdefault(source.generator, []).append(recipe)
    for source, recipe in plan.recipes.items():
        if source.label == 0 and source.arm == "none" and not recipe.photographs:
            for recipes in found.values():
                recipes += [recipe] if recipes[0].source.size == source.size else []
    return found


def _digests(scores: pd.DataFrame) -> _Digests:
    keys = ["generator", "precision", "arm", "size", "index"]
    early = scores[scores["index"] < 4 * COUNT].drop_duplicates(keys)
    return {tuple(row[:-1]): row[-1] for row in early[[*keys, "image_sha256"]].itertuples(index=False, name=None)}


def _write(store: Store, recipes: Sequence[Recipe], index: int, known: _Digests, before: Mapping[str, str]) -> str:
    """Write one strip, if it is not there already; its digest, or "" where an image of it is missing."""
    sources = [recipe.source for recipe in recipes]
    wanted = [known.get((of.generator, of.precision, of.arm, of.size, index), "") for of in sources]
    digest = hashlib.sha256(" ".join(wanted).encode()).hexdigest()
    path = store.folder / "gallery" / sources[0].generator / f"{index:04d}.webp"
    if not all(wanted):
        return ""
    if before.get(str(index)) == digest and _whole(path, len(sources), sources[0].size):
        return digest
    images = [store.open(source, index) for source in sources]
    whole = [
        image for image, sha in zip(images, wanted, strict=True) if image is not None and pixel_sha256(image) == sha
    ]
    if len(whole) < len(sources):
        return ""
    with files.replacing(path) as temporary:
        _strip(whole).save(temporary, format="WEBP", lossless=True, **EFFORT)
    return digest


def _whole(path: Path, columns: int, size: int) -> bool:
    """Whether a strip is there, can be decoded and has the pixels of so many images of this size."""
    side = min(size, SIDE)
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with Image.open(path, formats=["WEBP"]) as strip:
            strip.load()
            return strip.size == (columns * side, side)
    except Exception:  # a foreign file can make a decoder raise anything
        return False


def _index(path: Path) -> dict[str, Any]:
    """What index.json holds. Raises Damaged where it is none that `write` wrote."""
    found = files.read_json(path)
    prompts, generators = found.get("prompts"), found.get("generators")
    entries = list(generators.values()) if isinstance(generators, dict) else [None]
    images = [entry.get("images") if isinstance(entry, dict) else None for entry in entries]
    texts = [prompts, *images]
    if not all(isinstance(of, dict) and all(isinstance(text, str) for text in of.values()) for of in texts):
        raise Damaged(f"{path}: not an index of a gallery")
    if not all(re.fullmatch("[0-9]{1,9}", index, re.ASCII) for of in texts for index in of):
        raise Damaged(f"{path}: not an index of a gallery, for its images have no numbers")
    return found


def _strip(images: Sequence[Image.Image]) -> Image.Image:
    """The middles of all images, from left to right without gaps."""
    side = min(images[0].width, SIDE)
    strip = Image.new("RGB", (len(images) * side, side))
    for place, image in enumerate(images):
        left, top = (image.width - side) // 2, (image.height - side) // 2
        strip.paste(image.crop((left, top, left + side, top + side)), (place * side, 0))
    return strip


def _sweep(store: Store, kept: Mapping[str, Any]) -> None:
    """Take away strips that the index no longer has."""
    for path in (store.folder / "gallery").glob("*/*.webp"):
        if path.name not in {f"{int(index):04d}.webp" for index in kept.get(path.parent.name, {}).get("images", {})}:
            path.unlink()
