"""The stage that scores a run's images once more after each perturbation of the study: perturbed.parquet.

Of what scores.parquet holds under `plain`, the study's sample (main arm, chosen precisions, first images, and the
reals) is opened from the run's folder, perturbed and scored by the same detectors. An image's draws depend on its
index alone. Each row repeats the keys and the `image_sha256` of the untouched image's row, so the two are one join
apart. What was scored by the same weights from the same pixels is kept, source by source, so an interrupted call goes
on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from helpers import detectors as detection
from helpers.core.columns import TABLES
from helpers.core.errors import Damaged
from helpers.core.files import read_parquet, write_parquet
from helpers.images import perturbations
from helpers.runs.plan import Plan, Scoring, Source
from helpers.runs.progress import bar
from helpers.runs.shard import CELL
from helpers.runs.stages import cache
from helpers.runs.store import Store, pixel_sha256

__all__ = ["TABLE", "score"]

#: The table's file; its columns are those of scores.parquet, then `perturbation`.
TABLE = "perturbed.parquet"

_IMAGE = ["index", "image_sha256"]
_KEYS = ["perturbation", "detector", "weights", *_IMAGE, "digest"]


def score(plan: Plan, store: Store, weights: Mapping[Scoring, str], progress: bool = True, device: str = "cpu") -> int:
    """Bring perturbed.parquet up to date with scores.parquet and return how many scores were added.

    `weights` maps each scoring to the digest of what its logits come from. An image that the folder does not hold, or
    holds with other pixels, is left out. A study without perturbations has no such table.
    """
    if plan.perturbations is None:
        cache.publish(store, {TABLE: []})
        return 0
    digests = {s: digest for s, digest in weights.items() if (s.protocol, s.weights) == ("plain", plan.weights)}
    sources = [(source, wanted, _kept(store, source)) for source, wanted in _wanted(plan, store, digests)]
    work = [(source, rows, kept) for source, wanted, kept in sources if len(rows := _without(wanted, kept, _KEYS))]
    added = _score_lacking(store, work, digests, progress, device) if work else 0
    # What of the parts is wanted, in the order wanted.
    names = list(TABLES[TABLE].names)
    parts = [wanted.merge(_kept(store, source), on=_KEYS)[names] for source, wanted, _ in sources]
    cache.publish(store, {TABLE: parts})
    return added


def _score_lacking(
    store: Store,
    work: Sequence[tuple[Source, pd.DataFrame, pd.DataFrame]],
    scorings: Iterable[Scoring],
    progress: bool,
    device: str,
) -> int:
    """Score the rows that each source lacks, put them to those that it keeps, and return how many they are."""
    loaded = {(s.detector, s.label): detection.load(s.detector, s.weights, device=device) for s in scorings}
    added = 0
    with bar(sum(len(rows) for _, rows, _ in work), "perturbed", progress, "scores") as shown:
        for source, rows, kept in work:
            shown.set_postfix_str(source.folder)
            made = _scored(store, source, rows, loaded)[[*_KEYS, "logit"]]
            if len(made):
                whole = pd.concat([_without(kept, made, _KEYS[:4]), made]) if len(kept) else made
                write_parquet(whole, _part(store, source))
            added += len(made)
            shown.update(len(rows))
    return added


def _wanted(plan: Plan, store: Store, digests: Mapping[Scoring, str]) -> list[tuple[Source, pd.DataFrame]]:
    """Per source the rows that the table is to have, in its order, without logits but with each weights' digest."""
    settings = plan.perturbations
    rows = store.scores()
    fakes = (rows.arm == plan.arm) & rows.precision.isin(settings.precisions)
    rows = rows[(rows.protocol == "plain") & (fakes | (rows.arm == "none")) & (rows["index"] < settings.images)]
    by_detector = {(s.detector, s.label): digest for s, digest in digests.items()}
    rows = rows.assign(digest=list(map(by_detector.get, zip(rows.detector, rows.weights, strict=True))))
    rows = rows[rows.digest.notna()].drop(columns="logit")
    found = []
    for values, group in rows.groupby(list(CELL), sort=False):
        each = [group.assign(perturbation=perturbations.parse(name).name) for name in settings.names]
        found.append((Source(*values), pd.concat(each, ignore_index=True)))
    return found


def _scored(
    store: Store, source: Source, rows: pd.DataFrame, loaded: Mapping[tuple[str, str], detection.Detector]
) -> pd.DataFrame:
    """Rows with their logits; those of images that are not there as they were scored are left out."""
    images = {}
    for index, digest in rows[_IMAGE].drop_duplicates().itertuples(index=False, name=None):
        image = store.open(source, index)
        if image is not None and pixel_sha256(image) == digest:
            images[index] = image
    rows = rows[rows["index"].isin(images)]
    frames = []
    for name, group in rows.groupby("perturbation", sort=False):
        apply = perturbations.parse(name)
        seen = {index: apply(images[index], index) for index in group["index"].unique()}
        for pair, own in group.groupby(["detector", "weights"], sort=False):
            (logits,) = cache.logits(
                [loaded[pair]], {store.image(source, index): seen[index] for index in own["index"]}
            )
            frames.append(own.assign(logit=logits))
    return pd.concat(frames) if frames else rows.assign(logit=np.float64())


def _part(store: Store, source: Source) -> Path:
    return store.folder / "perturbed" / f"{source.folder}.parquet"


def _kept(store: Store, source: Source) -> pd.DataFrame:
    """What an earlier call scored of a source: keys and finite logits. An image's pixels are among the keys."""
    kept = store.read(_table, _part(store, source))
    return pd.DataFrame(columns=[*_KEYS, "logit"]) if kept is None else kept


def _table(path: Path) -> pd.DataFrame:
    frame = read_parquet(path, [*_KEYS, "logit"])[[*_KEYS, "logit"]]
    if not (types.is_integer_dtype(frame["index"]) and types.is_float_dtype(frame["logit"])):
        raise Damaged(f"{path}: its index or its logits are no numbers")
    if not all(types.is_string_dtype(frame[name]) for name in _KEYS if name != "index"):
        raise Damaged(f"{path}: its keys are no words")
    if frame.duplicated(_KEYS).any():
        raise Damaged(f"{path}: an image's score stands there twice")
    return frame[np.isfinite(frame["logit"])].astype({"logit": "float64"})


def _without(rows: pd.DataFrame, others: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows whose keys are not among the others'."""
    return rows[~pd.MultiIndex.from_frame(rows[keys]).isin(list(others[keys].itertuples(index=False, name=None)))]
