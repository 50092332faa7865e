"""The gate for instruments on studies in which it is known which detectors can answer: blind, saturated, with room.

Scores are normal with deviation 1, so that the AUC of fakes at `mean` against reals at `mean - d` is Phi(d / sqrt(2)).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tabled import rows_of

from helpers import analysis, claims
from helpers.analysis.instruments import by_training, instruments
from helpers.claims.claim import FALL, LEVEL
from helpers.paper import page
from helpers.paper.pages import cards
from helpers.results import Results, from_frame

DETECTORS = ("npr", "r50_nodown", "r50_tf", "clip_d")
GENERATORS = ("sd15", "sdxl", "sd3", "flux1")
BLIND, ROOM, SATURATED = 0.0, 2.9, 12.0
IMAGES = 300


def scores(
    gaps: Mapping[str, float | Mapping[str, float]],
    falls: Mapping[tuple[str, str], float] | None = None,
    levels: Mapping[str, float] | None = None,
    protocol: str = "plain",
    weights: str = "mini",
) -> pd.DataFrame:
    """Fakes at FP32 and FP4 and reals of each detector. `gaps` are the d by detector (and generator), `falls` what FP4
    takes from a detector on a generator, `levels` the mean of a detector's fakes (usually 4)."""
    rng, rows = np.random.default_rng(5), []
    for place, generator in enumerate(GENERATORS):
        # Sizes are by generator, and so are its reals.
        size = 64 + place
        for detector, gap in gaps.items():
            level = (levels or {}).get(detector, 4.0)
            scene = rng.normal(0, 1, IMAGES) + level
            lost = (falls or {}).get((detector, generator), 0.0)
            apart = gap if isinstance(gap, float) else gap[generator]
            cell = {"detector": detector, "size": size, "index": range(IMAGES)}
            fake = {"generator": generator, "arm": "native", "label": 1}
            rows.append(pd.DataFrame(cell | fake | {"precision": "fp32", "logit": scene}))
            coarse = scene - lost + rng.normal(0, 0.05, IMAGES)
            rows.append(pd.DataFrame(cell | fake | {"precision": "fp4", "logit": coarse}))
            arm = generator if protocol == "aligned" else "none"
            real = {"generator": "real", "precision": "none", "arm": arm, "label": 0}
            rows.append(pd.DataFrame(cell | real | {"logit": rng.normal(level - apart, 1, IMAGES)}))
    return pd.concat(rows, ignore_index=True).assign(protocol=protocol, weights=weights)


def study(*frames: pd.DataFrame, weights: str = "mini", scale: str = "mini") -> Results:
    manifest = {"study": {"name": "gate", "scale": scale, "weights": weights}}
    return from_frame(pd.concat(frames, ignore_index=True), manifest=manifest)


def of(results: Results, key: str) -> claims.Outcome:
    return next(one for one in claims.evaluate(results, key.partition("_")[0]) if one.claim.key == key)


ALL_ROOM = dict.fromkeys(DETECTORS, ROOM)


def test_areas_are_those_of_two_normal_classes_and_say_who_can_answer() -> None:
    gaps = {"npr": SATURATED, "r50_nodown": ROOM, "r50_tf": ROOM, "clip_d": BLIND}
    found = instruments(study(scores(gaps)))
    for detector, gap in gaps.items():
        for generator in GENERATORS:
            area = found[detector].areas[generator]
            assert area.low <= stats.norm.cdf(gap / np.sqrt(2)) + 0.02 and area.estimate == pytest.approx(
                stats.norm.cdf(gap / np.sqrt(2)), abs=0.06 if gap == BLIND else 0.015
            )
    assert {key: of.adequate(0.9) for key, of in found.items()} == {
        "npr": True, "r50_nodown": True, "r50_tf": True, "clip_d": False,
    }  # fmt: skip
    assert [found[key].room("sd3", 0.99) for key in ("npr", "r50_tf", "clip_d")] == [False, True, True]


