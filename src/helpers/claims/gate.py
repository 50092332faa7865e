"""The gate for instruments: which detectors count for a claim, under which protocol, and what is said of the others.

A detector counts where it is adequate: its AUC at the baseline, on some generator that its training covers, is at least
the margin `adequate`. For a claim of a fall it counts on the generators on which it also has room: an AUC at the
baseline under the margin `ceiling`. Such a claim is judged under the page's protocol, or under `aligned` or `shared`
where more of its detectors count there. Where none counts it is not testable. What has no AUC (a study without reals,
or with too few images) is not gated, and that is said. Nothing but scores at the baseline decides this. A detector that
nobody published as one (`Entry.published`) decides no claim of the deck, however well it works.

A claim that names a training is judged under that one, where the study has it, and adequacy is then asked of what that
training covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

from helpers.analysis.conditions import own_training, trainings_of, under
from helpers.analysis.instruments import instruments
from helpers.analysis.stats import metrics
from helpers.analysis.words import listed, named, share
from helpers.claims.claim import FALL, Claim, Reads
from helpers.claims.rule import NOT_TESTABLE, SAID, Finding, margins
from helpers.claims.thresholds import at_false_alarms
from helpers.results.memo import once
from helpers.results.results import Results, of_deck, of_pairs

__all__ = ["counted", "gated"]


@dataclass(frozen=True)
class _Admitted:
    """What counts for a claim under one protocol and training.

    `asked` are the pairs of detector and generator that it reads, `pairs` those of them that count, `unknown` the
    detectors of which no AUC is known, `why` the reason of each detector that counts nowhere or not everywhere.
    """

    results: Results
    asked: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    why: dict[str, str]

    @property
    def detectors(self) -> tuple[str, ...]:
        """The detectors that count somewhere."""
        return tuple(dict.fromkeys(detector for detector, _ in self.pairs))

    def kept(self, results: Results) -> Results:
        """Of these results, or of what was made of them, what counts."""
        return results if self.pairs == self.asked else of_pairs(results, self.pairs)


def gated(claim: Claim, results: Results, elsewhere: bool = True) -> Finding:
    """The finding on a claim by the detectors that can answer; on all of them where the claim has no gate.

    With `elsewhere` a claim that names a training is judged under it, a claim of a fall may be decided under another
    protocol than the page's, and the note says what another operating point makes of a rate. Kept with the results.
    """
    found: Finding = _gated(results, claim, elsewhere)
    return found


@once
def _gated(results: Results, claim: Claim, elsewhere: bool) -> Finding:
    if claim.reads is None:
        return claim.judge(results)
    results = of_deck(results)
    first, training = _first(claim, claim.reads, results) if elsewhere else (results, "")
    own = _admitted(first, claim.reads)
    if not own.asked:  # the study lacks the cells, and the judge says so
        return claim.judge(first)
    tried = [own, *(_elsewhere(results, claim.reads, own) if elsewhere else ())]
    best = _best(tried)
    moved = "" if best is own else best.results.protocol
    training = "" if moved else training
    why = _training(claim, results, training) if elsewhere else ""
    if not best.pairs:
        return Finding(NOT_TESTABLE, _none(tried, results), {}, note=why, training=training)
    kept = best.kept(best.results)
    finding = claim.judge(kept)
    if finding.verdict == NOT_TESTABLE:
        return replace(finding, note=why, training=training)
    said = [why, _condition(own, best) if moved else "", _left_out(best), _unknown(best)]
    said += [_operating(claim, kept, best, finding)] if elsewhere and claim.reads.rate else []
    return replace(finding, note=" ".join(filter(None, said)), protocol=moved, training=training)


def _first(claim: Claim, reads: Reads, results: Results) -> tuple[Results, str]:
    """The results under the training that a claim is judged under first, and its label; the page's own, and "", where
    the claim names none or the study did not score its detectors under it."""
    named_ones = {detector for group in reads.groups for detector in group} or set(results.detectors)
    for protocol, label, detectors in trainings_of(results) if claim.training else ():
        there = named_ones & set(results.detectors) <= set(detectors)
        if (protocol, label) == (results.protocol, claim.training) and there:
            own = label == own_training(results, protocol)
            return (results, "") if own else (under(results, protocol, label, detectors), label)
    return results, ""


def _training(claim: Claim, results: Results, training: str) -> str:
    """The sentence on the training that decides; "" where it is the page's own and should be."""
    if training:
        return f"The training {training} decides: {claim.because}."
    if not claim.training or results.scale != "mini" or claim.training in results.trainings.values():
        return ""
    elsewhere = (results.counts.weights == claim.training).any()
    lacks = f"was not scored under {results.protocol}" if elsewhere else "this study lacks"
    return f"It should be judged under the training {claim.training} ({claim.because}), which {lacks}."


def counted(claim: Claim, results: Results) -> Results | None:
    """The scores that `gated` judges a claim by, under the protocol and training that decide; None where it has
    no gate, the study lacks the cells, or nothing counts."""
    if claim.reads is None:
        return None
    results = of_deck(results)
    own = _admitted(_first(claim, claim.reads, results)[0], claim.reads)
    if not own.asked:
        return None
    best = _best([own, *_elsewhere(results, claim.reads, own)])
    return best.kept(best.results) if best.pairs else None


