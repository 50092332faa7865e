"""What the cells of a notebook call: open the results, glue a sentence or a number into the prose, show a table.

Everything here returns or displays; nothing computes. Glued values carry their own text, so that the same words stand
in the notebook, in the book and on the pages that quote them.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown, display
from myst_nb import glue

from helpers import analysis, charts
from helpers.analysis import conditions as conditions_
from helpers.analysis import controls as controls_
from helpers.analysis import costs as costs_
from helpers.analysis import footprint as footprint_
from helpers.analysis import image_traces, paired, words
from helpers.analysis import miniatures as miniatures_
from helpers.analysis import perturbed as perturbed_
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, number
from helpers.claims import deck, rule
from helpers.claims.deck import Outcome
from helpers.claims.rule import Finding
from helpers.core import files as paths
from helpers.core.errors import Damaged
from helpers.paper.sentences import scale_note
from helpers.precision.catalogue import PRECISIONS
from helpers.results import tables
from helpers.results.tables import Results

__all__ = [
    "Text",
    "Verdict",
    "begin",
    "beyond",
    "claims",
    "conditions",
    "contact_sheets",
    "controls",
    "costs",
    "effects",
    "elsewhere",
    "facts",
    "footprint",
    "images",
    "live_check",
    "matrix",
    "miniatures",
    "perturbations",
    "perturbed",
    "power",
    "proofs",
    "say",
    "scorecard",
    "settings",
    "show",
    "table",
    "timings",
    "trainings",
    "value",
]

DASH = "\N{EN DASH}"
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
    """Read the results of a page's parameters, turn the charts on and glue what every page may need.

    `scale_note` says whose results they are and what the detectors were trained on; `base`, `protocol` and `training`
    name the baseline and the conditions of the page; `facts` are those of the study, by which `report.execute` keeps
    a cell or leaves it out.
    """
    charts.enable()
    study = analysis.load(results, generators, precisions, detectors, threshold, protocol)
    lesson = miniatures_.trained_on(study.scores.weights.unique(), study.detectors) if study.scale == "mini" else ""
    value("scale_note", f"{scale_note(study)} {lesson}".strip())
    value("base", words.named(study.baseline))
    value("protocol", study.protocol)
    value("training", listed(sorted(study.scores.weights.unique())))
    value("facts", " ".join(sorted(facts(study))))
    return study


#: What a study may have beside scores, by the name under which a cell's tag asks for it ("if-NAME", "unless-NAME").
FACTS: dict[str, Callable[[Results], bool]] = {
    "reals": lambda study: bool((study.scores.label == 0).any()),
    "settings": lambda study: costs_.settings(study).steps.notna().any(),
    "costs": lambda study: any(costs_.costs(study).get("device", ())),
    "cpu": lambda study: set(costs_.costs(study).get("device", ())) == {"cpu"},
    "proofs": lambda study: "output_error" in controls_.proofs(study),
    "exact-fp16": lambda study: _exact(controls_.proofs(study)),
    "arms": lambda study: bool(_arms(study)),
    "null-control": lambda study: any(arm.get("batch_size") for arm in _arms(study).values()),
    "other-seed": lambda study: any(arm.get("seed") is not None for arm in _arms(study).values()),
    "controls": lambda study: bool(paired.controls(study)),
    "ladder": lambda study: any(len(arm["precisions"]) > 3 for arm in _arms(study).values()),
    "contact": lambda study: bool(_sheets(study, "")),
    "contact-ladder": lambda study: bool(_sheets(study, "ladder")),
    "spectra": lambda study: len(image_traces.read(study, "spectra.parquet")) > 0,
    "filtered": lambda study: len(image_traces.read(study, "counterfactuals.parquet")) > 0,
    "perturbed": lambda study: study.protocol == "plain" and len(image_traces.read(study, perturbed_.TABLE)) > 0,
}  # fmt: skip


def facts(study: Results) -> set[str]:
    """What a page may speak of: the study's keys, protocols and trainings, its scale, and each of `FACTS` that holds.

    The scale is "scale-mini", "scale-full" or "scale-unknown"; "conditions" says that there is more than one protocol
    or training, "seeds" that a training was repeated.
    """
    found = {*study.generators, *study.precisions, *study.detectors, f"scale-{study.scale or 'unknown'}"}
    conditions = {(protocol, label) for protocol, label, _ in conditions_.trainings_of(study)}
    found |= {name for condition in conditions for name in condition}
    found |= {"conditions"} if len(conditions) > 1 else set()
    found |= {"seeds"} if any(re.search(r"-s\d+$", label) for _, label in conditions) else set()
    return found | {name for name, holds in FACTS.items() if holds(study)}


def _arms(study: Results) -> dict[str, Any]:
    """The arms beside the main one that have scores."""
    there = set(tables.stored(study.folder).arm.unique())
    return {name: arm for name, arm in (study.manifest.get("study", {}).get("arms") or {}).items() if name in there}


def _exact(proofs: pd.DataFrame) -> bool:
    """Whether casting to FP16 changed nothing of some generator's weights."""
    return "weight_error" in proofs and bool((proofs.weight_error[proofs.precision == "fp16"] == 0).any())


