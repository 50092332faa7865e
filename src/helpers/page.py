"""What the cells of a notebook call: open the results, glue a sentence or a number into the prose, show a table.

Everything here returns or displays; nothing computes. Glued values carry their own text, so that the same words stand
in the notebook, in the book and on the pages that quote them.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown, display
from myst_nb import glue

from helpers import analysis, charts, paths
from helpers.analysis.findings import Finding, scale_note
from helpers.analysis.tables import Results
from helpers.study import PRECISIONS

__all__ = [
    "Text",
    "Verdict",
    "begin",
    "conditions",
    "controls",
    "contact_sheets",
    "live_check",
    "matrix",
    "miniatures",
    "perturbations",
    "perturbed",
    "proofs",
    "say",
    "show",
    "table",
    "trainings",
    "value",
]

ALONE = "the figures rest on the stored results alone."


class Text(str):
    """Words that are glued as they stand, without the quotes of a string."""

    def __repr__(self) -> str:
        return str(self)


class Verdict(Text):
    """A verdict on the deck's words, with a coloured mark in HTML."""

    def _repr_html_(self) -> str:
        name = html.escape(str(self))
        return f'<span class="verdict verdict-{name.replace(" ", "-")}">{name}</span>'


def begin(
    results: str,
    generators: Sequence[str] = (),
    precisions: Sequence[str] = (),
    detectors: Sequence[str] = (),
    threshold: float = 0.0,
    protocol: str = "plain",
) -> Results:
    """Read the results of a page's parameters, turn the charts on and glue `scale_note`, which says whose they are
    and what the detectors were trained on."""
    charts.enable()
    study = analysis.load(results, generators, precisions, detectors, threshold, protocol)
    lesson = analysis.models.trained_on(study.scores.weights.unique(), study.detectors) if study.scale == "mini" else ""
    value("scale_note", f"{scale_note(study)} {lesson}".strip())
    return study


def value(name: str, text: object) -> None:
    """Glue a text or a number as it is to be printed."""
    glue(name, Text(text), display=False)


def say(name: str, finding: Finding) -> None:
    """Glue a finding as `name`_answer (the sentence) and `name`_verdict (supported, contradicted ...)."""
    value(f"{name}_answer", finding.sentence)
    if finding.verdict:
        glue(f"{name}_verdict", Verdict(finding.verdict), display=False)


def show(name: str, chart: Any) -> None:
    """Display a chart and glue it, so that another page can quote the figure."""
    glue(name, chart, display=True)


def table(frame: pd.DataFrame, caption: str = "") -> HTML:
    """A table that scrolls inside its own box where the page is narrower than it."""
    inner = frame.to_html(index=False, border=0, classes="table", na_rep="\N{EN DASH}", justify="left")
    if caption:
        inner = inner.replace("<thead>", f"<caption>{html.escape(caption)}</caption><thead>", 1)
    return HTML(f'<div class="table-scroll" tabindex="0">{inner}</div>')


def matrix(costs: pd.DataFrame, column: str, form: str, caption: str = "") -> HTML:
    """One figure of every cell as a table, generators down and precisions across, each printed with `form`."""
    if costs.empty or column not in costs:
        return HTML("<p>This study has no cells.parquet, so this is not known.</p>")
    wide = costs.pivot(index="generator_title", columns="precision_title", values=column)
    wide = wide.reindex(index=costs.generator_title.unique(), columns=costs.precision_title.unique())
    printed = wide.map(lambda number: "\N{EN DASH}" if pd.isna(number) else form.format(number))
    return table(printed.rename_axis(None, axis=1).reset_index(names="generator"), caption)


def miniatures(study: Results) -> None:
    """Display what is known of the miniatures behind a study: measures at FP32, cards, training curves."""
    if study.scale != "mini":
        display(Markdown("This study runs public checkpoints; their makers' cards describe them."))
        return
    measures, curves = analysis.models.measures(), analysis.models.curves()
    if len(measures):
        display(table(measures, "Measures at FP32; a target was set before any quantized image was scored"))
    else:
        display(Markdown("The generators were not measured: `quantdetect train mini --evaluate` does it."))
    display(table(analysis.models.overview(), "Cards of the shipped models"))
    if len(curves):
        display(charts.curves(curves))


