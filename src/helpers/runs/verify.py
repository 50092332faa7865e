"""Make a sample of an archived run again with the shipped models, score it, and compare both with the archive."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from helpers import detectors as detection
from helpers.core.device import processor
from helpers.core.errors import Damaged, Failure, UsageError
from helpers.core.files import file_sha256, now, read_json, write_json
from helpers.core.scores import is_fake
from helpers.runs import plan as planning
from helpers.runs.plan import Recipe, Source
from helpers.runs.shard import of
from helpers.runs.sources import open_source
from helpers.runs.store import Store, pixel_sha256, versions
from helpers.study.schema import Study

__all__ = ["TOLERANCE", "verify_archive"]

#: Largest difference of a logit from the archived one, as absolute + relative x |archived logit|. `same`: where the
#: pixels are equal, so that only the detector's rounding differs. `near`: where they are not, for CPUs round
#: differently and a few pixels then differ by one level.
TOLERANCE = {"same": {"absolute": 1e-3, "relative": 1e-3}, "near": {"absolute": 0.25, "relative": 0.05}}


def verify_archive(
    study: Study,
    images: int,
    results: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    state: str = "",
    progress: bool = True,
) -> dict[str, Any]:
    """Compare the first `images` archived images of the main arm's cells, and of the reals per size, with new ones.

    `results` is the folder with the archive's scores.parquet; `out` a JSON file to write. Returns the report:
    study_digest and scores_sha256, which say what archive it is of (as in manifest.json, under `files`); checked (the
    day, YYYY-MM-DD) and `state` (`verified.state`), by which it is known when it no longer stands; machine, images,
    cells (generator, precision, arm, images, images_equal, max_logit_diff per detector, verdicts_equal per detector,
    agree), real (the same per size), tolerance, agree. The logits are those of the study's own training under
    `plain`. The archive holds digests of its pixels, so images are equal to the last bit or not. A cell agrees where
    every logit lies within `TOLERANCE`; verdicts may then differ only next to logit 0. Raises UsageError where the
    archive is missing or of another study, Failure where it lacks cells.
    """
    archived = _archive(study, Path(results))
    plan = planning.resolve(study, int(archived["index"].max()) + 1)
    loaded = {name: detection.load(name, study.weights) for name in study.detectors}
    sources = [source for source in plan.recipes if source.arm in (plan.arm, "none")]
    rows = []
    for source in tqdm(sources, desc="verify", unit=" cells", disable=not progress, dynamic_ncols=True):
        rows.append(_compare(plan.recipes[source], _rows_of(archived, source, images), loaded))
    report = {
        "study_digest": plan.study_digest,
        "scores_sha256": file_sha256(Path(results) / "scores.parquet"),
        "checked": now()[:10],
        "state": state,
        "machine": _machine(),
        "images": images,
        "cells": [row for row, source in zip(rows, sources, strict=True) if source.label],
        "real": [row for row, source in zip(rows, sources, strict=True) if not source.label],
        "tolerance": TOLERANCE,
        "agree": all(row["agree"] for row in rows),
    }
    if out is not None:
        write_json(report, out)
    return report


def _machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def _archive(study: Study, results: Path) -> pd.DataFrame:
    try:
        scores = Store(results).scores()
        manifest = read_json(results / "manifest.json")
    except Damaged as error:
        raise UsageError(f"no readable archived run: {error}; name its folder") from None
    if manifest.get("study_digest") != study.digest():
        raise UsageError(
            f"{results}: made with another study than '{study.name}'; name its study file, or run it again"
        )
    plain = [scoring for scoring in planning.scorings(study) if scoring.protocol == "plain"][: len(study.detectors)]
    return pd.concat([scores[of(scores, scoring)] for scoring in plain])


def _rows_of(archived: pd.DataFrame, source: Source, images: int) -> pd.DataFrame:
    """The source's first `images` images as a table index x (image_sha256, one column of logits per detector)."""
    chosen = archived[
        (archived["generator"] == source.generator)
        & (archived["precision"] == source.precision)
        & (archived["arm"] == source.arm)
        & (archived["size"] == source.size)
    ]
    if chosen.empty:
        raise Failure(f"the archive has no images of {source.folder}; run the study to its end")
    table = chosen.pivot(index="index", columns="detector", values="logit")
    if table.isna().any(axis=None):
        raise Failure(f"the archive lacks scores of images of {source.folder}; run the study to its end")
    table["image_sha256"] = chosen.drop_duplicates("index").set_index("index")["image_sha256"]
    return table.sort_index().head(images)


def _compare(recipe: Recipe, table: pd.DataFrame, loaded: dict[str, Any]) -> dict[str, Any]:
    source = recipe.source
    made = _made(recipe, [int(index) for index in table.index])
    equal = np.array([pixel_sha256(image) for image in made]) == table["image_sha256"].to_numpy()
    scores = {name: detector.score(made) for name, detector in loaded.items()}
    differences = {name: np.abs(scores[name] - table[name].to_numpy()) for name in scores}
    verdicts = {name: is_fake(scores[name]) == is_fake(table[name]) for name in scores}
    return {
        "generator": source.generator,
        "precision": source.precision,
        "arm": source.arm,
        "size": source.size,
        "images": len(made),
        "images_equal": int(equal.sum()),
        "max_logit_diff": {name: float(values.max()) for name, values in differences.items()},
        "verdicts_equal": {name: int(same.sum()) for name, same in verdicts.items()},
        "agree": all(_within(differences[name], table[name].to_numpy(), equal) for name in scores),
    }


def _made(recipe: Recipe, indices: list[int]) -> list[Image.Image]:
    source, made = open_source(recipe), []
    source.load()
    for start in range(0, len(indices), recipe.batch_size):
        made += source.make(indices[start : start + recipe.batch_size])
    return made


def _within(differences: np.ndarray, archived: np.ndarray, equal: Sequence[bool]) -> bool:
    """Whether every difference is within tolerance; an undefined one is not."""
    bounds = [TOLERANCE[kind]["absolute"] + TOLERANCE[kind]["relative"] * np.abs(archived) for kind in ("near", "same")]
    return bool(np.all(differences <= np.where(equal, bounds[1], bounds[0])))
