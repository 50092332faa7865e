"""The whole book on a synthetic study, warnings as errors, and its pages in a real browser at two widths."""

from __future__ import annotations

from pathlib import Path

import offline
import pytest
import synthetic
from browsing import opened, unwanted_scripts

from helpers import claims
from helpers.core.errors import UsageError
from helpers.paper import build, contents

LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    study = synthetic.write(folder / "study", synthetic.DECK, contact=True, placebo=0.05)
    with offline.refused(folder / "tried.txt"):
        page = build.build(study, folder / "out")
    assert offline.lines(folder / "tried.txt") == []  # neither this process nor a kernel or compiler asked the network
    return page.parent


def test_every_page_is_there_small_and_speaks_of_this_study(site: Path) -> None:
    for page in ["index", *contents.pages()]:
        assert (site / f"{page}.html").stat().st_size < 1_500_000
    for page in contents.pages():
        assert unwanted_scripts(site / f"{page}.html") == [], page
    conclusion = (site / "book/conclusion.html").read_text(encoding="utf-8")
    assert "verdict-holds" in conclusion and "100 images per cell" in conclusion
    assert not list(site.parent.glob(".tmp-*"))


def test_the_scorecards_figures_are_where_it_says(site: Path, browser) -> None:
    page = opened(browser, 390)
    page.goto((site / "notebooks/09_claims.html").as_uri())
    assert page.locator(".claim").count() == len(claims.CLAIMS)
    # A fall on SD3 alone says little of generators at large, of which C11 is.
    assert page.locator(".claim-study .verdict-holds").count() == sum(claim.of_scores for claim in claims.CLAIMS) - 1
    # Of the study nothing is said that is said of real evidence, and the columns of a card stand one above the other.
    assert page.locator(".claim-study [class*=evidence-]").count() == 0
    assert page.locator(".claim-real .verdict").count() == len(claims.CLAIMS)
    first = page.locator(".claim").first
    study, real = (first.locator(name).bounding_box() for name in (".claim-study", ".claim-real"))
    assert study["y"] + study["height"] <= real["y"] and study["x"] == real["x"]
    links = page.locator(".claim a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for link in set(links):
        file, anchor = link.split("#")
        assert f'id="{anchor}"' in (site / "notebooks" / file).read_text(encoding="utf-8"), link
    # In the dark the theme's small print is light, so cards must not lie on the light ground that pictures get.
    page.emulate_media(color_scheme="dark")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    ground = "getComputedStyle(document.querySelector('.claims').closest('.text_html')).backgroundColor"
    assert page.evaluate(ground) == "rgba(0, 0, 0, 0)"
    page.close()


def test_on_a_phone_the_answer_is_on_the_first_screen(site: Path, browser) -> None:
    page = opened(browser, 390)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / "book/intro.html").as_uri())
    answer = page.locator(".first-answer")
    title, said, rest = (
        of.bounding_box() for of in (page.locator("article h1"), answer, page.locator(".first-byline"))
    )
    # Below the title and above all else, to its last line.
    assert page.evaluate("document.querySelector('article h1').nextElementSibling.classList.contains('first-answer')")
    assert title["y"] + title["height"] <= said["y"] and said["y"] + said["height"] <= min(844, rest["y"])
    text = answer.inner_text()
    assert text.startswith("In miniature, ") and "4-bit weights (FP4)" in text and "the public checkpoints do" in text
    page.close()