def trainings(study: Results, *generators: str) -> HTML:
    """How far each detector's own training moves the change of accuracy: its least and most over the trainings."""
    found = analysis.trainings(study)
    if not len(found):
        return HTML(
            "<p>The detectors of this study were trained once, so the spread between trainings is not known.</p>"
        )
    found = found[found.generator.isin(generators or study.generators)]
    spread = [f"{100 * row.change_min:+.1f} to {100 * row.change_max:+.1f}" for row in found.itertuples()]
    wide = found.assign(spread=spread).pivot(
        index=["generator_title", "detector_title", "trainings"], columns="precision_title", values="spread"
    )
    wide = wide[[title for title in found.precision_title.unique()]].reset_index()
    wide = wide.rename(columns={"generator_title": "generator", "detector_title": "detector"}).rename_axis(None, axis=1)
    return table(wide, "Change of accuracy against FP32, in points: least to most of a detector's trainings")


def conditions(study: Results, figure: str = "auc", *generators: str) -> HTML:
    """One figure ("auc" or "tpr") of every protocol and training at the first precision and the last, per generator.

    Without `generators`, all of the page's.
    """
    first, last = study.precisions[0], study.precisions[-1]
    found = analysis.conditions(study)
    found = found[found.generator.isin(generators or study.generators)]
    before, after = (found[f"{figure}_{end}"].map("{:.2f}".format, na_action="ignore") for end in (first, last))
    found = found.assign(
        figure=before + " \N{RIGHTWARDS ARROW} " + after,
        condition=found.protocol + " \N{MIDDLE DOT} " + found.weights,
        detector=found.detector.map(study.titles("detector")),
        generator=found.generator.map(study.titles("generator")),
    )
    keys = ["condition", "detector"]
    wide = found.pivot(index=keys, columns="generator", values="figure")
    wide = wide.loc[list(found[keys].drop_duplicates().itertuples(index=False, name=None)), found.generator.unique()]
    what = {"auc": "AUC", "tpr": "Accuracy"}[figure]
    return table(
        wide.rename_axis(None, axis=1).reset_index(),
        f"{what} at {study.titles('precision')[first]} \N{RIGHTWARDS ARROW} {study.titles('precision')[last]}",
    )


def proofs(study: Results, arm: str = "") -> HTML:
    """What was measured of each component of each quantized cell of an arm (default the main one)."""
    found = analysis.arms.proofs(study)
    found = found[(found.arm == (arm or study.arm)) & (found.precision != "fp32")] if len(found) else found
    if found.empty or "output_error" not in found:
        return HTML("<p>This study has no record of what its precisions did to the weights.</p>")
    kinds = [kind for kind in ("attention", "feed-forward", "convolution", "other") if kind in found]
    percent = {column: "{:.2%}".format for column in ("weight_error", "output_error", *kinds)}
    percent |= {"share": "{:.1%}".format, "native_deviation": "{:.1e}".format, "parameters": "{:,}".format}
    shown = found.assign(
        bytes=[f"{before / 1e6:.2f} \N{RIGHTWARDS ARROW} {after / 1e6:.2f}" for before, after in zip(
            found.bytes_before, found.bytes_after, strict=True)],
        **{column: found[column].map(form, na_action="ignore") for column, form in percent.items()},
    )  # fmt: skip
    columns = {
        "generator_title": "generator", "precision_title": "precision", "component": "component",
        "parameters": "parameters", "share": "in the format", "bytes": "MB", "weight_error": "weight error",
        **{kind: kind for kind in kinds}, "output_error": "output error",
        "native_deviation": "native \N{MINUS SIGN} rounded",
    }  # fmt: skip
    shown = shown[list(columns)].rename(columns=columns)
    return table(shown, "Each component at each precision; errors are relative (Frobenius), by kind of layer too")


def controls(study: Results, figure: str = "spread") -> HTML:
    """How far each arm moves each detector: "spread" of the paired logits, their "mean", or verdicts "changed"."""
    found = analysis.arms.spreads(study)
    if found.empty or found.arm.nunique() < 2:
        return HTML("<p>This study has no arms beside its main one.</p>")
    form = {"changed": "{:.1%}", "spread": "{:.3f}", "mean": "{:+.3f}"}[figure]
    keys = ["arm_title", "precision_title"]
    wide = found.pivot(index=keys, columns="detector_title", values=figure)
    wide = wide.loc[
        list(found[keys].drop_duplicates().itertuples(index=False, name=None)), found.detector_title.unique()
    ]
    images = found.groupby(keys).n.max()
    wide = wide.map(lambda number: form.format(number)).assign(images=[images[key] for key in wide.index])
    what = {
        "spread": "Standard deviation of the paired change of logit against FP32",
        "mean": "Mean paired change of logit against FP32",
        "changed": "Share of images whose verdict differs from their FP32 twin's",
    }[figure]
    wide = wide.rename_axis(None, axis=1).reset_index()
    return table(wide.rename(columns={"arm_title": "arm", "precision_title": "precision"}), f"{what}, all generators")


