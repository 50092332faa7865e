"""Citations in notebooks, as an extension of Sphinx that `_config.yml` names.

A notebook must read well where no Sphinx is, so it cites a work by a plain link to the work's own address whose text
ends with the year: `[Durall et al., 2020](https://arxiv.org/abs/2003.01826)`. In the book such a link becomes a
citation, with its entry in the bibliography.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pybtex.database import parse_file

from helpers.core import files

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["addresses", "as_citations", "setup"]

#: A link of Markdown whose text ends with a year. In the file of a notebook it must stand on one line.
LINK = re.compile(r"\[[^\]\n]*\b(?:19|20)\d\d\]\((?P<address>https://[^)\s]+)\)")
#: Where a field of an entry leads.
PLACES = {"doi": "https://doi.org/{}", "eprint": "https://arxiv.org/abs/{}", "url": "{}"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Join Sphinx: called by it, once a build."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def addresses() -> dict[str, str]:
    """The key of each work of `book/references.bib` by its addresses (DOI, arXiv, URL)."""
    works = parse_file(str(files.BOOK / "references.bib")).entries
    return {
        place.format(work.fields[field]): key
        for key, work in works.items()
        for field, place in PLACES.items()
        if field in work.fields
    }


def as_citations(source: str) -> str:
    """Markdown, or a notebook's file, with MyST's role in place of each link that cites a work."""
    known = addresses()

    def cited(link: re.Match[str]) -> str:
        key = known.get(link["address"])
        return f"{{cite}}`{key}`" if key else link[0]

    return LINK.sub(cited, source)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    if Path(app.env.doc2path(page)).suffix == ".ipynb":
        source[0] = as_citations(source[0])
