"""How soon each page of a built book shows something on a slow phone: its first contentful paint in Chromium.

    python benchmarks/pages.py [HTML]      default _build/html

A window of 390 px whose network is held to 1.6 Mbit/s at 150 ms a round trip and whose processor to a quarter of its
speed, as DevTools does for a slow phone; the pages come gzipped from a server in this process, none out of the
browser's cache. The baseline, opened in the same run and as often, is a page of one line with the stylesheets of the
first page and no script: what none can go below without another theme. So the ratios hold on this machine whatever else
it does; seconds are medians and hold for an idle one. Of the page that has an explorer the first view counts too: its
pictures are there and what the detector says of each; and when the charts below them are.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from helpers.core import files
from helpers.paper.contents import pages

#: Bytes a second both ways and milliseconds a round trip (Network.emulateNetworkConditions).
NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
SLOWER = 4  # times, the processor
WIDTH, HEIGHT, PATIENCE = 390, 844, 240_000  # px, px, ms
ROUNDS = 3
BASELINE = "one line with the same styles"
ADDRESS = "/benchmark-baseline.html"
#: What a host sends gzipped: pictures and fonts are compressed as they are.
TEXT = (".html", ".css", ".js", ".svg", ".json", ".txt")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAINT = """() => new Promise(done => new PerformanceObserver((list, of) => {
    const first = list.getEntriesByName("first-contentful-paint")[0];
    if (first) { of.disconnect(); done(first.startTime); }
}).observe({type: "paint", buffered: true}))"""
#: Notes, frame by frame, in which millisecond an explorer first has its pictures and their verdicts, and its charts.
WATCH = """window.seen = {};
(function watch() {
    const said = [...document.querySelectorAll("figure[data-key] .explorer-verdict")];
    const came = performance.getEntriesByType("resource").some(of => of.name.includes("/gallery/") && of.responseEnd);
    if (came && said.length && said.every(of => of.textContent)) seen.view ??= performance.now();
    if (document.querySelector(".explorer-place[data-drawn]")) seen.charts ??= performance.now();
    requestAnimationFrame(watch);
})()"""
SEEN = "() => seen.view && seen.charts && [seen.view, seen.charts]"


class Opened(NamedTuple):
    """Milliseconds to the first paint and to an explorer's first view and charts (0: none), and bytes that came until
    all were there, with their headers."""

    paint: float
    view: float
    charts: float
    bytes: float


class _Host(SimpleHTTPRequestHandler):
    """A host of static sites that sends text gzipped, and the baseline."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = Path(self.translate_path(path))
        if path != ADDRESS and not file.is_file():
            return self.send_error(404)
        kind = "text/html" if path == ADDRESS else self.guess_type(str(file))
        body, packed = _sent(Path(self.directory), file, path == ADDRESS)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)


@cache
def _sent(folder: Path, file: Path, baseline: bool) -> tuple[bytes, bool]:
    """What is sent of a file, and whether it is gzipped."""
    if baseline:
        return gzip.compress(_baseline(folder).encode()), True
    packed = file.suffix in TEXT
    return (gzip.compress(file.read_bytes()) if packed else file.read_bytes()), packed


def _baseline(folder: Path) -> str:
    """A page of one line with the stylesheets of the first page of a book."""
    styles = re.findall(r'<link[^>]*rel="stylesheet"[^>]*>', _first(folder).read_text(encoding="utf-8"))
    links = "".join(styles).replace('href="../', 'href="')
    return f'<!DOCTYPE html><html lang="en"><head><title>-</title>{links}</head><body><p>One line.</p></body></html>'


def _first(folder: Path) -> Path:
    return folder / f"{pages()[0]}.html"


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Host, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _opened(browser: Browser, address: str) -> Opened:
    """A page opened once, in a context of its own with nothing in its cache."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCH)
    devtools = context.new_cdp_session(page)
    came: list[float] = []
    devtools.send("Network.enable")
    devtools.on("Network.loadingFinished", lambda of: came.append(of["encodedDataLength"]))
    devtools.send("Network.emulateNetworkConditions", NETWORK)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(address, wait_until="load")
    paint, view, charts = page.evaluate(PAINT), 0.0, 0.0
    if page.locator(".quantdetect-explorer").count():
        view, charts = page.wait_for_function(SEEN).json_value()
    page.wait_for_load_state("networkidle")
    context.close()
    return Opened(paint, view, charts, sum(came))


def _measured(folder: Path) -> dict[str, Opened]:
    """The medians of each page and of the baseline; all are opened once before any is opened again."""
    addresses = {BASELINE: ADDRESS} | {page: f"/{page}.html" for page in pages()}
    found: dict[str, list[Opened]] = {name: [] for name in addresses}
    with _served(folder) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=["--no-sandbox"])
        for _ in range(ROUNDS):
            for name, address in addresses.items():
                found[name].append(_opened(browser, host + address))
        browser.close()
    return {name: Opened(*map(statistics.median, zip(*of, strict=True))) for name, of in found.items()}


def _browser() -> str | None:
    """Where Chromium is: CHROMIUM, one on the path, or playwright's own (None)."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", nargs="?", type=Path, default=files.BUILD / "html")
    folder = parser.parse_args().html
    if not _first(folder).is_file():
        parser.error(f"{folder}: no book there; make one with quantdetect report")
    found = _measured(folder)
    base = found[BASELINE].paint
    for name, of in found.items():
        painted = f"{of.paint / 1000:7.2f} s ({of.paint / base:5.0%} of the baseline)"
        view = f", first view {of.view / 1000:.2f} s, charts {of.charts / 1000:.2f} s" if of.view else ""
        print(f"{painted}, {of.bytes / 1000:7.0f} kB  {name}{view}")
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