def test_every_claim_of_scores_says_what_it_is_and_names_the_gates_margins() -> None:
    for claim in claims.CLAIMS:
        assert (claim.reads is not None) == claim.of_scores, claim.key
        kind = claim.reads.kind if claim.reads else ""
        gates = {LEVEL: {"adequate"}, FALL: {"adequate", "ceiling"}, "": set()}[kind]
        assert gates == {"adequate", "ceiling"} & set(claim.margins), claim.key


def test_a_blind_detector_decides_no_level_and_is_named() -> None:
    gaps = {"npr": SATURATED, "r50_nodown": ROOM, "r50_tf": ROOM, "clip_d": BLIND}
    # It finds half of the fakes, as it would find half of anything; the saturated one does count for a level.
    found = of(study(scores(gaps, levels={"clip_d": 0.0})), "C9")
    assert found.verdict == "supported" and len(found.finding.figures) == 6
    assert "Left out under plain" in found.answer and "CLIP-D tells too little apart" in found.answer
    sighted = of(study(scores(gaps | {"clip_d": ROOM}, levels={"clip_d": 0.0})), "C9")
    assert sighted.verdict == "contradicted" and "CLIP-D" in sighted.finding.deciding
    assert "Left out" not in sighted.answer


def test_without_an_instrument_a_claim_is_not_testable_and_says_which() -> None:
    results = study(scores(ALL_ROOM | {"npr": BLIND, "r50_tf": SATURATED}))
    level, fall = of(results, "C3"), of(results, "C8")
    assert level.verdict == fall.verdict == "not testable" and not level.finding.figures
    assert level.answer.startswith("Not testable: instrument. At FP32, under plain NPR tells too little apart (AUC")
    assert "R50_TF has no room on SD3 (AUC 1.000)" in fall.answer
    assert of(results, "C5").verdict == "supported"  # no ceiling hinders a level


def test_a_fall_is_judged_where_its_detector_has_room() -> None:
    saturated = scores(ALL_ROOM | {"npr": SATURATED, "r50_nodown": SATURATED})
    falls = {("npr", "sd3"): 5.0, ("r50_nodown", "sd3"): 5.0}
    aligned = scores(ALL_ROOM, falls, protocol="aligned", weights="mini-aligned")
    shared = scores(ALL_ROOM, protocol="shared")
    alone, both = study(saturated), study(saturated, aligned, shared)
    assert of(alone, "C4").verdict == "not testable"
    found = of(both, "C4")
    assert found.verdict == "supported" and found.finding.protocol == "aligned"
    assert "The protocol aligned decides: at FP32, under plain, NPR has no room on SD3 (AUC 1.000)" in found.answer
    # Where no detector works under it, the next one decides: nothing falls under `shared`.
    blind = scores(dict.fromkeys(DETECTORS, BLIND), falls, protocol="aligned", weights="mini-aligned")
    found = of(study(saturated, blind, shared), "C4")
    assert (found.verdict, found.finding.protocol) == ("contradicted", "shared")
    # A detector with room under the page's own protocol is judged there, whatever others show.
    found = of(study(scores(ALL_ROOM), aligned), "C4")
    assert (found.verdict, found.finding.protocol) == ("contradicted", "")
    # Each condition's own row is not decided elsewhere, and the deciding one is none of the others.
    by = claims.by_condition(both).set_index(["key", "condition"]).verdict
    assert (by["C4", "plain"], by["C4", "aligned"]) == ("not testable", "supported")
    rows = claims.of_claim(both, of(both, "C4")).set_index("condition")
    assert list(rows.index[rows.decides]) == ["aligned"]
    assert (rows.verdict["shared"], rows.verdict["plain"]) == ("contradicted", "not testable")
    lost = int((rows.verdict == "not testable").sum())
    said, shown = (
        claims.disagreement(both, of(both, "C4")),
        rows.verdict[~rows.decides & (rows.verdict != "not testable")],
    )
    # Where it is not testable nothing is said of it, for or against.
    wrong = int((shown != "supported").sum())
    assert 0 < wrong < len(shown) and said.startswith(f"Of {len(shown)} other conditions {wrong} say")
    assert said.endswith(f"It is not testable under {lost} more.")


