"""What a format does to a detector against the dose that it gives the pictures, in dB of PSNR."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd

from helpers.analysis.words import capitalised, listed, printed
from helpers.charts import findings, layers, theme

__all__ = ["MEASURES", "dose_auc", "dose_shifts", "families"]

_COLUMNS = ["generator", "detector", "precision_title", "arm_title", "psnr", "psnr_low", "psnr_high", "n"]


#: Okabe and Ito's colours for generators, which have none elsewhere: warm for those that come first, the UNets.
_COLOURS = ["#E69F00", "#D55E00", "#CC79A7", "#56B4E9", "#0072B2", "#009E73", theme.OTHER]
_FAMILIES = ["#D55E00", "#0072B2", "#000000"]  # of kinds, and of their difference
_NAMED = 6  # of the marks, those farthest from zero
_RESPONSES = {"auc": "AUC"}
MEASURES = {"auc": "change of AUC", "shift": "logit shift, in standard deviations of {}"}


def dose_shifts(
    table: pd.DataFrame,
    targets: Mapping[str, float],
    generator: str = "sd3",
    detector: str = "npr",
    against: str = "FP32",
    measure: str = "shift",
) -> alt.LayerChart:
    """A measure of each format, the mean shift or another column of `table`, against the median PSNR of its images to
    the baseline's; menus choose.

    `table` is that of `helpers.analysis.dose.responses`; `targets` are doses in dB to be marked, by name; `against`
    names the baseline. The axis runs from large doses to small ones.
    """
    table = layers.bounded(table, [measure])
    generators, detectors = (theme.options(table, key) for key in ("generator", "detector"))
    titles = list(dict.fromkeys(table.arm_title))
    base = (
        alt.Chart(layers.picked(table, *_COLUMNS, *layers.ends([measure])))
        .transform_filter(f"datum.generator == model && datum.detector == detector && isValid(datum['{measure}'])")
        .transform_calculate(**{end or "value": f"datum['{measure}{end and '_'}{end}']" for end in ("", "low", "high")})
    )
    base = layers.capped(base, "precision_title", "true" if measure == "shift" else "false").encode(
            x=_psnr(against),
            tooltip=layers.tooltips(
                ("precision_title:N", "format"), ("arm_title:N", "arm"), ("psnr:Q", "PSNR, dB", ".1f"),
                ("value:Q", measure, "+.3f"), ("low:Q", "from", "+.3f"), ("high:Q", "to", "+.3f"),
                ("n:Q", "images"),
            ),
    )  # fmt: skip
    title = MEASURES.get(measure, measure).format(against)
    axis = alt.Y("least:Q", title=title).scale(zero=False)
    spans, points = layers.points_with_intervals(base, axis, "most:Q", "drawn:Q", size=80, width=2, opacity=0.8)
    # Where marks lie close their names would lie on each other: the farthest have one, the tooltip names all.
    names = base.transform_filter(f"datum.rank <= {_NAMED}").mark_text(dy=-9, baseline="bottom", fontSize=11)
    names = names.encode(y="most:Q", text="label:N", color=alt.value(theme.INK))
    shapes = layers.shapes("arm_title", titles)
    columns = alt.ExprRef("max(1, floor((width + 60) / 280))")
    short = "replace(datum.label, 'ladder of formats, ', 'ladder: ')"  # a phone has no room for all of it
    legend = shapes.legend(columns=columns, labelLimit=alt.ExprRef("min(280, width + 10)"), labelExpr=short)
    points = points.encode(shape=legend)
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
    ]
    doses = listed([f"{name} ({value:.1f} dB)" for name, value in targets.items()])
    marked = f" Upright lines mark {doses}." if doses else ""
    description = (
        f"{capitalised(title)}, against the median PSNR of a format's images to those of {against}. Each "
        f"mark is a format; lines are 95 % intervals.{marked} The farthest are named; one more than three times as far "
        "as the next stands at the edge, with an arrow and its value."
    )
    zero = layers.rule(y=0, color=theme.QUIET, strokeDash=[4, 3])
    says = _farthest(table, measure, generators, detectors)
    return layers.compose([zero, *_marks(targets), spans, points, names], menus, description, 300, says)


def _farthest(
    table: pd.DataFrame, measure: str, generators: Mapping[str, str], detectors: Mapping[str, str]
) -> Callable[..., str]:
    """Which format moves a detector most on a generator, and at which dose; of another measure what it runs over."""

    def says(model: str, detector: str) -> str:
        rows = table[(table.generator == model) & (table.detector == detector) & table[measure].notna()]
        if rows.empty:
            return findings.NOTHING
        if measure != "shift":
            over = findings.from_to(rows, measure, "precision_title", 3)
            return f"{detectors[detector]} on {generators[model]}: {measure} runs {over}"
        most = findings.widest(rows, "shift")
        return (
            f"On {generators[model]}, {most.precision_title} moves {detectors[detector]} most: "
            f"{printed(most['shift'], sign=True)} standard deviations at {printed(most.psnr, 1)} dB"
        )

    return says


def _marks(targets: Mapping[str, float]) -> list[alt.Chart]:
    """An upright line at each dose, with the number of its bits, or its name, at the top."""
    if not targets:
        return []
    names = [re.sub(r"^.*?(\d+)-bit.*$", r"\1 bits", name) for name in targets]
    base = alt.Chart(pd.DataFrame({"name": names, "target": list(targets.values())})).encode(x="target:Q")
    return [base.mark_rule(color=theme.QUIET, strokeDash=[2, 2]), _named(base)]


def _named(base: alt.Chart) -> alt.Chart:
    """The field `name` at the top of the figure, at the right of what stands there."""
    text = base.mark_text(align="left", baseline="top", dx=4, fontSize=11, color=theme.INK)
    return text.encode(y=alt.value(0), text="name:N")


def dose_auc(
    table: pd.DataFrame, bands: pd.DataFrame, detector: str = "npr", against: str = "FP32", measure: str = "auc"
) -> alt.LayerChart:
    """Dose and response of one detector: AUC, or another column of `table`, against the median PSNR of the images, a
    line per generator.

    `table` is that of `helpers.analysis.dose.responses`, narrowed to rungs; `bands` that of
    `helpers.analysis.real_ladders.doses`, whose medians stand as upright lines in bands of their 95 % intervals. The
    axis runs from large doses to small ones; `against` names the baseline.
    """
    table, title = layers.bounded(table, [measure]), _RESPONSES.get(measure, measure)
    own = table[(table.detector == detector) & table[measure].notna()]
    generators = theme.options(table, "generator")
    titles = list(generators.values())
    columns = ["generator_title", "precision_title", "arm_title", "psnr", "n", *layers.ends([measure])]
    before = [(f"{measure}_before:Q", f"{title} at {against}", ".3f")] if f"{measure}_before" in table else []
    columns += [f"{measure}_before"] if before else []
    colour = layers.coloured("generator_title", dict(zip(titles, _COLOURS * len(titles), strict=False)))
    base = alt.Chart(layers.picked(own, *columns)).encode(
        x=_psnr(against), color=layers.legend(colour),
        tooltip=layers.tooltips(
            ("generator_title:N", "generator"), ("precision_title:N", "format"), ("arm_title:N", "arm"),
            ("psnr:Q", "PSNR, dB", ".1f"), (f"{measure}:Q", title, ".3f"), (f"{measure}_low:Q", "from", ".3f"),
            (f"{measure}_high:Q", "to", ".3f"), *before, ("n:Q", "images"),
        ),
    )  # fmt: skip
    axis = alt.Y(f"{measure}_low:Q", title=title).scale(zero=False, padding=8).axis(tickCount=5)
    ends = (f"{measure}_high:Q", f"{measure}:Q")
    spans, points = layers.points_with_intervals(base, axis, *ends, size=45, width=1.5, opacity=0.9)
    points = points.encode(shape=layers.shapes("generator_title", titles))
    dash = alt.StrokeDash("arm_title:N", legend=None, sort=list(dict.fromkeys(table.arm_title)))
    dash = dash.scale(range=layers.DASHES[: table.arm_title.nunique()])
    lines = base.mark_line(strokeWidth=1.5).encode(y=f"{measure}:Q", strokeDash=dash, detail="arm_title:N")
    marked = "".join(f"; real {row.bits}-bit images lie at {row.psnr:.1f} dB" for row in bands.itertuples())
    name = own.detector_title.iloc[0] if len(own) else detector
    description = (
        f"{capitalised(title)} of {name} against the median PSNR to {against} of the images of "
        f"{own.precision.nunique()} formats, for {', '.join(own.generator_title.unique())}, with 95 % "
        f"intervals{marked}."
    )

    def says() -> str:
        least = own.loc[own[measure].idxmin()] if len(own) else None
        if least is None:
            return findings.NOTHING
        where = f"{least.generator_title} at {least.precision_title}, {printed(least.psnr, 1)} dB"
        return f"{name}: {title} is lowest, {printed(least[measure])}, on {where}"

    return layers.compose([*_bands(bands), lines, spans, points], [], description, 210, says)


def _psnr(against: str) -> alt.X:
    return alt.X("psnr:Q", title=f"median PSNR to {against}, dB").scale(zero=False, padding=24).axis(grid=True)


def _bands(bands: pd.DataFrame) -> list[alt.Chart]:
    """The median dose of real images at each number of bits, upright in a band of its interval, with its name."""
    if bands.empty:
        return []
    rows = bands.assign(name=[f"{bits} bits" for bits in bands.bits]).round(2)
    base = alt.Chart(rows).encode(
        x="psnr:Q",
        tooltip=layers.tooltips(
            ("name:N",), ("psnr:Q", "median PSNR", ".1f"), ("psnr_low:Q", "from", ".1f"), ("psnr_high:Q", "to", ".1f")
        ),
    )
    return [
        base.mark_rect(opacity=0.12, color=theme.INK).encode(x="psnr_low:Q", x2="psnr_high:Q"),
        base.mark_rule(color=theme.QUIET, strokeDash=[2, 2]),
        _named(base),
    ]


def families(
    table: pd.DataFrame, precision: str = "fp4", detector: str = "r50_nodown", against: str = "FP32",
    measure: str = "auc",
) -> alt.LayerChart:  # fmt: skip
    """What quantization does to a detector on each generator at equal coverage and dose, and on each kind in the mean.

    `table` has the rows of `helpers.analysis.families.by_generator` and of `by_family`, with `row` (the name down the
    side), `of` (the kind) and `dose` (the name of the precision's dose). Figures of auc and shift are means
    over trainings, with intervals in all. Menus choose dose, detector and measure.
    """
    there = layers.measures(table, {name: words.format(against) for name, words in MEASURES.items()}, measure)
    table = layers.bounded(table, there)
    doses = dict(table[["precision", "dose"]].drop_duplicates().itertuples(index=False, name=None))
    detectors, kinds = theme.options(table, "detector"), list(dict.fromkeys(table.of))
    columns = ["row", "of", "precision", "detector", "stands", *layers.ends(there)]
    base = (
        alt.Chart(layers.picked(table, *columns))
        .transform_filter("datum.detector == detector && datum.precision == dose")
        .transform_calculate(**layers.MEASURED)
        .transform_filter("isValid(datum.value)")
        .encode(
            y=layers.rows("row", list(dict.fromkeys(table.row))),
            color=layers.coloured("of", dict(zip(kinds, _FAMILIES, strict=False))),
            tooltip=layers.tooltips(
                ("row:N", "generator or mean"),
                ("stands:N", "rung"),
                ("value:Q", "change", "+.3f"),
                ("interval:N", "95 % interval in all"),
            ),  # fmt: skip
        )
    )
    along = alt.X("low:Q", title="change, with 95 % interval in all").axis(tickCount=6)
    marks = layers.points_with_intervals(base, along)
    menus = [
        theme.choice("dose", "Dose", doses, precision),
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measure", there, measure),
    ]
    description = (
        f"Change from {against} where as much of every denoiser is quantized and images lie as far off as real ones: "
        f"{', '.join(dict.fromkeys(table.row))}. Lines are 95 % intervals in all."
    )
    means = table[table.generator.isna()] if "generator" in table and table.generator.isna().any() else table

    def says(dose: str, detector: str, measure: str) -> str:
        rows = means[(means.precision == dose) & (means.detector == detector) & means[measure].notna()]
        parts = [f"{printed(row[measure], sign=True)} ({row['row']})" for _, row in rows.iterrows()]
        said = f"At the dose of {doses[dose]}, {detectors[detector]}'s {there[measure]}"
        return f"{said}: {', '.join(parts)}" if parts else findings.NOTHING

    zero = layers.rule(x=0, color=theme.QUIET, strokeDash=[4, 3])
    return layers.compose([zero, *marks], menus, description, alt.Step(26), says)
