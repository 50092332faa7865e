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
import torch
from tqdm import tqdm

from helpers import generators, study
from helpers.errors import UsageError, nearest
from helpers.mini import train_detectors
from helpers.mini.architectures import ARCHITECTURES, build
from helpers.mini.captions import prompt
from helpers.mini.train_denoiser import RECIPES, train_denoiser
from helpers.mini.train_text import train_text_encoder
from helpers.mini.train_vae import evaluate_vae, train_decoder, train_encoder
from helpers.mini.world import SPLITS
from helpers.paths import BUILD, MODELS, replacing

__all__ = ["NAMES", "WORK", "fakes", "train", "train_generator"]

WORK = BUILD / "train"

#: Every miniature by name, in the order in which they are trained.
NAMES = (*ARCHITECTURES, *train_detectors.TRAINERS)

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
    of = ARCHITECTURES[key]
    vae = train_encoder(of.vae, work, device)
    pipeline = build(key, RECIPES[key].seed, vae)
    spent = {}
    for i, (name, encoder) in enumerate(_text_encoders(pipeline).items()):
        kind = "t5" if encoder.config.model_type == "t5" else "clip"
        seed = 10 * RECIPES[key].seed + i
        spent[name] = train_text_encoder(f"{key}-{name}", kind, encoder, seed, work, device)
    spent["denoiser"] = train_denoiser(key, pipeline, work, device)
    train_decoder(of.trained, vae, work, device)
    card = {
        "name": key,
        "kind": "miniature of its family, trained by this project on its own renders; no public weights in it",
        "data": f"{RECIPES[key].images} training renders of {of.size} px and their captions",
        "prediction": of.prediction,
        "trained": spent,
        "device": device,
        "seed": RECIPES[key].seed,
        "vae": evaluate_vae(vae, work, of.size, device),
        "licence": "Apache-2.0",
    }
    return _store(pipeline.to("cpu"), card, out / key)


def _store(pipeline: Any, card: dict[str, Any], folder: Path) -> Path:
    beside = folder.with_name(f".{folder.name}-new")
    shutil.rmtree(beside, ignore_errors=True)
    pipeline.vae.half()  # no arm of the study quantizes it by default; diffusers loads it in single precision
    pipeline.save_pretrained(beside, safe_serialization=True)
    (beside / "card.json").write_text(json.dumps(card, indent=1) + "\n")
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

    Made once and kept in `work`; the noise's seeds are disjoint from the study's.
    """
    path = work / f"fakes-{split}-{key}-{count}.npy"
    if not path.exists():
        settings = study.load("mini").generators[key]
        pipeline = generators.load(key, "mini")
        images = []
        for start in tqdm(range(0, count, 25), desc=f"fakes {split} {key}", mininterval=5):
            rows = range(SPLITS[split] + start, SPLITS[split] + min(start + 25, count))
            images += generators.sample(
                pipeline, [prompt(i) for i in rows], [_NOISE + i for i in rows],
                steps=settings.steps, guidance=settings.guidance, size=settings.size, batch_size=25,
            )  # fmt: skip
        with replacing(path) as temporary:
            np.save(temporary, np.stack([np.asarray(image) for image in images]))
    return np.load(path, mmap_mode="r")


def train(names: Sequence[str] | None = None, device: str | None = None) -> list[Path]:
    """Train miniatures by name (all of `NAMES` if none is given), each going on where it stopped.

    Raises:
        UsageError: a name is unknown; the message gives the nearest.
    """
    for name in names or ():
        if name not in NAMES:
            raise UsageError(f"no miniature {name!r}{nearest(name, NAMES)}: choose from {', '.join(NAMES)}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    out = MODELS / "mini"
    done = []
    for name in (n for n in NAMES if n in (names or NAMES)):
        if name in ARCHITECTURES:
            done.append(train_generator(name, WORK, out, device))
        else:
            done.append(train_detectors.TRAINERS[name](WORK, out, device, 0))
    return done
