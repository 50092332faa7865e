"""Each claim of the deck on studies in which it is true, is false, cannot be told, or is not there at all."""

from __future__ import annotations

import string
from dataclasses import replace

import numpy as np
import pytest
import synthetic
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from helpers import analysis
from helpers.analysis import cells as cells_
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.claims import costs, deck
from helpers.claims.rule import LEAST_IMAGES, Finding
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.study import schema

SCORED = [claim.key for claim in deck.CLAIMS if claim.of_scores]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("claims")
    made = {"true": synthetic.DECK, "false": synthetic.WRONG}
    return {name: analysis.load(synthetic.write(folder / name, put, images=300)) for name, put in made.items()}


def verdicts(results: analysis.Results) -> dict[str, str]:
    return {outcome.claim.key: outcome.verdict for outcome in deck.evaluate(results)}


def test_all_eleven_are_there_and_each_names_margins_of_the_study_file() -> None:
    assert list(dict.fromkeys(claim.id for claim in deck.CLAIMS)) == [f"C{i}" for i in range(1, 12)]
    assert len({claim.key for claim in deck.CLAIMS}) == len(deck.CLAIMS)
    named = {name for claim in deck.CLAIMS for _, name, _, _ in string.Formatter().parse(claim.rule) if name}
    assert named == set(schema.Margins.model_fields)


@pytest.mark.parametrize("key", SCORED)
def test_a_claim_is_found_true_where_it_is_and_false_where_it_is_not(studies, key: str) -> None:
    true, false = (
        next(outcome for outcome in deck.evaluate(results) if outcome.claim.key == key) for results in studies.values()
    )
    assert (true.verdict, false.verdict) == ("supported", "contradicted")
    assert "this agrees with the deck." in true.answer and "this contradicts the deck." in false.answer
    assert true.finding.sentence != false.finding.sentence
    for outcome in (true, false):
        assert outcome.interval.low <= outcome.interval.estimate <= outcome.interval.high and outcome.finding.n == 300


def test_what_a_study_of_miniatures_cannot_say_it_does_not_say(studies) -> None:
    found = {outcome.claim.key: outcome for outcome in deck.evaluate(studies["true"], "C1", "C6")}
    for key in ("C1_time", "C6"):  # no GPU, no spectra
        answer = found[key].answer
        assert found[key].verdict == "not testable" and "the deck" not in answer and answer.endswith(".")
    # Memory is counted on the public checkpoints' networks, whatever the study.
    assert found["C1_memory"].finding == costs.memory()


def test_too_few_images_are_inconclusive_for_what_should_stay(tmp_path) -> None:
    found = verdicts(analysis.load(synthetic.write(tmp_path, images=20)))
    assert {found[key] for key in ("C2", "C5", "C9")} == {"inconclusive"}


def test_a_study_without_the_cells_cannot_say(tmp_path) -> None:
    found = verdicts(analysis.load(synthetic.write(tmp_path, generators=("sd21",), images=20)))
    said = {key: verdict for key, verdict in found.items() if verdict != "not testable"}
    # Of 20 images no verdict turned, which may well be so where a tenth of all fall.
    assert said == {"C1_memory": "supported", "C11": "inconclusive"}


def test_margins_are_the_studys(studies) -> None:
    asked = {"study": {"margins": {"challenging": 0.2}}}
    (outcome,) = deck.evaluate(replace(studies["true"], manifest=asked), "C3")
    assert outcome.verdict == "contradicted" and "at most 0.20" in outcome.rule


def test_an_overlap_is_an_equivalence_test(tmp_path) -> None:
    # The interval lies inside the region exactly where two one-sided t-tests at 2.5 % reject; 0.14 is near the edge.
    for seed in range(8):
        moved = {("r50_tf", "sd3", p): -0.14 * 1.2 for p in ("fp16", "fp8", "fp4")}
        results = analysis.load(synthetic.write(tmp_path / str(seed), moved, images=60, seed=seed, generators=("sd3",)))
        told = []
        for precision in ("fp16", "fp8", "fp4"):
            base, other, _ = cells_.pairs(results, "r50_tf", "sd3", precision)
            edge = 0.2 * base.std(ddof=1)
            told.append(ttost_paired(other, base, -edge, edge)[0])
        if not any(0.01 < p < 0.06 for p in told):  # a bootstrap and a t-test may part where it is close
            (outcome,) = deck.evaluate(results, "C8")
            assert (outcome.verdict == "supported") == all(p < 0.025 for p in told)


def test_the_deciding_figure_is_the_one_on_the_wrong_side(studies) -> None:
    found = {outcome.claim.key: outcome for outcome in deck.evaluate(studies["false"])}
    assert found["C9"].finding.deciding == "CLIP-D on Flux.1 at FP4"
    called = studies["false"].logits("clip_d", "flux1", "fp4") > 0
    assert found["C9"].interval == metrics.wilson(int(called.sum()), 300)
    row = deck.table([found["C9"]]).iloc[0]
    assert (row.estimate, row.n, row["of"]) == (called.mean(), 300, "CLIP-D on Flux.1 at FP4")