def value(name: str, text: object) -> None:
    """Glue a text or a number as it is to be printed."""
    glue(name, Text(text), display=False)


def say(name: str, finding: Finding) -> None:
    """Glue a finding as `name`_answer (the sentence) and `name`_verdict (supported, contradicted ...)."""
    value(f"{name}_answer", finding.sentence)
    if finding.verdict:
        glue(f"{name}_verdict", Verdict(finding.verdict), display=False)


def claims(study: Results, *ids: str) -> list[Outcome]:
    """Judge the deck's claims (`ids` such as "C4", or all) and glue what is said of each, by its key.

    `C4_verdict`, `C4_answer` (the sentence), `C4_rule` (what counts) and, for a claim that depends on scores,
    `C4_elsewhere` (where another protocol, training or threshold comes out otherwise); `C4_size_...` for a part.
    """
    outcomes = deck.evaluate(study, *ids)
    for outcome in outcomes:
        key = outcome.claim.key
        glue(f"{key}_verdict", Verdict(outcome.verdict), display=False)
        value(f"{key}_answer", outcome.answer)
        value(f"{key}_rule", outcome.rule)
        if outcome.claim.again:
            value(f"{key}_elsewhere", deck.elsewhere(study, outcome.claim))
    return outcomes


def scorecard(study: Results, outcomes: Sequence[Outcome]) -> HTML:
    """A card for each claim: what the deck says, what is found with its interval, the verdict, and the figure."""
    return HTML(f'<div class="claims">{"".join(_card(study, outcome) for outcome in outcomes)}</div>')


def _card(study: Results, outcome: Outcome) -> str:
    claim, found = outcome.claim, outcome.interval
    counted = found.low == found.high  # bytes are counted and have no interval
    digits = 3 if found.high - found.low < 0.05 else 2  # so that a narrow interval is seen to have two ends
    shown = {} if pd.isna(found.estimate) else {
        outcome.finding.deciding: f"{found.estimate:.2f}" if counted else number(found, digits, sign=found.low < 0)
    }  # fmt: skip
    shown |= {"images": outcome.finding.n} if outcome.finding.n else {}
    rows = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in shown.items())
    numbers = f"<dl>{rows}</dl>" if rows else ""
    other = deck.elsewhere(study, claim) if claim.again else ""
    base = words.named(study.baseline) if claim.of_scores else "FP32"
    measured = claim.quantity.replace("FP32", base)
    return (
        f'<section class="claim" aria-label="{html.escape(claim.title)}"><p class="claim-head">'
        f"<strong>{html.escape(claim.title)}</strong> {Verdict(outcome.verdict)._repr_html_()}</p>"
        f"<p><em>The deck:</em> {html.escape(claim.words)}</p><p><em>Here:</em> {html.escape(outcome.answer)}</p>"
        f'{numbers}<p class="claim-small">Measured: {html.escape(measured)}. {html.escape(outcome.rule)} '
        f'<a href="{claim.page}.html#{claim.anchor}">Figure</a></p>'
        + (f'<p class="claim-small">{html.escape(other)}</p>' if other else "")
        + "</section>"
    )


