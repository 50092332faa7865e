"""What the cells of notebook 07 call: figures and tables of the images' traces, or the sentence that one is missing.

Each is given the table that it shows, by the name said in its docstring, and the results that the table is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import charts
from helpers.analysis import decoder, dose, families, real_ladders
from helpers.analysis.words import named, printed, share, span
from helpers.claims import dose as dose_sentences
from helpers.claims import smoothing
from helpers.claims.rule import HOLDS, Finding, margins
from helpers.paper import page, tables
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results
from helpers.study.rules import shipped

__all__ = [
    "autocorrelation", "component_shifts", "content", "contrasts", "detail", "detection", "dose_aucs", "dose_shifts",
    "doses", "families_figure", "families_places", "families_table", "filters", "fingerprints", "ladder", "levels",
    "neighbours", "predictions", "radial", "real_doses", "relations", "shares", "strata",
]  # fmt: skip

MISSING = {
    "spectra": "The spectra of this study's images were not measured, so this figure is missing.",
    "filters": "This study has no filtered images, so what a filter does to its detectors is not known.",
    "ladder": "This study has no ladder of formats.",
    "distances": dose_sentences.NONE,
    "neighbours": "No dose of this study has a second rung in reach.",
    "readings": "What this study's pictures show was not read.",
    "arms": "This study has nothing beside its baseline.",
    "auc": "This study has no reals, so no AUC.",
    "aligned": "This study has no AUC under the protocol aligned.",
    "families": "UNets and DiTs cannot be set side by side here: see the sentence above.",
    "shares": "This study has neither reals passed through the VAE nor the protocol aligned: no shares are known.",
}


def _figure(name: str, chart: Callable[..., Any], table: pd.DataFrame, missing: str, *rest: Any, **words: str) -> None:
    """Show and glue a chart of a table; without rows, say what is missing."""
    if table.empty:
        display(Markdown(MISSING[missing]))
    else:
        page.glue_figure(name, chart(table, *rest, **words))


def radial(table: pd.DataFrame, results: Results, generator: str = "sd3") -> None:
    """The radial spectra (`image_traces.curves`)."""
    _figure("radial", charts.radial, table, "spectra", generator, against=named(results.baseline))


def autocorrelation(table: pd.DataFrame, results: Results, generator: str = "sd3") -> None:
    """The autocorrelation of the residuals (`image_traces.autocorrelations`)."""
    _figure("autocorrelation", charts.autocorrelation, table, "spectra", generator)


def detail(table: pd.DataFrame, results: Results) -> None:
    """The change of fine detail against the baseline (`image_traces.changes`), with the margin of smoothing."""
    rest = ("high", margins(results)["smoothing"], named(results.baseline))
    _figure("detail", charts.detail, table, "spectra", *rest)


def fingerprints(table: pd.DataFrame, results: Results) -> None:
    """The correlation of fingerprints with the baseline's (`image_traces.fingerprints`)."""
    table = table.dropna(subset=["correlation"]) if len(table) else table
    _figure("fingerprints", charts.fingerprints, table, "spectra", named(results.baseline))


def filters(table: pd.DataFrame, results: Results, generator: str = "sd3") -> None:
    """What the lowest precision and filters do to each detector (`image_traces.treatments`)."""
    rest = (generator, named(results.lowest), named(results.baseline))
    _figure("filters", charts.filters, table, "filters", *rest)


def ladder(table: pd.DataFrame, results: Results, generator: str = "sd3", detector: str = "npr") -> None:
    """Response against weight error along the ladder of formats (`dose_response.ladder`)."""
    rest = (generator, detector, "shift", named(results.baseline))
    _figure("ladder", charts.ladder, table, "ladder", *rest)


def _table(
    found: pd.DataFrame, columns: dict[str, tuple[str, int, bool]], keys: dict[str, str], caption: str, missing: str
) -> HTML:
    """Estimates with their intervals under the keys' columns; without rows, the sentence that says what is missing."""
    return (
        tables.table(tables.intervals(found, keys, columns), caption)
        if len(found)
        else tables.missing(MISSING[missing])
    )


