"""What is known of the shipped miniatures: their measures at FP32 against the targets, and their cards (no torch)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from helpers.analysis.words import listed
from helpers.core import files
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS

__all__ = [
    "CONTROLS", "MEASURES", "TRIED", "Missed", "beside_controls", "cards", "crops", "curves", "measures", "missed",
    "of_controls", "overview", "towers_tried", "trained_on",
]  # fmt: skip

MINI = files.MODELS / "mini"

#: Measures as a reader knows them, in the order of the table.
MEASURES = {
    "vae_psnr_db": "VAE: PSNR, dB",
    "vae_fine_energy": "VAE: fine energy kept",
    "ground": "ground as asked for",
    "colour": "solids' colours as asked for",
    "shape": "solids' shapes as asked for",
    "ground_on_renders": "ground, read off renders",
    "colour_on_renders": "colours, read off renders",
    "shape_on_renders": "shapes, read off renders",
    "frechet": "Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet distance to renders",
    "frechet_of_renders": "Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet distance, renders to renders",
    "nearest": "distance to the nearest training render",
    "nearest_of_renders": "distance of a new render to the nearest",
    "spread": "spread over seeds for one prompt",
    "spread_of_renders": "spread of renders for one prompt",
    "trivial_auc": "AUC of a trivial classifier",
}


#: Controls of the detectors, in print (`helpers.mini.training.controls`).
CONTROLS = {
    "random_tower": "Patch probe on a tower with random weights",
    "plain_facts": "Seven plain numbers of a picture",
}

#: Tower that was tried for CLIP-D -> its name in tables.
TRIED = {
    "clip_wide": "CLIP-D's head on a tower twice as wide",
    "clip_views": "CLIP-D's head on a tower that also learnt from pairs of views",
}


def measures(folder: Path = MINI) -> pd.DataFrame:
    """One row per measure, one column per generator, the figures printed; a target that is missed is marked.

    Empty where the generators were not measured.
    """
    table = Path(folder) / "measures.csv"
    if not table.is_file():
        return pd.DataFrame()
    long = files.read_csv(table, ["generator", "measure", "value", "target", "met"])
    rows = []
    for name, title in MEASURES.items():
        of = long[long.measure == name].set_index("generator")
        targets = sorted(set(of.target.dropna()), reverse=True)
        row: dict[str, Any] = {"measure": title}
        row |= {GENERATORS[key].title: _printed(name, of.loc[key]) for key in GENERATORS if key in of.index}
        row["target"] = " or ".join(f"\N{GREATER-THAN OR EQUAL TO} {target:g}" for target in targets)
        rows.append(row)
    return pd.DataFrame(rows)


def _printed(name: str, row: pd.Series) -> str:
    text = f"{row.value:.1f}" if name.endswith("_db") else f"{row.value:.3f}"
    return f"{text} (missed)" if str(row.met) == "False" else text


class Missed(NamedTuple):
    """How many `targets` generators had, and the keys of those that `missed` one, by the measure's title."""

    targets: int
    missed: dict[str, list[str]]


def missed(generators: Collection[str], folder: Path = MINI) -> Missed:
    """The targets that shipped generators had at FP32, and which they missed; none where they were not measured."""
    table = Path(folder) / "measures.csv"
    if not table.is_file():
        return Missed(0, {})
    long = files.read_csv(table, ["generator", "measure", "value", "target", "met"])
    held = long[long.target.notna() & long.generator.isin(list(generators))]
    lost = held[held.met.astype(str) == "False"]
    by = {title: list(lost.generator[lost.measure == name]) for name, title in MEASURES.items()}
    return Missed(len(held), {title: keys for title, keys in by.items() if keys})


def crops(trainings: Mapping[str, str], folder: Path = MINI) -> dict[int, list[str]]:
    """The detectors that learnt from crops, by the crop's pixels a side; `trainings` has the label of each detector."""
    found: dict[int, list[str]] = {}
    for card in cards(folder):
        crop = card.get("augmentation", {}).get("crop") if isinstance(card.get("augmentation"), dict) else None
        if isinstance(crop, int) and trainings.get(card["name"]) == card.get("weights"):
            found.setdefault(crop, []).append(card["name"])
    return found