#: Verdicts in a table that must be narrow.
MARKS = {
    "supported": "\N{CHECK MARK}",
    "contradicted": "\N{MULTIPLICATION SIGN}",
    "inconclusive": "?",
    "not testable": "\N{EN DASH}",
}


def elsewhere(study: Results) -> HTML:
    """The verdict on every claim under every protocol, training and threshold, the page's own first."""
    found = deck.across(study)
    keys, names = [claim.key for claim in deck.CLAIMS if claim.again], found.condition.unique()
    by = found.set_index(["condition", "key"])
    blank = "<td></td>"  # filtered images are not scored by every training
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
    cells = {
        name: "".join(_mark(by.loc[(name, key)]) if (name, key) in by.index else blank for key in keys)
        for name in names
    }
    rows = "".join(f'<tr><th scope="row">{html.escape(name)}</th>{marks}</tr>' for name, marks in cells.items())
    legend = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    return HTML(
        f'<p>{legend}</p><div class="table-scroll" tabindex="0"><table class="table verdicts">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _mark(row: pd.Series) -> str:
    told = row.verdict if pd.isna(row.estimate) else (
        f"{row.verdict}: {number(Interval(row.estimate, row.low, row.high))}, {row['of']}"
    )  # fmt: skip
    name = row.verdict.replace(" ", "-")
    return f'<td><span class="verdict verdict-{name}" title="{html.escape(told)}">{MARKS[row.verdict]}</span></td>'


def effects(found: pd.DataFrame, generator: str, *detectors: str) -> HTML:
    """Effect sizes on a generator, from `analysis.effects.effects`, with intervals and Holm's corrected p-values.

    Without `detectors`, of all of them.
    """
    if len(found):
        found = found[(found.generator == generator) & found.detector.isin(detectors or found.detector.unique())]
    if found.empty:
        wanted = " and ".join(filter(None, [words.named(generator), listed([words.named(d) for d in detectors])]))
        return HTML(f"<p>This study has no pairs of {wanted} at two precisions, so there is no table of them.</p>")

    def interval(row: Any, name: str, digits: int = 2, sign: bool = True) -> str:
        ends = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
        return number(Interval(*ends), digits, sign)

    def figure(value: float, digits: int) -> str:
        return DASH if pd.isna(value) else f"{value:.{digits}f}"

    def p(value: float) -> str:
        return DASH if pd.isna(value) else "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")

    rows = [
        {
            "detector": row.detector_title, "at": row.precision_title,
            "pairs": row.n, "shift, SD": interval(row, "standard"), "p of shift": p(row.shift_p_holm),
            "fake to real": interval(row, "lost_share", 3, False),
            "real to fake": interval(row, "gained_share", 3, False), "p of verdicts": p(row.p_holm),
            "Cliff's delta": interval(row, "cliff"),
            "KS": figure(row.ks, 3), "p of KS": p(row.ks_p_holm),
            "Wasserstein, SD": figure(row.wasserstein, 2), "p of it": p(row.wasserstein_p_holm),
        }
        for row in found.itertuples()
    ]  # fmt: skip
    return table(pd.DataFrame(rows), "Paired effects; p with Holm's correction")


def beyond(found: pd.DataFrame) -> HTML:
    """In how many pairs of generator and detector a precision moves images further than each control does."""
    if found.empty:
        return HTML("<p>This study has no control to set its precisions against.</p>")
    rows = [
        {
            "precision": title, "control": control, "further": f"{int(own.further.sum())} of {len(own)}",
            "least excess": _excess(own, "idxmin"),
            "largest excess": _excess(own, "idxmax"),
        }
        for (title, control), own in found.groupby(["precision_title", "control_title"], sort=False)
    ]  # fmt: skip
    return table(pd.DataFrame(rows), "Change of logit beyond the control's, in standard deviations at the baseline")


