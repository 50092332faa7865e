"""The deck judged once more on other prompts and seeds, by the same rules: what of the exploration is confirmed.

The confirmation of the results in a folder X lies beside it, in X-confirmation, and its study file says whose claims it
judges again (`confirms`). Its images are of other prompts and other noise; where any image is in both, it is none.

Like is compared with like: what the gate chose for a verdict here (protocol, training, the detectors that count and on
which generators) judges it there too, and is not chosen anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from helpers.analysis.stats import metrics
from helpers.analysis.words import counted, listed, number
from helpers.claims.claim import Claim, Outcome
from helpers.claims.gate import counted as counted_for
from helpers.claims.gate import gated
from helpers.claims.rule import NOT_TESTABLE, SAID, Finding
from helpers.core.errors import UsageError
from helpers.results.memo import once
from helpers.results.results import Results, check_results, judged_by, load, manifest_of, of_pairs

__all__ = ["CONFIRMED", "OPEN", "OTHERWISE", "again", "beside", "compared", "sentence"]

CONFIRMED, OTHERWISE, OPEN = "confirmed", "not confirmed", "nothing to confirm"


class Beside(NamedTuple):
    """The confirmation that lies beside a study, judged by its rules; None, and the reason, where there is none."""

    results: Results | None
    why: str


def beside(results: Results) -> Beside:
    """The confirmation of these results, narrowed as they are."""
    if results.folder is None:
        return Beside(None, "these results lie in no folder, beside which it could be")
    folder = results.folder.with_name(f"{results.folder.name}-confirmation")
    if not (folder / "scores.parquet").is_file():
        return Beside(None, f"there is no {folder.name} beside {results.folder.name}")
    study = manifest_of(check_results(folder)).get("study") or {}
    own = (results.manifest.get("study") or {}).get("name")
    if own is None or study.get("confirms") != own:
        return Beside(None, f"{folder.name} is of a study that does not confirm {own or 'this one'}")
    try:
        there = _load(results, folder)
    except UsageError as error:
        return Beside(None, f"{folder.name} cannot be narrowed as these results are ({error})")
    judged: Beside = _judged(there, results)
    return judged


# Kept by the confirmation and not by what it confirms, for it can come or change while that stays as it is.
@once
def _judged(there: Results, results: Results) -> Beside:
    if shared := _shared(results, there):
        both = " and ".join(of.folder.name for of in (there, results) if of.folder)
        return Beside(None, f"{both} have {counted(shared, 'image')} in common")
    return Beside(judged_by(there, results.rules), "")


def _load(results: Results, folder: Path) -> Results:
    kept = results.generators, results.precisions, results.detectors
    return load(folder, *kept, results.threshold, results.protocol, results.arm)


def _shared(results: Results, there: Results) -> int:
    """How many images, fakes or reals, both have, by the digest of their pixels."""
    both = (set(of.stored.image_sha256.unique()) - {""} for of in (results, there))
    return len(set.intersection(*both))


def compared(results: Results, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per outcome that rests on scores or images of the study; empty without a confirmation.

    key, title, short; `verdict`, `of` (the deciding figure), `estimate`, `low`, `high`, `signed` (whether that is a
    change) and `n` in the exploration; `there_verdict`, and the same figure there, `there_estimate`, `there_low`,
    `there_high` (NaN where it is not among the figures there) with `there_n`, the images behind the figure that decides
    there; `result`: CONFIRMED where the verdict is one of those that the rules call decided and the same in both,
    OTHERWISE where it is decided here alone or otherwise there, OPEN where it is not decided here; `trainings` and
    `there_trainings`, over how many of them the interval of the figure is; `why`, the reason where it is not testable
    there.
    """
    there = beside(results).results
    if there is None:
        return pd.DataFrame()
    decided = results.rules.judging.decided.value
    rows = []
    for outcome in outcomes:
        if not outcome.claim.of_study:
            continue
        other, here = again(outcome.claim, results, there), outcome.interval
        figure = other.figures.get(outcome.finding.deciding, metrics.UNKNOWN)
        basis = other.bases.get(outcome.finding.deciding, other.basis)
        same = CONFIRMED if other.verdict == outcome.verdict else OTHERWISE
        rows.append({
            "key": outcome.claim.key, "title": outcome.claim.title, "short": outcome.claim.short,
            "verdict": outcome.verdict, "of": outcome.finding.deciding,
            "estimate": here.estimate, "low": here.low, "high": here.high, "signed": outcome.finding.signed,
            "n": outcome.finding.n,
            "there_verdict": other.verdict, "there_estimate": figure.estimate,
            "there_low": figure.low, "there_high": figure.high, "there_n": other.n,
            "why": other.sentence if other.verdict == NOT_TESTABLE else "",
            "result": same if outcome.verdict in decided else OPEN,
            "trainings": outcome.finding.basis.trainings, "there_trainings": basis.trainings,
        })  # fmt: skip
    return pd.DataFrame(rows)


