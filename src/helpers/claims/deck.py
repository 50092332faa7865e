"""The deck's claims as data, and one function that judges them on any study's results.

Each claim names its figures and a region for each; the rule of `helpers.claims.rule` does the rest. A claim that
something stays as it is (C2, C5, C8, C9) is judged by whether the interval lies inside the region, which is a one-sided
bound where the region has one end and an equivalence test (two one-sided tests at 2.5 %) where it has two. Margins come
from the study file.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isnan

import pandas as pd

from helpers.analysis import cells, conditions
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims import costs, smoothing
from helpers.claims import rule as findings
from helpers.claims.rule import FROZEN, LEAST_IMAGES, NOT_TESTABLE, Finding, margins
from helpers.core.errors import UsageError, nearest
from helpers.generators.catalogue import GENERATORS
from helpers.results import tables
from helpers.results.tables import Results

__all__ = [
    "CLAIMS",
    "Claim",
    "Outcome",
    "across",
    "agreement",
    "calibrated",
    "elsewhere",
    "evaluate",
    "summary",
    "table",
]

END_TO_END = findings.END_TO_END


@dataclass(frozen=True)
class Claim:
    """One statement of the deck.

    `id` is the deck's claim, `part` tells the statements of one claim apart; `words` are the deck's; `quantity` is what
    is measured and `rule` what counts, with the names of margins in braces; `page` and `anchor` are where its figure
    is. `judge` gives the finding; `of_scores` says whether it depends on the scores, so that it can be judged under
    every protocol and training, `of_images` whether on those of filtered images, which there are of every protocol.
    """

    id: str
    part: str
    words: str
    quantity: str
    rule: str
    page: str
    anchor: str
    judge: Callable[[Results], Finding]
    of_scores: bool = True
    of_images: bool = False

    @property
    def again(self) -> bool:
        """Whether it can be judged under more than one condition."""
        return self.of_scores or self.of_images

    @property
    def key(self) -> str:
        """What tells this statement from all others: C4, C4_size ..."""
        return f"{self.id}_{self.part}" if self.part else self.id

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


# What is judged: figures with their regions


@dataclass(frozen=True)
class _Figure:
    """An estimate at a confidence level, the region it should lie in, and the number of images behind it.

    `unjudged` are the detectors for want of whose thresholds it is not known.
    """

    at: Callable[[float], Interval]
    n: int
    low: float = -inf
    high: float = inf
    unjudged: tuple[str, ...] = ()


def _judge(figures: dict[str, _Figure], sentence: Callable[[dict[str, Interval], str], str]) -> Finding:
    """The finding on these figures. `sentence` writes it from the 95 % intervals and the name of the deciding figure,
    the one that lies furthest on the wrong side of its region, or nearest to it. A figure of fewer than `LEAST_IMAGES`
    says nothing, for or against, and one that is not known decides nothing: it is said why."""
    shown = {name: figure.at(0.95) for name, figure in figures.items()}
    level = 1 - 0.05 / len(figures)
    verdicts, room = [], {}
    for name, figure in figures.items():
        widened = shown[name] if len(figures) == 1 else figure.at(level)
        judged = findings.verdict([shown[name]], figure.low, figure.high, [widened])
        verdicts.append(judged if figure.n >= LEAST_IMAGES else NOT_TESTABLE)
        room[name] = min(shown[name].estimate - figure.low, figure.high - shown[name].estimate)
    found = "supported"
    for worse in ("inconclusive", NOT_TESTABLE, "contradicted"):
        found = worse if worse in verdicts else found
    unjudged = tuple(dict.fromkeys(key for figure in figures.values() for key in figure.unjudged))
    deciding = min(room, key=lambda name: (isnan(room[name]), room[name]))
    if unjudged and isnan(room[deciding]):
        return Finding(NOT_TESTABLE, f"This study cannot say: {findings.unscaled(unjudged)}.", shown)
    said = sentence(shown, deciding)
    if unjudged:
        said = f"Not all of it is known: {findings.unscaled(unjudged)}. {said}"
    if found == NOT_TESTABLE and (fewest := min(figure.n for figure in figures.values())) < LEAST_IMAGES:
        said = f"This study cannot say: {findings.too_few(fewest)}. {said}"
    return Finding(found, said, shown, deciding, figures[deciding].n)


def _accuracies(
    results: Results,
    generators: Sequence[str],
    precisions: Sequence[str],
    detectors: Sequence[str],
    low: float = -inf,
    high: float = inf,
) -> dict[str, _Figure]:
    """The accuracy of each named cell that was run."""
    found = {}
    for generator in generators:
        for precision in precisions:
            for detector in detectors:
                called = metrics.verdicts(
                    results.logits(detector, generator, precision), results.threshold_of(detector)
                )
                name = f"{named(detector)} on {named(generator)} at {named(precision)}"
                if len(called) and detector in results.detectors:
                    rate = functools.partial(metrics.rate, called)
                    found[name] = _Figure(rate, len(called), low, high, _unjudged(results, detector))
    return found


def _losses(results: Results, generators: Sequence[str], detectors: Sequence[str], **region: float) -> dict:
    """The change of accuracy from FP32 to FP4 of each named generator and detector, on the images both have."""
    found = {}
    for generator in generators:
        for detector in _present(detectors, results.detectors):
            base, other, _ = cells.pairs(results, detector, generator, "fp4")
            if len(base):
                both = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
                change = functools.partial(metrics.paired_difference, *both)
                name = f"{named(detector)} on {named(generator)}"
                found[name] = _Figure(change, len(base), **region, unjudged=_unjudged(results, detector))
    return found


def _unjudged(results: Results, *detectors: str) -> tuple[str, ...]:
    return tuple(key for key in detectors if key in results.unjudged)


def _shifts(results: Results, detector: str, generator: str, precisions: Iterable[str], **region: float) -> dict:
    """Paired logit shifts in standard deviations of the FP32 logits, by precision."""
    found = {}
    for precision in precisions:
        pair = cells.pairs(results, detector, generator, precision)
        if len(pair[0]) and precision in results.precisions and detector in results.detectors:
            found[named(precision)] = _Figure(functools.partial(cells.standard_shift, *pair), len(pair[0]), **region)
    return found


def _present(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    return [key for key in wanted if key in there]


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _missing(what: str) -> Finding:
    return Finding(NOT_TESTABLE, f"This study cannot say: it has no {what}.", {})


# The claims, one function each


def _memory(results: Results) -> Finding:
    """C1: quantization drastically reduces memory, counted on the public checkpoints' networks."""
    return costs.memory(margins(results)["memory"])


