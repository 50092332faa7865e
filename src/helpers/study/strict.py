"""What every file that a person writes is checked by: tables without unknown keys, and mistakes told in one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from helpers.core.errors import nearest, shown

__all__ = ["Models", "Share", "Strict", "Words", "explain", "key_text", "nearest_of", "one_of"]


def one_of(options: Collection[str]) -> BeforeValidator:
    """A word that is among `options`, which may be a catalogue; they are read when a file is checked."""

    def check(word: object) -> object:
        if not isinstance(word, str) or word not in options:
            raise PydanticCustomError("none_of", "Input should be one of {options}", {"options": list(options)})
        return word

    return BeforeValidator(check)


def _worded(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError(f"{shown(text)}: write it on one line, without blanks at its ends or control characters")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
#: What a person writes, on one line.
Words = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_worded)]


class Strict(BaseModel):
    """A table of a study file: no unknown keys, no silent conversions, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Models = Mapping[tuple[str, ...], type[BaseModel]]


def explain(error: ValidationError, models: Models) -> str:
    """The first mistake as "place: what is wrong (nearest: ...)"; misspelt keys before missing ones.

    `models` says which model checks which table of the file, by its path of keys; () is the file itself.
    """
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] == "missing")
    mistake = mistakes[0]
    place = [part for part in mistake["loc"] if part != "[key]"]
    more = f"; {len(mistakes) - 1} more after this" if len(mistakes) > 1 else ""
    where = f"{_dotted(place)}: " if place else ""  # what concerns several keys names them itself
    return f"{where}{_complaint(dict(mistake), place, models)}{more}"


def _dotted(place: list[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{key_text(part)}" for part in place)
    return "".join(parts).removeprefix(".")


def key_text(part: str) -> str:
    """A key as TOML takes it: bare, or in quotes."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else shown(part)


_FAR = 10**6


def _complaint(mistake: dict[str, Any], place: list[str | int], models: Models) -> str:
    kind, context, value = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    if kind == "extra_forbidden":
        return f"unknown key (value {shown(value)}){nearest_of(place[-1], _siblings(place, models))}"
    if kind == "none_of":
        what = "key" if mistake["loc"][-1] == "[key]" else "value"
        return f"no such {what} {shown(value)}{nearest_of(value, context['options'])}"
    if kind == "missing":
        return "missing; this key must be given"
    if kind == "value_error":
        return str(context["error"])
    bound = next((context[name] for name in ("ge", "le") if name in context), None)
    if kind == "multiple_of" and abs(value) < _FAR:  # of a number beyond all sizes no size is near
        bound = max(1, round(value / context["multiple_of"])) * context["multiple_of"]
    closest = "" if bound is None else f" (nearest: {bound:g})"
    # Pydantic's subject ("Input", "String", "List") makes room for the value itself.
    said = mistake["msg"].partition(" should ")[2].replace(" after validation", "")
    return f"{shown(value)} should {said}{closest}" if said else f"{shown(value)}: {mistake['msg']}"


def nearest_of(word: object, options: list[str]) -> str:
    """The nearest option, or all of them where none is alike."""
    return nearest(word, options) or f" (one of: {', '.join(options)})"


def _siblings(place: list[str | int], models: Models) -> list[str]:
    # A table may be one of several of its kind, whose names are the file's: [arms.seed], [generators.sd3.memory].
    path = tuple(part for part in place[:-1] if isinstance(part, str))
    model = next((models[of] for of in (path, path[:-1], path[:1] + path[2:]) if of in models), models[()])
    return list(model.model_fields)
