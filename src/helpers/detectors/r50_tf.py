"""R50_TF: a frozen ResNet-50, conv1 at stride 1, with a trained embedding and prototype (TrueFake, 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from helpers.detectors.resnet import Trunk

__all__ = ["BACKBONE", "EMBEDDING", "Network", "Prototype", "build", "trunk"]

#: The miniature's frozen part, stored once under models/mini/backbones.
BACKBONE = "namer"
EMBEDDING = 128

#: Bottlenecks per stage and channels after the stem.
SIZES = {"full": ((3, 4, 6, 3), 64), "mini": ((2, 2, 2, 2), 16)}


def trunk(width: str, stem_stride: int = 1) -> Trunk:
    """Return the untrained trunk; it is pretrained with conv1 at stride 2 and run at stride 1."""
    layers, channels = SIZES[width]
    return Trunk(layers, channels, stem_stride=stem_stride)


class Prototype(nn.Module):
    """Score of an embedding against one Gaussian centre: far from it on its positive side is fake.

    score = sign(sum(f - c)) * ||f - c||^2 / (2 exp(2 s)) + d * s, with s = relu(logsigma) and d = 128.
    """

    def __init__(self):
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(1, EMBEDDING))
        self.logsigmas = nn.Parameter(torch.zeros(1))

    def forward(self, embedding: Tensor) -> Tensor:
        """Return scores (N,) of embeddings (N, 128)."""
        away, spread = embedding - self.centers, self.logsigmas.relu()
        return away.sum(1).sign() * away.square().sum(1) / (2 * (2 * spread).exp()) + EMBEDDING * spread


class Network(nn.Module):
    """Frozen trunk, Linear(C, 128), dropout, prototype; 262,401 of 23,770,433 parameters trained (full)."""

    def __init__(self, width: str):
        super().__init__()
        self.backbone = trunk(width).requires_grad_(False)
        self.backbone.fc = nn.Sequential(nn.Linear(self.backbone.channels, EMBEDDING), nn.Dropout(0.5))
        self.proto = Prototype()

    def train(self, mode: bool = True) -> Network:
        """Switch the head's mode; the frozen trunk stays in evaluation mode: its statistics do not move.

        (In the reference training they did move, so a released checkpoint carries its whole backbone.)
        """
        super().train(mode)
        for name, child in self.backbone.named_children():
            child.train(mode and name == "fc")
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of normalized images (N, 3, H, W)."""
        return self.head(self.features(x))

    def maps(self, x: Tensor) -> Tensor:
        """Return the frozen trunk's feature maps (N, C, H / 16, W / 16), rounded up."""
        return self.backbone.maps(x)

    def field(self) -> tuple[int, int]:
        """Return the trunk's stride and reach in pixels (see `Trunk.field`)."""
        return self.backbone.field()

    def features(self, x: Tensor) -> Tensor:
        """Return the frozen trunk's globally averaged features (N, C)."""
        return self.maps(x).mean((2, 3))

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of features (N, C)."""
        return self.proto(self.backbone.fc(features))

    def start(self, weight: Tensor, bias: Tensor) -> None:
        """Let every unit of the embedding begin as a linear probe, weight (C,) and bias (1,).

        From random units the score's sign blocks learning: both classes are drawn to the centre and stay.
        """
        scale = (6 / EMBEDDING) ** 0.5  # a probe of 1 becomes a logit of 3
        self.backbone.fc[0].weight.data.copy_(scale * weight.expand(EMBEDDING, -1))
        self.backbone.fc[0].bias.data.copy_(scale * bias.expand(EMBEDDING))


def build(width: str = "full") -> Network:
    """Return an untrained network: "full" as published, "mini" shallower and a quarter as wide."""
    return Network(width)
