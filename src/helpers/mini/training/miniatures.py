"""Training of the miniatures from nothing, in order: VAEs, text encoders, denoisers, decoders, backbones, detectors.

Everything unfinished lies in `_build/train` and is gone on with; what is finished is written to `models/mini`.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from helpers import detectors, generators
from helpers.core.device import processor
from helpers.core.errors import UsageError, nearest
from helpers.core.files import BUILD, CARD, MODELS, replacing, tree_sha256
from helpers.detectors.catalogue import DETECTORS
from helpers.images import protocols
from helpers.mini import measures
from helpers.mini.families import ARCHITECTURES, build
from helpers.mini.judge import train_judge
from helpers.mini.training import data
from helpers.mini.training import detectors as train_detectors
from helpers.mini.training.denoiser import RECIPES, train_denoiser
from helpers.mini.training.loop import record
from helpers.mini.training.text import train_text_encoder
from helpers.mini.training.vae import train_decoder, train_encoder
from helpers.study import schema
from helpers.world.captions import prompt
from helpers.world.scenes import SPLITS

__all__ = ["NAMES", "WORK", "aligned", "calibrate", "evaluate", "fakes", "reals", "train", "train_generator"]

WORK = BUILD / "train"

#: Every miniature by name, in the order in which they are trained.
NAMES = (*ARCHITECTURES, "judge", *train_detectors.TRAINERS)

#: First seed of the noise of training and validation fakes: far from the studies' own seeds.
_NOISE = 1_000_000_000


def _text_encoders(pipeline: Any) -> dict[str, torch.nn.Module]:
    names = ("text_encoder", "text_encoder_2", "text_encoder_3")
    return {name: part for name in names if (part := getattr(pipeline, name, None)) is not None}


def train_generator(key: str, work: Path = WORK, out: Path = MODELS / "mini", device: str = "cpu") -> Path:
    """Train one miniature generator and store it as a diffusers folder with a card; resumable.

    Returns:
        the folder `out/<key>`, written beside and renamed, so that it is whole or absent.
    """
    of, recipe = ARCHITECTURES[key], RECIPES[key]
    vae = train_encoder(of.vae, work, device)
    pipeline = build(key, recipe.seed, vae)
    encoders = _text_encoders(pipeline)
    for i, (name, encoder) in enumerate(encoders.items()):
        kind = "t5" if encoder.config.model_type == "t5" else "clip"
        train_text_encoder(f"{key}-{name}", kind, encoder, 10 * recipe.seed + i, work, device)
    train_denoiser(key, pipeline, work, device)
    train_decoder(of.trained, vae, work, device)
    logs = [f"encoder-{of.vae}", *(f"{key}-{name}" for name in encoders), f"denoiser-{key}", f"decoder-{of.trained}"]
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    card = {
        "name": key,
        "kind": "miniature of its family, trained by this project on its own renders; no public weights in it",
        "data": f"{recipe.images} training renders of {of.size} px and their captions",
        "prediction": of.prediction,
        "parameters": sum(weight.numel() for part in parts for weight in part.parameters()),
        "trained": {name: record(work, name) for name in logs},
        "device": device,
        "hardware": processor() if device == "cpu" else torch.cuda.get_device_name(),
        "seed": recipe.seed,
        "licence": "Apache-2.0",
    }
    return _store(pipeline.to("cpu"), card, out / key)


def _stored_in_half(pipeline: Any) -> list[torch.nn.Module]:
    """The parts whose weights are kept in 16 bits, as most of the originals' are published: all but a UNet.

    `generators.load` reads them in single precision. A UNet, published in 32 bits, has more to lose at FP16.
    """
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return [part for part in parts if part is not getattr(pipeline, "unet", None)]


def _store(pipeline: Any, card: dict[str, Any], folder: Path) -> Path:
    beside = folder.with_name(f".{folder.name}-new")
    shutil.rmtree(beside, ignore_errors=True)
    for part in _stored_in_half(pipeline):
        part.half()
    pipeline.save_pretrained(beside, safe_serialization=True)
    (beside / CARD).write_text(json.dumps(card, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    _share_vae(folder)
    return folder


def _share_vae(folder: Path) -> None:
    """Replace VAE weights that a sibling holds too, to the byte, by a relative link: the repository keeps them once."""
    own = folder / "vae" / "diffusion_pytorch_model.safetensors"
    for other in sorted(folder.parent.glob(f"*/vae/{own.name}")):
        if other != own and not other.is_symlink() and filecmp.cmp(own, other, shallow=False):
            own.unlink()
            own.symlink_to(Path("..", "..", other.relative_to(folder.parent)))
            return


def fakes(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return FP32 images of a trained miniature, uint8 (count, size, size, 3): image i has prompt i of the split.

    Made once per model and sampler and kept in `work`, more when more are asked for; the noise's seeds are not the
    study's.
    """
    settings = schema.load("mini").generators[key]
    sampler = f"{settings.steps}-{settings.guidance}"
    path = work / f"fakes-{split}-{key}-{tree_sha256(MODELS / 'mini' / key)[:12]}-{sampler}.npy"
    made = np.load(path) if path.exists() else np.empty((0, settings.size, settings.size, 3), np.uint8)
    if len(made) >= count:
        return made[:count]
    for old in work.glob(f"fakes-{split}-{key}-*.npy"):
        if old != path:  # of a model that is no more
            old.unlink()
    pipeline = generators.load(key, "mini")
    with tqdm(total=count, initial=len(made), desc=f"fakes {split} {key}", mininterval=5) as bar:
        while len(made) < count:
            rows = range(len(made), min(len(made) + 25, count))
            images = generators.sample(
                pipeline, [prompt(SPLITS[split] + i) for i in rows], [_NOISE + SPLITS[split] + i for i in rows],
                steps=settings.steps, guidance=settings.guidance, size=settings.size, batch_size=25,
            )  # fmt: skip
            made = np.concatenate([made, np.stack([np.asarray(image) for image in images])])
            with replacing(path) as temporary:
                np.save(temporary, made)
            bar.update(len(rows))
    return made


