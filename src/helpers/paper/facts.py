"""What a study has beside its fakes' scores, by name: a sentence on what it lacks is not said of it."""

from __future__ import annotations

from collections.abc import Callable

from helpers.analysis import controls, paired
from helpers.analysis.conditions import trainings_of, under
from helpers.analysis.repeats import repeats
from helpers.results.results import Results

__all__ = ["FACTS", "has"]

#: What a study may have.
FACTS: dict[str, Callable[[Results], bool]] = {
    "reals": lambda results: bool((results.scores.label == 0).any()),
    "arms": lambda results: bool(controls.scored_arms(results)),
    "controls": lambda results: bool(paired.controls(results)),
    "seeds": lambda results: any(len(repeats(under(results, *of))) > 1 for of in trainings_of(results)),
}


def has(results: Results, name: str) -> bool:
    """Whether a study has what `FACTS` calls by this name."""
    return FACTS[name](results)
