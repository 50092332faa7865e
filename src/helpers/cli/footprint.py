"""The command `footprint`: memory, and on a device time, of the public checkpoints' networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.cli.show import Names, place, table_text, words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["footprint"]


def footprint(
    device: Annotated[str | None, typer.Option(help="cuda or cuda:N: measure there; default: count bytes.")] = None,
    checkpoints: Names = None,
    precisions: Names = None,
    out: Annotated[Path | None, typer.Option(help="A .csv file; default _build/footprint.csv.")] = None,
) -> None:
    """Memory of the public checkpoints' networks at each precision; on a device, time and peak memory too.

    Nothing is downloaded. Without --device the bytes of the weights are counted, on any machine; with it the networks
    are built there with random weights and run at their native resolution.

    Example: quantdetect footprint --checkpoints flux1-dev,sd15 --precisions fp16,fp4
    """
    from helpers.core import files

    keys = words(checkpoints), words(precisions)
    out = out or files.BUILD / ("footprint-device.csv" if device else "footprint.csv")
    files.probe(out)
    if device:
        from helpers.precision import timing

        frame = timing.table(device, *keys)
        rows = [_measured_row(row) for row in frame.to_dict("records")]
    else:
        from helpers.precision.catalogue import DECK
        from helpers.precision.footprint import table

        frame = table(*keys)
        rows = _weights_rows(frame, keys[1] or DECK)
    with files.replacing(out) as temporary:
        frame.to_csv(temporary, index=False)
    typer.echo(table_text(rows))
    typer.echo(f"{'GB as measured' if device else 'GB of weights (10^9 bytes)'}; all of it in {place(out)}")


def _weights_rows(frame: pd.DataFrame, precisions: Sequence[str]) -> list[dict[str, Any]]:
    """GB (10^9 bytes) of each component and of each checkpoint, a column per precision and coverage."""
    import pandas as pd

    frame = frame[frame["precision"].isin(precisions)]
    how = frame["precision"] + frame["coverage"].map({"whole": "", "linear": " linear", "all": " all"})
    whole = frame.assign(component="in all")
    sums = (
        pd.concat([frame, whole]).assign(how=how.tolist() * 2).groupby(["checkpoint", "component", "how"], sort=False)
    )
    wide = sums["bytes"].sum().unstack("how")[how.unique()]
    places = [(key, part) for key in frame["checkpoint"].unique() for part in wide.loc[key].index]
    return [
        {"checkpoint": key, "component": part, **{name: f"{wide.loc[(key, part), name] / 1e9:.3f}" for name in wide}}
        for key, part in places
    ]


def _measured_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {"checkpoint": row["checkpoint"], "precision": row["precision"], "coverage": row["coverage"]}
    if not row["fits"]:
        return shown | {"weights GB": "does not fit", "peak GB": "", "reserved GB": "", "s/step": ""}
    reserved = row["peak_reserved"]
    return shown | {
        "weights GB": f"{row['bytes'] / 1e9:.2f}",
        "peak GB": f"{row['peak_allocated'] / 1e9:.2f}",
        "reserved GB": f"{reserved / 1e9:.2f}" if reserved == reserved and reserved is not None else "",
        "s/step": f"{row['seconds_per_step']:.4f}",
    }
