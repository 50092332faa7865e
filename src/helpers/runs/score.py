"""Score the images of a run that have no score by the present weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from PIL import Image

from helpers import detectors as detection
from helpers.core.device import release
from helpers.core.files import write_parquet
from helpers.detectors.detector import Detector
from helpers.images.protocols import shared
from helpers.runs.plan import Scoring
from helpers.runs.shard import State, of
from helpers.runs.stages import cache
from helpers.runs.store import Store

__all__ = ["Scorer"]


class Scorer:
    """Scores what shards lack. Its detectors are loaded when one is first needed, and stay so from source to source.

    `weights` maps each scoring to the digest of what its logits come from. On a GPU the detectors wait in RAM while a
    generator works there, whose memory may be all that there is.
    """

    def __init__(self, store: Store, weights: Mapping[Scoring, str], device: str = "cpu") -> None:
        self.store, self.weights, self.device = store, weights, device
        self._loaded: dict[tuple[str, str], Detector] = {}

    def expected(self, state: State, missing: int = 0) -> int:
        """How many scores a shard lacks, with those of `missing` images that are still to be made."""
        ways = sum(scoring.applies(state.shard.source) for scoring in self.weights)
        return missing * ways + sum(map(len, state.unscored(self.weights).values()))

    def score(self, states: Sequence[State]) -> Iterator[int]:
        """Score what the shards lack; gives for each shard how many scores were added.

        A shard is read once for all its scorings.
        """
        for state in states:
            if lacking := state.unscored(self.weights):
                write_parquet(self._scores(state, lacking), self.store.part(state.shard))
                state.scorings |= {scoring.key: self.weights[scoring] for scoring in lacking}
                state.write()
            yield sum(map(len, lacking.values()))
        self._move(away=True)

    def _detectors(self, scorings: Sequence[Scoring]) -> list[Detector]:
        pairs = [(scoring.detector, scoring.weights) for scoring in scorings]
        for pair in pairs:
            if pair not in self._loaded:
                self._loaded[pair] = detection.load(*pair, device=self.device)
        self._move(away=False)
        return [self._loaded[pair] for pair in pairs]

    def _move(self, away: bool) -> None:
        if self.device != "cpu":
            for detector in self._loaded.values():
                detector.network.to("cpu" if away else detector.device)
            release(self.device)

    def _scores(self, state: State, lacking: Mapping[Scoring, list[int]]) -> pd.DataFrame:
        """The shard's scores that hold, with those that were lacking."""
        kept, source, store = state.scores(), state.shard.source, self.store
        images = {index: store.open(source, index) for index in sorted(set().union(*lacking.values()))}
        handled: dict[int | None, dict[int, Image.Image]] = {None: images}
        frames = []
        for (level, indices), scorings in _alike(lacking).items():
            if level is not None and level not in handled:
                handled[level] = {i: shared(image, i, level) for i, image in images.items()}
            files = {store.image(source, index): handled[level][index] for index in indices}
            found = cache.logits(self._detectors(scorings), files)
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
