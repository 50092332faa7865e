"""A figure and a table of a page in a real browser: menus, files, dark and print, touch, text in place of it."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from browsing import opened
from PIL import Image

from helpers import charts
from helpers.charts import theme
from helpers.core import files
from helpers.detectors.catalogue import DETECTORS
from helpers.paper.tables import table
from helpers.precision.catalogue import PRECISIONS

CELLS = pd.DataFrame(
    [
        ("sd3", "fp32", "npr", 0.9), ("sd3", "fp4", "npr", 0.4), ("sd3", "fp32", "clip_d", 0.8),
        ("sd3", "fp4", "clip_d", 0.7), ("sdxl", "fp32", "npr", 1.0), ("sdxl", "fp4", "npr", 0.95),
        ("sdxl", "fp32", "clip_d", 0.6), ("sdxl", "fp4", "clip_d", None),
    ],
    columns=["generator", "precision", "detector", "auc"],
).assign(eer=lambda cells: (1 - cells.auc).round(4))  # fmt: skip
CURVES = pd.DataFrame(
    [(key, x, level, level + 1.0) for key, level in (("fp32", 0.0), ("fp4", -2.0)) for x in (0.2, 0.6, 0.9)],
    columns=["precision", "x", "level", "change"],
).assign(generator="sd3", generator_title="SD3", precision_title=lambda curves: curves.precision.str.upper())
CURVES = CURVES.assign(**{f"{name}{end}": CURVES[name] for name in ("level", "change") for end in ("_low", "_high")})
SHIFTS = pd.DataFrame([("sd3", "fp4", "npr", 30)], columns=["generator", "precision", "detector", "n"]).assign(
    generator_title="SD3", precision_title="FP4", detector_title="NPR", lost=0.0, gained=0.0,
    **{f"{name}{end}": at for name in ("shift", "cliff") for end, at in (("", 0.2), ("_low", 0.1), ("_high", 0.3))},
)  # fmt: skip
TRAININGS = SHIFTS.assign(shift_min=0.0, shift_max=0.4)  # what they find of Cliff's delta is not known
NUMBERS = pd.DataFrame({"name": ['a "quoted", b', "\N{MINUS SIGN}1"], "value": ["0.5 (0.4 to 0.6)", "\N{EN DASH}"]})
PAGE = """<!doctype html><html data-theme="{theme}" lang="en"><head><meta charset="utf-8"><title>x</title>
<link rel="stylesheet" href="figures.css"><script defer src="vega.js"></script><script defer src="figures.js"></script>
<style>
html {{ --pst-color-text-base: #222832; --pst-color-background: #fff; background: #fff; font: 16px sans-serif; }}
html[data-theme="dark"] {{ --pst-color-text-base: #ced6dd; --pst-color-background: #121212; background: #121212; }}
</style></head><body class="bd-article"><div class="cell"><details><summary>Show code</summary>
<div class="cell_input">charts.heatmap(cells)</div></details>{chart}</div>{table}</body></html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages with the heatmap of CELLS, in light and dark, or with CURVES, each with the table of NUMBERS."""
    place = tmp_path_factory.mktemp("figures")
    charts.bundle(place)
    for name in ("figures.js", "figures.css"):
        shutil.copy(files.BOOK / "_static" / name, place)
    charts.enable()
    heat, curves = shown(theme.named("heat", charts.heatmap(CELLS))), shown(charts.radial(CURVES))
    forest = shown(charts.shift_forest(SHIFTS, TRAININGS))
    numbers = table(NUMBERS, "Numbers").data
    pages = (("light", "light", heat), ("dark", "dark", heat), ("curves", "light", curves), ("forest", "light", forest))
    for name, colours, chart in pages:
        text = PAGE.format(theme=colours, chart=chart, table=numbers)
        (place / f"{name}.html").write_text(text, encoding="utf-8")
    return place


def shown(chart) -> str:
    """A chart as it stands on a page."""
    out = theme.render(chart.to_dict())
    return theme.page(out[theme.LAB], out["image/png"])


def seen(browser, folder: Path, name: str = "light", width: int = 800, **options):
    page = opened(browser, width, **options)
    page.goto((folder / f"{name}.html").as_uri())
    page.locator(".quantdetect-chart svg").wait_for()
    return page


def saved(page, figure: str, item: str) -> bytes:
    """What an item of a figure's menu saves."""
    page.locator(f"{figure} .figure-menu summary").click()
    with page.expect_download() as download:
        page.locator(f"{figure} .figure-menu").get_by_text(item, exact=True).click()
    assert page.locator(".figure-menu[open]").count() == 0
    return Path(download.value.path()).read_bytes()


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)", as WCAG 2 defines it."""
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "curves", "forest"])
def test_a_chart_is_drawn_without_a_warning(folder: Path, browser, name: str) -> None:
    """A chart in rows, whose height nothing can fit, one whose colours and dashes share a legend, and one that lacks
    the bands of a measure; with every choice of the last menu."""
    page, told = opened(browser, 800), []
    page.on("console", lambda message: told.append(message.text))
    page.goto((folder / f"{name}.html").as_uri())
    page.locator(".quantdetect-chart svg").wait_for()
    menu = page.locator(".quantdetect-chart select").last
    for choice in menu.locator("option").all():
        menu.select_option(choice.get_attribute("value"))
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert told == []
    page.close()


def test_data_saved_are_those_drawn(folder: Path, browser) -> None:
    page = seen(browser, folder)
    rows = pd.read_csv(io.BytesIO(saved(page, "#fig-heat", "Data (CSV)")))
    pd.testing.assert_frame_equal(rows[list(CELLS)], CELLS, check_dtype=False)
    printed = pd.read_csv(io.BytesIO(saved(page, "#tab-numbers", "Data (CSV)")))
    pd.testing.assert_frame_equal(printed, NUMBERS, check_dtype=False)
    page.close()


def test_pictures_saved_are_whole_light_and_as_chosen(folder: Path, browser) -> None:
    page = seen(browser, folder, "dark")
    page.locator("select[name=model]").select_option(label="SDXL")
    said = "From FP32 to FP4, AUC changes most for NPR on SDXL: 1.00 to 0.95"
    page.wait_for_function("said => document.querySelector('.figure-title').textContent === said", arg=said)
    svg = ElementTree.fromstring(saved(page, "#fig-heat", "Picture (SVG)"))
    words = [text for node in svg.iter() if node.tag.endswith("text") for text in node.itertext()]
    assert " ".join(words).count("changes most for NPR on SDXL") == 1 and "SD3" not in words and "0.95" in words
    assert svg.find("{http://www.w3.org/2000/svg}rect").get("fill") == "white"
    picture = Image.open(io.BytesIO(saved(page, "#fig-heat", "Picture (PNG)"))).convert("RGB")
    assert picture.width > 2 * 680 and picture.getpixel((1, 1)) == (255, 255, 255)
    page.close()


def test_the_text_for_the_picture_is_title_and_caption_and_follows_the_menu(folder: Path, browser) -> None:
    page = seen(browser, folder)
    picture = page.get_by_role("img")
    named = "ids => ids.split(' ').map(id => document.getElementById(id).textContent).join(' ')"
    said = page.evaluate(named, picture.get_attribute("aria-labelledby"))
    assert "NPR on SD3: 0.90 to 0.40" in said and "Pointing at a cell" in said
    page.locator("select[name=precision]").select_option(label="FP4")
    page.wait_for_function("document.querySelector('.figure-title').textContent.startsWith('AUC at FP4 runs')")
    # Nothing in the drawing is read out beside it.
    assert page.locator(".chart-picture > [aria-hidden=true] svg").count() == 1
    assert page.locator(".quantdetect-chart svg [aria-label]").count() == 0
    page.close()


def test_in_the_dark_words_and_every_colour_are_seen_and_paper_is_light(folder: Path, browser) -> None:
    page = seen(browser, folder, "dark")
    ground, ink = "rgb(18, 18, 18)", "element => getComputedStyle(element).fill"
    for place in (".role-axis-label text", ".role-legend-title text", ".role-legend-label text"):
        assert contrast(page.locator(place).first.evaluate(ink), ground) > 4.5, place
    colours = [row.colour for rows in (PRECISIONS, DETECTORS) for row in rows.values()]
    colours += [theme.INK, theme.QUIET, theme.OTHER, *theme.CONTROL_COLOURS.values()]
    mark = """colour => {
        const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
        mark.setAttribute("fill", colour);
        document.querySelector(".chart-picture svg").append(mark);
        return getComputedStyle(mark).fill;
    }"""
    shown = {colour: page.evaluate(mark, colour) for colour in set(colours)}
    assert {colour: fill for colour, fill in shown.items() if contrast(fill, ground) < 3} == {}
    assert len(set(shown.values())) == len(shown)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert contrast(page.locator(".role-axis-label text").first.evaluate(ink), "rgb(255, 255, 255)") > 4.5
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    assert contrast(page.locator(".role-axis-label text").first.evaluate(ink), "rgb(255, 255, 255)") > 4.5
    assert not page.locator(".figure-menu").first.is_visible()
    page.close()


@pytest.mark.parametrize("way", ["tap", "hover"])
def test_a_cell_tells_its_figure_wherever_it_is_touched(folder: Path, browser, way: str) -> None:
    page = seen(browser, folder, width=390, has_touch=True)
    number = page.locator(".quantdetect-chart svg text", has_text="0.40").first
    square = page.locator(".quantdetect-chart svg .mark-rect.role-mark path").last
    for place in (number, square):
        place.scroll_into_view_if_needed()
        getattr(place, way)(force=True)
        told = page.locator("#vg-tooltip-element.visible")
        told.wait_for()
        assert "NPR" in told.inner_text() or "CLIP-D" in told.inner_text()
        page.keyboard.press("Escape")
        told.wait_for(state="hidden")
    page.close()


def test_a_tap_elsewhere_puts_the_words_away(folder: Path, browser) -> None:
    page = seen(browser, folder, width=390, has_touch=True)
    page.locator(".quantdetect-chart svg text", has_text="0.40").first.tap(force=True)
    page.locator("#vg-tooltip-element.visible").wait_for()
    assert "0.400" in page.locator("#vg-tooltip-element.visible").inner_text()
    page.locator(".figure-title").tap()
    page.locator("#vg-tooltip-element.visible").wait_for(state="hidden")
    page.close()


def test_a_header_stays_above_the_numbers_when_rows_are_left_out(folder: Path, browser) -> None:
    page = seen(browser, folder)
    page.locator("select[name=model]").select_option(label="SDXL")
    page.locator("select[name=precision]").select_option(label="FP4")
    page.wait_for_function("document.querySelectorAll('.quantdetect-chart svg .mark-rect.role-mark path').length < 4")
    box = "element => element.getBoundingClientRect().toJSON()"
    head = page.locator(".quantdetect-chart svg text", has_text="CLIP-D").first.evaluate(box)
    cell = page.locator(".quantdetect-chart svg text", has_text="0.95").first.evaluate(box)
    assert head["bottom"] <= cell["top"] + 1
    # A cell that is not known has a dash, and the row's name is there though its first detector may have no cell.
    words = page.locator(".quantdetect-chart svg text").all_text_contents()
    assert "\N{EN DASH}" in words and "null" not in words and words.count("FP4") == 1
    page.close()


def test_of_errors_the_small_are_shown_as_the_good(folder: Path, browser) -> None:
    page = seen(browser, folder)
    fills = "all => all.map(square => getComputedStyle(square).fill).filter(fill => fill !== 'none')"
    squares = page.locator(".quantdetect-chart svg .mark-rect.role-mark path")
    before = squares.evaluate_all(fills)
    page.locator("select[name=figure]").select_option(label="equal error rate")
    page.get_by_text("changes most", exact=False).wait_for()
    page.wait_for_function("document.querySelector('.figure-title').textContent.includes('equal error rate')")
    # The error is 1 - AUC here, so the colours are the same.
    assert squares.evaluate_all(fills) == before
    page.close()


def test_the_code_that_made_a_figure_is_one_link_away(folder: Path, browser) -> None:
    page = seen(browser, folder)
    code = page.locator(".cell_input")
    assert not code.is_visible()
    menu = page.locator("#fig-heat .figure-menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    menu.get_by_text("Code of this figure").click()
    code.wait_for(state="visible")
    menu.locator("summary").click()
    assert menu.get_by_text("Link to this figure").get_attribute("href") == "#fig-heat"
    page.keyboard.press("Escape")
    assert page.locator(".figure-menu[open]").count() == 0
    page.locator("#tab-numbers summary").click()
    assert page.locator("#tab-numbers .figure-menu").get_by_text("Code").count() == 0
    page.close()


def test_without_scripts_the_picture_stands_with_its_finding(folder: Path, browser) -> None:
    page = opened(browser, 800, java_script_enabled=False)
    page.goto((folder / "light.html").as_uri())
    image = page.locator(".chart-picture img")
    assert image.is_visible() and not page.locator(".figure-title").is_visible()  # it is in the picture
    picture = Image.open(io.BytesIO(base64.b64decode(image.get_attribute("src").partition(",")[2])))
    assert picture.width > theme.PICTURE_WIDTH and page.locator("figcaption").first.is_visible()
    page.close()
