"""NPR: a truncated ResNet-50 on neighbouring pixel relationships (Tan et al., CVPR 2024)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from helpers.detectors.resnet import Trunk

__all__ = ["Network", "build", "residual"]


def residual(x: Tensor) -> Tensor:
    """Return (x - up2(down2(x))) * 2/3 of (N, 3, H, W), nearest neighbour both ways, trimmed to even sides.

    Without the trim an odd side could not be brought back to its length (the reference fails there).
    """
    x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
    return (x - F.interpolate(F.interpolate(x, scale_factor=0.5), scale_factor=2.0)) * (2 / 3)


class Network(Trunk):
    """ResNet-50 up to layer2 with a 3x3 stem, on the residual; 1,437,761 parameters."""

    def __init__(self):
        super().__init__(layers=(3, 4), kernel=3)
        self.fc1 = nn.Linear(self.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of normalized images (N, 3, H, W), sides of at least 8."""
        return self.head(self.features(x))

    def maps(self, x: Tensor) -> Tensor:
        """Return the residual's feature maps (N, 512, H / 8, W / 8), rounded up."""
        return super().maps(residual(x))

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of globally averaged features (N, 512)."""
        return self.fc1(features).squeeze(1)


def build(width: str = "full") -> Network:
    """Return an untrained network; NPR is small enough to have its published size in the miniature too."""
    return Network()
