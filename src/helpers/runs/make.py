"""Make what is missing of a study's images, score what is not scored, and merge the scores and the record of the
cells.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import detectors as detection
from helpers.core.files import file_sha256, sweep, tree_sha256, write_json, write_parquet
from helpers.images.protocols import shared
from helpers.runs import lock, plan
from helpers.runs.audit import Prover
from helpers.runs.digests import image_digest, scoring_digest
from helpers.runs.plan import Scoring, Shard, Source
from helpers.runs.shard import COLUMNS, State, of
from helpers.runs.sources import CellMaker, RealMaker, maker
from helpers.runs.stages import cache, filtered, perturbed, spectra
from helpers.runs.stages.contact import write_sheets
from helpers.runs.store import MANIFEST, RESULTS, Store, git_revision, pixel_sha256, versions
from helpers.study.schema import Study

__all__ = ["Done", "run"]


_STALE = "made with other settings, by another model or on another device"


@dataclass
class Done:
    """What a call of `run` did: images made and rejected, scores added, whether the results were written anew.

    `notes` says, a line each, what was made again and why, and what does not belong in the folder.
    """

    made: int = 0
    rejected: int = 0
    scored: int = 0
    merged: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether all was there already."""
        return not (self.made or self.rejected or self.scored or self.merged)


