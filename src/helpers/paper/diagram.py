"""The way of the data and the floors of the package, drawn: `python -m helpers.paper.diagram` writes both for the book.

The drawings are inline SVG in the colours of the page (`currentColor`), so they are right in light and in dark.
"""

from __future__ import annotations

from html import escape

from helpers.core import files

__all__ = ["FLOORS", "STEPS", "floors", "way", "write"]

#: The way of the data: what lies there, the room that makes it, and how.
STEPS = (
    ("study file", "studies/*.toml", "study", "generators, precisions, arms, seeds, prompts, detectors"),
    ("plan", "in memory", "runs", "each cell resolved once, with its digest"),
    ("images", "images/GENERATOR/PRECISION/*.png", "generators, precision", "one pipeline a generator, quantized"),
    ("scores", "scores.parquet", "detectors, runs", "one logit an image, detector and training"),
    ("results", "a folder and its manifest", "results", "one typed reader"),
    ("tables, verdicts", "in memory", "analysis, claims", "estimates with intervals, claims judged"),
    ("notebooks", "notebooks/*.ipynb", "charts, paper", "each table and figure is one call"),
    ("book", "_build/html", "paper", "static pages, no server"),
)
#: The floors, from the ground: what makes images, and what reads results; cli stands on both.
FLOORS = (
    (("core",), ("core",)),
    (("images", "world"), ("images", "world")),
    (("study",), ("study",)),
    (("generators", "detectors", "precision"), ("results",)),
    (("mini",), ("analysis",)),
    (("runs", "lab"), ("claims", "charts")),
    ((), ("paper",)),
    (("cli",), ("cli",)),
)
_WIDTH, _ROW, _BOX, _PAD = 680, 64, 44, 10


def _svg(height: int, title: str, parts: list[str]) -> str:
    head = f'<svg class="diagram" role="img" viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg"'
    style = 'style="width:100%;min-width:32rem;height:auto" fill="currentColor" font-family="inherit" font-size="14"'
    return "\n".join([f"{head} {style}>", f"<title>{escape(title)}</title>", *parts, "</svg>", ""])


def _box(x: float, y: float, width: float, text: str) -> list[str]:
    frame = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_BOX}" rx="6" fill="none" stroke="currentColor"/>'
    middle = f'x="{x + width / 2:g}" y="{y + _BOX / 2 + 5:g}" text-anchor="middle"'
    return [frame, f"<text {middle}>{escape(text)}</text>"]


def way() -> str:
    """The way of the data from the study file to the book, as SVG: a box a stage, beside it its files and its room."""
    parts = []
    for row, (name, place, room, what) in enumerate(STEPS):
        y = _PAD + row * _ROW
        parts += _box(_PAD, y, 160, name)
        parts.append(f'<text x="190" y="{y + 18}">{escape(what)}</text>')
        parts.append(f'<text x="190" y="{y + 38}" font-size="12" opacity="0.75">{escape(f"{room}: {place}")}</text>')
        if row:
            x, top = _PAD + 80, y - _ROW + _BOX
            parts.append(f'<path d="M{x} {top}V{y - 6}" stroke="currentColor" fill="none"/>')
            parts.append(f'<path d="M{x - 5} {y - 7}L{x} {y}L{x + 5} {y - 7}Z"/>')
    return _svg(2 * _PAD + len(STEPS) * _ROW - (_ROW - _BOX), "The way of the data", parts)


def floors() -> str:
    """The floors of the package as SVG, the ground below: a room imports from the floors under it alone."""
    parts, half = [], (_WIDTH - 3 * _PAD) / 2
    for level, (making, reading) in enumerate(FLOORS):
        y = _PAD + (len(FLOORS) - 1 - level) * _ROW
        both = making == reading
        for side, rooms in enumerate((making,) if both else (making, reading)):
            width = _WIDTH - 2 * _PAD if both else half
            each = (width - _PAD * (len(rooms) - 1)) / max(len(rooms), 1)
            left = _PAD + side * (half + _PAD)
            for at, room in enumerate(rooms):
                parts += _box(left + at * (each + _PAD), y, each, room)
    return _svg(2 * _PAD + len(FLOORS) * _ROW - (_ROW - _BOX), "The floors of the package", parts)


def write() -> None:
    """Write both drawings into the book's folder."""
    for name, drawing in (("way", way()), ("floors", floors())):
        with files.replacing(files.BOOK / "images" / f"{name}.svg") as temporary:
            temporary.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    write()