def test_the_first_page_shows_its_pictures_and_leads_on(site: Path, browser) -> None:
    start = (site / "book/intro.html").as_uri()
    page = opened(browser, 390, color_scheme="dark")
    page.goto(start)
    # Pictures and words alone: no chart's script, and every image with what stands for it.
    assert "vega" not in page.content()
    sizes = page.locator(".tiles img").evaluate_all("images => images.map(i => [i.naturalWidth, i.alt.length > 10])")
    assert sizes == [[128, True]] * 4
    squares = page.locator(".glance-block i")
    assert squares.count() == 6 * 4 * 4 and page.locator(".glance-grid[role=img]").get_attribute("aria-label")
    ways = page.locator(".first-ways li")
    for place in range(ways.count()):
        box = ways.nth(place).bounding_box()
        ways.nth(place).click(position={"x": box["width"] - 5, "y": box["height"] - 5})  # all of a card is its link
        page.wait_for_url(lambda url: url != start)
        page.goto(start)
    page.locator(".glance a").click()
    page.wait_for_url("**/notebooks/02_heatmap.html")
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_load_alone_without_errors_and_fit(site: Path, browser, width: int) -> None:
    for name in contents.pages():
        page = opened(browser, width)
        wrong: list[str] = []
        page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        page.on("console", lambda said, wrong=wrong: wrong.append(said.text) if said.type == "error" else None)
        page.on("requestfailed", lambda sent, wrong=wrong: wrong.append(f"failed {sent.url}"))
        page.on(
            "request",
            lambda sent, wrong=wrong: None if sent.url.startswith(LOCAL) else wrong.append(f"outside {sent.url}"),
        )
        page.goto((site / f"{name}.html").as_uri())
        if page.locator(".quantdetect-chart").count():
            page.wait_for_selector(".quantdetect-chart svg", state="attached")
        assert not wrong, f"{name} at {width} px: {wrong}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} px"
        page.close()


@pytest.mark.parametrize(
    ("name", "menu", "choice"),
    [
        ("02_heatmap", "Measure", "tpr"),
        ("02_heatmap", "Measure", "tpr_at_5"),
        ("03_sd3_anomaly", "FP32 against", "fp16"),
        ("02_heatmap", "Generator", "sd3"),
        ("03_sd3_anomaly", "FP32 against", "fp8"),
        ("04_distribution_shift", "Detector", "clip_d"),
        ("05_flux_sdxl_robustness", "Generator", "sd3"),
        ("06_legacy_sd15", "Precision", "fp4"),
    ],
)
def test_a_menu_changes_its_chart_with_no_kernel(site: Path, browser, name: str, menu: str, choice: str) -> None:
    page = opened(browser, 1280)
    page.goto((site / f"notebooks/{name}.html").as_uri())
    chart = page.locator(".quantdetect-chart").first
    chart.locator("svg").wait_for()
    before = chart.locator("svg").inner_html()
    bind = chart.locator(".vega-bind", has_text=menu).first
    index = bind.locator("option").evaluate_all(
        "(options, choice) => options.findIndex(o => o.value === choice || o.__data__ === choice)", choice
    )
    select = bind.locator("select")
    select.select_option(index=index) if index >= 0 else select.select_option(choice)
    page.wait_for_function(
        "([svg, before]) => svg.innerHTML !== before", arg=[chart.locator("svg").element_handle(), before]
    )
    page.close()


def test_charts_follow_the_page_from_phone_to_desk(site: Path, browser) -> None:
    page = opened(browser, 390)
    page.goto((site / "notebooks/03_sd3_anomaly.html").as_uri())
    page.locator(".quantdetect-chart svg").first.wait_for()
    page.set_viewport_size({"width": 1280, "height": 900})
    fits = """() => [...document.querySelectorAll(".quantdetect-chart")].every(
        chart => chart.clientWidth > 500
            && Math.abs(chart.clientWidth - chart.querySelector("svg").getBoundingClientRect().width) < 2)"""
    page.wait_for_function(fits)
    page.close()


def test_a_refused_build_leaves_the_old_book(site: Path) -> None:
    before = (site / "index.html").stat().st_mtime_ns
    study = site.parent.parent / "study"
    with pytest.raises(UsageError, match="'treshold': no notebook has this parameter.*threshold"):
        build.build(study, site.parent, {"treshold": 1.0})
    assert (site / "index.html").stat().st_mtime_ns == before
