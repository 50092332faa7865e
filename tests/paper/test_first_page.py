"""The first page's answer follows from the verdicts: other studies, other words."""

from __future__ import annotations

import pytest
import synthetic

from helpers import analysis, claims
from helpers.paper import first_page

#: Clauses of the three statements that the deck's story rests on, as a study of that story must put them.
MAIN = [claim for claim in claims.CLAIMS if claim.headline]


def said(folder, effects, evidence="", **of) -> str:
    results = analysis.load(synthetic.write(folder, effects, images=60, **of))
    return first_page.answer(results, claims.evaluate(results), evidence)


def test_where_the_deck_is_right_all_holds(tmp_path) -> None:
    answer = said(tmp_path / "right", synthetic.DECK)
    assert answer.startswith("In miniature it holds that ") and "does not hold" not in answer
    assert all(claim.short in answer for claim in MAIN)
    assert answer.endswith(first_page.CAUTION["mini"])  # nothing is said of real checkpoints where nothing is given


def test_where_the_deck_is_wrong_nothing_does_and_full_size_is_no_miniature(tmp_path) -> None:
    answer = said(tmp_path / "wrong", synthetic.WRONG, "Of real checkpoints nothing is known.", scale="full")
    assert answer.startswith("On the public checkpoints it does not hold that ") and "it holds that" not in answer
    assert answer.endswith("conditions). Of real checkpoints nothing is known.") and "iniature" not in answer


def test_what_was_not_run_cannot_be_tested(tmp_path) -> None:
    answer = said(tmp_path / "few", synthetic.DECK, generators=("sd15",))
    assert "it cannot be tested whether SD3 at FP4" in answer


def test_conditions_in_which_a_statement_holds_are_counted(tmp_path) -> None:
    """C4 holds under plain and fails under shared, at both thresholds of each."""
    answer = said(tmp_path / "two", synthetic.DECK, protocols={"shared": synthetic.FLAT})
    drop = next(claim.short for claim in MAIN if claim.key == "C4")
    assert f"it holds that {drop} (it holds in 2 of 4 conditions)" in answer


@pytest.mark.parametrize(("low", "word"), [(0.01, "raises"), (-0.3, "does not measurably change")])
def test_real_evidence_is_said_by_its_interval(monkeypatch, low: float, word: str) -> None:
    change = analysis.stats.metrics.Interval(0.1, low, 0.2)
    monkeypatch.setattr(first_page.real, "mean_change", lambda *of: change)
    assert f"NF4 {word} the accuracy of detection" in first_page.real_in_short()
