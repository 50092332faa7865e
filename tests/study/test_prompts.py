"""The grammar of photographs: 500 distinct prompts, evenly over five kinds, as a person would write them."""

import re
from collections import Counter, defaultdict

import pytest

from helpers.core.errors import UsageError
from helpers.study import prompts

ALL = [prompts.prompt(index) for index in range(prompts.COUNT)]


def test_there_are_500_distinct_prompts():
    assert prompts.COUNT == 500
    assert len({text.casefold() for text in ALL}) == 500


def test_every_category_has_a_fifth_and_every_run_of_five_has_each():
    kinds = [prompts.category(index) for index in range(prompts.COUNT)]
    assert set(Counter(kinds).values()) == {100}
    assert all(len(set(kinds[start : start + 5])) == 5 for start in range(0, prompts.COUNT, 5))
    assert list(prompts.CATEGORIES) == ["face", "animal", "landscape", "object", "scene"]


def test_a_prompt_depends_on_its_index_alone():
    assert [prompts.prompt(index) for index in reversed(range(prompts.COUNT))] == ALL[::-1]
    assert ALL[0] == "A portrait of a young woman with freckles beside a kitchen window, soft window light"


@pytest.mark.parametrize(
    "artefact",
    [
        r"\b[Aa] [aeio]",  # "a apple"
        r"\b[Aa]n [^AEIOaeiou]",  # "an river"
        r"\b(\w+) \1\b",  # a word twice in a row
        r"\s\s|\s,|,,|^\s|\s$",
        r"[{}<>_\[\]|%$#]",  # what a template leaves behind
        r"\ba (a|an|the|two)\b|\bof of\b",
    ],
)
def test_no_prompt_shows_its_template(artefact):
    assert [text for text in ALL if re.search(artefact, text)] == []


def test_every_prompt_is_a_view_a_subject_a_place_and_a_light():
    for text in ALL:
        assert re.fullmatch(r"An? [\w -]*(photo|photograph|portrait|shot) of [\w ,'-]+, [\w ,-]+", text), text
        assert 9 <= len(text.split()) <= 26, text


def test_no_light_or_view_sticks_to_a_subject_or_a_place():
    lights, views = defaultdict(set), defaultdict(set)
    for index, text in enumerate(ALL):
        kind = prompts.CATEGORIES[prompts.category(index)]
        for part in (part for group in kind.groups for part in group.subjects + group.places if part in text):
            lights[part].add(text.rpartition(", ")[2])
            views[part].add(next(view for view in kind.views if text.startswith(f"{view} ")))
    assert min(map(len, lights.values())) >= 4
    assert min(map(len, views.values())) >= 3


@pytest.mark.parametrize("index", [-1, 500, 10_000])
def test_an_index_outside_is_refused(index):
    with pytest.raises(UsageError, match=f"prompt {index}.*0 to 499"):
        prompts.prompt(index)
