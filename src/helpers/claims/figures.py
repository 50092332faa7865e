"""What claims are judged on: estimates with the regions they should lie in, and one judge of them all.

A claim that something stays as it is (C2, C5, C8, C9) is judged by whether the interval lies inside the region, which
is a one-sided bound where the region has one end and an equivalence test (two one-sided tests at 2.5 %) where it has
two.

An interval is asked for in two ways, and here alone: over prompts, of the page's own training, and in all, over prompts
and the trainings that differ in their seed alone, and over generators where a claim speaks of generators at large
(`helpers.analysis.stats.in_all` has the model). Verdicts are by the second.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan

from helpers.analysis import effects
from helpers.analysis.cells import paired_logits
from helpers.analysis.effects import over_trainings
from helpers.analysis.stats.in_all import CHANGE, SHARE, Sample, in_all
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.rule import LEAST_IMAGES, NOT_TESTABLE, Basis, Finding, margins, too_few, unscaled, verdict
from helpers.results import Results

__all__ = [
    "Figure",
    "accuracies",
    "accuracy",
    "finding_of",
    "known_figures",
    "losses",
    "missing",
    "present",
    "shifts",
    "stay_high",
    "unjudged",
]


#: What is said of a claim of generators at large where there is one.
ALONE = "one generator says nothing of generators at large"


@dataclass(frozen=True)
class Figure:
    """A figure of results, the region it should lie in, and the number of images behind it.

    `of` takes the figure of results under any training of the `detectors` it rests on; `general` says that generators
    are drawn too, `bounds` what it can be at all. `unjudged` are the detectors for want of whose thresholds it is not
    known.
    """

    of: Callable[[Results], Sample | None]
    results: Results
    detectors: tuple[str, ...]
    n: int
    low: float = -inf
    high: float = inf
    bounds: tuple[float, float] = (-inf, inf)
    general: bool = False
    unjudged: tuple[str, ...] = ()

    @functools.cached_property
    def samples(self) -> list[Sample]:
        """The figure of each training, the page's own first."""
        return over_trainings(self.of, self.results, self.detectors)

    @property
    def basis(self) -> Basis:
        """What its interval in all is taken over."""
        return Basis(len(self.samples), len(self.samples[0].estimates) if self.general else 0)

    def at(self, confidence: float) -> Interval:
        """The figure of the page's own training with its interval over prompts."""
        return self.samples[0].at(confidence)

    def in_all(self, confidence: float = 0.95) -> Interval:
        """The mean over trainings with its interval in all."""
        return in_all(self.samples, confidence, self.bounds, self.general)

    def room(self, interval: Interval) -> float:
        """How far the estimate lies inside its region; below 0 outside."""
        return min(interval.estimate - self.low, self.high - interval.estimate)

    def verdict(self, interval: Interval, widened: Interval) -> str:
        """The verdict on it alone, contradicted by the widened interval; not testable of fewer than `LEAST_IMAGES`, and
        of generators at large open by one alone, of which no interval over generators is known."""
        found = verdict([interval], self.low, self.high, [widened])
        if found != NOT_TESTABLE and self.basis.generators == 1:
            found = "inconclusive"
        return found if self.n >= LEAST_IMAGES else NOT_TESTABLE


