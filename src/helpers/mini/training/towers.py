"""Towers that were tried for CLIP-D and not kept: a wider one, and one that learns from pictures alone beside captions.

CLIP-D's head is linear, on the class token of a frozen tower; what it can find is decided when the tower is trained.
Each tower here is trained on renders and captions as the shipped one is, for as many steps, and never sees a generated
image. Heads are logistic regressions on the FP32 images that the detectors learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from helpers.detectors import clip_d
from helpers.detectors.preprocessing import Preprocess, preprocess, tensor
from helpers.mini import backbones
from helpers.mini.training.detectors import Data, Task, at_zero

__all__ = ["TRIED", "Tower", "head", "two_views_loss"]


@dataclass(frozen=True)
class Tower:
    """A vision tower that was tried: what of the shipped configuration it changes, and whether it also learns which
    two views are of one picture."""

    vision: Mapping[str, Any] = field(default_factory=dict)
    views: bool = False


#: Whose towers these are.
DETECTOR = "clip_d"

#: Tower -> what it changes.
TRIED: Mapping[str, Tower] = MappingProxyType({"clip_wide": Tower({"width": 256}), "clip_views": Tower(views=True)})

#: The views of SimCLR (Chen et al., ICML 2020), without its blur and greys: what was done to a picture's fine detail
#: is what a detector needs.
VIEWS = v2.Compose(
    [
        v2.RandomResizedCrop(64, scale=(0.3, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.4, 0.4, 0.4),
    ]
)


def two_views_loss(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalized temperature-scaled cross-entropy (NT-Xent; Chen et al., ICML 2020) of the features (N, D) of two views
    of N pictures: each view is to be told from the 2 N - 2 views of others."""
    features = F.normalize(torch.cat([first, second]), dim=1)
    alike = features @ features.T / temperature
    alike = alike.masked_fill(torch.eye(len(alike), dtype=torch.bool, device=alike.device), -torch.inf)
    partner = torch.arange(len(alike), device=alike.device).roll(len(first))
    return F.cross_entropy(alike, partner)


def head(name: str, task: Task, work: Path, device: str = "cpu") -> dict[str, dict[str, float]]:
    """Train a tower of `TRIED` and a linear head on its class token; AUC, TPR and TNR by generator (validation).

    The tower's training resumes from `work`, and is the same for every task of one seed.
    """
    visual = _trained(name, Path(work), device, task.seed)
    ready = preprocess(DETECTOR, "mini")
    train, validation = (_features(visual, task.data[split], ready, device) for split in ("train", "validation"))
    features = np.concatenate([np.concatenate(pair) for pair in train.values()])
    labels = np.concatenate([np.repeat([1, 0], [len(fake), len(real)]) for fake, real in train.values()])
    fitted = LogisticRegression(C=100.0, max_iter=5000).fit(features, labels)
    return at_zero({key: tuple(fitted.decision_function(side) for side in pair) for key, pair in validation.items()})


def _trained(name: str, work: Path, device: str, seed: int) -> nn.Module:
    """The tower of a try without its projection, trained as `backbones.train_clip` trains."""
    of, vision = TRIED[name], clip_d.VISION["mini"] | TRIED[name].vision
    torch.manual_seed(seed)
    model = backbones.clip_model(vision).to(device)
    beside = _views(model, device) if of.views else None
    fitted = backbones.fit_clip(name, model, work, device, seed, beside=beside)
    network = _build_vision_tower(embed_dim=1, vision_cfg=CLIPVisionCfg(**vision))
    network.proj = None
    network.load_state_dict(
        {key.removeprefix("visual."): value for key, value in backbones.tower(fitted.state).items()}
    )
    return network.to(device).eval()


def _views(model: open_clip.CLIP, device: str) -> Callable[[np.ndarray], Tensor]:
    """The loss of two views beside captions (SLIP; Mu et al., ECCV 2022), by two layers on the model's embedding; the
    layers become the model's, so that they are trained and stored with it."""
    width = model.text_projection.shape[1]
    model.views = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, 64)).to(device)
    ready = preprocess(DETECTOR, "mini")

    def view(pictures: np.ndarray) -> Tensor:
        seen = np.stack([np.asarray(VIEWS(Image.fromarray(picture))) for picture in pictures])
        return model.views(model.encode_image(ready.normalized(seen).to(device)))

    return lambda pictures: two_views_loss(view(pictures), view(pictures))


def _features(visual: nn.Module, data: Data, ready: Preprocess, device: str) -> dict[str, Any]:
    """By generator the unit features of its fakes and of its reals, (N, C) each."""

    def of(images: list[Image.Image]) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.stack([tensor(image, ready) for image in images]).to(device)
            return F.normalize(visual(batch), dim=1).cpu().numpy()

    return data.logits(of)
