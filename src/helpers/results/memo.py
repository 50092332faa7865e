"""What is computed once for one `Results`, or for its source: kept by the object itself, and gone with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["once"]


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function of a `Results` (and further hashable arguments by place) returns for this very object.

    Another object, such as one that `dataclasses.replace` made, has answers of its own. What does not depend on the
    protocol, the training or what is shown is a function of `Results.source`, which all views of a study share.
    """
    answers: WeakKeyDictionary[Any, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()

    @functools.wraps(function)
    def kept(results: Any, *args: Any) -> Any:
        own = answers.setdefault(results, {})
        if args not in own:
            own[args] = function(results, *args)
        return own[args]

    return kept
