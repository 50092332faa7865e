"""Many images of any sizes to logits: batches hold images of one size, and the order of the input is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import nn

from helpers.detectors.images import Preprocess, extent, tensor
from helpers.errors import UsageError

__all__ = ["BATCH_PIXELS", "SMALLEST", "batches", "score"]

#: Pixels per batch: on a CPU core, networks are fastest at four images of 128 px or sixteen of 64.
BATCH_PIXELS = {"cpu": 4 * 128 * 128, "cuda": 64 * 128 * 128}

#: Shortest side, in pixels, that leaves every network something to look at.
SMALLEST = 8


def batches(sizes: Sequence[tuple[int, int]], pixels: int) -> Iterator[list[int]]:
    """Yield the places of images to score together: one size, at most `pixels` pixels or else one image."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    for (width, height), places in groups.items():
        step = max(1, pixels // (width * height))
        yield from (places[i : i + step] for i in range(0, len(places), step))


def score(network: nn.Module, images: Sequence[Image.Image], ready: Preprocess, device: str = "cpu") -> np.ndarray:
    """Return logits, float32 (N,), in the order of the images. Pixels are decoded one batch at a time.

    Raises:
        UsageError: an image has a side below 8 pixels.
    """
    for place, image in enumerate(images):
        if min(image.size) < SMALLEST:
            raise UsageError(f"image {place} is {image.size[0]}x{image.size[1]}: each side needs {SMALLEST} or more")
    logits = np.empty(len(images), np.float32)
    sizes = [ready.rule.size(*extent(image)) for image in images]
    with torch.inference_mode():
        for places in batches(sizes, BATCH_PIXELS[torch.device(device).type]):
            batch = torch.stack([tensor(images[place], ready) for place in places])
            batch = batch.to(device, memory_format=torch.channels_last)
            logits[places] = network(batch).float().cpu().numpy()
    return logits