def reals(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return renders of the same scenes as `fakes`, uint8 (count, size, size, 3)."""
    return data.pool(work, split, schema.load("mini").generators[key].size, count)


def aligned(split: str, key: str, count: int, work: Path = WORK) -> np.ndarray:
    """Return the same renders after the generator's own VAE, uint8 (count, size, size, 3); kept in `work`."""
    path = work / f"aligned-{split}-{key}-{tree_sha256(MODELS / 'mini' / key / 'vae')[:12]}-{count}.npy"
    if not path.exists():
        pipeline = generators.load(key, "mini")
        bar = tqdm(reals(split, key, count, work), desc=f"aligned {split} {key}", mininterval=5)
        made = [np.asarray(generators.reconstruct(pipeline, [Image.fromarray(image)])[0]) for image in bar]
        with replacing(path) as temporary:
            np.save(temporary, np.stack(made))
    return np.load(path, mmap_mode="r")


def _device(device: str | None) -> str:
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _checked(names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The known names among those asked for (all if none is), in their own order; UsageError for another name."""
    for name in names or ():
        if name not in known:
            raise UsageError(f"no miniature {name!r}{nearest(name, known)}: choose from {', '.join(known)}")
    return [name for name in known if name in (names or known)]


def train(names: Sequence[str] | None = None, device: str | None = None) -> list[Path]:
    """Train miniatures by name (all of `NAMES` if none is given), each going on where it stopped.

    Raises:
        UsageError: a name is unknown; the message gives the nearest.
    """
    device, out = _device(device), MODELS / "mini"
    trainers = {"judge": train_judge, **train_detectors.TRAINERS}
    done = []
    for name in _checked(names, NAMES):
        if name in ARCHITECTURES:
            done.append(train_generator(name, WORK, out, device))
        else:
            done.append(trainers[name](WORK, out, device))
    return done


def evaluate(names: Sequence[str] | None = None, device: str | None = None) -> pd.DataFrame:
    """Measure the shipped miniature generators by name (all if none is given); see `measures.evaluate`.

    Raises:
        UsageError: a name is not a generator's; the message gives the nearest.
    """
    keys = _checked(names, tuple(ARCHITECTURES))
    return measures.evaluate(keys, fakes, WORK, MODELS / "mini", _device(device))


def calibrate(count: int = 60) -> pd.DataFrame:
    """Find the difficulty of the protocol `shared`, on `count` FP32 validation images of each generator.

    Levels are tried from the mildest until the best detector's AUC falls under `protocols.WINDOW`. The table is
    written to models/mini/shared.csv: level, detector, auc (mean over generators), chosen.
    """
    scorers = {name: detectors.load(name, "mini") for name in DETECTORS}
    pictures = {
        key: [[Image.fromarray(i) for i in images("validation", key, count)] for images in (fakes, reals)]
        for key in ARCHITECTURES
    }
    rows: list[dict[str, Any]] = []
    best: dict[int, float] = {}
    for level in tqdm(range(1, len(protocols.LEVELS) + 1), desc="shared", unit=" levels"):
        shown = [
            [[protocols.shared(image, i, level) for i, image in enumerate(images)] for images in pair]
            for pair in pictures.values()
        ]
        for name, detector in scorers.items():
            areas = [train_detectors.auc(*(detector.score(images) for images in pair)) for pair in shown]
            rows.append({"level": level, "detector": name, "auc": round(float(np.mean(areas)), 4)})
        best[level] = max(row["auc"] for row in rows if row["level"] == level)
        if best[level] < protocols.WINDOW[0]:
            break
    table = pd.DataFrame(rows).assign(chosen=lambda frame: frame["level"] == protocols.chosen_level(best))
    with replacing(MODELS / "mini" / "shared.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table
