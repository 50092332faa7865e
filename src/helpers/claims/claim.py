"""What a claim of the deck is: its words, what is measured, what counts, its judge, and worlds in which it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from helpers.analysis.stats.metrics import Interval
from helpers.claims.rule import HOLDS, NOT_TESTABLE, SAID, Finding
from helpers.results import Results

__all__ = ["FALL", "LEVEL", "Claim", "Outcome", "Reads", "World", "concluded"]

#: What a claim says of scores: how high a figure is, or how far it falls (or that it does not).
LEVEL, FALL = "level", "fall"


@dataclass(frozen=True)
class World:
    """A simulated study, as data: what is so in it, and nothing else is.

    Attributes:
        shifts: mean logits that leave the usual level of +4 (reals lie at -4), by detector, generator and precision
            (None: at every one), each with how far.
        fp4_images: what FP4 does to the pictures, whose fine detail the end-to-end detectors see: "smooths",
            "roughens" or "spares" them (None: nobody measured).
        fp4_cost: what a public checkpoint needs at FP4, of memory and of time, as a share of FP32's (None: nobody
            measured).
    """

    shifts: Mapping[tuple[str, str, str | None], float] = field(default_factory=dict)
    fp4_images: str | None = None
    fp4_cost: float | None = None


@dataclass(frozen=True)
class Reads:
    """The scores that a claim is judged on, by which the gate for instruments (`helpers.claims.gate`) is held.

    `kind` is LEVEL or FALL: a fall asks for room as well. `generators` are those that it reads (none named: all).
    `groups` are the detectors that it reads (an empty group: all); where it sets groups against each other, a generator
    counts only if each of them has a detector that does. `rate` says whether its figure is a rate at a threshold.
    """

    kind: str
    generators: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ((),)
    rate: bool = True


@dataclass(frozen=True)
class Claim:
    """One statement of the deck.

    It is supported in `true_world` and contradicted in `false_world`.

    Attributes:
        id: the deck's claim; `part` tells the statements of one claim apart.
        words: the deck's own; `short` says the same in a list.
        quantity: what is measured.
        rule: what counts, with the names of margins in braces.
        margins: all margins that the judge reads.
        page, anchor: where its figure is.
        judge: gives the finding.
        of_scores: whether it depends on the scores, so that it can be judged under every protocol and training.
        of_images: whether on those of filtered images, which there are of every protocol.
        reads: the scores that must come from detectors which can answer (None: no gate is held).
        general: whether its words are of generators at large; its intervals are then over generators too.
        training: the detectors' training under which it is judged first; `because` says why, where that is not the
            page's own.
        formats: the precisions beside the baseline that it speaks of, which may be another dose in other images (None:
            every one of the study; none: the baseline alone).
        headline: whether the book's first page names it.
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
    true_world: World = field(hash=False)
    false_world: World = field(hash=False)
    reads: Reads | None = None
    training: str = ""
    because: str = ""
    formats: tuple[str, ...] | None = None
    of_scores: bool = True
    of_images: bool = False
    general: bool = False
    headline: bool = False

    @property
    def of_study(self) -> bool:
        """Whether a study's images decide it, under each of its conditions; else the public checkpoints' own networks
        do, whatever the study."""
        return self.of_scores or self.of_images

    @property
    def dosed(self) -> bool:
        """Whether it can be judged at another dose: it speaks of formats, and of their images."""
        return self.of_study and self.formats != ()

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
    """A claim with what a study says of it; `rule` has the study's margins in it.

    `matched` is the finding where the study's images lie as far from their baseline as real ones at as many bits
    (`helpers.claims.dose.judged`); None for a claim that reads the baseline alone, and where nobody asked. `neighbour`
    is that at the rungs that lie second nearest to the same doses; None where there are none, or nobody asked.
    """

    claim: Claim
    finding: Finding
    rule: str
    matched: Finding | None = None
    neighbour: Finding | None = None

    @property
    def verdict(self) -> str:
        """supported, contradicted, inconclusive or not testable."""
        return self.finding.verdict

    @property
    def here(self) -> str:
        """The same of the study's images, whose verdict it is: not testable where they do not decide the claim."""
        return self.verdict if self.claim.of_study else NOT_TESTABLE

    @property
    def word(self) -> str:
        """What readers are told of it: holds, fails, open or not testable."""
        return HOLDS[self.here]

    @property
    def interval(self) -> Interval:
        """The figure that decides the verdict, with its interval in all."""
        return self.finding.interval

    @property
    def answer(self) -> str:
        """The sentence that a page prints: the estimates, and whether the claim holds in the study."""
        return concluded(self.finding) if self.claim.of_study else self.finding.sentence

    @property
    def told(self) -> str:
        """The same without the note on which detectors, protocol and training decide."""
        return concluded(replace(self.finding, note="")) if self.claim.of_study else self.finding.sentence

    def under(self, spelled: Callable[[str], str] = str) -> str:
        """Under which protocol or training its figures are, where that is not the page's, as the beginning of a
        sentence with the name as it is `spelled`; "" else."""
        kinds = {"protocol": self.finding.protocol, "training": self.finding.training}
        return "".join(f"Under the {kind} {spelled(name)}: " for kind, name in kinds.items() if name)

    @property
    def matched_answer(self) -> str:
        """The sentence of `answer` at the dose of real images, with the rungs that stand for it; "" without any."""
        return concluded(self.matched) if self.matched else ""

    @property
    def neighbour_answer(self) -> str:
        """The same at the neighbouring rungs; "" without any."""
        return concluded(self.neighbour) if self.neighbour else ""

    @property
    def turned(self) -> list[str]:
        """The names of the figures that lie on another side of 0 at the neighbouring rungs."""
        there = self.neighbour.figures if self.matched and self.neighbour else {}
        here = self.matched.figures if self.matched else {}
        return [name for name, found in there.items() if name in here and here[name].estimate * found.estimate < 0]


def concluded(finding: Finding) -> str:
    """A finding's sentence with, after it, whether the claim holds in the study, and its note."""
    said = finding.sentence
    if finding.verdict in SAID and finding.verdict != NOT_TESTABLE:
        said = f"{said} In this study the claim {SAID[finding.verdict]}."
    return f"{said} {finding.note}".strip()
