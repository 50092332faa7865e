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
    weights: Annotated[
        str, typer.Option(help="mini, which means nothing of photographs, or a folder or file of released weights.")
    ] = "mini",
    perturb: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:AMOUNT", help="Before scoring: jpeg:75, resize:0.5, blur:1, noise:4; in order."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .json file; default the screen.")] = None,
) -> None:
    """Score images: per detector a logit and its verdict, fake above 0. A row per file; exit 1 if some have errors.

    Caution: the default weights are miniatures' that know renders of one small world. What they say of photographs
    means nothing; --weights takes released weights, which `quantdetect fetch full` gets.

    PNG, JPEG, WebP, TIFF, BMP and GIF (first frame), 8 to 8192 pixels a side. A folder stands for all files below it;
    choose with a pattern, such as 'folder/**/*.png'. Files in folders named real and fake (or 0_real and 1_fake, nature
    and ai) get a label, and then AUC, TPR and TNR follow with 95 % intervals, and a note says where the two differ in
    format or size. Only folders below a PATH count, and those that you name as a pair, as in: real/ fake/.

    Example: quantdetect detect photo.jpg folder/ --detectors npr,clip_d --perturb jpeg:75 --out scores.csv
    """
    from helpers.images import perturbations

    changes = perturbations.chain(perturbations.parse(text) for text in perturb or ())
    names = words(detectors)
    write = writer(out) if out else None
    from helpers.core.device import require
    from helpers.detectors import folder

    require(device)
    rows = folder.judged(path, names, weights, changes, device)
    if write:
        write(folder.tabled(rows))
        typer.echo(f"{folder.counted(rows)} in {place(out)}")
    else:
        labelled = any(row["label"] for row in rows)
        typer.echo(table_text([_file_row(row, names, labelled) for row in rows]))
        typer.echo(folder.counted(rows))
    _say_how_well(rows)
    if beware := folder.caution(weights):
        typer.echo(f"caution: {beware}")
    broken = sum(row["error"] != "" for row in rows)
    if broken:
        raise Failure(f"{broken} of {len(rows)} files could not be scored; the column 'error' says why")


def _say_how_well(rows: Sequence[dict[str, Any]]) -> None:
    """Of labelled images how well each detector tells them apart, and what beside the content does."""
    if not any(row["label"] for row in rows):
        return
    from helpers.analysis.labelled import by_detector
    from helpers.detectors import folder

    table = folder.tabled(rows)
    typer.echo("\n" + table_text([_summary_row(row) for row in by_detector(table).to_dict("records")]))
    for note in folder.confounds(table):
        typer.echo(f"note: {note}", err=True)


def _summary_row(row: dict[str, Any]) -> dict[str, Any]:
    def shown(name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return "-" if row[name] != row[name] else f"{row[name]:.3f} ({low:.3f} to {high:.3f})"

    counts = {name: row[name] for name in ("detector", "reals", "fakes")}
    return counts | {name.upper(): shown(name) for name in ("auc", "tpr", "tnr")}


def _file_row(row: dict[str, Any], names: Sequence[str], labelled: bool) -> dict[str, Any]:
    """A scored file on the screen: of each detector the logit and the verdict, or the error."""
    shown = {name: "-" if row["error"] else f"{row[f'{name}_logit']:+.3f} {row[f'{name}_verdict']}" for name in names}
    size = f"{row['width']}x{row['height']}" if row["width"] else "-"
    label = {"label": row["label"] or "-"} if labelled else {}
    what = {"path": readable(row["path"]), "format": row["format"] or "-", "size": size}
    return what | label | shown | {"error": row["error"]}