def levels(table: pd.DataFrame, results: Results) -> HTML:
    """What NPR reads and the peaks of upsampling (`image_traces.levels`), of reals, of the first precision's images and
    of the last's.
    """
    table = (
        table[table.precision.isin(["real", results.precisions[0], results.precisions[-1]])] if len(table) else table
    )
    columns = {"npr": ("NPR residual", 1, False)}
    columns |= {f"period_{period}": (f"peak at period {period}", 1, False) for period in (2, 4, 8)}
    keys = {"generator_title": "generator", "precision_title": "images"}
    return _table(
        table, columns, keys, "NPR residual (levels of 255); peaks over their neighbours (1: none)", "spectra"
    )


def predictions(found: dict[str, Finding], results: Results) -> HTML:
    """The predictions of the smoothing filter (`smoothing.predictions`) with their verdicts and sentences."""
    said = {key: smoothing.in_study(results, words) for key, words in smoothing.PREDICTIONS.items()}
    rows = [
        f"<dt>({key}) {words}: {page.Verdict(HOLDS[found[key].verdict])._repr_html_()}</dt>"
        f"<dd>{found[key].sentence}</dd>"
        for key, words in said.items()
    ]
    return HTML(f"<dl>{''.join(rows)}</dl>")


def shares(table: pd.DataFrame, results: Results) -> HTML:
    """What each detector's detection at the baseline is owed to (`decoder.shares`), where it is known."""
    columns = {
        "decoder": ("decoder alone", 2, False),
        "denoiser": ("denoiser alone", 2, False),
        "retrained": ("retrained detector", 2, False),
    }
    caption = f"Shares of the detection of {named(results.baseline)} images, mean over generators"
    return _table(decoder.known_shares(table), columns, {"detector_title": "detector"}, caption, "shares")


def component_shifts(table: pd.DataFrame, results: Results) -> HTML:
    """What quantizing the denoiser moves, and what quantizing the VAE alone (`decoder.component_shifts`)."""
    columns = {"shift": ("mean shift", 2, True), "size": ("root mean square shift", 2, False)}
    keys = {"detector_title": "detector", "precision_title": "precision", "part": "quantized part"}
    for column, order in (("precision", list(PRECISIONS)), ("detector", list(results.detectors))) if len(table) else ():
        table = table.sort_values(column, key=lambda keys, order=order: keys.map(order.index), kind="stable")
    caption = f"Paired change of logit, in standard deviations of {named(results.baseline)}'s, all generators"
    caption += f"; of {span(table.n)} images each" if len(table) else ""
    return _table(table, columns, keys, caption, "arms")


def detection(table: pd.DataFrame, results: Results) -> HTML:
    """How the AUC changes against the baseline (`decoder.detection`), with and without the decoder's traces in the
    reals.
    """
    table = table[(table.precision != results.baseline) & table.aligned_change.notna()]
    columns = {
        "plain_change": ("against plain reals", 3, True),
        "aligned_change": ("against aligned reals", 3, True),
    }
    keys = {"detector_title": "detector", "precision_title": "precision"}
    caption = f"Change of AUC against {named(results.baseline)}, mean over generators"
    return _table(table, columns, keys, caption, "aligned")


def relations(table: pd.DataFrame, results: Results) -> HTML:
    """What detection follows along the ladder, detector by detector (`dose_response.relations`)."""
    columns = {
        "rank_error": ("rank correlation with weight error", 2, True),
        "rank_bits": ("rank correlation with fewer bits", 2, True),
        "miss_error": ("miss when predicted from weight error", 2, False),
        "miss_bits": ("miss when predicted from bits", 2, False),
        "gain_error": ("miss from bits \N{MINUS SIGN} from error", 2, True),
    }
    caption = f"What the shift follows; misses in standard deviations of the {named(results.baseline)} logits"
    return _table(table, columns, {"detector_title": "detector"}, caption, "ladder")


def contrasts(table: pd.DataFrame, results: Results) -> HTML:
    """Formats of equal bits side by side, all detectors and each (`dose_response.contrasts`)."""
    columns = {
        "difference": ("difference of shifts", 2, True),
        "beyond": ("not explained by weight error", 2, True),
    }
    keys = {"first_title": "format", "second_title": "minus format", "detector_title": "detector"}
    caption = f"Shifts at equal bits, in standard deviations of the {named(results.baseline)} logits"
    return _table(table, columns, keys, caption, "ladder")


