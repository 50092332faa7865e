"""The explorer and the gallery of page 08: what a reader's browser needs of a study, as slim files and as HTML.

`stage` writes the files beside the pages: the stored images as they are, and for each generator, protocol and training
one script with all logits, which is loaded when it is chosen. Scripts, because a page that is opened from a disk may
load no other file. `book/_static/explorer.js` draws the rest.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from IPython.display import HTML

from helpers.analysis import words
from helpers.charts import theme
from helpers.core import files
from helpers.paper import explorer, gallery, numbers
from helpers.paper.site import EXPLORER, EXTRA
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["file_name", "index", "sentence", "show", "show_gallery", "stage"]


def file_name(generator: str, protocol: str, weights: str) -> str:
    """The name of the script with the logits of a generator under a protocol and training."""
    plain = [re.sub(r"[^\w.-]", "_", part) for part in (generator, protocol, weights)]
    # Keys that differ in other signs alone get names of their own.
    mark = (
        "" if plain == [generator, protocol, weights] else sha256(repr((generator, weights)).encode()).hexdigest()[:8]
    )
    return "~".join([*plain, mark] if mark else plain)


def stage(results: Results, folder: Path) -> None:
    """Write the scores and copy the stored images below `folder`/explorer."""
    for protocol, label, view in explorer.conditions(results):
        for generator in view.generators:
            name = file_name(generator, protocol, label)
            with files.replacing(folder / EXPLORER / f"{name}.js") as temporary:
                temporary.write_text(_script(name, view, generator), encoding="utf-8")
    if results.folder and (results.folder / gallery.FOLDER).is_dir():
        shutil.copytree(results.folder / gallery.FOLDER, folder / EXPLORER / gallery.FOLDER)


def _script(name: str, view: Results, generator: str) -> str:
    """A call of the page's script with all logits of a generator: detector -> precision or "real" -> logits and index.

    Numbers are little-endian, in base64: logits in single precision where that holds them exactly, else in double.
    An index that counts from 0 is left out.
    """
    cells = {detector: _cells(view, detector, generator) for detector in view.detectors}
    every = np.concatenate([series.to_numpy() for own in cells.values() for series in own.values()])
    bits = 32 if np.array_equal(every, every.astype(np.float32)) else 64
    packed = {
        detector: {key: _packed(series, bits) for key, series in own.items() if len(series)}
        for detector, own in cells.items()
    }
    return f"quantdetectScores({json.dumps(name)}, {bits}, {json.dumps(packed)});\n"


def _cells(view: Results, detector: str, generator: str) -> dict[str, pd.Series]:
    """A detector's logits of a generator's images by precision, and of the reals beside them, each by image."""
    fakes = {precision: view.logits(detector, generator, precision) for precision in view.precisions}
    return fakes | {gallery.REAL: view.reals(detector, generator)}


def _packed(series: pd.Series, bits: int) -> dict[str, str]:
    index = series.index.to_numpy()
    found = {"logits": b64encode(series.to_numpy(f"<f{bits // 8}").tobytes()).decode()}
    counted = np.array_equal(index, np.arange(len(index)))
    return found if counted else found | {"index": b64encode(index.astype("<u4").tobytes()).decode()}


@once
def index(results: Results) -> dict[str, Any]:
    """What the page's script knows before any file is loaded: the choices with their titles, the prompts, what is
    missing, and at what it starts. Not to be written to."""
    stored = gallery.strips(results)
    return {
        "place": f"../{EXPLORER}/",
        "version": sha256(json.dumps(results.manifest, sort_keys=True).encode()).hexdigest()[:8],
        "baseline": results.baseline if results.baseline in results.precisions else results.precisions[0],
        "generators": [_generator(results, stored, key) for key in results.generators],
        "precisions": [
            {"key": key, "title": title, "colour": theme.colour(key)}
            for key, title in results.titles("precision").items()
        ],
        "detectors": [
            {"key": key, "title": title, "threshold": None if key in results.unjudged else results.threshold_of(key)}
            for key, title in results.titles("detector").items()
        ],
        "conditions": [
            {"protocol": protocol, "weights": label, "detectors": list(view.detectors)}
            for protocol, label, view in explorer.conditions(results)
        ],
        "prompts": gallery.prompts(results),
        "seen": explorer.SEEN,
        "missing": {"images": explorer.NO_IMAGES, "reals": explorer.NO_REALS},
        "start": explorer.start(results),
        "first": _first(results, **explorer.start(results)),
    }


def _first(results: Results, generator: str, protocol: str, training: str, image: int | None, **_: Any) -> dict | None:
    """The logits of the image that the page opens with, detector -> precision or "real" -> logit, and the file that has
    them among all others; None where no image is stored. So what is said of it is there before that file."""
    if image is None:
        return None
    view = next(view for *of, view in explorer.conditions(results) if of == [protocol, training])
    logits: dict[str, dict[str, float]] = {}
    for detector in view.detectors:
        found = _cells(view, detector, generator).items()
        logits[detector] = {key: float(own[image]) for key, own in found if image in own.index}
    return {"file": file_name(generator, protocol, training), "image": image, "logits": logits}


def _generator(results: Results, stored: dict[str, gallery.Strips], key: str) -> dict[str, Any]:
    found: dict[str, Any] = {"key": key, "title": results.titles("generator")[key]}
    there = [(protocol, label) for protocol, label, view in explorer.conditions(results) if key in view.generators]
    found |= {"files": {" ".join(of): file_name(key, *of) for of in there}}
    if key in stored:
        of = stored[key]
        found |= {"size": of.size, "side": of.side, "columns": list(of.columns), "images": list(of.images)}
    return found


#: The tables that the page's script draws, by the names under which their numbers are kept.
TABLES = {
    "explorer-verdicts": "What each detector says of an image",
    "explorer-rates": "Rates of a detector at the threshold",
}

#: What the page is for.
SHOWS = (
    "Choose a generator and a prompt: the page shows one image at every precision, what each detector says of it, and "
    "how typical that is of all images of the cell."
)


def sentence(results: Results) -> str:
    """What the page shows, and what there is to choose, in words."""
    stored = gallery.strips(results)
    there = explorer.conditions(results)
    protocols, trainings = ({of[place] for of in there} for place in (0, 1))
    pictures = len({index for of in stored.values() for index in of.images})
    counts = [
        words.counted(len(results.generators), "generator"), words.counted(len(results.precisions), "precision"),
        words.counted(len(results.detectors), "detector"), words.counted(len(protocols), "protocol"),
        words.counted(len(trainings), "training"),
    ]  # fmt: skip
    said = f"{SHOWS} There are {words.listed(counts)} to choose from"
    if not stored:
        return f"{said}. {explorer.NO_IMAGES}"
    return f"{said}; {words.counted(pictures, 'prompt')} can be seen as pictures."


def show(results: Results) -> HTML | explorer.Explorer:
    """The explorer: in the book the page's own, where a kernel is live its widgets."""
    if not _staged():
        return explorer.explore(results)
    # "</" would end the script element early wherever it stands in a string.
    data = json.dumps(index(results)).replace("</", "<\\/")
    first = explorer.start(results)
    kept = "".join(numbers.kept(name, what) for name, what in TABLES.items())
    return HTML(
        f'{_early(results, first)}<div class="quantdetect-explorer"><script type="application/json">{data}</script>'
        f'<div class="explorer-place"><noscript>{_still(results, first["generator"], first["image"])}'
        f"<p>The explorer needs JavaScript, which this browser does not run.</p></noscript></div>{kept}</div>"
    )


