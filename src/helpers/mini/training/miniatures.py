"""Training of the miniatures from nothing, in order: VAEs, text encoders, denoisers, decoders, backbones, detectors.

Everything unfinished lies in `_build/train` and is gone on with; what is finished is written to `models/mini`.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from helpers import detectors, generators
from helpers.core import device as machine
from helpers.core.device import accelerator
from helpers.core.errors import UsageError, nearest
from helpers.core.files import CARD, MODELS, replacing
from helpers.images import protocols
from helpers.mini import measures
from helpers.mini.families import FAMILIES, build
from helpers.mini.judge import train_judge
from helpers.mini.learning.loop import record
from helpers.mini.training import controls as train_controls
from helpers.mini.training import detectors as train_detectors
from helpers.mini.training import samples
from helpers.mini.training.denoiser import train_denoiser
from helpers.mini.training.samples import WORK
from helpers.mini.training.text import train_text_encoder
from helpers.mini.training.vae import train_decoder, train_encoder

__all__ = ["AGAIN", "NAMES", "calibrate", "controls", "evaluate", "train", "train_denoiser_again", "train_generator"]

#: Name -> (generator, how many trainings of its denoiser came before): how much of an effect is one training's.
AGAIN = MappingProxyType({f"{key}-s{n}": (key, n) for key in ("sd15", "sd3", "sd35") for n in (1, 2)})

#: Every miniature by name, in the order in which they are trained.
NAMES = (*FAMILIES, *AGAIN, "judge", *train_detectors.TRAINERS)


def _text_encoders(pipeline: Any) -> dict[str, torch.nn.Module]:
    names = ("text_encoder", "text_encoder_2", "text_encoder_3")
    return {name: part for name in names if (part := getattr(pipeline, name, None)) is not None}


def train_generator(key: str, work: Path = WORK, out: Path = MODELS / "mini", device: str = "cpu") -> Path:
    """Train one miniature generator and store it as a diffusers folder with a card; resumable.

    Returns:
        the folder `out/<key>`, written beside and renamed, so that it is whole or absent.
    """
    of = FAMILIES[key]
    vae = train_encoder(of.vae, work, device)
    pipeline = build(key, of.recipe.seed, vae)
    encoders = _text_encoders(pipeline)
    for i, (name, encoder) in enumerate(encoders.items()):
        kind = "t5" if encoder.config.model_type == "t5" else "clip"
        train_text_encoder(f"{key}-{name}", kind, encoder, 10 * of.recipe.seed + i, work, device)
    train_denoiser(key, pipeline, work, device)
    train_decoder(of.decoder, vae, work, device)
    logs = [
        f"encoder-{of.vae}",
        *(f"{key}-{name}" for name in encoders),
        f"denoiser-{key}",
        f"decoder-{of.decoder.name}",
    ]
    card = _card(key, pipeline, {name: record(work, name) for name in logs}, device, of.recipe.seed)
    return _store(pipeline.to("cpu"), card, out / key)


def train_denoiser_again(name: str, work: Path = WORK, out: Path = MODELS / "mini", device: str = "cpu") -> Path:
    """Train a shipped generator's denoiser from other random weights, with other batches and noise; resumable.

    Everything else is the shipped generator's: VAE, text encoders, recipe. Returns the folder out/NAME, as
    `train_generator`.

    Args:
        name: one of `AGAIN`.
    """
    key, before = AGAIN[name]
    of, pipeline = FAMILIES[key], generators.load(key, str(out / key))
    recipe = replace(of.recipe, seed=of.recipe.seed + 100 * before)
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        pipeline.register_modules(**{part: of.denoiser()})
    train_denoiser(key, pipeline, work, device, recipe, f"denoiser-{name}")
    card = _card(key, pipeline, {f"denoiser-{name}": record(work, f"denoiser-{name}")}, device, recipe.seed)
    return _store(pipeline.to("cpu"), card | {"name": name}, out / name)


def _networks(pipeline: Any) -> list[torch.nn.Module]:
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def _card(key: str, pipeline: Any, trained: dict[str, Any], device: str, seed: int) -> dict[str, Any]:
    """What is told of a generator beside its weights; `trained` are the records of its trainings."""
    of = FAMILIES[key]
    return {
        "name": key,
        "kind": "miniature of its family, trained by this project on its own renders; no public weights in it",
        "data": f"{of.recipe.images} training renders of {of.size} px and their captions",
        "prediction": of.prediction,
        "parameters": sum(weight.numel() for part in _networks(pipeline) for weight in part.parameters()),
        "trained": trained,
        "device": device,
        "hardware": accelerator(device)["card"],
        "seed": seed,
        "licence": "Apache-2.0",
    }


def _stored_in_half(pipeline: Any) -> list[torch.nn.Module]:
    """The parts whose weights are kept in 16 bits, as most of the originals' are published: all but a UNet.

    `generators.load` reads them in single precision. A UNet, published in 32 bits, has more to lose at FP16.
    """
    return [part for part in _networks(pipeline) if part is not getattr(pipeline, "unet", None)]


def _store(pipeline: Any, card: dict[str, Any], folder: Path) -> Path:
    beside = folder.with_name(f".{folder.name}-new")
    shutil.rmtree(beside, ignore_errors=True)
    for part in _stored_in_half(pipeline):
        part.half()
    pipeline.save_pretrained(beside, safe_serialization=True)
    _declare_single(beside)
    (beside / CARD).write_text(json.dumps(card, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    _share_weights(folder)
    return folder


def _declare_single(folder: Path) -> None:
    """Let a text encoder's configuration ask for single precision, whatever its weights are stored in.

    transformers loads a network in the type that its configuration names, diffusers in single precision: a pipeline
    that is loaded with no further word had its text encoders in 16 bits, and the denoiser refused what they gave it.
    """
    for path in folder.glob("text_encoder*/config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "float32"}, indent=2) + "\n")


def _share_weights(folder: Path) -> None:
    """Replace weights that a sibling holds too, to the byte, by a relative link: the repository keeps them once."""
    for own in sorted(folder.rglob("*.safetensors")):
        for other in sorted(folder.parent.glob(f"*/{own.relative_to(folder)}")):
            if other != own and not other.is_symlink() and filecmp.cmp(own, other, shallow=False):
                own.unlink()
                own.symlink_to(Path("..", "..", other.relative_to(folder.parent)))
                break


def _device(device: str | None) -> str:
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _checked(names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The known names among those asked for (all if none is), in their own order; UsageError for another name."""
    for name in names or ():
        if name not in known:
            first = [one for one in known if "-" not in one]
            again = [one for one in known if "-" in one]
            more = f", or one of {len(again)} other trainings such as {again[0]}" if again else ""
            raise UsageError(f"no miniature {name!r}{nearest(name, known)}: choose from {', '.join(first)}{more}")
    return [name for name in known if name in (names or known)]