def again(claim: Claim, results: Results, there: Results) -> Finding:
    """The finding there under the protocol and training that decide here, by the detectors and on the generators that
    count here; not testable where the confirmation lacks one of them."""
    kept = counted_for(claim, results)
    if kept is None:  # no gate, or nothing that counts
        return gated(claim, there)
    trainings = {detector: kept.trainings[detector] for detector in kept.detectors}
    rows = there.counts[there.counts.protocol == kept.protocol]
    known = set(zip(rows.detector.astype(str), rows.weights, strict=True))
    lacking = dict.fromkeys(label for own in trainings.items() if own not in known for label in own[1:])
    if lacking:
        return Finding(NOT_TESTABLE, f"it has no scores of {listed(list(lacking))} under {kept.protocol}", {})
    other = there.under(kept.protocol, trainings, generators=kept.generators, detectors=kept.detectors)
    pairs = [(d, g) for d in kept.detectors for g in kept.generators if len(kept.logits(d, g, kept.baseline))]
    return claim.judge(of_pairs(other, pairs))


def sentence(results: Results, table: pd.DataFrame) -> str:
    """What the confirmation says, counted, by the table of `compared`; without one, that it has not been made."""
    found = beside(results)
    if found.results is None or table.empty:
        return (
            f"The confirmation has not been made yet: {found.why or 'no claim here rests on scores'}. Until then each "
            "verdict rests on one set of prompts and seeds."
        )
    decided, open_ = table[table.result != OPEN], table[table.result == OPEN]
    held, other = decided[decided.result == CONFIRMED], decided[decided.result == OTHERWISE]
    said = (
        f"Of {counted(len(table), 'statement')} that rest on this study's scores, {len(decided)} "
        f"{'is' if len(decided) == 1 else 'are'} decided by it, and {len(held)} of these "
        f"{'comes' if len(held) == 1 else 'come'} out the same on prompts and seeds that it never saw."
    )
    if len(other):
        said += f" Not confirmed: {'; '.join(_changed(row) for _, row in other.iterrows())}."
    fewer = int(((decided.there_trainings < decided.trainings) & (decided.why == "")).sum())
    if fewer:
        said += f" Of {fewer} the confirmation's interval is over fewer trainings, and narrower for that."
    if len(open_):
        now = open_[open_.there_verdict.isin(results.rules.judging.decided.value)]
        left = f"Nothing is to be confirmed of the {len(open_)} that are not decided"
        said += f" {left}{f', though {listed(list(now.title))} would be decided there' if len(now) else ''}."
    return said


def _changed(row: pd.Series) -> str:
    ends = metrics.Interval(row.there_estimate, row.there_low, row.there_high)
    figure = "" if pd.isna(row.there_estimate) else f" ({number(ends)}, {row['of']})"
    figure = f" ({row.why.removesuffix('.')})" if row.why else figure
    return f"{row.title}, which {SAID[row.verdict]} here and {SAID[row.there_verdict]} there{figure}"