def test_kinds_are_compared_on_generators_where_both_can_answer() -> None:
    # End-to-end detectors have room on SD1.5 alone, where they fall; elsewhere the others do.
    gaps = {key: dict.fromkeys(GENERATORS, SATURATED) | {"sd15": ROOM} for key in ("npr", "r50_nodown")}
    falls = {(d, "sd15"): 5.0 for d in gaps} | {(d, g): 5.0 for d in ("r50_tf", "clip_d") for g in ("sd3", "sdxl")}
    found = of(study(scores(ALL_ROOM | gaps, falls)), "C11")
    # The whole interval over prompts is a deficit on SD1.5, which says nothing of generators at large.
    assert found.finding.basis.generators == 1 and found.interval.high < -0.5 and found.verdict == "inconclusive"
    assert found.finding.deciding.endswith(", on SD1.5 alone")  # which tables of conditions print, without the sentence
    assert ", on SD1.5. The two changes are" in found.answer and "So it is judged on SD1.5." in found.answer
    assert "one generator says nothing of generators at large. In this study the claim stays open." in found.answer
    # Falls on one generator of either kind, of four, decide nothing of generators at large.
    wide = of(study(scores(ALL_ROOM, falls)), "C11")
    assert wide.verdict == "inconclusive" and wide.finding.basis.generators == 4
    assert "alone" not in wide.finding.deciding
    everywhere = {(d, g): 5.0 for d in ("r50_tf", "clip_d") for g in GENERATORS}
    assert of(study(scores(ALL_ROOM, everywhere)), "C11").verdict == "contradicted"


def test_a_rise_is_printed_with_its_sign_and_a_rate_has_none() -> None:
    """Scores at 0.5 that rise by 1 at FP4: the rate by Phi(1.5) - Phi(0.5) = +0.24, to Phi(1.5) = 0.93, and a logit by
    one standard deviation."""
    levels, rises = dict.fromkeys(DETECTORS, 0.5), {(d, "sd3"): -1.0 for d in DETECTORS}
    results = study(scores(ALL_ROOM, rises, levels))
    found = {one.claim.key: one for one in claims.evaluate(results, "C4", "C5", "C7")}
    values = {key: cards._figures(one)[one.finding.deciding] for key, one in found.items()}
    rise, rate = stats.norm.cdf(1.5) - stats.norm.cdf(0.5), stats.norm.cdf(1.5)
    for key, truth, sign in (("C4", rise, "+"), ("C5", rate, ""), ("C7", 1.0, "+")):
        value, low, _, high = str(values[key]).replace("(", "").replace(")", "").split()
        assert all(number.startswith(sign or "0") for number in (value, low, high)), (key, values[key])
        assert float(value) == pytest.approx(truth, abs=0.08)
    # So are the tables of conditions.
    rows = rows_of(page.claim(results, found.values(), "C4").html)
    assert [row[2][0] for row in rows if row and row[0] == "plain (decides)"] == ["+"]


def test_a_study_without_reals_is_not_gated_and_says_so() -> None:
    frame = scores(ALL_ROOM | {"npr": BLIND, "clip_d": SATURATED}, {("r50_tf", "sd3"): 6.0})
    bare = study(frame[frame.label == 1])
    found = {outcome.claim.key: outcome for outcome in claims.evaluate(bare)}
    for claim in claims.CLAIMS:
        if claim.of_scores:
            assert found[claim.key].verdict == claim.judge(bare).verdict, claim.key
    assert found["C5"].verdict == "contradicted"
    assert "Whether R50_TF can tell fakes from reals at all is not known here" in found["C5"].answer
    assert "no AUC at FP32" in cards.instruments(by_training(bare), "FP32").data