def finding_of(figures: dict[str, Figure], sentence: Callable[[dict[str, Interval], str], str]) -> Finding:
    """The finding on these figures. `sentence` writes it from the 95 % intervals in all and the name of the deciding
    figure, the one that lies furthest on the wrong side of its region, or nearest to it. A figure of fewer than
    `LEAST_IMAGES` says nothing, for or against, and one that is not known decides nothing: it is said why."""
    shown = {name: figure.in_all(0.95) for name, figure in figures.items()}
    prompts = {name: figure.at(0.95) for name, figure in figures.items()}
    bases = {name: figure.basis for name, figure in figures.items()}
    changes = frozenset(name for name, figure in figures.items() if figure.bounds != SHARE)
    room = {name: figure.room(shown[name]) for name, figure in figures.items()}
    deciding = min(room, key=lambda name: (isnan(room[name]), room[name]))
    lacking = tuple(dict.fromkeys(key for figure in figures.values() for key in figure.unjudged))
    if lacking and isnan(room[deciding]):
        said = f"This study cannot say: {unscaled(lacking)}."
        return Finding(NOT_TESTABLE, said, shown, prompts=prompts, bases=bases)
    level = 1 - 0.05 / len(figures)
    widened = shown if len(figures) == 1 else {name: figure.in_all(level) for name, figure in figures.items()}
    found = _worst([figure.verdict(shown[name], widened[name]) for name, figure in figures.items()])
    said = sentence(shown, deciding)
    if any(basis.generators == 1 for basis in bases.values()):
        said = f"{said.removesuffix('.')}; {ALONE}."
    if lacking:
        said = f"Not all of it is known: {unscaled(lacking)}. {said}"
    if found == NOT_TESTABLE and (fewest := min(figure.n for figure in figures.values())) < LEAST_IMAGES:
        said = f"This study cannot say: {too_few(fewest)}. {said}"
    n = figures[deciding].n
    return Finding(found, said, shown, deciding, n, prompts=prompts, bases=bases, changes=changes)


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
    """The detection rate of each named cell that was run."""
    cells = [(g, p, d) for g in generators for p in precisions for d in present(detectors, results.detectors)]
    found = {}
    for generator, precision, detector in cells:
        if images := len(results.logits(detector, generator, precision)):
            name = f"{named(detector)} on {results.titled(generator)['generator_title']} at {named(precision)}"
            found[name] = accuracy(results, detector, [generator], precision, images, low, high)
    return found


def accuracy(
    results: Results, detector: str, generators: Sequence[str], precision: str, images: int, low: float = -inf,
    high: float = inf,
) -> Figure:  # fmt: skip
    """The accuracy of a detector on so many images of generators together."""
    return Figure(
        lambda other: effects.rate(other, detector, generators, precision), results, (detector,), images, low, high,
        SHARE, unjudged=unjudged(results, detector),
    )  # fmt: skip


def losses(
    results: Results, generators: Sequence[str], detectors: Sequence[str], low: float = -inf, high: float = inf
) -> dict[str, Figure]:
    """The change of the detection rate from FP32 to FP4 of each named generator and detector, on the images both have.

    Each should lie in `low` to `high`.
    """
    found = {}
    for generator in generators:
        for detector in present(detectors, results.detectors):
            if images := len(paired_logits(results, detector, generator, "fp4")[0]):
                of = functools.partial(effects.change, detector=detector, generator=generator, precision="fp4")
                name = f"{named(detector)} on {results.titled(generator)['generator_title']}"
                found[name] = Figure(of, results, (detector,), images, low, high, CHANGE,
                                     unjudged=unjudged(results, detector))  # fmt: skip
    return found


def shifts(
    results: Results, detector: str, generator: str, precisions: Iterable[str], low: float = -inf, high: float = inf
) -> dict[str, Figure]:
    """Paired logit shifts in standard deviations of the FP32 logits, by precision; each should lie in low to high."""
    found = {}
    for precision in precisions:
        images = len(paired_logits(results, detector, generator, precision)[0])
        if images and precision in results.precisions and detector in results.detectors:
            of = functools.partial(effects.shift, detector=detector, generator=generator, precision=precision)
            found[named(precision)] = Figure(of, results, (detector,), images, low, high)
    return found


def stay_high(results: Results, precisions: Sequence[str], where: str) -> Finding:
    """Whether every detector's detection rate on SDXL and Flux.1 stays above the margin `high` at these precisions."""
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
            return f"The one detection rate on {names} {where} is {number(shown[worst])}, {worst}."
        return (
            f"The lowest of the {len(shown)} detection rates on {names} {where} is {number(shown[worst])}, {worst}. Of "
            f"their intervals {above} {'lies' if above == 1 else 'lie'} above {high:.2f}, {below} below and "
            f"{len(shown) - above - below} across it."
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
