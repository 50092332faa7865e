"""The command `report`: the book of a run's results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from helpers.cli.show import place, words
from helpers.core.errors import UsageError, shortened

__all__ = ["joined", "report"]


def report(
    results: Annotated[Path | None, typer.Option(help="Folder with a run's results; default results/mini.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that gets html/; default _build.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME VALUE", help="A notebook parameter; may be repeated."),
    ] = None,
) -> None:
    """Run the notebooks on a run's results and compile the book.

    Example: quantdetect report --results results/mini -p threshold 0.5
    """
    from helpers.core import files

    if not files.NOTEBOOKS.is_dir():
        raise UsageError("the notebooks are not installed; call report in a checkout of the repository")
    from helpers.paper.build import build

    pairs = [pair.partition("=") for pair in parameter or ()]
    lone = next((name for name, sign, _ in pairs if not sign), None)
    if lone is not None:
        raise UsageError(f"-p {shortened(lone)}: its value is missing; write -p NAME VALUE, as in -p threshold 0.5")
    values = {name: _literal(value) for name, _, value in pairs}
    page = build(results or files.RESULTS / "mini", out or files.BUILD, values)
    typer.echo(f"the book is {place(page)}")


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with every "-p NAME VALUE" as "-p NAME=VALUE": typer has no repeated option with two values."""
    joined: list[str] = []
    for word in arguments:
        if len(joined) > 1 and joined[-2] == "-p" and "=" not in joined[-1] and joined[0] == "report":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _literal(text: str) -> Any:
    """A parameter's value: a Python literal, a comma-separated list of words, or the text itself."""
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two for brackets by the thousand
        return words(text) if "," in text else text
