"""Training of a detector on anybody's images: a folder of real ones against a folder of fakes, with split and card.

The detectors have their miniature widths (NPR's is the published one) and the shipped frozen backbones, or the
published width and a published backbone. Everything that an answer to "what was it trained on?" needs lies beside the
weights: the card with seed and curve, and a table of every image with its digest and split. An image's split depends on
its content and the seed alone, so copies of one picture never lie on both sides.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from helpers.core.errors import UsageError
from helpers.core.files import MODELS, file_sha256, probe, replacing
from helpers.core.registry import unknown
from helpers.detectors import stream
from helpers.detectors.catalogue import WIDTHS
from helpers.detectors.detector import module
from helpers.detectors.folder import confounds
from helpers.detectors.preprocessing import Preprocess, decode, preprocess, tensor
from helpers.mini.training.detectors import (
    CROP,
    Recipe,
    Task,
    Views,
    augmented,
    backbone,
    by_size,
    learn,
    published_backbone,
    recipe_of,
)

__all__ = ["VALIDATION", "split", "train_folders"]

#: Share of the images that is held back to choose the best state and to measure it.
VALIDATION = 0.2

#: Side of the random crops at published width, in pixels: photographs are larger than the miniatures' images.
FULL_CROP = 224

_AT_ONCE = 64  # validation images in memory


@dataclass(frozen=True)
class _Folders:
    """One split's images by class, opened when they are needed."""

    fakes: Sequence[str]
    reals: Sequence[str]

    def batch(self, rng: np.random.Generator, pairs: int, ready: Preprocess, crop: int | None) -> list[Views]:
        """Return views of `pairs` drawn fakes and as many reals, by size."""
        views, labels = [], []
        for label, paths in ((1, self.fakes), (0, self.reals)):
            for i in rng.integers(len(paths), size=pairs):
                views.append(tensor(augmented(np.asarray(_opened(paths[i])), rng, crop), ready))
                labels.append(label)
        return by_size(views, labels)

    def logits(self, score: Callable[[list[Image.Image]], np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the logits of all fakes and of all reals, whole images, under one name."""
        both = []
        for paths in (self.fakes, self.reals):
            parts = [paths[i : i + _AT_ONCE] for i in range(0, len(paths), _AT_ONCE)]
            both.append(np.concatenate([score([_opened(path) for path in part]) for part in parts]))
        return {"folders": (both[0], both[1])}


def _opened(path: str) -> Image.Image:
    with stream.open_image(Path(path)) as image:
        return decode(image)


def split(
    real: str | os.PathLike[str], fake: str | os.PathLike[str], seed: int = 0, smallest: int = CROP
) -> pd.DataFrame:
    """Return every image of both folders: path, label, width, height, format, sha256, error (empty), split.

    Raises:
        UsageError: a file is no image or smaller than `smallest` px, the same picture lies in both folders, or a
            class is too small to be split.
    """
    rows = [
        _row(seen, label, seed, smallest)
        for label, folder in (("real", real), ("fake", fake))
        for seen in stream.judge(stream.find([folder]), {})
    ]
    table = pd.DataFrame(rows)
    _refuse_copies(table)
    _refuse_few(table)
    return table


def _row(seen: stream.FileScore, label: str, seed: int, smallest: int) -> dict[str, object]:
    """A file's row; its split is drawn from its content and the seed."""
    if seen.error:
        raise UsageError(f"{seen.path}: {seen.error}; take it out of the {label} images")
    if min(seen.width, seen.height) < smallest:
        size = f"{seen.width}x{seen.height}"
        raise UsageError(f"{seen.path}: {size} px, a crop needs {smallest} a side; take it out or enlarge it")
    drawn = int(hashlib.sha256(f"{seed}/{seen.sha256}".encode()).hexdigest()[:8], 16) / 2**32
    return {
        "path": str(seen.path), "label": label, "width": seen.width, "height": seen.height,
        "format": seen.format, "sha256": seen.sha256, "error": "",
        "split": "validation" if drawn < VALIDATION else "train",
    }  # fmt: skip


def _refuse_copies(table: pd.DataFrame) -> None:
    both = table.groupby("sha256").label.nunique()
    if (both > 1).any():
        twice = table[table.sha256 == both.index[both > 1][0]].path
        raise UsageError(f"the same picture is real and fake: {twice.iloc[0]} and {twice.iloc[-1]}")


def _refuse_few(table: pd.DataFrame) -> None:
    for label in ("real", "fake"):
        parts = set(table[table.label == label].split)
        if len(parts) < 2:
            have = int((table.label == label).sum())
            raise UsageError(
                f"{have} {label} images leave none for {'validation' if 'train' in parts else 'training'}: add some"
            )


def _data(table: pd.DataFrame) -> dict[str, _Folders]:
    """The images of `split`'s table by part."""
    return {
        part: _Folders(*(list(own[own.label == label].path) for label in ("fake", "real")))
        for part, own in table.groupby("split")
    }


def _described(table: pd.DataFrame, stem: str) -> dict[str, object]:
    """What the card says of the images of `split`'s table, which is stored as STEM.csv."""
    return {
        "images": {part: own.label.value_counts().to_dict() for part, own in table.groupby("split")},
        "split": f"{stem}.csv: {VALIDATION:.0%} validation, by digest of the file and seed",
        "cautions": confounds(table),
    }


def train_folders(
    name: str,
    real: str | os.PathLike[str],
    fake: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    width: str = "mini",
    published: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
) -> Path:
    """Train a detector on two folders, or go on where a stopped call was; return the path of its weights.

    Beside `out`, a .safetensors file that `detectors.load` takes, lie its card (.json) and the split (.csv).

    Args:
        real, fake: folders, every file of which must be an image.
        seed: of the split, the initial weights and the batches.
        steps: how long it learns, by default as its recipe says.
        width: "mini", or "full" as published.
        published: file of the frozen backbone, of a detector that has one, at full width.

    Raises:
        UsageError: the name or the width is unknown, the file's ending is another, `out` is there or cannot be
            written, `split` refuses the images, the backbone is missing or another's, or steps are asked of a head
            that is solved for.
    """
    out, recipe = Path(out), _recipe(recipe or recipe_of(name), name, steps, width)
    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: weights are written as .safetensors; give it that ending")
    probe(out)
    frozen, origin = _frozen(name, width, None if published is None else Path(published))
    if out.exists():
        raise UsageError(f"{out}: there already; name another file, or remove it and its card")
    least = (CROP if width == "mini" else FULL_CROP) if preprocess(name, width).rule.side is None else 8
    table = split(real, fake, seed, least)
    listed = table.drop(columns="error").to_csv(index=False)
    digest = hashlib.sha256(f"{name}/{seed}/{width}/{origin}/{recipe}/{listed}".encode()).hexdigest()
    work = out.with_name(f".{out.stem}-{digest[:12]}")  # other images or another seed never go on from here
    facts = {"weights": out.stem, "task": f"images of {real} (real) against images of {fake} (fake)"}
    facts |= {"data": _described(table, out.stem), "width": width} | ({"backbone": origin} if origin else {})
    task = Task(name, _data(table), facts, frozen, recipe, seed, whole=True, width=width)
    learn(task, out, work, device=device)
    with replacing(out.with_suffix(".csv")) as temporary:
        temporary.write_text(listed, encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)  # a head that is solved for leaves nothing there
    return out


def _recipe(recipe: Recipe, name: str, steps: int | None, width: str) -> Recipe:
    """How the detector learns at that width, in so many steps."""
    if width not in WIDTHS:
        raise unknown("detector width", width, WIDTHS)
    if width == "full":
        recipe = replace(recipe, crop=max(recipe.crop, FULL_CROP))
    if steps is None:
        return recipe
    if recipe.strengths:
        raise UsageError(f"{name}: its head is solved for in no steps; leave --steps out")
    return replace(recipe, steps=steps, every=min(recipe.every, steps))


def _frozen(name: str, width: str, published: Path | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """State of the frozen backbone (empty where the detector has none), and of a published one's file what it was."""
    if width == "mini" or not hasattr(module(name), "BACKBONE"):
        if published is not None:
            why = "its own is shipped" if width == "mini" else "it is trained whole"
            raise UsageError(f"--backbone {published}: {name} at width {width} takes none, {why}; leave it out")
        return (backbone(name, MODELS / "mini") if width == "mini" else {}), {}
    if published is None:
        raise UsageError(f"{name} at full width has a frozen backbone: name its file by --backbone")
    return published_backbone(name, published), {"file": published.name, "sha256": file_sha256(published)}