def _excess(found: pd.DataFrame, which: str) -> str:
    known = found.dropna(subset="excess")
    if known.empty:
        return DASH
    row = known.loc[getattr(known.excess, which)()]
    return number(Interval(row.excess, row.excess_low, row.excess_high), sign=True)


def power(found: pd.DataFrame) -> HTML:
    """The table of `analysis.power.table`: the chance to show what is so, by number of images."""
    sizes = [name for name in found if name.startswith("n_")]
    shown = found.assign(**{name: [f"{100 * chance:.0f} %" for chance in found[name]] for name in sizes})
    return table(shown.rename(columns={name: f"{name[2:]} images" for name in sizes}), "Chance to be found supported")


def show(name: str, chart: Any) -> None:
    """Display a chart and glue it, so that another page can quote the figure."""
    glue(name, chart, display=True)


def table(frame: pd.DataFrame, caption: str = "") -> HTML:
    """A table that scrolls inside its own box where the page is narrower than it."""
    inner = frame.to_html(index=False, border=0, classes="table", na_rep=DASH, justify="left")
    # Outside the box that scrolls: a caption in the table would be as wide as it.
    said = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return HTML(f'<figure class="table-figure">{said}<div class="table-scroll" tabindex="0">{inner}</div></figure>')


def matrix(costs: pd.DataFrame, column: str, form: str, caption: str = "") -> HTML:
    """One figure of every cell as a table, generators down and precisions across, each printed with `form`."""
    if costs.empty or costs[column].isna().all():
        return HTML(f"<p>{html.escape(caption)}: not known of this study.</p>")
    wide = costs.pivot(index="generator_title", columns="precision_title", values=column)
    places = {title: place for place, title in enumerate(row.title for row in PRECISIONS.values())}
    columns = sorted(costs.precision_title.unique(), key=lambda title: places.get(title, len(places)))
    wide = wide.reindex(index=costs.generator_title.unique(), columns=columns)
    printed = wide.map(lambda number: DASH if pd.isna(number) else form.format(number))
    return table(printed.rename_axis(None, axis=1).reset_index(names="generator"), caption)


def images(study: Results) -> HTML:
    """How many images each cell has scores of."""
    fakes = study.scores[study.scores.label == 1]
    counted = fakes.groupby(["generator", "precision"], observed=True)["index"].nunique().reset_index(name="images")
    counted = counted.astype({"generator": str, "precision": str})
    counted = counted.sort_values("generator", key=lambda keys: keys.map(study.generators.index), kind="stable")
    named = {f"{kind}_title": counted[kind].map(study.titles(kind)) for kind in ("generator", "precision")}
    return matrix(counted.assign(**named), "images", "{:.0f}", "Images per cell")


def settings(study: Results) -> HTML:
    """The generators with their settings, as far as they are known."""
    return table(costs_.settings(study).dropna(axis=1, how="all"), "Generators")


COSTS = {
    "bytes_share": ("{:.0%}", "Weights in memory against before"),
    "seconds_per_image": ("{:.2f}", "Seconds per image"),
    "seconds_load": ("{:.2f}", "Seconds to load"),
    "seconds_quantize": ("{:.2f}", "Seconds to quantize"),
    "peak_memory_mb": ("{:.0f}", "Peak memory of the process or the device, MB"),
}


def costs(found: pd.DataFrame, column: str) -> HTML:
    """One of `COSTS` of every cell, from `analysis.tables.costs`."""
    return matrix(found, column, *COSTS[column])


def miniatures(study: Results) -> None:
    """Display what is known of the miniatures behind a study: measures at FP32, cards, training curves."""
    if study.scale != "mini":
        display(Markdown(
            "This study runs public checkpoints; their makers' cards describe them." if study.scale == "full"
            else "Which models made these images, at which scale, this study does not say."
        ))  # fmt: skip
        return
    measures, curves = miniatures_.measures(), miniatures_.curves()
    if len(measures):
        display(table(measures, "Measures at FP32; a target was set before any quantized image was scored"))
    else:
        display(Markdown("The generators were not measured: `quantdetect train mini --evaluate` does it."))
    display(table(miniatures_.overview(), "Cards of the shipped models"))
    if len(curves):
        display(charts.curves(curves))


