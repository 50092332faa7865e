"""What every detector is (images in, logits out), and how its weights are found."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from helpers.core.errors import Failure, UsageError, shortened
from helpers.core.files import MODELS
from helpers.core.registry import unknown
from helpers.detectors import weights as checkpoints
from helpers.detectors.batching import Heads, score
from helpers.detectors.catalogue import DETECTORS, WEIGHTS_SUFFIXES, WIDTHS
from helpers.detectors.contract import hold
from helpers.detectors.onnx import compiled
from helpers.detectors.preprocessing import Preprocess, preprocess
from helpers.study.schema import training_label, weights_folder

__all__ = [
    "Detector", "NotFinite", "build", "load", "miniature", "module", "together", "trained",
    "weights_files", "weights_path",
]  # fmt: skip


class NotFinite(Failure):
    """A detector's logit is NaN or infinite; `place` is the image's among those given."""

    def __init__(self, detector: str, place: int, logit: float):
        super().__init__(f"{detector}: the logit of image {place} is {logit}; its weights overflow on this image")
        self.place = place


@dataclass(frozen=True)
class Detector:
    """A trained detector, ready to score.

    Attributes:
        name: its key. weights: label of its training, for the records. width: "full" or "mini".
        network: inference copy, in evaluation mode. ready: size rule and normalization. device: torch device.
        trunk: file of the frozen part, where its own has none.
        threshold: logit above which an image is called fake; 0 for all four, as their authors have it.
    """

    name: str
    weights: str
    width: str
    network: nn.Module
    ready: Preprocess
    device: str = "cpu"
    threshold: float = 0.0
    trunk: Path | None = None

    def score(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return one logit per image, float32 (N,); above 0 means fake. Any sizes from 8 px, any PIL modes.

        An image's logit is the same alone, in a batch and in another order, to float32 rounding.

        Raises:
            UsageError: an image cannot be read, or has a side below 8 px. NotFinite: a logit is no finite number.
        """
        return self._finite(score(self.network, images, self.ready, self.device))

    def _finite(self, logits: np.ndarray) -> np.ndarray:
        for place in np.flatnonzero(~np.isfinite(logits)):
            raise NotFinite(f"{self.name} (weights {self.weights})", int(place), float(logits[place]))
        return logits


def together(detectors: Sequence[Detector], images: Sequence[Image.Image]) -> list[np.ndarray]:
    """The logits, float32 (N,), of the same images by each of several detectors, as `Detector.score` gives them.

    Heads on one frozen trunk are computed from one pass of it: five trainings of such a detector cost little more than
    one. Raises what `Detector.score` raises.
    """
    groups: dict[object, list[Detector]] = {}
    for detector in detectors:
        own = id(detector) if detector.trunk is None else (detector.trunk, detector.ready, detector.device)
        groups.setdefault((detector.name, own), []).append(detector)
    found = {}
    for same in groups.values():
        first = same[0]
        network = first.network if len(same) == 1 else Heads([one.network for one in same])
        logits = score(network, images, first.ready, first.device).reshape(len(images), len(same))
        found |= {id(one): one._finite(logits[:, place]) for place, one in enumerate(same)}
    return [found[id(detector)] for detector in detectors]


def module(name: str) -> ModuleType:
    """Return the module of a detector, which has `build(width)`. Raises UsageError for an unknown name."""
    return importlib.import_module(DETECTORS[name].module)


def build(name: str, width: str = "full") -> nn.Module:
    """Return the network with random weights: "full" as published, "mini" as the miniature study has it.

    Raises UsageError for an unknown name or width, Failure for a network that breaks `detectors.contract`.
    """
    of = module(name)
    if width not in WIDTHS:
        raise unknown("detector width", width, WIDTHS)
    return hold(name, of.build(width))


def weights_path(name: str, weights: str | Path = "mini") -> Path:
    """Return the file of "mini" or "mini-LABEL" (shipped), of a path, or of a folder that holds NAME.*.

    Raises:
        UsageError: there is no such file; the message says what was looked for.
    """
    DETECTORS[name]  # a wrong name is told
    return _shipped_file(name, str(weights)) if _shipped(weights) else _released_file(name, weights)


def _shipped_file(name: str, label: str) -> Path:
    """The file in models/mini of a training: "mini-sdxl" of npr is npr-sdxl.safetensors."""
    path = MODELS / "mini" / "detectors" / f"{name}{label.removeprefix('mini')}.safetensors"
    if not path.is_file():
        own = f"make them with `quantdetect train mini {path.stem}`"
        mend = own if name in DETECTORS.own else "its package is no part of this one, so name its file or folder"
        raise UsageError(f"no {label!r} weights of {name} at {path}: {mend}")
    return path


