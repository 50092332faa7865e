"""Captions of the miniature world: a small grammar that is written, and read back without loss.

Four sentence forms, one per relation::

    a photo of a red ball on sand
    a photo of a red ball beside a blue star on sand              (the first solid is the left one)
    a photo of a red ball above a blue star on sand               (the first solid is the upper one)
    a photo of a red ball, a blue star and a green ring on sand   (from left to right)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from helpers.core.errors import UsageError, nearest
from helpers.world.scenes import COLOURS, GROUNDS, SHAPES, Scene, scene

__all__ = ["PLACES", "Parsed", "caption", "noun", "parse", "prompt", "vocabulary"]

#: How each ground is said, so that the sentence stays English.
PLACES = {ground: f"on {ground}" for ground in GROUNDS} | {"sky": "against the sky"}

_SOLID = re.compile(r"\ban? (\w+) (\w+)")


@dataclass(frozen=True)
class Parsed:
    """What a caption says: its ground, relation ("alone", "beside", "above", "row") and (colour, shape) pairs."""

    ground: str
    relation: str
    solids: tuple[tuple[str, str], ...]


def noun(colour: str, shape: str) -> str:
    """A solid as a sentence names it, with its article: an orange ball."""
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"


def caption(of: Scene) -> str:
    """Return the sentence that describes a scene; `parse` reads it back."""
    nouns = [noun(solid.colour, solid.shape) for solid in of.solids]
    body = {
        "alone": lambda: nouns[0],
        "beside": lambda: f"{nouns[0]} beside {nouns[1]}",
        "above": lambda: f"{nouns[0]} above {nouns[1]}",
        "row": lambda: f"{', '.join(nouns[:-1])} and {nouns[-1]}",
    }[of.relation]()
    return f"a photo of {body} {PLACES[of.ground]}"


def prompt(seed: int) -> str:
    """Return the caption of the scene with this seed."""
    return caption(scene(seed))


def parse(text: str) -> Parsed:
    """Read a caption back into ground, relation and solids.

    Raises:
        UsageError: the text is not a sentence of the grammar; the message names the word that is not.
    """
    ground = next((name for name, place in PLACES.items() if text.endswith(f" {place}")), None)
    if ground is None or not text.startswith("a photo of "):
        raise UsageError(f"not a caption of the miniature world: {text!r} (write: a photo of a red ball on sand)")
    body = text.removeprefix("a photo of ").removesuffix(f" {PLACES[ground]}")
    solids = tuple(_SOLID.findall(body))
    for colour, shape in solids:
        for word, known in ((colour, tuple(COLOURS)), (shape, SHAPES)):
            if word not in known:
                raise UsageError(f"the miniature world has no {word!r}{nearest(word, known)} in {text!r}")
    relation = "alone" if len(solids) == 1 else "row" if " and " in body else "above" if " above " in body else "beside"
    return Parsed(ground, relation, solids)


def vocabulary() -> tuple[str, ...]:
    """Return every word and mark that a caption can hold, sorted: the tokenizers' whole vocabulary."""
    glue = "a an photo of on against the beside above and ,".split()
    return tuple(sorted({*glue, *GROUNDS, *COLOURS, *SHAPES}))
