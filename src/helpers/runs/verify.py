"""Make a sample of an archived run again with the shipped models, score it, and compare both with the archive.

The miniatures are made in as many processes as there are processors, each in one thread: what comes out is then the
same for any number of them. This module itself does without torch, so that they begin at once.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.core.columns import check_version
from helpers.core.device import processor
from helpers.core.errors import Damaged, Failure, UsageError
from helpers.core.files import file_sha256, now, read_json, write_json
from helpers.core.scores import is_fake
from helpers.core.workers import processors
from helpers.runs import plan as planning
from helpers.runs.plan import Source
from helpers.runs.shard import of
from helpers.runs.store import Store, versions
from helpers.study.schema import Study

if TYPE_CHECKING:
    from helpers.runs.remade import Maker

__all__ = ["TOLERANCE", "verify_archive"]

#: Largest difference of a logit from the archived one, as absolute + relative x |archived logit|. `same`: where the
#: pixels are equal, so that only the detector's rounding differs. `near`: where they are not, for CPUs round
#: differently and a few pixels then differ by one level.
TOLERANCE = {"same": {"absolute": 1e-3, "relative": 1e-3}, "near": {"absolute": 0.25, "relative": 0.05}}

#: Of a source: the SHA-256 (hex) of its images' pixels (N), and their logits (N,) by detector.
_Made = tuple[list[str], dict[str, np.ndarray]]


def verify_archive(
    study: Study,
    images: int,
    results: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    arms: Sequence[str] | None = None,
    state: str = "",
    device: str = "cpu",
    workers: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Compare the first `images` archived images of the cells of `arms`, and of the reals per size, with new ones.

    By default the cells are the main arm's.

    `results` is the folder with the archive's scores.parquet; `out` a JSON file to write. Returns the report:
    study_digest and scores_sha256, which say what archive it is of (as in manifest.json, under `files`); checked (the
    day, YYYY-MM-DD) and `state` (`verified.state`), by which it is known when it no longer stands; machine, images,
    cells (generator, precision, arm, images, images_equal, max_logit_diff per detector, verdicts_equal per detector,
    agree), real (the same per size), tolerance, agree. The logits are those of the study's own training under `plain`,
    made on `device`. The archive holds digests of its pixels, so images are equal to the last bit or not. A cell agrees
    where every logit lies within `TOLERANCE`; verdicts may then differ only next to logit 0. `workers` processes make
    the images, by default one for each processor; a study of full size, and a GPU, has one, for models are as large as
    a machine. They import the script that calls this, as `multiprocessing` says: it does so below
    `if __name__ == "__main__"`.
    Raises UsageError where the archive is missing or of another study, and for an arm that the study does not have;
    Failure where the archive lacks cells.
    """
    chosen = planning.sources(study, arms=arms or [study.arm])
    archived = _archive(study, Path(results))
    most = int(archived["index"].max()) + 1
    sources = [source for source in chosen if source.label or source.arm == "none"]
    tables = [_rows_of(archived, source, images) for source in sources]
    made, machine = _made_again(study, most, sources, tables, workers or processors(), device, progress)
    rows = [_compare(*each) for each in zip(sources, tables, made, strict=True)]
    report = {
        "study_digest": study.digest(),
        "scores_sha256": file_sha256(Path(results) / "scores.parquet"),
        "checked": now()[:10],
        "state": state,
        "machine": machine,
        "images": images,
        "cells": [row for row, source in zip(rows, sources, strict=True) if source.label],
        "real": [row for row, source in zip(rows, sources, strict=True) if not source.label],
        "tolerance": TOLERANCE,
        "agree": all(row["agree"] for row in rows),
    }
    if out is not None:
        write_json(report, out)
    return report


def _made_again(
    study: Study,
    most: int,
    sources: Sequence[Source],
    tables: Sequence[pd.DataFrame],
    workers: int,
    device: str,
    progress: bool,
) -> tuple[list[_Made], dict[str, Any]]:
    """What came of each source, in their order, and the machine that it was made on."""
    many = study.scale == "mini" and device == "cpu"
    indices = [[int(index) for index in table.index] for table in tables]
    with _pool(min(workers, len(sources)) if many else 1, study, most, many, device) as pool:
        arithmetic = pool.submit(_arithmetic)
        coming = pool.map(_made, sources, indices)
        made = list(tqdm(coming, "verify", len(sources), unit=" cells", disable=not progress, dynamic_ncols=True))
        said = arithmetic.result()
    return made, {"processor": processor(), **said, "system": platform.platform(), "versions": versions()}


@contextmanager
def _pool(count: int, *given: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes that make images; Failure where one of them ends before its work."""
    spawned = multiprocessing.get_context("spawn")  # a process that has computed cannot be forked safely
    pool = ProcessPoolExecutor(count, spawned, _begin, given)
    try:
        yield pool
    except BrokenProcessPool:
        raise Failure("verify: a process that makes images ended; see that there is memory left") from None
    finally:
        pool.shutdown(cancel_futures=True)


#: What a worker was given: the study, its images, whether it computes in one thread, and its device.
_GIVEN: list[Any] = []


def _begin(*given: Any) -> None:
    """Begin a worker: an interruption is its caller's to handle, and without the caller it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    _GIVEN[:] = given


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    if caller is not None:
        caller.join()
        os._exit(1)


@cache
def _maker() -> Maker:
    """The worker's, made by its first task, so that what goes wrong is that task's error."""
    from helpers.runs.remade import Maker

    return Maker(*_GIVEN)


def _made(source: Source, indices: Sequence[int]) -> _Made:
    return _maker().make(source, indices)


def _arithmetic() -> dict[str, Any]:
    from helpers.runs.remade import arithmetic

    _maker()
    return arithmetic()


def _archive(study: Study, results: Path) -> pd.DataFrame:
    try:
        scores = Store(results).scores()
        manifest = read_json(results / "manifest.json")
        check_version(manifest, str(results / "manifest.json"))
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


def _compare(source: Source, table: pd.DataFrame, made: _Made) -> dict[str, Any]:
    digests, scores = made
    equal = np.array(digests) == table["image_sha256"].to_numpy()
    differences = {name: np.abs(scores[name] - table[name].to_numpy()) for name in scores}
    verdicts = {name: is_fake(scores[name]) == is_fake(table[name]) for name in scores}
    return {
        "generator": source.generator,
        "precision": source.precision,
        "arm": source.arm,
        "size": source.size,
        "images": len(digests),
        "images_equal": int(equal.sum()),
        "max_logit_diff": {name: float(values.max()) for name, values in differences.items()},
        "verdicts_equal": {name: int(same.sum()) for name, same in verdicts.items()},
        "agree": all(_within(differences[name], table[name].to_numpy(), equal) for name in scores),
    }


def _within(differences: np.ndarray, archived: np.ndarray, equal: Sequence[bool]) -> bool:
    """Whether every difference is within tolerance; an undefined one is not."""
    bounds = [TOLERANCE[kind]["absolute"] + TOLERANCE[kind]["relative"] * np.abs(archived) for kind in ("near", "same")]
    return bool(np.all(differences <= np.where(equal, bounds[1], bounds[0])))
