"""Each claim of the deck in the worlds that its file names, and where it cannot be told or is not there at all."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_traces
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from helpers import analysis, claims
from helpers.analysis import footprint
from helpers.analysis.cells import half, paired_logits
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import number
from helpers.claims import deck, savings
from helpers.claims.rule import LEAST_IMAGES, Basis, Finding
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.paper import claim_lists
from helpers.paper.pages import cards
from helpers.results.results import from_frame, of_pairs
from helpers.study import rules

SCORED = [claim.key for claim in claims.CLAIMS if claim.of_scores]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("claims")
    made = {"true": synthetic.DECK, "false": synthetic.WRONG}
    return {name: analysis.load(synthetic.write(folder / name, put, images=300)) for name, put in made.items()}


def verdicts(results: analysis.Results) -> dict[str, str]:
    return {outcome.claim.key: outcome.verdict for outcome in claims.evaluate(results)}


def test_all_eleven_are_there_and_each_names_margins_of_the_rules() -> None:
    assert list(dict.fromkeys(claim.id for claim in claims.CLAIMS)) == [f"C{i}" for i in range(1, 12)]
    assert len({claim.key for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    for claim in claims.CLAIMS:
        said = {name for _, name, _, _ in string.Formatter().parse(claim.rule) if name}
        assert said <= set(claim.margins), claim.key
    assert {name for claim in claims.CLAIMS for name in claim.margins} == set(rules.shipped().limits())


def simulated(folder: Path, world: claims.World, monkeypatch: pytest.MonkeyPatch) -> analysis.Results:
    """The study of a world: its scores, its images and what its checkpoints cost."""
    generators = ("sd15", "sd3") if world.fp4_images else tuple(synthetic.SIZES)
    images = 100 if world.fp4_images else 300
    placebo = 0.01 if world.fp4_images else None
    synthetic.write(folder, world.shifts, images=images, generators=generators, placebo=placebo)
    if world.fp4_images:
        synthetic_traces.traces(folder, world.fp4_images)
    if world.fp4_cost is not None:
        cost = [("fp32", "whole", 1.0), ("fp16", "whole", 0.5), ("fp4", "linear", world.fp4_cost)]
        rows = [
            {"checkpoint": "sd3", "component": "denoiser", "precision": precision, "coverage": coverage, "fits": True,
             "parameters": 1e9, "quantized": 1e9, "bytes": 4e9 * share, "seconds_per_step": share, "card": "X"}
            for precision, coverage, share in cost
        ]  # fmt: skip
        for name in ("memory.csv", "device.csv"):
            pd.DataFrame(rows).to_csv(folder / name, index=False)
        monkeypatch.setattr(footprint, "FOLDER", folder)
    return analysis.load(folder)


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.key)
def test_a_claim_is_found_true_where_it_is_and_false_where_it_is_not(claim, tmp_path, monkeypatch) -> None:
    found = {}
    for name, world in {"supported": claim.true_world, "contradicted": claim.false_world}.items():
        results = simulated(tmp_path / name, world, monkeypatch)
        (found[name],) = (one for one in claims.evaluate(results, claim.id) if one.claim is claim)
        outcome = found[name]
        assert outcome.verdict == name
        assert outcome.interval.low <= outcome.interval.estimate <= outcome.interval.high
        assert not claim.of_scores or outcome.finding.n == 300
    if claim.of_study:
        assert "In this study the claim holds." in found["supported"].answer
        assert "In this study the claim fails." in found["contradicted"].answer
    # What an archive of this project shows neither agrees with the deck nor contradicts it.
    assert not any("the deck." in outcome.answer or "contradict" in outcome.answer for outcome in found.values())
    assert found["supported"].finding.sentence != found["contradicted"].finding.sentence


def test_a_claim_is_one_file(tmp_path, monkeypatch, studies) -> None:
    """A file more, in a folder that the deck's package looks into, is judged and listed last; nothing else names it."""
    (tmp_path / "c12.py").write_text(
        "from dataclasses import replace\n"
        "from helpers.claims.deck.c05 import CLAIM as LIKE\n"
        'CLAIM = replace(LIKE, id="C12", words="Once more.", short="Once more")\n'
    )
    monkeypatch.setattr(deck, "__path__", [*deck.__path__, str(tmp_path)])
    monkeypatch.setattr(deck, "CLAIMS", deck.collect())
    (outcome,) = claims.evaluate(studies["true"], "C12")
    assert outcome.verdict == "supported" and claims.evaluate(studies["true"])[-1].claim.words == "Once more."
    assert claims.by_condition(analysis.load(studies["true"].folder)).key.iloc[-1] == "C12"


