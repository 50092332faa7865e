"""The images' own traces: spectra, autocorrelation of residuals, changes of fine detail, fingerprints, filters."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from helpers.charts import theme

__all__ = ["autocorrelation", "detail", "filters", "fingerprints", "radial"]

REAL, NULL = "#666666", "#999999"  # what is no precision: reals, the null control
FILTERS = {
    "fp4": ("FP4", "#D55E00"),
    "matched": ("matched to FP4", "#0072B2"),
    "attenuated": ("losses alone", "#56B4E9"),
    "restored": ("FP4 restored", "#009E73"),
    "halved": ("half the detail", "#444444"),
}


def _titles(table: pd.DataFrame) -> tuple[list[str], alt.Scale]:
    """Names of what is compared, in order of appearance, and their colours."""
    named = theme.options(table, "precision")
    colours = [theme.PRECISION_COLOURS.get(key, REAL if key == "real" else NULL) for key in named]
    return list(named.values()), alt.Scale(domain=list(named.values()), range=colours)


def radial(curves: pd.DataFrame, generator: str = "sd3", show: str = "change") -> alt.LayerChart:
    """Mean radial spectra with intervals, a line per precision; menus choose the generator, and levels or changes.

    `curves` is the table of `helpers.analysis.image_traces.curves`. Reals are part of the levels alone.
    """
    generators = theme.options(curves, "generator")
    names, scale = _titles(curves)
    columns = ["generator", "precision", "precision_title", "x"]
    columns += [f"{name}{end}" for name in ("level", "change") for end in ("", "_low", "_high")]
    base = (
        alt.Chart(curves[columns].round(3))
        .transform_filter("datum.generator == model && (show == 'level' || datum.precision != 'real')")
        .transform_calculate(value="datum[show]", low="datum[show + '_low']", high="datum[show + '_high']")
        .encode(
            x=alt.X("x:Q", title="frequency, as a share of Nyquist's").scale(domain=[0, 1]).axis(tickCount=5),
            color=alt.Color("precision_title:N", scale=scale, sort=names).legend(
                symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=5
            ),
            tooltip=[
                alt.Tooltip("precision_title:N", title="images"),
                alt.Tooltip("x:Q", title="frequency", format=".2f"),
                alt.Tooltip("value:Q", title="dB", format="+.2f"),
            ],
        )
    )
    bands = base.mark_area(opacity=0.2).encode(y="low:Q", y2="high:Q")
    lines = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("value:Q", title="dB").axis(tickCount=6),
        strokeDash=alt.StrokeDash("precision_title:N", sort=names, legend=None).scale(
            domain=names, range=([[4, 3]] if "real" in names else []) + [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2]] * 3
        ),
    )
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("show", "Show", {"change": "difference from FP32", "level": "level"}, show),
    ]
    description = (
        f"Mean radial power spectra of {len(generators)} generators' images at {', '.join(names)}, in dB, with 95 % "
        "intervals; menus choose the generator, and levels or the difference from FP32."
    )
    return theme.describe(alt.layer(bands, lines).add_params(*menus), description, 280)


def autocorrelation(table: pd.DataFrame, generator: str = "sd3") -> alt.LayerChart:
    """Autocorrelation of the residuals, a square panel per precision and one of reals; a menu chooses the generator.

    `table` is that of `helpers.analysis.image_traces.autocorrelations`. Lag 0, always 1, lies in the middle.
    """
    generators = theme.options(table, "generator")
    names = list(theme.options(table, "precision").values())
    side = int(np.sqrt(len(table["values"].iloc[0])))
    step = side + 1.5
    panels = table[["generator", "precision_title"]].assign(
        panel=[names.index(title) for title in table.precision_title],
        r=[[float(value) for value in values] for values in table["values"]],
        place=[list(range(side * side))] * len(table),
    )
    base = alt.Chart(panels).transform_filter("datum.generator == model")
    across = alt.X("x:Q", title=None, axis=None).scale(domain=[0, len(names) * step], nice=False)
    cells = (
        base.transform_flatten(["r", "place"])
        .transform_calculate(
            dx=f"datum.place % {side} - {side // 2}", dy=f"floor(datum.place / {side}) - {side // 2}",
            x=f"datum.panel * {step} + datum.place % {side}", x2=f"datum.panel * {step} + datum.place % {side} + 1",
            y=f"floor(datum.place / {side})", y2=f"floor(datum.place / {side}) + 1",
        )
        .mark_rect()
        .encode(
            x=across, x2="x2:Q", y2="y2:Q",
            y=alt.Y("y:Q", title=None, axis=None).scale(domain=[-3, side], nice=False, reverse=True),
            color=alt.Color("r:Q", title="correlation").scale(scheme="blueorange", domain=[-0.4, 0.4], clamp=True)
            .legend(orient="bottom", gradientLength=160, title="correlation", titleOrient="left"),
            tooltip=[
                alt.Tooltip("precision_title:N", title="images"), alt.Tooltip("dx:Q", title="lag across"),
                alt.Tooltip("dy:Q", title="lag down"), alt.Tooltip("r:Q", title="correlation", format="+.2f"),
            ],
        )
    )  # fmt: skip
    words = (
        base.transform_calculate(x=f"datum.panel * {step} + {side / 2}")
        .mark_text(fontWeight=600, baseline="bottom")
        .encode(x=across, y=alt.datum(-0.5), text="precision_title:N")
    )
    description = (
        f"Autocorrelation of the residuals of {len(generators)} generators' images: panels for {', '.join(names)}; a "
        "menu chooses the generator."
    )
    menu = theme.choice("model", "Generator", generators, generator)
    return theme.describe(alt.layer(cells, words).add_params(menu), description, 190)


def _forest(table: pd.DataFrame, value: str, title: str, form: str, ticks: str, zero: float) -> list[alt.Chart]:
    """Points with intervals, generators down, precisions beside each other, over a line at `zero`."""
    names, scale = _titles(table)
    generators = list(theme.options(table, "generator").values())
    base = alt.Chart(table).encode(
        y=alt.Y("generator_title:N", sort=generators, title=None).axis(labelFontWeight=600, ticks=False),
        yOffset=alt.YOffset("precision_title:N", sort=names),
        color=alt.Color("precision_title:N", sort=names, scale=scale),
        tooltip=[
            alt.Tooltip("generator_title:N", title="generator"),
            alt.Tooltip("precision_title:N", title="against FP32"),
            alt.Tooltip(f"{value}:Q", title="estimate", format=form),
            alt.Tooltip(f"{value}_low:Q", title="from", format=form),
            alt.Tooltip(f"{value}_high:Q", title="to", format=form),
        ],
    )
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X(f"{value}_low:Q", title=title).scale(zero=zero == 0, padding=10).axis(tickCount=6, format=ticks),
        x2=f"{value}_high:Q",
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=f"{value}:Q")
    line = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#555").encode(x=alt.datum(zero))
    return [line, spans, points]


def detail(changes: pd.DataFrame, figure: str = "high", margin: float = 0.05) -> alt.LayerChart:
    """Change of an image figure against FP32, a share of it, per generator and precision; a menu chooses the figure.

    `changes` is the table of `helpers.analysis.image_traces.changes`; the dashed line is the loss that counts as
    smoothing.
    """
    columns = ["generator", "generator_title", "precision", "precision_title", "figure"]
    columns += ["relative", "relative_low", "relative_high"]
    table = changes[columns].round(5)
    layers = _forest(
        table, "relative", "less  \N{LEFTWARDS ARROW}  change of power  \N{RIGHTWARDS ARROW}  more", "+.1%", "+.0%", 0
    )
    layers = [layers[0], *(layer.transform_filter("datum.figure == figure") for layer in layers[1:])]
    counts = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#333", strokeDash=[6, 4]).encode(x=alt.datum(-margin))
    figures = dict(changes[["figure", "figure_title"]].drop_duplicates().itertuples(index=False, name=None))
    menu = theme.choice("figure", "Figure", figures, figure)
    description = (
        f"Relative change against FP32 of {', '.join(figures.values())} for {changes.generator.nunique()} generators, "
        "with 95 % intervals; a menu chooses the figure."
    )
    chart = alt.layer(counts, *layers).add_params(menu)
    return theme.describe(chart, description, alt.Step(14, **{"for": "offset"}))


def fingerprints(table: pd.DataFrame) -> alt.LayerChart:
    """Correlation of each cell's fingerprint with FP32's, other scenes only, per generator and precision.

    `table` is that of `helpers.analysis.image_traces.fingerprints`; the line at 1 is the same fingerprint.
    """
    columns = ["generator", "generator_title", "precision", "precision_title"]
    columns += ["correlation", "correlation_low", "correlation_high"]
    shown = table[columns].dropna().round(4)
    layers = _forest(shown, "correlation", "correlation with FP32's fingerprint", ".3f", ".1f", 1)
    description = (
        f"Correlation of the fingerprints of {shown.generator.nunique()} generators' images with that of their FP32 "
        "images, with 95 % intervals."
    )
    return theme.describe(alt.layer(*layers), description, alt.Step(14, **{"for": "offset"}))


def filters(table: pd.DataFrame, generator: str = "sd3") -> alt.LayerChart:
    """What FP4 and the filters do to each detector's logits on one generator, with intervals; a menu chooses it.

    `table` is that of `helpers.analysis.image_traces.treatments`.
    """
    generators, detectors = (list(theme.options(table, key).items()) for key in ("generator", "detector"))
    keys = ["generator", "detector_title", "n"]
    rows = pd.concat(
        [
            table[keys].assign(treatment=title, value=table[name], low=table[f"{name}_low"], high=table[f"{name}_high"])
            for name, (title, _) in FILTERS.items()
        ]
    ).round(4)
    names = [title for title, _ in FILTERS.values()]
    base = (
        alt.Chart(rows)
        .transform_filter("datum.generator == model")
        .encode(
            y=alt.Y("detector_title:N", sort=[title for _, title in detectors], title=None).axis(
                labelFontWeight=600, ticks=False
            ),
            yOffset=alt.YOffset("treatment:N", sort=names),
            color=alt.Color("treatment:N", sort=names, scale=alt.Scale(
                domain=names, range=[colour for _, colour in FILTERS.values()])).legend(columns=2),
            tooltip=[
                alt.Tooltip("detector_title:N", title="detector"), alt.Tooltip("treatment:N", title="images"),
                alt.Tooltip("value:Q", title="shift", format="+.2f"), alt.Tooltip("low:Q", title="from", format="+.2f"),
                alt.Tooltip("high:Q", title="to", format="+.2f"), alt.Tooltip("n:Q", title="images"),
            ],
        )
    )  # fmt: skip
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="more real \N{LEFTWARDS ARROW}  shift in SDs  \N{RIGHTWARDS ARROW} more fake")
        .axis(tickCount=6),
        x2="high:Q",
    )  # fmt: skip
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#555").encode(x=alt.datum(0))
    description = (
        f"Shift of {len(detectors)} detectors' logits against unfiltered FP32 images for {', '.join(names)}, with 95 % "
        "intervals; a menu chooses the generator."
    )
    menu = theme.choice("model", "Generator", dict(generators), generator)
    chart = alt.layer(zero, spans, points).add_params(menu)
    return theme.describe(chart, description, alt.Step(14, **{"for": "offset"}))