def _time(results: Results) -> Finding:
    """C1: quantization drastically reduces inference time, measured on a GPU."""
    return costs.time(margins(results)["time"])


def _smoothing(results: Results) -> Finding:
    """C6: quantization is a smoothing filter, judged on the images' spectra and on filtered images."""
    return smoothing.smoothing(results)


def _detectable(results: Results) -> Finding:
    """C2: SDXL and Flux are highly detectable across all precisions."""
    return _stay_high(results, results.precisions, "at every precision")


def _robust(results: Results) -> Finding:
    """C9: Flux.1 and SDXL stay above 95 % accuracy even at FP4."""
    return _stay_high(results, _present(["fp4"], results.precisions), "at FP4")


def _stay_high(results: Results, precisions: Sequence[str], where: str) -> Finding:
    high = margins(results)["high"]
    figures = _accuracies(results, ["sdxl", "flux1"], precisions, results.detectors, low=high)
    if not figures:
        return _missing(f"cells of SDXL or Flux.1 {where}")
    names = listed([named(key) for key in _present(["sdxl", "flux1"], results.generators)])

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = {name: interval for name, interval in shown.items() if not isnan(interval.estimate)}
        above = sum(interval.low >= high for interval in shown.values())
        below = sum(interval.high < high for interval in shown.values())
        if len(shown) == 1:
            return f"The one accuracy on {names} {where} is {number(shown[worst])}, {worst}."
        return (
            f"The lowest of the {len(shown)} accuracies on {names} {where} is {number(shown[worst])}, {worst}; of "
            f"their intervals {above} lie above {high:.2f}, {below} below and {len(shown) - above - below} across it."
        )

    return _judge(figures, sentence)


