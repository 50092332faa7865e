"""The shell of the site, around a small book: menus, scripts, what is published beside the pages, print, keyboard."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from browsing import opened, served, unwanted_scripts
from docutils import nodes
from docutils.utils import new_document
from pypdf import PdfReader

from helpers.charts import theme
from helpers.charts.theme import bundle
from helpers.core import files
from helpers.paper import site
from helpers.paper.table_html import table_html

WIDTHS = [390, 1280]
ADDRESS = "https://example.org/books/mine/"

INTRO = """# A question & an answer

Do detectors still see it? This page says so.

:::{admonition} Answer
They do.
:::

## First part

{filler}

## Second part

Words.
"""
TABLE = """# A wide table

<details class="hide above-input"><summary>Show code cell source</summary>numbers</details>

Numbers.

<figure class="table-figure" id="tab-all-numbers" data-kind="Table" data-digest="0">
<figcaption><span class="figure-number">Table</span> All numbers</figcaption>
<div class="table-scroll" tabindex="0"><table class="table"><tr><th>name</th>{cells}</tr></table></div></figure>
"""


def windowed(frame: pd.DataFrame) -> str:
    table = table_html(frame.set_axis(["key", "name", "place"], axis=1))
    return f'<div class="table-scroll" tabindex="0">{table}</div>'


CODE = f"""# Code

Lines.

```python
{"x = 1;  " * 60}
```
"""
CHART = """# A chart

A line about {{fig}}`points`, beside {{tab}}`all-numbers`.

