"""What claims are judged on: estimates with the regions they should lie in, and one judge of them all.

A claim that something stays as it is (C2, C5, C8, C9) is judged by whether the interval lies inside the region, which
is a one-sided bound where the region has one end and an equivalence test (two one-sided tests at 2.5 %) where it has
two.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan

from helpers.analysis.cells import paired_logits, standard_shift
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.rule import LEAST_IMAGES, NOT_TESTABLE, Finding, margins, too_few, unscaled, verdict
from helpers.results import Results

__all__ = [
    "Figure",
    "accuracies",
    "finding_of",
    "known_figures",
    "losses",
    "missing",
    "present",
    "shifts",
    "stay_high",
    "unjudged",
]


@dataclass(frozen=True)
class Figure:
    """An estimate at a confidence level, the region it should lie in, and the number of images behind it.

    `unjudged` are the detectors for want of whose thresholds it is not known.
    """

    at: Callable[[float], Interval]
    n: int
    low: float = -inf
    high: float = inf
    unjudged: tuple[str, ...] = ()

    def room(self, interval: Interval) -> float:
        """How far the estimate lies inside its region; below 0 outside."""
        return min(interval.estimate - self.low, self.high - interval.estimate)

    def verdict(self, interval: Interval, widened: Interval) -> str:
        """The verdict on it alone, contradicted by the widened interval; not testable of fewer than `LEAST_IMAGES`."""
        found = verdict([interval], self.low, self.high, [widened])
        return found if self.n >= LEAST_IMAGES else NOT_TESTABLE


def finding_of(figures: dict[str, Figure], sentence: Callable[[dict[str, Interval], str], str]) -> Finding:
    """The finding on these figures. `sentence` writes it from the 95 % intervals and the name of the deciding figure,
    the one that lies furthest on the wrong side of its region, or nearest to it. A figure of fewer than `LEAST_IMAGES`
    says nothing, for or against, and one that is not known decides nothing: it is said why."""
    shown = {name: figure.at(0.95) for name, figure in figures.items()}
    room = {name: figure.room(shown[name]) for name, figure in figures.items()}
    deciding = min(room, key=lambda name: (isnan(room[name]), room[name]))
    lacking = tuple(dict.fromkeys(key for figure in figures.values() for key in figure.unjudged))
    if lacking and isnan(room[deciding]):
        return Finding(NOT_TESTABLE, f"This study cannot say: {unscaled(lacking)}.", shown)
    level = 1 - 0.05 / len(figures)
    widened = shown if len(figures) == 1 else {name: figure.at(level) for name, figure in figures.items()}
    found = _worst([figure.verdict(shown[name], widened[name]) for name, figure in figures.items()])
    said = sentence(shown, deciding)
    if lacking:
        said = f"Not all of it is known: {unscaled(lacking)}. {said}"
    if found == NOT_TESTABLE and (fewest := min(figure.n for figure in figures.values())) < LEAST_IMAGES:
        said = f"This study cannot say: {too_few(fewest)}. {said}"
    return Finding(found, said, shown, deciding, figures[deciding].n)


def _worst(verdicts: list[str]) -> str:
    """The verdict on a claim from those on its figures: all must be supported, one contradicted is enough."""
    worse = ("contradicted", NOT_TESTABLE, "inconclusive")
    return next((name for name in worse if name in verdicts), "supported")


def accuracies(
    results: Results,
    generators: Sequence[str],
    precisions: Sequence[str],
    detectors: Sequence[str],
    low: float = -inf,
    high: float = inf,
) -> dict[str, Figure]:
    """The accuracy of each named cell that was run."""
    cells = [(g, p, d) for g in generators for p in precisions for d in present(detectors, results.detectors)]
    found = {}
    for generator, precision, detector in cells:
        called = metrics.verdicts(results.logits(detector, generator, precision), results.threshold_of(detector))
        if len(called):
            name = f"{named(detector)} on {results.titled(generator)['generator_title']} at {named(precision)}"
            rate = functools.partial(metrics.rate, called)
            found[name] = Figure(rate, len(called), low, high, unjudged(results, detector))
    return found


def losses(
    results: Results, generators: Sequence[str], detectors: Sequence[str], low: float = -inf, high: float = inf
) -> dict[str, Figure]:
    """The change of accuracy from FP32 to FP4 of each named generator and detector, on the images both have.

    Each should lie in `low` to `high`.
    """
    found = {}
    for generator in generators:
        for detector in present(detectors, results.detectors):
            base, other, _ = paired_logits(results, detector, generator, "fp4")
            if len(base):
                before, after = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
                change = functools.partial(metrics.paired_difference, before, after)
                name = f"{named(detector)} on {results.titled(generator)['generator_title']}"
                found[name] = Figure(change, len(base), low, high, unjudged(results, detector))
    return found


def shifts(
    results: Results, detector: str, generator: str, precisions: Iterable[str], low: float = -inf, high: float = inf
) -> dict[str, Figure]:
    """Paired logit shifts in standard deviations of the FP32 logits, by precision; each should lie in low to high."""
    found = {}
    for precision in precisions:
        pair = paired_logits(results, detector, generator, precision)
        if len(pair[0]) and precision in results.precisions and detector in results.detectors:
            found[named(precision)] = Figure(functools.partial(standard_shift, *pair), len(pair[0]), low, high)
    return found


def stay_high(results: Results, precisions: Sequence[str], where: str) -> Finding:
    """Whether every detector's accuracy on SDXL and Flux.1 stays above the margin `high` at these precisions."""
    high = margins(results)["high"]
    figures = accuracies(results, ["sdxl", "flux1"], precisions, results.detectors, low=high)
    if not figures:
        return missing(f"cells of SDXL or Flux.1 {where}")
    names = listed([named(key) for key in present(["sdxl", "flux1"], results.generators)])

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = known_figures(shown)
        above = sum(interval.low >= high for interval in shown.values())
        below = sum(interval.high < high for interval in shown.values())
        if len(shown) == 1:
            return f"The one accuracy on {names} {where} is {number(shown[worst])}, {worst}."
        return (
            f"The lowest of the {len(shown)} accuracies on {names} {where} is {number(shown[worst])}, {worst}; of "
            f"their intervals {above} lie above {high:.2f}, {below} below and {len(shown) - above - below} across it."
        )

    return finding_of(figures, sentence)


def known_figures(shown: dict[str, Interval]) -> dict[str, Interval]:
    """The figures whose estimate is a number."""
    return {name: interval for name, interval in shown.items() if not isnan(interval.estimate)}


def unjudged(results: Results, *detectors: str) -> tuple[str, ...]:
    """Those of the detectors whose threshold is not known."""
    return tuple(key for key in detectors if key in results.unjudged)


def present(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """The wanted keys that are there, in the order they are wanted."""
    return [key for key in wanted if key in there]


def missing(what: str) -> Finding:
    """The finding of a study that lacks what a claim is judged on."""
    return Finding(NOT_TESTABLE, f"This study cannot say: it has no {what}.", {})
