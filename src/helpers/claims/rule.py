"""What a study says: a verdict and the rule behind it, sentences with their estimates, and how numbers are printed.

One rule for all claims: a claim names a region for each of its figures. If every interval lies inside its region the
claim is supported; if any lies wholly outside it is contradicted; else it is inconclusive. Intervals are 95 % ones; to
contradict, where one figure of several is enough, an interval widened for their number (Bonferroni) must lie outside.
A claim whose cells were not run, or hold fewer than `LEAST_IMAGES`, is not testable. The regions come from the margins
of the study file, stated before the run. The claims themselves are in `helpers.claims.deck`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isnan

from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named
from helpers.detectors.catalogue import of_kind
from helpers.results.results import Results
from helpers.study.schema import Margins

__all__ = [
    "END_TO_END",
    "FROZEN",
    "Finding",
    "LEAST_IMAGES",
    "NOT_TESTABLE",
    "margins",
    "too_few",
    "unscaled",
    "verdict",
]

NOT_TESTABLE = "not testable"

#: Images (or prompts) that each figure of a claim must have. In simulated studies of as many, 90 % or more of each kind
#: of 95 % interval hold the truth, however lopsided what is measured is; with fewer, some do not.
LEAST_IMAGES = 20
END_TO_END, FROZEN = of_kind("end-to-end"), of_kind("frozen backbone")


@dataclass(frozen=True)
class Finding:
    """A verdict on the deck's words, a plain sentence with estimates and intervals, and the figures by name.

    `deciding` names the figure on which the verdict hangs and `n` is the number of images behind it.
    """

    verdict: str
    sentence: str
    figures: dict[str, Interval]
    deciding: str = ""
    n: int = 0

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
    """The study's margins, with the defaults of `helpers.study.schema.Margins` for those its manifest does not hold."""
    return Margins().model_dump() | results.margins


def unscaled(detectors: Iterable[str]) -> str:
    """The words for detectors of whose scores nobody said whether they are probabilities."""
    return f"whether the scores by {listed([named(key) for key in detectors])} are logits or probabilities is not said"


def too_few(images: int) -> str:
    """The words for a figure of so many images, fewer than `LEAST_IMAGES`."""
    return f"too few images ({images}, where at least {LEAST_IMAGES} are needed)"
