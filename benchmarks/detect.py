"""How fast `quantdetect detect` is: against the loops of public toolkits, and against the bare networks.

    python benchmarks/detect.py

Two ratios, measured in turns in one process on all four miniature detectors, medians of several rounds:

- `reference`: 200 files of mixed sizes and formats. The loop takes one detector at a time and one image at a time and
  decodes each image again for each detector, with torchvision's transforms and the networks in torch, as they are
  published. It is timed with all of torch's threads and with one, and the faster counts: small images gain nothing
  from threads, and lose where cores are busy. Two mixtures: most images share a few sizes, which counts; and each has
  a size of its own, for which torch makes its kernels anew.
- `bare`: 200 PNG files of one size. The bare network is the command's own, has its pixels decoded, normalized and in
  batches before the clock starts, and runs on all cores in the faster of two ways: batches one after the other, or
  side by side. The command has to read, hash, decode and normalize the files in its time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from helpers import detectors, world
from helpers.core.device import processor
from helpers.detectors import stream, weights
from helpers.detectors.batching import BATCH_PIXELS, batches
from helpers.detectors.detector import module, weights_path
from helpers.detectors.preprocessing import decode

#: What people's folders hold: a few common sizes, and one in five of a size of its own.
SIDES = ((64, 64), (96, 96), (128, 128), (128, 192), (256, 256), (320, 240))


def mixed(folder: Path, count: int, own: int) -> list[Path]:
    """Write `count` pictures of mixed sizes, every `own`-th of a size of its own, PNG and JPEG in turn."""
    rng, paths = np.random.default_rng(0), []
    for i in range(count):
        size = tuple(rng.integers(64, 321, 2)) if i % own == own - 1 else SIDES[rng.integers(len(SIDES))]
        paths.append(folder / f"{i:03d}.{'png' if i % 2 else 'jpg'}")
        Image.fromarray(world.render(i, 128)).resize([int(side) for side in size]).save(paths[-1])
    return paths


def uniform(folder: Path, count: int, side: int) -> list[Path]:
    """Write `count` PNG pictures of one size."""
    paths = [folder / f"{i:03d}.png" for i in range(count)]
    for i, path in enumerate(paths):
        Image.fromarray(world.render(i, side)).save(path)
    return paths


def published(name: str) -> torch.nn.Module:
    """A miniature's network as it is built, nothing folded, in torch's own memory format."""
    network = detectors.build(name, "mini")
    path = weights_path(name)
    state = weights.read(path)
    backbone = getattr(module(name), "BACKBONE", None)
    if backbone:
        state |= weights.read(path.parent.parent / "backbones" / f"{backbone}.safetensors")
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def reference(paths: list[Path], loaded: dict[str, detectors.Detector], plain: dict[str, torch.nn.Module]) -> dict:
    """The loops: for each detector, for each image, decode, normalize, one batch of one."""
    logits = {}
    for name, network in plain.items():
        ready = loaded[name].ready
        normalized = transforms.Compose([transforms.ToTensor(), transforms.Normalize(ready.mean, ready.std)])
        for path in paths:
            with Image.open(path) as image:
                logits[path, name] = network(normalized(ready.rule.apply(decode(image)))[None]).item()
    return logits


def command(paths: list[Path], loaded: dict[str, detectors.Detector], threads: int) -> dict:
    """What the command does."""
    seen = stream.judge(paths, loaded, threads=threads)
    return {(of.path, name): logit for of in seen for name, logit in of.logits.items()}


def prepared(paths: list[Path], detector: detectors.Detector) -> list[torch.Tensor]:
    """The batches of a bare network, ready in memory."""
    with_rule = [np.asarray(detector.ready.rule.apply(decode(Image.open(path)))) for path in paths]
    groups = batches([image.shape[1::-1] for image in with_rule], BATCH_PIXELS["cpu"])
    return [detector.ready.normalized(np.stack([with_rule[i] for i in places])) for places in groups]


@torch.inference_mode()
def within(network: torch.nn.Module, work: list[torch.Tensor], pool: ThreadPoolExecutor) -> None:
    """Batches one after the other, torch's threads inside each."""
    for batch in work:
        network(batch)


def beside(network: torch.nn.Module, work: list[torch.Tensor], pool: ThreadPoolExecutor) -> None:
    """Batches side by side, one core each."""

    def run(batch: torch.Tensor) -> None:
        with torch.inference_mode():
            network(batch)

    list(pool.map(run, work))


def seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


@dataclass(frozen=True)
class Setup:
    """What is measured: the detectors as the command has them and as published, threads, rounds, images, their side."""

    loaded: dict[str, detectors.Detector]
    plain: dict[str, torch.nn.Module]
    threads: int
    rounds: int
    images: int
    side: int


#: Mixtures of files: every so many-th image has a size of its own. The first one counts.
MIXTURES = {"a few sizes": 5, "all sizes differ": 1}

#: Ratios that are wanted: over the loops, and of the bare networks' throughput.
FASTER, OF_BARE = 3.0, 0.8


def require_same_logits(paths: list[Path], setup: Setup) -> None:
    """Both ways on a few files: they agree, and are warm afterwards."""
    slow, fast = reference(paths, setup.loaded, setup.plain), command(paths, setup.loaded, setup.threads)
    apart = max(abs(slow[key] - fast[key]) / max(1, abs(slow[key])) for key in slow)
    assert slow.keys() == fast.keys() and apart < 1e-3, f"not the same logits: {apart}"


def loops(paths: list[Path], setup: Setup) -> float:
    """Seconds of the loops, with all threads or with one, whichever is faster."""
    found = []
    for count in {setup.threads, 1}:
        torch.set_num_threads(count)
        found.append(seconds(lambda: reference(paths, setup.loaded, setup.plain)))
    torch.set_num_threads(setup.threads)
    return min(found)


def against_loops(folder: Path, setup: Setup) -> float:
    """How many times as fast as the loops the command is, median over rounds on the first mixture; prints all."""
    files = {}
    for label, own in MIXTURES.items():
        (folder / label).mkdir()
        files[label] = mixed(folder / label, setup.images, own)
    require_same_logits(files["a few sizes"][:20], setup)
    times = {}
    for label, paths in files.items():
        turns = [
            (loops(paths, setup), seconds(lambda paths=paths: command(paths, setup.loaded, setup.threads)))
            for _ in range(setup.rounds)
        ]
        times[label] = statistics.median(slow / fast for slow, fast in turns)
        slow, fast = map(_times, zip(*turns, strict=True))
        print(f"  {label}: loops {slow}, command {fast}, {times[label]:.2f} times as fast")
    return times["a few sizes"]


def of_bare(names: Sequence[str], paths: list[Path], setup: Setup, pool: ThreadPoolExecutor) -> float:
    """The command's throughput as a share of the bare networks', median over rounds; prints it."""
    own = {name: setup.loaded[name] for name in names}
    work = {name: prepared(paths, detector) for name, detector in own.items()}
    ways = [lambda way=way: [way(own[name].network, work[name], pool) for name in own] for way in (within, beside)]
    for way in ways:
        way()  # warm
    turns = [
        (min(seconds(way) for way in ways), seconds(lambda: command(paths, own, setup.threads)))
        for _ in range(setup.rounds)
    ]
    ratio = statistics.median(bare / ours for bare, ours in turns)
    bare, ours = map(_times, zip(*turns, strict=True))
    label = "all four" if len(names) > 1 else names[0]
    print(f"  {setup.side} px, {label}: bare {bare}, command {ours}, {ratio:.0%} of bare")
    return ratio


def against_bare(folder: Path, setup: Setup) -> float:
    """`of_bare` for each detector alone, then for all: the last one counts."""
    paths = uniform(folder, setup.images, setup.side)
    with ThreadPoolExecutor(setup.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name in setup.loaded:
            of_bare([name], paths, setup, pool)
        return of_bare(list(setup.loaded), paths, setup, pool)


def main() -> int:
    """Measure and print both ratios; 0 where both are as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=128, help="of the images of one size, in pixels")
    given = parser.parse_args()
    loaded = {name: detectors.load(name) for name in detectors.DETECTORS}
    plain = {name: published(name) for name in loaded}
    setup = Setup(loaded, plain, torch.get_num_threads(), given.rounds, given.images, given.side)
    about = f"{processor()}, {setup.threads} threads, torch {torch.__version__}"
    print(f"{about}; {given.images} images, {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        faster = against_loops(Path(folder), setup)
        share = against_bare(Path(folder), setup)
    print(f"reference: {faster:.2f} times as fast as the loops (wanted: {FASTER:g})")
    print(f"bare: {share:.0%} of the bare networks' throughput (wanted: {OF_BARE:.0%})")
    return 0 if faster >= FASTER and share >= OF_BARE else 1


def _times(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
