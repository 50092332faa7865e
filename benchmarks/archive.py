"""A made-up archive of the size of the mini study: random scores, spectra and distances, to time the analysis on.

    python benchmarks/archive.py FOLDER [--images 500]

Six generators at four precisions, arms, ladders of formats, five detectors, three protocols and nine further trainings:
2.7 million scores, and beside FOLDER a confirmation of the main arm alone. Only its shape is that of a study: nothing
in it was generated, and what it shows means nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

SIZES = {"sd15": 64, "sd21": 96, "sdxl": 128, "sd3": 128, "sd35": 128, "flux1": 128}
UNETS = ("sd15", "sd21", "sdxl")
PRECISIONS = ("fp32", "fp16", "fp8", "fp4")
#: Mean and standard deviation of the logits of fakes; reals lie half as far below 0.
DETECTORS = {"npr": (8.0, 2.5), "r50_nodown": (4.0, 2.5), "r50_tf": (1.2, 1.6), "clip_d": (0.1, 0.4),
             "patch_probe": (2.5, 2.0)}  # fmt: skip
#: Trainings beside `mini` by protocol.
TRAININGS = {
    "plain": ("mini-s1", "mini-s2", "mini-s3", "mini-s4", "mini-sdxl", "mini-sdxl-s1", "mini-sdxl-s2"),
    "shared": (), "aligned": ("mini-aligned-s1", "mini-aligned-s2"),
}  # fmt: skip
#: How far each format moves an image: the weights' relative error.
ERRORS = {
    "fp16": 2e-4, "int8": 0.006, "q8_0": 0.006, "fp8": 0.025, "fp8_e5m2": 0.05, "int4_affine": 0.085, "q4_k": 0.08,
    "q4_0": 0.09, "nf4": 0.09, "nvfp4": 0.1, "int4": 0.11, "mxfp4": 0.12, "fp4": 0.13, "w4a4": 0.15, "int3": 0.26,
    "int2": 0.7,
}  # fmt: skip
FURTHER = ("nf4", "fp4", "int4", "int3", "int2")
LADDER = ("int8", "fp8", "fp8_e5m2", "q8_0", "nf4", "fp4", "nvfp4", "mxfp4", "int4", "int4_affine", "q4_0", "q4_k",
          "int3", "int2")  # fmt: skip


class Arm(NamedTuple):
    """An arm beside the main one; its images are a share of a cell's."""

    role: str
    precisions: tuple[str, ...]
    share: float = 0.2
    generators: tuple[str, ...] = tuple(SIZES)
    coverage: str | None = None
    further: tuple[str, ...] = ()


ARMS = {
    "batch": Arm("null", ("fp32",)), "seed": Arm("seed", ("fp32",)), "vae": Arm("decoder", ("fp8", "fp4")),
    "text": Arm("text", ("fp8", "fp4")), "all": Arm("coverage", ("fp8", "fp4"), generators=UNETS, coverage="all"),
    "w4a4": Arm("", ("int4", "w4a4")), "ladder": Arm("ladder", LADDER, 1.0, further=FURTHER),
    "ladder_all": Arm("ladder", ("fp8_e5m2", *FURTHER), 1.0, UNETS, "all", FURTHER),
}  # fmt: skip
PERTURBATIONS = ("jpeg:95", "jpeg:85", "jpeg:75", "jpeg:50", "resize:0.5", "blur:1", "blur:2")
TREATMENTS = (("sham", "fp32"), ("matched", "fp32"), ("attenuated", "fp32"), ("halved", "fp32"), ("sham", "fp4"),
              ("restored", "fp4"))  # fmt: skip
FOLDS = 20  # of the images of a cell, for its fingerprint


