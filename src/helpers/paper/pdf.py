"""The book as one PDF from its built pages: `python -m helpers.paper.pdf`, which `make pdf` calls.

The pages are printed in the order of the table of contents behind a front page and get numbers, bookmarks, and links
that lead to each other inside the file. It lies among the built pages, which offer it from then on; a new build takes
it away with them, so no older book's is left.
"""

from __future__ import annotations

import html
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.paper.contents import pages
from helpers.paper.printing import INSIDE, Printed, on_paper, opened, text_on_paper
from helpers.paper.site import colophon

if TYPE_CHECKING:
    from pypdf import PdfReader, PdfWriter

__all__ = ["NAME", "main", "write"]

NAME = "quantdetect.pdf"
#: Bytes of an image from which on it is stored as a JPEG: Chromium stores what was none without loss.
LARGE, QUALITY = 200_000, 92
#: What `book/_templates/colophon.html` holds back until there is a PDF.
HELD_BACK = re.compile(r"<!--pdf (.*?)-->", re.DOTALL)
#: Sheets before the first page of the book.
FRONT = 1
#: Sheet of the PDF, from 0, and height on it in points, of all that links lead to: PAGE.html and PAGE.html#ID.
Places: TypeAlias = dict[str, tuple[int, float | None]]

STYLE = """<meta charset="utf-8"><style>
body { margin: 0; font: 10pt/1.5 system-ui, "Liberation Sans", Arial, sans-serif; font-variant-ligatures: none; }
body { color: #222832; }
.front { padding: 40mm 25mm 0; }
.front h1 { font-size: 22pt; line-height: 1.25; font-weight: 600; margin: 0 0 8mm; }
.front ol { list-style: none; margin: 12mm 0; padding: 0; }
.front li a { display: flex; justify-content: space-between; gap: 1em; color: inherit; text-decoration: none; }
.front li { border-bottom: 1px solid #ddd; padding: 0.8mm 0; }
.front .small { font-size: 8.5pt; color: #48566b; overflow-wrap: anywhere; }
.number { height: 296mm; break-after: page; position: relative; font-size: 8pt; color: #48566b; }
.number:last-child { break-after: auto; }
.number p { position: absolute; left: 15mm; right: 15mm; bottom: 7mm; margin: 0; }
.number p { display: flex; justify-content: space-between; }
</style>"""


def write(built: str | Path = files.BUILD / "html") -> Path:
    """Print the book built at `built` to `built`/quantdetect.pdf, which its pages offer then; returns the file.

    Raises:
        UsageError: there is no whole book at `built`.
        Failure: Chromium is missing or failed.
    """
    built, names = Path(built).absolute(), pages()
    lacking = next((name for name in names if not (built / f"{name}.html").is_file()), None)
    if lacking:
        raise UsageError(f"{built}: no built book, for it has no {lacking}.html; run `make book` first")
    with opened() as page:
        parts = _placed([on_paper(page, built, name, names) for name in names])
        front = text_on_paper(page, STYLE + _front(parts))
        numbers = text_on_paper(page, STYLE + _numbers(parts))
    book = _joined(parts, front, numbers)
    with files.replacing(built / NAME) as temporary:
        book.write(temporary)
    _offer(built)
    return built / NAME


@dataclass(frozen=True)
class _Part:
    """A printed page of the book, read again, and the place of its first sheet in the PDF, from 0."""

    printed: Printed
    reader: PdfReader
    start: int


def _placed(printed: Sequence[Printed]) -> list[_Part]:
    from pypdf import PdfReader

    readers = [PdfReader(io.BytesIO(one.pdf)) for one in printed]
    starts = accumulate((len(reader.pages) for reader in readers), initial=FRONT)
    return [_Part(*of) for of in zip(printed, readers, starts, strict=False)]


def _joined(parts: Sequence[_Part], front: bytes, numbers: bytes) -> PdfWriter:
    """The parts behind the front page, with numbers, links, bookmarks and metadata, made small."""
    from pypdf import PdfReader, PdfWriter

    book = PdfWriter()
    for reader in [PdfReader(io.BytesIO(front)), *(part.reader for part in parts)]:
        for page in reader.pages:
            book.add_page(page)
    for page, over in zip(book.pages[FRONT:], PdfReader(io.BytesIO(numbers)).pages, strict=True):
        page.merge_page(over)
    places = _places(parts)
    for page in book.pages:
        _turn_links(page, places)
        _shrink_images(page)
        page.compress_content_streams()
    _bookmark(book, parts, places)
    _describe(book)
    book.compress_identical_objects(remove_unreferenced=True)
    return book


