"""When rules are said to be older than scores, and what the pages make of it."""

import datetime
import json

import pytest
import synthetic
from tabled import rows_of

from helpers import analysis
from helpers.analysis import rule_dates
from helpers.paper.pages import rules as page
from helpers.study import rules

DIGEST = rules.shipped().digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic.write(tmp_path_factory.mktemp("study"), images=30)


def study(folder, **manifest):
    """The study with these keys of its manifest, None for one that it lacks."""
    held = json.loads((folder / "manifest.json").read_text()) | manifest
    for name in ("rules", "scored", "imported"):
        held = {key: value for key, value in held.items() if key != name or manifest.get(name)}
    (folder / "manifest.json").write_text(json.dumps(held))
    return analysis.load(folder)


def at(day, held=DIGEST):
    return {"rules": rules.shipped().record(), "scored": {"at": f"{day}T12:00:00+00:00", "rules": held}}


@pytest.mark.parametrize(
    ("day", "held", "before"),
    [
        ("2026-11-24", None, False),
        ("2026-11-26", None, False),  # the same day, and nobody can show which came first
        ("2026-11-26", "0" * 64, False),  # other rules held then
        ("2026-11-26", DIGEST, True),
        ("2026-11-27", None, True),
    ],
)
def test_a_rule_of_26_november(folder, day, held, before):
    results = study(folder, **at(day, held))
    assert rule_dates.before_scores(results, datetime.date(2026, 11, 26)) is before
    found = rule_dates.dates(results).set_index(["table", "name"])
    assert found.before_scores[("margins", "adequate")] is before
    assert found.before_scores[("margins", "drop")] is True
    assert found.before_first[("margins", "adequate")] is False and found.before_first[("margins", "drop")] is True


def test_an_older_manifest_is_as_old_as_its_scores(folder):
    results = study(folder, created="2026-11-24T17:44:43+00:00")
    assert rule_dates.scored(results) == datetime.datetime(2026, 11, 24, 17, 44, 43, tzinfo=datetime.UTC)


def test_imported_scores_are_of_no_known_day(folder):
    results = study(folder, imported={"title": "another study"})
    assert rule_dates.scored(results) is None
    assert set(rule_dates.dates(results).before_scores) == {None}
    assert "is not known" in page.note(results)


def test_a_margin_of_an_old_study_file_has_no_day(folder):
    held = json.loads((folder / "manifest.json").read_text())["study"]
    results = study(folder, study=held | {"margins": {"drop": 0.1}})
    row = rule_dates.dates(results).set_index("name").loc["drop"]
    assert row.value == 0.1 and row.fixed is None and row.before_first is None and row.before_scores is None
    assert page.first(results).endswith("Of some it is not known when they were fixed. Those of the margins: drop.")
    study(folder, study=held)


def test_the_note_follows_the_scores(folder):
    early = page.note(study(folder, created="2026-11-24T17:44:43+00:00"))
    assert "This study keeps none" in early and f"SHA-256 {DIGEST[:12]} ..." in early
    assert "first scored on 24 November 2026, before the rules were as they are" in early
    later = [rule for rule in rules.shipped().each() if rule.fixed >= datetime.date(2026, 11, 24)]
    assert f": {len(later)} of {len(list(rules.shipped().each()))} rules were fixed later" in early
    late = page.note(study(folder, **at("2026-11-28")))
    assert "first scored on 28 November 2026, after the rules had been fixed." in late and "keeps none" not in late


def test_the_table_names_each_rule_and_its_day(folder):
    shown = page.table(rule_dates.dates(study(folder, **at("2026-11-24", None)))).data
    read = {row[1]: row[2:] for row in rows_of(shown)}
    assert len(read) == len(list(rules.shipped().each())) + 1  # with the line of titles
    assert read["ceiling"][1:] == ["0.99", "26 November 2026", "after", "after"]
    assert read["high"][1:] == ["0.95", "23 November 2026", "before", "before"]
    assert read["roomy"][1] == "aligned and shared" and read["C9, loss"][3] == "after"


def test_which_rules_are_older_than_the_first_archive_is_counted(folder):
    said = page.first(study(folder))
    every = list(rules.shipped().each())
    old = [rule for rule in every if rule.fixed < datetime.date(2026, 11, 24)]
    assert said.startswith(f"{len(old)} of {len(every)} rules were fixed before the first archive, of 24 November 2026")
    assert "Those of the margins: explained, adequate and ceiling." in said
    assert "C9 loss" in said and "anomaly" not in said


def test_verdicts_under_conditions_are_counted(folder):
    results = analysis.load(folder)
    said = page.across(results)
    assert (
        "under 2 conditions" in said and "not corrected for their number" in said
    )  # the page's own, and calibrated thresholds
