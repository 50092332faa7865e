"""Patch probe: a linear head on patch statistics of CLIP-D's frozen tower. Ours, not a published detector.

CLIP-D reads the class token of an image shrunk to the tower's input. This reads what that throws away: the image at its
own size, in tiles of the tower's input, and the mean and the standard deviation of the patch tokens as they enter the
first block and as they leave each. What enters the first block is the picture's patches through the tower's linear
filters, normalized: much of what tells a generator from a camera is there and does not come through the blocks. RINE
(Koutlis & Papadopoulos, ECCV 2024) reads the class tokens of all blocks; it is the nearest published relative.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.detectors.clip_d import BACKBONE, VISION
from helpers.detectors.vision import Tower

__all__ = ["BACKBONE", "Network", "build", "corners"]

#: Tiles that go through the tower at a time, which bounds the memory of a large image.
_TILES = 64


def corners(length: int, side: int) -> list[int]:
    """Return where the fewest tiles of `side` pixels begin that cover `length` >= `side`, evenly spaced."""
    count = -(-length // side)
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


class Network(nn.Module):
    """Frozen tower, then Linear(2 x (blocks + 1) x C, 1) on the patch tokens' means and deviations at each depth.

    Attributes:
        side: of the tower's input and so of a tile, pixels.
        mean, spread: of the statistics over training views, by which they are standardized.
    """

    def __init__(self, width: str):
        super().__init__()
        own = VISION[width]
        self.visual = Tower(**own).requires_grad_(False)
        self.side = own["image_size"]
        count = 2 * (own["layers"] + 1) * own["width"]
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.fc = nn.Linear(count, 1)

    def train(self, mode: bool = True) -> Network:
        """Switch the head's mode; the frozen tower stays in evaluation mode."""
        super().train(mode)
        self.visual.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of normalized images (N, 3, H, W) of one size."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return means, then standard deviations, of the patch tokens of all tiles at each depth: (N, 2 * (B + 1) * C).

        An image smaller than a tile is mirrored to its size at the right and bottom.
        """
        tiles = self._tiles(x)
        flat = tiles.flatten(0, 1)
        sums = [self._sums(part) for part in flat.split(_TILES)]
        total = torch.cat(sums).unflatten(0, tiles.shape[:2]).sum(1)  # (N, 2, B + 1, C)
        mean, square = (total / (tiles.shape[1] * self._patches())).unbind(1)
        spread = (square - mean.square()).clamp_min(0).sqrt()
        return torch.cat([mean.flatten(1), spread.flatten(1)], dim=1).float()

    def _tiles(self, x: Tensor) -> Tensor:
        """The tiles that cover images (N, 3, H, W): (N, tiles, 3, side, side)."""
        down, across = (max(0, self.side - length) for length in x.shape[2:])
        if down or across:
            x = _mirrored(x, down, across)
        places = [(top, left) for top in corners(x.shape[2], self.side) for left in corners(x.shape[3], self.side)]
        return torch.stack([x[..., t : t + self.side, le : le + self.side] for t, le in places], dim=1)

    def _patches(self) -> int:
        rows, columns = self.visual.grid_size
        return rows * columns

    def _sums(self, tiles: Tensor) -> Tensor:
        """Sums over the patch tokens (T, 2, B + 1, C) of their values at each depth and of the squares, in double
        precision."""
        depths = [self.visual.embedded(tiles)]
        for block in self.visual.transformer.resblocks:
            depths.append(block(depths[-1]))
        tokens = torch.stack(depths, dim=1)[:, :, 1:].double()  # (T, B + 1, patches, C), without the class token
        return torch.stack([tokens.sum(2), tokens.square().sum(2)], dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N,) of features (N, C)."""
        return self.fc((features - self.mean) / self.spread).squeeze(1)

    def start(self, mean: Tensor, spread: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take a head solved on standardized statistics: mean, spread and weight (2 * (B + 1) * C,), bias (1,)."""
        for own, given in ((self.mean, mean), (self.spread, spread), (self.fc.weight[0], weight), (self.fc.bias, bias)):
            own.data.copy_(given)


def _mirrored(x: Tensor, down: int, across: int) -> Tensor:
    """Images with `down` more rows and `across` more columns, mirrored as often as it takes."""
    for axis, more in ((2, down), (3, across)):
        while more > 0:
            step = min(more, x.shape[axis] - 1)
            pad = (0, step, 0, 0) if axis == 3 else (0, 0, 0, step)
            x, more = F.pad(x, pad, mode="reflect"), more - step
    return x


def build(width: str = "full") -> Network:
    """Return the network with untrained weights: "full" on ViT-L-14, "mini" on four layers of 128."""
    return Network(width)
