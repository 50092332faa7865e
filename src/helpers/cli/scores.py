"""The commands on stored tables: taking in anybody's scores (`import-scores`) and readers' timings (`import-device`),
bringing older results up (`migrate`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from helpers.cli.show import place, writer

__all__ = ["import_device", "import_scores", "migrate"]


def import_scores(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .parquet, one row per image and detector.")],
    out: Annotated[Path, typer.Option(help="Folder that gets the study's results.")],
    map: Annotated[
        Path | None, typer.Option(help="TOML file that says what the file's columns and words mean.")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .json file for the paired effects.")] = None,
) -> None:
    """Take anybody's per-image scores in as a study's results, from which `report` makes the book.

    Example: quantdetect import-scores scores.csv --map studies/maps/public-scores.toml --out results/theirs
    """
    from helpers.results import importing

    write = writer(summary) if summary else None
    done = importing.import_scores(file, out, importing.read_map(map) if map else None)
    for why, count in done.dropped:
        typer.echo(f"{count} rows left out: {why}")
    for cell, count in done.unpaired.items():
        typer.echo(f"{count} rows of {cell} have no image at the baseline to be paired with")
    for remark in done.notes:
        typer.echo(remark)
    typer.echo(f"{done.kept} of {done.read} rows, {done.cells} cells, in {place(out)}")
    if write:
        from helpers import analysis
        from helpers.analysis import public_study

        table = public_study.summary(analysis.load(out))
        write(table)
        typer.echo(f"{len(table)} paired effects in {place(summary)}")


def import_device(
    records: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Records that page 12 of the book saved.")],
    out: Annotated[Path | None, typer.Option(help="The table; default results/devices/devices.csv.")] = None,
) -> None:
    """Take records of readers' devices into the table "what readers measured", each once.

    Example: quantdetect import-device quantdetect-device-2026-11-26.json
    """
    from helpers.results import devices

    done = devices.import_devices(records, table := out or devices.TABLE)
    typer.echo(f"{done.new} new, {done.known} known before; {done.timings} timings in {place(table)}")


def migrate(results: Annotated[Path, typer.Argument(help="A results folder of an earlier version.")]) -> None:
    """Bring an older results folder up to what is read today; every change is said.

    Example: quantdetect migrate results/mini
    """
    from helpers.results import migration

    said = migration.migrate(results)
    typer.echo("\n".join(said) or "nothing to change")
