"""What is computed once for one `Results`, or for its source: kept by the object itself, and gone with it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["once", "once_copied"]

Given = ParamSpec("Given")


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


def once_copied(function: Callable[Given, pd.DataFrame]) -> Callable[Given, pd.DataFrame]:
    """As `once`, for a table that is handed out: each caller gets a copy, which is its own to write to, and may name
    the further arguments."""
    kept, signature = once(function), inspect.signature(function)

    @functools.wraps(function)
    def copied(*args: Given.args, **named: Given.kwargs) -> pd.DataFrame:
        given = signature.bind(*args, **named)
        given.apply_defaults()
        found: pd.DataFrame = kept(*given.args).copy()
        return found

    return copied
