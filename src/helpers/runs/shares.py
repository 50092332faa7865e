"""Work in a fixed order is cut into parts of about the same weight, the same ones wherever that is asked."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["contiguous"]


def contiguous(weights: Sequence[int], count: int) -> list[range]:
    """`count` ranges over the weights (each at least 0), in order: the heaviest is as light as can be, and none is
    empty where there are enough weights.

    >>> contiguous([4, 1, 1, 1, 1], 2)
    [range(0, 1), range(1, 5)]
    """
    low, high = max(weights, default=0), sum(weights)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_filled(weights, middle)) <= count else (middle + 1, high)
    return _spread(_filled(weights, low), count)


def _filled(weights: Sequence[int], most: int) -> list[range]:
    """The fewest ranges none of which weighs more than `most`, which every weight alone is within."""
    found, start, held = [], 0, 0
    for place, weight in enumerate(weights):
        if held + weight > most and place > start:
            found.append(range(start, place))
            start, held = place, 0
        held += weight
    return [*found, range(start, len(weights))] if weights else []


def _spread(ranges: list[range], count: int) -> list[range]:
    """As many ranges as asked for: the longest are cut until there are, and what cannot be is made up by empty ones."""
    while len(ranges) < count and (most := max(ranges, key=len, default=range(0))) and len(most) > 1:
        place, middle = ranges.index(most), most.start + len(most) // 2
        ranges = [*ranges[:place], range(most.start, middle), range(middle, most.stop), *ranges[place + 1 :]]
    return ranges + [range(0)] * (count - len(ranges))
