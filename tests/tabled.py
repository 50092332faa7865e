"""A printed table as a reader sees it: each row with all of its cells."""

from __future__ import annotations

from bs4 import BeautifulSoup


def rows_of(shown: str) -> list[list[str]]:
    """The rows of a table, its heads first, as a browser lays them out: by the HTML standard a cell takes the first
    free place of its row, and those below it as far as its `rowspan` reaches."""
    rows = BeautifulSoup(shown, "html.parser").find_all("tr")
    placed: list[dict[int, str]] = [{} for _ in rows]
    for at, row in enumerate(rows):
        for cell in row.find_all(["th", "td"]):
            free = next(place for place in range(99) if place not in placed[at])
            for below in range(int(cell.get("rowspan", 1))):
                placed[at + below][free] = cell.get_text()
    return [[row[place] for place in sorted(row)] for row in placed]
