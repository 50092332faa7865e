"""The lab as `make book` makes it, and a page of a site that has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import opened, served

from helpers.core import files
from helpers.lab.__main__ import make

#: The lab below the site's address.
LAB = "_static/lab/"


@pytest.fixture(scope="session")
def lab() -> Path:
    """The folder of the lab in _build, made anew where something that it depends on has changed."""
    folder = files.BUILD / "lab"
    make(folder, if_changed=True)
    missing = files.read_json(folder / "lab.json").get("missing")
    if missing:
        pytest.skip(missing)
    return folder


@pytest.fixture(scope="session")
def page(browser, lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """An empty page of a site with a lab, opened as `lab`; `page.asked` lists the addresses that were asked for."""
    site = tmp_path_factory.mktemp("site")
    (site / LAB).parent.mkdir()
    (site / LAB).symlink_to(lab)
    for name in ("index.html", "404.html"):
        (site / name).write_text("<!doctype html><title>A site</title>")
    with served(site) as url:
        page = opened(browser, 1280)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        page.evaluate(f"async () => {{ const {{ Lab }} = await import('/{LAB}web/client.js');"
                      f" globalThis.lab = await Lab.open('/{LAB}'); }}")  # fmt: skip
        yield page
        page.close()
