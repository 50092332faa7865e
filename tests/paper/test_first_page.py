"""The first page's answer follows from the scores, and its pictures are what the study holds: other studies, others."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import odd
import pandas as pd
import pytest
import synthetic
import vl_convert
from PIL import Image
from scipy import stats

from helpers import analysis, claims, world
from helpers.core import files
from helpers.core.errors import Damaged
from helpers.paper import first_figures, first_page, numbers

#: The statements that the deck's story rests on.
MAIN = [claim for claim in claims.CLAIMS if claim.headline]
SPACE = "\N{NO-BREAK SPACE}"
#: Every detector misses all that any generator makes at FP4, or much of what two of them make.
EVERYWHERE = {(d, g, "fp4"): -9.0 for d in synthetic.DETECTORS for g in synthetic.SIZES}
TWO = {(d, g, "fp4"): by for d in synthetic.DETECTORS for g, by in (("sd3", -5.0), ("flux1", -4.0))}


def study(folder: Path, effects=synthetic.FLAT, images: int = 200, **of):
    return analysis.load(synthetic.write(folder, effects, images=images, **of))


def test_where_nothing_falls_the_answer_is_yes(tmp_path: Path) -> None:
    short, answer = first_page.answer(study(tmp_path))
    assert short == "In miniature, yes, about as well as before."
    assert answer.startswith(
        "With 4-bit weights (FP4) in place of 32-bit ones (FP32), detectors find about as many images of SD1.5, SD2.1, "
        "SDXL, SD3, SD3.5 and Flux.1 as before. "
    )


def test_cells_of_which_too_many_images_were_rejected_are_named(tmp_path: Path, monkeypatch) -> None:
    said: dict[str, str] = {}
    monkeypatch.setattr(first_page.page, "glue_text", lambda name, text: said.update({name: text}))
    monkeypatch.setattr(first_page.first_figures, "glue_figures", lambda results: None)
    results = study(tmp_path)
    first_page.glue_all(results, claims.evaluate(results))
    assert "rejected" not in said["first_beside"]
    cells = results.cells.assign(rejected=(results.cells.precision == "fp4") * (results.cells.generator == "sd3") * 7)
    first_page.glue_all(replace(results, cells=cells), claims.evaluate(results))
    assert (
        "more than 1\N{NO-BREAK SPACE}% of the images were rejected of SD3 at FP4 (7 of 207);" in said["first_beside"]
    )


def test_where_all_fall_it_is_less_well_and_full_size_is_no_miniature(tmp_path: Path) -> None:
    short, answer = first_page.answer(study(tmp_path, EVERYWHERE, scale="full"))
    assert short == "On the public checkpoints, less well than before."
    assert "detectors find fewer images of SD1.5, SD2.1, SDXL, SD3, SD3.5 and Flux.1. " in answer


def test_generators_are_sorted_by_what_is_found_of_them_and_the_worst_has_its_shares(tmp_path: Path) -> None:
    results = study(tmp_path, TWO)
    short, answer = first_page.answer(results)
    assert short == "In miniature, it depends on the generator."
    assert "about as many images of SD1.5, SD2.1, SDXL and SD3.5 as before and fewer of SD3 and Flux.1." in answer
    table = pd.read_parquet(tmp_path / "scores.parquet")
    called = table.assign(called=100 * (table.logit > 0))
    rates = called[called.label == 1].groupby(["generator", "precision"]).called.mean().unstack()
    worst = (rates.fp4 - rates.fp32).idxmin()
    title = {"sd3": "SD3", "flux1": "Flux.1"}[worst]
    before, after = (f"{rates.loc[worst, at]:.0f}{SPACE}%" for at in ("fp32", "fp4"))
    assert f"The largest fall is on {title}, from {before} of its images to {after}, a change of " in answer
    moved = f"{rates.loc[worst].fp4 - rates.loc[worst].fp32:+.1f} points".replace("-", "\N{MINUS SIGN}")
    alarms = called[(called.label == 0) & (called["size"] == 128)].called.mean()
    assert moved in answer and answer.endswith(f"; of real images {alarms:.0f}{SPACE}% are called fake.")


def test_few_images_leave_it_open_and_fewer_say_nothing(tmp_path: Path) -> None:
    """Of 60 images without a loss up to 6 % may be lost unseen, which is more than the margin."""
    short, answer = first_page.answer(study(tmp_path / "open", images=60))
    assert short == "In miniature, that stays open."
    assert ", whether detectors find as many images of SD1.5, SD2.1, SDXL, SD3, SD3.5 and Flux.1 as before" in answer
    short, answer = first_page.answer(study(tmp_path / "few", images=10))
    assert short == "In miniature, that cannot be said."
    assert answer == "This study cannot say: it has too few images (10, where at least 20 are needed)."
    # A generator with too few is left open, and the others are spoken of.
    table = pd.read_parquet(tmp_path / "open" / "scores.parquet")
    lost = (table.generator == "sd3") & (table["index"] >= 19)
    table[~lost].to_parquet(tmp_path / "open" / "scores.parquet")
    part = analysis.load(synthetic.vouch(tmp_path / "open"), generators=["sd15", "sd3"])
    assert "as many images of SD1.5 and SD3 as before stays open. No share falls" in first_page.answer(part)[1]
    some = {key: by for key, by in EVERYWHERE.items() if key[1] == "sd3"}
    short, answer = first_page.answer(study(tmp_path / "some", some, images=60))
    assert short == "In miniature, less well for some generators, open for others."
    assert "detectors find fewer images of SD3; for SD1.5, SD2.1, SDXL, SD3.5 and Flux.1 that stays open." in answer


def test_a_study_that_cannot_say_says_why(tmp_path: Path) -> None:
    blind = study(tmp_path / "blind", level=0.0, stray=False)
    assert first_page.answer(blind)[1] == (
        "This study cannot say: none of its detectors tells fakes from reals well enough, even at FP32."
    )
    alone = analysis.load(tmp_path / "blind", detectors=["npr"], precisions=["fp32"])
    assert "This study cannot say" in first_page.answer(alone)[1]
    one = analysis.load(synthetic.write(tmp_path / "one", images=40), precisions=["fp32"])
    assert first_page.answer(one)[1] == "This study cannot say: it has no images at FP32 and at FP4."
    npr = analysis.load(odd.unsaid(tmp_path / "unsaid"), detectors=["npr"])
    assert first_page.answer(npr)[1] == (
        "This study cannot say: whether the scores by NPR are logits or probabilities is not said."
    )


def test_without_reals_none_are_spoken_of_and_another_scale_is_not_guessed(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, TWO, images=200, scale="")
    table = pd.read_parquet(folder / "scores.parquet")
    table[table.label == 1].to_parquet(folder / "scores.parquet")
    results = analysis.load(synthetic.vouch(folder))
    short, answer = first_page.answer(results)
    assert short == "In this study, it depends on the generator." and "real images" not in answer
    assert "not known here: no AUC at FP32" in first_page.rule(results)
    assert "detection rate" in repr(first_figures.glance(results)).lower()


@pytest.mark.parametrize(
    ("effects", "said"),
    [(synthetic.DECK, "2 hold and 1 stays open here"), (synthetic.WRONG, "2 fail and 1 stays open here")],
)
def test_the_decks_main_claims_are_counted(tmp_path: Path, effects, said: str, monkeypatch) -> None:
    """C10 is of generators at large, of which one that is hard says little."""
    words = dict(zip((claim.key for claim in MAIN), ["supported", "contradicted", ""], strict=True))
    monkeypatch.setattr(first_page, "overall", lambda key, limits: words[key])
    results = study(tmp_path, effects, images=60)
    outcomes = claims.evaluate(results, *{claim.id for claim in MAIN})
    assert first_page.deck_and_evidence(results, outcomes) == (
        f"Of the {len(MAIN)} main claims of the slide deck under test {said}; public measurements of the real "
        "checkpoints agree with 1, contradict 1 and say nothing of 1."
    )


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.write(tmp_path_factory.mktemp("pictured"), synthetic.DECK, images=30, contact=True)


def sheet(folder: Path, generator: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "contact" / f"{generator}.webp").convert("RGB"))


@pytest.mark.parametrize("precisions", [[], ["fp32", "fp4"]])
def test_tiles_are_the_sheets_pixels_with_the_scores_of_these_images(pictured: Path, precisions: list[str]) -> None:
    results = analysis.load(pictured, precisions=precisions)
    found = first_figures.tiles(results)
    assert found.generator == "sd3"  # of which the deck's main claim speaks
    assert found.prompt == world.prompt(world.SPLITS["test"])
    assert list(found.pictures) == (precisions or ["fp32", "fp16", "fp8", "fp4"])
    shown = first_figures.drawn(results, found).data
    held = re.findall(r'src="data:image/webp;base64,([^"]+)" width="128" height="128" alt="([^"]+)"', shown)
    whole, table = sheet(pictured, "sd3"), pd.read_parquet(pictured / "scores.parquet")
    scores = table[(table.generator == "sd3") & (table["index"] == 0)].set_index(["detector", "precision"]).logit
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr><th.*?</tr>", shown)]
    for place, at in enumerate(found.pictures):
        top = 132 * synthetic.PRECISIONS.index(at)
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(held[place][0]))))
        assert (pixels == whole[top : top + 128, :128]).all(), at
        assert held[place][1] == f"SD3 at {at.upper()}: {found.prompt}"
        for row, detector in zip(rows, synthetic.DETECTORS, strict=True):
            logit = scores[detector, at]
            word, number = ("fake" if logit > 0 else "real"), f"{logit:+.1f}".replace("-", "\N{MINUS SIGN}")
            assert row[place] == f'<span class="said said-{word}">{word}</span> {number}'


def test_verdicts_that_change_between_the_images_are_counted(pictured: Path) -> None:
    results = analysis.load(pictured)
    table = pd.read_parquet(pictured / "scores.parquet")
    first = table[(table.generator == "sd3") & (table["index"] == 0)].assign(called=lambda of: of.logit > 0)
    turned = (first.groupby("detector").called.nunique() > 1).sum()
    assert turned == 2  # NPR and R50_nodown, by the deck's story
    caption = repr(first_figures.drawn(results, first_figures.tiles(results)))
    assert caption.endswith("2 of 4 detectors change the verdict between them.")


def test_another_threshold_gives_other_verdicts(pictured: Path) -> None:
    results = analysis.load(pictured, threshold=100.0)
    shown = first_figures.drawn(results, first_figures.tiles(results)).data
    assert "said-fake" not in shown and shown.count("said-real") == 16


def test_without_the_decks_generator_the_studys_first_with_a_sheet_is_shown(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, images=20, generators=("sd15", "sdxl"), contact=True)
    first = analysis.load(folder)
    assert first_figures.tiles(first).generator == "sd15"
    assert repr(first_figures.drawn(first, first_figures.tiles(first))).startswith("SD1.5, the study's first, and ")
    (folder / "contact" / "sd15.webp").unlink()
    assert first_figures.tiles(analysis.load(folder)).generator == "sdxl"
    (folder / "contact" / "sdxl.webp").unlink()
    results = analysis.load(folder)
    assert first_figures.tiles(results) is None
    assert "No contact sheets" in first_figures.drawn(results, None).data


def test_a_sheet_of_other_precisions_is_refused(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path, images=20, generators=("sd3",), contact=True)
    Image.fromarray(sheet(folder, "sd3")[:260]).save(folder / "contact" / "sd3.webp", lossless=True)
    with pytest.raises(Damaged, match="4 rows"):
        first_figures.tiles(analysis.load(folder))


def test_the_small_heatmap_has_every_cell_and_says_how_far_it_runs(pictured: Path) -> None:
    results = analysis.load(pictured)
    shown = first_figures.glance(results)
    table = pd.read_parquet(pictured / "scores.parquet")
    areas = {}
    for (generator, detector, precision), fakes in table[table.label == 1].groupby(
        ["generator", "detector", "precision"]
    ):
        reals = table[(table.label == 0) & (table.detector == detector) & (table["size"] == synthetic.SIZES[generator])]
        pairs = len(fakes) * len(reals)
        areas[generator, detector, precision] = stats.mannwhitneyu(fakes.logit, reals.logit).statistic / pairs
    wanted = [
        f"{areas[g, d, p]:.2f}" for g in synthetic.SIZES for d in synthetic.DETECTORS for p in synthetic.PRECISIONS
    ]
    assert re.findall(r"<b>([\d.]+)</b>", shown.data) == wanted
    says = repr(shown)
    assert f"from {min(areas.values()):.2f} (" in says and f" to {max(areas.values()):.2f} (" in says
    assert "on SD3 at FP4" in says.split(" to ")[0] and says in shown.data


def test_both_figures_get_numbers(pictured: Path, tmp_path: Path) -> None:
    results = analysis.load(pictured)
    text = first_figures.drawn(results, first_figures.tiles(results)).data + first_figures.glance(results).data
    (tmp_path / "intro.html").write_text(text, encoding="utf-8")
    assert numbers.number(tmp_path, ["intro"]) == {"fig-tiles": "Figure 1", "fig-glance": "Figure 2"}


def test_its_colours_are_those_of_the_charts() -> None:
    """Vega draws the same scheme."""
    values = [0.0, 0.15, 0.3, 0.55, 0.82, 1.0]
    spec = {
        "width": 60, "height": 10, "padding": 0, "config": {"view": {"stroke": None}},
        "data": {"values": [{"x": 10 * place, "v": value} for place, value in enumerate(values)]},
        "mark": {"type": "rect", "width": 10, "height": 10, "align": "left"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "scale": {"domain": [0, 60]}, "axis": None},
            "color": {"field": "v", "type": "quantitative", "scale": {"scheme": "cividis", "domain": [0, 1]},
                      "legend": None},
        },
    }  # fmt: skip
    drawn = np.asarray(Image.open(io.BytesIO(vl_convert.vegalite_to_png(json.dumps(spec)))).convert("RGB")).astype(int)
    for place, value in enumerate(values):
        own = tuple(bytes.fromhex(first_figures.shade(value)[1:]))
        assert np.abs(drawn[5, 10 * place + 5] - own).max() <= 16, (value, own, drawn[5, 10 * place + 5])


def test_the_ways_on_are_five_and_lead_to_lab_and_explorer() -> None:
    text = (files.BOOK / "intro.md").read_text(encoding="utf-8")
    ways = text.partition(":::{container} first-ways")[2].partition(":::")[0]
    assert ways.count("\n- [") == 5
    assert "[Explore](../notebooks/08_explorer.ipynb)" in ways and "[Try it](../notebooks/12_try_it.ipynb)" in ways
