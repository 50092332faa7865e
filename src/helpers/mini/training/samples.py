"""Images that the detectors are trained and the generators measured on: a miniature's fakes, and reals beside them.

Image i of a split shows scene i of that split in each: `fakes` as the generator draws its caption, `reals` as it is
rendered, `aligned` as the generator's own VAE gives that render back. What is made once is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from diffusers import DiffusionPipeline
from PIL import Image
from tqdm import tqdm

from helpers import generators, world
from helpers.core.files import BUILD, MODELS, replacing, tree_sha256
from helpers.mini.learning import data
from helpers.study import schema
from helpers.study.schema import GeneratorSettings

__all__ = ["WORK", "aligned", "fakes", "reals"]

#: Where everything unfinished lies.
WORK = BUILD / "train"

#: First seed of the noise of training and validation fakes: far from the studies' own seeds.
_NOISE = 1_000_000_000

_BATCH = 25


def fakes(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return FP32 images of a trained miniature, uint8 (count, size, size, 3): image i has prompt i of the split.

    Made once per model and sampler and kept in `work`, more when more are asked for; the noise's seeds are not the
    study's.
    """
    settings = _settings(key)
    path = work / f"fakes-{split}-{key}-{_digest(key)}-{settings.steps}-{settings.guidance}.npy"
    made = np.load(path) if path.exists() else np.empty((0, settings.size, settings.size, 3), np.uint8)
    if len(made) >= count:
        return made[:count]
    for old in work.glob(f"fakes-{split}-{key}-*.npy"):
        if old != path:  # of a model that is no more
            old.unlink()
    pipeline = generators.load(key, "mini")
    with tqdm(total=count, initial=len(made), desc=f"fakes {split} {key}", mininterval=5) as bar:
        while len(made) < count:
            rows = range(len(made), min(len(made) + _BATCH, count))
            made = np.concatenate([made, _sampled(pipeline, settings, [world.SPLITS[split] + i for i in rows])])
            with replacing(path) as temporary:
                np.save(temporary, made)
            bar.update(len(rows))
    return made


def _sampled(pipeline: DiffusionPipeline, settings: GeneratorSettings, scenes: list[int]) -> np.ndarray:
    """Images of the captions of scenes, given by seed: uint8 (N, size, size, 3)."""
    images = generators.sample(
        pipeline, [world.prompt(seed) for seed in scenes], [_NOISE + seed for seed in scenes],
        steps=settings.steps, guidance=settings.guidance, size=settings.size, batch_size=_BATCH,
    )  # fmt: skip
    return np.stack([np.asarray(image) for image in images])


def reals(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return renders of the same scenes as `fakes`, uint8 (count, size, size, 3)."""
    return data.pool(work, split, _settings(key).size, count)


def aligned(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return the same renders after the generator's own VAE, uint8 (count, size, size, 3); kept in `work`."""
    path = work / f"aligned-{split}-{key}-{_digest(key, 'vae')}-{count}.npy"
    if not path.exists():
        pipeline = generators.load(key, "mini")
        bar = tqdm(reals(split, key, count, work), desc=f"aligned {split} {key}", mininterval=5)
        made = [np.asarray(generators.reconstruct(pipeline, [Image.fromarray(image)])[0]) for image in bar]
        with replacing(path) as temporary:
            np.save(temporary, np.stack(made))
    return np.load(path, mmap_mode="r")


def _settings(key: str) -> GeneratorSettings:
    return schema.load("mini").generators[key]


def _digest(key: str, *part: str) -> str:
    """Short digest of a shipped generator's files, or of a part's."""
    return tree_sha256(MODELS.joinpath("mini", key, *part))[:12]
