"""The command `detect`: anybody's images scored by the detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from helpers.cli.show import place, table_text, words, writer
from helpers.core.errors import Failure, readable
from helpers.detectors.catalogue import DETECTORS

__all__ = ["detect"]


def detect(
    path: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders (all files), patterns.")],
    detectors: Annotated[str, typer.Option(metavar="A,B", help="Which detectors.")] = ",".join(DETECTORS.own),
    weights: Annotated[str, typer.Option(help="mini, or a folder or file of released weights.")] = "mini",
    perturb: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:AMOUNT", help="Before scoring: jpeg:75, resize:0.5, blur:1, noise:4; in order."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .json file; default the screen.")] = None,
) -> None:
    """Score images: per detector one logit, above 0 means fake. Every file becomes a row; exit 1 if some have errors.

    PNG, JPEG, WebP, TIFF, BMP and GIF (first frame), 8 to 8192 pixels a side. A folder stands for all files below it;
    choose with a pattern, such as 'folder/**/*.png'. Files in folders named real and fake (or 0_real and 1_fake, nature
    and ai) get a label, and a note says where the two differ in format or size. Only folders below a PATH count, and
    those that you name as a pair, as in: real/ fake/.

    Example: quantdetect detect photo.jpg folder/ --detectors npr,clip_d --perturb jpeg:75 --out scores.csv
    """
    from helpers.images import perturbations

    changes = perturbations.chain(perturbations.parse(text) for text in perturb or ())
    names = words(detectors)
    write = writer(out) if out else None
    from helpers.core.device import require
    from helpers.detectors import folder

    require(device)
    table = folder.score_files(path, names, weights, changes, device)
    if write:
        write(table)
        typer.echo(f"{folder.counted(table)} in {place(out)}")
    else:
        typer.echo(table_text([_file_row(row, names) for row in table.to_dict("records")]))
        typer.echo(folder.counted(table))
    for note in folder.confounds(table):
        typer.echo(f"note: {note}", err=True)
    broken = int((table["error"] != "").sum())
    if broken:
        raise Failure(f"{broken} of {len(table)} files could not be scored; the column 'error' says why")


def _file_row(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A scored file on the screen: a logit per detector, or the error."""
    shown = {name: "-" if row["error"] else f"{row[f'{name}_logit']:+.3f}" for name in names}
    size = f"{row['width']}x{row['height']}" if row["width"] else "-"
    return {"path": readable(row["path"]), "format": row["format"] or "-", "size": size, **shown, "error": row["error"]}