def test_agreement_is_said_in_the_same_sentence() -> None:
    finding = Finding("contradicted", "It is 0.30.", {"it": Interval(0.3, 0.2, 0.4)})
    assert deck.agreement(finding) == "It is 0.30; this contradicts the deck." and finding.interval.low == 0.2
    assert deck.agreement(Finding("not testable", "Nobody looked.", {})) == "Nobody looked."


def test_other_protocols_and_trainings_are_judged_too(tmp_path) -> None:
    folder = synthetic.write(
        tmp_path, synthetic.DECK, images=200, seeds={"mini-s1": 6.0},
        protocols={"shared": synthetic.WRONG, "aligned": synthetic.DECK},
    )  # fmt: skip
    results = analysis.load(folder)
    found = deck.across(results)
    assert list(found.condition.unique()) == [
        "plain", "plain, calibrated threshold", "plain, training mini-s1 of NPR", "shared",
        "shared, calibrated threshold", "aligned", "aligned, calibrated threshold",
    ]  # fmt: skip
    images = found[found.key == "C6"]  # filtered images are scored in every protocol by its own training
    assert list(images.condition) == ["plain", "shared", "aligned"] and set(images.verdict) == {"not testable"}
    by = found[found.key != "C6"].set_index(["condition", "key"]).verdict
    assert set(by["plain"]) == set(by["aligned"]) == {"supported"} and set(by["shared"]) == {"contradicted"}
    # The other training, of NPR alone, does not see the fall: 6 more at FP4.
    assert by["plain, training mini-s1 of NPR", "C4"] == "contradicted"
    assert by["plain, training mini-s1 of NPR", "C8"] == "not testable"
    said = deck.elsewhere(results, next(claim for claim in deck.CLAIMS if claim.key == "C4"))
    assert (
        "contradicted under shared (+0.00," in said and "training mini-s1 of NPR (" in said and "aligned (" not in said
    )
    # Seen from another protocol the same conditions stand, its own first.
    assert deck.across(analysis.load(folder, protocol="shared")).condition.iloc[0] == "shared"


def test_a_detector_whose_threshold_is_off_is_judged_at_a_better_one(tmp_path) -> None:
    moved = {("r50_tf", "sd3", None): -3.5}
    results = analysis.load(synthetic.write(tmp_path, moved, images=400))
    found = deck.across(results).set_index(["condition", "key"])
    plain, better = (found.loc[(name, "C5")] for name in ("plain", "plain, calibrated threshold"))
    assert (plain.verdict, better.verdict) == ("contradicted", "supported") and (plain.n, better.n) == (400, 200)
    # Fakes lie at 0.5 (sd 1.2) and reals at -4 (sd 1.5): the best threshold is known, and so is what it catches.
    grid = np.linspace(-4, 1, 5001)
    right = stats.norm.sf(grid, 0.5, np.hypot(1.2, 0.15 / synthetic.SHRINK["fp4"] ** 0.5))
    best = np.argmax(stats.norm.sf(grid, 0.5, 1.2) + stats.norm.cdf(grid, -4, 1.5))
    assert better.low < right[best] < better.high
    cells = analysis.cells(results).query("generator == 'sd3' and detector == 'r50_tf' and precision == 'fp4'")
    odd = cells_.half(results.logits("r50_tf", "sd3", "fp4"), 1)
    assert better.estimate == pytest.approx((odd > cells.calibrated_at.iloc[0]).mean())


def test_two_images_prove_nothing(tmp_path) -> None:
    results = analysis.load(synthetic.write(tmp_path, synthetic.DECK, images=2))
    found = {outcome.claim.key: outcome for outcome in deck.evaluate(results)}
    assert {found[key].verdict for key in SCORED} == {"not testable"}
    for key in ("C7", "C8"):
        assert "too few images (2, where at least 20 are needed)" in found[key].answer
        assert "the deck" not in found[key].answer and np.isnan(found[key].interval.low)


def test_an_unknown_claim_is_refused_by_name(studies) -> None:
    with pytest.raises(UsageError, match=r"no 'C44' \(nearest: 'C4'\); the deck has C1 to C11"):
        deck.evaluate(studies["true"], "C44")


def test_a_baseline_is_not_compared_with_itself(studies) -> None:
    fp4 = replace(studies["true"], manifest={"study": {"baseline": "fp4"}})
    found = {outcome.claim.key: outcome.verdict for outcome in deck.evaluate(fp4)}
    assert {found[key] for key in ("C4", "C4_size", "C9_loss", "C11")} == {"not testable"}


def test_the_book_states_the_least_number_of_images() -> None:
    said = (files.ROOT / "book" / "methods.md").read_text(encoding="utf-8")
    assert f"at\n  least {LEAST_IMAGES} are needed" in said and f"fewer than {metrics.FEW} images" in said
