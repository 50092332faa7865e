"""Training of the four miniature detectors: renders against the FP32 images of the miniature generators.

Fake i of a split and its real counterpart share scene, caption and size: what is left to tell them apart is how the
picture was made. Every batch holds as many fakes of each generator as renders of the same scenes. `TRAININGS` names the
trainings that there are. Augmentation follows the published recipes: random crops and flips, now and then light JPEG
or blur. Frozen backbones stay in evaluation mode, so that no statistics of theirs move, and a head on one learns from
images as it will see them, whole: trained on crops, R50_TF's called a third of whole renders fake.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import detectors
from helpers.core.errors import UsageError
from helpers.detectors import weights
from helpers.detectors.batching import score as scored
from helpers.detectors.catalogue import published
from helpers.detectors.detector import module
from helpers.detectors.preprocessing import Preprocess, preprocess, tensor
from helpers.mini import backbones
from helpers.mini.families import FAMILIES
from helpers.mini.learning import fitting
from helpers.mini.training import samples

__all__ = [
    "CROP",
    "Data",
    "Fakes",
    "RECIPES",
    "Reals",
    "Recipe",
    "TRAINERS",
    "TRAININGS",
    "Task",
    "Training",
    "Views",
    "WHOLE",
    "at_zero",
    "augmented",
    "auc",
    "backbone",
    "by_size",
    "learn",
    "on_generators",
    "published_backbone",
    "recipe_of",
    "train_shipped",
]

#: fakes(split, generator, n) -> uint8 (n, size, size, 3); image i has the prompt of seed SPLITS[split] + i.
Fakes = Callable[[str, str, int], np.ndarray]

#: (split, generator, n) -> the reals to set beside them, of the same shape and scenes.
Reals = Callable[[str, str, int], np.ndarray]

#: Images per class and training, shared evenly among the generators: to learn from (unless a recipe says otherwise),
#: and for validation; of one generator no more than `MOST`.
IMAGES, VALIDATION, MOST = 3000, 600, 3000

#: Side of the random crops of detectors that are trained end to end, in pixels: the smallest generator's size.
CROP = 64

#: The same for heads on a frozen backbone that reads the native size: every miniature's image is seen whole.
WHOLE = 512


@dataclass(frozen=True)
class Recipe:
    """How a detector learns.

    Attributes:
        steps, rate, every, decay: length, highest rate, steps between evaluations, weight decay.
        crop: side of the random crops, in pixels, where the detector reads the native size; a smaller image is whole.
        pairs: fakes, and as many reals, in a batch, shared evenly among the generators.
        probe: batches of the regression that the head on a frozen backbone starts from, or is.
        strengths: where the head is no more than linear and is solved for, as a logistic regression on the probe's
            batches: inverse strengths of its L2 penalty, of which validation chooses one. Nothing is stepped then.
        images: per class, to learn from.
    """

    steps: int
    rate: float
    every: int
    crop: int = CROP
    pairs: int = 18
    decay: float = 0.01
    probe: int = 60
    strengths: tuple[float, ...] = ()
    images: int = IMAGES


#: The detectors of which miniatures are trained, and how each learns.
RECIPES = {
    "npr": Recipe(steps=600, rate=5e-4, every=60),
    "r50_nodown": Recipe(steps=900, rate=1e-3, every=100),
    "r50_tf": Recipe(steps=1000, rate=1e-3, every=100, crop=WHOLE),
    "clip_d": Recipe(steps=600, rate=2e-2, every=100, decay=0.0),
    # A linear head on frozen statistics is a convex problem: it is solved for, and its penalty alone is chosen. It has
    # more weights than the others have images, and learns on with more of them.
    "patch_probe": Recipe(0, 0.0, 0, crop=WHOLE, probe=900, strengths=(0.01, 0.03, 0.1, 0.3, 1.0), images=9000),
}
#: How a detector learns that has no miniature of its own.
ORDINARY = Recipe(steps=900, rate=1e-3, every=100)


@dataclass(frozen=True)
class Training:
    """One training of detectors: which ones, on whose images, with which seed, and against which reals.

    `aligned` reals were passed through the generator's own VAE.
    """

    detectors: tuple[str, ...] = tuple(RECIPES)
    generators: tuple[str, ...] = tuple(FAMILIES)
    seed: int = 0
    aligned: bool = False


def _seeds(label: str, count: int, of: Training) -> dict[str, Training]:
    """The training `label` with seed 0, and `label`-s1 and so on with the seeds after it."""
    return {label + (f"-s{seed}" if seed else ""): replace(of, seed=seed) for seed in range(count)}


#: Trainings of all detectors. Each kind is trained with several seeds: the spread between trainings is part of every
#: interval. `mini-sdxl` sees what the released detectors saw: SDXL and none of the others.
_ALL = (
    _seeds("mini", 5, Training())
    | _seeds("mini-sdxl", 3, Training(generators=("sdxl",)))
    | _seeds("mini-aligned", 3, Training(aligned=True))
)

#: A detector that was not published decides no claim: three trainings show how far its figures lie apart.
_OWN = ("mini", "mini-s1", "mini-s2", "mini-aligned")

#: Label of the weights -> training.
TRAININGS = {
    label: of if label in _OWN else replace(of, detectors=tuple(filter(published, of.detectors)))
    for label, of in _ALL.items()
}


def augmented(image: np.ndarray, rng: np.random.Generator, crop: int | None) -> Image.Image:
    """Return a training view of a uint8 image (H, W, 3): crop, flip, now and then JPEG or blur."""
    if crop is not None:
        top, left = (int(rng.integers(length - min(crop, length) + 1)) for length in image.shape[:2])
        image = image[top : top + crop, left : left + crop]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    view = Image.fromarray(np.ascontiguousarray(image))
    if rng.random() < 0.1:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 1.0)))
    if rng.random() < 0.1:
        file = io.BytesIO()
        view.save(file, "JPEG", quality=int(rng.integers(65, 101)))
        view = Image.open(file).convert("RGB")
    return view


#: Images of one size (N, 3, H, W) and their labels (N,), 1 for fake.
Views = tuple[Tensor, Tensor]


def by_size(views: Sequence[Tensor], labels: Sequence[int]) -> list[Views]:
    """Return images (3, H, W) of any sizes, with their labels, stacked size by size in the order of their coming."""
    groups: dict[torch.Size, list[int]] = {}
    for place, view in enumerate(views):
        groups.setdefault(view.shape, []).append(place)
    return [
        (torch.stack([views[i] for i in places]), torch.tensor([labels[i] for i in places], dtype=torch.float32))
        for places in groups.values()
    ]


class Data(Protocol):
    """A split of training data: batches to learn from, or images to be scored whole."""

    def batch(self, rng: np.random.Generator, pairs: int, ready: Preprocess, crop: int | None) -> list[Views]:
        """Return a batch, as many fakes as reals, by size; `crop` is the side of random crops, None for none."""

    def logits(self, score: Callable[[list[Image.Image]], np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return by name of a part the logits of its fakes and of its reals."""