def trainings(study: Results, *generators: str) -> HTML:
    """How far each detector's own training moves the change of accuracy: its least and most over the trainings."""
    found = analysis.trainings(study)
    if not len(found):
        return HTML(
            "<p>This study has one training of each detector, so the spread between trainings is not known.</p>"
        )
    found = found[found.generator.isin(generators or study.generators)]
    if found.empty:
        named = listed([words.named(key) for key in generators], "or")
        return HTML(f"<p>This study has no images of {named}, so there is no table of them.</p>")
    spread = [
        DASH if pd.isna(row.change_min) else f"{100 * row.change_min:+.1f} to {100 * row.change_max:+.1f}"
        for row in found.itertuples()
    ]
    wide = found.assign(spread=spread).pivot(
        index=["generator_title", "detector_title", "trainings"], columns="precision_title", values="spread"
    )
    wide = wide[[title for title in found.precision_title.unique()]].reset_index()
    wide = wide.rename(columns={"generator_title": "generator", "detector_title": "detector"}).rename_axis(None, axis=1)
    base = words.named(study.baseline)
    return table(wide, f"Change of accuracy against {base}, in points: least to most of a detector's trainings")


def conditions(study: Results, figure: str = "auc", *generators: str) -> HTML:
    """One figure ("auc" or "tpr") of every protocol and training at the first precision and the last, per generator.

    Without `generators`, all of the page's.
    """
    first, last = study.precisions[0], study.precisions[-1]
    found = analysis.conditions(study)
    found = found[found.generator.isin(generators or study.generators)]
    ends = [found[f"{figure}_{end}"] for end in dict.fromkeys((first, last))]
    if found.empty:
        named = listed([words.named(key) for key in generators], "or")
        return HTML(f"<p>This study has no images of {named}, so there is no table of them.</p>")
    what = {"auc": "AUC", "tpr": "Accuracy"}[figure]
    if all(end.isna().all() for end in ends):
        lacks = {"auc": "This study has no real images beside its fakes, so no AUC is known.",
                 "tpr": f"No accuracy is known: {rule.unscaled(study.unjudged)}."}  # fmt: skip
        return HTML(f"<p>{lacks[figure]}</p>")
    printed = [end.map(lambda value: DASH if pd.isna(value) else f"{value:.2f}") for end in ends]
    found = found.assign(
        figure=[" \N{RIGHTWARDS ARROW} ".join(row) for row in zip(*printed, strict=True)],
        condition=found.protocol + " \N{MIDDLE DOT} " + found.weights,
        detector=found.detector.map(study.titles("detector")),
        generator=found.generator.map(study.titles("generator")),
    )
    keys = ["condition", "detector"]
    wide = found.pivot(index=keys, columns="generator", values="figure")
    wide = wide.loc[list(found[keys].drop_duplicates().itertuples(index=False, name=None)), found.generator.unique()]
    at = " \N{RIGHTWARDS ARROW} ".join(words.named(key) for key in dict.fromkeys((first, last)))
    return table(wide.rename_axis(None, axis=1).reset_index(), f"{what} at {at}")


def proofs(study: Results, arm: str = "") -> HTML:
    """What was measured of each component of each quantized cell of an arm (default the main one)."""
    found = controls_.proofs(study)
    found = found[(found.arm == (arm or study.arm)) & (found.precision != "fp32")] if len(found) else found
    if found.empty or "output_error" not in found:
        return HTML("<p>This study has no record of what its precisions did to the weights.</p>")
    kinds = [kind for kind in ("attention", "feed-forward", "convolution", "other") if kind in found]
    # Records of older runs lack what the format makes of the weights by its definition.
    errors = [column for column in ("weight_error", "expected_error", "output_error") if column in found]
    percent = {column: "{:.2%}".format for column in (*errors, *kinds)}
    percent |= {"share": "{:.1%}".format, "native_deviation": "{:.1e}".format, "parameters": "{:,}".format}
    shown = found.assign(
        bytes=[f"{before / 1e6:.2f} \N{RIGHTWARDS ARROW} {after / 1e6:.2f}" for before, after in zip(
            found.bytes_before, found.bytes_after, strict=True)],
        **{column: found[column].map(form, na_action="ignore") for column, form in percent.items()},
    )  # fmt: skip
    columns = {
        "generator_title": "generator", "precision_title": "precision", "component": "component",
        "parameters": "parameters", "share": "in the format", "bytes": "MB", "weight_error": "weight error",
        "expected_error": "by definition", **{kind: kind for kind in kinds}, "output_error": "output error",
        "native_deviation": "native \N{MINUS SIGN} rounded",
    }  # fmt: skip
    columns = {name: title for name, title in columns.items() if name in shown}
    shown = shown[list(columns)].rename(columns=columns)
    return table(shown, "Each component at each precision; errors are relative (Frobenius), by kind of layer too")


