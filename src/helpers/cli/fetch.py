"""The command `fetch`: the checkpoints and weights of others that a full study needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from helpers.cli.show import Names, StudyName, place, words
from helpers.core.errors import Failure, UsageError, shown

__all__ = ["fetch"]


def fetch(
    study: StudyName = "full",
    only: Names = None,
    put: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Weights of a detector that you got from its authors; may be repeated."),
    ] = None,
) -> None:
    """Get what a full study needs of others, as far as licences allow, and say what you must accept or get where.

    Checkpoints go to the Hugging Face hub's local cache, at the revisions that the study pins, those files alone that
    are read; detectors' weights go to the study's folder of weights. All are checked (SHA-256) and what is there is
    kept, so call it again to go on. HF_ENDPOINT names another hub, HF_HUB_OFFLINE=1 says what is missing. Exit 1 if
    something is.

    Example: quantdetect fetch full --only sd15,clip_d
    """
    from helpers.runs import fetching
    from helpers.study import schema

    loaded, names = schema.load(study), words(only)
    pairs = [text.partition("=") for text in put or ()]
    lone = next((name for name, _, file in pairs if not file), None)
    if lone is not None:
        raise UsageError(f"--put {shown(lone)}: write NAME=FILE, as in npr=NPR.pth")
    for name, _, file in pairs:
        typer.echo(f"{name}: {place(fetching.put(loaded, name, Path(file)))}")
    outcome = fetching.fetch(loaded, names)
    for line in outcome.there:
        typer.echo(f"there    {line}")
    for line in outcome.missing:
        typer.echo(f"missing  {line}")
    if outcome.missing:
        raise Failure(f"{len(outcome.missing)} of {len(outcome.missing) + len(outcome.there)} are missing")