def _robust_loss(results: Results) -> Finding:
    """C9: FP4 costs Flux.1 and SDXL no accuracy."""
    base = named(results.baseline)
    figures = _losses(results, ["sdxl", "flux1"], results.detectors, low=-margins(results)["drop"])
    if not figures:
        return _missing(f"pairs of {base} and FP4 images of SDXL or Flux.1")
    names = listed([named(key) for key in _present(["sdxl", "flux1"], results.generators)])

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = {name: interval for name, interval in shown.items() if not isnan(interval.estimate)}
        change = f"{number(shown[worst], sign=True)}, {worst}"
        if len(shown) == 1:
            return f"From {base} to FP4 accuracy changes by {change}."
        return f"From {base} to FP4 the largest loss of accuracy among {len(shown)} on {names} is a change of {change}."

    return _judge(figures, sentence)


def _challenging(results: Results) -> Finding:
    """C3: SD1.5 is challenging for modern detectors (NPR)."""
    base = named(results.baseline)
    figures = _accuracies(results, ["sd15"], [results.baseline], ["npr"], high=margins(results)["challenging"])
    if not figures:
        return _missing(f"scores of NPR on SD1.5 at {base}")
    return _judge(figures, lambda shown, worst: f"At {base} NPR's accuracy on SD1.5 is {number(shown[worst])}.")


def _anomaly(results: Results) -> Finding:
    """C4: SD3 at FP4 shows a significant drop in accuracy for the end-to-end detectors."""
    base = named(results.baseline)
    drop = margins(results)["drop"]
    figures = _losses(results, ["sd3"], END_TO_END, high=-drop)
    if not figures:
        return _missing(f"pairs of {base} and FP4 images of SD3 for an end-to-end detector")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = {name: interval for name, interval in shown.items() if not isnan(interval.estimate)}
        parts = [f"by {number(change, sign=True)} for {name.split(' on ')[0]}" for name, change in shown.items()]
        fell = f"{sum(change.high <= -drop for change in shown.values())} of {len(shown)}"
        falls = f", a drop for {fell}" if len(shown) > 1 else ""
        return f"On SD3, from {base} to FP4, accuracy changes {listed(parts)}{falls}."

    return _judge(figures, sentence)


def _anomaly_size(results: Results) -> Finding:
    """C4: on SD3 the end-to-end detectors fall from about 0.9 to under 0.4."""
    base = named(results.baseline)
    limits, detectors = margins(results), _present(END_TO_END, results.detectors)
    before = _accuracies(results, ["sd3"], [results.baseline], detectors, low=limits["anomaly_before"])
    after = _accuracies(results, ["sd3"], ["fp4"], detectors, high=limits["anomaly_after"])
    there = len(before) == len(after) == len(detectors) > 0
    if not there or results.baseline == "fp4":
        return _missing(f"scores of an end-to-end detector on SD3 at both {base} and FP4")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        pairs = [row for row in zip(detectors, before, after, strict=True) if not isnan(shown[row[1]].estimate)]
        parts = [f"from {number(shown[b])} to {number(shown[a])} for {named(d)}" for d, b, a in pairs]
        return f"On SD3, from {base} to FP4, accuracy goes {listed(parts)}."

    return _judge(before | after, sentence)


def _feature_based(results: Results) -> Finding:
    """C5: on SD3 at FP4 R50_TF stays above 0.9."""
    figures = _accuracies(results, ["sd3"], ["fp4"], ["r50_tf"], low=margins(results)["robust"])
    if not figures:
        return _missing("scores of R50_TF on SD3 at FP4")
    return _judge(figures, lambda shown, worst: f"R50_TF's accuracy on SD3 at FP4 is {number(shown[worst])}.")


