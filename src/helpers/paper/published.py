"""Where a book is published, and its notebooks to take away, as an extension of Sphinx that `_config.yml` names.

Two variables of the environment say where; the workflow sets them, and a build at home has neither. SITE_URL is the
site's own address, which goes before the `html.baseurl` of `_config.yml`. REPOSITORY_URL is that of its sources on
GitHub: the page of a notebook then has a button that opens the notebook on Binder. With or without them it has one for
the notebook as it is stored: without outputs, to be run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.core import files

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

__all__ = ["VARIABLES", "setup"]

#: The variables of the environment that say where: the site's own address, and its sources'.
VARIABLES = ("SITE_URL", "REPOSITORY_URL")

#: The theme's own options for a button. Binder takes HEAD for the default branch, whatever its name.
BINDER = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
BRANCH = "HEAD"
#: After the theme's own handlers, which begin the list of buttons anew on each page.
AFTER_THEME = 600


def setup(app: Sphinx) -> dict[str, bool]:
    """Join Sphinx: called by it, once a build."""
    app.connect("config-inited", _addressed)
    app.connect("html-page-context", _button, priority=AFTER_THEME)
    app.connect("build-finished", _hand_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _addressed(_app: Sphinx, config: Config) -> None:
    site, repository = (os.environ.get(name, "").strip().rstrip("/") for name in VARIABLES)
    if site:
        config.html_baseurl = f"{site}/"
    if repository:
        address = {"repository_url": repository, "repository_branch": BRANCH, "launch_buttons": BINDER}
        config.html_theme_options = {**config.html_theme_options, **address}


def _stored(page: str) -> Path | None:
    """The notebook behind a page, as the checkout stores it."""
    file = files.ROOT / f"{page}.ipynb"
    return file if file.is_file() else None


def _button(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    if _stored(page):
        context.setdefault("header_buttons", []).append({
            "type": "link", "url": context["pathto"](f"{page}.ipynb", 1), "icon": "fas fa-download", "text": ".ipynb",
            "tooltip": "Download this notebook", "label": "download-notebook-button",
        })  # fmt: skip


def _hand_out(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    for page in app.env.found_docs:
        if stored := _stored(page):
            shutil.copy(stored, Path(app.outdir) / f"{page}.ipynb")
