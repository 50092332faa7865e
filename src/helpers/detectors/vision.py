"""The image tower of CLIP that two of the detectors share (Radford et al., ICML 2021), without its projection.

Parameters have open_clip's names, so that its state dicts fit as they are. It stands here because open_clip itself
takes seconds to import, for towers and trainings that no detector has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Tower"]


class Tower(nn.Module):
    """Vision transformer that normalizes before each part of a block and before the first (ViT-L-14 by default).

    Args:
        image_size, patch_size: sides in pixels; the one is a multiple of the other.
        width: length of a token. head_width: of its part in one head of attention.
        layers: blocks.

    Attributes:
        grid_size: rows and columns of patches.
    """

    def __init__(
        self, image_size: int = 224, patch_size: int = 14, width: int = 1024, head_width: int = 64, layers: int = 24
    ) -> None:
        super().__init__()
        side = image_size // patch_size
        self.image_size, self.grid_size, scale = image_size, (side, side), width**-0.5
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(side * side + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(_Block(width, width // head_width) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)

    def embedded(self, x: Tensor) -> Tensor:
        """Return what enters the first block, class token first, (N, 1 + patches, C), of images (N, 3, side, side)."""
        patches = self.conv1(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(x), 1, -1)
        return self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class token after the last block, normalized, (N, C), of images (N, 3, side, side)."""
        x = self.embedded(x)
        for block in self.transformer.resblocks:
            x = block(x)
        return self.ln_post(x)[:, 0]


class _Block(nn.Module):
    """Attention and a perceptron of one hidden layer, each added to what it is given (N, L, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens after the block (N, L, C)."""
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))