def _moved(results: Results) -> Finding:
    """C7: on SD3 NPR's scores move to the left at FP8 and FP4, into false negatives."""
    base = named(results.baseline)
    figures = _shifts(results, "npr", "sd3", ["fp8", "fp4"], high=-margins(results)["shift"])
    if not figures:
        return _missing("pairs of NPR's scores on SD3 at FP8 or FP4")

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        parts = [f"{number(figure, sign=True)} at {precision}" for precision, figure in shown.items()]
        return f"NPR's logits on SD3 shift, in standard deviations of the {base} scores, by {listed(parts)}."

    return _judge(figures, sentence)


def _overlap(results: Results) -> Finding:
    """C8: R50_TF's densities on SD3 overlap across precisions."""
    base = named(results.baseline)
    most = margins(results)["overlap"]
    others = [precision for precision in results.precisions if precision != results.baseline]
    figures = _shifts(results, "r50_tf", "sd3", others, low=-most, high=most)
    if not figures:
        return _missing("pairs of R50_TF's scores on SD3")
    return _judge(
        figures,
        lambda shown, worst: (
            f"The largest of R50_TF's shifts on SD3 is {number(shown[worst], sign=True)} standard deviations of the "
            f"{base} scores, at {worst}."
        ),
    )


def _legacy(results: Results) -> Finding:
    """C10: modern detectors (NPR) do poorly on the older SD1.5, and worse than on what came after it."""
    base = named(results.baseline)
    limits = margins(results)
    newer = [key for key in results.generators if key in GENERATORS and key not in ("sd15", "sd21")]
    figures = _accuracies(results, ["sd15"], [results.baseline], ["npr"], high=limits["challenging"])
    recent = [results.logits("npr", key, results.baseline) for key in newer]
    recent = [series for series in recent if len(series)]
    if not figures or not recent:
        return _missing(f"scores of NPR at {base} on both SD1.5 and newer generators")
    rate = functools.partial(metrics.rate, metrics.verdicts(pd.concat(recent), results.threshold_of("npr")))
    (old,) = figures.values()
    figures["SD1.5 minus newer"] = _Figure(
        lambda level: metrics.independent_difference(rate(level), old.at(level)), old.n, high=-limits["drop"],
        unjudged=old.unjudged,
    )  # fmt: skip
    return _judge(
        figures,
        lambda shown, worst: (
            f"At {base} NPR finds {number(old.at(0.95))} of SD1.5's images and {number(rate(0.95))} of those of the "
            f"{_count(recent, 'newer generator').removeprefix('1 ')}, a difference of "
            f"{number(shown['SD1.5 minus newer'], sign=True)}."
        ),
    )


def _families(results: Results) -> Finding:
    """C11: the end-to-end detectors are less robust to FP4 than the feature-based ones, over all generators."""
    base = named(results.baseline)
    groups = [_present(group, results.detectors) for group in (END_TO_END, FROZEN)]
    changes = [cells.mean_change(results, group) for group in groups]
    unjudged = _unjudged(results, *groups[0], *groups[1])
    if all(groups) and unjudged:
        return Finding(NOT_TESTABLE, f"This study cannot say: {findings.unscaled(unjudged)}.", {})
    if any(isnan(change.estimate) for change in changes):
        return _missing(f"pairs of {base} and FP4 images for both kinds of detectors")
    images = min(
        len({i for g in results.generators for d in group for i in cells.pairs(results, d, g, "fp4")[2]})
        for group in groups
    )
    figure = _Figure(
        lambda level: cells.mean_change(results, *groups, confidence=level), images, high=-margins(results)["drop"]
    )
    return _judge(
        {"end-to-end minus feature-based": figure},
        lambda shown, worst: (
            f"From {base} to FP4 accuracy, averaged over generators, changes by {number(changes[0], 3, sign=True)} for "
            f"end-to-end detectors and {number(changes[1], 3, sign=True)} for feature-based ones, a difference of "
            f"{number(shown[worst], 3, sign=True)}."
        ),
    )


