"""The commands on a study: its cells (`grid`), making and scoring them (`run`), checking its archive (`verify`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.cli.show import Names, StudyName, place, table_text, words
from helpers.core.errors import Failure, UsageError, shown

if TYPE_CHECKING:
    from helpers.runs.fitting import Expected
    from helpers.runs.overview import Overview, Progress
    from helpers.study.schema import Study

__all__ = ["grid", "run", "verify"]


def grid(
    study: StudyName = "mini",
    state_of: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A run's folder: how far it has come.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="A GPU's memory, as 24GB or 24GiB: what each cell would take.")
    ] = None,
) -> None:
    """Show the cells of a study and its detectors, what each needs and what is present; with --out, the state of a run;
    with --memory, how a GPU of that memory would take each cell.

    The state is told from files alone, at any time: images made, rejected and scored of each cell, who is at work, and
    the time that is left by the seconds that images have taken.

    Example: quantdetect grid full
    """
    from helpers.study import schema

    loaded = schema.load(study)
    if memory is not None and state_of is not None:
        raise UsageError("--memory is of a study, --out of a run: give one of them")
    if memory is not None:
        _say_fitting(loaded, _memory(memory))
        return
    if state_of is not None:
        _say_state(loaded, state_of)
        return
    out = _default_out(loaded)
    archived = _archived(loaded)
    rows = [_grid_row(needs, out, archived) for needs in schema.expected(loaded)]
    typer.echo(table_text(rows))
    typer.echo(
        f"{len(rows)} cells x {loaded.images_per_cell} images; detectors {', '.join(loaded.detectors)};"
        f" 'made' counts images in {place(out)}, 'archived' those behind results/{loaded.name}"
    )
    if loaded.arms:
        typer.echo("\n" + table_text([_arm_row(loaded, name, out, archived) for name in loaded.arms]))
    typer.echo("\n" + _reals_line(schema.reals_expected(loaded)))
    rows = [
        row | {"file": place(row["file"]), "there": "yes" if row["there"] else "no"}
        for row in schema.weights_expected(loaded)
    ]
    typer.echo("\n" + table_text(rows))


def _memory(text: str) -> int:
    """Bytes of a size with its unit."""
    found = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(GB|GiB)", text)
    size = float(found[1]) * {"GB": 10**9, "GiB": 2**30}[found[2]] if found else 0
    if not size:
        raise UsageError(f"--memory {shown(text)}: write a size with its unit, as 24GB (10^9 bytes) or 24GiB (2^30)")
    return round(size)


def _say_fitting(study: Study, memory: int) -> None:
    from helpers.runs import fitting

    cells = fitting.expected(study, memory)
    typer.echo(table_text([_fitting_row(one) for one in cells]))
    disk = sum(one.disk for one in cells)
    typer.echo(
        f"\nGB (10^9 bytes); a card of {memory / 1e9:,.1f} GB. {_FITTING} All images: at most {disk / 1e9:,.1f} GB"
    )


#: What the columns are.
_FITTING = (
    "'weights' are all of a pipeline's as stored, '<=' where 8 and 4 bits could not be counted. 'peak' is what must be"
    " on the card at once, with an allowance for activations. 'RAM' is for the generator in FP32 beside a cell's copy;"
    " with less, its files are read again for each cell."
)


def _fitting_row(one: Expected) -> dict[str, Any]:
    def size(count: int | None) -> str:
        return "?" if count is None else f"{count / 1e9:,.1f}"

    weights = None if one.need is None else sum(one.need.parts.values())
    return {
        "cell": f"{one.cell.generator}/{one.cell.precision}",
        "arm": one.cell.arm,
        "weights": ("" if one.exact or weights is None else "<= ") + size(weights),
        "placed": one.how,
        "peak": size(one.peak),
        "RAM": size(one.ram),
        "images": size(one.disk),
        "checkpoint": one.there,
    }


def _say_state(study: Study, folder: Path) -> None:
    from helpers.core.scores import MUCH_REJECTED
    from helpers.runs.overview import overview
    from helpers.runs.progress import span

    if not folder.is_dir():
        raise UsageError(
            f"{place(folder)}: no such folder; name one that 'quantdetect run {study.name} --out' has made"
        )
    found = overview(study, folder)
    typer.echo(table_text([_state_row(found, one) for one in found.sources]))
    wanted, missing = sum(one.wanted for one in found.sources), sum(one.missing for one in found.sources)
    scored = sum(min(one.scored, one.wanted) for one in found.sources)
    who = f"at work: process {', '.join(found.workers)}" if found.workers else "nobody is at work there"
    quiet = (
        f", last written {span(found.quiet)} ago"
        if found.quiet is not None
        else f", nothing of {study.name} is written yet"
    )
    typer.echo(f"\n{wanted - missing} of {wanted} images, {scored} of them scored; {who}{quiet}")
    if missing:
        left = (
            "not known before the first image of each generator" if found.left is None else f"about {span(found.left)}"
        )
        typer.echo(f"left for {missing} images: {left}")
    for folder, why in found.failed.items():
        typer.echo(f"not made: {folder}: {why}", err=True)
    for one in found.sources:
        if one.much_rejected:
            typer.echo(
                f"caution: {one.source.folder}: more than {100 * MUCH_REJECTED:g} % of the images are rejected",
                err=True,
            )


def _state_row(found: Overview, one: Progress) -> dict[str, Any]:
    from helpers.runs.progress import span

    seconds = found.seconds_of(one)
    left = "?" if seconds is None else span(one.missing * seconds)
    return {
        "cell": one.source.folder,
        "images": one.wanted,
        "made": one.made,
        "rejected": one.rejected,
        "scored": one.scored,
        "s/image": "?" if seconds is None else f"{seconds:.3g}",
        "left": left if one.missing else "-",
    }


def run(
    study: StudyName = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default _build/runs/STUDY.")] = None,
    generators: Names = None,
    precisions: Names = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images per cell; default the study's.")] = None,
    arms: Names = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Do the I-th of N shares.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, or cuda:0,cuda:1: a process for each; default cpu, for a full study cuda."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on one device; default one. With ray: all that it can place.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="local: on this machine. ray: on the cluster of RAY_ADDRESS, or on this machine.")
    ] = "local",
) -> None:
    """Make the images of a study and score them; what exists and is valid is kept, so call it again to go on.

    Example: quantdetect run mini --generators sd3 --precisions fp32,fp4 --images 50
    """
    from helpers.runs import finished, parse_share
    from helpers.runs.executors.staff import staff
    from helpers.study import schema

    loaded = schema.load(study)
    share = parse_share(shard) if shard else None
    out = out or _default_out(loaded)
    device = device or ("cuda" if loaded.scale == "full" else "cpu")
    asked = staff(executor, device, workers)
    chosen, ways = (words(generators), words(precisions), images), words(arms)
    call = finished.asked(loaded, *chosen, arms=ways, device=asked.device)
    notes = None if share else finished.stands(out, loaded, call)
    if notes is not None:
        _say_done(notes, f"nothing to do: all images and scores are in {place(out)}")
        return
    from helpers.core.device import require
    from helpers.runs import make

    for one in asked.devices:
        require(one)
    how = {"device": device, "workers": workers, "executor": executor}
    done = make.run(loaded, out, *chosen, share, arms=ways, **how)
    made = f"{done.made} images made, {done.rejected} rejected, {done.scored} scores, in {place(out)}"
    _say_done(done.notes, f"nothing to do: all images and scores are in {place(out)}" if done.nothing else made)
    if done.failed:
        raise Failure(f"not made: {', '.join(done.failed)}; see above why, and call it again to try them once more")


def _say_done(notes: Sequence[str], line: str) -> None:
    typer.echo("\n".join([*notes, line]))


def verify(
    study: StudyName = "mini",
    images: Annotated[int, typer.Option(min=1, help="Images of every cell.")] = 2,
    arms: Annotated[
        str | None, typer.Option(metavar="A,B", help="Cells of these, comma-separated; default the main arm.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of the archive; default results/STUDY.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file for the outcome.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N, as of the run; default cpu, for a full study cuda.")
    ] = None,
    if_changed: Annotated[
        bool, typer.Option("--if-changed", help="Keep the outcome in --out if machine, code and archive are its own.")
    ] = False,
) -> None:
    """Make a sample of the archived run again on this machine and compare images and logits.

    Example: quantdetect verify mini --images 2 --out check.json
    """
    from helpers.core import files
    from helpers.study import schema

    loaded = schema.load(study)
    if out is not None:
        files.probe(out)
    device = device or ("cuda" if loaded.scale == "full" else "cpu")
    if device != "cpu":
        from helpers.core.device import require

        require(device)
    folder = results or files.RESULTS / loaded.name
    outcome = _verified(loaded, images, words(arms), folder, out, if_changed, device)
    rows = [*outcome["cells"], *outcome["real"]]
    typer.echo(table_text([_verify_row(row) for row in rows]))
    equal, made = sum(row["images_equal"] for row in rows), sum(row["images"] for row in rows)
    typer.echo(f"{equal} of {made} images equal to the last bit; {'agrees' if outcome['agree'] else 'DISAGREES'}")
    if not outcome["agree"]:
        apart = [f"{row['generator']}/{_precision_named(row)}" for row in rows if not row["agree"]]
        raise Failure(f"the archive is not reproduced here: {', '.join(apart)}")


def _verified(
    study: Study,
    images: int,
    arms: Sequence[str] | None,
    results: Path,
    out: Path | None,
    if_changed: bool,
    device: str,
) -> dict[str, Any]:
    from helpers.runs import verified

    state = verified.state(study, images, results, device, arms)
    if out is not None and if_changed and (kept := verified.standing(out, state)):
        typer.echo(f"{place(out)}: of {kept['checked']}, and nothing that it depends on has changed since")
        return kept
    if out is not None:
        out.unlink(missing_ok=True)  # what it says is of another state
    from helpers.runs.verify import verify_archive

    return verify_archive(study, images, results, out, arms=arms, state=state, device=device)


def _default_out(study: Study) -> Path:
    from helpers.core import files

    return files.BUILD / "runs" / study.name


def _archived(study: Study) -> dict[tuple[str, str, str], int]:
    """Images of each (generator, precision, arm) in the study's stored results; empty where there are none."""
    from helpers.core import files
    from helpers.results.results import archived_images

    return archived_images(files.RESULTS / study.name)


