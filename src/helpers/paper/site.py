"""What a site needs beside its pages, as an extension of Sphinx that `_config.yml` names.

Every page gets a description and what previews of links read (Open Graph), its footer says of which version it is and
how to cite it, and it loads only the scripts and styles that something on it needs. Beside the pages lie a front page
at the site's own address, a 404.html and, where `_config.yml` gives the site's address, a sitemap.xml.
"""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import yaml

from helpers.core import files
from helpers.core.checkout import git_date, git_revision
from helpers.paper.contents import pages

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

__all__ = [
    "EXPLORER", "EXTRA", "LAB", "PICTURE", "bibtex", "bring_lab", "cited", "colophon", "description", "setup", "stage",
    "without_icons",
]  # fmt: skip

#: What lies beside the pages as it is and is loaded by none of them at once (`html_extra_path` of `_config.yml`).
EXTRA = "_extra"
#: Where the explorer's files lie in the site.
EXPLORER = "explorer"
#: What a browser makes and judges images with, in the checkout; `python -m helpers.lab` makes it.
LAB = files.BUILD / "lab"
#: The picture that previews of links show, in the site's _static.
PICTURE = "heatmap.png"
PICTURE_SAYS = "Heatmap: what each detector says of each generator's images at each precision"
#: Characters of a description, about what search engines show of one.
LONGEST = 200

#: What only some pages need: a part of a file's name, or of a script's own text, and the HTML that asks for it.
NEEDED = {
    "vega": r"quantdetect-chart",
    "drawing.js": r'class="quantdetect-(explorer|lab)',
    "explorer.js": r'class="quantdetect-explorer',
    "explorer.css": r'class="quantdetect-(explorer|lab)',
    "lab.js": r'class="quantdetect-lab',
    "figures.js": r"data-kind=",
    "figures.css": r'data-kind=|class="quantdetect-(explorer|lab)',
    "clipboard": r'class="highlight',
    "copybutton": r'class="highlight',
    "toggle": r'class="[^"]*\b(toggle|dropdown)\b',
    "design-tabs": r'class="[^"]*\bsd-tab-set\b',
    "sphinx-design": r'class="[^"]*\bsd-',
}
#: What other packages write and a screen reader would misread, and what stands in its place: MyST-NB's label hides what
#: its switch says, and the role that docutils gives an entry of the bibliography is no longer one.
MENDED = {' aria-label="Toggle hidden content"': "", ' role="doc-biblioentry"': ' role="listitem"'}
#: The rules that name the letters of the theme's icon font, which `style.css` draws in its stead.
ICONS = re.compile(r'(?:\.fa-[\w-]+::?before,?)+\{content:"[^"]*"\}')
#: Extensions that do not say that pages can be read side by side with them, which Sphinx then refuses: the table of
#: contents brings one along that numbers chapters when all pages were read, in one process, and here none has a number.
UNDECLARED = {"sphinx_multitoc_numbering"}
#: What inline scripts and the search page's own go on from at once, so it cannot wait for the page as the others do.
AT_ONCE = ("documentation_options.js", "doctools.js")
#: What other scripts build upon, then what draws a page's first view; the rest serves a page's margins, and the builder
#: has all of them in the order in which a disk lists them.
FIRST = ("drawing.js", "explorer.js")