def _places(parts: Sequence[_Part]) -> Places:
    found: Places = {}
    for part in parts:
        name = f"{part.printed.name}.html"
        found[name] = (part.start, None)
        for mark, place in part.reader.named_destinations.items():
            number = part.start + part.reader.get_destination_page_number(place)
            found[f"{name}#{mark.lstrip('/')}"] = (number, float(place.top))
    return found


def _bookmark(book: PdfWriter, parts: Sequence[_Part], places: Places) -> None:
    from pypdf.generic import Fit

    for part in parts:
        title, name = part.printed.title, f"{part.printed.name}.html"
        above = book.add_outline_item(title=title, page_number=part.start, is_open=False)
        for said, mark in part.printed.sections:
            number, top = places.get(f"{name}#{mark}", (part.start, None))
            book.add_outline_item(title=said, page_number=number, parent=above, fit=Fit.xyz(left=0, top=top))


def _turn_links(page: Any, places: Places) -> None:
    """Let links to pages of the book lead to their places in it."""
    from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

    for annotation in page.get("/Annots", []):
        link = annotation.get_object()
        address = unquote(link.get("/A", {}).get("/URI", ""))
        if not address.startswith(INSIDE):
            continue
        wanted = address.removeprefix(INSIDE)
        number, top = places.get(wanted) or places[wanted.partition("#")[0]]
        height = NullObject() if top is None else FloatObject(top)
        target = page.indirect_reference.pdf.pages[number].indirect_reference
        del link["/A"]
        link[NameObject("/Dest")] = ArrayObject([target, NameObject("/XYZ"), NullObject(), height, NullObject()])


def _shrink_images(page: Any) -> None:
    for image in page.images:
        stored = image.indirect_reference.get_object()
        if "/SMask" not in stored and stored["/Filter"] != "/DCTDecode" and len(stored._data) > LARGE:
            image.replace(image.image.convert("RGB"), quality=QUALITY)


def _describe(book: PdfWriter) -> None:
    """Title, authors, licence and language of the file."""
    from pypdf.generic import NameObject, TextStringObject
    from pypdf.xmp import XmpInformation

    about = colophon()
    book.add_metadata({
        "/Title": about["title"], "/Author": about["authors"], "/Producer": "quantdetect",
        "/Subject": f"Version {about['version']} of {about['date']}. Licence: {about['licence']}",
    })  # fmt: skip
    told = XmpInformation.create()
    told.dc_title = {"x-default": about["title"]}
    told.dc_creator = about["authors"].split("; ")
    told.dc_rights = {"x-default": about["licence"]}
    book.xmp_metadata = told
    book.page_mode = "/UseOutlines"
    book.root_object[NameObject("/Lang")] = TextStringObject("en")


def _front(parts: Sequence[_Part]) -> str:
    about = {name: html.escape(said) for name, said in colophon().items()}
    commit = f", commit {about['commit']}" if about["commit"] else ""
    rows = "".join(
        f'<li><a href="{INSIDE}{part.printed.name}.html"><span>{html.escape(part.printed.title)}</span>'
        f" <span>{part.start + 1}</span></a></li>"
        for part in parts
    )
    return (
        f'<div class="front"><h1>{about["title"]}</h1><p>{about["authors"]}</p>'
        f"<p>Version {about['version']}{commit}, {about['date']}. Licence: {about['licence']}.</p><ol>{rows}</ol>"
        f'<p class="small">To cite: {about["cited"]}</p></div>'
    )


def _numbers(parts: Sequence[_Part]) -> str:
    """A sheet for each of the parts, with nothing but the page's title and the sheet's number."""
    titles = [html.escape(part.printed.title) for part in parts for _ in part.reader.pages]
    return "".join(
        f'<div class="number"><p><span>{title}</span><span>{number}</span></p></div>'
        for number, title in enumerate(titles, FRONT + 1)
    )


def _offer(built: Path) -> None:
    """Show the link to the PDF that the pages hold back."""
    for file in sorted(built.rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        if HELD_BACK.search(text):
            with files.replacing(file) as temporary:
                temporary.write_text(HELD_BACK.sub(r"\1", text), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """The exit status for the argument of `write`; where the file lies goes to stdout, an error to stderr."""
    try:
        print(f"the book is {write(*arguments)}")
    except (UsageError, Failure) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