def test_a_training_is_held_to_what_it_covers() -> None:
    """The shipped `mini-sdxl` has seen SDXL alone, so that what it misses elsewhere is a result."""
    narrow = dict.fromkeys(GENERATORS, BLIND) | {"sdxl": ROOM}
    levels = {"npr": 0.0}
    found = of(study(scores({"npr": narrow}, levels=levels, weights="mini-sdxl"), weights="mini-sdxl"), "C3")
    assert found.verdict == "supported"
    missed = dict.fromkeys(GENERATORS, ROOM) | {"sdxl": BLIND}
    found = of(study(scores({"npr": missed}, weights="mini-sdxl"), weights="mini-sdxl"), "C3")
    assert found.verdict == "not testable" and "instrument" in found.answer
    # Of a training that nobody describes all generators are asked.
    own = study(scores({"npr": missed}, weights="own"), weights="own", scale="full")
    assert of(own, "C3").verdict == "contradicted"


def test_a_claim_of_what_was_never_seen_is_judged_first_where_it_was_not() -> None:
    """C3 and C10 under `mini-sdxl`, which finds SDXL and not SD1.5; the page's own training finds both."""
    narrow = {"npr": dict.fromkeys(GENERATORS, BLIND) | {"sdxl": ROOM}}
    own, other = scores(ALL_ROOM), scores(narrow, levels={"npr": 0.0}, weights="mini-sdxl")
    both, alone = study(own, other), study(own)
    found = of(both, "C3")
    assert (found.verdict, found.finding.training, found.word) == ("supported", "mini-sdxl", "holds")
    assert "The training mini-sdxl decides: the public NPR, of which the deck speaks, saw fakes of SDXL" in found.answer
    called = both.under("plain", "mini-sdxl").logits("npr", "sd15", "fp32") > 0
    assert found.interval.estimate == pytest.approx(called.mean()) and 0.4 < called.mean() < 0.6
    assert of(both, "C10").finding.training == "mini-sdxl"
    # The page's own training is another condition, and claims that name none are judged under it.
    rows = claims.of_claim(both, found).set_index("condition")
    assert (rows.verdict["plain"], rows.estimate["plain"]) == ("contradicted", pytest.approx(1.0, abs=0.005))
    assert "training mini-sdxl" in rows.index[rows.decides].item()
    assert "it fails under 2." in claims.disagreement(both, found)
    assert of(both, "C5").finding.training == "" and of(both, "C5").verdict == "supported"
    assert str(claims.tally(both, found.claim)) == "holds in 1 of 3 conditions"
    # One that finds nothing of what it saw cannot say.
    blind = scores({"npr": BLIND}, levels={"npr": 0.0}, weights="mini-sdxl")
    lost = of(study(own, blind), "C3")
    assert lost.verdict == "not testable" and "training mini-sdxl decides" in lost.answer
    # A study without it is judged by its own, and says what it lacks; one that is none of miniatures has no need of it.
    missing = of(alone, "C3")
    assert missing.verdict == "contradicted" and "the training mini-sdxl (the public NPR" in missing.answer
    assert "mini-sdxl" not in of(study(own, scale="full"), "C3").answer and "this study lacks" in missing.answer
    shared = scores(ALL_ROOM, protocol="shared")
    page = study(own, other, shared).under("shared")
    assert "which was not scored under shared." in of(page, "C3").answer


def test_only_images_at_the_baseline_decide_who_counts() -> None:
    gaps = ALL_ROOM | {"clip_d": BLIND}
    fallen = {(d, g): 9.0 for d in DETECTORS for g in GENERATORS}
    one, other = (instruments(study(scores(gaps, falls))) for falls in (None, fallen))
    assert {key: of.adequate(0.9) for key, of in one.items()} == {key: of.adequate(0.9) for key, of in other.items()}
    assert [of.areas["sd3"].estimate for of in one.values()] == pytest.approx(
        [of.areas["sd3"].estimate for of in other.values()], abs=1e-12
    )


