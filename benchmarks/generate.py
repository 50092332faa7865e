"""How fast a study's images are made: against a plain script, bare pipeline calls, one worker, and a second call.

    python benchmarks/generate.py [--images N]      default 8 images of each of the 24 cells of the mini study

Each figure is a ratio to a baseline of the same run, or a time with the start of Python and all imports:

- `script`: what one would write first. For each cell it loads the checkpoint, quantizes it, and calls the pipeline once
  for each image. The engine reads a generator once, encodes prompts once, computes images together and writes them
  meanwhile; it also checks and digests each image and keeps the record from which it can go on. The audit of the
  weights, which a script has not, is left out. The script has all of PyTorch's threads, so the engine has all cores,
  and batches of 8. Those of the study are of 5, and `batches` says what larger ones would save: they round otherwise,
  so a study that changes them has its images made anew.
- `overhead`: the engine's time over that of the bare calls of the same pipelines with the same batches.
- `workers`: images a second of two processes to those of one, from the first image to the last. The starts of
  processes do not count; the audits of cells and the last pieces, for which one process waits, do, in cells of nine
  times N images. On a CPU each computes in one thread, so two need two cores.
- `restart`: a finished run of 12,000 images is called again. Its files are stand-ins, of which such a call reads the
  names, sizes and times.
- `detect`: `quantdetect detect` on one picture, by the four detectors of the deck and the probe.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from PIL import Image

from helpers import generators, precision, world
from helpers.core.device import processor
from helpers.runs import Source, Store, audit, finished, make, originals, plan
from helpers.runs.sources import QuantizedPipeline
from helpers.study import schema

FINISHED = 12_000
#: The generators by what an image takes.
LARGEST_FIRST = ("sdxl", "sd21", "sd15", "sd35", "sd3", "flux1")
#: What the workers make: two of the miniatures, in shards of one batch.
STUDY = """
name = "workers"
scale = "mini"
images_per_cell = IMAGES
precisions = ["fp32", "fp16", "fp8", "fp4"]
detectors = ["npr"]
batch_size = 5
shard_size = 5
prompts = { kind = "world" }

[generators]
sd15 = { checkpoint = "sd15", size = 64, steps = 20, guidance = 3.0 }
sd3 = { checkpoint = "sd3", size = 128, steps = 16, guidance = 3.0 }
"""


@dataclass(frozen=True)
class Row:
    """A line of the outcome: what was measured, what is asked for, what was found, and whether that is so."""

    name: str
    asked: str
    found: str
    holds: bool | None = None


class NoAudit:
    """In place of the audit of a cell's weights."""

    def __init__(self, *_: object) -> None:
        pass

    def audit(self, *_: object) -> bool:
        """Nothing is measured, and no pipeline was loaded for it."""
        return False


def grid(images: int, **changes: object) -> plan.Plan:
    """The mini study's main arm as a run takes it, in one shard per cell."""
    few = {"arms": {}, "further": {}, "protocols": ["plain"], "shard_size": max(images, 8), **changes}
    return plan.resolve(schema.load("mini").model_copy(update=few), images)


def cells(found: plan.Plan) -> list[plan.Recipe]:
    """The cells' recipes."""
    return [one for one in found.recipes.values() if one.source.label]


def script(recipes: list[plan.Recipe], out: Path) -> None:
    """Make the cells' images as one would write it first."""
    for one in recipes:
        pipeline = generators.load(one.generator, one.checkpoint, entry=one.entry)
        precision.apply(pipeline, one.source.precision, one.way, one.coverage, one.components)
        folder, settings = out / one.folder, {"steps": one.steps, "guidance": one.guidance, "size": one.source.size}
        folder.mkdir(parents=True)
        for index in range(one.images):
            (image,) = generators.sample(pipeline, [one.prompts[index]], [one.seed + index], **settings)
            image.save(folder / f"{index:04d}.png")


def engine(found: plan.Plan, recipes: list[plan.Recipe], out: Path) -> None:
    """Make the cells' images as a run does, in this process."""
    shards = found.shards([one.source for one in recipes])
    make.produce(found, Store(out), shards, {}, make.Done(), progress=False)


def bare(recipe: plan.Recipe) -> None:
    """The calls of one cell's pipeline with the batches that the engine makes, and nothing kept of them."""
    source = QuantizedPipeline(recipe)
    source.load(encodings=False)
    for start in range(0, recipe.images, recipe.batch_size):
        source.make(range(start, min(start + recipe.batch_size, recipe.images)))


def seconds(work: Callable[[], object]) -> float:
    """By the clock."""
    gc.collect()
    began = perf_counter()
    work()
    return perf_counter() - began


def begin() -> None:
    """Begin a process that makes images: one thread, as a worker of a run has on a CPU, and all imports."""
    torch.set_num_threads(1)
    audit.QuantizationAudit = NoAudit
    generators.load("sd15")


def made_by_worker(key: str, images: int, batch: int, out: Path) -> None:
    """Make one generator's cells, in a process that `begin` began."""
    found = grid(images, batch_size=batch)
    engine(found, [one for one in cells(found) if one.generator == key], out)


def by_all_cores(images: int, batch: int, out: Path) -> float:
    """Seconds of the engine with a process for each core, which take generators, the largest first; without starts."""
    spawned, many = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    with ProcessPoolExecutor(many, spawned, begin) as pool:
        list(pool.map(time.sleep, [5] * many))  # until all have begun
        each = len(LARGEST_FIRST) * [images], len(LARGEST_FIRST) * [batch], len(LARGEST_FIRST) * [out]
        return seconds(lambda: list(pool.map(made_by_worker, LARGEST_FIRST, *each)))