def dose_shifts(
    table: pd.DataFrame,
    results: Results,
    targets: Mapping[str, float],
    generator: str = "sd3",
    detector: str = "npr",
) -> None:
    """Response against the dose in the pictures (`dose.responses`), with the doses of real images marked."""
    rest = (targets, generator, detector, named(results.baseline))
    _figure("dose_shifts", charts.dose_shifts, table, "distances", *rest)


def dose_aucs(table: pd.DataFrame, results: Results) -> None:
    """AUC against the dose in the pictures (`dose.responses`), a figure for each detector, along the study's ladders;
    the doses of real images are bands."""
    ladders = [name for name, arm in results.arms.items() if arm.get("role") == "ladder"]
    rungs = table[table.arm.isin(ladders)] if len(table) else table
    known = rungs[rungs.auc.notna()] if len(rungs) else rungs
    if known.empty:
        display(Markdown(MISSING["auc" if len(rungs) else "ladder" if len(table) else "distances"]))
        return
    bands = real_ladders.doses(real_ladders.pairs(), results.rules.judging.doses.value)
    for detector in known.detector.unique():
        page.glue_figure(f"dose_auc_{detector}", charts.dose_auc(known, bands, detector, named(results.baseline)))


def families_places(table: pd.DataFrame, results: Results) -> HTML:
    """What stands for each generator at each dose when coverage is equal (`families.places`)."""
    if table.empty:
        return tables.missing(MISSING["families"])
    shown = pd.DataFrame({
        "generator": table.generator_title, "denoiser": table.kind.str.removesuffix("s"),
        "bits of real images": table.bits, "their PSNR, dB": [tables.figure(value, "{:.1f}") for value in table.target],
        "format in their place": [
            title or f"none: {why}" for title, why in zip(table.rung_title, table.why, strict=True)
        ],
        "share quantized": [tables.figure(part, "{:.0%}") for part in table["share"]],
        "its PSNR, dB": [tables.interval(row, "psnr", 1) for _, row in table.iterrows()],
    })  # fmt: skip
    return tables.table(shown, "The rung that stands for each generator at equal coverage and dose")


def families_table(table: pd.DataFrame, results: Results) -> HTML:
    """The mean effect on each detector by kind of denoiser, and the difference (`families.by_family`), over prompts and
    in all."""
    columns = {
        "auc": ("change of AUC, over prompts", 3, True), "auc_mean": ("mean change of AUC, in all", 3, True),
        "shift": ("shift, over prompts", 2, True), "shift_mean": ("mean shift, in all", 2, True),
    }  # fmt: skip
    if len(table):
        spread = [
            tables.DASH if not least == least else f"{printed(least, 3, True)} to {printed(most, 3, True)}"
            for least, most in zip(table.least, table.most, strict=True)
        ]
        table = table.assign(spread=spread)
        own = table.titles.where(table.kind != families.DIFFERENCE, "")
        table = table.assign(kind=[f"{kind}: {of}" if of else kind for kind, of in zip(table.kind, own, strict=True)])
    keys = {"bits": "bits of real images", "detector_title": "detector", "kind": "mean over", "trainings": "trainings"}
    caption = f"Change from {named(results.baseline)} at equal coverage and dose, mean over generators"
    caption += "; shifts in standard deviations at the baseline"
    return _table(table, columns, keys | {"spread": "change of AUC, range"}, caption, "families")


def families_figure(own: pd.DataFrame, means: pd.DataFrame, results: Results, detector: str = "r50_nodown") -> None:
    """The effects of `families.by_generator` and of `families.by_family` below each other, with intervals in all."""
    if len(own):
        psnr = [f"{row.rung_title}, {row.psnr:.1f} dB, {share(row.share)} quantized" for row in own.itertuples()]
        own = own.assign(row=own.generator_title, of=own.kind, stands=psnr)
        names = means.kind.where(means.kind == families.DIFFERENCE, means.kind + ", mean")
        own = pd.concat([own, means.assign(row=names, of=means.kind, stands=means.titles)])
        own = own.assign(dose=[f"real {bits}-bit images" for bits in own.bits])
        shown = {f"{name}{end}": own[f"{name}_mean{end}"] for name in families.EFFECTS for end in ("", "_low", "_high")}
        own = own.assign(**shown)
    _figure("families", charts.families, own, "families", results.lowest, detector, named(results.baseline))


