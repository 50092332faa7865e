"""The judge: a small network that reads ground, colours and shapes off a picture, trained on renders alone.

It measures how well a generator follows its prompt. It shares nothing with the detectors and never sees a generated
image in training. Where a solid stands follows from the prompt's relation, so each solid is read off its own crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import world
from helpers.core.errors import UsageError
from helpers.core.files import MODELS, replacing
from helpers.mini.learning import data, fitting
from helpers.mini.learning.data import to_tensor

__all__ = ["FEATURES", "FILE", "Judge", "crops", "features", "fidelity", "load", "readings", "train_judge"]

#: Where the trained judge lies.
FILE = MODELS / "mini" / "judge.safetensors"

#: Length of the features in which Frechet distances are measured.
FEATURES = 96

#: Side in pixels at which a whole picture, and a solid's crop, is read.
WHOLE, CROP = 64, 32

#: Training renders per size, and validation renders of each size.
POOL, VALIDATION = dict.fromkeys((64, 96, 128), 6000), 500


class Judge(nn.Module):
    """One trunk, two heads: the ground of a whole picture, colour and shape of a solid's crop."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, FEATURES)
        levels = [
            nn.Sequential(nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.AvgPool2d(2))
            for a, b in zip(widths, widths[1:], strict=False)
        ]
        last = nn.Sequential(nn.Conv2d(FEATURES, FEATURES, 3, 1, 1, bias=False), nn.BatchNorm2d(FEATURES), nn.ReLU())
        self.trunk = nn.Sequential(*levels, last)
        self.ground = nn.Linear(FEATURES, len(world.GROUNDS))
        self.solid = nn.Linear(FEATURES * (CROP // 8) ** 2, len(world.COLOURS) + len(world.SHAPES))

    def features(self, whole: Tensor) -> Tensor:
        """Features (N, 96) of whole pictures (N, 3, 64, 64)."""
        return self.trunk(whole).mean((2, 3))

    def grounds(self, whole: Tensor) -> Tensor:
        """Logits (N, 7) of the ground."""
        return self.ground(self.features(whole))

    def solids(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 8) of the colour and (N, 8) of the shape of crops (N, 3, 32, 32)."""
        return self.solid(self.trunk(crop).flatten(1)).split([len(world.COLOURS), len(world.SHAPES)], 1)


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def crops(images: Tensor, relations: Sequence[str]) -> Tensor:
    """Crops (K, 3, 32, 32) of pictures (N, 3, S, S): one per solid, picture by picture and in reading order.

    A crop is centred where the relation puts the solid and holds the largest one, so it needs no knowledge of the
    picture; it is cut off at the picture's edge.
    """
    size, found = images.shape[-1], {}
    for relation in sorted(set(relations)):
        rows = [i for i, name in enumerate(relations) if name == relation]
        places, (_, largest) = world.RELATIONS[relation]
        half = 1.2 * largest + 0.05
        for k, (x, y) in enumerate(places):
            edges = (y - half, y + half, x - half, x + half)
            top, bottom, left, right = (min(size, max(0, round(edge * size))) for edge in edges)
            parts = _resized(images[rows, :, top:bottom, left:right], CROP)
            found |= {(i, k): part for i, part in zip(rows, parts, strict=True)}
    return torch.stack([found[place] for place in sorted(found)])


def _answers(scenes: Sequence[world.Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of grounds (N,), and of colours and shapes of all solids in order (K,)."""
    grounds, colours = tuple(world.GROUNDS), tuple(world.COLOURS)
    solids = [solid for scene in scenes for solid in scene.solids]
    return (
        torch.tensor([grounds.index(scene.ground) for scene in scenes]),
        torch.tensor([colours.index(solid.colour) for solid in solids]),
        torch.tensor([world.SHAPES.index(solid.shape) for solid in solids]),
    )


def _roughened(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A training view (N, 3, S, S): half the batches a little softer, half a little noisier, all a little off in tone.

    A generator's pictures are softer or rougher than renders; the judge is to name what they show all the same.
    """
    images = images * rng.uniform(0.9, 1.1) + rng.uniform(-0.05, 0.05)
    if rng.random() < 0.5:
        weight = rng.uniform(0, 0.8)
        soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
        images = (1 - weight) * images + weight * soft
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(images.shape, np.float32))
        images = images + noise * rng.uniform(0, 0.1)
    return images


def _split(images: Tensor, relations: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Whole pictures (N, 3, 64, 64) and the crops of all their solids (K, 3, 32, 32)."""
    return _resized(images, WHOLE), crops(images, relations)


@torch.inference_mode()
def features(judge: Judge, images: np.ndarray) -> np.ndarray:
    """The judge's features of pictures uint8 (N, S, S, 3): float64 (N, 96)."""
    parts = [judge.features(_resized(to_tensor(images[i : i + 50]), WHOLE)) for i in range(0, len(images), 50)]
    return torch.cat(parts).double().numpy()


@torch.inference_mode()
def readings(judge: Judge, images: np.ndarray, relations: Sequence[str]) -> list[world.Parsed]:
    """What the judge reads off pictures: the ground, and colour and shape of each solid in reading order.

    Args:
        images: uint8 (N, S, S, 3).
        relations: how the solids stand in each of the N prompts, which says where to look for them.
    """
    found = []
    for start in range(0, len(images), 50):
        part = list(relations[start : start + 50])
        whole, solids = _split(to_tensor(images[start : start + 50]), part)
        grounds, (colours, shapes) = judge.grounds(whole), judge.solids(solids)
        read = zip(_named(colours, tuple(world.COLOURS)), _named(shapes, world.SHAPES), strict=True)
        for ground, relation in zip(_named(grounds, tuple(world.GROUNDS)), part, strict=True):
            own = tuple(islice(read, len(world.RELATIONS[relation][0])))
            found.append(world.Parsed(ground, relation, own))
    return found


def _named(logits: Tensor, names: Sequence[str]) -> list[str]:
    return [names[place] for place in logits.argmax(1).tolist()]


def fidelity(judge: Judge, images: np.ndarray, scenes: Sequence[world.Scene]) -> dict[str, float]:
    """Shares of grounds, and of single solids' colours and shapes, that the judge reads as the scenes have them.

    Args:
        images: uint8 (N, S, S, 3), image i made from the caption of scene i.
        scenes: N scenes.
    """
    found = readings(judge, images, [scene.relation for scene in scenes])
    solids = [
        (colour == solid.colour, shape == solid.shape)
        for scene, own in zip(scenes, found, strict=True)
        for solid, (colour, shape) in zip(scene.solids, own.solids, strict=True)
    ]
    colour, shape = np.mean(solids, axis=0)
    ground = np.mean([own.ground == scene.ground for scene, own in zip(scenes, found, strict=True)])
    return {name: round(float(share), 4) for name, share in (("ground", ground), ("colour", colour), ("shape", shape))}


def train_judge(work: Path, out: Path, device: str = "cpu", seed: int = 0, steps: int = 900) -> Path:
    """Train the judge on renders of 64, 96 and 128 px and store it as out/judge.safetensors with a card; resumable."""
    torch.manual_seed(seed)
    judge = Judge().to(device)
    pools = {size: data.pool(work, "train", size, count) for size, count in POOL.items()}
    shown = [world.scene(world.SPLITS["train"] + i) for i in range(max(POOL.values()))]
    held = {size: data.pool(work, "validation", size, VALIDATION) for size in POOL}
    seen = [world.scene(world.SPLITS["validation"] + i) for i in range(VALIDATION)]

    def loss(rng: np.random.Generator) -> Tensor:
        size = int(rng.choice(list(POOL)))
        chosen = rng.integers(POOL[size], size=32)
        scenes = [shown[i] for i in chosen]
        whole, solids = _split(_roughened(to_tensor(pools[size][chosen]), rng), [scene.relation for scene in scenes])
        found = (judge.grounds(whole.to(device)), *judge.solids(solids.to(device)))
        return sum(F.cross_entropy(f, w.to(device)) for f, w in zip(found, _answers(scenes), strict=True))

    def evaluate() -> dict[str, float]:
        each = [fidelity(judge.to("cpu"), images[:200], seen[:200]) for images in held.values()]
        judge.to(device)
        mean = {name: float(np.mean([row[name] for row in each])) for name in each[0]}
        return {"score": mean["colour"] + mean["shape"] + mean["ground"], **mean}

    fitted = fitting.fit("judge", judge, loss, evaluate, steps=steps, rate=3e-3, seed=seed, work=work, every=300)
    path = Path(out) / "judge.safetensors"
    with replacing(path) as temporary:
        save_file({k: v.half() if v.is_floating_point() else v for k, v in fitted.state.items()}, temporary)
    judge = load(path)
    facts = {
        "name": "judge",
        "task": "names a picture's ground, and each solid's colour and shape; measures how generators follow prompts",
        "data": {"renders": {f"{size} px": count for size, count in POOL.items()}, "split": "train"},
        "validation": {f"{size} px": fidelity(judge, images, seen) for size, images in held.items()},
        "parameters": sum(p.numel() for p in judge.parameters()),
    }
    fitting.card(path, facts, fitted, steps, device, seed)
    return path


def load(path: Path = FILE) -> Judge:
    """Return the trained judge, in single precision and evaluation mode.

    Raises:
        UsageError: it is not trained yet.
    """
    if not path.is_file():
        raise UsageError(f"no judge {path}: train it with `quantdetect train mini judge`")
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.float().eval()
