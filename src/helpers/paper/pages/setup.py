"""What notebook 01 shows of a study: images, settings, models, what quantization did to weights, controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import analysis, charts
from helpers.analysis import controls as controls_
from helpers.analysis import inventory, words
from helpers.analysis import miniatures as miniatures_
from helpers.core import files
from helpers.core.errors import Damaged
from helpers.paper import tables
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = ["audits", "controls", "formats", "images", "live_check", "miniatures", "settings"]


ALONE = "the figures rest on the stored results alone."


def images(results: Results) -> HTML:
    """How many images each cell has scores of."""
    return tables.matrix(inventory.fakes(results), "images", "{:.0f}", "Images per cell")


def formats() -> HTML:
    """The catalogue of precisions, for the page on methods."""
    groups = {"channel": "an output channel", None: tables.DASH}
    rows = [
        {
            "precision": row.title, "format": key, "bits": row.bits, "a stored number": row.code,
            "one scale for": groups.get(row.group, f"a block of {row.group}"), "scales to it": row.scales,
            "library": row.backend,
        }
        for key, row in PRECISIONS.items()
    ]  # fmt: skip
    return tables.table(pd.DataFrame(rows))


def settings(results: Results) -> HTML:
    """The generators with their settings, as far as they are known."""
    return tables.table(analysis.settings(results).dropna(axis=1, how="all"), "Generators")


def miniatures(results: Results) -> None:
    """Display what is known of the miniatures behind a study: measures at FP32, cards, training curves."""
    if results.scale != "mini":
        display(Markdown(
            "This study runs public checkpoints; their makers' cards describe them." if results.scale == "full"
            else "Which models made these images, at which scale, this study does not say."
        ))  # fmt: skip
        return
    measures, curves = miniatures_.measures(), miniatures_.curves()
    if len(measures):
        display(tables.table(measures, "Measures at FP32; a target was set before any quantized image was scored"))
    else:
        display(Markdown("The generators were not measured: `quantdetect train mini --evaluate` does it."))
    display(tables.table(miniatures_.overview(), "Cards of the shipped models"))
    if len(curves):
        display(charts.training_loss(curves))


#: Columns of `audits` for print, those that an older run lacks left out.
AUDITS = {
    "generator_title": "generator", "precision_title": "precision", "component": "component",
    "parameters": "parameters", "share": "in the format", "bytes": "MB", "weight_error": "weight error",
    "expected_error": "by definition", "attention": "attention", "feed-forward": "feed-forward",
    "convolution": "convolution", "other": "other", "output_error": "output error",
    "native_deviation": "native \N{MINUS SIGN} rounded",
}  # fmt: skip
ERRORS = ("weight_error", "expected_error", "output_error", "attention", "feed-forward", "convolution", "other")
FORMS = dict.fromkeys(ERRORS, "{:.2%}") | {"share": "{:.1%}", "native_deviation": "{:.1e}", "parameters": "{:,}"}


def audits(results: Results, arm: str = "") -> HTML:
    """What was measured of each component of each quantized cell of an arm (default the main one)."""
    found = controls_.audits(results)
    found = found[(found.arm == (arm or results.arm)) & (found.precision != "fp32")] if len(found) else found
    if found.empty or "output_error" not in found:
        return tables.missing("This study has no record of what its precisions did to the weights.")
    sizes = zip(found.bytes_before / 1e6, found.bytes_after / 1e6, strict=True)
    shown = found.assign(
        bytes=[f"{before:.2f}{tables.ARROW}{after:.2f}" for before, after in sizes],
        **{name: found[name].map(form.format, na_action="ignore") for name, form in FORMS.items() if name in found},
    )
    columns = {name: title for name, title in AUDITS.items() if name in shown}
    caption = "Each component at each precision; errors are relative (Frobenius), by kind of layer too"
    return tables.table(shown[list(columns)].rename(columns=columns), caption)


#: Figures of `controls`: how each is printed, and the caption.
MOVES = {
    "spread": ("{:.3f}", "Standard deviation of the paired change of logit against {}"),
    "mean": ("{:+.3f}", "Mean paired change of logit against {}"),
    "changed": ("{:.1%}", "Share of images whose verdict differs from their twin's at {}"),
}


def controls(results: Results, figure: str = "spread") -> HTML:
    """How far each arm moves each detector: "spread" of the paired logits, their "mean", or verdicts "changed"."""
    found = controls_.spreads(results)
    if found.empty or found.arm.nunique() < 2:
        return tables.missing("This study has no arms beside its main one.")
    form, caption = MOVES[figure]
    keys = {"arm_title": "arm", "precision_title": "precision"}
    printed = found.assign(printed=[tables.figure(value, form) for value in found[figure]])
    wide = tables.crossed(printed, list(keys), "detector_title", "printed")
    wide["images"] = found.groupby(list(keys), sort=False).n.max().to_numpy()
    wide["arm_title"] = wide.arm_title.where(~wide.arm_title.duplicated(), "")  # each arm is named once
    caption = f"{caption.format(words.named(results.baseline))}, all generators"
    return tables.table(wide.rename(columns=keys), caption)


def live_check(path: str, results: Results) -> str:
    """What the live check on the machine that built this page found, in a sentence; says so where there was none.

    A check counts where the study and the scores that it compared are those of the page.
    """
    file = Path(path) if Path(path).is_absolute() else files.ROOT / path
    try:
        outcome = files.read_json(file)
        cells, agree = [dict(cell) for cell in outcome["cells"]], bool(outcome["agree"])
        checked = outcome["study_digest"], outcome["scores_sha256"]
        told = f"{_what(outcome, cells)} {'They agree' if agree else 'THEY DO NOT AGREE'} {_how(cells)}."
    except (OSError, Damaged, KeyError, TypeError, ValueError):
        return f"The live check was not run where this page was built: {ALONE}"
    if checked != (results.manifest.get("study_digest"), results.manifest.get("files", {}).get("scores.parquet")):
        return f"The live check where this page was built was of other results than these: {ALONE}"
    if not cells:
        return f"The live check where this page was built compared no cell: {ALONE}"
    return told


def _what(outcome: dict[str, Any], cells: list[dict[str, Any]]) -> str:
    return (
        f"Where this page was built, {outcome.get('images', '?')} images of each of {len(cells)} cells were made, "
        "quantized and scored again with the shipped models and compared with the stored results."
    )


def _how(cells: list[dict[str, Any]]) -> str:
    equal, made = (sum(int(cell.get(name) or 0) for cell in cells) for name in ("images_equal", "images"))
    logit = max((_largest(cell.get("max_logit_diff")) for cell in cells), default=0.0)
    return f"({equal} of {made} images equal to the last bit, largest difference of a logit {logit:.2g})"


def _largest(difference: Any) -> float:
    values = difference.values() if isinstance(difference, dict) else [difference or 0]
    return max((float(number) for number in values), default=0.0)
