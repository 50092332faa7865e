"""A book for every study: each odd study's pages are built, their sentences read, their numbers counted again."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from pathlib import Path

import odd
import pandas as pd
import pytest
import reading
import vl_convert

from helpers import analysis, claims
from helpers.analysis.stats import power
from helpers.claims.rule import HOLDS, PLURAL, SAID
from helpers.paper import build, contents

#: What no sentence of a study says: values that are none, glued texts that are empty, a plural of one.
BROKEN = re.compile(
    r"\bnan\b|\bNone\b|\bnull\b(?! control)|\bno of\b|\bthe this\b|Outcome\(|array\(|alt\.|\bover \.|, and\.|, \.|\(\)|"
    r" ,|\{glue:|\b1 (?:image|pair|cell|generator|precision|detector|statement|verdict|condition|score)s\b|"
    r"\bfor (?:and|,)|\bis (?:and|,)"
)
#: Pages that are about this project and the same for every study.
SAME = {"methods", "reproduce", "glossary", "references", "context"}

UNSAID = "whether the scores by NPR are logits or probabilities is not said"

#: Counted by hand from `odd`: generators, precisions, cells, fakes, reals, detectors.
GRIDS = {
    "without_reals": "3 generators at 3 precisions make 9 cells with 108 generated images in all; no real image stands "
    "against them, and 4 detectors judge each.",
    "one_generator": "1 generator at 3 precisions makes 3 cells with 90 generated images in all; 30 real images stand "
    "against them, and 4 detectors judge each.",
    "two_images": "3 generators at 3 precisions make 9 cells with 18 generated images in all; 2 real images stand "
    "against them, and 4 detectors judge each.",
    "one_detector": "2 generators at 2 precisions make 4 cells with 80 generated images in all; 20 real images stand "
    "against them, and 1 detector judges each.",
    "foreign_training": "3 generators at 2 precisions make 6 cells with 150 generated images in all; 25 real images "
    "stand against them, and 2 detectors judge each.",
    "with_nan": "2 generators at 4 precisions make 8 cells with 160 generated images in all; 40 real images stand "
    "against them, and 4 detectors judge each.",
    "unsaid": "3 generators at 3 precisions make 9 cells with 216 generated images in all; 24 real images stand "
    "against them, and 2 detectors judge each.",
    "wide": "1 generator at 2 precisions makes 2 cells with 30 generated images in all; no real image stands against "
    "them, and 1 detector judges each.",
}
#: How much of the deck's grid each has, and which of its pairs.
CROSSED = {
    "without_reals": (9, "72 of 72 images at other precisions have a twin at FP32"),
    "one_generator": (3, "60 of 60 images at other precisions have a twin at FP32"),
    "two_images": (9, "12 of 12 images at other precisions have a twin at FP32"),
    "one_detector": (2, "40 of 40 images at other precisions have a twin at FP16"),
    "foreign_training": (6, "75 of 75 images at other precisions have a twin at FP32"),
    "with_nan": (8, "each quantized image has a twin at FP32"),
    "unsaid": (9, "144 of 144 images at other precisions have a twin at FP32"),
    "wide": (2, "15 of 15 images at other precisions have a twin at FP32"),
}


@pytest.fixture(scope="module", params=odd.STUDIES)
def book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> reading.Book:
    """The pages of one study; pictures of charts and the table that no study changes are left out or made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_png", lambda *_, **__: b"")
        patch.setattr(power, "table", _power)
        made = reading.Book(odd.STUDIES[request.param](tmp_path_factory.mktemp(request.param)))
    made.name = request.param
    return made


def reals(book: reading.Book) -> bool:
    """Whether a study has real images, by its scores as they are stored."""
    return bool((pd.read_parquet(book.study / "scores.parquet").label == 0).any())


@functools.cache
def _power_of(margins: tuple[tuple[str, float], ...], table=power.table) -> pd.DataFrame:
    return table(dict(margins))


def _power(margins: dict[str, float]) -> pd.DataFrame:
    return _power_of(tuple(sorted(margins.items())))


