"""The ResNet trunk that three of the detectors share, with the stem, depth and width each of them needs.

Parameters have torchvision's names (conv1, bn1, layer1 ... layer4), so that released state dicts fit as they are. The
block stands here because torchvision itself takes longer to import than torch.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Trunk"]

#: Channels after a bottleneck for each of those inside.
EXPANSION = 4


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
                blocks.append(_Bottleneck(channels, width << i, stride=2 if i and not j else 1, first=not j))
                channels = (width << i) * EXPANSION
            self.add_module(stage, nn.Sequential(*blocks))
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def blocks(self) -> list[_Bottleneck]:
        """Return the bottlenecks in their order."""
        return [block for stage in self.stages for block in getattr(self, stage)]

    def convolved(self, x: Tensor) -> Tensor:
        """Return what the convolutions make of (N, 3, H, W): (N, channels, H / stride, W / stride), rounded up."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for block in self.blocks():
            x = block(x)
        return x

    def maps(self, x: Tensor) -> Tensor:
        """Return feature maps (N, channels, H / stride, W / stride), rounded up, of images (N, 3, H, W)."""
        return self.convolved(x)

    def features(self, x: Tensor) -> Tensor:
        """Return globally averaged features (N, channels) of normalized images (N, 3, H, W)."""
        return self.maps(x).mean((2, 3))

    def field(self) -> tuple[int, int]:
        """Return the stride of the feature maps, and how many pixels to each side of its own a place looks at."""
        stride, reach = 1, 0
        for layer in (self.conv1, self.maxpool, *(block.conv2 for block in self.blocks())):  # the others are 1x1
            kernel, step = (of[0] if isinstance(of, tuple) else of for of in (layer.kernel_size, layer.stride))
            stride, reach = stride * step, reach + kernel // 2 * stride
        return stride, reach


class _Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution around a shortcut, which the first of a stage projects.

    Args:
        channels: of its input. planes: of what is inside.
    """

    def __init__(self, channels: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        out = planes * EXPANSION
        # Drawn first and registered last, as torchvision has it: what a seed draws, and in which order, stays the same.
        shortcut = _projection(channels, out, stride) if first else None
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, out, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out, H / stride, W / stride) of (N, channels, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _projection(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
