"""The command `quantdetect`: run a study, score images, build the book, check the archive, train the miniatures."""

from __future__ import annotations

import errno
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.analysis import public_study
from helpers.core.errors import Failure, UsageError, nearest, readable, shortened, shown
from helpers.detectors.catalogue import DETECTORS

if TYPE_CHECKING:
    import pandas as pd

    from helpers.study.schema import Study

# What needs torch is imported inside the commands: help and grid answer at once.

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Do deepfake detectors still see images of quantized generators? One study, from models to book.",
)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="mini, full, or a TOML file.")]
Names = Annotated[str | None, typer.Option(metavar="A,B", help="Only these, comma-separated; default all.")]

_STOPPED = "stopped; call it again to go on where it stopped"

#: What to do about an error of the system, by its number.
_MENDS = {
    errno.ENOSPC: "free some space there, or name another place",
    errno.EDQUOT: "free some space there, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "name one that is there",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


@app.command()
def grid(study: StudyName = "mini") -> None:
    """Show the cells of a study and its detectors, what each needs and what is present.

    Example: quantdetect grid full
    """
    from helpers.study import schema as studies

    loaded = studies.load(study)
    out = _default_out(loaded)
    archived = _archived(loaded)
    rows = [_grid_row(needs, out, archived) for needs in studies.expected(loaded)]
    typer.echo(_table(rows))
    typer.echo(
        f"{len(rows)} cells x {loaded.images_per_cell} images; detectors {', '.join(loaded.detectors)};"
        f" 'made' counts images in {_shown(out)}, 'archived' those behind results/{loaded.name}"
    )
    if loaded.arms:
        typer.echo("\n" + _table([_arm_row(loaded, name, out, archived) for name in loaded.arms]))
    rows = [
        row | {"file": _shown(row["file"]), "there": "yes" if row["there"] else "no"}
        for row in studies.weights_expected(loaded)
    ]
    typer.echo("\n" + _table(rows))


@app.command()
def run(
    study: StudyName = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default _build/runs/STUDY.")] = None,
    generators: Names = None,
    precisions: Names = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images per cell; default the study's.")] = None,
    arms: Names = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Do the I-th of N shares.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; default cpu, for a full study cuda.")] = None,
    executor: Annotated[str, typer.Option(help="local: in this process.")] = "local",
) -> None:
    """Make the images of a study and score them; what exists and is valid is kept, so call it again to go on.

    Example: quantdetect run mini --generators sd3 --precisions fp32,fp4 --images 50
    """
    from helpers.runs import parse_share
    from helpers.study import schema as studies

    if executor != "local":
        raise UsageError(f"no executor {shown(executor)}{nearest(executor, ['local'])}; use local")
    loaded = studies.load(study)
    share = parse_share(shard) if shard else None
    out = out or _default_out(loaded)
    device = device or ("cuda" if loaded.scale == "full" else "cpu")
    from helpers.core import device as machine
    from helpers.runs import make

    machine.require(device)
    done = make.run(
        loaded, out, _words(generators), _words(precisions), images, share, arms=_words(arms), device=device
    )
    for note in done.notes:
        typer.echo(note)
    if done.nothing:
        typer.echo(f"nothing to do: all images and scores are in {_shown(out)}")
    else:
        typer.echo(f"{done.made} images made, {done.rejected} rejected, {done.scored} scores, in {_shown(out)}")


@app.command()
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
    names = _words(detectors)
    write = _writer(out) if out else None
    from helpers.core import device as machine
    from helpers.detectors import folder as judging

    machine.require(device)
    table = judging.score_files(path, names, weights, changes, device)
    if write:
        write(table)
        typer.echo(f"{judging.counted(table)} in {_shown(out)}")
    else:
        typer.echo(_table([_judged_row(row, names) for row in table.to_dict("records")]))
        typer.echo(judging.counted(table))
    for note in judging.confounds(table):
        typer.echo(f"note: {note}", err=True)
    broken = int((table["error"] != "").sum())
    if broken:
        raise Failure(f"{broken} of {len(table)} files could not be scored; the column 'error' says why")


@app.command("import-scores")
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

    write = _writer(summary) if summary else None
    done = importing.import_scores(file, out, importing.read_map(map) if map else None)
    for why, count in done.dropped:
        typer.echo(f"{count} rows left out: {why}")
    for cell, count in done.unpaired.items():
        typer.echo(f"{count} rows of {cell} have no image at the baseline to be paired with")
    for remark in done.notes:
        typer.echo(remark)
    typer.echo(f"{done.kept} of {done.read} rows, {done.cells} cells, in {_shown(out)}")
    if write:
        from helpers import analysis

        table = public_study.summary(analysis.load(out))
        write(table)
        typer.echo(f"{len(table)} paired effects in {_shown(summary)}")


@app.command()
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
    from helpers.paper import build as reporting

    pairs = [pair.partition("=") for pair in parameter or ()]
    lone = next((name for name, sign, _ in pairs if not sign), None)
    if lone is not None:
        raise UsageError(f"-p {shortened(lone)}: its value is missing; write -p NAME VALUE, as in -p threshold 0.5")
    values = {name: _literal(value) for name, _, value in pairs}
    page = reporting.build(results or files.RESULTS / "mini", out or files.BUILD, values)
    typer.echo(f"the book is {_shown(page)}")


@app.command()
def migrate(results: Annotated[Path, typer.Argument(help="A results folder of an earlier version.")]) -> None:
    """Bring an older results folder up to what is read today; every change is said.

    Example: quantdetect migrate results/mini
    """
    from helpers.results import migration

    said = migration.migrate(results)
    typer.echo("\n".join(said) or "nothing to change")


@app.command()
def verify(
    study: StudyName = "mini",
    images: Annotated[int, typer.Option(min=1, help="Images of every cell.")] = 2,
    results: Annotated[Path | None, typer.Option(help="Folder of the archive; default results/STUDY.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file for the outcome.")] = None,
) -> None:
    """Make a sample of the archived run again on this machine and compare images and logits.

    Example: quantdetect verify mini --images 2 --out check.json
    """
    from helpers.core import files
    from helpers.study import schema as studies

    loaded = studies.load(study)
    if out is not None:
        files.probe(out)
    from helpers.runs import verify as verification

    outcome = verification.verify(loaded, images, results or files.RESULTS / loaded.name, out)
    rows = [*outcome["cells"], *outcome["real"]]
    typer.echo(_table([_verify_row(row) for row in rows]))
    equal, made = sum(row["images_equal"] for row in rows), sum(row["images"] for row in rows)
    typer.echo(f"{equal} of {made} images equal to the last bit; {'agrees' if outcome['agree'] else 'DISAGREES'}")
    if not outcome["agree"]:
        apart = [f"{row['generator']}/{row['precision']}" for row in rows if not row["agree"]]
        raise Failure(f"the archive is not reproduced here: {', '.join(apart)}")


@app.command()
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

    keys = _words(checkpoints), _words(precisions)
    out = out or files.BUILD / ("footprint-device.csv" if device else "footprint.csv")
    files.probe(out)
    if device:
        from helpers.precision import timing

        frame = timing.table(device, *keys)
        rows = [_measured_row(row) for row in frame.to_dict("records")]
    else:
        from helpers.precision import footprint as counting

        frame = counting.table(*keys)
        rows = _weights_rows(frame, keys[1] or ("fp32", "fp16", "fp8", "fp4"))
    with files.replacing(out) as temporary:
        frame.to_csv(temporary, index=False)
    typer.echo(_table(rows))
    typer.echo(f"{'GB as measured' if device else 'GB of weights (10^9 bytes)'}; all of it in {_shown(out)}")


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


train = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train models again.")
app.add_typer(train, name="train")


@train.command("mini")
def train_mini(
    name: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Which ones; default all.")] = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Train nothing: measure generators at FP32.")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Train nothing: find the level of shared.")] = False,
) -> None:
    """Train the miniatures, generators and detectors, from nothing; an interrupted training goes on.

    With --evaluate the shipped generators are measured and the table models/mini/measures.csv is written; with
    --calibrate the difficulty of the protocol `shared` is found on FP32 validation images, models/mini/shared.csv.

    Example: quantdetect train mini sd3 npr
    """
    from helpers.mini.training import miniatures

    if evaluate:
        typer.echo(_wide(miniatures.evaluate(name or None), "measure", "generator", "value"))
    elif calibrate:
        table = miniatures.calibrate()
        typer.echo(_wide(table, "level", "detector", "auc"))
        typer.echo(f"shared_level = {table.loc[table['chosen'], 'level'].iloc[0]}")
    else:
        miniatures.train(name or None)


