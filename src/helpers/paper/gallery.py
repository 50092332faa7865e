"""The images that a study stores beside its scores: strips of one image at every precision, and the real beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from helpers.core import files
from helpers.results.results import Results

__all__ = ["FOLDER", "REAL", "Strips", "prompts", "strips"]

#: Below a results folder; `helpers.runs.stages.gallery` writes it.
FOLDER = "gallery"
REAL = "real"


@dataclass(frozen=True)
class Strips:
    """The strips of one generator.

    `size` is its images' and `side` that of their middle which is shown, in pixels; `columns` are the precisions from
    left to right, and `REAL` where the real image of the prompt is there; `images` the indices that have a strip.
    """

    folder: Path
    size: int
    side: int
    columns: tuple[str, ...]
    images: tuple[int, ...]

    def path(self, index: int) -> Path:
        """The file of one strip."""
        return self.folder / f"{index:04d}.webp"

    def open(self, index: int) -> dict[str, Image.Image]:
        """The images (RGB, `side` pixels a side) of one strip by column."""
        with Image.open(self.path(index)) as strip:
            whole = strip.convert("RGB")
        ends = range(0, len(self.columns) * self.side, self.side)
        return {
            key: whole.crop((left, 0, left + self.side, self.side))
            for key, left in zip(self.columns, ends, strict=True)
        }


def strips(results: Results) -> dict[str, Strips]:
    """The strips of each of the page's generators that has some. Raises Damaged where their index is none."""
    found = _index(results).get("generators", {})
    return {
        key: Strips(
            results.folder / FOLDER / key, entry["size"], entry["side"], tuple(entry["columns"]),
            tuple(sorted(map(int, entry["images"]))),
        )
        for key, entry in found.items() if results.folder and key in results.generators
    }  # fmt: skip


def prompts(results: Results) -> dict[int, str]:
    """The prompts of the stored images, by index."""
    return {int(index): prompt for index, prompt in sorted(_index(results).get("prompts", {}).items())}


def _index(results: Results) -> dict[str, dict]:
    file = results.folder / FOLDER / "index.json" if results.folder else None
    return files.read_json(file) if file and file.is_file() else {}
