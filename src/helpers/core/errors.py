"""The errors that a command reports in one line, and the "did you mean" that goes with them."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable

__all__ = ["Damaged", "Failure", "UsageError", "nearest", "readable", "shortened", "shown"]

#: Characters of a word that are compared, and quoted in a message.
LONGEST = 120


class UsageError(Exception):
    """A mistake in the call or in a file the user wrote: one line, the input and the mend (exit 2)."""

    exit_code = 2


class Failure(Exception):
    """Something that should have worked and did not: one line that says what and where (exit 1).

    `details` are further lines for whoever mends it, such as the traceback of a notebook's cell.
    """

    exit_code = 1

    def __init__(self, line: object = "", details: str = "") -> None:
        super().__init__(line)
        self.details = details


class Damaged(Failure):
    """A file that is missing, cannot be read, or is not what its name says; whoever can make it again does."""


def nearest(word: object, options: Iterable[object]) -> str:
    """The suffix " (nearest: 'x')" for the option most like `word`, or "" where none is alike or `word` is no text.

    >>> nearest("fp-4", ["fp32", "fp4"])
    " (nearest: 'fp4')"
    """
    if not isinstance(word, (str, os.PathLike)):
        return ""
    # Cut, for comparing grows with the square of the length.
    by_folded = {str(option).casefold()[:LONGEST]: str(option) for option in options}
    found = difflib.get_close_matches(str(word)[:LONGEST].casefold(), list(by_folded), n=1, cutoff=0.4)
    return f" (nearest: '{shortened(by_folded[found[0]])}')" if found else ""


def shortened(text: object, limit: int = LONGEST) -> str:
    """A text on one line of printable characters, at most `limit`, for a message that quotes what a user gave."""
    line = readable(" ".join(str(text).split()))
    return line if len(line) <= limit else f"{line[: limit - 4]} ..."


def readable(text: object) -> str:
    """A text that any screen takes, on one line: what cannot be printed is an escape, such as \\xe9 for that byte of a
    file name that is not UTF-8, or \\ud800 for half of a character.
    """
    # After the first half of a character it is the second half, and no byte.
    known = re.sub("(?<![\ud800-\udbff])[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", str(text))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in known)


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 80


def shown(value: object) -> str:
    """A value that a user gave as Python writes it, of any size and depth, on one line of at most 120 characters."""
    try:
        return shortened(_REPR.repr(value))
    except ValueError:  # Python writes no integers of thousands of digits
        return f"a value of type {type(value).__name__} that is too long to be shown"