@train.command("detector")
def train_detector(
    name: Annotated[str, typer.Argument(metavar="NAME", help="npr, r50_nodown, r50_tf or clip_d.")],
    real: Annotated[Path, typer.Option(metavar="DIR", help="Folder of real images.")],
    fake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of fake images.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .safetensors file; card and split are put beside it.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the first weights and the batches.")] = 0,
) -> None:
    """Train a detector, at its miniature width, on your own real and fake images; a stopped training goes on.

    Example: quantdetect train detector npr --real photos/ --fake generated/ --out mine/npr.safetensors
    """
    import json

    from helpers.mini.training.folders import train_folders

    path = train_folders(name, real, fake, out, seed=seed)
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    for note in card["data"]["cautions"]:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{_shown(path)}: validation AUC {card['validation']['folders']['auc']:.3f}, {card['task']}")


def _wide(table: pd.DataFrame, rows: str, columns: str, values: str) -> str:
    """A long table as text, in the order in which rows and columns first appear."""
    wide = table.pivot(index=rows, columns=columns, values=values)
    wide = wide.loc[table[rows].unique(), table[columns].unique()]
    return _table([{rows: name, **{key: f"{row[key]:.4g}" for key in wide}} for name, row in wide.iterrows()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a user's mistake is one line, not a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _refuse_empty(arguments)
        with _terminable():
            status = app(args=_joined(arguments), standalone_mode=False, prog_name="quantdetect")
        # typer turns an interruption into this status.
        return _complain(_STOPPED, 130) if status == 130 else status if isinstance(status, int) else 0
    except (UsageError, Failure) as error:
        return _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain(_STOPPED, 130)
    except OSError as error:
        return _complain(_of_system(error), 1)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
            return _complain("the memory is too small for this; ask for less at once, or use a larger machine", 1)
        # typer bundles click or depends on it, by version: its errors are known by their shape.
        if not hasattr(error, "format_message"):
            raise
        return _complain(error.format_message(), getattr(error, "exit_code", 2))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which a scheduler or a shutdown sends, stops a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """No option and no argument of any command has a use for an empty value; a folder "" would be this one."""
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, sign, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if (sign and not value) or "\0" in word:
            raise UsageError(f"{shortened(option) or 'the command'}: {shown(value)} names nothing; give it a value")


def _of_system(error: OSError) -> str:
    place = f"{shortened(str(error.filename))}: " if error.filename is not None else ""
    return f"{place}{error.strerror or error}; {_MENDS.get(error.errno, 'mend that, then call it again')}"


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with every "-p NAME VALUE" as "-p NAME=VALUE": typer has no repeated option with two values."""
    joined: list[str] = []
    for word in arguments:
        if len(joined) > 1 and joined[-2] == "-p" and "=" not in joined[-1] and joined[0] == "report":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _complain(line: str, status: int) -> int:
    # A word that fills the screen is cut, wherever it came from.
    line = re.sub(r"\S{240,}", lambda word: f"{word[0][:100]}...{word[0][-40:]}", line)
    print(f"quantdetect: {shortened(line, 2000)}", file=sys.stderr)
    return status


def _words(text: str | None) -> list[str] | None:
    """The words of a comma-separated list, each once."""
    words = None if text is None else list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if words == []:
        raise UsageError(f"{shown(text)} names nothing; give words with commas between them, as in fp32,fp4")
    return words


def _default_out(study: Study) -> Path:
    from helpers.core import files

    return files.BUILD / "runs" / study.name


def _shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    path = Path(path).resolve()
    return readable(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _archived(study: Study) -> dict[tuple[str, str, str], int]:
    """Images of each (generator, precision, arm) in the study's stored results; empty where there are none."""
    import pandas as pd

    from helpers.core import files

    stored = files.RESULTS / study.name / "cells.parquet"
    if not stored.is_file():
        return {}
    return pd.read_parquet(stored).groupby(["generator", "precision", "arm"])["images"].sum().to_dict()


def _grid_row(needs: dict[str, Any], out: Path, archived: dict[tuple[str, str, str], int]) -> dict[str, Any]:
    main = "" if needs["arm"] == "native" else f"-{needs['arm']}"
    folder = out / "images" / needs["generator"] / f"{needs['precision']}{main}"
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
        "source": _shown(Path(needs["source"])) if Path(needs["source"]).is_absolute() else needs["source"],
    }


def _arm_row(study: Study, name: str, out: Path, archived: dict[tuple[str, str, str], int]) -> dict[str, Any]:
    """An arm beside the main one, all its cells in a line."""
    arm = study.arms[name]
    cells = [cell for cell in study.beside() if cell.arm == name]
    folders = [out / "images" / cell.generator / f"{cell.precision}-{name}" for cell in cells]
    return {
        "arm": name,
        "cells": len(cells),
        "images": len(cells) * arm.images,
        "made": sum(1 for folder in folders for _ in folder.glob("[0-9]*.png")),
        "archived": sum(archived.get((cell.generator, cell.precision, name), 0) for cell in cells),
        "precisions": ",".join(arm.precisions),
        "what": arm.title,
    }


def _verify_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "generator": row["generator"],
        "precision": row["precision"] if row["precision"] != "none" else f"{row['size']} px",
        "equal": f"{row['images_equal']}/{row['images']}",
        **{f"d {name}": f"{value:.2g}" for name, value in row["max_logit_diff"].items()},
        "agree": "yes" if row["agree"] else "NO",
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as text in columns, as wide as needed."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _literal(text: str) -> Any:
    """A parameter's value: a Python literal, a comma-separated list of words, or the text itself."""
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two for brackets by the thousand
        return _words(text) if "," in text else text


def _judged_row(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A judged file on the screen: a logit per detector, or the error."""
    shown = {name: "-" if row["error"] else f"{row[f'{name}_logit']:+.3f}" for name in names}
    size = f"{row['width']}x{row['height']}" if row["width"] else "-"
    return {"path": readable(row["path"]), "format": row["format"] or "-", "size": size, **shown, "error": row["error"]}


def _writer(out: Path) -> Any:
    """The function that writes a table to `out`, in one step, in the format of its suffix; `out` is tried at once."""
    from helpers.core import files

    suffix = out.suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(f"{out}: cannot write '{out.suffix}'{nearest(suffix, _FORMATS)}; use {', '.join(_FORMATS)}")
    files.probe(out)
    return lambda frame: _FORMATS[suffix](frame, out)


def _write_csv(frame: pd.DataFrame, out: Path) -> None:
    from helpers.core import files

    with files.replacing(out) as temporary:
        frame.to_csv(temporary, index=False)


def _write_parquet(frame: pd.DataFrame, out: Path) -> None:
    from helpers.core import files

    files.write_parquet(frame, out)


def _write_json(frame: pd.DataFrame, out: Path) -> None:
    """A list of objects; floats to their last digit (pandas writes 15 at most), null for what is no number."""
    import numpy as np

    from helpers.core import files

    cells = frame.astype(object).where(frame.notna() & ~frame.isin([np.inf, -np.inf]), None)
    files.write_json(cells.to_dict("records"), out)


_FORMATS = {".csv": _write_csv, ".parquet": _write_parquet, ".json": _write_json}


if __name__ == "__main__":
    sys.exit(main())
