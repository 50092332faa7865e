"""CLIP-D: a linear head on a frozen CLIP image tower's next-to-last features (Cozzolino et al., 2024)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from helpers.detectors.vision import Tower

__all__ = ["BACKBONE", "VISION", "Network", "build"]

#: The miniature's frozen part, stored once under models/mini/backbones.
BACKBONE = "clip"

#: What the tower is built with, in open_clip's words; the published one is its ViT-L-14.
VISION = {
    "full": {"image_size": 224, "patch_size": 14, "width": 1024, "head_width": 64, "layers": 24},
    "mini": {"image_size": 64, "patch_size": 8, "width": 128, "head_width": 32, "layers": 4},
}


class Network(nn.Module):
    """Frozen tower without projection, unit features, Linear(C, 1): 1,025 trained numbers at full width."""

    def __init__(self, width: str):
        super().__init__()
        self.visual = Tower(**VISION[width]).requires_grad_(False)
        self.fc = nn.Linear(VISION[width]["width"], 1)

    def train(self, mode: bool = True) -> Network:
        """Switch the head's mode; the frozen tower stays in evaluation mode."""
        super().train(mode)
        self.visual.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of normalized square images (N, 3, side, side)."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return the frozen tower's next-to-last features, of unit length (N, C)."""
        return F.normalize(self.visual(x), dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of features (N, C)."""
        return self.fc(features).squeeze(1)

    def start(self, weight: Tensor, bias: Tensor) -> None:
        """Let the head begin as a linear probe, weight (C,) and bias (1,), whose 1 becomes a logit of 3."""
        self.fc.weight.data.copy_(3 * weight[None])
        self.fc.bias.data.copy_(3 * bias)


def build(width: str = "full") -> Network:
    """Return the network with untrained weights: "full" is ViT-L-14 (1.2 GB), "mini" four layers of 128."""
    return Network(width)
