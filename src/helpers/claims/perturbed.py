"""What perturbations cost beside quantization: the sentence and its verdict."""

from __future__ import annotations

from helpers.analysis.perturbed import damages, title
from helpers.analysis.words import listed, named, number
from helpers.claims.rule import LEAST_IMAGES, NOT_TESTABLE, Finding, too_few
from helpers.results.results import Results

__all__ = ["perturbation_finding"]


def perturbation_finding(results: Results, precision: str = "", perturbation: str = "jpeg:75") -> Finding:
    """Whether a precision costs more or less AUC than a perturbation, detector by detector, as a sentence.

    By default the precision is the results' lowest one.
    Its verdict is "less" or "more" where all detectors agree, else "depends".
    """
    precision = precision or results.lowest
    found = damages(results, precision, perturbation)
    what, other = named(precision) or "a lower precision", title(perturbation)
    if not found:
        return Finding(NOT_TESTABLE, f"This study cannot say whether {what} does more damage than {other}: "
                       "it has no perturbed scores of such images.", {})  # fmt: skip
    if (fewest := min(of.prompts for of in found)) < LEAST_IMAGES:
        return Finding(NOT_TESTABLE, f"This study cannot say whether {what} does more damage than {other}: "
                       f"{too_few(fewest)}.", {})  # fmt: skip
    detectors = results.titles("detector")
    groups = {verdict: [of for of in found if of.verdict == verdict] for verdict in ("less", "more", "open")}
    said = {"less": "less damaging than {} for {}", "more": "more damaging than {} for {}",
            "open": "not to be told apart from {} for {}"}  # fmt: skip
    parts = [
        said[verdict].format(other, listed([detectors[of.detector] for of in group]))
        for verdict, group in groups.items() if group
    ]  # fmt: skip
    losses = [
        f"{detectors[of.detector]} {number(of.quantization, 3)} against {number(of.perturbation, 3)}" for of in found
    ]
    one = next(iter(v for v, group in groups.items() if len(group) == len(found)), "depends")
    sentence = f"{what} is {listed(parts)}. The AUC lost to {what}, against that to {other}, is {', '.join(losses)}."
    return Finding(one, sentence, {of.detector: of.difference for of in found})
