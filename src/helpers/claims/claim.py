"""What a claim of the deck is: its words, what is measured, what counts, its judge, and worlds in which it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from helpers.analysis.stats.metrics import Interval
from helpers.claims.rule import Finding
from helpers.results import Results

__all__ = ["Claim", "Outcome", "World", "agreement"]


@dataclass(frozen=True)
class World:
    """A simulated study, as data: what is so in it, and nothing else is.

    `shifts` are the mean logits that leave the usual level of +4 (reals lie at -4), by detector, generator and
    precision (None: at every one), each with how far. `fp4_images` says what FP4 does to the pictures ("smooths",
    "roughens" or "spares" them; None: nobody measured), whose fine detail the end-to-end detectors see. `fp4_cost` is
    what a public checkpoint needs at FP4, of memory and of time, as a share of FP32's (None: nobody measured).
    """

    shifts: Mapping[tuple[str, str, str | None], float] = field(default_factory=dict)
    fp4_images: str | None = None
    fp4_cost: float | None = None


@dataclass(frozen=True)
class Claim:
    """One statement of the deck.

    `id` is the deck's claim, `part` tells the statements of one claim apart; `words` are the deck's and `short` the
    same in a list; `quantity` is what is measured and `rule` what counts, with the names of margins in braces;
    `margins` are all margins that the judge reads. `page` and `anchor` are where its figure is. `judge` gives the
    finding; `of_scores` says whether it depends on the scores, so that it can be judged under every protocol and
    training, `of_images` whether on those of filtered images, which there are of every protocol. It is supported in
    `true_world` and contradicted in `false_world`. `headline` says whether the book's first page names it.
    """

    id: str
    part: str
    words: str
    short: str
    quantity: str
    rule: str
    margins: tuple[str, ...]
    page: str
    anchor: str
    judge: Callable[[Results], Finding]
    true_world: World
    false_world: World
    of_scores: bool = True
    of_images: bool = False
    headline: bool = False

    @property
    def again(self) -> bool:
        """Whether it can be judged under more than one condition."""
        return self.of_scores or self.of_images

    @property
    def key(self) -> str:
        """What tells this statement from all others: C4, C4_size, C1_time_from_FP16 ..."""
        return f"{self.id}_{self.part}".replace(" ", "_") if self.part else self.id

    @property
    def title(self) -> str:
        """The key as it is printed."""
        return f"{self.id}, {self.part}" if self.part else self.id


@dataclass(frozen=True)
class Outcome:
    """A claim with what a study says of it; `rule` has the study's margins in it."""

    claim: Claim
    finding: Finding
    rule: str

    @property
    def verdict(self) -> str:
        """supported, contradicted, inconclusive or not testable."""
        return self.finding.verdict

    @property
    def interval(self) -> Interval:
        """The figure that decides the verdict."""
        return self.finding.interval

    @property
    def answer(self) -> str:
        """The sentence that a page prints: the estimates, and whether they agree with the deck."""
        return agreement(self.finding)


AGREEMENT = {
    "supported": "this agrees with the deck",
    "contradicted": "this contradicts the deck",
    "inconclusive": "this leaves the deck's claim open",
}


def agreement(finding: Finding) -> str:
    """A finding's sentence with, after it, whether it agrees with the deck."""
    if finding.verdict not in AGREEMENT:
        return finding.sentence
    return f"{finding.sentence.removesuffix('.')}; {AGREEMENT[finding.verdict]}."