def train(names: Sequence[str] | None = None, device: str | None = None) -> list[Path]:
    """Train miniatures by name (all of `NAMES` if none is given), each going on where it stopped.

    Raises:
        UsageError: a name is unknown; the message gives the nearest.
    """
    device, out = _device(device), MODELS / "mini"
    machine.require(device)
    trainers = {"judge": train_judge, **train_detectors.TRAINERS}
    done = []
    for name in _checked(names, NAMES):
        if name in FAMILIES:
            done.append(train_generator(name, WORK, out, device))
        elif name in AGAIN:
            done.append(train_denoiser_again(name, WORK, out, device))
        else:
            done.append(trainers[name](WORK, out, device))
    return done


def evaluate(names: Sequence[str] | None = None, device: str | None = None) -> pd.DataFrame:
    """Measure the shipped miniature generators by name (all if none is given); see `measures.evaluate`.

    Raises:
        UsageError: a name is not a generator's; the message gives the nearest.
    """
    keys = _checked(names, tuple(FAMILIES))
    return measures.evaluate(keys, samples.fakes, WORK, MODELS / "mini", _device(device))


def controls(device: str | None = None) -> pd.DataFrame:
    """Train what stands beside the detectors as a control, on their images; see `controls.evaluate`."""
    return train_controls.evaluate(WORK, MODELS / "mini", _device(device))


def calibrate(count: int = 60) -> pd.DataFrame:
    """Find the difficulty of the protocol `shared`, on `count` FP32 validation images of each generator.

    Levels are tried from the mildest until the best detector's AUC falls under `protocols.WINDOW`. The table is
    written to models/mini/shared.csv: level, detector, auc (mean over generators), chosen.
    """
    scorers = {name: detectors.load(name, "mini") for name in train_detectors.RECIPES}
    pairs = [tuple(_pictures(images, key, count) for images in (samples.fakes, samples.reals)) for key in FAMILIES]
    areas: dict[int, dict[str, float]] = {}
    for level in tqdm(range(1, len(protocols.LEVELS) + 1), desc="shared", unit=" levels"):
        areas[level] = _areas(scorers, pairs, level)
        if max(areas[level].values()) < protocols.WINDOW[0]:
            break
    chosen = protocols.chosen_level({level: max(found.values()) for level, found in areas.items()})
    table = pd.DataFrame(
        {"level": level, "detector": name, "auc": auc, "chosen": level == chosen}
        for level, found in areas.items()
        for name, auc in found.items()
    )
    with replacing(MODELS / "mini" / "shared.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table


def _pictures(images: Callable[[str, str, int], np.ndarray], key: str, count: int) -> list[Image.Image]:
    return [Image.fromarray(image) for image in images("validation", key, count)]


def _areas(
    scorers: Mapping[str, detectors.Detector], pairs: Sequence[tuple[list[Image.Image], ...]], level: int
) -> dict[str, float]:
    """AUC by detector on (fakes, reals) of each generator at a level of `shared`: the mean, to four places."""
    shown = [
        [[protocols.shared(image, i, level) for i, image in enumerate(images)] for images in pair] for pair in pairs
    ]
    return {
        name: round(float(np.mean([train_detectors.auc(*map(detector.score, pair)) for pair in shown])), 4)
        for name, detector in scorers.items()
    }
