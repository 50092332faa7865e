"""The Python reference has every public name, with the signature that Python itself reports."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from helpers.core import files
from helpers.paper import contents, reference

ROOMS = sorted(path.parent.name for path in (files.ROOT / "src" / "helpers").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def page() -> str:
    return reference.page()


def shown(page: str, room: str, name: str) -> str:
    """What stands below the heading of a name."""
    _, _, after = page.partition(f"### `{room}.{name}`\n")
    assert after, f"{room}.{name} is not on the page"
    return re.split(r"\n##+ ", after)[0]


def test_the_page_is_in_the_book_and_says_of_each_room_what_it_is_for(page: str) -> None:
    assert "book/api" in contents.pages() and (files.BOOK / "api.md").is_file()
    assert sorted(re.findall(r"^## `helpers\.(\w+)`$", page, re.MULTILINE)) == ROOMS
    for room in ROOMS:
        first = inspect.getdoc(importlib.import_module(f"helpers.{room}")).split()[0]
        assert page.partition(f"## `helpers.{room}`\n\n")[2].startswith(first)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there_as_python_reports_it(page: str, room: str) -> None:
    package = importlib.import_module(f"helpers.{room}")
    for name in getattr(package, "__all__", ()):
        said, found = shown(page, room, name), getattr(package, name)
        if inspect.isfunction(found):
            signature = re.search(r"```python\n(.*?)\n```", said, re.DOTALL)[1].replace(",\n)", ")")
            places = [signature.find(f"{parameter}") for parameter in inspect.signature(found).parameters]
            assert min(places, default=0) >= 0 and "(" in signature, name
        if inspect.isfunction(found) or inspect.isclass(found):
            assert inspect.getdoc(found).split()[0].strip("`") in said, name


def test_a_room_without_names_shows_its_modules(page: str) -> None:
    room = page.partition("## `helpers.images`\n")[2].partition("\n## ")[0]
    for path in (files.ROOT / "src" / "helpers" / "images").glob("[a-z]*.py"):
        assert f"- `helpers.images.{path.stem}`: " in room
    assert "`parse`" in room


def test_docstrings_become_plain_markdown() -> None:
    text = "One *thing* of <x>, `a*b`.\n\nArgs:\n    key: a [word]\n        of two lines.\n    size: pixels.\n\n"
    text += ">>> 1 + 1\n2"
    assert list(reference._markdown(text)) == [
        "One \\*thing\\* of \\<x\\>, `a*b`.", "", "**Args**", "", "- `key`: a \\[word\\] of two lines.",
        "- `size`: pixels.", "", "```python", ">>> 1 + 1\n2", "```", "",
    ]  # fmt: skip