class Cell(NamedTuple):
    """Images of one generator, precision and arm; the reals are those of the generator "real"."""

    generator: str
    precision: str
    arm: str
    size: int
    images: int
    further: bool = True

    @property
    def key(self) -> dict[str, object]:
        label = int(self.generator != "real")
        return {"generator": self.generator, "precision": self.precision, "arm": self.arm, "size": self.size,
                "label": label}  # fmt: skip

    @property
    def error(self) -> float:
        """How far its images are moved, as a share of what tells them apart."""
        return {"seed": 1.0, "batch": 1e-4}.get(self.arm, ERRORS.get(self.precision, 0.0))


def cells_of(images: int, arms: dict[str, Arm]) -> list[Cell]:
    """Every cell of fakes, the main arm's first."""
    found = [Cell(g, p, "native", size, images) for g, size in SIZES.items() for p in PRECISIONS]
    for name, arm in arms.items():
        found += [Cell(g, p, name, SIZES[g], round(arm.share * images), p in arm.further)
                  for g in arm.generators for p in arm.precisions]  # fmt: skip
    return found


def reals_of(images: int, protocol: str) -> list[Cell]:
    """The reals of each size, under `aligned` those of each generator's VAE."""
    if protocol == "aligned":
        return [Cell("real", "none", generator, size, images) for generator, size in SIZES.items()]
    return [Cell("real", "none", "none", size, images) for size in sorted(set(SIZES.values()))]


def scored(cells: list[Cell], protocol: str, detector: str, weights: str, rng: np.random.Generator) -> pd.DataFrame:
    """One detector of one training on all these cells, whose prompts have a part of their own."""
    mean, deviation = DETECTORS[detector]
    most = max(cell.images for cell in cells)
    level = {key: mean * rng.uniform(0.8, 1.2) for key in SIZES}
    scene = {key: rng.normal(0, deviation, most) for key in (*SIZES, "real")}
    logits = []
    for cell in cells:
        own = level.get(cell.generator, -0.5 * mean) + scene[cell.generator][: cell.images]
        moved = deviation * sqrt(cell.error) * rng.normal(-0.3 * sqrt(cell.error), 1, cell.images)
        logits.append(own + moved)
    table = _rows(cells).assign(protocol=protocol, detector=detector, weights=weights)
    return table.assign(logit=np.concatenate(logits).astype(np.float32))


def _rows(cells: list[Cell]) -> pd.DataFrame:
    """A row for each image of these cells, without a digest."""
    counts = [cell.images for cell in cells]
    keys = pd.DataFrame([cell.key for cell in cells])
    table = keys.loc[np.repeat(np.arange(len(cells)), counts)].reset_index(drop=True)
    return table.assign(index=np.concatenate([np.arange(count) for count in counts]))


