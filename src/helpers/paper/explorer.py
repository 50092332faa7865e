"""An explorer for a live kernel: choose generator, prompt, precisions, detector, protocol, training and threshold; see
the images, the densities of their scores and the rates change.

It needs a running kernel, so notebooks show it in JupyterLab and the book leaves it out: there page 08 does the same in
the reader's browser (`helpers.paper.pages.explorer`).
"""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isnan
from typing import Any

import ipywidgets
import pandas as pd
from PIL import Image, ImageChops, ImageEnhance

from helpers import analysis, charts
from helpers.analysis import words
from helpers.analysis.figures import FIGURES
from helpers.core.errors import UsageError
from helpers.core.scores import is_fake
from helpers.images.protocols import PROTOCOLS
from helpers.paper import gallery
from helpers.paper.tables import DASH
from helpers.results.memo import once
from helpers.results.results import Results, own_trainings

__all__ = ["NO_IMAGES", "NO_REALS", "SEEN", "Explorer", "conditions", "explore", "start"]

COLUMNS = {"precision_title": "precision", "n": "images", **FIGURES, "tnr": "TNR", "mean_logit": "logit"}

#: Pixels a side at which an image is shown, and by how much its difference from the baseline's is amplified.
SHOWN, GAIN = 160, 8

#: What a protocol does to images before a detector sees them, where the picture shows them without it.
SEEN = {
    "shared": "Under shared, the detector sees each image after a resize, JPEG compression and noise; shown is the "
    "image before them.",
    "aligned": "Under aligned, the detector sees the real image after a pass through the VAE of the generator; "
    "shown is the render before it.",
}
NO_IMAGES = "No single images are stored with these results, so their scores stand here without pictures."
NO_REALS = (
    "This study has no real images beside these fakes, so neither AUC nor an ROC curve nor the share of reals called "
    "real is known."
)


@once
def conditions(results: Results) -> list[tuple[str, str, Results]]:
    """Every protocol and training under which the page's fakes were scored, with the results under it; of each protocol
    the study's own training first. Not to be written to."""
    counts, found = results.counts.astype({"weights": str, "protocol": str}), []
    for protocol in PROTOCOLS:
        labels = sorted(set(counts.weights[(counts.protocol == protocol) & (counts.label == 1)]))
        own = own_trainings(results.source, protocol).values()
        for label in sorted(labels, key=lambda label: label not in own):
            try:
                found.append((protocol, label, results.under(protocol, label)))
            except UsageError:  # scored of another arm, or of generators that the page leaves out
                continue
    return found


def start(results: Results, generator: str = "sd3", detector: str = "npr") -> dict[str, Any]:
    """What an explorer shows at first: generator, detector, protocol, training, precisions, and image (None where none
    is stored)."""
    generator = generator if generator in results.generators else results.generators[0]
    detector = detector if detector in results.detectors else results.detectors[0]
    stored = gallery.strips(results).get(generator)
    return {
        "generator": generator, "detector": detector, "protocol": results.protocol,
        "training": results.trainings[detector], "precisions": list(results.precisions),
        "image": stored.images[0] if stored else None,
    }  # fmt: skip