def _grid_row(needs: dict[str, Any], out: Path, archived: dict[tuple[str, str, str], int]) -> dict[str, Any]:
    folder = out / "images" / needs["generator"] / _precision_named(needs)
    size, local = needs["bytes"], Path(needs["source"]).is_absolute()
    return {
        "generator": needs["generator"],
        "precision": needs["precision"],
        "images": needs["images"],
        "made": sum(1 for _ in folder.glob("[0-9]*.png")),
        "archived": int(archived.get((needs["generator"], needs["precision"], needs["arm"]), 0)),
        "px": needs["size"],
        "steps": needs["steps"],
        "guidance": needs["guidance"],
        "weights": ("missing" if local else "not counted") if size is None else f"{size / 1e6:,.1f} MB",
        "terms": needs["terms"],
        "source": place(Path(needs["source"])) if local else needs["source"],
    }


def _arm_row(study: Study, name: str, out: Path, archived: dict[tuple[str, str, str], int]) -> dict[str, Any]:
    """An arm beside the main one, all its cells in a line."""
    arm = study.arms[name]
    cells = [cell for cell in study.arm_cells() if cell.arm == name]
    folders = [out / "images" / cell.generator / f"{cell.precision}-{name}" for cell in cells]
    return {
        "arm": name,
        "cells": len(cells),
        "images": sum(study.images_of(name, study.images_per_cell) for cell in cells),
        "made": sum(1 for folder in folders for _ in folder.glob("[0-9]*.png")),
        "archived": sum(archived.get((cell.generator, cell.precision, name), 0) for cell in cells),
        "precisions": ",".join(arm.precisions),
        "what": arm.title,
    }