def _named(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The table with a digest for each image, which no other study has."""
    keys = ["generator", "precision", "arm", "size", "index"]
    places, images = pd.factorize(pd.MultiIndex.from_frame(table[keys]))
    digests = np.array([hashlib.sha256(f"{folder.name} {image}".encode()).hexdigest() for image in images], object)
    return table.assign(image_sha256=digests[places])


def scores(images: int, cells: list[Cell], rng: np.random.Generator) -> pd.DataFrame:
    """Every cell by every detector under every protocol, and what further trainings score."""
    frames = []
    for protocol, others in TRAININGS.items():
        reals = reals_of(images, protocol)
        own = "mini-aligned" if protocol == "aligned" else "mini"
        further = [cell for cell in cells if cell.further]
        for detector in DETECTORS:
            frames.append(scored([*cells, *reals], protocol, detector, own, rng))
            frames += [scored([*further, *reals], protocol, detector, label, rng) for label in others]
    return pd.concat(frames, ignore_index=True)


def distances(cells: list[Cell], rng: np.random.Generator) -> pd.DataFrame:
    """How far every image lies from the baseline's, and what is read off it."""
    table = _rows(cells)
    error = np.repeat([cell.error for cell in cells], [cell.images for cell in cells])
    with np.errstate(divide="ignore"):
        psnr = -9 * np.log10(error) + 8 + rng.normal(0, 2, len(table))
    psnr = np.where(error > 0, np.maximum(psnr, 1), np.inf)
    table = table.drop(columns="label").assign(
        psnr=psnr, gmsd=np.where(error > 0, 10 ** (-psnr / 20), 0), identical=(error == 0).astype(np.int8)
    )
    for part, words in {"ground": ("sand", "grass"), "colours": ("red", "blue"), "shapes": ("ball", "cube")}.items():
        wrong = rng.random(len(table)) < 0.02 + 0.3 * error
        table[part] = np.where(wrong, words[1], words[0])
        table[f"{part}_right"] = pd.array(~wrong, dtype="Int8")
    return table


def spectra(cells: list[Cell], rng: np.random.Generator) -> pd.DataFrame:
    """What is measured of every image of these cells."""
    frames = []
    for cell in cells:
        n, grown = cell.images, 1 + 0.2 * cell.error
        fall = np.linspace(55, 5, cell.size // 2 + 1) * grown + rng.normal(0, 2, (n, cell.size // 2 + 1))
        frames.append(_rows([cell]).assign(
            high=rng.gamma(20, 0.4 * grown, n), share=rng.uniform(0.004, 0.01, n), residual=rng.gamma(20, 0.3, n),
            npr=rng.gamma(20, 0.5, n), period_2=rng.gamma(9, 0.3, n), period_4=rng.gamma(9, 0.5, n),
            period_8=rng.gamma(9, 0.2, n), radial=[row.astype(np.float32) for row in fall],
        ))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def patterns(cells: list[Cell], rng: np.random.Generator) -> pd.DataFrame:
    """The fingerprint of each cell: products of its folds' residuals with each other and with the baseline's."""
    base = {key: rng.normal(0, 1, 64) + rng.normal(0, 1.5, (FOLDS, 64)) for key in SIZES}
    rows = []
    for cell in cells:
        own = base.get(cell.generator, rng.normal(0, 1, (FOLDS, 64)))
        folds = own + 2 * sqrt(cell.error) * rng.normal(0, 1, own.shape)
        cross = (folds @ own.T).ravel() if cell.generator in base else np.empty(0)
        rows.append(cell.key | {"images": cell.images, "autocorrelation": rng.uniform(-0.1, 0.1, 561),
                                "own": (folds @ folds.T).ravel(), "cross": cross})  # fmt: skip
    return pd.DataFrame(rows)


def filtered(images: int, rng: np.random.Generator) -> pd.DataFrame:
    """Filtered images of each generator, and reals that only passed its VAE, by each detector of its own training."""
    frames = []
    for name, precision in TREATMENTS:
        cells = [Cell(g, precision, "native", size, images) for g, size in SIZES.items()]
        frames += [frame.assign(treatment=name) for frame in _by_all(cells, rng)]
    frames += [frame.assign(treatment="decoded") for frame in _by_all(reals_of(images, "aligned"), rng, ("plain",))]
    return pd.concat(frames, ignore_index=True)


def _by_all(
    cells: list[Cell], rng: np.random.Generator, protocols: tuple[str, ...] = tuple(TRAININGS)
) -> list[pd.DataFrame]:
    return [
        scored(cells, protocol, detector, "mini-aligned" if protocol == "aligned" else "mini", rng)
        for protocol in protocols for detector in DETECTORS
    ]  # fmt: skip


def perturbed(images: int, rng: np.random.Generator) -> pd.DataFrame:
    """Perturbed images at the baseline and at FP4, and the reals beside them."""
    cells = [Cell(g, p, "native", size, images) for g, size in SIZES.items() for p in ("fp32", "fp4")]
    cells += reals_of(images, "plain")
    frames = [frame.assign(perturbation=name) for name in PERTURBATIONS for frame in _by_all(cells, rng, ("plain",))]
    return pd.concat(frames, ignore_index=True)


def records(cells: list[Cell]) -> pd.DataFrame:
    """What a run says of each cell."""
    rows = []
    for cell in cells:
        full = cell.generator not in UNETS or ARMS.get(cell.arm, Arm("", ())).coverage == "all"
        part = {
            "parameters": 10**6, "quantized": 10**6, "share": 0.97 if full else 0.6, "bytes_before": 4 * 10**6,
            "bytes_after": 10**6, "format": cell.precision, "weight_errors": {"attention": 0.1, "all": cell.error},
            "output_error": 0.2, "native_deviation": None, "native_layer": None,
        }  # fmt: skip
        rows.append({
            "generator": cell.generator, "precision": cell.precision, "arm": cell.arm, "coverage": 0.97,
            "component_coverage": json.dumps({"denoiser": part}), "seconds_load": 0.3, "seconds_quantize": 0.1,
            "seconds_per_image": 0.3, "peak_memory_mb": 900.0, "steps": 20, "guidance": 3.0, "size": cell.size,
            "device": "cpu", "versions": "{}", "images": cell.images, "rejected": 0, "rejected_why": "",
        })  # fmt: skip
    return pd.DataFrame(rows)


def manifest(folder: Path, images: int, arms: dict[str, Arm], confirms: str = "") -> dict[str, object]:
    """The manifest of what lies in a folder."""
    said = {
        name: {"title": name, "role": arm.role, "precisions": arm.precisions, "images": round(arm.share * images),
               "coverage": arm.coverage} for name, arm in arms.items()
    }  # fmt: skip
    study = {
        "name": folder.name, "scale": "mini", "images_per_cell": images, "seed": 1000, "weights": "mini",
        "arm": "native", "coverage": "linear", "components": ["denoiser", "t5"], "arms": said,
        "prompts": {"kind": "world", "path": None}, "precisions": PRECISIONS, "detectors": list(DETECTORS),
        "generators": {key: {"checkpoint": key, "size": size, "steps": 20, "guidance": 3.0}
                       for key, size in SIZES.items()},
    } | ({"confirms": confirms} if confirms else {})  # fmt: skip
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.parquet")}
    return {
        "study": study, "study_digest": "0" * 64, "created": "2026-01-01T00:00:00+00:00", "git_revision": None,
        "versions": {}, "files": files, "images_per_cell": images, "models": {},
    }  # fmt: skip


def write(folder: Path, images: int = 500, seed: int = 0) -> Path:
    """Write the archive into a folder, and its confirmation beside it."""
    rng, sample = np.random.default_rng(seed), round(0.2 * images)
    cells = cells_of(images, ARMS)
    few = [cell._replace(images=sample) for cell in cells]
    small = [*few, *(cell._replace(images=sample) for way in ("plain", "aligned") for cell in reals_of(images, way))]
    tables = {
        "scores": scores(images, cells, rng), "distances": distances(cells, rng), "spectra": spectra(small, rng),
        "counterfactuals": filtered(sample, rng), "perturbed": perturbed(sample, rng),
    }  # fmt: skip
    _store(folder, {name: _named(table, folder) for name, table in tables.items()}
           | {"patterns": patterns(small, rng), "cells": records(cells)}, images, ARMS)  # fmt: skip
    again, main = folder.with_name(f"{folder.name}-confirmation"), cells_of(images, {})
    _store(again, {"scores": _named(scores(images, main, rng), again), "cells": records(main)}, images, {}, folder.name)
    return folder


def _store(
    folder: Path, tables: dict[str, pd.DataFrame], images: int, arms: dict[str, Arm], confirms: str = ""
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    said = manifest(folder, images, arms, confirms)
    (folder / "manifest.json").write_text(json.dumps(said), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=500, help="of each cell")
    asked = parser.parse_args()
    write(asked.folder, asked.images)


if __name__ == "__main__":
    main()
