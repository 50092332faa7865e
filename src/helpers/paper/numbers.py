"""Numbers of figures and tables, in the order of the table of contents, and references to them by number.

An extension of Sphinx that `_config.yml` names. A chart (`helpers.charts.theme.page`), a table
(`helpers.paper.tables.table`) and a picture come as a `<figure>` with an id, a digest of what it holds and a place for
its number (`caption`).
When all pages are written each gets its number by where it is first met; what another page quotes, the same figure with
the same digest, keeps it. In the text the role `fig` refers to a figure and `tab` to a table by its name: a link that
says "Figure 3". A second run over the same pages, of which some may be new, changes what has changed alone.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.core import files
from helpers.core.errors import Failure, nearest, shown
from helpers.paper.contents import pages

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["attributes", "caption", "kept", "number", "setup"]

#: Roles of references and what an id begins with.
ROLES = ("fig", "tab")
FIGURE = re.compile(
    r'(?P<open><figure class="[\w-]+" id=")(?P<id>[\w-]+)(?P<kind>" data-kind="(?P<word>\w+)" '
    r'data-digest="(?P<digest>\w+)")(?: data-home="[^"]*")?(?P<rest>>.*?<span class="figure-number">)[^<]*(?=</span>)',
    re.DOTALL,
)
REFERENCE = re.compile(
    r'(?P<open><a class="(?:[\w -]* )?numbered(?: [\w -]*)?" href=")[^"#]*#(?P<id>[\w-]+)(?P<rest>"[^>]*>)[^<]*(?=</a>)'
)

Key = tuple[str, str]


def attributes(kind: str, name: str, held: str) -> str:
    """The attributes, after its one class, by which a `<figure>` gets a number: `kind` is "Figure" or "Table", `name`
    of letters, digits, _ and -, and `held` all that it shows."""
    digest = hashlib.sha1(held.encode(), usedforsecurity=False).hexdigest()[:8]
    return f'id="{kind[:3].lower()}-{name}" data-kind="{kind}" data-digest="{digest}"'


def caption(kind: str, words: str) -> str:
    """A caption of plain words with a place for the number."""
    return f'<figcaption><span class="figure-number">{kind}</span> {html.escape(words)}</figcaption>'


def kept(name: str, words: str) -> str:
    """The place of a table that the reader's browser draws: its number, which `book/_static/drawing.js` takes for the
    table `name`. It is not seen, and a link to the table leads to it until the table is there; `words` say what it is.
    """
    return f'<figure class="kept-number" {attributes("Table", name, words)}>{caption("Table", words)}</figure>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Join Sphinx: called by it, once a build."""
    for role in ROLES:
        app.add_role(role, _role)
    app.connect("build-finished", _finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _role(name: str, _raw: str, text: str, *_rest: Any, **_more: Any) -> tuple[list[Any], list[Any]]:
    """A link whose text and page `number` fills in."""
    from docutils import nodes

    return [nodes.reference("", text, refuri=f"#{name}-{text}", classes=["numbered"])], []


def _finished(app: Sphinx, error: Exception | None) -> None:
    from sphinx.util import logging

    if error is not None or app.builder.format != "html":
        return
    try:
        number(Path(app.outdir), pages(Path(app.srcdir) / "_toc.yml"))
    except Failure as failure:
        logging.getLogger(__name__).error(str(failure))  # Sphinx wraps what is raised, and says it last of all
        raise


def number(built: Path, names: list[str]) -> dict[str, str]:
    """Number the figures and tables of built pages, `names` in reading order below the folder `built`, in place.

    Returns what each id is called ("fig-heatmap": "Figure 3"), of an id that stands for several things the first's.

    Raises:
        Failure: a page refers to a figure or table that no page has.
    """
    texts = {name: _apart((built / f"{name}.html").read_text(encoding="utf-8")) for name in names}
    called: dict[Key, str] = {}
    homes: dict[Key, str] = {}
    counts: dict[str, int] = {}
    for name, text in texts.items():
        for found in FIGURE.finditer(text):
            key = (found["id"], found["digest"])
            if key not in called:
                counts[found["word"]] = counts.get(found["word"], 0) + 1
                called[key], homes[key] = f"{found['word']} {counts[found['word']]}", name
            elif not homes[key].startswith("notebooks/"):
                homes[key] = name  # where it is made, and not only quoted
    for name, text in texts.items():
        done = FIGURE.sub(lambda found, name=name: _figure(found, name, called, homes), text)
        done = REFERENCE.sub(lambda found, name=name: _reference(found, name, called, homes), done)
        if done != (built / f"{name}.html").read_text(encoding="utf-8"):
            with files.replacing(built / f"{name}.html") as temporary:
                temporary.write_text(done, encoding="utf-8")
    return {id_: said for (id_, _), said in reversed(called.items())}


def _apart(text: str) -> str:
    """The page with ids that each stand once: those of tables are made of captions, of which two may say the same."""
    seen: dict[str, int] = {}

    def apart(found: re.Match[str]) -> str:
        id_ = found["id"]
        seen[id_] = seen.get(id_, 0) + 1
        return found[0] if seen[id_] == 1 else found[0].replace(f'id="{id_}"', f'id="{id_}-{seen[id_]}"', 1)

    return FIGURE.sub(apart, text)


def _figure(found: re.Match[str], page: str, called: Mapping[Key, str], homes: Mapping[Key, str]) -> str:
    key = (found["id"], found["digest"])
    home = "" if homes[key] == page else f' data-home="{_link(page, homes[key])}"'
    return f"{found['open']}{found['id']}{found['kind']}{home}{found['rest']}{called[key]}"


def _reference(found: re.Match[str], page: str, called: Mapping[Key, str], homes: Mapping[Key, str]) -> str:
    same = [key for key in called if key[0] == found["id"]]
    if not same:
        names = [id_.partition("-")[2] for id_, _ in called]
        asked = found["id"].partition("-")[2]
        raise Failure(f"{page}: refers to {shown(asked)}, a figure or table that no page has{nearest(asked, names)}")
    key = next((key for key in same if homes[key] == page), same[0])
    return f"{found['open']}{_link(page, homes[key])}#{found['id']}{found['rest']}{called[key]}"


def _link(page: str, home: str) -> str:
    """The way from a page to another, "" to itself."""
    return "" if page == home else Path(os.path.relpath(f"{home}.html", Path(page).parent)).as_posix()