def test_what_a_study_of_miniatures_cannot_say_it_does_not_say(studies) -> None:
    found = {outcome.claim.key: outcome for outcome in claims.evaluate(studies["true"], "C1", "C6")}
    answer = found["C6"].answer  # no spectra
    assert found["C6"].verdict == "not testable" and "the deck" not in answer and answer.endswith(".")
    # Memory is counted on the public checkpoints' networks, and time is measured on them, whatever the study.
    assert found["C1_memory"].finding == savings.memory() and found["C1_time"].finding == savings.time()
    assert found["C1_memory_from_FP16"].finding == savings.memory(base="fp16")


def test_too_few_images_are_inconclusive_for_what_should_stay(tmp_path) -> None:
    found = verdicts(analysis.load(synthetic.write(tmp_path, images=20)))
    assert {found[key] for key in ("C2", "C5", "C9")} == {"inconclusive"}


def test_a_study_without_the_cells_cannot_say(tmp_path) -> None:
    found = verdicts(analysis.load(synthetic.write(tmp_path, generators=("sd21",), images=20)))
    said = {key: verdict for key, verdict in found.items() if verdict != "not testable"}
    # Of 20 images no verdict turned, which may well be so where a tenth of all fall.
    assert {key for key in said if not key.startswith("C1_")} == {"C11"} and said["C11"] == "inconclusive"


def test_margins_are_the_studys(studies) -> None:
    asked = {"study": {"margins": {"challenging": 0.2}}}
    (outcome,) = claims.evaluate(replace(studies["true"], manifest=asked), "C3")
    assert outcome.verdict == "contradicted" and "at most 0.20" in outcome.rule


def test_an_overlap_is_an_equivalence_test(tmp_path) -> None:
    # The interval lies inside the region exactly where two one-sided t-tests at 2.5 % reject; 0.14 is near the edge.
    for seed in range(8):
        moved = {("r50_tf", "sd3", p): -0.14 * 1.2 for p in ("fp16", "fp8", "fp4")}
        results = analysis.load(synthetic.write(tmp_path / str(seed), moved, images=60, seed=seed, generators=("sd3",)))
        told = []
        for precision in ("fp16", "fp8", "fp4"):
            base, other, _ = paired_logits(results, "r50_tf", "sd3", precision)
            edge = 0.2 * base.std(ddof=1)
            told.append(ttost_paired(other, base, -edge, edge)[0])
        if not any(0.01 < p < 0.06 for p in told):  # a bootstrap and a t-test may part where it is close
            (outcome,) = claims.evaluate(results, "C8")
            assert (outcome.verdict == "supported") == all(p < 0.025 for p in told)


def test_the_deciding_figure_is_the_one_on_the_wrong_side(studies) -> None:
    found = {outcome.claim.key: outcome for outcome in claims.evaluate(studies["false"])}
    assert found["C9"].finding.deciding == "CLIP-D on Flux.1 at FP4"
    called = studies["false"].logits("clip_d", "flux1", "fp4") > 0
    assert found["C9"].interval == metrics.wilson(int(called.sum()), 300)
    row = claims.table([found["C9"]]).iloc[0]
    assert (row.estimate, row.n, row["of"]) == (called.mean(), 300, "CLIP-D on Flux.1 at FP4")


def test_whether_it_holds_is_said_after_the_finding() -> None:
    finding = Finding("contradicted", "It is 0.30.", {"it": Interval(0.3, 0.2, 0.4)})
    assert claims.concluded(finding) == "It is 0.30. In this study the claim fails." and finding.interval.low == 0.2
    assert claims.concluded(replace(finding, verdict="inconclusive")).endswith("the claim stays open.")
    assert claims.concluded(Finding("not testable", "Nobody looked.", {})) == "Nobody looked."


