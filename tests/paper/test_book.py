"""The whole book on a synthetic study, warnings as errors: its pages in a real browser at several widths, for the eye,
the keyboard and screen readers, and on paper."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import accessibility
import lengths
import offline
import pytest
import synthetic
from browsing import opened, unwanted_scripts
from bs4 import BeautifulSoup
from pypdf import PdfReader

from helpers import claims
from helpers.core.errors import UsageError
from helpers.paper import build, contents

LOCAL = ("file:", "data:", "blob:")
EVERY = [*contents.pages(), "search", "genindex", "404"]
WIDE = """() => [...document.querySelectorAll("article table")]
    .map(table => table.closest(".table-scroll") || table.parentElement)
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => ({text: box.textContent.trim().slice(0, 80), reached: box.tabIndex === 0}))"""


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


def test_no_sentence_is_too_long_to_be_carried(site: Path, tmp_path: Path) -> None:
    """Folded text too, and the docstrings on the Python reference; references are titles."""
    known = tmp_path / "page.html"
    said = " ".join(["word"] * 36)
    known.write_text(f'<article class="bd-article"><p>One. {said}.</p><p>{said[5:]} 12.5 (R50)</p></article>')
    assert lengths.longer(known) == [f"{said}."]
    pages = [page for page in ["index", *contents.pages()] if page != "book/references"]
    found = {page: long for page in pages if (long := lengths.longer(site / f"{page}.html"))}
    assert not found


def test_percent_are_written_after_a_space(site: Path) -> None:
    """In what pages compute as in what they hold: prose, tables, captions and the labels of pictures."""
    written = re.compile(r"(?<=\d)(\s?)%")
    found = {page: written.findall(_read(site / f"{page}.html")) for page in contents.pages()}
    assert found["notebooks/01_setup"]
    assert not [page for page, spaces in found.items() if "" in spaces]


def _read(page: Path) -> str:
    """A page's text without code and its settings."""
    article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select_one("article.bd-article")
    for part in article.select("script, style, pre, code"):
        part.decompose()
    return article.get_text()


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
        assert f'id="{anchor}"' in (site / "notebooks" / (file or "09_claims.html")).read_text(encoding="utf-8"), link
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
@pytest.mark.parametrize("name", EVERY)
def test_a_page_loads_alone_fits_and_serves_everybody(site: Path, browser, name: str, width: int) -> None:
    """Loaded once for all that is asked of it, as most of the time goes into loads: errors, the keyboard, axe-core."""
    page = opened(browser, width)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("requestfailed", lambda sent: wrong.append(f"failed {sent.url}"))
    page.on("request", lambda sent: None if sent.url.startswith(LOCAL) else wrong.append(f"outside {sent.url}"))
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_function(accessibility.DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(WIDE)  # on a desk tables fit; on a phone they may be scrolled, which the keyboard can do
    assert [box["text"] for box in wide if width == 1280 or not box["reached"]] == []
    assert accessibility.unseen(page) == []
    assert wrong == []  # axe-core then asks for style sheets in a way that the browser refuses to files
    found = {theme: accessibility.violations(page) for theme in accessibility.themes(page)}
    assert len(found) == 2 and {theme: broken for theme, broken in found.items() if broken} == {}
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


def test_the_narrowest_window_cuts_nothing(site: Path, browser) -> None:
    page = opened(browser, 320)
    for name in EVERY:
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_function(accessibility.DRAWN)
        assert page.evaluate(accessibility.CUT) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
    page.close()


def print_book(folder: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """What `make pdf` runs, in a process of its own, for playwright drives one browser a process."""
    command = [sys.executable, "-m", "helpers.paper.pdf", str(folder)]
    return subprocess.run(command, env=os.environ | changed, capture_output=True, text=True)


@pytest.fixture(scope="module")
def printed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the book that has been printed."""
    copy = tmp_path_factory.mktemp("printed") / "html"
    shutil.copytree(site, copy)
    run = print_book(copy)
    assert run.returncode == 0 and run.stdout == f"the book is {copy / 'quantdetect.pdf'}\n", run.stderr
    return copy


@pytest.fixture(scope="module")
def texts(printed: Path) -> list[str]:
    """What each sheet of the PDF says."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(printed / "quantdetect.pdf").pages]


def title(page: Path) -> str:
    text = html.unescape(page.read_text(encoding="utf-8"))
    return re.search(r"<title>(.*?) — ", text)[1]


def test_the_pdf_has_every_page_in_order_and_none_is_blank(printed: Path, texts: list[str]) -> None:
    reader = PdfReader(printed / "quantdetect.pdf")
    chapters = [mark for mark in reader.outline if not isinstance(mark, list)]
    assert [mark.title for mark in chapters] == [title(printed / f"{name}.html") for name in contents.pages()]
    starts = [reader.get_destination_page_number(mark) for mark in chapters]
    assert starts == sorted(set(starts)) and starts[0] == 1
    assert all(mark.title in texts[start] for mark, start in zip(chapters, starts, strict=True))
    for number, text in enumerate(texts[1:], 2):
        assert text.endswith(f" {number}") or f" {number} " in text
        assert len(text) > 60 or reader.pages[number - 1].images, f"page {number} is blank"
    # The front page tells where each chapter begins.
    assert all(f"{mark.title} {start + 1}" in texts[0] for mark, start in zip(chapters, starts, strict=True))
    about = reader.metadata
    assert about.title and about.author and "Apache-2.0" in about.subject
    assert reader.xmp_metadata.dc_rights == {"x-default": "Apache-2.0"}


def test_the_pdf_has_the_answers_and_nothing_to_press(printed: Path, texts: list[str], browser) -> None:
    page = opened(browser, 1280, java_script_enabled=False)  # no script writes an answer
    words = " ".join(texts)
    squeezed = words.replace(" ", "")
    for name in contents.pages():
        page.goto((printed / f"{name}.html").as_uri())
        for answer in page.locator("article .admonition p:not(.admonition-title)").all_inner_texts():
            told = re.sub(r"\s", "", answer)  # a sheet may end in its midst
            assert told[:60] in squeezed and told[-60:] in squeezed, f"{name}: {answer}"
    assert "Show code cell" not in words and "Skip to main content" not in words
    page.close()


def test_links_of_the_pdf_stay_in_it_or_lead_to_the_web(printed: Path) -> None:
    reader = PdfReader(printed / "quantdetect.pdf")
    links = [link.get_object() for page in reader.pages for link in page.get("/Annots", [])]
    outside = [link["/A"]["/URI"] for link in links if "/A" in link]
    assert outside and all(address.startswith("https://") for address in outside)
    sheets = {page.indirect_reference.idnum for page in reader.pages}
    inside = [link["/Dest"] for link in links if "/Dest" in link]
    assert len(inside) > 20 and all(place[0].idnum in sheets for place in inside)


def test_pages_offer_the_pdf_once_it_is_there(site: Path, printed: Path, browser) -> None:
    page = opened(browser, 390, java_script_enabled=False)
    for name in contents.pages():
        page.goto((site / f"{name}.html").as_uri())
        assert page.locator("a[href$='.pdf']").count() == 0
        page.goto((printed / f"{name}.html").as_uri())
        link = page.locator("footer a[href$='quantdetect.pdf']")
        assert link.is_visible()
        assert Path(link.evaluate("link => link.href").removeprefix("file://")) == printed / "quantdetect.pdf"
    page.close()


def test_without_a_book_or_a_browser_a_line_says_so(site: Path, tmp_path: Path) -> None:
    none = f"{tmp_path}: no built book, for it has no book/intro.html; run `make book` first"
    lacking = "Chromium is missing: install it or set CHROMIUM to its path"
    for told, folder, changed in (
        (re.escape(none), tmp_path, {}),
        (re.escape(lacking), site, {"CHROMIUM": "", "PATH": str(tmp_path)}),
        (".*absent: does not start .*; set CHROMIUM to another", site, {"CHROMIUM": str(tmp_path / "absent")}),
    ):
        run = print_book(folder, **changed)
        assert run.returncode and re.fullmatch(f"error: {told}\n", run.stderr), run.stderr
    assert not (site / "quantdetect.pdf").exists()


def test_a_refused_build_leaves_the_old_book(site: Path) -> None:
    before = (site / "index.html").stat().st_mtime_ns
    study = site.parent.parent / "study"
    with pytest.raises(UsageError, match="'treshold': no notebook has this parameter.*threshold"):
        build.build(study, site.parent, {"treshold": 1.0})
    assert (site / "index.html").stat().st_mtime_ns == before