def cards(folder: Path = MINI) -> list[dict[str, Any]]:
    """The cards of all shipped models: generators in their order, then the judge, backbones and detectors."""
    folder = Path(folder)
    found = [folder / key / files.CARD for key in GENERATORS]
    found += [folder / "judge.json", *sorted((folder / "backbones").glob("*.json"))]
    found += sorted((folder / "detectors").glob("*.json"))
    return [files.read_json(file) for file in found if file.is_file()]


def overview(folder: Path = MINI) -> pd.DataFrame:
    """One row per shipped model: its name, millions of numbers, steps, minutes of training, seed, hardware, and for a
    detector whose images its fakes were.
    """
    titles = {key: entry.title for catalogue in (GENERATORS, DETECTORS) for key, entry in catalogue.items()}
    rows = []
    for card in cards(folder):
        logs = card["trained"].values() if isinstance(card.get("trained"), dict) else [card]
        training = card.get("weights", "").removeprefix("mini").removeprefix("-")
        rows.append(
            {
                "model": titles.get(card["name"], card["name"]) + (f" ({training})" if training else ""),
                "weights, M": f"{card['parameters'] / 1e6:.2f}" if "parameters" in card else None,
                "steps": sum(log["steps"] for log in logs),
                "minutes": f"{sum(log['seconds'] for log in logs) / 60:.0f}",
                "seed": card["seed"],
                "on": card.get("hardware", card.get("device", "")),
                "fakes from": _fakes(card) if card["name"] in DETECTORS else None,
            }
        )
    return pd.DataFrame(rows)


def of_controls(folder: Path = MINI) -> pd.DataFrame:
    """The detectors' FP32 figures on validation images beside those of their controls: one row per kind of training
    (weights: the label of its first seed) and detector or control.

    weights, name (of a detector, else ""), title, control (whether it is one; the towers of `TRIED` stand among them),
    trainings (how many seeds), auc (mean over seeds and generators), and auc_low, auc_high, tnr_low, tnr_high: the
    least and the most over both. Empty where the controls were not measured.
    """
    table = Path(folder) / "controls.csv"
    if not table.is_file():
        return pd.DataFrame()
    known = files.read_csv(table, ["control", "weights", "generator", "auc", "tpr", "tnr"])
    found = known.assign(name="", title=known.control.map(CONTROLS | TRIED), control=True, kind=known.weights)
    kinds = list(dict.fromkeys(known.weights))
    rows = [
        {"name": card["name"], "title": DETECTORS[card["name"]].title, "control": False, "weights": card["weights"],
         "kind": _kind(card["weights"], kinds), "generator": generator} | figures
        for card in cards(folder) if card["name"] in DETECTORS and _kind(card.get("weights", ""), kinds)
        for generator, figures in card["validation"].items()
    ]  # fmt: skip
    groups = pd.concat([pd.DataFrame(rows), found]).groupby(["kind", "control", "name", "title"], sort=False)
    said = groups.agg(
        trainings=("weights", "nunique"), auc=("auc", "mean"), auc_low=("auc", "min"), auc_high=("auc", "max"),
        tnr_low=("tnr", "min"), tnr_high=("tnr", "max"),
    ).reset_index().rename(columns={"kind": "weights"})  # fmt: skip
    place = {key: at for at, key in enumerate([*DETECTORS, ""])}
    order = said.weights.map(kinds.index) * len(place) + said.name.map(place)
    return said.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _kind(label: str, kinds: Iterable[str]) -> str:
    """The training of which a label names a seed: mini-s1 is one of mini; "" where it is none of these."""
    own = re.sub(r"-s\d+$", "", label)
    return own if own in kinds else ""