@dataclass(frozen=True)
class _Pairs:
    """Per generator: its images, and reals of the same scenes and size; uint8 (n, size, size, 3) each."""

    fakes: dict[str, np.ndarray]
    reals: dict[str, np.ndarray]

    @classmethod
    def of(cls, split: str, generators: Sequence[str], fakes: Fakes, reals: Reals, n: int) -> _Pairs:
        return cls(*({key: images(split, key, n) for key in generators} for images in (fakes, reals)))

    def batch(self, rng: np.random.Generator, pairs: int, ready: Preprocess, crop: int | None) -> list[Views]:
        """Return a batch, balanced over generators and classes, by size."""
        views, labels = [], []
        for key in self.fakes:
            chosen = rng.integers(len(self.fakes[key]), size=pairs // len(self.fakes))
            for label, images in ((1, self.fakes[key]), (0, self.reals[key])):
                views += [tensor(augmented(images[i], rng, crop), ready) for i in chosen]
                labels += [label] * len(chosen)
        return by_size(views, labels)

    def logits(self, score: Callable[[list[Image.Image]], np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return per generator the logits of its fakes and of their renders, whole images."""
        return {
            key: tuple(
                score([Image.fromarray(image) for image in images]) for images in (self.fakes[key], self.reals[key])
            )
            for key in self.fakes
        }


def auc(fake: np.ndarray, real: np.ndarray) -> float:
    """Return the probability that a fake's logit exceeds a real's (ties count half)."""
    ranks = rankdata(np.concatenate([fake, real]).astype(np.float64))[: len(fake)]
    return float((ranks.sum() - len(fake) * (len(fake) + 1) / 2) / (len(fake) * len(real)))


def at_zero(logits: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, dict[str, float]]:
    """AUC, and TPR and TNR at logit 0, by name of a part, from the logits of its fakes and of its reals."""
    return {
        key: {"auc": auc(fake, real), "tpr": float((fake > 0).mean()), "tnr": float((real <= 0).mean())}
        for key, (fake, real) in logits.items()
    }


@dataclass(frozen=True)
class Task:
    """What one detector is to learn, from what and how.

    Attributes:
        detector: its key in `DETECTORS`.
        data: "train" and "validation".
        facts: what the card says of the training beside how it went.
        frozen: state of the frozen backbone; empty where the detector has none.
        recipe: how it learns. seed: of the initial weights and the batches.
        whole: store the frozen backbone with the weights; else only the shipped one's name.
        width: of the network, "mini" or "full" as published.
    """

    detector: str
    data: Mapping[str, Data]
    facts: Mapping[str, Any]
    frozen: Mapping[str, Tensor]
    recipe: Recipe
    seed: int = 0
    whole: bool = False
    width: str = "mini"

    @property
    def ready(self) -> Preprocess:
        """The detector's size rule and normalization."""
        return preprocess(self.detector, self.width)

    @property
    def crop(self) -> int | None:
        """Side of its random crops; None where a size rule says what is seen."""
        return self.recipe.crop if self.ready.rule.side is None else None

    def batch(self, rng: np.random.Generator) -> list[Views]:
        """Return a training batch by size."""
        return self.data["train"].batch(rng, self.recipe.pairs, self.ready, self.crop)

    @property
    def backbone(self) -> str | None:
        """Name of the frozen backbone, None where there is none."""
        if not self.frozen:
            return None
        return module(self.detector).BACKBONE if self.width == "mini" else "published"


def recipe_of(name: str) -> Recipe:
    """Return how a detector learns. Raises UsageError where there is no such detector."""
    module(name)  # tells a wrong name
    return RECIPES.get(name, ORDINARY)


def on_generators(
    name: str,
    fakes: Fakes,
    reals: Reals,
    models: Path,
    of: Training,
    label: str = "mini",
    images: Mapping[str, int] = MappingProxyType({}),
) -> Task:
    """Return the task of telling generators' FP32 images from renders of the same scenes.

    Args:
        name: the detector, a key of `DETECTORS`.
        fakes, reals: sources of the generators' images and of what stands beside them.
        models: models/mini; backbones are read from its folder backbones.
        of: whose images are the fakes, and the seed. label: the weights' label, for the card.
        images: images per class by split, shared evenly among the generators, in place of the recipe's.

    Raises:
        UsageError: the name is unknown, or the frozen backbone is not trained yet.
    """
    recipe = recipe_of(name)
    counts = {"train": recipe.images, "validation": VALIDATION} | images
    each = {split: min(count // len(of.generators), MOST) for split, count in counts.items()}
    through = ", passed through the generator's VAE" if of.aligned else ""
    facts = {
        "weights": label,
        "task": "renders (real) against FP32 images of the miniature generators (fake)",
        "generators": list(of.generators),
        "data": {
            "images per generator and class": each,
            "real": f"renders of the same scenes at the same size{through}",
        },
    }
    frozen = backbone(name, models)
    data = {split: _Pairs.of(split, of.generators, fakes, reals, n) for split, n in each.items()}
    return Task(name, data, facts, frozen, recipe, of.seed)


def learn(task: Task, path: Path, work: Path, *, device: str = "cpu", save_seconds: float = 30.0) -> Path:
    """Train a detector, or go on where a killed training was; write its weights and its card, and return `path`.

    The state kept is that of highest validation AUC (mean over the data's parts), of lower loss where it is equal.

    Args:
        path: where the weights go, a .safetensors file; the card lies beside it.
        work: folder of the unfinished state and of the losses, named after `path`.
        save_seconds: at least this long between two stored states.
    """
    network = _network(task, device)
    if task.recipe.strengths:
        fitted = _solved(network, task, device)
    else:
        fitted = _stepped(network, task, path.stem, Path(work), device, save_seconds)
    _store(task, fitted, path)
    fitting.card(
        path, _facts(task, network, path, device), fitted, max(fitted.step, task.recipe.steps), device, task.seed
    )
    return path


def _stepped(network: nn.Module, task: Task, name: str, work: Path, device: str, save_seconds: float) -> fitting.Best:
    """Train by steps; a head on a frozen backbone starts from a ridge regression, unless training has begun."""
    ready, recipe = task.ready, task.recipe
    if task.frozen and not (work / f"{name}.pt").exists():
        network.start(*_probe(network, task))

    def loss(rng: np.random.Generator) -> Tensor:
        views, labels = zip(*task.batch(rng), strict=True)
        logits = [network(images.to(device, memory_format=torch.channels_last)) for images in views]
        return F.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(labels).to(device))

    def evaluate() -> dict[str, float]:
        return _validated(network, task.data["validation"], ready, device)

    return fitting.fit(
        name, network, loss, evaluate, steps=recipe.steps, rate=recipe.rate, decay=recipe.decay, seed=task.seed,
        work=work, every=recipe.every, save_seconds=save_seconds,
    )  # fmt: skip


def _solved(network: nn.Module, task: Task, device: str) -> fitting.Best:
    """Solve for a linear head at each of the recipe's strengths; the best on validation is kept. A step of its curve is
    an iteration of the solver."""
    begun, best = time.monotonic(), fitting.Best()
    x, y = (side.numpy() for side in _drawn(network, task))
    mean, spread = x.mean(0), x.std(0) + 1e-9
    x = (x - mean) / spread
    for strength in task.recipe.strengths:
        solved = LogisticRegression(C=strength, max_iter=5000).fit(x, y)
        parts = (mean, spread, solved.coef_[0], solved.intercept_)
        network.start(*(torch.as_tensor(part, dtype=torch.float32) for part in parts))
        with torch.inference_mode():
            measures = _validated(network, task.data["validation"], task.ready, device)
        best.add(network, int(solved.n_iter_[0]), {"inverse_strength": strength, **measures})
    best.seconds = time.monotonic() - begun
    return best


def _network(task: Task, device: str) -> nn.Module:
    """The network to train, with its frozen backbone."""
    torch.manual_seed(task.seed)
    network = detectors.build(task.detector, task.width)
    network.load_state_dict(task.frozen, strict=False)
    return network.to(device, memory_format=torch.channels_last)


def _store(task: Task, fitted: fitting.Best, path: Path) -> None:
    """Write the best state, without the frozen backbone where the shipped one is named instead."""
    notes = {"detector": task.detector, "width": task.width}
    if task.frozen and not task.whole:
        notes["backbone"] = task.backbone
    weights.write(path, {k: v for k, v in fitted.state.items() if task.whole or k not in task.frozen}, notes)


def _facts(task: Task, network: nn.Module, path: Path, device: str) -> dict[str, Any]:
    """What the card says of the trained detector, measured with its stored weights."""
    ready, detector = task.ready, detectors.load(task.detector, path, device=device)
    return {
        "name": task.detector,
        **task.facts,
        "augmentation": {
            "crop": task.crop or "none",
            "flip": 0.5,
            "blur": "sigma .1 to 1, probability .1",
            "jpeg": "quality 65 to 100, probability .1",
        },
        "input": {"size rule": ready.size_rule, "mean": ready.mean, "std": ready.std},
        "frozen backbone": task.backbone,
        "parameters": sum(p.numel() for p in network.parameters()),
        "trained": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "validation": at_zero(task.data["validation"].logits(detector.score)),
    }


def _drawn(network: nn.Module, task: Task) -> tuple[Tensor, Tensor]:
    """Frozen features (N, C) of the probe's batches, and their labels (N,), 1 for fake; in double precision."""
    rng, device = np.random.default_rng([task.seed, 1, 0]), next(network.parameters()).device
    features, wanted = [], []
    network.eval()
    with torch.inference_mode():
        for _ in range(task.recipe.probe):
            for images, labels in task.batch(rng):
                features.append(network.features(images.to(device)).double().cpu())
                wanted.append(labels.double())
    return torch.cat(features), torch.cat(wanted)


def _probe(network: nn.Module, task: Task) -> tuple[Tensor, Tensor]:
    """Weight (C,) and bias (1,) of a ridge regression from frozen features to -1 (real) and 1 (fake)."""
    device = next(network.parameters()).device
    x, y = _drawn(network, task)
    y = 2 * y - 1
    mean, std = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / std
    gram = x.T @ x / len(x) + 0.01 * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, x.T @ y / len(x)) / std
    return weight.float().to(device), (y.mean() - weight @ mean)[None].float().to(device)


def _validated(network: nn.Module, pairs: Data, ready: Preprocess, device: str) -> dict[str, float]:
    """One row of the curve: mean AUC, loss, TPR and TNR on validation images at native size."""
    logits = pairs.logits(lambda images: scored(network, images, ready, device))
    measures = list(at_zero(logits).values())
    mean = {key: float(np.mean([row[key] for row in measures])) for key in ("auc", "tpr", "tnr")}
    wrong = np.concatenate([np.concatenate([-fake, real]) for fake, real in logits.values()])
    held = float(np.logaddexp(0, wrong).mean())
    return {"score": mean["auc"] - 1e-3 * min(held, 10.0), "validation_loss": held, **mean}


def backbone(name: str, out: Path) -> dict[str, Tensor]:
    """State of the detector's frozen backbone, from out/backbones; empty where it has none."""
    own = getattr(module(name), "BACKBONE", None)
    if own is None:
        return {}
    path = Path(out) / "backbones" / f"{own}.safetensors"
    if not path.is_file():
        raise UsageError(f"{name} needs {path}: train it first with `quantdetect train mini {own}`")
    return weights.read(path)


def published_backbone(name: str, path: Path) -> dict[str, Tensor]:
    """State of the frozen part of the detector at its published width, from a file of a published backbone: open_clip's
    tower, torchvision's ResNet-50, or a released detector that carries its own.

    Raises UsageError where the file cannot be read, or lacks a tensor of that part.
    """
    stored = weights.read(path)
    with torch.device("meta"):
        network = detectors.build(name)
    parts = dict(network.named_buffers()) | {
        key: value for key, value in network.named_parameters() if not value.requires_grad
    }
    found = {}
    for key in (key for key in parts if not key.endswith("num_batches_tracked") and key not in _OF_HEADS):
        value = stored.get(key, stored.get(key.removeprefix("backbone.")))
        if value is None or value.shape != parts[key].shape:
            raise UsageError(f"{path} is no backbone of {name}: it has no {key} of shape {list(parts[key].shape)}")
        found[key] = value
    return found


#: Buffers that a head is solved with, and no part of a backbone.
_OF_HEADS = ("mean", "spread")


def train_shipped(name: str, label: str, work: Path, out: Path, device: str = "cpu") -> Path:
    """Do one of `TRAININGS` on FP32 images of the shipped miniature generators; return the weights' path.

    The training "mini-sdxl" is stored as out/detectors/NAME-sdxl.safetensors and loads as "mini-sdxl".
    """
    of = TRAININGS[label]
    task = on_generators(name, samples.fakes, samples.aligned if of.aligned else samples.reals, out, of, label)
    path = Path(out) / "detectors" / f"{name}{label.removeprefix('mini')}.safetensors"
    return learn(task, path, work, device=device)


def _trainer(name: str, label: str) -> Callable[..., Path]:
    return lambda work, out, device="cpu": train_shipped(name, label, work, out, device)


#: name -> function(work, out, device), resumable, in the order in which they need each other.
TRAINERS: dict[str, Callable[..., Path]] = backbones.TRAINERS | {
    name + label.removeprefix("mini"): _trainer(name, label) for label, of in TRAININGS.items() for name in of.detectors
}
