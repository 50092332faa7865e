"""The ResNet trunk that three of the detectors share, with the stem, depth and width each of them needs.

Parameters have torchvision's names (conv1, bn1, layer1 ... layer4), so that released state dicts fit as they are.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import Bottleneck

__all__ = ["Trunk", "folded"]


class Trunk(nn.Module):
    """Bottleneck ResNet without its classifier (He et al., CVPR 2016).

    Args:
        layers: bottlenecks per stage; ResNet-50 is (3, 4, 6, 3).
        width: channels after the stem; ResNet-50 has 64. Everything else scales with it.
        kernel: side of conv1, odd.
        stem_stride: stride of conv1.
        pool_stride: stride of the 3x3 max pool after it.

    Attributes:
        channels: length of the feature vector.
    """

    def __init__(
        self,
        layers: tuple[int, ...] = (3, 4, 6, 3),
        width: int = 64,
        kernel: int = 7,
        stem_stride: int = 2,
        pool_stride: int = 2,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, kernel, stem_stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, pool_stride, 1)
        self.stages = [f"layer{i + 1}" for i in range(len(layers))]
        channels = width
        for i, (stage, depth) in enumerate(zip(self.stages, layers, strict=True)):
            blocks = []
            for j in range(depth):
                blocks.append(_bottleneck(channels, width << i, stride=2 if i and not j else 1, first=not j))
                channels = (width << i) * Bottleneck.expansion
            self.add_module(stage, nn.Sequential(*blocks))
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x: Tensor) -> Tensor:
        """Return feature maps (N, channels, H / stride, W / stride), rounded up, of images (N, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x

    def features(self, x: Tensor) -> Tensor:
        """Return globally averaged features (N, channels) of normalized images (N, 3, H, W)."""
        return self.maps(x).mean((2, 3))

    def field(self) -> tuple[int, int]:
        """Return the stride of the feature maps, and how many pixels to each side of its own a place looks at."""
        blocks = [block for stage in self.stages for block in getattr(self, stage)]
        stride, reach = 1, 0
        for layer in (self.conv1, self.maxpool, *(block.conv2 for block in blocks)):  # the others are 1x1
            kernel, step = (of[0] if isinstance(of, tuple) else of for of in (layer.kernel_size, layer.stride))
            stride, reach = stride * step, reach + kernel // 2 * stride
        return stride, reach


def _bottleneck(channels: int, planes: int, stride: int, first: bool) -> Bottleneck:
    """One torchvision bottleneck; the first of a stage projects its shortcut."""
    out = planes * Bottleneck.expansion
    shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if first else None
    return Bottleneck(channels, planes, stride, shortcut)


def folded(network: nn.Module) -> nn.Module:
    """Return a copy for inference with each batch normalization folded into its convolution.

    The same function to float32 rounding, a quarter faster. A network without trunks is copied as it is.
    """
    network = copy.deepcopy(network).eval()
    for trunk in [module for module in network.modules() if isinstance(module, Trunk)]:
        _fold(trunk, "conv1", "bn1")
        for block in [module for module in trunk.modules() if isinstance(module, Bottleneck)]:
            for i in "123":
                _fold(block, f"conv{i}", f"bn{i}")
            if block.downsample is not None:
                block.downsample = fuse_conv_bn_eval(*block.downsample)
    return network


def _fold(module: nn.Module, convolution: str, normalization: str) -> None:
    setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, normalization)))
    setattr(module, normalization, nn.Identity())