def _early(results: Results, first: dict[str, Any]) -> str:
    """The pictures of the first view, named so early that they come beside the page's own scripts and before all that
    is not seen at once."""
    if first["image"] is None:
        return ""
    known, name = index(results), f"{gallery.FOLDER}/{first['generator']}/{first['image']:04d}.webp"
    place = f"{known['place']}{quote(name)}?v={known['version']}"
    return f'<link rel="preload" as="image" fetchpriority="high" href="{place}">'


#: The caption of the gallery.
GALLERY = "One prompt on every generator, one a row, at every precision, one a column, beside the real image."


def show_gallery(results: Results) -> HTML:
    """The gallery: the first stored image of every generator at every precision, with the real beside it. In the book a
    menu changes the prompt and shows differences."""
    rows = "".join(_still(results, key, of.images[0]) for key, of in gallery.strips(results).items())
    # Where a script draws them anew these are not to be loaded.
    inner = f'<div class="quantdetect-gallery">{f"<noscript>{rows}</noscript>" if _staged() else rows}</div>'
    if not rows:
        return HTML(f"<p>{explorer.NO_IMAGES}</p>")
    said = numbers.caption("Figure", GALLERY)
    return HTML(f'<figure class="gallery" {numbers.attributes("Figure", "gallery", inner)}>{inner}{said}</figure>')


def _staged() -> bool:
    """Whether the page is made for the book, whose build puts what the browser loads beside the pages."""
    return Path("..", EXTRA, EXPLORER).is_dir()


def _still(results: Results, generator: str, image: int) -> str:
    """One strip as it is stored, with what its columns are: for readers without scripts."""
    of = gallery.strips(results).get(generator)
    if of is None:
        return f"<p>{explorer.NO_IMAGES}</p>"
    file = of.path(image)
    source = f"../{EXPLORER}/{gallery.FOLDER}/{file.parent.name}/{file.name}" if _staged() else os.path.relpath(file)
    title = results.titles("generator")[generator]
    columns = words.listed(["the real image" if key == gallery.REAL else words.named(key) for key in of.columns])
    said = html.escape(f"{title}, prompt {image}, from left to right: {columns}")
    wide, high = len(of.columns) * of.side, of.side
    return (
        f'<figure class="explorer-still"><img src="{html.escape(Path(source).as_posix())}" alt="{said}" width="{wide}" '
        f'height="{high}" loading="lazy"><figcaption>{said}</figcaption></figure>'
    )
