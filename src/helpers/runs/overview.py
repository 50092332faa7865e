"""How far a run has come, told from its folder's files alone, while others work there or after (no torch).

What the records say counts; whether they still hold, for models or settings may have changed, the run itself looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from helpers.core import files
from helpers.core.errors import Damaged
from helpers.core.scores import much_rejected
from helpers.runs import lock, plan
from helpers.runs.plan import Scoring, Source
from helpers.runs.store import Store
from helpers.study.schema import Study

__all__ = ["Overview", "Progress", "overview"]


@dataclass
class Progress:
    """One source's: images wanted, made, rejected, and scored in every way that the study asks for; seconds of each
    image on record."""

    source: Source
    wanted: int
    made: int = 0
    rejected: int = 0
    scored: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many images are still to be made."""
        return max(0, self.wanted - self.made - self.rejected)

    @property
    def much_rejected(self) -> bool:
        """Whether too much of what was made does not count."""
        return much_rejected(self.made, self.rejected)


@dataclass(frozen=True)
class Overview:
    """A run's: each source's progress, the processes at work, seconds since something was written (None: never), and
    why sources, by their folders, could not be made at the last try."""

    sources: Sequence[Progress]
    workers: Sequence[str]
    quiet: float | None
    failed: Mapping[str, str] = field(default_factory=dict)

    def seconds_of(self, one: Progress) -> float | None:
        """Seconds an image of a source takes: the median on record, else of the generator's other cells; None where
        nothing of it was made."""
        own = one.seconds or [
            seconds
            for other in self.sources
            if (other.source.generator, other.source.size) == (one.source.generator, one.source.size)
            for seconds in other.seconds
        ]
        return median(own) if own else None

    @property
    def left(self) -> float | None:
        """Seconds until all images are made, if those at work share them evenly (nobody: for one worker); None where
        what is missing includes images of which nothing is known. Loading and scoring are not counted."""
        costs = [(one.missing, self.seconds_of(one)) for one in self.sources if one.missing]
        if any(seconds is None for _, seconds in costs):
            return None
        return sum(count * (seconds or 0.0) for count, seconds in costs) / max(1, len(self.workers))


def overview(study: Study, folder: Path) -> Overview:
    """The state of a study's run in a folder. A record that is damaged or of a foreign shape counts for nothing."""
    store, scorings, newest = Store(folder), plan.scorings(study), 0.0
    found = []
    for source in plan.sources(study):
        one = Progress(source, study.images_of(source.arm, study.images_per_cell))
        ways = {scoring.key for scoring in _applying(scorings, source)}
        for start in store.starts(source, study.shard_size):
            path = store.state(plan.Shard(source, start, start + study.shard_size))
            newest = max(newest, path.stat().st_mtime) if path.exists() else newest
            _count(one, path, ways)
        found.append(one)
    failed = store.failures(one.source for one in found)
    return Overview(found, lock.workers(folder), time.time() - newest if newest else None, failed)


def _applying(scorings: Iterable[Scoring], source: Source) -> list[Scoring]:
    return [scoring for scoring in scorings if scoring.applies(source)]


def _count(one: Progress, path: Path, ways: set[str]) -> None:
    """Add what a shard's record says."""
    try:
        known = files.read_json(path)
        images, rejected = _table(known, "images"), _table(known, "rejected")
        seconds = [float(image["seconds"]) for image in images.values()]
    except (Damaged, TypeError, ValueError, KeyError):
        return
    one.made += len(images)
    one.rejected += len(rejected)
    one.seconds += seconds
    one.scored += len(images) if ways <= set(_table(known, "scorings")) else 0


def _table(known: dict[str, Any], name: str) -> dict[str, Any]:
    found = known[name]
    if not isinstance(found, dict):
        raise TypeError(name)
    return found
