"""Page 08 in a real browser, and its widgets: what they show is what the scores say, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from browsing import opened, served
from PIL import Image
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from helpers import analysis, charts
from helpers.core import files
from helpers.paper import explorer as widgets
from helpers.paper import site
from helpers.paper.pages import explorer

PAGE = "notebooks/08_explorer.html"
GENERATORS = ("sd15", "sd3")
#: What the address holds after a choice of everything.
ALL = (
    "#generator=sd3&detector=r50_nodown&protocol=shared&training=mini&gain=16&image=2&precisions=fp32,fp4&threshold=0.5"
)


def compiled(study: Path, folder: Path) -> Path:
    """A site of the explorer's page alone, on a study, without the rest of the book; the folder of its pages."""
    (folder / "notebooks").mkdir(parents=True)
    found = analysis.load(study)
    explorer.stage(found, folder / site.EXTRA)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "notebooks")
        shown = explorer.show(found).data + explorer.show_gallery(found).data
    (folder / site.EXTRA / "explorer").rename(folder / "explorer")
    shutil.copytree(files.BOOK / "_static", folder / "_static")
    head = "".join(f'<link rel="stylesheet" href="../_static/{name}.css">' for name in ("style", "explorer"))
    head += "".join(f'<script defer src="../_static/{name}.js"></script>' for name in ("drawing", "explorer"))
    head += '<meta name="viewport" content="width=device-width">'
    head += '<meta charset="utf-8"><link rel="icon" href="data:,">'
    text = f'<!DOCTYPE html><html lang="en">{head}<article class="bd-article">{shown}</article></html>'
    (folder / PAGE).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators under two protocols; SD3's FP4 falls, one cell lacks an image in the middle, and R50_nodown hardly
    tells the classes apart."""
    folder = tmp_path_factory.mktemp("explorer") / "study"
    shared = {("r50_nodown", "sd3", None): -7.0, ("r50_nodown", "sd3", "fp4"): -8.0}
    synthetic.write(folder, synthetic.DECK, images=60, generators=GENERATORS, gallery=4, protocols={"shared": shared})
    scores = pd.read_parquet(folder / "scores.parquet")
    gone = (scores.generator == "sd3") & (scores.precision == "fp4") & (scores["index"] == 7)
    scores[~gone].to_parquet(folder / "scores.parquet")
    return synthetic.vouch(folder)


@pytest.fixture(scope="module")
def book(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(study, tmp_path_factory.mktemp("site"))


@pytest.fixture
def shown(book: Path, browser):
    """A page on which the explorer is drawn; nothing may go wrong on it."""
    page, wrong = opened(browser, 1280), []
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda sent: wrong.append(sent.url))
    page.on("request", lambda sent: wrong.append(sent.url) if not sent.url.startswith(("file:", "data:")) else None)

    def at(fragment: str = ""):
        page.goto("about:blank")
        page.goto((book / PAGE).as_uri() + fragment)
        page.wait_for_selector(".explorer-place[data-drawn]")
        return page

    yield at
    page.close()
    assert wrong == []


def drawn(page, *said: str):
    """The page, once what is drawn is what its address says (and that holds these parts)."""
    page.wait_for_function(
        """said => { const place = document.querySelector(".explorer-place[data-drawn]");
            return place && (!location.hash || place.dataset.drawn === location.hash)
                && said.every(part => place.dataset.drawn.includes(part)); }""",
        arg=list(said),
    )
    return page


def numbers(page) -> dict[str, tuple[float, float, float]]:
    """Every figure of the table of rates with its ends, by its name: "tpr fp4"."""
    found = page.locator(".explorer-rates td[data-name]").evaluate_all(
        "cells => cells.map(({dataset: of}) => [of.name, Number(of.value), Number(of.low), Number(of.high)])"
    )
    return {name: tuple(ends) for name, *ends in found}


def logits(study: Path, protocol: str, detector: str) -> dict[str, np.ndarray]:
    """SD3's fakes by precision, and the reals of its size, of the table of scores."""
    scores = pd.read_parquet(study / "scores.parquet")
    scores = scores[(scores.protocol == protocol) & (scores.detector == detector) & (scores["size"] == 128)]
    return {
        key: own.sort_values("index").logit.to_numpy(np.float64)
        for key, own in scores[scores.generator.isin(["sd3", "real"])].groupby("precision")
    }