def test_other_protocols_and_trainings_are_judged_too(tmp_path) -> None:
    folder = synthetic.write(
        tmp_path, synthetic.DECK, images=200, seeds={"mini-sdxl": 6.0},
        protocols={"shared": synthetic.WRONG, "aligned": synthetic.DECK},
    )  # fmt: skip
    results = analysis.load(folder)
    found = claims.by_condition(results)
    assert list(found.condition.unique()) == [
        "plain", "plain, calibrated threshold", "plain, training mini-sdxl of NPR", "shared",
        "shared, calibrated threshold", "aligned", "aligned, calibrated threshold",
    ]  # fmt: skip
    images = found[found.key == "C6"]  # filtered images are scored in every protocol by its own training
    assert list(images.condition) == ["plain", "shared", "aligned"] and set(images.verdict) == {"not testable"}
    by = found[found.key != "C6"].set_index(["condition", "key"]).verdict
    # A fall on SD3 alone says little of generators at large.
    at_large = {claim.key for claim in claims.CLAIMS if claim.general} - {"C10"}
    assert {by[name, key] for name in ("plain", "aligned") for key in at_large} == {"inconclusive"}
    by = by.drop(index=list(at_large), level="key")
    assert set(by["plain"]) == set(by["aligned"]) == {"supported"} and set(by["shared"]) == {"contradicted"}
    # The other training, of NPR alone, does not see the fall: 6 more at FP4.
    assert by["plain, training mini-sdxl of NPR", "C4"] == "contradicted"
    assert by["plain, training mini-sdxl of NPR", "C8"] == "not testable"
    outcome = claims.evaluate(results, "C4")[0]
    rows = claims.of_claim(results, outcome).set_index("condition")
    assert list(rows.index[rows.decides]) == ["plain"] and rows.verdict["shared"] == "contradicted"
    assert rows.estimate["shared"] == pytest.approx(0, abs=0.005)
    # The fall is in `plain` and `aligned`, at both thresholds, and in none of the three others.
    said = claims.disagreement(results, outcome)
    assert said.startswith("Of 6 other conditions 3 say otherwise: it fails under ")
    assert f"fails under {(rows.verdict == 'contradicted').sum()}" in said
    count = {claim.key: claims.tally(results, claim) for claim in claims.CLAIMS if claim.of_study}
    # It is true under plain and aligned, at both thresholds, and false under shared and for the other training.
    assert count["C4"] == claims.Tally(4, 7, 0) and str(count["C4"]) == "holds in 4 of 7 conditions"
    assert count["C8"] == claims.Tally(4, 6, 1)
    assert str(count["C8"]) == "holds in 4 of 6 conditions, not testable in 1"
    assert str(count["C6"]) == "testable in none of 3 conditions"
    # Seen from another protocol the same conditions stand, its own first.
    assert claims.by_condition(analysis.load(folder, protocol="shared")).condition.iloc[0] == "shared"


def test_one_other_condition_is_not_counted() -> None:
    images, rng = range(LEAST_IMAGES + 2), np.random.default_rng(0)
    cells = {("real", "none"): -2, ("sd3", "fp32"): 2, ("sd3", "fp4"): 2}
    rows = [(*cell, int(mean > 0), i, rng.normal(mean)) for cell, mean in cells.items() for i in images]
    frame = pd.DataFrame(rows, columns=["generator", "precision", "label", "index", "logit"])
    frame = frame.assign(protocol="plain", arm="native", size=64, detector="r50_tf", weights="own")
    results = from_frame(frame, manifest={"study": {"scale": "full"}})
    outcome = claims.evaluate(results, "C5")[0]
    assert outcome.verdict != "not testable"
    # A threshold is calibrated on one half of the images, which leaves fewer than may be judged.
    assert claims.disagreement(results, outcome) == "It is testable under no other condition."


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["supported"], "It holds under one other condition too."),
        (["contradicted"], "Under one other condition it fails."),
        (["contradicted", "not testable"], "Under one other condition it fails. It is not testable under 1 more."),
        (["not testable"] * 2, "It is testable under none of 2 other conditions."),
    ],
)
def test_what_other_conditions_say_is_a_sentence_for_few_too(monkeypatch, others: list[str], said: str) -> None:
    rows = pd.DataFrame({"verdict": ["supported", *others], "decides": [True, *[False] * len(others)]})
    monkeypatch.setattr("helpers.claims.conditions.of_claim", lambda results, outcome: rows)
    assert claims.disagreement(None, SimpleNamespace(verdict="supported")) == said


