"""What is computed once for one `Results`, or for its source: kept by the object itself, and gone with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["once"]


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function of a `Results` (and further hashable arguments by place) returns for this very object.

    Another object, such as one that `dataclasses.replace` made, has answers of its own. What does not depend on the
    protocol, the training or what is shown is a function of `Results.source`, which all views of a study share.
    """

    @functools.wraps(function)
    def kept(results: Any, *args: Any) -> Any:
        answers, key = vars(results).setdefault("_kept", {}), (kept, *args)
        if key not in answers:
            answers[key] = function(results, *args)
        return answers[key]

    return kept
