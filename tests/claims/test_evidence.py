"""Real evidence: what the stored public figures say of each claim, and another word where they say another thing."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from helpers import claims
from helpers.analysis import footprint, public_study, real_checkpoints, real_ladders
from helpers.analysis.stats.metrics import Interval
from helpers.claims import evidence, readings
from helpers.claims.evidence import AGREEMENT, ROWS, SOURCES, overall, pieces
from helpers.claims.readings import Measured, Reading
from helpers.core import files
from helpers.study import rules

KEYS = {claim.key for claim in claims.CLAIMS}


def of(key: str, source: str) -> evidence.Piece:
    (found,) = (piece for piece in pieces(key) if piece.row.source == source)
    return found


def test_each_piece_is_of_a_claim_and_names_its_source_where_it_is_shown() -> None:
    cited = set(re.findall(r"@\w+\{([^,]+),", (files.BOOK / "references.bib").read_text(encoding="utf-8")))
    assert {row.claim for row in ROWS} <= KEYS and {row.source for row in ROWS} == set(SOURCES)
    for source in SOURCES.values():
        page = (files.NOTEBOOKS / f"{source.page}.ipynb").read_text(encoding="utf-8")
        headings = [re.sub(r"[^a-z0-9]+", "-", of.lower()) for of in re.findall(r'"##+ ([^"\\]+)', page)]
        assert source.anchor in headings and (not source.cite or source.cite in cited), source.title
    for key in KEYS:
        for piece in pieces(key):
            # Those of the source are said once, in a table; what is its own stands with the piece.
            assert set(piece.doubts) == {*piece.own_doubts, *piece.source.doubts} and piece.source.doubts
            assert not {*piece.own_doubts} & {*piece.source.doubts}
            assert piece.doubts and piece.sentence.endswith(".") and piece.verdict in AGREEMENT
            assert "nan" not in piece.sentence and "CLIP\N{MINUS SIGN}D" not in f"{piece.sentence}{piece.doubts}"


def test_the_decks_accuracy_is_called_a_detection_rate() -> None:
    """Its word stands in quotations of it alone: a share of fakes says nothing of reals, as accuracy does."""
    told = [words for key in KEYS for piece in pieces(key) for words in (piece.sentence, *piece.doubts)]
    told += [rule.what for rule in rules.shipped().each()]
    told += [words for claim in claims.CLAIMS for words in (claim.quantity, claim.rule)]
    assert told and not [words for words in told if "accuracy" in words]


def test_published_rates_speak_as_their_table_prints_them() -> None:
    """TrueFake's Table III (arXiv 2504.20658): NPR .43 on SD1.5, .55 on SD3, 1.00 on SDXL, .86 on FLUX.1."""
    level, gap = of("C3", "truefake"), of("C10", "truefake")
    assert level.interval.estimate == 0.43 and level.verdict == "supported" and level.n is None
    assert "0.43; at most 0.75 is asked; number of images not stated." in level.sentence
    found = gap.figures["SD1.5 minus SD3, SDXL and Flux.1"].interval
    assert found.estimate == pytest.approx(0.43 - (0.55 + 1.00 + 0.86) / 3)
    assert any("not the difference is \N{MINUS SIGN}0.28" in doubt for doubt in gap.doubts)  # .43 less .705
    start = of("C4_size", "truefake")
    assert {figure.interval.estimate for figure in start.figures.values()} == {0.55, 0.64}
    assert (start.verdict, of("C5", "truefake").interval.estimate) == ("contradicted", 0.63)
    high = of("C2", "truefake")
    assert (high.deciding, high.interval.estimate, high.verdict) == ("NPR on Flux.1", 0.86, "contradicted")
    assert "the detectors were trained on fakes of SDXL" in high.doubts


def test_other_rates_and_other_margins_give_another_word(monkeypatch) -> None:
    table = public_study.published_rates()
    assert overall("C3") == "supported" and overall("C3", {"challenging": 0.2}) == "mixed"  # 0 of 30, and .43
    better = table.assign(value=table.value.where(table.figure != "tpr", 0.99))
    monkeypatch.setattr(public_study, "published_rates", lambda: better)
    # Rates at the usual precision may rule out what the deck says of FP4, and cannot bear it out.
    assert {key: overall(key) for key in ("C2", "C5", "C9")} == dict.fromkeys(("C2", "C5", "C9"), "inconclusive")
    assert of("C3", "truefake").verdict == "contradicted" and overall("C3") == "mixed"
    assert "0.99" in of("C3", "truefake").sentence


def test_the_public_study_speaks_by_its_intervals(monkeypatch) -> None:
    old = of("C10", "public study")
    assert old.n == 30 and old.figures["NPR on SD1.5 at FP16"].interval.estimate == 0
    # NPR finds 0 of 30 images of SD1.5, and 1 and 4 of the 30 of SD3 and SD3.5.
    gap = old.figures["SD1.5 minus SD3 and SD3.5"].interval
    low, high = confint_proportions_2indep(0, 30, 5, 60, method="newcomb")
    assert (gap.estimate, gap.low, gap.high) == pytest.approx((-5 / 60, low, high), abs=1e-4)
    fall = of("C4", "public study")
    assert fall.verdict == "inconclusive" and any("a fall could not show there" in doubt for doubt in fall.doubts)
    assert overall("C8") == overall("C9_loss") == "" and AGREEMENT[""] == "no evidence"
    moved = of("C7", "public study")
    assert moved.deciding == "NPR on SD3 at INT8" and moved.verdict == "contradicted"  # to the left, by too little
    table = public_study.public_effects()
    far = {name: table[name] - 2 for name in ("standard", "standard_low", "standard_high")}
    monkeypatch.setattr(public_study, "public_effects", lambda: table.assign(**far))
    assert of("C7", "public study").verdict == "supported" and overall("C7") == "supported"
    assert any("AUC at FP16 is 0.72 by NPR on SD3, where a study asks 0.90" in doubt for doubt in moved.doubts)
    lost = {name: table[name] - 0.5 for name in ("change", "change_low", "change_high")}
    monkeypatch.setattr(public_study, "public_effects", lambda: table.assign(tpr_before=0.9, **lost))
    fall = of("C4", "public study")
    assert fall.verdict == "supported" and not any("could not show" in doubt for doubt in fall.doubts)