```{{raw}} html
{chart}
```
"""
SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "usermeta": {"figure": "points"},
    "description": "Two points",
    "width": "container",
    "height": 100,
    "params": [{"name": "which", "value": 1, "bind": {"input": "select", "options": [1, 2], "name": "Which "}}],
    "data": {"values": [{"a": 1}, {"a": 2}]},
    "transform": [{"filter": "datum.a >= which"}],
    "mark": "point",
    "encoding": {"x": {"field": "a", "type": "quantitative"}},
}
GROUPS = pd.DataFrame([(key, name, place) for key in ("SD3", "SDXL") for name in "ab" for place in range(6)])
PAGES = {
    "book/intro": INTRO.replace("{filler}", "A sentence that fills the page. " * 400),
    "book/table": TABLE.replace("{cells}", "".join(f"<td>number{i}</td>" for i in range(30))),
    "book/code": CODE,
    "book/keys": f"# Keys\n\nRows.\n\n{windowed(GROUPS)}\n\n{windowed(GROUPS[::2])}\n",
    "notebooks/chart": CHART.format(chart=theme.page(SPEC, "")),
}


def compiled(folder: Path, address: str) -> Path:
    """A small book in the shell of the real one, published at `address`; the folder of its pages."""
    source = folder / "source"
    (source / "notebooks").mkdir(parents=True)
    site.stage(source)
    bundle(source / "_static")
    (source / "_static" / site.PICTURE).write_bytes(b"a picture")
    for page, text in PAGES.items():
        (source / page).parent.mkdir(exist_ok=True)
        (source / f"{page}.md").write_text(text, encoding="utf-8")
    (source / "book" / "references.bib").write_text("", encoding="utf-8")
    root, *rest = PAGES
    toc = {"format": "jb-book", "root": root, "chapters": [{"file": page} for page in rest]}
    (source / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    config = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    config["html"]["baseurl"] = address
    (source / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(folder), "-W", "-n"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("plain"), "")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("published"), ADDRESS)


def metas(file: Path) -> dict[str, str]:
    """What the meta elements of a page say, by name or property."""
    found = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', file.read_text(encoding="utf-8"))
    return {name: html.unescape(text) for name, text in found}


def press(page, selector: str, way: str) -> None:
    """Click, tap, or choose by the keyboard the first element that is seen."""
    button = page.locator(selector).locator("visible=true").first
    button.scroll_into_view_if_needed()
    if way == "click":
        button.click()
    elif way == "tap":
        button.tap()
    else:
        button.focus()
        page.keyboard.press(way)


@pytest.mark.parametrize("width", [390, 768, 900])
@pytest.mark.parametrize("way", ["click", "tap", "Enter", "Space"])
def test_the_menus_open_lead_on_and_close(book: Path, browser, width: int, way: str) -> None:
    page = opened(browser, width, has_touch=True)
    page.goto((book / "book/intro.html").as_uri())
    for toggle, dialog in (
        (".primary-toggle", "#pst-primary-sidebar-modal"),
        (".secondary-toggle", "#pst-secondary-sidebar-modal"),
    ):
        press(page, toggle, way)
        page.wait_for_selector(f"{dialog}[open]")
        assert page.locator(f"{dialog} nav a").first.is_visible()
        press(page, f"{dialog} .shell-close", way)
        page.wait_for_selector(dialog, state="hidden")
        assert page.locator(toggle).evaluate("button => button === document.activeElement")
        press(page, toggle, way)
        page.keyboard.press("Escape")
        page.wait_for_selector(dialog, state="hidden")
    follow = "Enter" if way == "Space" else way  # Space presses buttons; a link is followed by Enter alone
    press(page, ".secondary-toggle", way)
    press(page, "#pst-secondary-sidebar-modal a[href='#second-part']", follow)
    page.wait_for_selector("#pst-secondary-sidebar-modal", state="hidden")
    page.wait_for_function("Math.abs(document.querySelector('#second-part h2').getBoundingClientRect().top) < 880")
    press(page, ".primary-toggle", way)
    press(page, "#pst-primary-sidebar-modal a[href='table.html']", follow)
    page.wait_for_url("**/table.html")
    page.close()


@pytest.mark.parametrize("way", ["click", "tap", "Enter"])
def test_on_a_desk_the_menu_is_there_and_folds(book: Path, browser, way: str) -> None:
    page = opened(browser, 1280, has_touch=True)
    page.goto((book / "book/intro.html").as_uri())
    menu = page.locator("#pst-primary-sidebar nav a").first
    assert menu.is_visible() and page.locator("#pst-secondary-sidebar a").first.is_visible()
    press(page, ".primary-toggle", way)
    menu.wait_for(state="hidden")
    press(page, ".primary-toggle", way)
    menu.wait_for(state="visible")
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("way", ["click", "tap", "Enter"])
def test_search_and_colours_answer(book: Path, browser, width: int, way: str) -> None:
    page = opened(browser, width, has_touch=True, color_scheme="light")
    page.goto((book / "book/intro.html").as_uri())
    press(page, ".theme-switch-button", way)
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    press(page, ".search-button__button", way)
    page.wait_for_selector("#pst-search-dialog[open]")
    press(page, "#pst-search-dialog .shell-close", way)
    page.wait_for_selector("#pst-search-dialog", state="hidden")
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill("numbers")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=numbers")
    page.locator("#search-results a", has_text="A wide table").first.wait_for()
    page.close()


def test_a_search_quotes_sentences(book: Path, browser) -> None:
    page = opened(browser, 1280)
    with served(book) as address:
        for word, said in (("part", "They do."), ("numbers", "Numbers.")):
            page.goto(f"{address}search.html?q={word}")
            quote = page.locator("#search-results li p.context", has_text=said).first
            quote.wait_for()
            text = quote.text_content()
            assert not re.search("Contents|A question|A wide|Show code", text), text
    page.close()


def test_a_page_has_one_button_for_each_menu_and_every_icon_a_drawing(book: Path, browser) -> None:
    page = opened(browser, 390)
    fonts: list[str] = []
    page.on("request", lambda sent: fonts.append(sent.url) if "fontawesome" in sent.url else None)
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        assert page.locator(".primary-toggle").count() == 1 and page.locator(".secondary-toggle").count() <= 1
        bare = "icons => icons.filter(i => getComputedStyle(i).maskImage === 'none').map(i => i.className)"
        assert page.locator("[class*='fa-']").evaluate_all(bare) == []
    assert fonts == []
    page.close()
    styles = (book / "_static/styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    assert ".navbar" in styles and ".fa-xmark:before" not in styles  # no page draws an icon with the theme's font


def test_icons_alone_are_taken_from_a_stylesheet() -> None:
    kept = '.fa-solid{font-weight:900}.a:before{content:"\\f00d"}.fa-spin{animation:x}'
    icons = '.fa-b:before,.fa-b-c:before{content:"\\e59a"}.fa-d:before{content:"\\f00d"}'
    assert site.without_icons(kept + icons + kept) == kept + kept


def test_a_page_loads_the_scripts_that_it_needs_alone(book: Path) -> None:
    loads = {name: (book / f"{name}.html").read_text(encoding="utf-8") for name in PAGES}
    for name in PAGES:
        assert unwanted_scripts(book / f"{name}.html") == [], name
    assert [name for name in PAGES if "/vega.js" in loads[name]] == ["notebooks/chart"]
    assert [name for name in PAGES if "/figures.js" in loads[name]] == ["book/table", "notebooks/chart"]
    assert [name for name in PAGES if "/copybutton.js" in loads[name]] == ["book/code"]


def test_figures_and_tables_are_referred_to_by_number(book: Path) -> None:
    text = (book / "notebooks/chart.html").read_text(encoding="utf-8")
    found = re.findall(r'<a class="[^"]*numbered[^"]*" href="([^"]*)">([^<]*)</a>', text)
    assert found == [("#fig-points", "Figure 1"), ("../book/table.html#tab-all-numbers", "Table 1")]
    assert '<span class="figure-number">Figure 1</span> Two points' in text


def test_in_the_dark_pictures_stay_as_they_are_and_words_lie_on_the_page(book: Path, browser) -> None:
    page = opened(browser, 1280, color_scheme="dark")
    page.goto((book / "book/intro.html").as_uri())
    output = '<div class="cell_output"><div class="text_html"><p>Words</p><img alt=""></div></div>'
    page.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", output)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    style = "name => getComputedStyle(document.querySelector(`article ${name}`))"
    assert page.evaluate(f"({style})('img').filter") == "none"
    assert page.evaluate(f"({style})('.text_html').backgroundColor") == "rgba(0, 0, 0, 0)"
    page.close()


def test_on_paper_nothing_is_cut_and_no_control_is_left(book: Path, browser) -> None:
    page = opened(browser, 720, color_scheme="dark")
    page.emulate_media(media="print")
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        if "chart" in name:
            page.wait_for_selector(".quantdetect-chart svg")
        seen = "all => all.filter(e => e.getClientRects().length && getComputedStyle(e).visibility !== 'hidden').length"
        assert page.locator("button, nav, input, .headerlink, dialog").evaluate_all(seen) == 0, name
        cut = """boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1
            && getComputedStyle(box).overflowX !== 'visible').map(box => box.className)"""
        assert page.locator("article *").evaluate_all(cut) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= 720, name
        assert page.locator("article h1").is_visible() and page.locator("h1").locator("visible=true").count() == 1
        assert page.evaluate("getComputedStyle(document.querySelector('article p')).color") == "rgb(34, 40, 50)"
    page.close()


@pytest.mark.parametrize("height", [850, 900])
def test_on_paper_a_figure_stays_whole_below_its_heading(book: Path, browser, height: int) -> None:
    page = opened(browser, 680)
    page.emulate_media(media="print")
    page.goto((book / "notebooks/chart.html").as_uri())
    page.wait_for_selector(".quantdetect-chart svg")
    above = f'<div style="height: {height}px"></div><h2>A part</h2><div class="cell"></div>'
    page.locator("article figure").evaluate("(figure, html) => figure.insertAdjacentHTML('beforebegin', html)", above)
    sheets = [sheet.extract_text() for sheet in PdfReader(BytesIO(page.pdf(format="A4"))).pages]
    page.close()
    assert [("A part" in text, "Two points" in text) for text in sheets] == [(False, False), (True, True)]


def test_boxes_for_the_keyboard_have_names_and_are_seen(book: Path, browser) -> None:
    page = opened(browser, 390)
    for name, said in (("book/table", "Table 1 All numbers"), ("book/code", "Code")):
        page.goto((book / f"{name}.html").as_uri())
        box = page.locator("article [tabindex='0']").first
        box.wait_for()
        page.wait_for_function("document.querySelector('article [tabindex=\"0\"]').hasAttribute('aria-label')")
        assert box.get_attribute("aria-label") == said and box.get_attribute("role") == "group"
    page.goto((book / "notebooks/chart.html").as_uri())
    page.wait_for_selector(".quantdetect-chart select")
    seen = """() => {
        const style = getComputedStyle(document.activeElement);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    }"""
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        if where.startswith("<body"):
            break
        reached.add(where)
        assert page.evaluate(seen), where
    assert any(where.startswith("<select") for where in reached)
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_key_begins_at_its_first_row_and_stays_below_the_heads(book: Path, browser, width: int) -> None:
    page = opened(browser, width)
    page.goto((book / "book/keys.html").as_uri())
    page.wait_for_function("document.querySelector('table.long').style.getPropertyValue('--heads')")
    offsets = """table => [...table.querySelectorAll("tbody th > span")].map(
        key => key.getBoundingClientRect().top - key.parentElement.getBoundingClientRect().top)"""
    for table in page.locator("table.fitted").all():  # a window of its own, and a short table
        found = table.evaluate(offsets)
        assert max(found) - min(found) < 1
    page.evaluate("document.querySelector('.table-scroll:has(table.long)').scrollTop = 60")
    key, heads = (page.locator(f"table.long {part}").first.bounding_box() for part in ("tbody th > span", "thead th"))
    assert 0 <= key["y"] - heads["y"] - heads["height"] < 10
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_ring_around_a_control_at_the_edge_is_whole(book: Path, browser, width: int) -> None:
    """A cell's output clips, and the ring is 3 px wide, 2 px away."""
    page = opened(browser, width)
    page.goto((book / "book/table.html").as_uri())
    cell = '<div class="{0}"><div class="cell_output {0}"><div class="output text_html">A control</div></div></div>'
    cell = cell.format("cell docutils container")
    page.locator("article section").first.evaluate("(of, html) => of.insertAdjacentHTML('beforeend', html)", cell)
    ends = "box => [box.getBoundingClientRect().left, box.getBoundingClientRect().right]"
    outer, inner = (page.locator(of).first.evaluate(ends) for of in (".cell_output > .output", ".cell_output"))
    assert inner[0] - outer[0] >= 5 and outer[1] - inner[1] >= 5
    page.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_its_window(book: Path, browser, width: int) -> None:
    page = opened(browser, width)
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.close()


