"""The rounding of each format as numbers, for whoever rounds weights elsewhere by the rules of `helpers.precision`."""

from __future__ import annotations

from typing import Any

import torch

from helpers.precision import blocks
from helpers.precision.catalogue import DECK, PRECISIONS, SYMMETRIC, UNQUANTIZED, Entry
from helpers.precision.formats import CODES

__all__ = ["precisions", "rule"]

#: One mantissa bit, and the least number that has it whole.
_E2M1 = {"eps": 0.5, "tiny": 1.0, "largest": blocks.E2M1_MAX}


def precisions() -> list[dict[str, Any]]:
    """The precisions that round weights alone, in the catalogue's order: key, title, whether the deck has it, rule."""
    rows = {key: PRECISIONS[key] for key in PRECISIONS.own if not PRECISIONS[key].inputs}
    return [{"key": key, "title": row.title, "deck": key in DECK, "rule": rule(key)} for key, row in rows.items()]


def rule(key: str) -> dict[str, Any]:
    """The numbers of a format's rounding by the `kind` of it, as `helpers.precision`'s functions of it have them."""
    row = PRECISIONS[key]
    if key == UNQUANTIZED:
        return {"kind": "none"}
    if row.scope == "component":
        return {"kind": "cast", "type": _CASTS[row.code]}
    if row.group == "channel":
        return {"kind": "channel", **_channel(row)}
    return {"block": row.group, **_blocks(key, row)}


#: A cast's code -> torch's name of it.
_CASTS = {"binary16": "float16", "bfloat16": "bfloat16"}


def _channel(row: Entry) -> dict[str, Any]:
    """The largest code; of floating-point codes too, what tells their spacing."""
    if row.family == SYMMETRIC:
        return {"largest": float(_levels(row)), "number": None}
    type_ = _number(row.code.partition(",")[0])
    return {"largest": type_.pop("largest"), "number": type_}


def _blocks(key: str, row: Entry) -> dict[str, Any]:
    if key in CODES:
        return {"kind": "codes", "codes": sorted(CODES[key])}
    own = {
        "int4_affine": {"kind": "affine", "steps": 2**row.bits - 1},
        "mxfp4": {"kind": key, "number": _E2M1},
        "nvfp4": {"kind": key, "number": _E2M1, "scale": _number("float8_e4m3fn")},
        "q8_0": {"kind": key, "levels": _levels(row)},
        "q4_0": {"kind": key, "levels": 2 ** (row.bits - 1)},
        "q4_k": {
            "kind": key, "parts": blocks.PARTS, "steps": blocks.CODE, "six_bits": blocks.SIX_BITS,
            "tried": list(blocks.TRIED),
        },
    }  # fmt: skip
    return own.get(key) or {"kind": "symmetric", "levels": _levels(row)}


def _levels(row: Entry) -> int:
    """The largest of symmetric integers of so many bits."""
    return 2 ** (row.bits - 1) - 1


def _number(type_: str) -> dict[str, float]:
    """Spacing at 1, least normal number and largest number of one of torch's types."""
    found = torch.finfo(getattr(torch, type_))
    return {"eps": found.eps, "tiny": found.tiny, "largest": found.max}
