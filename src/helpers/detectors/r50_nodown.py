"""R50_nodown: a ResNet-50 whose stem keeps the resolution (Gragnaniello et al., 2021; Corvi et al., 2023)."""

from __future__ import annotations

from torch import Tensor, nn

from helpers.detectors.resnet import Trunk

__all__ = ["WIDTHS", "Network", "build"]

#: Channels after the stem.
WIDTHS = {"full": 64, "mini": 8}


class Network(Trunk):
    """ResNet-50 with conv1 and max pool at stride 1 (total stride 8); 23,510,081 parameters at full width."""

    def __init__(self, width: int):
        super().__init__(width=width, stem_stride=1, pool_stride=1)
        self.fc = nn.Linear(self.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of normalized images (N, 3, H, W)."""
        return self.head(self.features(x))

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of globally averaged features (N, C)."""
        return self.fc(features).squeeze(1)


def build(width: str = "full") -> Network:
    """Return an untrained network: "full" as published, "mini" with an eighth of its channels."""
    return Network(WIDTHS[width])
