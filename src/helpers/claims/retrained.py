"""The deck judged again with other trainings of the generators: how much of a verdict belongs to one training of them.

Other trainings of a study's generators lie beside its results in a folder X, in X-denoisers-s1, X-denoisers-s2 ..., and
their study files say of which study they are (`retrains`). Prompts, seeds, VAEs, text encoders and detectors are that
study's. Generators that were trained once keep their images.

As with a confirmation (`helpers.claims.confirmation`), what the gate chose for a verdict judges it there too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from helpers.analysis import effects
from helpers.analysis.stats.metrics import UNKNOWN
from helpers.analysis.words import counted, listed, named
from helpers.claims.claim import Outcome
from helpers.claims.confirmation import again
from helpers.claims.rule import SAID
from helpers.core.errors import UsageError
from helpers.results.results import Results, load, manifest_of, with_generators

__all__ = ["beside", "changes", "compared", "kept", "moved", "sentence", "trainings"]


def beside(results: Results) -> list[Results]:
    """These results with the generators of each other training in place of their own, by the names of the folders;
    empty where none lies beside them. Under another protocol or narrowed otherwise, as these are.
    """
    found = [_loaded(results, folder) for folder in _folders(results)]
    return [with_generators(results, other) for other in found if other is not None]


def trainings(results: Results) -> dict[str, int]:
    """How many other trainings lie beside these results, of each generator that has any, by key."""
    found = Counter(key for keys in _folders(results).values() for key in keys)
    return {key: found[key] for key in results.generators if key in found}


def _folders(results: Results) -> dict[Path, list[str]]:
    """The folders beside these results that hold other trainings of their study, with the generators there."""
    own = (results.manifest.get("study") or {}).get("name")
    if results.folder is None or own is None:
        return {}
    files = sorted(results.folder.parent.glob(f"{results.folder.name}-denoisers-s*/scores.parquet"))
    studies = {file.parent: manifest_of(file.parent).get("study") or {} for file in files}
    return {folder: list(of.get("generators", ())) for folder, of in studies.items() if of.get("retrains") == own}


def _loaded(results: Results, folder: Path) -> Results | None:
    """What lies there, narrowed as these results; None where it has nothing of these."""
    try:
        there = load(folder, None, results.precisions, results.detectors, results.threshold, results.protocol)
    except UsageError:
        return None
    return None if {*there.generators}.isdisjoint(results.generators) else there


def compared(results: Results, outcomes: Sequence[Outcome], others: Sequence[Results]) -> pd.DataFrame:
    """One row per outcome that rests on scores or images of the study, and training (1 is the study's own).

    key, title, `of` (the deciding figure), training, verdict, estimate, low, high (NaN where the figure is not among
    those of that training), signed (whether it is a change), decided (whether the study's own verdict is one that the
    rules call decided).
    """
    rows = []
    for outcome in outcomes if others else ():
        if not outcome.claim.of_study:
            continue
        findings = [outcome.finding, *(again(outcome.claim, results, other) for other in others)]
        for training, finding in enumerate(findings, 1):
            figure = finding.figures.get(outcome.finding.deciding, UNKNOWN)
            rows.append({
                "key": outcome.claim.key, "title": outcome.claim.title, "of": outcome.finding.deciding,
                "training": training, "verdict": finding.verdict,
                "estimate": figure.estimate, "low": figure.low, "high": figure.high, "signed": outcome.finding.signed,
                "decided": outcome.verdict in results.rules.judging.decided.value,
            })  # fmt: skip
    return pd.DataFrame(rows)


def changes(results: Results, others: Sequence[Results]) -> pd.DataFrame:
    """One row per generator with other trainings, precision, detector and training (1 is the study's own): the change
    of AUC from the baseline with its interval over prompts (estimate, low, high), and `auc` at the baseline.
    """
    rows = []
    for generator in trainings(results) if others else ():
        for precision in (key for key in results.precisions if key != results.baseline):
            for detector in results.detectors:
                for training, of in enumerate((results, *others), 1):
                    changed, base = (
                        effects.area_change(of, detector, generator, precision),
                        effects.area(of, detector, generator, of.baseline),
                    )
                    if changed is None or base is None:
                        continue
                    ends = changed.at(0.95)
                    rows.append({
                        "generator": generator, "precision": precision, "detector": detector, "training": training,
                        "auc": base.estimates[""], "estimate": ends.estimate, "low": ends.low, "high": ends.high,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def kept(table: pd.DataFrame) -> tuple[int, int]:
    """Of the changes of `changes` whose interval under the study's own training is without 0: how many keep their sign
    under every other training, and how many there are."""
    wide = table.pivot(index=["generator", "precision", "detector"], columns="training", values="estimate")
    own = table[table.training == 1].set_index(["generator", "precision", "detector"])
    clear = own[(own.low > 0) | (own.high < 0)].index
    signs = wide.loc[clear].gt(0)
    return int(signs.eq(signs[1], axis=0).all(axis=1).sum()), len(clear)


def moved(table: pd.DataFrame) -> str:
    """What the changes of AUC have in common under all trainings, by the table of `changes`; "" where it is empty."""
    if table.empty:
        return ""
    same, clear = kept(table)
    changed = counted(len(table[table.training == 1]), "change")
    return (
        f"Of {changed} of AUC of these generators "
        f"{clear} are clear of 0 under the first training, over its prompts; {same} of these have the same sign under "
        "every training."
    )


def sentence(results: Results, others: Sequence[Results], table: pd.DataFrame) -> str:
    """What the other trainings say of the verdicts, by the table of `compared`; that there are none, where so."""
    if table.empty:
        return (
            "Other trainings of the generators do not lie beside these results, so each verdict rests on one of each."
        )
    wide = table.pivot(index="title", columns="training", values="verdict").reindex(dict.fromkeys(table.title))
    decided = wide.loc[table[table.decided].title.unique()]
    same = decided.eq(decided[1], axis=0).all(axis=1)
    of = listed([named(key) for key in trainings(results)])
    said = (
        f"The denoisers of {of} were trained {counted(len(others), 'more time')}, from other random weights. Of "
        f"{counted(len(decided), 'statement')} that this study decides, {int(same.sum())} come out the same under each."
    )
    other = [f"{title} ({_verdicts(row)})" for title, row in decided[~same].iterrows()]
    said += f" Otherwise: {'; '.join(other)}." if other else ""
    left = wide.drop(decided.index)
    would = left[left.isin(results.rules.judging.decided.value).any(axis=1)]
    now = [f"{title} ({_verdicts(row)})" for title, row in would.iterrows()]
    return said + (f" Not decided here, but under another training: {'; '.join(now)}." if now else "")


def _verdicts(row: pd.Series) -> str:
    return ", then ".join(SAID[verdict] for verdict in row)