CLAIMS = (
    Claim(
        "C1", "memory", "Quantization drastically reduces VRAM usage.",
        "weights of the real architectures at FP4, as a share of FP32's",
        "Drastic is a share of at most {memory:.2f}.",
        "01_setup", "what-it-costs", _memory, of_scores=False,
    ),
    Claim(
        "C1", "time", "Quantization drastically reduces inference time.",
        "seconds per image of the real architectures at FP4, as a share of FP32's",
        "Drastic is a share of at most {time:.2f}.",
        "01_setup", "what-it-costs", _time, of_scores=False,
    ),
    Claim(
        "C2", "", "SDXL and Flux are highly detectable across all precisions.",
        "accuracy of every detector on SDXL and Flux.1 at every precision",
        "Highly detectable means that each whole interval is at least {high:.2f}.",
        "02_heatmap", "figure-heatmap", _detectable,
    ),
    Claim(
        "C3", "", "SD1.5 is challenging for modern detectors (NPR).",
        "accuracy of NPR on SD1.5 at FP32",
        "Challenging means that the whole interval is at most {challenging:.2f}.",
        "06_legacy_sd15", "figure-legacy", _challenging,
    ),
    Claim(
        "C4", "", "SD3 at FP4 shows a significant drop in accuracy for the end-to-end detectors.",
        "paired change of accuracy on SD3 from FP32 to FP4, NPR and R50_nodown",
        "A drop means that each whole interval is a loss of more than {drop:.2f}.",
        "03_sd3_anomaly", "figure-anomaly", _anomaly,
    ),
    Claim(
        "C4", "size", "R50_nodown and NPR fall from about 0.9 to under 0.4 on SD3.",
        "accuracy on SD3 at FP32 and at FP4, NPR and R50_nodown",
        "That means at least {anomaly_before:.2f} at FP32 and at most {anomaly_after:.2f} at FP4, with each whole "
        "interval.",
        "03_sd3_anomaly", "figure-anomaly", _anomaly_size,
    ),
    Claim(
        "C5", "", "On SD3 at FP4 R50_TF stays above 0.9.",
        "accuracy of R50_TF on SD3 at FP4",
        "It stays above if the whole interval is at least {robust:.2f}.",
        "03_sd3_anomaly", "figure-anomaly", _feature_based,
    ),
    Claim(
        "C6", "", "Quantization is a smoothing filter that removes the high-frequency artifacts on which end-to-end "
        "detectors rely.",
        "four predictions: fine detail falls; FP4's fingerprint is further from FP32's than the null control's; FP4's "
        "spectrum, put on FP32 images, lowers the same detectors; FP32's, given to FP4 images, restores them",
        "All four must hold: a loss of more than {smoothing:.2f} of the high-frequency energy, and filters that make "
        "or take back {explained:.2f} of FP4's shift.",
        "07_mechanism", "the-four-predictions", _smoothing, of_scores=False, of_images=True,
    ),
    Claim(
        "C7", "", "NPR's scores on SD3 shift to the left at FP8 and FP4, into false negatives.",
        "paired logit shift of NPR on SD3 at FP8 and FP4, in standard deviations of FP32",
        "A shift means that each whole interval is at least {shift:.2f} to the left.",
        "04_distribution_shift", "figure-npr", _moved,
    ),
    Claim(
        "C8", "", "R50_TF's densities on SD3 overlap across precisions.",
        "paired logit shift of R50_TF on SD3 at each precision, in standard deviations of FP32",
        "An overlap means that each whole interval lies within {overlap:.2f} of no shift, either way.",
        "04_distribution_shift", "figure-tf", _overlap,
    ),
    Claim(
        "C9", "", "Flux.1 and SDXL stay above 95 % accuracy even at FP4.",
        "accuracy of every detector on SDXL and Flux.1 at FP4",
        "They stay above if each whole interval is at least {high:.2f}.",
        "05_flux_sdxl_robustness", "figure-flux1", _robust,
    ),
    Claim(
        "C9", "loss", "Flux.1 and SDXL are robust: their fingerprints are stronger than the noise reduction of "
        "quantization.",
        "paired change of accuracy on SDXL and Flux.1 from FP32 to FP4, every detector",
        "Robust means that each whole interval is a loss of less than {drop:.2f}, whatever the accuracy was.",
        "05_flux_sdxl_robustness", "figure-flux1", _robust_loss,
    ),
    Claim(
        "C10", "", "Modern detectors (NPR) do poorly on older, lower-resolution generators (SD1.5).",
        "accuracy of NPR at FP32 on SD1.5, and its difference to the four newer generators",
        "Poorly means at most {challenging:.2f}, and a deficit of more than {drop:.2f}, with each whole interval.",
        "06_legacy_sd15", "figure-legacy", _legacy,
    ),
    Claim(
        "C11", "", "Detectors that learn from scratch (NPR, R50_nodown) are less robust than feature-based ones "
        "(R50_TF, CLIP-D).",
        "change of accuracy from FP32 to FP4 averaged over generators, end-to-end minus feature-based detectors",
        "Less robust means that the whole interval is a deficit of more than {drop:.2f}.",
        "02_heatmap", "figure-heatmap", _families,
    ),
)  # fmt: skip