def test_seeds_of_one_training_are_no_conditions_but_widen_the_interval(tmp_path) -> None:
    """Two more trainings of NPR, which see 0 and 6 more of the fall on SD3: the claim hangs on which one was taken."""
    seeds = {"mini-s1": 0.1, "mini-s2": 6.0}
    one = analysis.load(synthetic.write(tmp_path / "one", synthetic.DECK, images=200))
    several = analysis.load(synthetic.write(tmp_path / "several", synthetic.DECK, images=200, seeds=seeds))
    assert list(claims.by_condition(several).condition.unique()) == list(claims.by_condition(one).condition.unique())
    (alone, _), (found, _) = (claims.evaluate(results, "C4") for results in (one, several))
    assert (alone.verdict, found.verdict) == ("supported", "inconclusive")
    name = "NPR on SD3"
    assert alone.finding.prompts == alone.finding.figures and alone.finding.bases[name] == (1, 0)
    assert found.finding.bases == {name: (3, 0), "R50_nodown on SD3": (1, 0)}
    own = [several.under("plain", label).logits("npr", "sd3", key) for label in ("mini", "mini-s1", "mini-s2")
           for key in ("fp4", "fp32")]  # fmt: skip
    rates = np.array([(logits > 0).mean() for logits in own])
    assert found.finding.prompts[name].estimate == pytest.approx(rates[0] - rates[1])
    assert found.finding.figures[name].estimate == pytest.approx((rates[::2] - rates[1::2]).mean())
    # What was made of results is made of each training too.
    shown = claims.evaluate(claims.calibrated(several), "C7")[0].finding.bases
    assert {basis.trainings for basis in shown.values()} == {1}  # these seeds have no reals to be calibrated on
    kept = of_pairs(several, [("npr", "sd3")])
    assert claims.evaluate(kept, "C7")[0].finding.figures == claims.evaluate(several, "C7")[0].finding.figures


def test_what_an_interval_is_taken_over_is_said() -> None:
    assert Basis(5, 0).words == "prompts and 5 trainings"
    assert Basis(3, 4).words == "prompts, 3 trainings and 4 generators"
    assert Basis(1, 0).words == "prompts; trainings are not in it, as there is one"
    assert Basis(3, 1).words == "prompts and 3 trainings; generators are not in it, as there is one"


def test_a_detector_whose_threshold_is_off_is_judged_at_a_better_one(tmp_path) -> None:
    moved = {("r50_tf", "sd3", None): -3.5}
    results = analysis.load(synthetic.write(tmp_path, moved, images=400))
    found = claims.by_condition(results).set_index(["condition", "key"])
    plain, better = (found.loc[(name, "C5")] for name in ("plain", "plain, calibrated threshold"))
    assert (plain.verdict, better.verdict) == ("contradicted", "supported") and (plain.n, better.n) == (400, 200)
    # Fakes lie at 0.5 (sd 1.2) and reals at -4 (sd 1.5): the best threshold is known, and so is what it catches.
    grid = np.linspace(-4, 1, 5001)
    right = stats.norm.sf(grid, 0.5, np.hypot(1.2, 0.15 / synthetic.SHRINK["fp4"] ** 0.5))
    best = np.argmax(stats.norm.sf(grid, 0.5, 1.2) + stats.norm.cdf(grid, -4, 1.5))
    assert better.low < right[best] < better.high
    cells = analysis.cells(results).query("generator == 'sd3' and detector == 'r50_tf' and precision == 'fp4'")
    odd = half(results.logits("r50_tf", "sd3", "fp4"), 1)
    assert better.estimate == pytest.approx((odd > cells.calibrated_at.iloc[0]).mean())


def test_two_images_prove_nothing(tmp_path) -> None:
    results = analysis.load(synthetic.write(tmp_path, synthetic.DECK, images=2))
    found = {outcome.claim.key: outcome for outcome in claims.evaluate(results)}
    assert {found[key].verdict for key in SCORED} == {"not testable"}
    for key in ("C7", "C8"):
        assert "too few images (2, where at least 20 are needed)" in found[key].answer
        assert "the deck" not in found[key].answer and np.isnan(found[key].interval.low)


def test_an_unknown_claim_is_refused_by_name(studies) -> None:
    with pytest.raises(UsageError, match=r"no 'C44' \(nearest: 'C4'\); the deck has C1 to C11"):
        claims.evaluate(studies["true"], "C44")


def test_a_baseline_is_not_compared_with_itself(studies) -> None:
    fp4 = replace(studies["true"], manifest={"study": {"baseline": "fp4"}})
    found = {outcome.claim.key: outcome.verdict for outcome in claims.evaluate(fp4)}
    assert {found[key] for key in ("C4", "C4_size", "C9_loss", "C11")} == {"not testable"}