@pytest.mark.parametrize(
    ("protocol", "detector", "threshold"), [("plain", "npr", 0.0), ("shared", "r50_nodown", 0.5), ("plain", "npr", 3.0)]
)
def test_rates_and_areas_are_those_of_the_scores(
    study: Path, shown, protocol: str, detector: str, threshold: float
) -> None:
    page = shown(f"#generator=sd3&detector={detector}&protocol={protocol}&training=mini&threshold={threshold}")
    found, own = numbers(page), logits(study, protocol, detector)
    reals = own.pop("none")
    wilson = {"alpha": 0.05, "method": "wilson"}
    called = {f"tpr {key}": (values > threshold) for key, values in own.items()} | {"tnr": reals <= threshold}
    for name, hits in called.items():
        low, high = proportion_confint(int(hits.sum()), len(hits), **wilson)
        assert found[name] == pytest.approx((hits.mean(), low, high), abs=1e-9), name
    cells = analysis.cells(analysis.load(study, protocol=protocol)).set_index(["generator", "detector", "precision"])
    for key, values in own.items():
        area = stats.mannwhitneyu(values, reals).statistic / len(values) / len(reals)
        assert found[f"auc {key}"][0] == pytest.approx(area, abs=1e-9)
        row = cells.loc[("sd3", detector, key)]
        assert found[f"auc {key}"] == pytest.approx((row.auc, row.auc_low, row.auc_high), abs=1e-9)
    assert len(own["fp4"]) == 59 and page.locator(".explorer-charts .explorer-chart").count() == 2


def test_an_address_reproduces_a_view_and_the_browser_goes_back(shown) -> None:
    page = shown()
    assert page.url.endswith(".html")
    for name, value in (("detector", "r50_nodown"), ("protocol", "shared"), ("image", "2"), ("gain", "16")):
        page.locator(f"select[name={name}]").select_option(value)
        drawn(page, f"{name}={value}")
    for key in ("fp16", "fp8"):
        page.locator(f"input[name=precisions][value={key}]").uncheck()
    page.locator("input[name=limit]").fill("0.5")
    page.keyboard.press("Enter")
    drawn(page, "threshold=0.5")
    state = "() => document.querySelector('.explorer-place').innerText"
    before = page.evaluate(state)
    assert sorted(page.url.partition("#")[2].split("&")) == sorted(ALL[1:].split("&"))
    page.go_back()
    page.wait_for_function("!location.hash.includes('threshold')")
    drawn(page)
    assert "threshold" not in page.url and page.locator("input[name=limit]").input_value() == "0"
    page.go_forward()
    page.wait_for_function("location.hash.includes('threshold')")
    drawn(page, "threshold=0.5")
    assert page.evaluate(state) == before
    assert shown(ALL).evaluate(state) == before


def test_an_address_that_names_nothing_shows_what_there_is(shown) -> None:
    page = shown("#generator=sd99&detector=none&image=77&precisions=int1&threshold=x&training=no&protocol=no&gain=3")
    assert page.locator("figure[data-key]").count() == 2  # the baseline and the real beside it
    assert page.locator("select[name=image]").input_value() == "0"
    assert numbers(page)["tpr fp32"][0] == 1.0


def test_a_picture_is_the_stored_one_and_its_difference_that_of_the_pixels(shown, tmp_path: Path) -> None:
    page = shown("#generator=sd3&image=1&precisions=fp32,fp4&gain=4&detector=npr&protocol=plain&training=mini")

    def middle(box) -> tuple[int, ...]:
        box.screenshot(path=tmp_path / "box.png")
        with Image.open(tmp_path / "box.png") as picture:
            return picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))

    page.wait_for_timeout(500)
    first, last = synthetic.shade(0, 1), synthetic.shade(3, 1)
    assert middle(page.locator("figure[data-key=fp32] svg")) == first
    assert middle(page.locator("figure[data-key=fp4] svg")) == last
    apart = tuple(4 * abs(a - b) for a, b in zip(first, last, strict=True))
    assert middle(page.locator("canvas[aria-label^='Difference of FP4']").first) == apart
    assert middle(page.locator("figure[data-key=real] svg")) == synthetic.shade(4, 1)


