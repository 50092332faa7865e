"""The drawings of the architecture page: as the command makes them, and true to the package and to its contracts."""

from __future__ import annotations

import configparser
from xml.etree import ElementTree

import pytest

from helpers.core import files
from helpers.paper import diagram


@pytest.mark.parametrize("name", ["way", "floors"])
def test_the_stored_drawing_is_the_commands_and_has_no_colour_of_its_own(name: str) -> None:
    stored = (files.BOOK / "images" / f"{name}.svg").read_text(encoding="utf-8")
    assert stored == getattr(diagram, name)(), "run python -m helpers.paper.diagram"
    colours = {part.get(key) for part in ElementTree.fromstring(stored).iter() for key in ("fill", "stroke")}
    assert colours <= {None, "none", "currentColor"}


def test_every_room_is_drawn_and_has_a_line_on_the_page() -> None:
    rooms = {path.parent.name for path in (files.ROOT / "src" / "helpers").glob("*/__init__.py")}
    assert {room for floor in diagram.FLOORS for side in floor for room in side} == rooms
    page = (files.BOOK / "architecture.md").read_text(encoding="utf-8")
    assert all(f"| `{room}` |" in page for room in rooms)


def test_the_floors_are_those_that_are_held() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(files.ROOT / ".importlinter", encoding="utf-8")
    for side, name in enumerate(("making", "reading")):
        layers = contracts[f"importlinter:contract:{name}"]["layers"].split("\n")
        held = [{word for word in layer.split() if word.isalpha()} for layer in reversed(layers) if layer]
        assert held == [set(floor[side]) for floor in diagram.FLOORS if floor[side]]