def controls(study: Results, figure: str = "spread") -> HTML:
    """How far each arm moves each detector: "spread" of the paired logits, their "mean", or verdicts "changed"."""
    found = controls_.spreads(study)
    if found.empty or found.arm.nunique() < 2:
        return HTML("<p>This study has no arms beside its main one.</p>")
    form, base = {"changed": "{:.1%}", "spread": "{:.3f}", "mean": "{:+.3f}"}[figure], words.named(study.baseline)
    keys = ["arm_title", "precision_title"]
    wide = found.pivot(index=keys, columns="detector_title", values=figure)
    wide = wide.loc[
        list(found[keys].drop_duplicates().itertuples(index=False, name=None)), found.detector_title.unique()
    ]
    images = found.groupby(keys).n.max()
    wide = wide.map(lambda number: DASH if pd.isna(number) else form.format(number))
    wide = wide.assign(images=[images[key] for key in wide.index])
    what = {
        "spread": f"Standard deviation of the paired change of logit against {base}",
        "mean": f"Mean paired change of logit against {base}",
        "changed": f"Share of images whose verdict differs from their twin's at {base}",
    }[figure]
    wide = wide.rename_axis(None, axis=1).reset_index()
    wide["arm_title"] = wide.arm_title.where(~wide.arm_title.duplicated(), "")  # each arm is named once
    return table(wide.rename(columns={"arm_title": "arm", "precision_title": "precision"}), f"{what}, all generators")


def footprint() -> None:
    """Display the memory of the public checkpoints' weights: the chart by component, and what stays at FP4."""
    counted = footprint_.weights()
    if counted.empty:
        display(Markdown("The checkpoints' memory was not counted: `quantdetect footprint` does it."))
        return
    ways = {
        ("fp32", "whole"): "FP32", ("fp16", "whole"): "FP16",
        ("fp8", "linear"): "FP8", ("fp8", "all"): "FP8 and convolutions",
        ("fp4", "linear"): "FP4", ("fp4", "all"): "FP4 and convolutions",
    }  # fmt: skip
    how = pd.Series(list(zip(counted.precision, counted.coverage, strict=True))).map(ways)
    bars = counted.assign(how=how).dropna(subset="how")
    bars = bars.sort_values("how", key=lambda names: names.map(list(ways.values()).index), kind="stable")
    show("footprint", charts.footprint(bars))
    display(_stays(counted))


def _stays(counted: pd.DataFrame) -> HTML:
    """Each checkpoint at FP4: GB of its parts before (FP16) and after, and the share of its parameters quantized."""
    parts = {"denoiser": ["denoiser"], "T5": ["t5"], "CLIP": ["text_encoder", "text_encoder_2"], "VAE": ["vae"]}
    rows = []
    for title, group in counted.groupby("title", sort=False):
        half, four = (
            group[(group.precision == key) & (group.coverage == coverage)].set_index("component")
            for key, coverage in (("fp16", "whole"), ("fp4", "linear"))
        )
        row = {"checkpoint": title}
        for name, keys in parts.items():
            sizes = [frame.bytes.reindex(keys).sum() / 1e9 for frame in (half, four)]
            row[name] = " \N{RIGHTWARDS ARROW} ".join(f"{size:.2f}" for size in sizes) if sizes[0] else pd.NA
        row["denoiser quantized"] = f"{four.quantized['denoiser'] / four.parameters['denoiser']:.2%}"
        row["all weights quantized"] = f"{four.quantized.sum() / four.parameters.sum():.1%}"
        row["in all"] = f"{half.bytes.sum() / 1e9:.2f} \N{RIGHTWARDS ARROW} {four.bytes.sum() / 1e9:.2f}"
        rows.append(row)
    return table(pd.DataFrame(rows), "Weights in GB (10\N{SUPERSCRIPT NINE} bytes), FP16 \N{RIGHTWARDS ARROW} FP4")