def _reals_line(needs: dict[str, Any]) -> str:
    """What the real images are, where they come from, and whether they are there."""
    if needs["kind"] is None:
        return "reals: none, so no AUC, TNR or calibrated threshold; [reals] in the study file names photographs"
    what = f"reals: {needs['images']} images of {', '.join(map(str, needs['sizes']))} px"
    if needs["kind"] == "world":
        return f"{what}: renders of the miniature world"
    where = place(needs["path"])
    whose = f"{what}: photographs in {where} ({needs['licence']})"
    wanted = f"{needs['images']} or more, {needs['least']} px or more on the shorter side"
    if needs["files"] is None:
        return f"{whose}: missing; put {wanted}, there, or take [reals] out of the study file"
    short = "too few; " if needs["files"] < needs["images"] else ""
    return f"{whose}: {needs['files']} files; {short}it takes {wanted}"


def _precision_named(row: dict[str, Any]) -> str:
    """As the folder of its images is named: fp4, fp4-ladder; of the reals their size."""
    if row["precision"] == "none":
        return f"{row['size']} px"
    return row["precision"] + ("" if row["arm"] == "native" else f"-{row['arm']}")


def _verify_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "generator": row["generator"],
        "precision": _precision_named(row),
        "equal": f"{row['images_equal']}/{row['images']}",
        **{f"d {name}": f"{value:.2g}" for name, value in row["max_logit_diff"].items()},
        "agree": "yes" if row["agree"] else "NO",
    }