def test_each_image_has_the_verdicts_of_its_own_scores(study: Path, shown) -> None:
    page = shown(ALL)
    own = logits(study, "shared", "r50_nodown")
    for key, of in (("fp32", "fp32"), ("fp4", "fp4"), ("real", "none")):
        said = page.locator(f"figure[data-key={key}] .explorer-verdict").inner_text()
        logit = own[of][2]
        assert said == f"{logit:+.2f} called {'fake' if logit > 0.5 else 'real'}".replace("-", "\N{MINUS SIGN}")
    page.locator(".explorer-rates").scroll_into_view_if_needed()
    page.locator(".explorer-near").first.wait_for()
    near = page.locator(".explorer-near span").all_inner_texts()
    stored = {(key, i): abs(own["none" if key == "real" else key][i] - 0.5)
              for key in ("fp32", "fp4", "real") for i in range(4)}  # fmt: skip
    first = min(stored, key=stored.get)
    assert near[0].startswith(f"{ {'real': 'Real', 'fp32': 'FP32', 'fp4': 'FP4'}[first[0]] }, image {first[1]}:")
    assert "among the 12 of these images that are stored" in page.locator(".explorer-nearest").inner_text()


def test_the_first_verdicts_wait_for_no_file(study: Path, book: Path, browser) -> None:
    page = opened(browser, 390)
    with served(book) as address:
        page.route("**/*~*.js*", lambda _: None)  # scores that never come
        page.goto(f"{address}{PAGE}", wait_until="commit")
        page.wait_for_selector(".explorer-verdicts td")
        assert page.locator(".explorer-place[data-drawn]").count() == 0
        said = page.locator("figure[data-key=fp4] .explorer-verdict").inner_text()
        logit = logits(study, "plain", "npr")["fp4"][0]
        assert said == f"{logit:+.2f} called {'fake' if logit > 0 else 'real'}".replace("-", "\N{MINUS SIGN}")
        page.locator("select[name=image]").select_option("2")
        page.wait_for_function("!document.querySelector('figure[data-key=fp4] .explorer-verdict').textContent")
    page.close()


def test_a_file_is_loaded_when_it_is_chosen(book: Path, browser) -> None:
    page, sent = opened(browser, 390), []
    page.on("request", lambda request: sent.append(request.url.rpartition("/explorer/")[2].partition("?")[0]))
    with served(book) as address:
        page.goto(f"{address}{PAGE}")
        drawn(page)
        scores = [name for name in sent if name.endswith(".js") and "~" in name]
        assert scores == ["sd3~plain~mini.js"]
        assert not any("sd15/" in name for name in sent)  # the gallery is below
        page.locator("select[name=generator]").select_option("sd15")
        drawn(page, "generator=sd15")
        assert "sd15~plain~mini.js" in sent
        page.locator(".quantdetect-gallery").scroll_into_view_if_needed()
        page.locator(".explorer-row").nth(1).wait_for()
    page.close()


def test_the_gallery_shows_every_generator_and_differences(shown) -> None:
    page = shown()
    page.locator(".quantdetect-gallery").scroll_into_view_if_needed()
    page.locator(".explorer-row").first.wait_for()
    assert page.locator(".explorer-row .explorer-name").all_inner_texts() == ["SD1.5", "SD3"]
    assert page.locator(".explorer-row").first.locator("figcaption").all_inner_texts() == [
        "FP32", "FP16", "FP8", "FP4", "Real",
    ]  # fmt: skip
    page.locator("#gallery-how").select_option("8")
    assert page.locator(".explorer-row canvas").count() == 2 * 3
    page.locator("#gallery-image").select_option("3")
    assert "number 3" in page.locator(".explorer-row svg").first.get_attribute("aria-label")


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_fits_and_its_controls_have_names(book: Path, browser, width: int) -> None:
    page = opened(browser, width, color_scheme="dark")
    page.goto((book / PAGE).as_uri())
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = """all => all.filter(e => !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent.trim())
        .map(e => e.outerHTML)"""
    assert page.locator("article :is(select, input, button)").evaluate_all(nameless) == []
    page.locator("select[name=generator]").focus()
    page.keyboard.press("ArrowUp")
    drawn(page, "generator=sd15")
    page.close()