def test_previews_canonical_links_and_map_follow_the_address(published: Path) -> None:
    names = [f"{name}.html" for name in PAGES]
    for name in names:
        text = (published / name).read_text(encoding="utf-8")
        assert f'<link rel="canonical" href="{ADDRESS}{name}" />' in text
        said = metas(published / name)
        assert said["og:url"] == ADDRESS + name and said["og:image"] == f"{ADDRESS}_static/heatmap.png"
        assert (published / "_static/heatmap.png").read_bytes() == b"a picture"
    said = metas(published / "book/intro.html")
    assert said["og:title"] == "A question & an answer"
    assert said["description"] == said["og:description"] == "Do detectors still see it? This page says so."
    # The site's own address leads to the first page and is described as it is.
    front = (published / "index.html").read_text(encoding="utf-8")
    assert "url=book/intro.html" in front and f'href="{ADDRESS}book/intro.html"' in front
    assert metas(published / "index.html") == {k: v for k, v in said.items() if k in metas(published / "index.html")}
    tree = ElementTree.parse(published / "sitemap.xml").getroot()
    assert [place.text for place in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")] == [
        ADDRESS + name for name in names
    ]
    assert metas(published / "search.html")["robots"] == "noindex"


def test_a_description_is_whole_sentences_unless_they_say_little() -> None:
    def of(text: str) -> str:
        document = new_document("page")
        document += nodes.paragraph(text=text)
        return site.description(document)

    half, long = f"{'word ' * 24}end.", f"{'word ' * 50}end."
    assert of("It does.\nReally.") == "It does. Really."
    assert of(f"{half} {long}") == half
    cut = of(f"It depends. {long}")
    assert cut.startswith("It depends. word word") and cut.endswith("word\N{HORIZONTAL ELLIPSIS}") and len(cut) <= 200
    assert site.description(new_document("page")) == ""


