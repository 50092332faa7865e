"""The first page's answer follows from the verdicts: other studies, other words."""

from __future__ import annotations

import synthetic

from helpers import analysis, claims
from helpers.paper import first_page

#: Clauses of the three statements that the deck's story rests on, as a study of that story must put them.
MAIN = [claim for claim in claims.CLAIMS if claim.headline]


def said(folder, effects, **of) -> str:
    results = analysis.load(synthetic.write(folder, effects, images=60, **of))
    return first_page.answer(results, claims.evaluate(results))


def test_where_the_deck_is_right_all_holds(tmp_path) -> None:
    answer = said(tmp_path / "right", synthetic.DECK)
    assert answer.startswith("In miniature it holds that ") and "does not hold" not in answer
    assert all(claim.short in answer for claim in MAIN)
    assert first_page.CAUTION["mini"] in answer


def test_where_the_deck_is_wrong_nothing_does_and_full_size_is_no_miniature(tmp_path) -> None:
    answer = said(tmp_path / "wrong", synthetic.WRONG, scale="full")
    assert answer.startswith("On the public checkpoints it does not hold that ") and "it holds that" not in answer
    assert "iniature" not in answer


def test_what_was_not_run_cannot_be_tested(tmp_path) -> None:
    answer = said(tmp_path / "few", synthetic.DECK, generators=("sd15",))
    assert "it cannot be tested whether SD3 at FP4" in answer


def test_conditions_in_which_a_statement_holds_are_counted(tmp_path) -> None:
    """C4 holds under plain and fails under shared, at both thresholds of each."""
    answer = said(tmp_path / "two", synthetic.DECK, protocols={"shared": synthetic.FLAT})
    drop = next(claim.short for claim in MAIN if claim.key == "C4")
    assert f"it holds that {drop} (it holds in 2 of 4 conditions)" in answer


def test_real_evidence_is_sorted_by_what_it_says(tmp_path, monkeypatch) -> None:
    """Each of the four words for all pieces on a statement, and none where there is no piece."""
    words = dict(zip((claim.key for claim in MAIN), ["supported", "contradicted", ""], strict=True))
    monkeypatch.setattr(first_page, "overall", lambda key, limits: words[key])
    answer = said(tmp_path / "sorted", synthetic.DECK)
    agree, contradict, silent = (claim.short for claim in MAIN)
    assert answer.endswith(
        f"Public figures of the real checkpoints agree with the deck that {agree}; they contradict the deck's "
        f"statement that {contradict}; they do not say whether {silent}."
    )
