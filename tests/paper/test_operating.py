"""Whether a claim hangs on the operating point is said on its page, from scores whose figures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import claims
from helpers.analysis import figures
from helpers.paper.operating import operating_note
from helpers.results import from_frame

N = 500
#: Detectors that tell fakes from reals with an AUC of about .98 at FP32, so that they have room.
GAP = 2.9


def study(at: dict[tuple[str, str], float], *, level: float = 4.0, falls: dict[str, float] | None = None, reals=True):
    """Normal scores of spread 1: fakes on SD3 at `level` less a fall at FP4, reals GAP under the level. `at` moves all
    scores of a detector at a precision by so much; threshold 0."""
    rng, rows = np.random.default_rng(0), []
    for detector in ("npr", "r50_nodown", "r50_tf", "clip_d"):
        real, fake = rng.normal(level - GAP, 1, N), rng.normal(level, 1, N)
        rows += [("real", "none", "none", 0, detector, i, x) for i, x in enumerate(real) if reals]
        for precision in ("fp32", "fp4"):
            fall = (falls or {}).get(detector, 0.0) if precision == "fp4" else 0.0
            own = fake - fall + at.get((detector, precision), 0.0)
            rows += [("sd3", precision, "native", 1, detector, i, x) for i, x in enumerate(own)]
    frame = pd.DataFrame(rows, columns=["generator", "precision", "arm", "label", "detector", "index", "logit"])
    manifest = {"study": {"precisions": ["fp32", "fp4"], "scale": "full"}}
    return from_frame(frame.assign(protocol="plain", size=128, weights="own"), manifest=manifest)


def note(results, key: str) -> str:
    outcome = next(one for one in claims.evaluate(results, key.partition("_")[0]) if one.claim.key == key)
    return operating_note(results, outcome)


def test_where_the_two_part_it_is_said_with_all_three_figures() -> None:
    said = note(study({}, falls={"r50_tf": 1.0}), "C5")
    assert said.startswith("The answer depends on the operating point: it holds at the detectors' own thresholds ")
    assert "and fails where 5\N{NO-BREAK SPACE}% of the reals pass." in said
    # In closed form: AUC = Phi(d / sqrt 2), TPR = Phi(d - 1.645), rate = Phi(level - fall).
    area, caught = stats.norm.cdf(1.9 / np.sqrt(2)), stats.norm.cdf(1.9 - stats.norm.isf(0.05))
    read = {title: said.split(f"{title} ")[1].split(",")[0].split(" to ") for title in figures.FIGURES.values()}
    assert float(read["AUC"][1]) == pytest.approx(area, abs=0.03)
    assert float(read["TPR at 5 % FPR"][1]) == pytest.approx(caught, abs=0.09)
    assert float(read["detection rate"][1]) == pytest.approx(stats.norm.cdf(3.0), abs=0.01)
    assert said.index("AUC") < said.index("TPR at 5 % FPR") < said.index("detection rate")


def test_where_they_agree_it_says_so() -> None:
    said = note(study({}, falls={"r50_tf": 6.0}), "C5")
    assert said.startswith(
        "The claim fails at the detectors' own thresholds and where 5\N{NO-BREAK SPACE}% of the reals"
    )


def test_a_threshold_that_was_set_is_not_called_the_detectors_own() -> None:
    results = replace(study({}, falls={"r50_tf": 6.0}), threshold=1.5)
    assert note(results, "C5").startswith("The claim fails at the threshold 1.5 and where 5\N{NO-BREAK SPACE}% of")


def test_kinds_are_contrasted_by_every_figure_and_signs_compared() -> None:
    # End-to-end detectors fall far above their threshold: their AUC falls, and no verdict turns. The others fall less,
    # and cross theirs, which lies among their fakes.
    falls = {"npr": 2.0, "r50_nodown": 2.0, "r50_tf": 0.5, "clip_d": 0.5}
    low = {(d, p): -3.5 for d in ("r50_tf", "clip_d") for p in ("fp32", "fp4")}
    results = study(low, level=6.0, falls=falls)
    frame = results.scores.copy()
    moved = frame.detector.isin(["r50_tf", "clip_d"]) & (frame.label == 0)
    frame.loc[moved, "logit"] -= 3.5
    said = note(from_frame(frame, manifest=results.manifest), "C11")
    assert "So its sign depends on the operating point." in said
    assert "Changes of NPR and R50_nodown less those of R50_TF and CLIP-D, from FP32 to FP4 over 1 generator" in said
    same = note(study({}, level=3.0, falls={"npr": 4.0, "r50_nodown": 4.0}), "C11")
    assert "So its sign does not depend on the operating point" in same and "under" not in same


def test_a_contrast_says_under_which_protocol_it_is() -> None:
    results = study({}, level=3.0, falls={"npr": 4.0, "r50_nodown": 4.0})
    aligned = results.scores.astype({"arm": str}).assign(protocol="aligned")
    aligned.loc[aligned.label == 0, "arm"] = "sd3"
    plain = results.scores.assign(logit=results.scores.logit + 90 * (results.scores.label == 1))  # there is no room
    said = note(from_frame(pd.concat([plain, aligned]), manifest=results.manifest), "C11")
    assert "over 1 generator, under aligned: AUC" in said


def test_a_claim_on_the_baseline_has_its_figures_there_and_the_training_that_decides() -> None:
    """C3 is judged by NPR's training on SDXL, whose fakes of SD1.5 lie 1 above its reals; the page's lie 9 above."""
    rng, rows = np.random.default_rng(1), []
    for weights, level in (("mini", 5.0), ("mini-sdxl", -3.0)):
        noise = rng.normal(0, 1, (3, N))
        reals = [("real", "none", "none", 0, i, x - 4, weights) for i, x in enumerate(noise[0])]
        fakes = [
            ("sd15", p, "native", 1, i, x + level, weights) for p in ("fp32", "fp4") for i, x in enumerate(noise[1])
        ]
        sdxl = [("sdxl", p, "native", 1, i, x + 5, weights) for p in ("fp32", "fp4") for i, x in enumerate(noise[2])]
        rows += [*reals, *fakes, *sdxl]
    frame = pd.DataFrame(rows, columns=["generator", "precision", "arm", "label", "index", "logit", "weights"])
    manifest = {"study": {"precisions": ["fp32", "fp4"], "scale": "mini"}}
    said = note(from_frame(frame.assign(detector="npr", protocol="plain", size=128), manifest=manifest), "C3")
    assert "FP4" not in said and "At FP32, by the training mini-sdxl: AUC " in said
    area, caught = stats.norm.cdf(1 / np.sqrt(2)), stats.norm.cdf(1 - stats.norm.isf(0.05))
    read = {title: float(said.split(f"{title} ")[-1].split(";")[0].rstrip(".")) for title in figures.FIGURES.values()}
    assert read["AUC"] == pytest.approx(area, abs=0.06) and read["TPR at 5 % FPR"] == pytest.approx(caught, abs=0.09)
    assert read["detection rate"] == pytest.approx(stats.norm.cdf(-3), abs=0.01)


def test_without_reals_the_rate_leads_and_a_shift_has_no_note() -> None:
    bare = study({}, reals=False)
    assert "neither AUC nor TPR at 5 % FPR is known, so the detection rate leads" in note(bare, "C5")
    assert note(study({}), "C8") == ""


def test_a_claim_without_scores_has_nothing_to_judge_elsewhere() -> None:
    assert note(study({}), "C3") == "There is nothing that counts to judge at another operating point."