def test_without_an_address_none_is_written(book: Path) -> None:
    assert not (book / "sitemap.xml").exists()
    for name in ["index", *PAGES]:
        text = (book / f"{name}.html").read_text(encoding="utf-8")
        assert "canonical" not in text and "og:url" not in text and "og:image" not in text
        assert metas(book / f"{name}.html")["og:title"]


def test_what_is_not_there_leads_back_from_any_depth(published: Path, browser, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "404.html").symlink_to(published / "404.html")
    (tmp_path / "books" / "mine").symlink_to(published)
    page = opened(browser, 390)
    with served(tmp_path) as address:
        for lost in ("nothing", "books/mine/a/b/c/nothing.html"):
            assert page.goto(address + lost).status == 404
            page.get_by_role("link", name="A wide table").click()
            page.wait_for_url(f"{address}books/mine/book/table.html")
    page.close()


def test_the_footer_says_which_version_and_how_to_cite(book: Path) -> None:
    about = yaml.safe_load((files.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    text = html.unescape((book / "book/table.html").read_text(encoding="utf-8"))
    footer = text[text.index('class="bd-footer-content"') :]
    for said in (about["title"], about["version"], about["license"], about["authors"][0]["name"], "@misc{quantdetect"):
        assert str(said) in footer
    assert re.search(r"\d{4}-\d\d-\d\d", footer)
    commit = re.search(r"commit <code>([0-9a-f]{12})\+?</code>", footer)
    git = subprocess.run(["git", "-C", str(files.ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert git.returncode or git.stdout.startswith(commit[1])
    assert (book / "_static/LICENSE.txt").read_bytes() == (files.ROOT / "LICENSE").read_bytes()


def test_a_work_is_cited_by_its_authors_and_its_lasting_link() -> None:
    about = {
        "title": "On X",
        "version": "2.0",
        "year": "2024",
        "authors": [{"family-names": "Doe", "given-names": "Jo"}, {"name": "The Lab"}],
        "doi": "10.1/x",
        "url": "https://example.org",
    }
    assert site.cited(about) == "Doe, Jo; The Lab (2024). On X. Version 2.0. https://doi.org/10.1/x"
    entry = site.bibtex(about)
    assert "author = {Doe, Jo and {The Lab}}," in entry and "title = {{On X}}," in entry and "doi = {10.1/x}" in entry
