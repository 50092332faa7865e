"""What the cells of notebook 07 call: figures and tables of the images' traces, or the sentence that one is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import charts
from helpers.analysis import decoder, dose_response, image_traces
from helpers.analysis.words import named
from helpers.claims import smoothing
from helpers.claims.rule import margins
from helpers.paper import page, tables
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = [
    "autocorrelation", "component_shifts", "contrasts", "detail", "detection", "filters", "fingerprints", "ladder",
    "levels", "predictions", "radial", "relations", "shares",
]  # fmt: skip

MISSING = {
    "spectra": "The spectra of this study's images were not measured, so this figure is missing.",
    "filters": "This study has no filtered images, so what a filter does to its detectors is not known.",
    "ladder": "This study has no ladder of formats.",
    "arms": "This study has nothing beside its baseline.",
    "shares": "This study has neither reals passed through the VAE nor the protocol aligned: no shares are known.",
}


def _figure(name: str, chart: Callable[..., Any], table: pd.DataFrame, missing: str, *rest: Any, **words: str) -> None:
    """Show and glue a chart of a table; without rows, say what is missing."""
    if table.empty:
        display(Markdown(MISSING[missing]))
    else:
        page.glue_figure(name, chart(table, *rest, **words))


def radial(results: Results, generator: str = "sd3") -> None:
    """The radial spectra."""
    base = named(results.baseline)
    _figure("radial", charts.radial, image_traces.curves(results), "spectra", generator, against=base)


def autocorrelation(results: Results, generator: str = "sd3") -> None:
    """The autocorrelation of the residuals."""
    _figure("autocorrelation", charts.autocorrelation, image_traces.autocorrelations(results), "spectra", generator)


def detail(results: Results) -> None:
    """The change of fine detail against the baseline, with the margin of smoothing."""
    rest = ("high", margins(results)["smoothing"], named(results.baseline))
    _figure("detail", charts.detail, image_traces.changes(results), "spectra", *rest)


def fingerprints(results: Results) -> None:
    """The correlation of fingerprints with the baseline's."""
    table = image_traces.fingerprints(results)
    table = table.dropna(subset=["correlation"]) if len(table) else table
    _figure("fingerprints", charts.fingerprints, table, "spectra", named(results.baseline))


def filters(results: Results, generator: str = "sd3") -> None:
    """What the lowest precision and filters do to each detector."""
    rest = (generator, named(results.lowest), named(results.baseline))
    _figure("filters", charts.filters, image_traces.treatments(results), "filters", *rest)


def ladder(results: Results, generator: str = "sd3", detector: str = "npr") -> None:
    """Response against weight error along the ladder of formats."""
    rest = (generator, detector, "shift", named(results.baseline))
    _figure("ladder", charts.ladder, dose_response.ladder(results), "ladder", *rest)


def _table(
    found: pd.DataFrame, columns: dict[str, tuple[str, int, bool]], keys: dict[str, str], caption: str, missing: str
) -> HTML:
    """Estimates with their intervals under the keys' columns; without rows, the sentence that says what is missing."""
    return (
        tables.table(tables.intervals(found, keys, columns), caption)
        if len(found)
        else tables.missing(MISSING[missing])
    )


def levels(results: Results) -> HTML:
    """What NPR reads and the peaks of upsampling, of reals, of the first precision's images and of the last's."""
    table = image_traces.levels(results)
    table = (
        table[table.precision.isin(["real", results.precisions[0], results.precisions[-1]])] if len(table) else table
    )
    columns = {"npr": ("NPR residual", 1, False)}
    columns |= {f"period_{period}": (f"period {period}", 1, False) for period in (2, 4, 8)}
    keys = {"generator_title": "generator", "precision_title": "images"}
    return _table(
        table, columns, keys, "NPR residual (levels of 255); peaks over their neighbours (1: none)", "spectra"
    )


def predictions(results: Results) -> HTML:
    """The four predictions of the smoothing filter with their verdicts and sentences."""
    found = smoothing.predictions(results)
    said = {key: smoothing.in_study(results, words) for key, words in smoothing.PREDICTIONS.items()}
    rows = [
        f"<dt>({key}) {words}: {page.Verdict(found[key].verdict)._repr_html_()}</dt><dd>{found[key].sentence}</dd>"
        for key, words in said.items()
    ]
    return HTML(f"<dl>{''.join(rows)}</dl>")


def shares(results: Results) -> HTML:
    """What each detector's detection at the baseline is owed to."""
    table = decoder.shares(results)
    known = table[[f"{name}_generators" for name in ("decoder", "retrained")]].sum(axis=1) > 0
    columns = {
        "decoder": ("decoder alone", 2, False),
        "denoiser": ("denoiser alone", 2, False),
        "retrained": ("retrained", 2, False),
    }
    caption = f"Shares of the detection of {named(results.baseline)} images, mean over generators"
    return _table(table[known], columns, {"detector_title": "detector"}, caption, "shares")


def component_shifts(results: Results) -> HTML:
    """What quantizing the denoiser moves, and what quantizing the VAE alone."""
    table = decoder.component_shifts(results)
    columns = {"shift": ("mean shift", 2, True), "size": ("root mean square", 2, False)}
    keys = {"detector_title": "detector", "precision_title": "precision", "part": "quantized"}
    for column, order in (("precision", list(PRECISIONS)), ("detector", list(results.detectors))) if len(table) else ():
        table = table.sort_values(column, key=lambda keys, order=order: keys.map(order.index), kind="stable")
    caption = f"Paired change of logit, in standard deviations of {named(results.baseline)}'s, all generators"
    return _table(table, columns, keys, caption, "arms")


def detection(results: Results) -> HTML:
    """How the AUC changes against the baseline, with and without the decoder's traces in the reals."""
    table = decoder.detection(results)
    table = table[table.precision != results.baseline]
    columns = {
        "plain_change": ("against renders", 3, True),
        "aligned_change": ("aligned", 3, True),
    }
    keys = {"detector_title": "detector", "precision_title": "precision"}
    caption = f"Change of AUC against {named(results.baseline)}, mean over generators"
    return _table(table, columns, keys, caption, "arms")


def relations(results: Results) -> HTML:
    """What detection follows along the ladder, detector by detector."""
    columns = {
        "rank_error": ("rank by error", 2, True),
        "rank_bits": ("rank by fewer bits", 2, True),
        "miss_error": ("missed by errors", 2, False),
        "miss_bits": ("missed by bits", 2, False),
        "gain_error": ("bits less errors", 2, True),
    }
    caption = f"What the shift follows; misses in standard deviations of the {named(results.baseline)} logits"
    return _table(dose_response.relations(results), columns, {"detector_title": "detector"}, caption, "ladder")


def contrasts(results: Results) -> HTML:
    """Formats of equal bits side by side, all detectors and each."""
    columns = {
        "difference": ("difference", 2, True),
        "beyond": ("beyond", 2, True),
    }
    keys = {"first_title": "format", "second_title": "less", "detector_title": "detector"}
    caption = f"Shifts at equal bits, in standard deviations of the {named(results.baseline)} logits"
    return _table(dose_response.contrasts(results), columns, keys, caption, "ladder")
