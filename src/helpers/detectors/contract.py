"""What a detector's network must offer: one call, and more for large images and for frozen backbones.

A module named by a row of the catalogue has `build(width)`, which returns a `torch.nn.Module` with random weights under
the parameter names of its authors' checkpoint. It need not derive from these classes.
Images come as the row's `preprocess` makes them: float32 (N, 3, H, W), normalized, N of one size, any sides from 8 px
where the size rule is native. No image's logit may depend on the others of its batch: in evaluation mode, batch
statistics, random crops and augmentation have no place.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from helpers.core.errors import Failure

__all__ = ["Frozen", "Network", "Tiled", "hold"]


@runtime_checkable
class Network(Protocol):
    """Every network: a raw logit, not a probability. 0 is its authors' threshold, above it an image is fake."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of images (N, 3, H, W)."""


@runtime_checkable
class Tiled(Network, Protocol):
    """A network whose logit is a function of the mean of its feature maps, so that an image of more than 2^20 pixels is
    looked at in overlapping tiles. `forward(x)` must equal `head(maps(x).mean((2, 3)))`.

    Without `field` a network sees every image whole, and its memory grows with the image.
    """

    def maps(self, x: Tensor) -> Tensor:
        """Return feature maps (N, C, ceil(H / stride), ceil(W / stride)) of images (N, 3, H, W)."""

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of averaged features (N, C)."""

    def field(self) -> tuple[int, int]:
        """Return the stride of the maps, in pixels, and how many pixels to each side of its own a place looks at. The
        stride divides 512, the side of a tile."""


@runtime_checkable
class Frozen(Network, Protocol):
    """A network that learns a head on a frozen backbone. Trainings then share one pass of the backbone, and its module
    names a shipped one in `BACKBONE`, of which the parameters ask for no gradient."""

    def features(self, x: Tensor) -> Tensor:
        """Return the backbone's features (N, C) of images (N, 3, H, W)."""

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of features (N, C)."""

    def start(self, *solved: Tensor) -> None:
        """Let the head begin as the probe that was solved for: weight (C,) and bias (1,), whose 1 is surely fake."""


#: What must be there together, by what one has that has one of them.
_TOGETHER = {"field": ("maps", "head"), "start": ("features", "head")}


def hold(name: str, network: object) -> nn.Module:
    """The network that a detector's `build` has given; raises Failure where it does not offer what it must."""
    if not isinstance(network, nn.Module):
        raise Failure(f"{name}: its build gives a {type(network).__name__}; it must give a torch.nn.Module")
    for mark, needed in _TOGETHER.items():
        lacking = [part for part in needed if hasattr(network, mark) and not hasattr(network, part)]
        if lacking:
            raise Failure(f"{name}: its network has {mark} without {lacking[0]}; see helpers.detectors.contract")
    return network