def setup(app: Sphinx) -> dict[str, bool]:
    """Join Sphinx: called by it, once a build."""
    for name in UNDECLARED & app.extensions.keys():
        app.extensions[name].parallel_read_safe = True
    app.connect("html-page-context", _page, priority=900)
    app.connect("html-collect-pages", _beside)
    app.connect("build-finished", _sitemap)
    app.connect("build-finished", _slim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def stage(source: Path) -> None:
    """Put into the new folder `source` what Sphinx reads of a site beside its pages: configuration, templates, styles,
    scripts, bibliography and licence."""
    for name in ("_static", "_templates"):
        shutil.copytree(files.BOOK / name, source / name, ignore=shutil.ignore_patterns(".*"))
    (source / EXTRA).mkdir(exist_ok=True)
    shutil.copy(files.ROOT / "_config.yml", source)
    shutil.copy(files.ROOT / "LICENSE", source / "_static" / "LICENSE.txt")


def bring_lab(built: Path, lab: Path = LAB) -> None:
    """Put the lab beside the pages in `built`, at _static/lab, where there is one.

    Not by way of Sphinx, which loads every script of its _static on every page.
    """
    if (lab / "lab.json").is_file():
        shutil.copytree(lab, built / "_static" / lab.name)


@cache
def colophon() -> dict[str, str]:
    """Whose the site is and of which state: title, authors, version, commit ("" outside a repository), date
    (YYYY-MM-DD), licence, cited and bibtex. Source: CITATION.cff and git."""
    about = yaml.safe_load((files.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    commit = git_revision() or ""
    state = {
        "commit": commit[:12] + ("+" if commit.endswith("+") else ""),
        "date": git_date() or files.now()[:10],
    }
    about["year"] = str(about.get("date-released") or state["date"])[:4]
    named = {"title": about["title"], "version": str(about["version"]), "licence": about["license"]}
    named["authors"] = "; ".join(_authors(about))
    return named | state | {"cited": cited(about), "bibtex": bibtex(about)}


def cited(about: dict[str, Any]) -> str:
    """A reference to the work in words, from the fields of a CITATION.cff and a `year`."""
    link = f" {_link(about)}" if _link(about) else ""
    return f"{'; '.join(_authors(about))} ({about['year']}). {about['title']}. Version {about['version']}.{link}"


def bibtex(about: dict[str, Any]) -> str:
    """The same as an entry of BibTeX, of the kind that every style knows (misc)."""
    doi, address = about.get("doi"), about.get("url") or about.get("repository-code")
    # Double braces keep an organization's name, and a title's capitals, as they are.
    fields = {
        "author": " and ".join(name if ", " in name else f"{{{name}}}" for name in _authors(about)),
        "title": f"{{{about['title']}}}",
        "year": about["year"],
        "version": about["version"],
        **({"doi": doi} if doi else {}),
        **({"url": address} if address else {}),
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{quantdetect,\n{lines}\n}}"


def _authors(about: dict[str, Any]) -> list[str]:
    people = about["authors"]
    return [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in people]


def _link(about: dict[str, Any]) -> str:
    doi = about.get("doi")
    return f"https://doi.org/{doi}" if doi else about.get("url") or about.get("repository-code") or ""


def description(doctree: nodes.document) -> str:
    """The first paragraph of a page as one line of at most `LONGEST` characters, whole sentences where they fill half
    of that; "" for a page without a paragraph."""
    from docutils import nodes

    said = next((" ".join(p.astext().split()) for p in doctree.findall(nodes.paragraph) if p.astext().strip()), "")
    if len(said) <= LONGEST:
        return said
    sentences = re.match(rf"(.{{{LONGEST // 2},{LONGEST - 1}}}[.?!])\s", said)
    return sentences[1] if sentences else said[: LONGEST - 1].rsplit(" ", 1)[0] + "\N{HORIZONTAL ELLIPSIS}"


def _page(app: Sphinx, name: str, _template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    context["colophon"] = colophon()
    if not context.get("metas"):
        found = doctree is not None
        title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title") or ""))
        kept = _metas(app, title, description(doctree), context.get("pageurl")) if found else None
        # Lists of words and the search field are no pages that a search should find.
        context["metas"] = kept or [("name", "robots", "noindex")]
    body = context.get("body") or ""
    for written, instead in MENDED.items():
        body = body.replace(written, instead)
    context["body"] = body
    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if _wanted(asset, body)]
    context["script_files"].sort(key=lambda script: [name not in str(script.filename) for name in FIRST])
    for script in context["script_files"]:
        if script.filename and not any(name in str(script.filename) for name in AT_ONCE):
            script.attributes["defer"] = "defer"


def _wanted(asset: Any, body: str) -> bool:
    said = f"{asset.filename or ''} {asset.attributes.get('body') or ''}"
    return all(re.search(mark, body) for part, mark in NEEDED.items() if part in said)


def _metas(app: Sphinx, title: str, says: str, address: str | None) -> list[tuple[str, str, str]]:
    """Kind, name and text of a page's meta elements. Addresses in them must be whole, so without the site's own
    (`html.baseurl`) there are none."""
    metas = [("name", "description", says), ("property", "og:description", says)] if says else []
    metas += [
        ("property", "og:title", title),
        ("property", "og:site_name", app.config.html_title),
        ("property", "og:type", "article"),
    ]
    if address:
        metas.append(("property", "og:url", address))
        if (Path(app.srcdir) / "_static" / PICTURE).is_file():
            metas += [
                ("property", "og:image", urljoin(_base(app), f"_static/{PICTURE}")),
                ("property", "og:image:alt", PICTURE_SAYS),
                ("name", "twitter:card", "summary"),  # the picture is about as high as wide
            ]
    return metas


def _base(app: Sphinx) -> str:
    """The site's own address with a slash at its end, or "" where none is given."""
    base = app.config.html_baseurl
    return base and base.rstrip("/") + "/"


def _beside(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The front page, which leads to the first, and the page for addresses that are none."""
    root = app.config.root_doc
    title, first = app.env.titles[root].astext(), app.builder.get_target_uri(root)
    says = description(app.env.get_and_resolve_doctree(root, app.builder))
    address = urljoin(_base(app), first) if _base(app) else None
    metas = _metas(app, title, says, address)
    yield "index", {"title": html.escape(title), "first": first, "metas": metas, "pageurl": address}, "front.html"
    found = [(app.env.titles[page].astext(), app.builder.get_target_uri(page)) for page in _pages(app)]
    yield "404", {"found": found, "top": urlsplit(_base(app)).path or "/"}, "404.html"


def _pages(app: Sphinx) -> list[str]:
    return pages(Path(app.srcdir) / "_toc.yml")


def _sitemap(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html" or not _base(app):
        return
    places = [urljoin(_base(app), app.builder.get_target_uri(page)) for page in _pages(app)]
    rows = "".join(f"  <url><loc>{html.escape(place)}</loc></url>\n" for place in places)
    (Path(app.outdir) / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}</urlset>\n',
        encoding="utf-8",
    )


def without_icons(styles: str) -> str:
    """A stylesheet without the rules of Font Awesome's 1,900 icons: a third of what a reader waits for."""
    return ICONS.sub("", styles)


def _slim(app: Sphinx, error: Exception | None) -> None:
    theme = Path(app.outdir) / "_static" / "styles" / "pydata-sphinx-theme.css"
    if not error and theme.is_file():
        theme.write_text(without_icons(theme.read_text(encoding="utf-8")), encoding="utf-8")