def test_where_the_operating_point_decides_it_is_said() -> None:
    # Fakes at 4, reals at 1.1, the threshold at 0: nearly all is called fake. At 5 % false alarms of reals the share
    # of fakes is Phi(2.9 - 1.645) = 0.895, less what a fall of 1 takes.
    found = of(study(scores(ALL_ROOM, {("r50_tf", "sd3"): 1.0})), "C5")
    assert found.verdict == "supported" and "The answer depends on the operating point" in found.answer
    at = float(found.finding.note.split("at FP4 is ")[1][:4])
    assert at == pytest.approx(stats.norm.cdf(1.9 - stats.norm.ppf(0.95)), abs=0.08)
    assert "it fails (R50_TF's detection rate on SD3" in found.answer
    area = float(found.finding.note.split(" at FP32 and ")[1][:5])
    assert area == pytest.approx(stats.norm.cdf(1.9 / np.sqrt(2)), abs=0.03)
    wide = of(study(scores(ALL_ROOM | {"r50_tf": SATURATED}, {("r50_tf", "sd3"): 1.0})), "C5")
    assert wide.verdict == "supported" and "operating point" not in wide.answer


def test_the_table_of_instruments_has_every_training_and_protocol() -> None:
    gaps = {"npr": SATURATED, "clip_d": BLIND}
    both = study(scores(gaps), scores(gaps, protocol="shared"), scores({"npr": ROOM}, weights="mini-sdxl"))
    table = by_training(both).set_index(["protocol", "weights", "detector"])
    assert len(table) == 5
    assert table.loc[("plain", "mini", "npr"), ["room", "of", "adequate"]].tolist() == [0, 4, True]
    assert table.loc[("plain", "mini-sdxl", "npr"), "room"] == 4
    assert not table.loc[("plain", "mini", "clip_d"), "adequate"]
    page = cards.instruments(by_training(both), "FP32").data
    assert page.count("<tr") == 6 and "0 of 4" in page and "1.000 (" in page
    narrowed = from_frame(both.stored, generators=["sd3"], manifest=both.manifest)
    assert set(instruments(narrowed)["npr"].areas) == set(analysis.instruments.instruments(both)["npr"].areas)


@pytest.mark.parametrize("fifth", [BLIND, ROOM, SATURATED])
def test_a_detector_that_nobody_published_decides_no_claim(fifth: float) -> None:
    """It is on every page beside the others, falls where they hold and holds where they fall."""
    falls = {("npr", "sd3"): 5.0, ("r50_nodown", "sd3"): 5.0} | {("patch_probe", key): 9.0 for key in GENERATORS}
    gaps = ALL_ROOM | {"r50_nodown": SATURATED, "patch_probe": fifth}
    levels = {"patch_probe": 0.0}
    frames = [
        scores(gaps, falls, levels),
        scores(gaps, falls, levels, protocol="aligned", weights="mini-aligned"),
        scores(gaps, falls, levels, weights="mini-s1"),
        scores({"patch_probe": fifth}, falls, levels, weights="mini-s2"),
    ]
    five, four = study(*frames), study(*(frame[frame.detector != "patch_probe"] for frame in frames))
    assert set(five.detectors) - set(four.detectors) == {"patch_probe"}
    for one, other in zip(claims.evaluate(five), claims.evaluate(four), strict=True):
        assert (one.verdict, one.answer, one.finding.figures) == (other.verdict, other.answer, other.finding.figures)
    pd.testing.assert_frame_equal(claims.by_condition(five), claims.by_condition(four))
    assert "Patch probe" in cards.instruments(by_training(five), "FP32").data
    # Alone it leaves the deck without a word.
    alone = study(frames[3].assign(weights="mini"))
    assert {one.verdict for one in claims.evaluate(alone) if one.claim.of_scores} == {"not testable"}
    assert claims.by_condition(alone).empty
    page = cards.scorecard(alone, claims.evaluate(alone)).data + cards.verdicts_by_condition(alone).data
    assert "testable in no condition" in page and "There is no other protocol or training" in page
