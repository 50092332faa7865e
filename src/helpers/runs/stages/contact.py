"""Contact sheets of a run: for each generator, the same prompts and seeds, one row per precision of an arm."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from helpers.core import files
from helpers.images import sheets
from helpers.runs.plan import Plan, Source
from helpers.runs.store import Store, pixel_sha256

__all__ = ["write_sheets"]

#: Precisions that make an arm beside the main one worth a sheet.
ROWS = 3

#: Of the WebP file.
QUALITY = 88


def write_sheets(plan: Plan, store: Store, digests: Mapping[Source, Mapping[int, str]]) -> list[str]:
    """Write `contact/<generator>.webp` for each generator whose first eight images are there at every precision.

    `digests` holds what the run vouches for: source -> index -> SHA-256 of the pixels. An image with others counts as
    missing, and a sheet that can no longer be made is taken away. Beside the main arm's,
    `contact/<generator>-<arm>.webp` for arms of at least `ROWS` precisions. Returns the names written.
    """
    rows: dict[tuple[str, str], list[Source]] = {}
    for source in plan.recipes:
        if source.label:
            rows.setdefault((source.generator, source.arm), []).append(source)
    written = []
    for (generator, arm), cells in rows.items():
        if arm != plan.arm and len(cells) < ROWS:
            continue
        name = generator + ("" if arm == plan.arm else f"-{arm}")
        images = [[_shown(store, cell, index, digests) for index in range(sheets.COLUMNS)] for cell in cells]
        if all(image is not None for row in images for image in row):
            with files.replacing(store.folder / "contact" / f"{name}.webp") as temporary:
                sheets.lay(images).save(temporary, format="WEBP", quality=QUALITY, method=6)
            written.append(name)
        else:
            (store.folder / "contact" / f"{name}.webp").unlink(missing_ok=True)
    return written


def _shown(store: Store, source: Source, index: int, digests: Mapping[Source, Mapping[int, str]]) -> Image.Image | None:
    digest = digests.get(source, {}).get(index)
    image = store.open(source, index) if digest else None
    return image if image is not None and pixel_sha256(image) == digest else None