class Explorer(ipywidgets.VBox):
    """Choosers over the images of one prompt, a chart of densities and a table of rates; all follow every change.

    `rows` is the table as shown (`analysis.cells`) for what is chosen: never empty, for the baseline's images stand
    where no precision is chosen.
    """

    def __init__(self, results: Results, generator: str = "sd3", detector: str = "npr") -> None:
        self._results, self._strips = results, gallery.strips(results)
        self.rows = pd.DataFrame()
        first = start(results, generator, detector)
        titles = {kind: results.titles(kind) for kind in ("generator", "detector", "precision")}
        named = [(title, key) for key, title in titles["precision"].items()]
        self.generator = _menu("Generator", titles["generator"], first["generator"])
        self.detector = _menu("Detector", titles["detector"], first["detector"])
        self.prompt = _menu("Prompt", self._prompts(), first["image"])
        self.protocol = _menu("Protocol", _same([first["protocol"]]), first["protocol"])
        self.training = _menu("Training", _same([first["training"]]), first["training"])
        self.precisions = ipywidgets.SelectMultiple(
            options=named, value=results.precisions, rows=len(named), description="Precisions"
        )
        own = results.threshold_of(first["detector"])
        self.threshold = ipywidgets.FloatText(value=0.0 if isnan(own) else own, step=0.1, description="Threshold")
        self.images, self.figure, self.table = ipywidgets.HTML(), ipywidgets.Output(), ipywidgets.HTML()
        choosers = [
            self.generator, self.prompt, self.detector, self.protocol, self.training, self.precisions, self.threshold,
        ]  # fmt: skip
        for chooser in choosers:
            chooser.observe(self._changed, names="value")
        box = ipywidgets.Box(choosers, layout=ipywidgets.Layout(flex_flow="row wrap"))
        super().__init__([box, self.images, self.figure, self.table])
        self._changed()

    def _changed(self, _change: object = None) -> None:
        """Offer what there is beside what is chosen, then show it; a menu that must change on the way does not."""
        if getattr(self, "_changing", False):
            return
        self._changing = True
        try:
            there = [(protocol, label) for protocol, label, view in conditions(self._results)
                     if self.detector.value in view.detectors and self.generator.value in view.generators]  # fmt: skip
            _offer(self.prompt, self._prompts())
            _offer(self.protocol, _same(dict.fromkeys(protocol for protocol, _ in there)))
            _offer(self.training, _same(label for protocol, label in there if protocol == self.protocol.value))
        finally:
            self._changing = False
        self._show()

    def _show(self) -> None:
        base = self._results.baseline
        chosen = self.precisions.value or (
            (base,) if base in self._results.precisions else self._results.precisions[:1]
        )
        narrower = {"generators": [self.generator.value], "detectors": [self.detector.value], "precisions": chosen}
        view = self._results.under(self.protocol.value, self.training.value, **narrower)
        view = replace(view, threshold=float(self.threshold.value))
        self.rows = analysis.cells(view)
        self.table.value = (
            self.rows[list(COLUMNS)]
            .rename(columns=COLUMNS)
            .to_html(index=False, border=0, float_format="{:.3f}".format, na_rep=DASH)
        )
        self.images.value = self._pictures(view)
        # Replaced as a whole: `append_display_data` works without a front end too, where capturing output does not.
        self.figure.outputs = ()
        picture = charts.density(analysis.densities(view), self.detector.value, self.generator.value)
        self.figure.append_display_data(picture.properties(width=600))

    def _prompts(self) -> dict[int, str]:
        """The stored images of the generator with their prompts."""
        stored, prompts = self._strips.get(self.generator.value), gallery.prompts(self._results)
        return {index: f"{index}: {prompts[index]}" for index in stored.images} if stored else {}

    def _pictures(self, view: Results) -> str:
        """The images of the prompt with their scores, and their differences from the baseline's, as HTML."""
        stored = self._strips.get(self.generator.value)
        if stored is None:
            return f"<p>{NO_IMAGES}</p>"
        images, base, detector = stored.open(self.prompt.value), view.baseline, self.detector.value
        shown = [key for key in stored.columns if key in view.precisions or key == gallery.REAL]
        cards = [_card(images[key], *self._said(view, key)) for key in shown]
        for key in shown if base in images else ():
            if key not in (base, gallery.REAL):
                apart = ImageEnhance.Brightness(ImageChops.difference(images[key], images[base])).enhance(GAIN)
                cards.append(_card(apart, f"{words.named(key)} less {words.named(base)}", f"times {GAIN}"))
        note = SEEN.get(view.protocol, "") + ("" if len(view.reals(detector, view.generators[0])) else f" {NO_REALS}")
        return f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{"".join(cards)}</div><p>{note.strip()}</p>'

    def _said(self, view: Results, key: str) -> tuple[str, str]:
        """What an image is, and what the detector says of it."""
        generator, detector = self.generator.value, self.detector.value
        real = key == gallery.REAL
        logits = view.reals(detector, generator) if real else view.logits(detector, generator, key)
        title, limit = "Real" if real else words.named(key), view.threshold_of(detector)
        if self.prompt.value not in logits.index:
            return title, "no score"
        logit = float(logits[self.prompt.value])
        verdict = "" if isnan(limit) else " called fake" if is_fake(logit, limit) else " called real"
        return title, f"{words.printed(logit, sign=True)}{verdict}"


def _menu(label: str, titles: Mapping[Any, str], value: Any) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=[(title, key) for key, title in titles.items()], value=value, description=label)


def _offer(menu: ipywidgets.Dropdown, titles: Mapping[Any, str]) -> None:
    """Let a menu have these choices; it keeps what is chosen where that is one of them."""
    options = tuple((title, key) for key, title in titles.items())
    if menu.options != options:
        kept = menu.value
        menu.options = options
        menu.value = kept if kept in titles else next(iter(titles), None)


def _same(keys: Iterable[str]) -> dict[str, str]:
    """Keys that are their own titles."""
    return {key: key for key in keys}


def _card(image: Image.Image, title: str, said: str) -> str:
    """An image as it is, each pixel a square, above two lines."""
    held = io.BytesIO()
    image.save(held, format="PNG")
    source = f"data:image/png;base64,{b64encode(held.getvalue()).decode()}"
    return (
        f'<figure style="margin: 0; width: {SHOWN}px"><img src="{source}" alt="{html.escape(title)}" width="{SHOWN}" '
        f'style="image-rendering: pixelated"><figcaption><strong>{html.escape(title)}</strong><br>{html.escape(said)}'
        "</figcaption></figure>"
    )


def explore(results: Results, generator: str = "sd3", detector: str = "npr") -> Explorer:
    """The explorer of a study, to be displayed by a live notebook; starts at this generator and detector."""
    return Explorer(results, generator, detector)