def _best(tried: Sequence[_Admitted]) -> _Admitted:
    """Where most detectors count; of equals the first."""
    return max(tried, key=lambda found: len(found.detectors))


def _admitted(results: Results, reads: Reads) -> _Admitted:
    """What counts under these results' protocol and training."""
    limits, known = margins(results), instruments(results)
    groups = [[key for key in results.detectors if not group or key in group] for group in reads.groups]
    wanted = [key for key in results.generators if not reads.generators or key in reads.generators]
    asked = [(detector, key) for group in groups for detector in group for key in wanted]
    pairs, why, unknown = [], {}, []
    for detector in dict.fromkeys(detector for detector, _ in asked):
        own = known[detector]
        adequate = own.adequate(limits["adequate"])
        full = [key for key in wanted if reads.kind == FALL and own.room(key, limits["ceiling"]) is False]
        unknown += [detector] if adequate is None else []
        if adequate is False:
            why[detector] = f"tells too little apart (AUC at most {own.best:.3f})"
            continue
        pairs += [(detector, key) for key in wanted if key not in full]
        if full:
            areas = [own.areas[key].estimate for key in full]
            titles = [results.titled(key)["generator_title"] for key in full]
            where = "any generator" if full == wanted and not reads.generators else listed(titles)
            why[detector] = f"has no room on {where} (AUC {_span(areas)})"
    together = [key for key in wanted if all(any((d, key) in pairs for d in group) for group in groups)]
    counted = [pair for pair in pairs if pair[1] in together or not all(groups)]
    return _Admitted(results, tuple(asked), tuple(counted), tuple(unknown), why)


def _elsewhere(results: Results, reads: Reads, own: _Admitted) -> list[_Admitted]:
    """What counts for a claim of a fall under the protocols that leave room, where some detector does not here."""
    if reads.kind != FALL or not own.why:
        return []
    there = {protocol: (label, names) for protocol, label, names in reversed(trainings_of(results))
             if label == own_training(results, protocol)}  # fmt: skip
    return [
        _admitted(under(results, protocol, *there[protocol]), reads)
        for protocol in results.rules.judging.roomy.value if protocol in there and protocol != results.protocol
    ]  # fmt: skip


def _span(areas: Sequence[float]) -> str:
    """Least and most of some AUCs, in print."""
    least, most = f"{min(areas):.3f}", f"{max(areas):.3f}"
    return least if least == most else f"{least} to {most}"


def _reasons(found: _Admitted) -> str:
    """A sentence for each detector, but for the stop of the last."""
    return ". ".join(f"{named(detector)} {why}" for detector, why in found.why.items())


def _none(tried: Sequence[_Admitted], results: Results) -> str:
    """The sentence where no detector counts, which names each and what it lacks under every protocol tried."""
    parts = [f"under {found.results.protocol} {_reasons(found)}." for found in tried]
    return f"Not testable: instrument. At {named(results.baseline)}, {' And '.join(parts)}"


def _condition(own: _Admitted, best: _Admitted) -> str:
    """The sentence that says which protocol decides, and why it is not the page's."""
    here = f"at {named(own.results.baseline)}, under {own.results.protocol}, {_reasons(own)}"
    return f"The protocol {best.results.protocol} decides: {here}."


def _left_out(best: _Admitted) -> str:
    """The sentence on what does not count where the claim is decided."""
    lacking = f"Left out under {best.results.protocol}, by AUC at {named(best.results.baseline)}: {_reasons(best)}."
    kept = {key for _, key in best.pairs}
    if not best.why:
        return ""
    if kept == {key for _, key in best.asked}:
        return lacking
    on = listed([best.results.titled(key)["generator_title"] for key in best.results.generators if key in kept])
    return f"{lacking} So it is judged on {on}."


def _unknown(best: _Admitted) -> str:
    """The sentence on detectors of which nobody knows whether they tell anything apart; "" where there are none."""
    if not best.unknown:
        return ""
    who = listed([named(detector) for detector in best.unknown])
    base = named(best.results.baseline)
    return f"Whether {who} can tell fakes from reals at all is not known here: no AUC at {base}."


def _operating(claim: Claim, kept: Results, best: _Admitted, finding: Finding) -> str:
    """The sentence that says that a verdict on a rate hangs on the threshold, where at another it is another."""
    if best.unknown or kept.unjudged:
        return ""
    other = claim.judge(best.kept(at_false_alarms(best.results)))
    if other.verdict in (finding.verdict, NOT_TESTABLE):
        return ""
    most = kept.rules.judging.false_alarms.value
    areas = {precision: _mean_area(kept, best.pairs, precision) for precision in (kept.baseline, kept.lowest)}
    auc = " and ".join(f"{area:.3f} at {named(key)}" for key, area in areas.items() if not isnan(area))
    return (
        f"The answer depends on the operating point: at thresholds that {share(most)} of "
        f"the reals pass it {SAID[other.verdict]} ({other.sentence.removesuffix('.')}). The mean AUC of what counts is "
        f"{auc}."
    )


def _mean_area(kept: Results, pairs: Sequence[tuple[str, str]], precision: str) -> float:
    """The mean AUC over pairs of detector and generator at a precision; NaN where one is not known."""
    areas = [metrics.auc(kept.logits(d, g, precision), kept.reals(d, g)).estimate for d, g in pairs]
    return sum(areas) / len(areas)
