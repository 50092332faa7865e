"""The first page's figures, as HTML in the page's own colours: the heatmap small, and one prompt with its scores."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isnan
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from myst_nb import glue
from PIL import Image

from helpers.analysis.cells import cells
from helpers.analysis.figures import FIGURES, known
from helpers.analysis.words import capitalised, counted, listed, named, printed, quoted
from helpers.claims import CLAIMS
from helpers.core.scores import is_fake
from helpers.images import sheets
from helpers.paper import numbers, tables
from helpers.results.results import Results
from helpers.study.schema import PromptSource

__all__ = ["Drawn", "Tiles", "drawn", "glance", "glue_figures", "shade", "tiles"]

#: The prompt that is shown: the study's first, whatever came out of it.
INDEX = 0

#: Cividis at 0, 0.1 ... 1 (Nunez, Anderton and Renslow, PLOS ONE 2018), the colours of the heatmap's own page.
CIVIDIS = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78", "#948e77", "#aea371", "#c8b866", "#e5cf52",
    "#fee838",
)  # fmt: skip
MISSING = "#eeeeee"


class Drawn(HTML):
    """A figure as HTML, with the words that stand for it where HTML is not shown."""

    def __init__(self, data: str, says: str) -> None:
        super().__init__(data)
        self.says = says

    def __repr__(self) -> str:
        return self.says


def glue_figures(results: Results) -> None:
    """Glue `first_glance` and `first_tiles`."""
    glue("first_glance", glance(results), display=False)
    glue("first_tiles", drawn(results, tiles(results)), display=False)


def glance(results: Results) -> HTML:
    """The heatmap small: a row for each generator, a block for each detector with a square for each precision.

    Colours and numbers are of the figure that leads (`helpers.analysis.figures`), and a click leads to the page that
    has the whole.
    """
    found = cells(results)
    leading = next(iter(known(found)), "")
    if not leading:
        return tables.missing("No figure of detection is known of this study.")
    figure, values = FIGURES[leading], found.set_index(["generator", "detector", "precision"])[leading].to_dict()
    titles = results.titles("precision")
    heads = "".join(f'<span class="glance-head">{_broken(of)}</span>' for of in results.titles("detector").values())
    rows = "".join(
        f'<span class="glance-row">{html.escape(title)}</span>'
        + "".join(_block([values.get((key, detector, at)) for at in titles]) for detector in results.detectors)
        for key, title in results.titles("generator").items()
    )
    says = _described(found, leading, figure)
    order = f" From left to right in each block: {listed(list(titles.values()))}." if len(titles) > 1 else ""
    grid = (
        f'<span class="glance-grid" role="img" aria-label="{html.escape(says)}" '
        f'style="--blocks: {len(results.detectors)}"><span></span>{heads}{rows}</span>'
    )
    caption = f"{capitalised(figure)} of each detector, one a column, on each generator's images, one a row.{order}"
    inner = f'<a href="../notebooks/02_heatmap.html">{grid}</a>{numbers.caption("Figure", caption)}'
    return Drawn(f'<figure class="glance" {numbers.attributes("Figure", "glance", inner)}>{inner}</figure>', says)


def _broken(title: str) -> str:
    """A name that may go on in a second line after an underscore."""
    return html.escape(title).replace("_", "_<wbr>")


def _block(values: Sequence[float | None]) -> str:
    return f'<span class="glance-block">{"".join(map(_square, values))}</span>'


def _square(value: float | None) -> str:
    if value is None or isnan(value):
        return f'<i style="background: {MISSING}; color: #000"><b>{tables.DASH}</b></i>'
    ground = shade(value)
    ink = "#000" if _luminance(ground) > INK else "#fff"
    return f'<i style="background: {ground}; color: {ink}"><b>{value:.2f}</b></i>'


def shade(value: float) -> str:
    """The colour (#rrggbb) of a value from 0 to 1, between two neighbours of `CIVIDIS` in proportion."""
    place = min(max(value, 0.0), 1.0) * (len(CIVIDIS) - 1)
    left = min(int(place), len(CIVIDIS) - 2)
    ends = zip(_channels(CIVIDIS[left]), _channels(CIVIDIS[left + 1]), strict=True)
    return "#" + "".join(f"{round(low + (high - low) * (place - left)):02x}" for low, high in ends)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


#: The relative luminance on which black and white are read equally well (WCAG 2: (L + .05)^2 = 1.05 * .05).
INK = 0.179


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _described(found: pd.DataFrame, leading: str, figure: str) -> str:
    """The words that stand for the small heatmap: what it shows and from where to where it runs."""
    told = found.dropna(subset=leading)
    ends = [told.loc[place] for place in (told[leading].idxmin(), told[leading].idxmax())]
    runs = " to ".join(
        f"{row[leading]:.2f} ({row.detector_title} on {row.generator_title} at {row.precision_title})" for row in ends
    )
    what = "by generator, detector and precision"
    return f"Heatmap of {figure} {what}, from {runs}. The page on the heatmap has all numbers with their intervals."


@dataclass(frozen=True)
class Tiles:
    """One image of a generator at each precision.

    `pictures` are the tiles of the contact sheet (RGB, `sheets.SIDE` pixels a side) by precision, `prompt` the words
    they were made from ("" where the study's manifest does not have them), `logits` a row for each detector with a
    column for each precision: its scores of these very images.
    """

    generator: str
    pictures: dict[str, Image.Image]
    prompt: str
    logits: pd.DataFrame


def tiles(results: Results) -> Tiles | None:
    """The study's first prompt as the generator of the deck's first main claim made it at each precision, or the first
    generator that has a contact sheet; None where none has.

    Raises Damaged for a sheet that is not of the study's precisions.
    """
    files = {key: _sheet(results, key) for key in [*_named(), *results.generators] if key in results.generators}
    key, file = next(((key, file) for key, file in files.items() if file), ("", None))
    if file is None:
        return None
    rows = results.manifest.get("study", {}).get("precisions") or list(results.precisions)
    with Image.open(file) as stored:
        sheet = stored.convert("RGB")
    shown = [at for at in rows if at in results.precisions]
    pictures = {at: sheets.tile(sheet, len(rows), rows.index(at), INDEX) for at in shown}
    logits = {at: [results.logits(detector, key, at).get(INDEX) for detector in results.detectors] for at in shown}
    return Tiles(key, pictures, _prompt(results), pd.DataFrame(logits, index=list(results.detectors), dtype=float))


def _named() -> tuple[str, ...]:
    """The generators of which the deck's first main claim speaks."""
    return next(claim.reads.generators for claim in CLAIMS if claim.headline and claim.reads)


def _sheet(results: Results, generator: str) -> Path | None:
    file = results.folder / "contact" / f"{generator}.webp" if results.folder else None
    return file if file and file.is_file() else None


def _prompt(results: Results) -> str:
    said = results.manifest.get("study", {}).get("prompts")
    source = PromptSource.model_validate(said) if said else None
    return source.written(INDEX) if source and source.kind != "file" else ""


def drawn(results: Results, found: Tiles | None) -> HTML:
    """The tiles in a row, each under its precision, and below them what each detector says of each."""
    if found is None:
        return tables.missing("No contact sheets are stored with these results.")
    title = results.titles("generator")[found.generator]
    heads = "".join(
        f'<th scope="col"><img src="{_embedded(picture)}" width="{picture.width}" height="{picture.height}" '
        f'alt="{html.escape(f"{title} at {named(at)}: {found.prompt}".rstrip(": "))}">{html.escape(named(at))}</th>'
        for at, picture in found.pictures.items()
    )
    rows = "".join(
        f'<tr><th scope="row">{_broken(named(detector))}</th>'
        + "".join(f"<td>{_said(logit, results.threshold_of(str(detector)))}</td>" for logit in row)
        + "</tr>"
        for detector, row in found.logits.iterrows()
    )
    caption = _caption(results, found, title)
    inner = (
        f'<div class="table-scroll" tabindex="0"><table><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{numbers.caption('Figure', caption)}"
    )
    return Drawn(f'<figure class="tiles" {numbers.attributes("Figure", "tiles", inner)}>{inner}</figure>', caption)


def _embedded(picture: Image.Image) -> str:
    """The picture as a data address, pixel for pixel."""
    held = BytesIO()
    picture.save(held, format="WEBP", lossless=True, method=6)
    return f"data:image/webp;base64,{b64encode(held.getvalue()).decode()}"


def _said(logit: float, threshold: float) -> str:
    """What a detector says of an image: fake or real, where its threshold is known, and its logit."""
    if isnan(logit):
        return tables.DASH
    number = printed(logit, 1, sign=True)
    if isnan(threshold):
        return number
    word = "fake" if is_fake([logit], threshold)[0] else "real"
    return f'<span class="said said-{word}">{word}</span> {number}'


def _caption(results: Results, found: Tiles, title: str) -> str:
    """What is shown, by which rule it was chosen, and how many detectors change their verdict between the images."""
    prompt = f", {quoted(found.prompt)}" if found.prompt else ""
    whose = "the generator that the deck's main claim names" if found.generator in _named() else "the study's first"
    under = "" if results.protocol == "plain" else f" after the treatment of the protocol {results.protocol}"
    said = (
        f"{title}, {whose}, and the study's first prompt{prompt}. Neither was chosen by its looks. The noise is the "
        f"same at each precision. Below each image stands what each detector says of it{under}: its verdict and its "
        f"score, a logit. All are generated, so {quoted('real')} is a miss."
    )
    return f"{said} {_changed(results, found)}".strip()


def _changed(results: Results, found: Tiles) -> str:
    judged = found.logits.dropna()
    judged = judged[[key not in results.unjudged for key in judged.index]]
    if judged.empty or len(judged.columns) < 2:
        return ""
    fake = judged.apply(lambda row: is_fake(row, results.threshold_of(str(row.name))), axis=1, result_type="expand")
    turned = int((fake.nunique(axis=1) > 1).sum())
    if not turned:
        return "No detector changes its verdict between them."
    return f"{turned} of {counted(len(judged), 'detector')} change{'s' * (turned == 1)} the verdict between them."