def test_without_scripts_there_are_pictures(book: Path, browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((book / PAGE).as_uri())
    assert page.locator(".explorer-still img").count() == 1 + len(GENERATORS)
    context.close()


def test_what_a_study_lacks_is_said(tmp_path: Path, browser) -> None:
    folder = synthetic.write(tmp_path / "study", images=40, generators=("sd3",))
    scores = pd.read_parquet(folder / "scores.parquet")
    scores[scores.label == 1].to_parquet(folder / "scores.parquet")
    synthetic.vouch(folder)
    page = opened(browser, 390)
    page.goto((compiled(folder, tmp_path / "site") / PAGE).as_uri())
    drawn(page)
    said = page.locator("article").inner_text()
    assert widgets.NO_IMAGES in said and widgets.NO_REALS in said
    assert list(numbers(page)) == ["tpr fp32", "tpr fp16", "tpr fp8", "tpr fp4"]
    assert page.locator(".explorer-charts .explorer-chart").count() == 1
    page.close()
    charts.enable()
    live = widgets.explore(analysis.load(folder))
    assert widgets.NO_IMAGES in live.images.value and live.figure.outputs and len(live.rows) == 4


def test_the_widgets_follow_every_chooser(study: Path) -> None:
    charts.enable()
    live = widgets.explore(analysis.load(study), "sd3", "npr")
    own = logits(study, "plain", "npr")
    assert list(live.rows.tpr) == pytest.approx([(own[p] > 0).mean() for p in synthetic.PRECISIONS])
    assert live.images.value.count("<img") == 5 + 3  # four precisions and a real, three differences
    live.threshold.value = 3.0
    assert list(live.rows.tpr) == pytest.approx([(own[p] > 3).mean() for p in synthetic.PRECISIONS])
    live.detector.value = "r50_nodown"
    live.protocol.value = "shared"
    other = logits(study, "shared", "r50_nodown")
    assert list(live.rows.tpr) == pytest.approx([(other[p] > 3).mean() for p in synthetic.PRECISIONS])
    assert "resize, JPEG compression and noise" in live.images.value
    before = live.images.value
    live.prompt.value = 2
    assert live.images.value != before
    live.precisions.value = ()
    assert list(live.rows.precision) == ["fp32"] and live.figure.outputs and live.images.value.count("<img") == 2
    live.generator.value = "sd15"
    assert set(live.rows.generator) == {"sd15"} and live.training.value == "mini"


def test_files_of_other_keys_have_other_names() -> None:
    names = [explorer.file_name("sd3", "plain", weights) for weights in ("a/b", "a_b", "a:b", "mine")]
    assert len(set(names)) == 4 and names[3] == "sd3~plain~mine" and not any("/" in name for name in names)


def test_numbers_that_single_precision_cannot_hold_stay_whole(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "study", images=4, generators=("sd3",))
    scores = pd.read_parquet(folder / "scores.parquet")
    scores.assign(logit=scores.logit.astype(np.float64) + 1e-12).to_parquet(folder / "scores.parquet")
    explorer.stage(analysis.load(synthetic.vouch(folder)), tmp_path / "out")
    text = (tmp_path / "out/explorer/sd3~plain~mini.js").read_text(encoding="utf-8")
    name, bits, packed = json.loads(f"[{text.strip().removeprefix('quantdetectScores(').removesuffix(');')}]")
    assert (name, bits) == ("sd3~plain~mini", 64) and set(packed["npr"]) == {*synthetic.PRECISIONS, "real"}