def test_the_book_states_the_least_number_of_images() -> None:
    said = " ".join((files.ROOT / "book" / "methods.md").read_text(encoding="utf-8").split())
    assert f"a metric has fewer than {LEAST_IMAGES} images" in said and f"fewer than {metrics.FEW} images" in said


def test_a_card_has_a_column_of_the_study_and_one_of_real_evidence(studies) -> None:
    style = (files.BOOK / "_static" / "style.css").read_text(encoding="utf-8")
    for name, word in {"true": "holds", "false": "fails"}.items():
        page = cards.scorecard(studies[name], claims.evaluate(studies[name])).data
        columns = re.findall(r'<div class="claim-study">(.*?)<div class="claim-real">(.*?)</section>', page, re.S)
        assert len(columns) == len(claims.CLAIMS)
        for claim, (study, real) in zip(claims.CLAIMS, columns, strict=True):
            assert not re.search("agrees|contradict|supported|the deck's favour", study) and "supported" not in real
            assert study.startswith('<p class="claim-column">In the miniature <span class="verdict verdict-')
            if claim.of_scores:
                # A fall on SD3 alone says little of generators at large.
                assert f"verdict-{'open' if claim.key == 'C11' else word}" in study and "conditions)" in study
            elif not claim.of_study:
                assert "verdict-not-testable" in study and "Drastic is" in real
            assert ("Doubts: " in real) == ("evidence-no-evidence" not in real)
        marks = set(re.findall(r"(?:verdict|evidence)-[a-z-]+", page))
        assert {"evidence-agrees-with", "evidence-contradicts"} <= marks and all(f".{mark}" in style for mark in marks)


def test_a_card_gives_the_interval_over_prompts_beside_that_in_all(tmp_path) -> None:
    seeds = {"mini-s1": 0.1, "mini-s2": 6.0}
    several = analysis.load(synthetic.write(tmp_path / "several", synthetic.DECK, images=200, seeds=seeds))
    (outcome, *_) = claims.evaluate(several, "C7")
    page = cards.scorecard(several, [outcome]).data
    own, whole = outcome.finding.over_prompts, outcome.interval
    assert whole.high - whole.low > 2 * (own.high - own.low)
    assert f"Over prompts, this training: {number(own, 2, sign=True)}" in page
    assert f"In all: {number(whole, 2, sign=True)}; over prompts and 3 trainings." in page
    counted = claims.evaluate(several, "C1")[0]  # bytes have no interval
    assert "Over prompts" not in cards.scorecard(several, [counted]).data


def test_the_summary_counts_both_columns(studies) -> None:
    outcomes, scored = claims.evaluate(studies["true"]), len(SCORED)
    said = claims.summary(studies["true"], outcomes)
    lacking = len(claims.CLAIMS) - scored  # C1 and C6
    here = f"{scored - 1} hold, 0 fail, 1 stays open"  # C11 is of generators at large, the fall of SD3 alone
    assert f"In the miniature {here} and {lacking} are not testable. Real evidence " in said
    full = replace(studies["true"], manifest={"study": {"scale": "full"}})
    assert f"In this study {here}" in claims.summary(full, outcomes)
    only = [outcome for outcome in outcomes if outcome.claim.key in ("C8", "C3")]
    assert claims.summary(full, only).endswith("Real evidence agrees with the deck on 1; for 1 there is none.")
    none = claims.summary(full, only[1:])
    assert "1 holds" in none and none.endswith(" For 1 there is no real evidence.")


def test_the_lists_of_the_prose_pages_are_the_claims(studies) -> None:
    outcomes = claims.evaluate(studies["true"])
    whole, first = (
        claim_lists.verdicts(studies["true"], outcomes).data,
        claim_lists.headlines(studies["true"], outcomes).data,
    )
    assert whole.count("<dt>") == len(claims.CLAIMS) == claim_lists.contents().data.count("<tr>") - 1
    numbers = re.findall(r"<tr><td>([^<]*)</td>", claim_lists.contents().data)
    assert len(set(numbers)) == len(claims.CLAIMS) and {"C1, memory", "C1, memory from FP16", "C2"} <= set(numbers)
    assert first.count("<p>") == sum(claim.headline for claim in claims.CLAIMS) > 0
    for page, name in (("conclusion", "claim_verdicts"), ("intro", "claim_headlines"), ("context", "claim_contents")):
        text = (files.ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
        assert f"```{{glue}} {name}" in text and not any(claim.short in text for claim in claims.CLAIMS)
