"""The commands `train mini` and `train detector`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helpers.cli.show import place, table_text
from helpers.detectors.catalogue import DETECTORS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["train_detector", "train_mini"]


def train_mini(
    name: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Which ones; default all.")] = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Train nothing: measure generators at FP32.")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Train nothing: find the level of shared.")] = False,
    controls: Annotated[
        bool, typer.Option("--controls", help="Train the detectors' controls, which are not kept.")
    ] = False,
) -> None:
    """Train the miniatures, generators and detectors, from nothing; an interrupted training goes on.

    With --evaluate the shipped generators are measured and the table models/mini/measures.csv is written; with
    --calibrate the difficulty of the protocol `shared` is found on FP32 validation images, models/mini/shared.csv; with
    --controls what needs no detector is trained on the detectors' images, models/mini/controls.csv.

    Example: quantdetect train mini sd3 npr
    """
    from helpers.mini.training import miniatures

    if evaluate:
        typer.echo(_wide(miniatures.evaluate(name or None), "measure", "generator", "value"))
    elif calibrate:
        table = miniatures.calibrate()
        typer.echo(_wide(table, "level", "detector", "auc"))
        typer.echo(f"shared_level = {table.loc[table['chosen'], 'level'].iloc[0]}")
    elif controls:
        table = miniatures.controls().assign(of=lambda found: found.control + " " + found.weights)
        typer.echo(_wide(table, "of", "generator", "auc"))
    else:
        miniatures.train(name or None)


def train_detector(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(DETECTORS)}.")],
    real: Annotated[Path, typer.Option(metavar="DIR", help="Folder of real images.")],
    fake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of fake images.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .safetensors file; card and split are put beside it.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the first weights and the batches.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="How long it learns; default by the detector's recipe.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    width: Annotated[str, typer.Option(help="mini, or full: the published size.")] = "mini",
    backbone: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of the frozen backbone, which full width asks for.")
    ] = None,
) -> None:
    """Train a detector on your own real and fake images; a stopped training goes on.

    At its miniature width it takes minutes on a CPU, with the frozen backbones of this project's miniatures, which know
    renders alone; --width full is the published network, with a published backbone where it has a frozen one, and asks
    for a GPU.

    Example: quantdetect train detector npr --real photos/ --fake generated/ --out mine/npr.safetensors
    """
    import json

    from helpers.core.device import require
    from helpers.mini.training.folders import train_folders

    require(device)
    path = train_folders(name, real, fake, out, seed=seed, device=device, steps=steps, width=width, published=backbone)
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    for note in card["data"]["cautions"]:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{place(path)}: validation AUC {card['validation']['folders']['auc']:.3f}, {card['task']}")


def _wide(table: pd.DataFrame, rows: str, columns: str, values: str) -> str:
    """A long table as text, in the order in which rows and columns first appear."""
    wide = table.pivot(index=rows, columns=columns, values=values)
    wide = wide.loc[table[rows].unique(), table[columns].unique()]
    return table_text([{rows: name, **{key: f"{row[key]:.4g}" for key in wide}} for name, row in wide.iterrows()])
