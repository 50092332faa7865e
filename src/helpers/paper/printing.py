"""Built pages of the book on paper: each printed to a PDF of its own by a headless Chromium, with nothing fetched.

How a page looks on paper is said in `book/_static/style.css`, for readers who print one page as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.core.errors import Failure

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["INSIDE", "Printed", "chromium", "on_paper", "opened", "text_on_paper"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: How a printed page writes a link to a page of the book, before that page's number is known.
INSIDE = "book:"
#: The width between the margins of A4, in CSS pixels: charts are drawn for it.
WIDTH = 680
MARGINS = {"top": "17mm", "bottom": "19mm", "left": "15mm", "right": "15mm"}
PATIENCE = 120_000  # ms

# Chromium notes the place of a heading only where a link on the same page leads to it, hence one, never seen, for each.
# A link to a page of the book is written as INSIDE, one to another file of the site by the site's own address, which
# canonical links tell; where there is none it leads nowhere on paper.
PREPARE = """([root, inside, pages]) => {
    const canonical = document.querySelector("link[rel=canonical]");
    for (const link of document.querySelectorAll("a[href]")) {
        const [file, mark = ""] = decodeURI(link.href).split("#");
        if (!file.startsWith(decodeURI(root))) continue;
        const page = file.slice(decodeURI(root).length);
        if (pages.includes(page)) link.href = inside + page + (mark && "#" + mark);
        else if (canonical) link.href = new URL(link.getAttribute("href"), canonical.href).href;
        else link.removeAttribute("href");
    }
    const places = [...document.querySelectorAll("article [id]")].filter(place => !place.closest("svg"));
    for (const place of places) {
        const link = document.createElement("a");
        link.hidden = true;
        link.href = "#" + place.id;
        document.body.append(link);
    }
    document.querySelectorAll("footer").forEach(footer => footer.remove());
    const said = heading => {
        const copy = heading.cloneNode(true);
        copy.querySelectorAll(".headerlink").forEach(link => link.remove());
        return copy.textContent.trim().replace(/\\s+/g, " ");
    };
    return {
        title: said(document.querySelector("article h1")),
        sections: [...document.querySelectorAll("article h2")].filter(h => h.parentElement.id)
            .map(h => [said(h), h.parentElement.id]),
    };
}"""
#: Every chart is drawn, and every picture is there.
READY = """() => {
    [...document.images].forEach(image => { image.loading = "eager"; });
    return [...document.querySelectorAll(".quantdetect-chart")].every(chart => chart.querySelector("svg, canvas"))
        && [...document.images].every(image => image.complete)
        && [...document.querySelectorAll(".explorer-place")].every(place => place.dataset.drawn);
}"""

#: A number stays on one line with its interval, in smaller letters if need be, where the table then fits the paper.
FIT = """() => {
    for (const table of document.querySelectorAll("article table")) {
        const cells = [...table.querySelectorAll("td")].filter(cell => cell.textContent.trim().length <= 26);
        const fits = (wrap, size) => {
            cells.forEach(cell => cell.style.setProperty("white-space", wrap, "important"));
            table.style.fontSize = size;
            return table.getBoundingClientRect().width <= table.parentElement.clientWidth + 1;
        };
        fits("nowrap", "") || fits("nowrap", "0.6rem") || fits("normal", "");
    }
}"""
#: What is drawn when it comes near, or the page is printed, is drawn; and so is what waits for its column's width.
DRAWN = """async () => {
    window.dispatchEvent(new Event("beforeprint"));
    const pause = () => new Promise(done => setTimeout(done, 300));
    await pause();
    const places = new Set([...document.querySelectorAll("svg image")].map(image => image.href.baseVal));
    await Promise.all([...places].map(place => Object.assign(new Image(), {src: place}).decode().catch(() => null)));
    await pause();
}"""


@dataclass(frozen=True)
class Printed:
    """A page of the book on paper: its path without suffix, its title, its sections (title and id), the PDF's bytes."""

    name: str
    title: str
    sections: list[tuple[str, str]]
    pdf: bytes


def chromium() -> str:
    """The path of the Chromium that prints; the variable CHROMIUM names one that is not on the PATH. Raises Failure
    where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise Failure("Chromium is missing: install it or set CHROMIUM to its path")
    return found


@contextmanager
def opened() -> Iterator[Page]:
    """An empty page of a headless Chromium, as wide as the paper. Raises Failure where it does not start or stops."""
    path = chromium()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise Failure("playwright is missing: install the packages of requirements.lock") from None
    with sync_playwright() as driver:
        try:
            # The pages are this project's own, and containers seldom allow Chromium's sandbox.
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            why = error.message.splitlines()[0]
            raise Failure(f"{path}: does not start ({why}); set CHROMIUM to another") from None
        page = browser.new_page(viewport={"width": WIDTH, "height": 960}, color_scheme="light")
        page.set_default_timeout(PATIENCE)
        page.emulate_media(media="print")
        try:
            yield page
        except Error as error:
            raise Failure(f"Chromium: {page.url.rpartition('/')[2]}: {error.message.splitlines()[0]}") from None
        finally:
            browser.close()


def on_paper(page: Page, html: Path, name: str, names: list[str]) -> Printed:
    """The page `name` of the book at `html`, of whose pages `names` tells all, printed on A4."""
    page.goto((html / f"{name}.html").as_uri())
    page.wait_for_function(READY)
    page.evaluate(DRAWN)
    page.evaluate(FIT)
    root = f"{html.as_uri()}/"
    told = page.evaluate(PREPARE, [root, INSIDE, [f"{one}.html" for one in names]])
    sections = [(title, place) for title, place in told["sections"]]
    return Printed(name, told["title"], sections, _pdf(page, MARGINS))


def text_on_paper(page: Page, text: str) -> bytes:
    """A page of HTML of one's own, printed on A4 without margins."""
    page.goto("about:blank")
    page.set_content(text)
    return _pdf(page, dict.fromkeys(MARGINS, "0"))


def _pdf(page: Page, margins: dict[str, str]) -> bytes:
    return page.pdf(format="A4", print_background=True, margin=margins)
