"""Contact sheets: how many images lie on one page, where each lies, and how one is laid or cut out again."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from helpers.core.errors import Damaged

__all__ = ["COLUMNS", "GAP", "SIDE", "lay", "tile"]

#: Images in a row, side of an image's place and gap between places in pixels.
COLUMNS, SIDE, GAP = 8, 128, 4
_STEP = SIDE + GAP


def lay(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """All images on one white page (RGB), rows from top to bottom, `COLUMNS` in each.

    Where `SIDE` is a multiple of an image's width it is enlarged by pixel repetition, so that no resampling hides what
    its generator made; another that is smaller is left as it is, in the middle of its place, and a larger one is shrunk
    to it, each pixel the mean of those that it covers.
    """
    page = Image.new("RGB", _size(len(rows)), "white")
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            shown = _fitted(image)
            inset = (SIDE - shown.width) // 2
            page.paste(shown, (across * _STEP + inset, down * _STEP + inset))
    return page


def tile(sheet: Image.Image, rows: int, row: int, column: int) -> Image.Image:
    """The place of an image (`SIDE` x `SIDE` pixels) on a sheet of so many rows, its pixels as they are there.

    Raises Damaged where the sheet is not of the size that so many rows have: then nobody knows what lies where.
    """
    if sheet.size != _size(rows):
        size, due = (" x ".join(map(str, of)) for of in (sheet.size, _size(rows)))
        raise Damaged(f"contact sheet: {size} pixels, where {rows} rows of {COLUMNS} images have {due}; make it anew")
    left, top = column * _STEP, row * _STEP
    return sheet.crop((left, top, left + SIDE, top + SIDE))


def _size(rows: int) -> tuple[int, int]:
    """Width and height in pixels of a sheet of so many rows."""
    return COLUMNS * _STEP - GAP, rows * _STEP - GAP


def _fitted(image: Image.Image) -> Image.Image:
    if image.width > SIDE:
        return image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return image.resize((SIDE, SIDE), Image.Resampling.NEAREST) if SIDE % image.width == 0 else image