def against_script(folder: Path, images: int) -> Iterator[Row]:
    """The plain script, and the engine with the study's batches, with batches of 8, and with these on all cores."""
    own, eight = grid(images), grid(images, batch_size=8)
    slow = seconds(lambda: script(cells(own), folder / "script"))
    took = {}
    for name, found in (("own", own), ("eight", eight)):
        originals.forget()
        took[name] = seconds(lambda found=found, name=name: engine(found, cells(found), folder / name))
    took["all"] = by_all_cores(images, 8, folder / "all")
    assert len(list((folder / "all").rglob("*.png"))) == len(cells(own)) * images
    each = ", ".join(f"{name} {value:.1f} s" for name, value in {"script": slow, **took}.items())
    print(f"  {len(cells(own)) * images} images: {each}")
    times, batch = slow / took["all"], cells(own)[0].batch_size
    yield Row("script: the engine, batches of 8, a process per core, is faster by", ">= 3", f"{times:.2f}", times >= 3)
    yield Row("script: the engine in one process, batches of 8", "", f"{slow / took['eight']:.2f}")
    yield Row(f"script: the engine in one process, the study's batches of {batch}", "", f"{slow / took['own']:.2f}")
    yield Row(f"batches: of 8 take of the time of {batch}", "", f"{took['eight'] / took['own']:.0%}")


def overhead(folder: Path, images: int, rounds: int) -> Iterator[Row]:
    """The engine over bare calls, reading and quantizing included, of a UNet and a DiT; the median of rounds."""
    found, ratios = grid(2 * images), []
    for one in (found.recipes[Source(key, "fp8", "native", size, 1)] for key, size in (("sd15", 64), ("sd3", 128))):
        for turn in range(-1, rounds):
            originals.forget()
            plain = seconds(lambda one=one: bare(one))
            originals.forget()
            ours = seconds(lambda one=one, turn=turn: engine(found, [one], folder / f"{one.generator}-{turn}"))
            if turn >= 0:  # the first is to warm up
                ratios.append(ours / plain - 1)
                print(f"  {one.folder}, {one.images} images: bare {plain:.2f} s, engine {ours:.2f} s")
    more = statistics.median(ratios)
    yield Row("overhead: over bare calls of the same batches", "<= 5 %", f"{more:.1%}", more <= 0.05)


def command(*words: str) -> None:
    """`quantdetect`, in a process of its own."""
    subprocess.run([sys.executable, "-m", "helpers.cli", *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip


def workers(folder: Path, images: int) -> Iterator[Row]:
    """Two processes against one, by the times of the files that they write."""
    study, rates = folder / "workers.toml", {}
    study.write_text(STUDY.replace("IMAGES", str(9 * images)), encoding="utf-8")
    for count in (1, 2):
        out = folder / f"workers-{count}"
        command("run", str(study), "--out", str(out), "--workers", str(count))
        written = sorted(path.stat().st_mtime for path in (out / "images").glob("sd*/*/*.png"))
        rates[count] = (len(written) - 1) / (written[-1] - written[0])
    times = rates[2] / rates[1]
    print(f"  {rates[1]:.2f} images a second by one worker, {rates[2]:.2f} by two")
    yield Row("workers: two make more images than one by", ">= 1.8", f"{times:.2f}", times >= 1.8)


def restart(folder: Path, rounds: int) -> Iterator[Row]:
    """The call of a run that has nothing left, with as many files as 12,000 images leave."""
    study, out = schema.load("mini"), folder / "finished"
    for number in range(FINISHED):
        cell = out / "images" / f"cell-{number // 500}"
        cell.mkdir(parents=True, exist_ok=True)
        (cell / f"{number % 500:04d}.png").write_bytes(b"stands for an image")
    finished.remember(out, study, finished.asked(study))
    took = statistics.median(seconds(lambda: command("run", "mini", "--out", str(out))) for _ in range(rounds))
    yield Row(f"restart: of a finished run of {FINISHED:,} images", "< 3 s", f"{took:.1f} s", took < 3)


def detect(folder: Path, rounds: int) -> Iterator[Row]:
    """The command on one picture."""
    picture = folder / "picture.png"
    Image.fromarray(world.render(0, 128)).save(picture)
    took = statistics.median(seconds(lambda: command("detect", str(picture))) for _ in range(rounds))
    yield Row("detect: on one picture", "< 3 s", f"{took:.1f} s", took < 3)


def main() -> int:
    """Measure and print all; 0 where everything is as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8, help="of each cell, for the plain script and the engine")
    parser.add_argument("--rounds", type=int, default=3, help="of what is measured more than once")
    given = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    audited, audit.QuantizationAudit = audit.QuantizationAudit, NoAudit
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        parts = [
            against_script(folder, given.images), overhead(folder, given.images, given.rounds),
            workers(folder, given.images), restart(folder, given.rounds), detect(folder, given.rounds),
        ]  # fmt: skip
        rows = [row for part in parts for row in part]
    audit.QuantizationAudit = audited
    wide = max(len(row.name) for row in rows)
    print(f"\n{'':{wide}}  {'asked':>8}  {'found':>8}")
    for row in rows:
        print(f"{row.name:{wide}}  {row.asked:>8}  {row.found:>8}  {'' if row.holds in (None, True) else 'MISSED'}")
    return 0 if all(row.holds in (None, True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
