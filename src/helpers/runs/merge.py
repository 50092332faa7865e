"""Merge the valid parts of a run's folder into its results: scores, the record of the cells, contact sheets, and the
manifest that vouches for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.checkout import git_revision
from helpers.core.columns import SCORES, TABLES, VERSION, ordered
from helpers.core.files import file_sha256, now, tree_sha256, write_json, write_parquet
from helpers.runs import audit, sources
from helpers.runs.plan import Plan, Recipe, Scoring, Shard, Source
from helpers.runs.shard import State, of, state_of
from helpers.runs.stages.contact import write_sheets
from helpers.runs.store import MANIFEST, RESULTS, STALE, Store, versions

__all__ = ["merge"]


def merge(plan: Plan, store: Store, weights: Mapping[Scoring, str], device: str = "cpu") -> bool:
    """Write the results from every valid part in the folder; says whether they differ from what was there.

    Merges again until nothing has changed meanwhile, for other shares go on making parts. The caller holds
    `lock.merging`.
    """
    written = False
    while not _merged(plan, store, parts := _parts_sha256(plan, store)):
        _write_results(plan, store, weights, parts, device)
        written = True
    return written


def _parts_sha256(plan: Plan, store: Store) -> str:
    audits = [store.audit(source) for source in plan.recipes if source.label]
    return tree_sha256(*map(store.state, _found(plan, store)), *(path for path in audits if path.is_file()))


def _found(plan: Plan, store: Store) -> list[Shard]:
    size = plan.shard_size
    return [Shard(source, start, start + size) for source in plan.recipes for start in store.starts(source, size)]


def _merged(plan: Plan, store: Store, parts: str) -> bool:
    manifest = store.manifest()
    files = manifest["files"]
    there = all((store.folder / name).is_file() for name in RESULTS)
    return (
        there
        and (manifest.get("parts"), manifest.get("study")) == (parts, plan.study)
        and manifest.get("reals") == _reals(plan, manifest)
        and manifest.get("rules") == plan.rules
        and manifest.get("failed", {}) == store.failures(plan.recipes)
        and all((file := store.folder / name).is_file() and file_sha256(file) == files[name] for name in files)
    )


def _reals(plan: Plan, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the manifest says of photographs: which files the real images are, and what was left out; else None.

    A call for fewer images takes the first of the same files: what is known of more of them stays.
    """
    if plan.reals is None:
        return None
    known, chosen = manifest.get("reals"), plan.reals
    if isinstance(known, dict) and known.get("digest") == chosen.digest:
        if len(known.get("photographs") or ()) > len(chosen.photographs):
            return known
    rows = [asdict(photograph) for photograph in chosen.photographs]
    return {
        "digest": chosen.digest,
        "left_out": chosen.left_out,
        "photographs": [{name: value for name, value in row.items() if name != "path"} for row in rows],
    }


def _write_results(plan: Plan, store: Store, weights: Mapping[Scoring, str], parts: str, device: str) -> None:
    models, states = _valid(plan, store, device)
    tables = {
        "scores.parquet": _scores_table(states, weights),
        "cells.parquet": _cells_table(plan, audit.QuantizationAudit(plan, store, device), states),
    }
    for name, frame in tables.items():
        write_parquet(ordered(TABLES[name], frame), store.folder / name)
    write_sheets(plan, store, _digests(states))
    reals, failed = _reals(plan, store.manifest()), store.failures(plan.recipes)
    # The manifest last: what is without one is written again.
    write_json(
        {
            "version": VERSION,
            "study": plan.study,
            "study_digest": plan.study_digest,
            "rules": plan.rules,
            "scored": store.begun(str(plan.rules["digest"])),
            "created": now(),
            "git_revision": git_revision(),
            "versions": versions(),
            "files": {name: file_sha256(store.folder / name) for name in tables},
            "images_per_cell": _images_per_cell(states),
            "models": models | {f"scorings/{scoring.key}": digest for scoring, digest in weights.items()},
            "parts": parts,
            **({"reals": reals} if reals else {}),
            **({"failed": failed} if failed else {}),
        },
        store.folder / MANIFEST,
    )


def _valid(plan: Plan, store: Store, device: str) -> tuple[dict[str, str], list[State]]:
    """The digest of each source's model by the source's folder, and every state in the run's folder that holds."""
    models, states = {}, []
    for source, shards in groupby(_found(plan, store), key=lambda shard: shard.source):
        model = models[source.folder] = sources.open_source(plan.recipes[source]).model()
        own = [state_of(plan, store, shard, model, device) for shard in shards]
        if any(state.stale for state in own):
            store.note(f"{source.folder}: {STALE}; left out of the results until it is made again")
        states += [state for state in own if not state.stale]
    return models, states


def _digests(states: Sequence[State]) -> dict[Source, dict[int, str]]:
    """Source -> index -> SHA-256 of the pixels on record."""
    found: dict[Source, dict[int, str]] = {}
    for state in states:
        found.setdefault(state.shard.source, {}).update({i: image["sha256"] for i, image in state.images.items()})
    return found


def _scores_table(states: Sequence[State], weights: Mapping[Scoring, str]) -> pd.DataFrame:
    """All scores that hold, source by source in the order of the plan, then by scoring and index."""
    frames = []
    for _, group in groupby(states, key=lambda state: state.shard.source):
        parts = [(state, state.scores()) for state in group]
        for scoring, digest in weights.items():
            valid = [frame[of(frame, scoring)] for state, frame in parts if state.scorings.get(scoring.key) == digest]
            frames += [pd.concat(valid).sort_values("index")] if any(map(len, valid)) else []
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(SCORES.names))


def _cells_table(plan: Plan, audited: audit.QuantizationAudit, states: Sequence[State]) -> pd.DataFrame:
    fakes = groupby((state for state in states if state.shard.source.label), key=lambda state: state.shard.source)
    return pd.DataFrame([_cell_row(plan.recipes[source], audited, list(group)) for source, group in fakes])


def _cell_row(recipe: Recipe, audited: audit.QuantizationAudit, states: Sequence[State]) -> dict[str, Any]:
    source = recipe.source
    rejected = {index: why for state in states for index, why in state.rejected.items()}
    seconds = [image["seconds"] for state in states for image in state.images.values()]
    records = [state.record for state in states if state.record]
    record = records[-1] if records else {}
    return {
        "generator": source.generator,
        "precision": source.precision,
        "arm": source.arm,
        **audited.columns(recipe),
        "seconds_load": record.get("seconds_load"),
        "seconds_quantize": record.get("seconds_quantize"),
        "seconds_per_image": float(np.median(seconds)) if seconds else None,
        "peak_memory_mb": max(filter(None, (one.get("peak_memory_mb") for one in records)), default=None),
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "size": source.size,
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