def beside_controls(table: pd.DataFrame) -> str:
    """The sentences on what detectors find beyond their controls, by the table of `of_controls`: of its first kind of
    training, by the mean AUC."""
    if table.empty:
        return (
            "What needs no detector to tell these fakes from renders was not measured: `quantdetect train mini "
            "--controls` does it."
        )
    rows = table[(table.weights == table.weights.iloc[0]) & ~table.title.isin(TRIED.values())]
    against, own = rows[rows.control], rows[~rows.control]
    parts = [f"{row.title[0].lower()}{row.title[1:]}, {row.auc:.3f}" for row in against.itertuples()]
    above = list(own.title[own.auc > against.auc.max()])
    below = list(own.title[own.auc <= against.auc.max()])
    told = f"Controls of which only a linear head was trained on fakes have these mean AUCs: {'; '.join(parts)}."
    more = f" {listed(above)} {_finds(above)} more, which training has added." if above else ""
    less = f" {listed(below)} {_finds(below)} no more than a control does." if below else ""
    return f"{told}{more}{less}"


def towers_tried(table: pd.DataFrame) -> str:
    """The sentences on the towers that were tried for CLIP-D, by the table of `of_controls`: of its first kind of
    training, by the mean AUC; "" where none was measured."""
    if table.empty:
        return ""
    rows = table[table.weights == table.weights.iloc[0]]
    tried, own = rows[rows.title.isin(TRIED.values())], rows[rows.name == "clip_d"]
    if tried.empty or own.empty:
        return ""
    most = own.auc.iloc[0]
    parts = [f"{_short(row.title)}, {row.auc:.3f}" for row in tried.itertuples()]
    better = [_short(row.title) for row in tried.itertuples() if row.auc > most]
    said = (
        f"{listed(better)} {_finds(better)} more; CLIP-D keeps its published architecture all the same."
        if better
        else "None finds more, and CLIP-D keeps its published architecture."
    )
    return (
        f"Further towers were tried for CLIP-D, trained as its own was; mean AUC of a linear head: {'; '.join(parts)}. "
        f"With its own tower, {most:.3f}. {said[0].upper()}{said[1:]}"
    )


def _short(title: str) -> str:
    """What a tower of `TRIED` is, without whose head stands on it."""
    return title.partition(" on ")[2]


def _finds(names: list[str]) -> str:
    return "finds" if len(names) == 1 else "find"


def trained_on(weights: Iterable[str], detectors: Iterable[str], folder: Path = MINI) -> str:
    """What shipped trainings of the detectors were trained on, by their cards, in a sentence; "" if none is known."""
    wanted, keys = set(weights), set(detectors)
    lessons: dict[str, list[str]] = {}
    for card in cards(folder):
        if card["name"] in keys and card.get("weights") in wanted:
            lessons.setdefault(_lesson(card), []).append(DETECTORS[card["name"]].title)
    if len(lessons) == 1:
        return f"The detectors were trained on {next(iter(lessons))}."
    return " ".join(f"Trained on {lesson}: {', '.join(names)}." for lesson, names in lessons.items())


def _lesson(card: dict[str, Any]) -> str:
    """What a detector's card says that it learnt from."""
    parts = [card["task"] + (f": {_fakes(card)}" if card.get("generators") else "")]
    return "; ".join(parts + ([f"reals: {card['data']['real']}"] if "real" in card["data"] else []))


def _fakes(card: dict[str, Any]) -> str:
    """The generators whose images were a detector's fakes."""
    return ", ".join(GENERATORS[key].title if key in GENERATORS else key for key in card.get("generators", ()))


def curves(folder: Path = MINI) -> pd.DataFrame:
    """How the generators' networks were trained, one row per network and step: network, step, loss.

    A network that several generators share is there once; the loss is the first that its log has.
    """
    rows = []
    for card in cards(folder):
        for network, log in card["trained"].items() if isinstance(card.get("trained"), dict) else ():
            for point in log.get("curve", ()):
                name = next(key for key in point if key != "step")
                rows.append({"network": network, "step": point["step"], "loss": point[name]})
    return pd.DataFrame(rows, columns=["network", "step", "loss"]).drop_duplicates(["network", "step"])