def timings() -> None:
    """Display what was measured on a GPU, where a run is archived, and what others published, with its source."""
    runs = footprint_.measured()
    if len(runs):
        gigabytes = {
            key: runs[key].div(1e9).map("{:.2f}".format) for key in ("bytes", "peak_allocated", "peak_reserved")
        }
        runs = runs.assign(**gigabytes, seconds_per_step=runs.seconds_per_step.map("{:.3f}".format))
        columns = {
            "title": "checkpoint", "precision": "precision", "coverage": "coverage", "bytes": "weights GB",
            "peak_allocated": "peak GB", "peak_reserved": "reserved GB", "seconds_per_step": "s per step",
            "card": "card", "driver": "driver", "versions": "versions", "kernels": "kernels",
        }  # fmt: skip
        display(table(runs[list(columns)].rename(columns=columns), "Measured with random weights, native resolution"))
    found = footprint_.published()
    ratio = found.ratio.map("{:.2f}".format, na_action="ignore")
    columns = {
        "title": "checkpoint", "format": "format", "loaded_gb": "loaded", "peak_gb": "peak", "seconds": "seconds",
        "ratio": "time against 16 bits", "card": "card", "source": "source",
    }  # fmt: skip
    shown = found.assign(ratio=ratio)[list(columns)].rename(columns=columns)
    display(table(shown, "Published by others, 1024 px: memory in their GB, seconds for an image"))


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
    short = [DASH if middle == "nan" else f"{middle} ({low.removeprefix('0')}\N{EN DASH}{high.removeprefix('0')})"
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
    keys = _arms(study).get(arm, {}).get("precisions") or study.precisions
    rows = ", ".join(words.named(key) for key in keys)
    sheets = _sheets(study, arm)
    for title, sheet in sheets.items():
        beside = Path("contact") / sheet.name  # where the book puts them
        link = beside.as_posix() if beside.is_file() else Path(os.path.relpath(sheet)).as_posix()
        display(Markdown(f"**{title}** ({rows})\n\n![Contact sheet of {title}: the same prompts, rows {rows}]({link})"))
    if not sheets:
        display(Markdown("No contact sheets are stored with these results."))


def _sheets(study: Results, arm: str) -> dict[str, Path]:
    """The stored contact sheets of an arm (default the main one) by their generators' titles."""
    files = {
        title: study.folder / "contact" / (f"{key}-{arm}.webp" if arm else f"{key}.webp")
        for key, title in study.titles("generator").items()
    }
    return {title: file for title, file in files.items() if file.is_file()}


def live_check(path: str, study: Results) -> str:
    """What the live check on the machine that built this page found, in a sentence; says so where there was none.

    A check counts where the study and the scores that it compared are those of the page.
    """
    file = Path(path) if Path(path).is_absolute() else paths.ROOT / path
    try:
        outcome = paths.read_json(file)
        cells, agree = [dict(cell) for cell in outcome["cells"]], bool(outcome["agree"])
        checked = outcome["study_digest"], outcome["scores_sha256"]
        told = f"{_what(outcome, cells)} {'They agree' if agree else 'THEY DO NOT AGREE'} {_how(cells)}."
    except (OSError, Damaged, KeyError, TypeError, ValueError):
        return f"The live check was not run where this page was built: {ALONE}"
    if checked != (study.manifest.get("study_digest"), study.manifest.get("files", {}).get("scores.parquet")):
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
