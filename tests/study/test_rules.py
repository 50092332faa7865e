"""Files of rules: what the shipped one says, when it says it was fixed, and what another one is answered with."""

import datetime
import hashlib
import inspect
import json
import tomllib

import pytest

from helpers.analysis.stats import metrics
from helpers.claims import CLAIMS
from helpers.core import files
from helpers.core.errors import Damaged, UsageError
from helpers.study import rules, schema

FILE = files.STUDIES / "rules.toml"
TEXT = FILE.read_text(encoding="utf-8")
FIRST = datetime.date(2026, 11, 24)


def changed(folder, old, new):
    """A copy of the shipped rules with the first `old` replaced by `new`."""
    assert old in TEXT
    path = folder / "own.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_studies_are_judged_by_the_shipped_rules():
    for name in ("mini", "full", "mini-confirmation", "mini-denoisers-s1", "mini-denoisers-s2"):
        study = schema.load(name)
        assert study.rules == "rules.toml" and study.judged_by == rules.shipped()
        assert study.margins == {key: rule["value"] for key, rule in tomllib.loads(TEXT)["margins"].items()}


def test_the_digest_is_that_of_the_file():
    assert rules.shipped().digest == hashlib.sha256(FILE.read_bytes()).hexdigest()


def test_what_was_fixed_after_the_first_archive_says_so():
    # What the referee of the archive of 24 November named, and the gate that came of it.
    shipped = rules.shipped()
    assert shipped.first_archive == FIRST
    later = {(rule.table, rule.name) for rule in shipped.each() if rule.fixed >= FIRST}
    named = {("margins", name) for name in ("explained", "adequate", "ceiling")}
    named |= {("judging", name) for name in ("decoder", "reach", "roomy", "false_alarms")}
    named |= {("claims", key) for key in ("C6", "C9_loss", "C10")}
    assert named <= later
    # The margins of the study file's first commit.
    first = "high challenging drop anomaly_before anomaly_after robust smoothing shift overlap memory time".split()
    assert not later & {("margins", name) for name in first}


def test_each_statement_of_the_deck_is_dated_and_each_margin_says_whose_it_is():
    assert set(rules.shipped().claims) == {claim.key for claim in CLAIMS}
    assert all(rule.what.startswith("C") for rule in rules.shipped().each() if rule.table == "margins")
    assert all(rule.what for rule in rules.shipped().each() if rule.table != "claims")


def test_what_the_program_does_is_what_it_says():
    said = rules.METHOD
    assert metrics.LEAST_IMAGES == said["least_images"]
    for function in (metrics.wilson, metrics.bootstrap_mean, metrics.auc, metrics.paired_difference):
        assert inspect.signature(function).parameters["confidence"].default == said["confidence"]
    for function in (metrics.bootstrap_mean, metrics.bootstrap_weights, metrics.bands):
        assert inspect.signature(function).parameters["resamples"].default == said["resamples"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("robust =", "robus =", r"margins\.robus: unknown key .*nearest: 'robust'"),
        ("drop = { value = 0.05", "drop = { value = 5.0", r"margins\.drop\.value: 5\.0 should be .*nearest: 1\)"),
        ("robust = { value = 0.90, fixed = 2026-11-23 }", "robust = 0.9", r"margins\.robust: "),
        (
            "robust = { value = 0.90, fixed = 2026-11-23 }",
            "robust = { value = 0.9 }",
            r"margins\.robust\.fixed: missing",
        ),
        ("fixed = 2026-11-26  ", "fixed = 2026-11-25  ", r"adequate: fixed on 2026-11-26, after the file's own"),
        ('"aligned"', '"alined"', r"judging\.roomy\.value\[0\]: no such value 'alined' \(nearest: 'aligned'\)"),
        ("value = 2000", "value = 500", r"resamples: '500' is not what this version does; write 2000"),
        ("[method]", "[methods]", r"methods: unknown key"),
    ],
)
def test_a_mistake_is_told_in_a_line(tmp_path, old, new, said):
    with pytest.raises(UsageError, match=said) as error:
        rules.load(changed(tmp_path, old, new))
    assert "\n" not in str(error.value) and "own.toml" in str(error.value)


def test_a_study_is_judged_by_the_rules_that_it_names(tmp_path):
    changed(tmp_path, "drop = { value = 0.05", "drop = { value = 0.1")
    mini = (files.STUDIES / "mini.toml").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(mini.replace('"rules.toml"', '"own.toml"'), encoding="utf-8")
    study = schema.load(tmp_path / "study.toml")
    assert study.margins["drop"] == 0.1 and study.judged_by.digest != rules.shipped().digest
    assert study.digest() == schema.load("mini").digest()  # rules make no image


def test_a_copy_of_a_study_without_a_copy_of_the_rules_has_the_shipped_ones(tmp_path):
    (tmp_path / "mini.toml").write_bytes((files.STUDIES / "mini.toml").read_bytes())
    assert schema.load(tmp_path / "mini.toml").judged_by == rules.shipped()


def test_the_rules_are_no_study():
    with pytest.raises(
        UsageError, match=r"name one of full, mini, mini-confirmation, mini-denoisers-s1, mini-denoisers-s2 or"
    ):
        schema.load("rules")


def test_a_manifest_keeps_the_rules(tmp_path):
    own = rules.load(changed(tmp_path, "reach = { value = 4.0", "reach = { value = 2.5"))
    kept = rules.of_manifest(json.loads(json.dumps({"rules": own.record()})))
    assert kept == own and kept.digest == own.digest and kept.judging.reach.value == 2.5


def test_an_older_manifest_has_its_studys_margins_and_else_the_shipped_rules():
    found = rules.of_manifest({"study": {"margins": {"drop": 0.05, "robust": 0.8, "gone": 1}}})
    assert found.limits() == rules.shipped().limits() | {"robust": 0.8}
    assert found.margins.robust.fixed is None and found.margins.drop.fixed == datetime.date(2026, 11, 23)
    assert found.digest == ""


def test_what_a_later_version_does_otherwise_does_not_stop_an_archive_from_being_read():
    record = rules.shipped().record()
    record["method"]["interval"]["value"] = "something else"
    record["judging"]["unheard"] = {"value": 1, "fixed": "2026-11-23"}
    del record["judging"]["reach"]
    found = rules.of_manifest({"rules": record})
    assert found.method == rules.shipped().method and found.judging == rules.shipped().judging


def test_a_manifest_with_rules_that_are_none_is_damaged():
    with pytest.raises(Damaged, match=r"here: its rules are none \(margins\.drop"):
        rules.of_manifest({"rules": {"margins": {"drop": {"value": "much", "fixed": None}}}}, "here")