def _released_file(name: str, weights: str | Path) -> Path:
    """The file that was named, or the detector's in the folder that was."""
    path = weights_folder(weights)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UsageError(f"no weights {str(weights)!r} for {name}: give 'mini', a weights file, or a folder of them")
    files = (path / f"{name}{suffix}" for suffix in WEIGHTS_SUFFIXES)
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise UsageError(f"no {name} weights in {path}: it should hold {name}.safetensors or {name}.pth")
    return found


def weights_files(name: str, weights: str | Path = "mini", backbone: str | Path | None = None) -> list[Path]:
    """Return every file that a detector's logits depend on: its own, then the frozen backbone's where it has one.

    Raises:
        UsageError: one of them is not there, or cannot be read.
    """
    path = weights_path(name, weights)
    frozen = Path(backbone) if backbone is not None else _backbone(name, path)
    return [path] if frozen is None else [path, frozen]


def load(
    name: str,
    weights: str | Path = "mini",
    *,
    backbone: str | Path | None = None,
    size_rule: str | None = None,
    device: str = "cpu",
) -> Detector:
    """Return a detector with trained weights.

    Args:
        name: a key of `DETECTORS`.
        weights: "mini" or "mini-LABEL" (shipped), a checkpoint in its authors' format, a folder of NAME.pth.
        backbone: file of a frozen backbone that `weights` does not carry; by default the shipped one, or for
            CLIP-D's published size the open_clip file beside the head's.
        size_rule: a name of `preprocessing.SIZE_RULES` in place of the detector's own.

    Raises:
        UsageError: unknown name, missing file, or weights that do not fit or are not finite, with the keys named.
    """
    path, *frozen = weights_files(name, weights, backbone)
    width = _width(name, path)
    network = _trained(name, width, path, frozen).to(device)
    if torch.device(device).type == "cpu":
        network = compiled(network)
    label = str(weights) if _shipped(weights) else training_label(weights)
    trunk = frozen[0].resolve() if frozen else None
    return Detector(name, label, width, network, preprocess(name, width, size_rule), device, trunk=trunk)


def trained(name: str, weights: str | Path = "mini") -> tuple[nn.Module, Preprocess]:
    """Return a detector's network as PyTorch computes it, in evaluation mode, and how it reads an image.

    Raises what `load` raises.
    """
    path, *frozen = weights_files(name, weights)
    width = _width(name, path)
    return _trained(name, width, path, frozen), preprocess(name, width)


def _trained(name: str, width: str, path: Path, frozen: Sequence[Path]) -> nn.Module:
    network = build(name, width)
    checkpoints.fit(network, {path: checkpoints.read(path)} | {file: _tower(name, file) for file in frozen})
    return network.eval().requires_grad_(False)


def _width(name: str, path: Path) -> str:
    """The width that a weights file is for; UsageError where it says that it is another detector's."""
    notes = checkpoints.metadata(path)
    if notes.get("detector", name) != name:
        raise UsageError(f"{path} holds {shortened(notes['detector'])}, not {name}")
    return notes.get("width", "full")


def miniature(weights: str | os.PathLike[str]) -> bool:
    """Whether weights, named as `load` takes them, are those of this project's miniatures."""
    return _shipped(weights) or (MODELS / "mini").resolve() in (weights_folder(weights) / "_").resolve().parents


def _shipped(weights: str | os.PathLike[str]) -> bool:
    """Whether this is the label of a training whose weights lie in the repository."""
    return isinstance(weights, str) and re.fullmatch(r"mini(-[\w.]+)*", weights) is not None


def _backbone(name: str, path: Path) -> Path | None:
    """The file of the frozen part, where the detector's own has none."""
    kept = checkpoints.metadata(path).get("backbone")
    if kept is not None:
        if not re.fullmatch(r"[\w-]+", kept):
            raise UsageError(f"{path}: {shortened(kept)!r} is no name of a backbone")
        file = path.parent.parent / "backbones" / f"{kept}.safetensors"
        mend = "retrain it with `quantdetect train mini`"
    elif (own := DETECTORS[name].backbone) and not any(key.startswith(own.prefix) for key in checkpoints.read(path)):
        files = [path.parent / of for of in own.files]
        file = next((file for file in files if file.is_file()), files[0])
        mend = f"put it there ({own.source}, {own.terms})"
    else:
        return None
    if not file.is_file():
        raise UsageError(f"{name} needs its backbone, {file} is not there: {mend}")
    return file


def _tower(name: str, file: Path) -> dict[str, Tensor]:
    """State of a frozen part, without what its file has besides, as open_clip's has a text tower and a projection."""
    stored, own = checkpoints.read(file), DETECTORS[name].backbone
    return {k: v for k, v in stored.items() if own is None or (k.startswith(own.prefix) and k != own.without)}
