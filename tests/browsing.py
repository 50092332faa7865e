"""Pages in a real browser, and a server for them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def opened(browser, width: int, **options):
    """An empty page, patient enough for a machine that is busy with other things."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.set_default_timeout(120_000)
    return page


class _Quiet(SimpleHTTPRequestHandler):
    """As hosts of static sites do, with the site's 404.html for what is not there."""

    def log_message(self, *_: object) -> None:
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404:
            return super().send_error(code, message, explain)
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.read_bytes())


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served on this machine, with a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


#: Scripts that every page may load, by the end of their names, and those that only a page with such HTML may.
ALWAYS = {
    "documentation_options.js", "doctools.js", "sphinx_highlight.js", "sphinx-book-theme.js", "shell.js",
    "bootstrap.js", "pydata-sphinx-theme.js",
}  # fmt: skip
ONLY_WITH = {
    "vega.js": "quantdetect-chart",
    "drawing.js": 'class="quantdetect-',
    "explorer.js": "quantdetect-explorer",
    "lab.js": "quantdetect-lab",
    "figures.js": "data-kind=",
    "clipboard.min.js": '<div class="highlight',
    "copybutton.js": '<div class="highlight',
    "togglebutton.js": "toggle",
    "design-tabs.js": "sd-tab-set",
}


def unwanted_scripts(page: Path) -> list[str]:
    """The scripts that a built page loads and has no use for; none should be."""
    text = page.read_text(encoding="utf-8")
    article = text[text.index("<article") : text.index("</article>")]
    names = [Path(found.partition("?")[0]).name for found in re.findall(r'<script[^>]*\ssrc="([^"]+)"', text)]
    return [name for name in names if name not in ALWAYS and (name not in ONLY_WITH or ONLY_WITH[name] not in article)]
