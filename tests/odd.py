"""Small studies of which each lacks what a page might take for granted, written as their owners would have them.

Their truth is known by construction: how many generators, precisions, detectors, images and reals there are, and where
each detector's fakes lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic

from helpers.results import importing

ALL = ("npr", "r50_nodown", "r50_tf", "clip_d")


def scores(
    generators: Sequence[str], precisions: Sequence[str], detectors: Sequence[str], images: int, reals: int
) -> pd.DataFrame:
    """A long table: fakes about logit +2, one lower per precision, and `reals` reals about -2."""
    rng = np.random.default_rng(7)
    rows = []
    for detector in detectors:
        for generator in generators:
            scene = rng.normal(0, 1, images)
            for place, precision in enumerate(precisions):
                logit = 2.0 - place + scene + rng.normal(0, 0.2, images) * (place > 0)
                rows.append(_rows(generator, precision, 1, detector, logit))
        rows.append(_rows("real", "none", 0, detector, rng.normal(-2, 1, reals)))
    return pd.concat(rows, ignore_index=True)


def _rows(generator: str, precision: str, label: int, detector: str, logit: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "generator": generator, "precision": precision, "index": np.arange(len(logit)), "label": label,
            "detector": detector, "logit": logit,
        }
    )  # fmt: skip


def _imported(folder: Path, table: pd.DataFrame, mapping: importing.Map | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "scores.csv", index=False)
    importing.import_scores(folder / "scores.csv", folder / "study", mapping)
    return folder / "study"


def without_reals(folder: Path) -> Path:
    """A long table of three generators, fakes alone."""
    return _imported(folder, scores(("sd15", "sdxl", "sd3"), ("fp32", "fp8", "fp4"), ALL, 12, 0))


def one_generator(folder: Path) -> Path:
    """A long table of one generator that no claim names, with reals."""
    return _imported(folder, scores(("sd35",), ("fp32", "fp16", "fp4"), ALL, 30, 30))


def two_images(folder: Path) -> Path:
    """Two images a cell and two reals."""
    return _imported(folder, scores(("sd15", "sd3", "flux1"), ("fp32", "fp8", "fp4"), ALL, 2, 2))


def one_detector(folder: Path) -> Path:
    """One detector, nothing at FP32: the baseline is FP16."""
    table = scores(("sd15", "sd3"), ("fp16", "nf4"), ("npr",), 20, 20)
    return _imported(folder, table, importing.Map(baseline="fp16"))


def foreign_training(folder: Path) -> Path:
    """Detectors in trainings that are not this project's, of which one is of fewer detectors."""
    table = scores(("sdxl", "sd3", "flux1"), ("fp32", "fp4"), ("npr", "clip_d"), 25, 25).assign(weights="v1.2")
    again = table[table.detector == "npr"].assign(weights="wild", logit=table.logit - 0.5)
    return _imported(folder, pd.concat([table, again]))


def with_nan(folder: Path) -> Path:
    """A run's own folder in which some scores are not numbers, and no cells.parquet lies beside them."""
    study = synthetic.write(folder / "study", images=20, generators=("sd15", "sd3"), scale="full")
    table = pd.read_parquet(study / "scores.parquet")
    lost = (table.generator == "sd3") & (table.precision == "fp4") & (table.detector == "npr") & (table["index"] < 3)
    table.loc[lost, "logit"] = np.nan
    table.to_parquet(study / "scores.parquet")
    (study / "cells.parquet").unlink()
    said = json.loads((study / "manifest.json").read_text())
    said["files"] = {}
    (study / "manifest.json").write_text(json.dumps(said))
    return study


def wide(folder: Path) -> Path:
    """A wide table with one detector, one generator, no reals, and precisions that are told by file names."""
    images = 15
    rng = np.random.default_rng(11)
    logits = rng.normal(1, 1, images)
    frame = pd.DataFrame(
        {
            "path": [f"sd3/{p}/{i:04}.png" for p in ("fp32", "fp4") for i in range(images)],
            "npr_logit": [*logits, *(logits - 0.4 + rng.normal(0, 0.3, images))],
        }
    )
    regex = r"(?P<generator>\w+)/(?P<precision>\w+)/(?P<index>\d+)\.png$"
    return _imported(folder, frame, importing.Map(pattern=importing.Pattern(column="path", regex=regex)))


def unsaid(folder: Path) -> Path:
    """NPR's scores as probabilities and CLIP-D's as logits, and no word on which is which."""
    table = scores(("sd15", "sdxl", "sd3"), ("fp32", "fp8", "fp4"), ("npr", "clip_d"), 24, 24)
    npr = table.detector == "npr"
    return _imported(folder, table.assign(logit=table.logit.mask(npr, 1 / (1 + np.exp(-table.logit)))))


STUDIES: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (without_reals, one_generator, two_images, one_detector, foreign_training, with_nan, wide, unsaid)
}
