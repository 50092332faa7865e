"""When the rules behind a study's verdicts were fixed: before or after the first archive, and the study's own scores.

A rule is known to be older than a study's scores where the manifest says that the same file of rules held when the
first image was scored, or else where it is of an earlier day. What is of the same day and of no such file counts as
later, for nobody can show the contrary.
"""

from __future__ import annotations

import datetime

import pandas as pd

from helpers.results.results import Results

__all__ = ["before_scores", "dates", "scored"]


def scored(results: Results) -> datetime.datetime | None:
    """When the study's images were first scored; None where that is not known, as of imported scores.

    A manifest that is older than the record of it was written when they had been.
    """
    manifest = results.manifest
    at = (manifest.get("scored") or {}).get("at") or (None if manifest.get("imported") else manifest.get("created"))
    try:
        return datetime.datetime.fromisoformat(str(at)) if at else None
    except ValueError:  # somebody wrote it by hand
        return None


def before_scores(results: Results, fixed: datetime.date | None) -> bool | None:
    """Whether a rule that was `fixed` on this day was so before the first image was scored; None where a day is not
    known."""
    at = scored(results)
    if at is None or fixed is None:
        return None
    held = (results.manifest.get("scored") or {}).get("rules")
    return bool(held) and held == results.rules.digest or fixed < at.date()


def dates(results: Results) -> pd.DataFrame:
    """One row per rule: table and name (as in the file), what (words), value (None of what counts for a claim), fixed
    (a date, None where not known), `before_first` and `before_scores`: whether it was fixed before the first archive
    and before this study's scores (None: not known).
    """
    first = results.rules.first_archive
    return pd.DataFrame([
        rule._asdict() | {
            "before_first": None if rule.fixed is None else rule.fixed < first,
            "before_scores": before_scores(results, rule.fixed),
        }
        for rule in results.rules.each()
    ]).astype({"before_first": object, "before_scores": object, "value": object})  # fmt: skip
