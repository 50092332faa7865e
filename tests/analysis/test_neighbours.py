"""Two rungs of nearly equal dose: which one is the neighbour, and what is counted where they part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_distances
import synthetic_traces

from helpers import analysis, claims
from helpers.analysis import dose, families, real_ladders
from helpers.claims import dose as said
from helpers.claims import neighbours
from helpers.paper import page
from helpers.paper.pages import cards, limits, mechanism

IMAGES, NOISE = 150, 0.1
#: Real images lie at 26.6 dB at 8 bits and at 18.1 dB at 4 bits. INT4 lies .1 dB from the first, FP4 .4 dB, below it
#: both; INT8 lies 1.4 dB above it, the nearest on the other side and not the second nearest.
MAIN = {("native", "fp16"): np.inf, ("native", "fp8"): 40.0, ("native", "fp4"): 33.0}
RUNGS = {("ladder", "int4"): 26.5, ("ladder", "fp4"): 26.2, ("ladder", "int8"): 28.0, ("ladder", "int2"): 19.0}
#: What two rungs add to NPR's logits; every other detector is moved by INT4 as by FP4.
MOVED = {("sd3", "int4"): 1.0, ("sd3", "fp4"): -1.5, ("sd15", "int4"): -0.5, ("sd15", "fp4"): -2.0}


def study(folder, distances=None, moved=None):
    """A study whose ladder moves every logit by -1, but NPR's as `moved` says."""
    synthetic.write(folder, images=IMAGES, level=1.5, generators=("sd15", "sd3"))
    synthetic_traces.ladder(folder, images=IMAGES, size=0.0)
    path, rng = folder / "scores.parquet", np.random.default_rng(3)
    scores = pd.read_parquet(path)
    rungs, keys = scores.arm == "ladder", zip(scores.generator, scores.precision, strict=True)
    added = np.array([(MOVED if moved is None else moved).get(key, -1.0) for key in keys])
    added = np.where(scores.detector == "npr", added, -1.0) + rng.normal(0, NOISE, len(scores))
    scores["logit"] = np.where(rungs, scores.logit + added, scores.logit).astype(np.float32)
    scores.to_parquet(path)
    return analysis.load(synthetic_distances.write(folder, MAIN | (RUNGS if distances is None else distances)))


@pytest.fixture(scope="module")
def parting(tmp_path_factory):
    return study(tmp_path_factory.mktemp("parting"))


def test_the_neighbour_is_the_second_nearest_in_reach(parting) -> None:
    target = real_ladders.real_dose(8).psnr.estimate
    assert 26.5 < target < 27.0
    found = dose.neighbours(parting)
    assert {cell: match.precision for cell, match in found.items()} == {
        ("sd15", "fp8"): "fp4", ("sd3", "fp8"): "fp4", ("sd15", "fp4"): "", ("sd3", "fp4"): "",
    }  # fmt: skip
    assert found["sd3", "fp8"].off == pytest.approx(target - 26.2, abs=1e-6)
    assert "its second nearest rung lies 8.1 dB away, more than 4.0" in found["sd3", "fp4"].why
    both = dose.neighbouring(parting)
    assert both["sd3", "fp8"].precision == "fp4" and both["sd3", "fp4"].precision == "int2"  # it stands alone
    assert dose.matches(parting)["sd3", "fp8"].precision == "int4"  # the rule's own is as it was


def test_one_rung_alone_has_no_neighbour(tmp_path) -> None:
    lone = study(tmp_path, {("ladder", "int4"): 26.5})
    assert [match.why for match in dose.neighbours(lone).values()] == ["its ladder has no other rung"] * 2
    assert dose.at_neighbouring_dose(lone) is None and dose.side_by_side(lone).empty
    assert "not known" in neighbours.rungs(lone)
    assert neighbours.bridge(lone).endswith("it does not tell other content from other traces.")
    (outcome,) = claims.evaluate(lone, "C7")
    assert outcome.neighbour is None and not neighbours.turned(outcome)
    assert "has a second rung in reach" in page.claim(lone, [outcome], "C7").markdown
    assert neighbours.kept([outcome]) == "No statement reads a dose for which two rungs stand."
    assert "has a second rung in reach" in mechanism.neighbours(dose.side_by_side(lone), lone).data


