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

__all__ = ["BATCH_PIXELS", "TILE", "batches", "cores", "logits", "score"]

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


def score(network: nn.Module, images: Sequence[Image.Image], ready: Preprocess, device: str = "cpu") -> np.ndarray:
    """Return logits, float32 (N,), in the order of the images. Pixels are decoded as batches need them.

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

    found = np.empty(len(images), np.float32)
    sizes = [ready.rule.size(*extent(image)) for image in images]
    groups = list(batches(sizes, BATCH_PIXELS[torch.device(device).type]))
    with cores(1 if torch.device(device).type == "cuda" else None) as pool:
        for places, part in zip(groups, pool.map(of, groups), strict=True):
            found[places] = part
    return found


@torch.inference_mode()
def logits(network: nn.Module, pixels: np.ndarray, ready: Preprocess, device: str = "cpu") -> np.ndarray:
    """Return logits, float32 (N,), of images of one size after the size rule, uint8 (N, H, W, 3)."""
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
