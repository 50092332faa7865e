"""What a study says: a verdict and the rule behind it, sentences with their estimates, and how numbers are printed.

One rule for all claims: a claim names a region for each of its figures. If every interval lies inside its region the
claim is supported; if any lies wholly outside it is contradicted; else it is inconclusive. Intervals are 95 % ones in
all: over prompts and trainings, and over generators where a claim speaks of generators at large; to
contradict, where one figure of several is enough, an interval widened for their number (Bonferroni) must lie outside.
A claim whose cells were not run, or hold fewer than `LEAST_IMAGES`, is not testable. The regions come from the margins
of the study's rules (`helpers.study.rules`), which say when each was fixed. The claims themselves are in
`helpers.claims.deck`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import NamedTuple

from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import LEAST_IMAGES, Interval
from helpers.analysis.words import listed, named
from helpers.detectors.catalogue import of_kind
from helpers.results.results import Results

__all__ = [
    "Basis",
    "END_TO_END",
    "FROZEN",
    "Finding",
    "HOLDS",
    "LEAST_IMAGES",
    "NOT_TESTABLE",
    "PLURAL",
    "SAID",
    "margins",
    "too_few",
    "unscaled",
    "verdict",
]

NOT_TESTABLE = "not testable"

#: What readers are told of a verdict on a study. That something agrees with the deck is said of real evidence alone.
HOLDS = {"supported": "holds", "contradicted": "fails", "inconclusive": "open", NOT_TESTABLE: NOT_TESTABLE}

#: The same as the end of a sentence.
SAID = HOLDS | {"inconclusive": "stays open", NOT_TESTABLE: "is not testable"}
PLURAL = {"supported": "hold", "contradicted": "fail", "inconclusive": "stay open", NOT_TESTABLE: "are not testable"}
END_TO_END, FROZEN = of_kind("end-to-end"), of_kind("frozen backbone")


class Basis(NamedTuple):
    """What an interval in all is taken over beside prompts: so many trainings of each detector that has several (1: the
    page's own alone), and so many generators (0: those it names are taken as they are)."""

    trainings: int
    generators: int

    @property
    def words(self) -> str:
        """What it is taken over, and what is not in it because there is one alone."""
        several = {"training": self.trainings, "generator": self.generators}
        over = listed(["prompts", *(f"{count} {noun}s" for noun, count in several.items() if count > 1)])
        lacking = listed([f"{noun}s" for noun, count in several.items() if count == 1])
        return f"{over}; {lacking} are not in it, as there is one" if lacking else over


@dataclass(frozen=True)
class Finding:
    """A verdict on the deck's words, a plain sentence with estimates and intervals, and the figures by name.

    Attributes:
        figures: with their intervals in all, by which the verdict is.
        prompts: the same figures of the page's own training with intervals over prompts; empty where there are none.
        bases: what the intervals in all are taken over.
        changes: the names of those that are no share and are printed with their sign.
        deciding: the name of the figure on which the verdict hangs; `n` is the number of images behind it.
        note: which detectors count, and what another operating point says.
        protocol, training: those that decide, where they are not the page's.
    """

    verdict: str
    sentence: str
    figures: dict[str, Interval]
    deciding: str = ""
    n: int = 0
    note: str = ""
    protocol: str = ""
    training: str = ""
    prompts: dict[str, Interval] = field(default_factory=dict)
    bases: dict[str, Basis] = field(default_factory=dict)
    changes: frozenset[str] = frozenset()

    @property
    def signed(self) -> bool:
        """Whether the deciding figure is printed with its sign: 0.20 is a rate, +0.20 a rise."""
        return self.deciding in self.changes

    @property
    def over_prompts(self) -> Interval:
        """The deciding figure of the page's own training with its interval over prompts, else unknown."""
        return self.prompts.get(self.deciding, metrics.UNKNOWN)

    @property
    def basis(self) -> Basis:
        """What the deciding figure's interval in all is taken over."""
        return self.bases.get(self.deciding, Basis(1, 0))

    @property
    def interval(self) -> Interval:
        """The deciding figure, else the first one, else unknown."""
        name = self.deciding or next(iter(self.figures), "")
        return self.figures.get(name, metrics.UNKNOWN)


def verdict(
    figures: Iterable[Interval],
    low: float = -inf,
    high: float = inf,
    widened: Iterable[Interval] | None = None,
) -> str:
    """Supported where every interval lies in [low, high], contradicted where a widened one lies outside it, else
    open.

    `widened` are the same figures with intervals that hold all at once; by default the figures themselves. An estimate
    whose interval is not known (NaN) lies neither in nor outside a region.

    >>> verdict([Interval(0.97, 0.95, 0.99)], low=0.9)
    'supported'
    >>> verdict([Interval(0.92, 0.88, 0.95)], low=0.9)
    'inconclusive'
    """
    figures = list(figures)
    if not figures or any(isnan(figure.estimate) for figure in figures):
        return NOT_TESTABLE
    if any(figure.high < low or figure.low > high for figure in (figures if widened is None else widened)):
        return "contradicted"
    inside = all(low <= figure.low and figure.high <= high for figure in figures)
    return "supported" if inside else "inconclusive"


def margins(results: Results) -> dict[str, float]:
    """The margins of the study's rules, by name."""
    return results.rules.limits()


def unscaled(detectors: Iterable[str]) -> str:
    """The words for detectors of whose scores nobody said whether they are probabilities."""
    return f"whether the scores by {listed([named(key) for key in detectors])} are logits or probabilities is not said"


def too_few(images: int) -> str:
    """The words for a figure of so many images, fewer than `LEAST_IMAGES`."""
    return f"too few images ({images}, where at least {LEAST_IMAGES} are needed)"