def run(
    study: Study,
    out: str | os.PathLike[str],
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    images: int | None = None,
    shard: tuple[int, int] | None = None,
    *,
    arms: Sequence[str] | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Done:
    """Bring the run in folder `out` up to `images` images per cell (default: the study's number).

    `generators`, `precisions`, `arms` and `shard` (i, n: the i-th of n equal shares) restrict what this call makes and
    scores; pipelines and detectors run on `device` ("cpu", "cuda", "cuda:N"). The results are merged from all valid
    parts in the folder. What exists and is valid is kept, image by image, so an interrupted run goes on where it
    stopped; what is damaged, or of another shard than its name says, is named in `notes` and made again. A cell is
    proved (see `runs.proof`) before its first image. Raises UsageError for a cell that cannot be made as asked or a
    folder that cannot be written, Failure for a cell that fails its proof, a logit that is not finite, and a folder in
    which another run works (see `runs.lock`).
    """
    store, done = Store(out), Done()
    shards = plan.shards(
        study, plan.sources(study, generators, precisions, arms), images or study.images_per_cell, shard
    )
    weights = {scoring: scoring_digest(study, scoring) for scoring in plan.scorings(study)}
    with lock.working(store.folder, shard):
        sweep(store.folder)
        states = _make(study, store, shards, done, progress, device)
        _score(study, store, states, weights, done, progress, device)
        # All of it by one share at a time: each writes what it finds, and the last one finds everything.
        with lock.merging(store.folder):
            _merge(study, store, weights, done, device)
            done.merged |= spectra.write(study, store, progress=progress)
            done.merged |= filtered.write(study, store, device=device, progress=progress)
            done.scored += perturbed.score(study, store, weights, progress, device)
    done.notes += store.notes
    return done


def _state(study: Study, store: Store, shard: Shard, model: str, device: str) -> State:
    return State(store, shard, study.shard_size, image_digest(study, shard.source, device), model)


def _make(study: Study, store: Store, shards: Iterable[Shard], done: Done, progress: bool, device: str) -> list[State]:
    """Make the missing images of the shards; one source's model is in memory at a time."""
    states, work = [], []
    for source, group in groupby(shards, key=lambda shard: shard.source):
        making = maker(study, source)
        model = making.model()
        own = [_state(study, store, shard, model, device) for shard in group]
        missing = [(state, state.missing()) for state in own]
        states += own
        if any(state.stale for state in own):
            store.note(f"{source.folder}: {_STALE}; made again")
        work.append((source, sum(len(indices) for _, indices in missing), missing))
    total = sum(count for _, count, _ in work)
    prover = Prover(study, store, device)
    with _bar(total, "images", progress) as bar:
        for source, count, missing in work:
            bar.set_postfix_str(source.folder)
            making = maker(study, source, device)
            loaded = source.label == 1 and prover.prove(source, making)
            if count and not loaded:
                making.load()
            for state, indices in missing:
                for batch in _batches(state.shard, indices, study.setting("batch_size", source.arm)):
                    _make_batch(store, making, state, batch, indices, done)
                    bar.update(len(set(batch) & set(indices)))
    return states


def _batches(shard: Shard, missing: Sequence[int], size: int) -> list[range]:
    """The shard's batches that lack an image: always the same ones, so that going on changes no image."""
    every = [range(start, min(start + size, shard.stop)) for start in range(shard.start, shard.stop, size)]
    return [batch for batch in every if set(batch) & set(missing)]


def _make_batch(
    store: Store, making: CellMaker | RealMaker, state: State, batch: range, missing: Sequence[int], done: Done
) -> None:
    began = perf_counter()
    made = making.make(batch)
    seconds = (perf_counter() - began) / len(batch)
    for index, image in zip(batch, made, strict=True):
        if index not in missing:
            continue
        why = making.check(image)
        store.save(image, state.shard.source, index, rejected=why is not None)
        if why is None:
            state.images[index] = {"sha256": pixel_sha256(image), "seconds": round(seconds, 5)}
            done.made += 1
        else:
            state.rejected[index] = why
            done.rejected += 1
    state.record = dict(making.record)
    state.write()


def _score(
    study: Study,
    store: Store,
    states: Sequence[State],
    weights: dict[Scoring, str],
    done: Done,
    progress: bool,
    device: str,
) -> None:
    """Score what has no score by the present weights; a shard is read once for all its scorings."""
    work = [(state, lacking) for state in states if (lacking := state.unscored(weights))]
    wanted = {(scoring.detector, scoring.weights) for _, lacking in work for scoring in lacking}
    loaded = {pair: detection.load(*pair, device=device) for pair in sorted(wanted)}
    with _bar(sum(len(indices) for _, lacking in work for indices in lacking.values()), "scores", progress) as bar:
        for state, lacking in work:
            bar.set_postfix_str(state.shard.source.folder)
            kept = state.scores()
            images = {i: store.open(state.shard.source, i) for i in sorted(set().union(*lacking.values()))}
            shown = {"shared": {i: shared(image, i, study.shared_level) for i, image in images.items()}} if any(
                scoring.protocol == "shared" for scoring in lacking
            ) else {}  # fmt: skip
            frames = []
            for scoring, indices in lacking.items():
                seen = shown.get(scoring.protocol, images)
                files = {store.image(state.shard.source, i): seen[i] for i in indices}
                logits = cache.logits(loaded[scoring.detector, scoring.weights], files)
                kept = kept[~(of(kept, scoring) & kept["index"].isin(indices))]
                frames.append(state.rows(scoring, indices, logits))
                bar.update(len(indices))
            frames = [kept, *frames] if len(kept) else frames
            write_parquet(pd.concat(frames, ignore_index=True), store.part(state.shard))
            state.scorings |= {scoring.key: weights[scoring] for scoring in lacking}
            state.write()
            done.scored += sum(len(indices) for indices in lacking.values())


def _merge(study: Study, store: Store, weights: dict[Scoring, str], done: Done, device: str) -> None:
    """Write the results from every valid part in the folder, where they differ from what is there.

    Merges again until nothing has changed meanwhile, for other shares go on making parts.
    """
    while not _merged(study, store, parts := _parts_sha256(study, store)):
        _write_results(study, store, weights, parts, device)
        done.merged = True


def _parts_sha256(study: Study, store: Store) -> str:
    proofs = [store.proof(source) for source in plan.sources(study) if source.label]
    return tree_sha256(*map(store.state, _found(study, store)), *(proof for proof in proofs if proof.is_file()))


def _found(study: Study, store: Store) -> list[Shard]:
    size = study.shard_size
    return [
        Shard(source, start, start + size) for source in plan.sources(study) for start in store.starts(source, size)
    ]


def _merged(study: Study, store: Store, parts: str) -> bool:
    manifest = store.manifest()
    files = manifest["files"]
    there = all((store.folder / name).is_file() for name in RESULTS)
    return (
        there
        and (manifest.get("parts"), manifest.get("study")) == (parts, study.model_dump(mode="json"))
        and all((file := store.folder / name).is_file() and file_sha256(file) == files[name] for name in files)
    )


def _write_results(study: Study, store: Store, weights: dict[Scoring, str], parts: str, device: str) -> None:
    models, states = {}, []
    for source, shards in groupby(_found(study, store), key=lambda shard: shard.source):
        model = models[source.folder] = maker(study, source).model()
        own = [_state(study, store, shard, model, device) for shard in shards]
        if any(state.stale for state in own):
            store.note(f"{source.folder}: {_STALE}; left out of the results until it is made again")
        states += [state for state in own if not state.stale]
    tables = {
        "scores.parquet": _scores_table(study, states, weights),
        "cells.parquet": _cells_table(study, Prover(study, store, device), states),
    }
    for name, frame in tables.items():
        write_parquet(frame, store.folder / name)
    write_sheets(study, store, _digests(states))
    # The manifest last: what is without one is written again.
    write_json(
        {
            "study": study.model_dump(mode="json"),
            "study_digest": study.digest(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "git_revision": git_revision(),
            "versions": versions(),
            "files": {name: file_sha256(store.folder / name) for name in tables},
            "images_per_cell": _images_per_cell(states),
            "models": models | {f"scorings/{scoring.key}": digest for scoring, digest in weights.items()},
            "parts": parts,
        },
        store.folder / MANIFEST,
    )


def _digests(states: Sequence[State]) -> dict[Source, dict[int, str]]:
    """Source -> index -> SHA-256 of the pixels on record."""
    found: dict[Source, dict[int, str]] = {}
    for state in states:
        found.setdefault(state.shard.source, {}).update({i: image["sha256"] for i, image in state.images.items()})
    return found


def _scores_table(study: Study, states: Sequence[State], weights: dict[Scoring, str]) -> pd.DataFrame:
    """All scores that hold, source by source in the order of the study, then by scoring and index."""
    frames = []
    for _, group in groupby(states, key=lambda state: state.shard.source):
        parts = [(state, state.scores()) for state in group]
        for scoring, digest in weights.items():
            valid = [frame[of(frame, scoring)] for state, frame in parts if state.scorings.get(scoring.key) == digest]
            frames += [pd.concat(valid).sort_values("index")] if any(map(len, valid)) else []
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _cells_table(study: Study, prover: Prover, states: Sequence[State]) -> pd.DataFrame:
    fakes = groupby((state for state in states if state.shard.source.label), key=lambda state: state.shard.source)
    return pd.DataFrame([_cell_row(study, prover, source, list(group)) for source, group in fakes])


def _cell_row(study: Study, prover: Prover, source: Source, states: Sequence[State]) -> dict[str, Any]:
    settings = study.generators[source.generator]
    rejected = {index: why for state in states for index, why in state.rejected.items()}
    seconds = [image["seconds"] for state in states for image in state.images.values()]
    records = [state.record for state in states if state.record]
    record = records[-1] if records else {}
    return {
        "generator": source.generator,
        "precision": source.precision,
        "arm": source.arm,
        **prover.columns(source),
        "seconds_load": record.get("seconds_load"),
        "seconds_quantize": record.get("seconds_quantize"),
        "seconds_per_image": float(np.median(seconds)) if seconds else None,
        "peak_memory_mb": max(filter(None, (one.get("peak_memory_mb") for one in records)), default=None),
        "steps": settings.steps,
        "guidance": settings.guidance,
        "size": settings.size,
        "device": record.get("device"),
        "versions": json.dumps(record.get("versions")),
        "images": len(seconds),
        "rejected": len(rejected),
        "rejected_why": "; ".join(f"{index}: {why}" for index, why in sorted(rejected.items())),
    }


def _images_per_cell(states: Sequence[State]) -> int:
    """The most images, rejected ones counted, that a cell has."""
    counts: dict[Source, int] = {}
    for state in states:
        if state.shard.source.label:
            source = state.shard.source
            counts[source] = counts.get(source, 0) + len(state.images) + len(state.rejected)
    return max(counts.values(), default=0)


def _bar(total: int, unit: str, progress: bool) -> tqdm:
    return tqdm(
        total=total,
        unit=f" {unit}",
        desc=unit,
        disable=not (progress and total),
        file=sys.stderr,
        dynamic_ncols=True,
    )
