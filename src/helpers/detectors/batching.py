"""Many images of any sizes to logits: batches hold images of one size, and the order of the input is kept.

A large image is looked at in tiles. A place of a feature map sees only so many pixels around its own, so tiles that
overlap by as much give the whole image's feature maps, and their average its features: the same logit to float32
rounding, in a memory that does not grow with the image. Whether an image is tiled depends on its own size alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from helpers.core.errors import UsageError
from helpers.detectors.preprocessing import SMALLEST, Preprocess, extent
from helpers.detectors.preprocessing import decode as decoded

__all__ = ["BATCH_PIXELS", "TILE", "Heads", "batches", "cores", "logits", "score"]

#: Pixels per batch: on a CPU core, networks are fastest at four images of 128 px or sixteen of 64.
BATCH_PIXELS = {"cpu": 4 * 128 * 128, "cuda": 64 * 128 * 128}

#: Side of a tile without its overlap, in pixels, a multiple of every stride; images of more than TILE^2 x 4 are tiled.
TILE = 512


def batches(sizes: Sequence[tuple[int, int]], pixels: int) -> Iterator[list[int]]:
    """Yield the places of images to score together: one size, at most `pixels` pixels or else one image."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    for (width, height), places in groups.items():
        step = max(1, pixels // (width * height))
        yield from (places[i : i + step] for i in range(0, len(places), step))


@contextmanager
def cores(count: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of `count` workers (by default as many as torch's threads), in each of which torch keeps to one core."""
    before = torch.get_num_threads()
    with ThreadPoolExecutor(count or before, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(before)


class Heads(nn.Module):
    """Networks that differ in their heads alone, as one: logits (N, K) from one pass of the frozen trunk they share."""

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K) of normalized images (N, 3, H, W)."""
        return self.head(self.networks[0].features(x))

    def head(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of features (N, C)."""
        return torch.stack([network.head(features) for network in self.networks], dim=1)

    def __getattr__(self, name: str) -> object:
        # What tiles ask of a network (`field`, `maps`) is the trunk's.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("networks")[0], name)


def score(network: nn.Module, images: Sequence[Image.Image], ready: Preprocess, device: str = "cpu") -> np.ndarray:
    """Return logits, float32 (N,), in the order of the images; of `Heads` (N, K). Pixels are decoded as batches need
    them.

    Raises:
        UsageError: an image has a side below 8 pixels.
    """
    for place, image in enumerate(images):
        if min(image.size) < SMALLEST:
            raise UsageError(f"image {place} is {image.size[0]}x{image.size[1]}: each side needs {SMALLEST} or more")

    decoding = Lock()  # a picture may be there twice, and Pillow loads one in one thread only

    def of(places: list[int]) -> np.ndarray:
        with decoding:
            pixels = np.stack([np.asarray(ready.rule.apply(decoded(images[place]))) for place in places])
        return logits(network, pixels, ready, device)

    sizes = [ready.rule.size(*extent(image)) for image in images]
    groups = list(batches(sizes, BATCH_PIXELS[torch.device(device).type]))
    with cores(1 if torch.device(device).type == "cuda" else None) as pool:
        parts = list(pool.map(of, groups))
    if not parts:
        return np.empty(0, np.float32)
    found = np.empty((len(images), *parts[0].shape[1:]), np.float32)
    for places, part in zip(groups, parts, strict=True):
        found[places] = part
    return found


@torch.inference_mode()
def logits(network: nn.Module, pixels: np.ndarray, ready: Preprocess, device: str = "cpu") -> np.ndarray:
    """Return logits, float32 (N,), of `Heads` (N, K), of images of one size after the size rule, uint8 (N, H, W, 3)."""
    if pixels.shape[1] * pixels.shape[2] > 4 * TILE**2 and hasattr(network, "field"):
        found = torch.cat([network.head(_tiled(network, image, ready, device)) for image in pixels])
    else:
        found = network(ready.normalized(pixels).to(device))
    return found.float().cpu().numpy()


def _tiled(network: nn.Module, image: np.ndarray, ready: Preprocess, device: str) -> Tensor:
    """Globally averaged features (1, C) of one image (H, W, 3), tile by tile, added up in double precision."""
    stride, reach = network.field()
    halo = -(-reach // stride) * stride
    total, places = 0.0, 0
    for top in range(0, image.shape[0], TILE):
        for left in range(0, image.shape[1], TILE):
            above, before = min(top, halo), min(left, halo)
            seen = image[top - above : top + TILE + halo, left - before : left + TILE + halo]
            maps = network.maps(ready.normalized(seen[None]).to(device))
            own = maps[..., above // stride :, before // stride :][..., : TILE // stride, : TILE // stride]
            total, places = total + own.double().sum((2, 3)), places + own.shape[2] * own.shape[3]
    return (total / places).float()
