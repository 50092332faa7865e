"""Score the images of a run that have no score by the present weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from PIL import Image

from helpers import detectors as detection
from helpers.core.files import write_parquet
from helpers.detectors.detector import Detector
from helpers.images.protocols import shared
from helpers.runs.plan import Scoring
from helpers.runs.progress import bar
from helpers.runs.shard import State, of
from helpers.runs.stages import cache
from helpers.runs.store import Store

__all__ = ["score"]

Detectors = Mapping[tuple[str, str], Detector]


def score(
    store: Store, states: Sequence[State], weights: Mapping[Scoring, str], progress: bool = True, device: str = "cpu"
) -> int:
    """Score what the shards lack and return how many scores were added; a shard is read once for all its scorings.

    `weights` maps each scoring to the digest of what its logits come from.
    """
    work = [(state, lacking) for state in states if (lacking := state.unscored(weights))]
    wanted = {(scoring.detector, scoring.weights) for _, lacking in work for scoring in lacking}
    loaded = {pair: detection.load(*pair, device=device) for pair in sorted(wanted)}
    total = sum(len(indices) for _, lacking in work for indices in lacking.values())
    with bar(total, "scores", progress) as shown:
        for state, lacking in work:
            shown.set_postfix_str(state.shard.source.folder)
            write_parquet(_scores(store, state, lacking, loaded), store.part(state.shard))
            state.scorings |= {scoring.key: weights[scoring] for scoring in lacking}
            state.write()
            shown.update(sum(map(len, lacking.values())))
    return total


def _scores(store: Store, state: State, lacking: Mapping[Scoring, list[int]], loaded: Detectors) -> pd.DataFrame:
    """The shard's scores that hold, with those that were lacking."""
    kept, source = state.scores(), state.shard.source
    images = {index: store.open(source, index) for index in sorted(set().union(*lacking.values()))}
    handled: dict[int | None, dict[int, Image.Image]] = {None: images}
    frames = []
    for (level, indices), scorings in _alike(lacking).items():
        if level is not None and level not in handled:
            handled[level] = {i: shared(image, i, level) for i, image in images.items()}
        files = {store.image(source, index): handled[level][index] for index in indices}
        found = cache.logits([loaded[scoring.detector, scoring.weights] for scoring in scorings], files)
        for scoring, logits in zip(scorings, found, strict=True):
            kept = kept[~(of(kept, scoring) & kept["index"].isin(indices))]
            frames.append(state.rows(scoring, indices, logits))
    return pd.concat([kept, *frames] if len(kept) else frames, ignore_index=True)


def _alike(lacking: Mapping[Scoring, list[int]]) -> dict[tuple[int | None, tuple[int, ...]], list[Scoring]]:
    """The scorings by the pictures that they are of, (difficulty of `shared`, indices), so that trunks are run once."""
    groups: dict[tuple[int | None, tuple[int, ...]], list[Scoring]] = {}
    for scoring, indices in lacking.items():
        groups.setdefault((scoring.level, tuple(indices)), []).append(scoring)
    return groups