def test_no_sentence_is_broken_and_none_speaks_of_what_is_not_there(book: reading.Book) -> None:
    for name, text in book.pages.items():
        told = text if name not in SAME else ""
        assert not (found := BROKEN.search(told)), (name, told[max(0, found.start() - 120) : found.end() + 60])
        # Nobody said at which scale an imported study was run.
        assert book.name == "with_nan" or "public checkpoints at full size" not in told, name
    notebooks = "\n".join(book.pages[name] for name in book.said)
    for words in (
        "Under *shared*",
        "Under *aligned*",
        "*mini-sdxl*",
        "*mini-s1*",
        "all of them are run",
        "five images",
    ):
        assert words not in notebooks
    lacks = {"sd3": "no images of SD3,", "npr": "no scores of NPR,", "r50_tf": "no scores of R50_TF,"}
    study = analysis.load(book.study)
    for key, words in lacks.items():
        assert (words in notebooks) == (key not in (*study.generators, *study.detectors)), key
    for name in book.said:
        assert book.pages[name].count("not said at which scale") == (book.name != "with_nan"), name
    assert ("what else real images add" in notebooks) == reals(book)


def test_what_is_counted_is_what_the_study_has(book: reading.Book) -> None:
    setup = book.pages["01_setup"]
    assert GRIDS[book.name] in setup and "Of the grid, every cell was run." in setup
    cells, twins = CROSSED[book.name]
    assert f"This study has {cells} of them." in setup and twins in setup
    lost = "3 scores are no numbers and are left out: 3 of NPR on SD3 at FP4."
    assert (lost in setup) == (book.name == "with_nan") == ("left out:" in setup)


def test_the_verdicts_are_counted_and_the_same_on_every_page(book: reading.Book) -> None:
    said = book.said["09_claims"]
    marks = {name: mark for name, mark in said.items() if name.endswith("_verdict") and "_matched" not in name}
    words = {HOLDS[verdict]: (SAID[verdict], PLURAL[verdict]) for verdict in HOLDS}
    counts = Counter(mark.partition(" (")[0] for mark in marks.values())
    assert counts.total() == len(claims.CLAIMS)
    for word, count in counts.items():
        assert f"{count} {words[word][count > 1]}" in said["summary"]
    for claim in claims.CLAIMS:
        if claim.of_study and claim.page != "07_mechanism":
            own = f"{claim.short}: {said[f'{claim.key}_verdict']} {said[f'{claim.key}_answer']}"
            assert book.flat(claim.page).count(re.sub(r"\s+", " ", own)) == 1, claim.key


def test_detection_rates_are_those_of_the_table(book: reading.Book) -> None:
    scores = pd.read_parquet(book.study / "scores.parquet").dropna(subset="logit")
    scores = scores[(scores.arm == "native") & (scores.weights != "wild") & (scores.detector == "npr")]
    base = "fp16" if book.name == "one_detector" else "fp32"
    old = scores[(scores.generator == "sd15") & (scores.precision == base)].logit
    told = f"NPR's detection rate on SD1.5 is {(old > 0).mean():.2f}" if len(old) else "no scores of NPR on SD1.5"
    told = f"cannot say: {UNSAID}" if book.name == "unsaid" else told
    assert told in book.said["09_claims"]["C3_answer"]


def test_a_page_says_of_which_scores_the_scale_is_not_said(book: reading.Book) -> None:
    asked = book.name == "unsaid"
    for name in book.said:
        assert ("All scores by NPR lie in 0 to 1" in book.pages[name]) == asked, name
    assert (UNSAID in book.said["02_heatmap"]["overview_answer"]) == asked


def test_charts_say_what_they_show(book: reading.Book) -> None:
    for name, charts in book.charts.items():
        for chart in charts:
            assert not BROKEN.search(chart["description"]), (name, chart["description"])
            titles = re.findall(r'"title": "([^"]*)"', json.dumps(chart))
            assert not (wrong := [title for title in titles if BROKEN.search(title)]), (name, wrong)
            for menu in chart.get("params", []):
                labels = menu.get("bind", {}).get("labels", ["none"])
                assert labels and all(labels) and "nan" not in labels, (name, labels)
    heatmap = book.charts["02_heatmap"][0]
    figures = next(menu["bind"]["options"] for menu in heatmap["params"] if menu["name"] == "figure")
    assert ("auc" in figures) == reals(book)


def test_the_book_of_the_poorest_study_is_built(tmp_path: Path) -> None:
    site = build.build(odd.wide(tmp_path), tmp_path / "out").parent
    for page in contents.pages():
        text = reading.plain((site / f"{page}.html").read_text(encoding="utf-8"))
        assert "{glue" not in text and "Traceback" not in text
    conclusion = (site / "book/conclusion.html").read_text(encoding="utf-8")
    assert "verdict-not-testable" in conclusion and "15 images per cell" in conclusion
    assert json.loads((tmp_path / "study" / "manifest.json").read_text())["study"]["detectors"] == ["npr"]
