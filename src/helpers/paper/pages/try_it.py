"""The lab of page 12: what its script needs of the book, as HTML and as one file beside the pages.

The networks and the runtime come from `python -m helpers.lab`, which the build puts into the site's `_static/lab`. What
the archive says of each cell is written here, from results; `helpers/lab/web/view.js` shows both side by side.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from itertools import count
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from helpers import world
from helpers.analysis import archived
from helpers.analysis.costs import images_per_cell
from helpers.analysis.words import listed
from helpers.charts import theme
from helpers.detectors.catalogue import DETECTORS
from helpers.paper import gallery, numbers
from helpers.paper.site import EXTRA
from helpers.results.results import Results
from helpers.world.captions import noun

__all__ = ["ARCHIVE", "LAB", "archive", "grammar", "limits", "sentence", "show", "stage"]

#: Where the lab and the archive's file lie, from the top of the site.
LAB, ARCHIVE = "_static/lab/", "_static/lab-archive.json"

#: How many solids there are and how they stand, in the words of a menu.
RELATIONS = {
    "alone": "one solid",
    "beside": "two, side by side",
    "above": "two, one above the other",
    "row": "three in a row",
}

OPEN = (
    "A press opens the lab, and loads no more than a list of what there is. Networks are loaded when they are first "
    "needed, and the page says before how much that is."
)
FROM_DISK = (
    "This page was opened from a disk, where browsers let no page load a module. Serve the book's folder and open it "
    "from there: `python -m http.server --directory _build/html`, then http://localhost:8000/."
)
MISSING = (
    "This copy of the book was made without the lab. `python -m helpers.lab` makes its files and `quantdetect report`"
    " puts them into the book; `make book` does both."
)
FAILED = (
    "The lab does not open: a file of it could not be loaded, or this browser does not run it. Reload the page to try "
    "again."
)
PRINTED = (
    "On the web this page is a lab, which makes and judges images on the device of who reads it. The tables that it "
    "draws there have the numbers that are left out here."
)
NO_SCRIPTS = "The lab needs JavaScript, which this browser does not run."
#: The tables that the lab draws, by the names under which their numbers are kept.
TABLES = {
    "lab-verdicts": "What the detectors say on the reader's device",
    "lab-archive": "What the archive says of the same cell",
    "lab-costs": "What a precision takes on the reader's device",
    "lab-ladder": "The ladder of one prompt",
    "lab-seeds": "Several seeds of one prompt",
    "lab-picture": "What the detectors say of the reader's picture",
    "lab-device": "Times of the reader's device",
    "lab-device-detectors": "Times of the detectors on the reader's device",
}
LIVE = (
    "In the built book the lab stands here. A live notebook has the same models in Python: `generators.load`, "
    "`detectors.load`."
)
OTHER_STUDY = "this book shows a study of other models, so its archive says nothing of the miniatures"


def sentence(results: Results) -> str:
    """What the page does, and what it leaves on the device, in words."""
    there = (
        f"Beside them stands what the archive says of the same cell, of {images_per_cell(results)} images."
        if results.scale == "mini"
        else f"Beside them stands no archive: {OTHER_STUDY}."
    )
    return (
        "Your own device makes the images here: choose a miniature generator, a precision, a prompt and a seed, and "
        f"see the image, its twin at FP32 and what detectors say of both. {there} A picture of your own is judged too. "
        "What you choose, type or drop stays on the device."
    )


def limits() -> str:
    """What the lab's models do not know, and what released ones would need, in words."""
    there = [
        f"{len(of)} {noun}"
        for of, noun in ((world.GROUNDS, "grounds"), (world.COLOURS, "colours"), (world.SHAPES, "shapes"))
    ]
    return (
        f"The generators are miniatures that know {listed(there)}; a word outside that world is unknown to them, and "
        "the page says which. The detectors were trained on renders of the same world, so they judge renders. Of a "
        "photograph they say something too, but they have never seen one: the answer shows how such a detector fails,"
        " not whether a photograph is real. The released weights, which were trained on photographs, belong to their "
        "authors and are full-size networks; where you have them, `quantdetect detect PICTURE --weights DIR` judges "
        "with them."
    )


