"""What the figures that need no detector's own threshold make of a claim of a detection rate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isnan

from helpers.analysis.figures import FIGURES, mean_changes, mean_levels
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import capitalised, counted, listed, named, number, share
from helpers.claims import Claim, Outcome
from helpers.claims.gate import counted as counts_for
from helpers.claims.rule import NOT_TESTABLE, SAID
from helpers.claims.thresholds import at_false_alarms
from helpers.results.results import Results, of_pairs

__all__ = ["operating_note"]

NO_REALS = "Without real images neither AUC nor TPR at 5 % FPR is known, so the detection rate leads."


def operating_note(results: Results, outcome: Outcome) -> str:
    """The sentences that say whether a claim of a rate hangs on the operating point, with AUC and TPR at 5 % FPR before
    the detection rate; "" for a claim of no rate.

    They read what the claim is judged on: the detectors that count, under the protocol that decides. Where a claim sets
    kinds of detectors against each other and not all count, the figures of all stand beside.
    """
    claim = outcome.claim
    if claim.reads is None or not claim.reads.rate:
        return ""
    if not (results.scores.label == 0).any():
        return NO_REALS
    kept = counts_for(claim, results)
    if kept is None:
        return "There is nothing that counts to judge at another operating point."
    verdicts = [claim.judge(of).verdict for of in (kept, at_false_alarms(kept))]
    passing = f"where {share(results.rules.judging.false_alarms.value)} of the reals pass"
    own = f"at the threshold {results.threshold:g}" if results.threshold else "at the detectors' own thresholds"
    said = [
        _depends(*verdicts, own, passing),
        capitalised(_figures(claim, kept)),
        _figures_of_all(claim, results, kept),
    ]
    return " ".join(filter(None, said))


def _depends(first: str, other: str, own: str, passing: str) -> str:
    """The sentence on both verdicts: at the page's thresholds (`own`), and `passing`, at those that the reals set."""
    if first == other == NOT_TESTABLE:
        return "At neither operating point is it testable."
    if first == other:
        return f"The claim {SAID[first]} {own} and {passing} alike."
    both = f"it {SAID[first]} {own} and {SAID[other]} {passing}"
    return f"{both[0].upper()}{both[1:]}." if NOT_TESTABLE in (first, other) else (
        f"The answer depends on the operating point: {both}."
    )  # fmt: skip


def _asked(claim: Claim, results: Results) -> list[list[str]]:
    """The page's detectors of each group that a claim reads."""
    groups = claim.reads.groups if claim.reads else ()
    return [[key for key in results.detectors if not group or key in group] for group in groups]


def _read(claim: Claim, results: Results) -> Results:
    """The results with nothing but the generators and detectors that a claim reads."""
    wanted: Collection[str] = (claim.reads.generators if claim.reads else ()) or results.generators
    asked = {detector for group in _asked(claim, results) for detector in group}
    return of_pairs(results, {(detector, key) for detector in asked for key in wanted})


def _figures(claim: Claim, results: Results) -> str:
    """All figures at the baseline and at FP4 (the lowest precision where that is not there), of a claim on the baseline
    alone there; "" without pairs."""
    read = _read(claim, results)
    if not claim.dosed:
        return _levels(claim, read)
    low, groups = "fp4" if "fp4" in results.precisions else results.lowest, _asked(claim, read)
    if not low or not read.detectors or len(groups) > 1 and not all(groups):
        return ""
    span = f"from {named(read.baseline)} to {named(low)}"
    if len(groups) > 1:
        who = " less those of ".join(listed([named(key) for key in group]) for group in groups[:2])
        said = _contrast(mean_changes(read, *groups[:2], precision=low))
        over = counted(len(read.generators), "generator")
        return f"changes of {who}, {span} over {over}{_under(claim, read)}: {said}." if said else ""
    levels = [mean_levels(read, precision) for precision in (read.baseline, low)]
    changes = mean_changes(read, read.detectors, precision=low)
    parts = [
        f"{title} {levels[0][name]:.3f} to {levels[1][name]:.3f}, a change of {number(changes[name], 3, sign=True)}"
        for name, title in FIGURES.items() if not isnan(changes[name].estimate)
    ]  # fmt: skip
    return f"{span}{_under(claim, read)}: {'; '.join(parts)}." if parts else ""


def _levels(claim: Claim, read: Results) -> str:
    """All figures of what a claim reads at the baseline, means over its generators and detectors; "" without any."""
    levels = mean_levels(read, read.baseline)
    parts = [f"{title} {levels[name]:.3f}" for name, title in FIGURES.items() if not isnan(levels[name])]
    over = f" over {counted(len(read.generators), 'generator')}" if len(read.generators) > 1 else ""
    return f"at {named(read.baseline)}{over}{_under(claim, read)}: {'; '.join(parts)}." if parts else ""


def _under(claim: Claim, read: Results) -> str:
    """The protocol and the training of the scores that are read, where they are not what a reader takes them for."""
    protocol = "" if read.protocol == "plain" else f", under {read.protocol}"
    trained = claim.training and claim.training in {read.trainings[key] for key in read.detectors}
    return f"{protocol}, by the training {claim.training}" if trained else protocol


def _contrast(changes: Mapping[str, Interval]) -> str:
    """The differences of all figures, and whether they point the same way; "" where none is known."""
    known = {name: of for name, of in changes.items() if not isnan(of.estimate)}
    parts = "; ".join(f"{FIGURES[name]} {number(of, 3, sign=True)}" for name, of in known.items())
    if len({of.estimate > 0 for of in known.values() if of.estimate}) < 2:
        return f"{parts}. So its sign does not depend on the operating point" if parts else ""
    sure = {of.low > 0 for of in known.values() if of.low > 0 or of.high < 0}
    beyond = "" if len(sure) > 1 else ", though not beyond the intervals"
    return f"{parts}. So its sign depends on the operating point{beyond}"


def _figures_of_all(claim: Claim, results: Results, kept: Results) -> str:
    """The same of every detector and generator of the page, where a claim sets kinds against each other and not all
    count."""
    whole = _read(claim, results)
    if len(_asked(claim, results)) < 2 or (whole.detectors, whole.generators) == (kept.detectors, kept.generators):
        return ""
    said = _figures(claim, results)
    return f"Whether they count or not, {said}" if said else ""