def test_kinds_are_compared_by_the_means_over_generators(monkeypatch) -> None:
    # NPR finds 0 of 30 images of SD1.5 at FP16: there it had nothing to lose.
    doubts = of("C11", "public study").doubts
    assert any("0.00 by NPR on SD1.5" in doubt and "could not show" in doubt for doubt in doubts)
    rows = [("npr", -0.3), ("r50_nodown", -0.1), ("clip_d", 0.1)]
    table = pd.DataFrame(
        {"generator": "all", "detector": key, "precision": "nf4", "n": 90, "against": "fp16", "tpr_before": 0.9,
         "change": mean, "change_low": mean - 0.03, "change_high": mean + 0.04}
        for key, mean in rows
    )  # fmt: skip
    monkeypatch.setattr(public_study, "public_effects", lambda: table)
    piece = of("C11", "public study")
    # -.2 less .1; the ends combine .03 and .04 at right angles.
    assert (piece.interval.estimate, piece.interval.low, piece.interval.high) == pytest.approx((-0.3, -0.35, -0.25))
    assert piece.verdict == "supported" and piece.n == 90


def test_pictures_speak_to_smoothing_by_its_margin_in_decibels(monkeypatch) -> None:
    piece = of("C6", "ladders")
    assert piece.verdict == "inconclusive" and "at most \N{MINUS SIGN}0.22 is asked" in piece.sentence  # 10 lg .95
    table = real_ladders.pairs()
    monkeypatch.setattr(real_ladders, "pairs", lambda: table.assign(high_db=-3.0, npr_change=-0.2))
    # Fine detail that falls is one prediction of four, and NPR's residual is not NPR's score: neither bears it out.
    assert overall("C6") == "inconclusive" and of("C7", "ladders").verdict == "inconclusive"
    assert "a fall is asked" in of("C7", "ladders").sentence
    assert overall("C7") == "contradicted"
    monkeypatch.setattr(real_ladders, "pairs", lambda: table.assign(high_db=3.0))
    assert overall("C6") == "contradicted"
    monkeypatch.setattr(real_ladders, "pairs", lambda: table[table.role == "null"])
    assert overall("C6") == "" and pieces("C6") == []


def test_what_is_saved_is_said_by_family_and_against_what(tmp_path, monkeypatch) -> None:
    words = {key: overall(key) for key in KEYS if key.startswith("C1_")}
    assert words == {"C1_memory": "supported", "C1_memory_from_FP16": "mixed", "C1_time": "supported",
                     "C1_time_from_FP16": "contradicted"}  # fmt: skip
    memory = [piece for piece in pieces("C1_memory_from_FP16") if piece.row.source == "counted"]
    assert [(piece.n, piece.verdict) for piece in memory] == [(3, "contradicted"), (5, "supported")]
    # The blog's Flux.1: 12.3 and 12.6 GB of 31.4, 12 and 109 s of 12.
    assert {round(of.interval.estimate, 3) for of in of("C1_time_from_FP16", "quanto").figures.values()} == {1.0, 9.083}
    assert of("C1_memory_from_FP16", "quanto").interval.estimate == pytest.approx(12.6 / 31.4)
    footprint.published().drop(columns=["title", "ratio"]).to_csv(tmp_path / "published.csv", index=False)
    monkeypatch.setattr(footprint, "FOLDER", tmp_path)  # nothing was counted or measured
    assert overall("C1_memory") == overall("C1_time") == "" and overall("C1_time_from_FP16") == "contradicted"


@pytest.mark.parametrize(
    ("ways", "word"),
    [([], ""), (["open"], "inconclusive"), (["in", "open"], "supported"), (["out", "open"], "contradicted"),
     (["in", "out"], "mixed")],
)  # fmt: skip
def test_adding_a_piece_is_one_row(monkeypatch, ways, word) -> None:
    figures = {"in": Interval(0.95, 0.92, 0.97), "open": Interval(0.9, 0.8, 0.95), "out": Interval(0.5, 0.4, 0.6)}
    made = [
        evidence.Row("C8", "x", "truefake", lambda limits, way=way: Reading({way: Measured(figures[way], low=0.9)}, 40))
        for way in ways
    ]
    monkeypatch.setattr(evidence, "ROWS", (*ROWS, *made))
    assert overall("C8") == word and len(pieces("C8")) == len(ways)


def test_no_figure_is_typed_where_evidence_is_read() -> None:
    """Figures come from files: the readers have no decimal number, and the rows none beside a version and a year."""
    for module in (readings, evidence):
        numbers = re.findall(r"(?<![\w.])\d*\.\d+(?![\w.])", inspect.getsource(module))
        assert set(numbers) <= {"0.0"}, module.__name__
    assert real_checkpoints.BASE == "fp16"