def show() -> HTML:
    """The place of the lab, with what its script needs of the world's grammar; without scripts, sentences."""
    if not Path("..", EXTRA).is_dir():  # a live notebook, and no page of the book
        return HTML(f"<p>{_marked(LIVE)}</p>")
    data = {"archive": f"../{ARCHIVE}", "grammar": grammar(), "colours": {key: theme.colour(key) for key in DETECTORS}}
    said = {"start": OPEN, "file": FROM_DISK, "missing": MISSING, "failed": FAILED}
    inner = "".join(f'<p class="lab-{name}" hidden>{_marked(words)}</p>' for name, words in said.items())
    kept = "".join(numbers.kept(name, what) for name, what in TABLES.items())
    packed = json.dumps(data).replace("</", "<\\/")
    return HTML(
        f'<div class="quantdetect-lab" data-lab="../{LAB}"><script type="application/json">{packed}</script>'
        f'<div class="lab-place">{inner}<p class="lab-printed">{PRINTED}</p>'
        f'<p class="explorer-field"><button type="button" class="lab-open" hidden>'
        f"Open the lab</button></p><noscript><p>{NO_SCRIPTS}</p></noscript></div>{kept}</div>"
    )


def _marked(words: str) -> str:
    """Words as HTML, what stands in back quotes as code."""
    parts = html.escape(words).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def grammar() -> dict[str, Any]:
    """The miniature world's captions as data: `relations` (title and template, in which {0} is the first solid and
    {place} the ground), `nouns` (each colour with its article), `shapes`, `places` (ground -> how it is said) and
    `clashes` (ground -> colours that no caption puts on it)."""
    return {
        "relations": {key: {"title": title, "template": _template(key)} for key, title in RELATIONS.items()},
        "nouns": {colour: noun(colour, "").strip() for colour in world.COLOURS},
        "shapes": list(world.SHAPES),
        "places": world.PLACES,
        "clashes": {ground: list(of.clashes) for ground, of in world.GROUNDS.items()},
    }


def _template(relation: str) -> str:
    """The caption of the first scene of a relation, with its solids and its place taken out."""
    of = next(found for found in map(world.scene, count()) if found.relation == relation)
    text = world.caption(of).removesuffix(world.PLACES[of.ground]) + "{place}"
    for place, solid in enumerate(of.solids):
        text = text.replace(noun(solid.colour, solid.shape), f"{{{place}}}", 1)
    return text


def stage(results: Results, site: Path) -> None:
    """Write what the archive says of each cell below the folder of a site's sources."""
    text = json.dumps(archive(results), separators=(",", ":"), allow_nan=False)
    (site / ARCHIVE).write_text(text, encoding="utf-8")


def archive(results: Results) -> dict[str, Any]:
    """What the archive says, as the lab's script reads it: `missing` (why there is nothing) or `baseline`, `first` (the
    seed of image 0), `prompts` (of the first images), and `cells`: generator -> precision -> detector -> n, share
    called fake with low and high (left out where no threshold is known), logits of the first images (None where not
    scored).
    """
    study = results.manifest.get("study", {})
    if results.scale != "mini":
        return {"missing": OTHER_STUDY}
    prompts = gallery.prompts(results)
    images = list(range(len(prompts))) if set(prompts) == set(range(len(prompts))) else []
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for row in archived.shares(results).itertuples():
        cell = {"n": row.n} | ({} if isnan(row.tpr) else {"share": row.tpr, "low": row.tpr_low, "high": row.tpr_high})
        cells.setdefault(row.generator, {}).setdefault(row.precision, {})[row.detector] = cell
    for (generator, precision, detector), group in archived.logits(results, images).groupby(archived.CELL, sort=False):
        cells[generator][precision][detector]["logits"] = _placed(group, images)
    return {
        "study": results.name, "baseline": results.baseline, "first": study.get("seed"), "cells": cells,
        "prompts": [prompts[image] for image in images],
    }  # fmt: skip


def _placed(rows: pd.DataFrame, images: Iterable[int]) -> list[float | None]:
    """The logits of images in their order, to three digits after the point."""
    by_index = dict(zip(rows["index"], rows.logit, strict=True))
    return [round(float(by_index[image]), 3) if image in by_index else None for image in images]
