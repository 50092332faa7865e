"""A catalogue: rows by key in a fixed order, with the nearest key for an unknown one, and rows of other packages."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from helpers.core.errors import Failure, UsageError, nearest, shortened

__all__ = ["KEY", "Registry", "unknown"]

#: What a key may be: it becomes part of names of files and columns.
KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")

Row = TypeVar("Row")


def unknown(what: str, word: object, options: Iterable[str]) -> UsageError:
    """The mistake of naming a thing that is not among `options`: "no detector 'nrp' (nearest: 'npr'); one of npr"."""
    options = list(options)
    return UsageError(f"no {what} '{shortened(word)}'{nearest(word, options)}; one of {', '.join(options)}")


class Registry(Mapping[str, Row], Generic[Row]):
    """Rows of one kind by key: the project's own in their order, then those of installed packages.

    A package adds a row by an entry point of `group`, `key = "module:object"`; the module is imported when the row is
    first asked for, so keys are listed without it. A key that is taken, or is none (`KEY`), is left out with a warning.

    >>> Registry("fruit", {"apple": "red", "pear": "green"})["appel"]
    Traceback (most recent call last):
        ...
    helpers.core.errors.UsageError: no fruit 'appel' (nearest: 'apple'); one of apple, pear

    Args:
        what: the kind of thing, in a message.
        rows: the project's own.
        group: of entry points; None where no other package adds any.
        kind: the class of a row, held against what other packages give.
    """

    def __init__(self, what: str, rows: Mapping[str, Row], group: str | None = None, kind: type = object) -> None:
        self.what, self.group, self.kind = what, group, kind
        self._own = dict(rows)

    @property
    def own(self) -> tuple[str, ...]:
        """The keys of the project's own rows, which other packages add nothing to."""
        return tuple(self._own)

    def __getitem__(self, key: str) -> Row:
        """The row of `key`. Raises UsageError for an unknown one, Failure where its package's cannot be loaded."""
        if key not in self:
            raise unknown(self.what, key, self)
        row = self._rows[key]
        if isinstance(row, EntryPoint):
            row = self._rows[key] = self._loaded(row)
        return row

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._rows

    def get(self, key: str, default: Any = None) -> Any:
        """The row of `key`, or `default`."""
        return self[key] if key in self else default

    def title(self, key: str) -> str:
        """The `title` of a row; of a key that the catalogue lacks, as imported scores may have, the key itself."""
        row: Any = self.get(key)
        return key if row is None else str(row.title)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def _rows(self) -> dict[str, Row | EntryPoint]:
        rows: dict[str, Row | EntryPoint] = dict(self._own)
        for point in sorted(entry_points(group=self.group)) if self.group else ():
            if point.name in rows or not KEY.fullmatch(point.name):
                why = "taken" if point.name in rows else "no key of small letters, digits and _"
                warnings.warn(f"{_package(point)}: {self.what} {point.name!r} is left out: {why}", stacklevel=2)
            else:
                rows[point.name] = point
        return rows

    def _loaded(self, point: EntryPoint) -> Row:
        try:
            row: Row = point.load()
        except Exception as error:  # whatever the other package's import brings about
            why = shortened(f"{type(error).__name__}: {error}")
            raise Failure(f"{self.what} {point.name}: {_package(point)} cannot be loaded: {why}") from error
        if not isinstance(row, self.kind):
            raise Failure(f"{self.what} {point.name}: {_package(point)} gives a {type(row).__name__} for its row")
        return row


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist else point.value
