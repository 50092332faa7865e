"""Hand a run's shards out to workers, so that each stays with a generator and all end at about the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import groupby
from typing import Any, Protocol

from helpers.core.errors import Failure
from helpers.runs.plan import Plan, Shard

__all__ = ["Desk", "Hand", "spread"]


class Hand(Protocol):
    """A worker as its executor knows it.

    Attributes:
        number: from 1.
        lost: the errors of a future that say that the worker is no more.
    """

    number: int
    lost: tuple[type[BaseException], ...]

    def start(self, shards: Sequence[Shard]) -> Future[Any]:
        """Have the shards made and scored."""
        ...

    def rest(self) -> None:
        """Nothing is left to be handed out."""
        ...


class Desk:
    """The shards that no worker has yet, by generator and source.

    Sources go out whole, as many of a generator at once as leave enough for the others; the last ones, and those much
    longer than the rest, in pieces.
    """

    def __init__(self, plan: Plan, shards: Sequence[Shard], workers: int) -> None:
        self.plan, self.workers = plan, workers
        self._held: dict[int, str | None] = {}
        self._sources: dict[str | None, list[list[Shard]]] = {}
        for source, group in groupby(shards, key=lambda shard: shard.source):
            self._sources.setdefault(plan.recipes[source].generator, []).append(list(group))

    @property
    def empty(self) -> bool:
        """Whether all shards are handed out."""
        return not self._sources

    def take(self, worker: int) -> list[Shard]:
        """The next shards for a worker, those of a source together: of the generator that it had last, or else of one
        that nobody has and that takes longest; none where nothing is left."""
        if self.empty:
            return []
        generator = self._held.get(worker)
        if generator not in self._sources or worker not in self._held:
            others = {held for one, held in self._held.items() if one != worker}
            generator = max(self._sources, key=lambda key: (key not in others, self._cost_of(key)))
        self._held[worker] = generator
        taken = self._cut(self._sources[generator])
        if not self._sources[generator]:
            del self._sources[generator]
        return taken

    def give_back(self, worker: int, shards: Sequence[Shard]) -> None:
        """Take back what a worker had when it was lost."""
        generator = self._held.pop(worker)
        own = self._sources.setdefault(generator, [])
        own[:0] = [list(group) for _, group in groupby(shards, key=lambda shard: shard.source)]

    def _cut(self, sources: list[list[Shard]]) -> list[Shard]:
        """Take the first of the sources' shards: half of what would be one worker's part of all that is left."""
        fair = sum(map(self._cost_of, self._sources)) / (2 * self.workers)
        taken = sources.pop(0)
        if self._cost(taken) > 2 * fair:
            count = max(1, int(len(taken) * fair // self._cost(taken)))
            sources[:0] = [taken[count:]] if taken[count:] else []
            return taken[:count]
        while sources and self._cost(taken) + self._cost(sources[0]) <= fair:
            taken = taken + sources.pop(0)
        return taken

    def _cost_of(self, generator: str | None) -> int:
        return sum(map(self._cost, self._sources[generator]))

    def _cost(self, shards: Sequence[Shard]) -> int:
        return sum(map(self.plan.cost, shards))


def spread(desk: Desk, hands: Sequence[Hand], note: Callable[[str], None]) -> Iterator[Any]:
    """Have all of the desk's shards made and scored; yields what each piece of work returned.

    What a lost worker had goes to the others, and `note` is told. Raises what a piece of work raised, and Failure where
    no worker is left.
    """
    idle, busy = list(hands), {}
    while True:
        while idle and not desk.empty:
            hand = idle.pop(0)
            taken = desk.take(hand.number)
            busy[hand.start(taken)] = hand, taken
        if not busy:
            break
        if desk.empty:
            for hand in idle:
                hand.rest()
        for future in wait(busy, return_when=FIRST_COMPLETED).done:
            hand, taken = busy.pop(future)
            error = future.exception()
            if isinstance(error, hand.lost):
                desk.give_back(hand.number, taken)
                note(f"worker {hand.number} ended before its work, which went to the others: {taken[0].source.folder}")
                continue
            if error is not None:
                raise getattr(error, "cause", None) or error  # Ray wraps it
            idle.append(hand)
            yield future.result()
    if not desk.empty:
        raise Failure(
            "no worker is left: each ended before its work, as the system ends what needs more memory than there is;"
            " call again with fewer of them"
        )