def test_shifts_at_both_rungs_are_those_that_were_made(parting) -> None:
    table = dose.side_by_side(parting).set_index(["generator", "detector"])
    assert len(table) == 2 * len(parting.detectors) and set(table.bits) == {8}
    for generator in ("sd15", "sd3"):
        row, unit = table.loc[generator, "npr"], parting.logits("npr", generator, "fp32").std()
        near = 4 * NOISE / IMAGES**0.5 / unit
        assert row.rung_shift == pytest.approx(MOVED[generator, "int4"] / unit, abs=near)
        assert row.next_shift == pytest.approx(MOVED[generator, "fp4"] / unit, abs=near)
    assert list(table.index[table.apart]) == list(table.index[~table.same]) == [("sd3", "npr")]
    told = neighbours.rungs(parting)
    assert "Of 4 doses for which a rung stands, 2 have a second one within 4 dB" in told
    assert "SD3 INT4 and FP4 (26.5 and 26.2 dB)" in told
    assert f"Of {len(table)} mean shifts of a detector, {len(table) - 1} have the same sign at both; 1 lies" in told
    assert "The furthest apart is NPR on SD3: +" in told
    shown = mechanism.neighbours(dose.side_by_side(parting), parting).data
    assert "INT4, 26.5 dB" in shown and "FP4, 26.2 dB" in shown


def test_a_claim_is_judged_there_and_its_verdict_is_as_it_was(parting) -> None:
    (outcome,) = claims.evaluate(parting, "C7")
    unit, name = parting.logits("npr", "sd3", "fp32").std(), "the real 8-bit dose"
    assert outcome.matched.figures[name].estimate == pytest.approx(1.0 / unit, abs=0.02)
    assert outcome.neighbour.figures[name].estimate == pytest.approx(-1.5 / unit, abs=0.02)
    (bare,) = claims.evaluate(parting, "C7", matched=False)
    assert (bare.verdict, bare.neighbour) == (outcome.verdict, None)
    # A shift to the left at every dose is what the claim says; to the right at one contradicts it.
    assert (outcome.matched.verdict, outcome.neighbour.verdict) == ("contradicted", "supported")
    assert "FP4 of SD3's ladder (26.2 dB) stands for real 8-bit images" in outcome.neighbour_answer
    assert neighbours.turned(outcome).startswith(f"At {name} two rungs of nearly equal PSNR disagree: +")
    assert neighbours.kept([outcome]) == (
        "Of 1 statement judged at the dose of real images, 1 reads a dose for which a second rung stands. "
        "There none of these keep their verdict, but a figure of C7 turns sign."
    )
    row = claims.table([outcome]).iloc[0]
    assert row.neighbour_verdict == "supported" and row.neighbour_estimate < 0 < row.matched_high


def test_pages_show_both_and_count_the_neighbour_as_no_condition(parting) -> None:
    outcomes = claims.evaluate(parting, "C7")
    told = page.claim(parting, outcomes, "C7").markdown
    assert "At the neighbouring rungs" in told and "plain, neighbouring rungs" in told and "rungs of nearly" in told
    assert not any("neighbour" in name for name in claims.by_condition(parting).condition)
    card = cards.scorecard(parting, outcomes).data
    assert "At the neighbouring rungs:" in card and "two rungs of nearly equal PSNR disagree" in card
    count = len(dose.side_by_side(parting))
    (limit,) = [said for said in limits.sentences(parting) if "imperfect bridge" in said]
    assert f"at most 0.3 dB apart, 1 of {count} mean shifts changes its sign" in limit
    assert "fixes not even the direction" in limit


def test_kinds_of_denoiser_are_compared_there_too(parting) -> None:
    """At INT4 NPR moves by -.5 on the UNet and by +1 on the DiT, at FP4 by -2 and -1.5: the difference goes one way."""
    there = families.by_family(parting, dose.at_neighbouring_dose).set_index(["kind", "precision", "detector"])
    unit = {key: parting.logits("npr", key, "fp32").std() for key in ("sd15", "sd3")}
    row = there.loc[families.DIFFERENCE, "fp8", "npr"]
    assert row["shift"] == pytest.approx(-2.0 / unit["sd15"] + 1.5 / unit["sd3"], abs=0.03)
    told = said.kinds(parting)
    assert f"At the neighbouring rungs (8 bits) {len(parting.detectors)} of {len(parting.detectors)} diff" in told


def test_without_distances_nothing_is_said(tmp_path) -> None:
    plain = analysis.load(synthetic.write(tmp_path, images=30))
    assert neighbours.rungs(plain) == "" and dose.neighbours(plain) == {}
    assert "imperfect bridge" in neighbours.bridge(plain)
    assert [neighbours.answer(outcome) for outcome in claims.evaluate(plain, "C7")] == [""]