def perturbations(effects: pd.DataFrame) -> None:
    """Display what each perturbation changes (see `analysis.perturbed.effects`), where the study has such scores."""
    if effects.empty:
        display(Markdown("This study has no perturbed scores, so there is no chart."))
        return
    show("perturbations", charts.perturbations(effects))


def perturbed(effects: pd.DataFrame, measure: str, caption: str) -> HTML:
    """One measure ("auc", "tpr" or "tnr") with its interval after each perturbation, detectors across.

    `effects` is the table of `analysis.perturbed.effects`. Reals have no precision, so "tnr" is shown once.
    """
    if effects.empty:
        return HTML("<p>This study has no perturbed.parquet, so this is not known.</p>")
    ends = (effects[f"{measure}{end}"].map("{:.2f}".format) for end in ("", "_low", "_high"))
    # Four detectors fit beside each other only without the intervals' leading zeros.
    short = [f"{middle} ({low.removeprefix('0')}\N{EN DASH}{high.removeprefix('0')})"
             for middle, low, high in zip(*ends, strict=True)]  # fmt: skip
    shown = effects.assign(figure=short)
    keys = ["perturbation_title", "precision_title"]
    shown = shown.sort_values("perturbation", key=lambda of: of.map(list(of.unique()).index), kind="stable")
    if measure == "tnr":
        shown, keys = shown[shown.precision == shown.precision.iloc[0]], keys[:1]
    wide = shown.pivot(index=keys, columns="detector_title", values="figure")
    wide = wide.loc[shown[keys].drop_duplicates().set_index(keys).index, effects.detector_title.unique()]
    wide = wide.rename_axis(None, axis=1).reset_index()
    return table(wide.rename(columns={"perturbation_title": "done to it", "precision_title": "precision"}), caption)


def contact_sheets(study: Results, arm: str = "") -> None:
    """Display the contact sheet of each generator that has one: one row per precision, one column per prompt."""
    found = False
    arms = study.manifest.get("study", {}).get("arms") or {}
    keys = arms.get(arm, {}).get("precisions") or study.precisions
    for generator, title in study.titles("generator").items():
        sheet = study.folder / "contact" / (f"{generator}-{arm}.webp" if arm else f"{generator}.webp")
        if sheet.is_file():
            found = True
            beside = Path("contact") / sheet.name  # where the book puts them
            link = beside.as_posix() if beside.is_file() else Path(os.path.relpath(sheet)).as_posix()
            rows = ", ".join(PRECISIONS.get(key, key) for key in keys)
            display(
                Markdown(f"**{title}** ({rows})\n\n![Contact sheet of {title}: the same prompts, rows {rows}]({link})")
            )
    if not found:
        display(Markdown("No contact sheets are stored with these results."))


def live_check(path: str) -> str:
    """What the live check on the machine that built this page found, in a sentence; says so where there was none."""
    file = Path(path) if Path(path).is_absolute() else paths.ROOT / path
    try:
        outcome = json.loads(file.read_text(encoding="utf-8"))
        cells = outcome["cells"]
        agree = bool(outcome["agree"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"The live check was not run where this page was built: {ALONE}"
    if not cells:
        return f"The live check where this page was built compared no cell: {ALONE}"
    return f"{_what(outcome, cells)} {'They agree' if agree else 'THEY DO NOT AGREE'} {_how(cells)}."


def _what(outcome: dict[str, Any], cells: list[dict[str, Any]]) -> str:
    return (
        f"Where this page was built, {outcome.get('images', '?')} images of each of {len(cells)} cells were made, "
        "quantized and scored again with the shipped models and compared with the stored results."
    )


def _how(cells: list[dict[str, Any]]) -> str:
    equal, made = (sum(int(cell.get(name) or 0) for cell in cells) for name in ("images_equal", "images"))
    logit = max(_largest(cell.get("max_logit_diff")) for cell in cells)
    return f"({equal} of {made} images equal to the last bit, largest difference of a logit {logit:.2g})"


def _largest(difference: Any) -> float:
    values = difference.values() if isinstance(difference, dict) else [difference or 0]
    return max((float(number) for number in values), default=0.0)
