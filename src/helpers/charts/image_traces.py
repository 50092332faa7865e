"""What quantization changes in the images themselves: fine detail, fingerprints, and what filters do in its place."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from helpers.analysis.words import counted, printed, share, span
from helpers.charts import findings, layers, theme
from helpers.precision.catalogue import PRECISIONS

__all__ = ["detail", "filters", "fingerprints"]

#: Column of the table -> its name in print, with the lowest precision in it, and its colour.
FILTERS = {
    "quantized": ("{}", "#D55E00"),
    "matched": ("matched to {}", "#0072B2"),
    "attenuated": ("losses alone", "#56B4E9"),
    "restored": ("{} restored", "#009E73"),
    "halved": ("half the detail", "#444444"),
}
KEYS = ["generator", "generator_title", "precision", "precision_title"]


def _forest(table: pd.DataFrame, value: str, axis: alt.X, form: str, against: str) -> list[alt.Chart]:
    """Points at `value` with intervals, generators down, precisions within; tooltips print figures with `form`."""
    names, scale = theme.compared(table)
    generators = theme.options(table, "generator").values()
    base = alt.Chart(table).encode(
        tooltip=layers.tooltips(
            ("generator_title:N", "generator"), ("precision_title:N", f"against {against}"),
            (f"{value}:Q", "estimate", form), (f"{value}_low:Q", "from", form), (f"{value}_high:Q", "to", form),
        )
    )  # fmt: skip
    colour = layers.legend(alt.Color("precision_title:N", sort=names, scale=scale))
    base = layers.grouped_rows(base, ("generator_title", generators), ("precision_title", names), colour)
    return layers.points_with_intervals(base, axis, f"{value}_high:Q", f"{value}:Q")


def detail(changes: pd.DataFrame, figure: str = "high", margin: float = 0.05, against: str = "FP32") -> alt.LayerChart:
    """Change of an image figure against the baseline, a share of it, per generator and precision; a menu chooses it.

    `changes` is the table of `helpers.analysis.image_traces.changes`; the dashed line is the loss that counts as
    smoothing, `against` names the baseline.
    """
    axis = alt.X("relative_low:Q", title="less  \N{LEFTWARDS ARROW}  change of power  \N{RIGHTWARDS ARROW}  more")
    axis = axis.scale(zero=True, padding=10).axis(tickCount=6, format="+.0%")
    marks = _forest(changes[[*KEYS, "figure", *layers.ends(["relative"])]].round(5), "relative", axis, "+.1%", against)
    marks = [mark.transform_filter("datum.figure == figure") for mark in marks]
    figures = dict(changes[["figure", "figure_title"]].drop_duplicates().itertuples(index=False, name=None))
    menus = [theme.choice("figure", "Measure", figures, figure)]
    description = (
        f"Relative change of a measure of the images against {against} in the same prompts, a row a generator; lines "
        f"are 95 % intervals. What lies left of the dashed line, {share(margin)} less, counts as smoothing."
    )
    smoothed = layers.rule(x=-margin, color=theme.INK, strokeDash=[6, 4])

    def says(figure: str) -> str:
        rows = changes[(changes.figure == figure) & changes.precision.isin(PRECISIONS)]
        if rows.empty:
            return findings.NOTHING
        rows = rows[rows.precision == rows.precision.iloc[-1]]
        lost = int((rows.relative_high < -margin).sum())
        on = f"{lost or 'none'} of {counted(len(rows), 'generator')}"
        return f"{rows.precision_title.iloc[-1]} takes more than {share(margin)} of {figures[figure]} on {on}"

    stack = [smoothed, layers.rule(x=0), *marks]
    return layers.compose(stack, menus, description, layers.stacked_offsets(14), says)


def fingerprints(table: pd.DataFrame, against: str = "FP32") -> alt.LayerChart:
    """Correlation of each cell's fingerprint with the baseline's, other scenes only, per generator and precision.

    `table` is that of `helpers.analysis.image_traces.fingerprints`; the line at 1 is the same fingerprint.
    """
    # Equal images have the same fingerprint, and no interval.
    shown = table[[*KEYS, *layers.ends(["correlation"])]].dropna(subset="correlation").round(4)
    axis = alt.X("correlation_low:Q", title=f"correlation with {against}'s fingerprint")
    axis = axis.scale(zero=False, padding=10).axis(tickCount=6, format=".1f")
    description = (
        f"Correlation of the fingerprint of a generator's images with that of its {against} images, over other scenes; "
        "lines are 95 % intervals, the upright line is the same fingerprint."
    )
    stack = [layers.rule(x=1), *_forest(shown, "correlation", axis, ".3f", against)]

    def says() -> str:
        rows = shown[shown.precision.isin(PRECISIONS)]
        rows = rows[rows.precision == rows.precision.iloc[-1]] if len(rows) else shown
        over = findings.from_to(rows, "correlation", "generator_title")
        return (
            f"{rows.precision_title.iloc[-1]}'s fingerprints correlate with {against}'s by {over.removeprefix('from ')}"
        )

    return layers.compose(stack, [], description, layers.stacked_offsets(14), says)


def filters(
    table: pd.DataFrame, generator: str = "sd3", quantized: str = "FP4", against: str = "FP32"
) -> alt.LayerChart:
    """What a precision and the filters do to each detector's logits on a generator, with intervals; a menu chooses it.

    `table` is that of `helpers.analysis.image_traces.treatments`; `quantized` and `against` name the lowest precision
    and the baseline.
    """
    generators, detectors = (theme.options(table, key) for key in ("generator", "detector"))
    titles = {name: title.format(quantized) for name, (title, _) in FILTERS.items()}
    names = list(titles.values())
    colours = {titles[name]: colour for name, (_, colour) in FILTERS.items()}
    base = (
        alt.Chart(_long(table, titles))
        .transform_filter("datum.generator == model")
        .encode(
            tooltip=layers.tooltips(
                ("detector_title:N", "detector"), ("treatment:N", "images"), ("value:Q", "shift", "+.2f"),
                ("low:Q", "from", "+.2f"), ("high:Q", "to", "+.2f"), ("n:Q", "images"),
            )
        )
    )  # fmt: skip
    colour = layers.legend(layers.coloured("treatment", colours))
    base = layers.grouped_rows(base, ("detector_title", detectors.values()), ("treatment", names), colour)
    axis = "more real  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
    marks = layers.points_with_intervals(base, alt.X("low:Q", title=axis).axis(tickCount=6))
    description = (
        f"Shift of each detector's logits against unfiltered {against} images of the same prompts, in standard "
        f"deviations: {', '.join(names)}. Lines are 95 % intervals, over {span(table.n)} images of a generator."
    )
    menus = [theme.choice("model", "Generator", generators, generator)]

    def says(model: str) -> str:
        rows = table[(table.generator == model) & table.quantized.notna()]
        if rows.empty:
            return findings.NOTHING
        row = findings.widest(rows, "quantized")
        own, matched = (printed(row[name], sign=True) for name in ("quantized", "matched"))
        return (
            f"On {generators[model]}, {quantized} moves {row.detector_title} most: {own} standard "
            f"deviations; a filter to its spectrum, {matched}"
        )

    stack = [layers.rule(x=0), *marks]
    return layers.compose(stack, menus, description, layers.stacked_offsets(14), says)


def _long(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """One row per treatment, by its title, instead of its columns."""
    keys = table[["generator", "detector_title", "n"]]
    treatments = [
        keys.assign(treatment=title, value=table[name], low=table[f"{name}_low"], high=table[f"{name}_high"])
        for name, title in titles.items()
    ]
    return pd.concat(treatments).round(4)
