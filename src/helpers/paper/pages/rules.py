"""What notebook 09 and the page on methods say of the rules: which they are, when each was fixed, how many verdicts
there are by them, and what a confirmation comes to.
"""

from __future__ import annotations

import datetime

import pandas as pd
from IPython.display import HTML

from helpers.analysis import rule_dates
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number, printed
from helpers.claims import CLAIMS, by_condition
from helpers.claims.rule import HOLDS
from helpers.paper import tables
from helpers.results.results import Results
from helpers.study.rules import shipped

__all__ = ["across", "confirmation", "first", "note", "retrained_changes", "table", "trainings"]

#: How a table of the file is called in print.
TABLES = {
    "margins": "margin",
    "judging": "how it is judged",
    "method": "what the program does",
    "claims": "what counts",
}
#: Changes below it are printed as 0.
UNSEEN = 0.005
ANSWERS = {True: "before", False: "after", None: "not known"}


def table(found: pd.DataFrame) -> HTML:
    """Every rule with its value and when it was fixed, by the table of `rule_dates.dates`."""
    titles = {claim.key: claim.title for claim in CLAIMS}
    shown = pd.DataFrame({
        "kind": [TABLES[name] for name in found["table"]],
        "rule": [titles.get(name, name) for name in found["name"]],
        "what it is": [what or "what is measured, and where" for what in found["what"]],
        "value": [tables.DASH if value is None else _value(value) for value in found["value"]],
        "fixed on": [_day(fixed) for fixed in found["fixed"]],
        "before or after the first archive": [ANSWERS[value] for value in found.before_first],
        "before or after these scores": [ANSWERS[value] for value in found.before_scores],
    })  # fmt: skip
    return tables.table(shown, "When each rule was fixed, and whether before or after results were known")


def _value(value: object) -> str:
    return listed([str(part) for part in value]) if isinstance(value, list) else str(value)


def _day(day: datetime.date | None) -> str:
    return f"{day.day} {day:%B %Y}" if day else "not known"


def note(results: Results) -> str:
    """The sentences that name the rules, their date and digest, and say whether the scores are older or younger."""
    rules, at = results.rules, rule_dates.scored(results)
    recorded = bool(results.manifest.get("rules"))
    digest = rules.digest or shipped().digest
    named = f"Verdicts are by the rules of {_day(rules.fixed)} (SHA-256 {digest[:12]} ...)."
    if not recorded:
        named += " This study keeps none, so it is judged by those that come with this book."
    if at is None:
        return f"{named} When these images were scored is not known, so neither is whether the rules are older."
    found = rule_dates.dates(results)
    later = found[[value is not True for value in found.before_scores]]
    when = f"These images were first scored on {_day(at.date())}"
    if later.empty:
        return f"{named} {when}, after the rules had been fixed."
    return (
        f"{named} {when}, before the rules were as they are: {len(later)} of {counted(len(found), 'rule')} were fixed "
        "later or bear no earlier date. By these nothing was foretold here; they hold for what is scored from then on."
    )


def first(results: Results) -> str:
    """The sentence that says which rules were fixed before any result had been seen, and which after."""
    found = rule_dates.dates(results)
    later, undated = (found[[value is answer for value in found.before_first]] for answer in (False, None))
    before = f"{len(found) - len(later) - len(undated)} of {len(found)} rules were fixed before the first archive, of "
    said = f"{before}{_day(results.rules.first_archive)}"
    said += f", and {len(later)} after it had been seen. {_names(later)}" if len(later) else "."
    return f"{said} Of some it is not known when they were fixed. {_names(undated)}" if len(undated) else said


def across(results: Results) -> str:
    """The sentences that say how many verdicts there are over all conditions, and that none is corrected for that."""
    found = by_condition(results)
    conditions = found.condition.nunique()
    if conditions < 2:
        return "There is one condition here, so nothing is chosen among several."
    return (
        f"There are {len(found)} verdicts under {conditions} conditions, not corrected for their number. "
        "Among so many some may differ by chance, so one condition that comes out otherwise shows little by "
        "itself. And none may be picked for its verdict: the one that decides is the page's, or another that the gate "
        "names by images at the baseline alone."
    )


#: What stands before the names of rules, by table.
LEADS = {"margins": "the margins", "judging": "the rules", "method": "what the program does", "claims": "what counts"}


def _names(rows: pd.DataFrame) -> str:
    groups = rows.assign(name=rows["name"].str.replace("_", " ")).groupby("table", sort=False)["name"]
    return " ".join(f"Those of {LEADS[table]}: {listed(list(names))}." for table, names in groups)


def confirmation(found: pd.DataFrame) -> HTML:
    """The table of `claims.confirmation.compared`; a sentence where there is no confirmation."""
    if found.empty:
        return tables.missing("No confirmation lies beside these results.")
    shown = pd.DataFrame({
        "claim": found.title, "decided by": found["of"].where(found["of"] != "", tables.DASH),
        "value here": [_figure(row, "") for _, row in found.iterrows()], "verdict here": found.verdict.map(HOLDS),
        "value in the confirmation": [_figure(row, "there_") for _, row in found.iterrows()],
        "verdict in the confirmation": found.there_verdict.map(HOLDS), "outcome": found.result,
    })  # fmt: skip
    return tables.table(shown, "Each claim in this study and in its confirmation, by the same rules")


def _figure(row: pd.Series, where: str) -> str:
    ends = Interval(row[f"{where}estimate"], row[f"{where}low"], row[f"{where}high"])
    return tables.DASH if pd.isna(ends.estimate) else number(ends, sign=row.signed)


def trainings(found: pd.DataFrame) -> HTML:
    """The table of `claims.retrained.compared`; a sentence where there are no other trainings."""
    if found.empty:
        return tables.missing("No other trainings of the generators lie beside these results.")
    rows = []
    for title, of in found.groupby("title", sort=False):
        row = {"claim": title, "decided by": of.iloc[0]["of"] or tables.DASH}
        for one in of.itertuples():
            ends = Interval(one.estimate, one.low, one.high)
            figure = tables.DASH if pd.isna(one.estimate) else number(ends, sign=one.signed)
            row[f"training {one.training}"] = f"{figure}: {HOLDS[one.verdict]}"
        rows.append(row)
    return tables.table(pd.DataFrame(rows), "Each claim under each training of the denoisers, by the same rules")


def retrained_changes(found: pd.DataFrame) -> HTML:
    """The table of `claims.retrained.changes`: of each generator and detector AUC at the baseline and its changes, one
    figure a training, at precisions where any is seen; a sentence where there are no other trainings."""
    if found.empty:
        return tables.missing("No other trainings of the generators lie beside these results.")
    largest = found.groupby("precision", sort=False).estimate.agg(lambda values: values.abs().max())
    seen, rows = largest.index[largest >= UNSEEN], []
    for (generator, detector), of in found.groupby(["generator", "detector"], sort=False):
        base = of.drop_duplicates("training").auc
        row = {"generator": named(generator), "detector": named(detector), "AUC at the baseline": _each(base)}
        for precision, changed in of[of.precision.isin(seen)].groupby("precision", sort=False):
            row[f"change, {named(precision)}"] = _each(changed.estimate, sign=True)
        rows.append(row)
    left = listed([named(key) for key in largest.index if key not in seen])
    caption = "AUC and its changes under each training of a denoiser, the first one first"
    return tables.table(pd.DataFrame(rows), caption + (f"; at {left} all are under {UNSEEN}" if left else ""))


def _each(values: pd.Series, sign: bool = False) -> str:
    return " / ".join(printed(value, sign=sign) for value in values)