def doses(table: pd.DataFrame, results: Results) -> HTML:
    """How far the images of each format lie from the baseline's (`dose.doses`): the main arm, then the ladder."""
    if len(table):
        ladders = [name for name, arm in results.arms.items() if arm.get("role") == "ladder"]
        table = table[table.arm.isin([results.arm, *ladders])]
        equal = [tables.DASH if not count else "all" if count == n else f"{count}"
                 for count, n in zip(table.identical, table.n, strict=True)]  # fmt: skip
        # A dose without end is none: the column beside it says that the images are equal.
        table = table.assign(equal=equal, psnr=table.psnr.where(np.isfinite(table.psnr)))
    columns = {"psnr": ("PSNR, dB", 1, False), "gmsd": ("GMSD", 3, False)}
    keys = {"generator_title": "generator", "arm_title": "arm", "precision_title": "format", "n": "images"}
    caption = f"Distance of images from {named(results.baseline)}'s of the same prompt and seed, medians"
    return _table(table, columns, keys | {"equal": "images equal byte for byte"}, caption, "distances")


def neighbours(table: pd.DataFrame, results: Results) -> HTML:
    """The shift at the rung that stands for a dose and at its neighbour (`dose.side_by_side`)."""
    if len(table):
        names = {name: [f"{title}, {psnr:.1f} dB" for title, psnr in zip(
            table[f"{name}_title"], table[f"{name}_psnr"], strict=True)] for name in ("rung", "next")}  # fmt: skip
        table = table.assign(**names, sign=["same" if same else "other" for same in table.same])
    columns = {"rung_shift": ("shift at the nearest", 2, True), "next_shift": ("shift at the neighbour", 2, True)}
    keys = {"generator_title": "generator", "bits": "bits of real images", "rung": "nearest rung",
            "next": "its neighbour", "detector_title": "detector", "sign": "sign"}  # fmt: skip
    caption = f"Two rungs for one dose: shifts from {named(results.baseline)}, in standard deviations at the baseline"
    return _table(table, columns, keys, caption, "neighbours")


def content(table: pd.DataFrame, results: Results) -> HTML:
    """What the judge reads no longer (`dose.content`), in the null control, the main arm and the ladder."""
    read = [results.arm, *(name for name, arm in results.arms.items() if arm.get("role") in _READ_ARMS)]
    table = table[table.arm.isin(read)] if len(table) else table
    names = {results.arm: "main arm"} | {name: arm.get("title", name) for name, arm in results.arms.items()}
    if len(table):
        lost = [f"{part}_lost{end}" for part in dose.PARTS for end in ("", "_low", "_high")]
        table = table.assign(arm_title=table.arm.map(names), **{name: 100 * table[name] for name in lost})
    columns = {f"{part}_lost": (f"{part} lost, %", 1, False) for part in dose.PARTS}
    keys = {"generator_title": "generator", "arm_title": "arm", "precision_title": "format", "n": "images"}
    caption = (
        f"Of the images that show it at {named(results.baseline)}, the share of which the judge reads it no longer"
    )
    return _table(table, columns, keys, caption, "readings")


_READ_ARMS = ("null", "seed", "ladder")


def strata(table: pd.DataFrame, results: Results) -> HTML:
    """The shift at the lowest precision among images of which the judge reads the same, and among the others
    (`dose.strata`).
    """
    table = table[table.precision == results.lowest] if len(table) else table
    columns = {"same": ("shift where read the same", 2, True), "changed": ("shift where read otherwise", 2, True)}
    keys = {"generator_title": "generator", "detector_title": "detector", "n_changed": "images read otherwise"}
    caption = f"Shift from {named(results.baseline)} to {named(results.lowest)}, in standard deviations"
    return _table(table, columns, keys, caption, "readings")


def real_doses() -> dict[str, float]:
    """Median PSNRs, in dB and by name, of real images at the rules' numbers of bits to those at their baseline."""
    medians = {bits: real_ladders.real_dose(bits).psnr.estimate for bits in shipped().judging.doses.value}
    return {f"the median of real {bits}-bit images": float(m) for bits, m in medians.items() if m == m}