def evaluate(results: Results, *ids: str) -> list[Outcome]:
    """What the results say of each claim of the deck, in its order; with `ids` ("C4" ...) of these alone.

    Raises UsageError for an id that the deck does not have.
    """
    known = list(dict.fromkeys(claim.id for claim in CLAIMS))
    for asked in ids:
        if asked not in known:
            raise UsageError(f"claims: no {asked!r}{nearest(asked, known)}; the deck has {known[0]} to {known[-1]}")
    limits = margins(results)
    return [
        Outcome(claim, claim.judge(results), claim.rule.format(**limits))
        for claim in CLAIMS
        if not ids or claim.id in ids
    ]


def table(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: key, id, part, words, quantity, rule, verdict, of, estimate, low, high, n, answer.

    `of` names the deciding figure, whose estimate, interval and number of images stand beside it.
    """
    return pd.DataFrame([
        {
            "key": outcome.claim.key, "id": outcome.claim.id, "part": outcome.claim.part,
            "words": outcome.claim.words, "quantity": outcome.claim.quantity, "rule": outcome.rule,
            "verdict": outcome.verdict, "of": outcome.finding.deciding,
            "estimate": outcome.interval.estimate, "low": outcome.interval.low, "high": outcome.interval.high,
            "n": outcome.finding.n, "answer": outcome.answer,
        }
        for outcome in outcomes
    ])  # fmt: skip


# The same claims where something else is different


def calibrated(results: Results) -> Results:
    """The same results with each detector's threshold for each generator put where it is best at FP32.

    The threshold is that of `tables.cells`: found on the FP32 fakes and reals of even index. The logits here are the
    odd ones less that threshold, plus the page's own, so that what is called fake changes and nothing else. It is on
    the scores' own scale, so nothing hangs on whether that is said.
    """
    moved = {}
    for detector in results.detectors:
        for generator in results.generators:
            sides = (results.logits(detector, generator, results.baseline), results.reals(detector, generator))
            limit = metrics.calibrate(*(cells.half(side, 0).to_numpy() for side in sides))
            for precision in results.precisions if not isnan(limit) else ():
                logits = cells.half(results.logits(detector, generator, precision), 1)
                if len(logits):
                    moved[(detector, generator, precision)] = logits - limit + results.threshold
    return tables.with_fakes(replace(results, unsaid=()), results.precisions, moved)


@dataclass(frozen=True)
class _Condition:
    title: str
    load: Callable[[], Results]
    protocol: str
    weights: str
    detectors: tuple[str, ...] = field(default=())


def _conditions(results: Results) -> list[_Condition]:
    """Every protocol, training and threshold that the study can be judged under, the page's own first."""
    found = []
    for protocol, label, detectors in conditions.trainings_of(results):

        def under(protocol=protocol, label=label, detectors=detectors) -> Results:  # fmt: skip
            return conditions.under(results, protocol, label, detectors)

        own = label == conditions.own_training(results, protocol)
        fewer = f" of {listed([named(key) for key in detectors])}" if len(detectors) < len(results.detectors) else ""
        title = protocol if own else f"{protocol}, training {label}{fewer}"
        found.append(_Condition(title, under, protocol, label, tuple(detectors)))
        if own and (results.scores.label == 0).any():  # without reals no threshold can be calibrated
            found.append(
                _Condition(
                    f"{protocol}, calibrated threshold", lambda under=under: calibrated(under()), protocol, label,
                    tuple(detectors),
                )
            )  # fmt: skip
    own = (results.protocol, conditions.own_training(results, results.protocol))
    return sorted(found, key=lambda condition: (condition.protocol, condition.weights) != own)


def across(results: Results) -> pd.DataFrame:
    """Every claim that depends on scores under every protocol, training and threshold of the study.

    One row per claim and condition: key, condition (its name), protocol, weights, detectors (those scored there, of
    which a claim takes the ones it names), verdict, of, estimate, low, high, n. Kept with the results.
    """
    if "across" not in results.cache:
        frames, ids = [], {claim.id for claim in CLAIMS if claim.of_scores}
        further = {claim.id for claim in CLAIMS if claim.of_images}
        for condition in _conditions(results):
            there = condition.load()
            outcomes = evaluate(there, *ids, *(further if condition.title == condition.protocol else ()))
            frame = table(outcomes)[["key", "verdict", "of", "estimate", "low", "high", "n"]]
            detectors = listed([named(key) for key in condition.detectors])
            frames.append(
                frame.assign(
                    condition=condition.title, protocol=condition.protocol, weights=condition.weights,
                    detectors=detectors,
                )
            )  # fmt: skip
        results.cache["across"] = pd.concat(frames, ignore_index=True)
    return results.cache["across"]


def elsewhere(results: Results, claim: Claim) -> str:
    """The sentence that says under which other protocols, trainings and thresholds the verdict on a claim differs."""
    found = across(results)
    rows = found[found.key == claim.key]
    if len(rows) < 2:
        return "There is no other protocol or training to judge it under."
    own, others = rows.iloc[0], rows.iloc[1:]
    differs = others[others.verdict != own.verdict]
    if differs.empty:
        whole = f"all {len(others)} other conditions" if len(others) > 1 else "the one other condition"
        return f"The verdict is the same under {whole}."
    parts = [
        f"{row.verdict} under {row.condition}" + ("" if isnan(row.estimate) else f" ({_short(row)})")
        for row in differs.itertuples()
    ]
    if len(others) == 1:
        return f"Under the one other condition it is otherwise: {parts[0]}."
    come = "one comes" if len(differs) == 1 else f"{len(differs)} come"
    return f"Of {_count(others, 'other condition')} {come} out otherwise: {listed(parts)}."


def _short(row: object) -> str:
    return number(Interval(row.estimate, row.low, row.high), sign=row.low < 0).replace(" (", ", ").removesuffix(")")


def summary(outcomes: Sequence[Outcome]) -> str:
    """The sentence that counts the verdicts."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    order = ["supported", "contradicted", "inconclusive", NOT_TESTABLE]
    parts = [f"{counts[verdict]} {'is' if counts[verdict] == 1 else 'are'} {verdict}" for verdict in order]
    ids = len({outcome.claim.id for outcome in outcomes})
    return f"The deck's {ids} claims make {len(outcomes)} statements, of which {listed(parts)} by this study."
