"""Spectra of the images by frequency, and autocorrelation of their residuals."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["autocorrelation", "radial"]


def radial(curves: pd.DataFrame, generator: str = "sd3", show: str = "change", against: str = "FP32") -> alt.LayerChart:
    """Mean radial spectra with intervals, a line per precision; menus choose the generator, and levels or changes.

    `curves` is the table of `helpers.analysis.image_traces.curves`, `against` names the baseline. Reals are part of the
    levels alone.
    """
    generators = theme.options(curves, "generator")
    names, scale = theme.compared(curves)
    columns = ["generator", "precision", "precision_title", "x", *layers.ends(["level", "change"])]
    base = (
        alt.Chart(curves[columns].round(3))
        .transform_filter("datum.generator == model && (show == 'level' || datum.precision != 'real')")
        .transform_calculate(value="datum[show]", low="datum[show + '_low']", high="datum[show + '_high']")
        .encode(
            x=alt.X("x:Q", title="frequency, as a share of Nyquist's").scale(domain=[0, 1]).axis(tickCount=5),
            color=alt.Color("precision_title:N", scale=scale, sort=names).legend(
                symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=5
            ),
            tooltip=layers.tooltips(
                ("precision_title:N", "images"), ("x:Q", "frequency", ".2f"), ("value:Q", "dB", "+.2f")
            ),
        )
    )
    dashes = ([[4, 3]] if "real" in names else []) + layers.DASHES
    dash = alt.StrokeDash("precision_title:N", sort=names, legend=None).scale(domain=names, range=dashes)
    line = alt.Y("value:Q", title="dB").axis(tickCount=6)
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("show", "Show", {"change": f"difference from {against}", "level": "level"}, show),
    ]
    description = (
        f"Mean radial power spectra of {len(generators)} generators' images at {', '.join(names)}, in dB, with 95 % "
        f"intervals; menus choose the generator, and levels or the difference from {against}."
    )
    return layers.compose(layers.band_and_line(base, "low:Q", line, dash, opacity=0.2), menus, description, 280)


def autocorrelation(table: pd.DataFrame, generator: str = "sd3") -> alt.LayerChart:
    """Autocorrelation of the residuals, a square panel per precision and one of reals; a menu chooses the generator.

    `table` is that of `helpers.analysis.image_traces.autocorrelations`. Lag 0, always 1, lies in the middle.
    """
    generators = theme.options(table, "generator")
    names = list(theme.options(table, "precision").values())
    side = int(np.sqrt(len(table["values"].iloc[0])))
    panels = table[["generator", "precision_title"]].assign(
        panel=[names.index(title) for title in table.precision_title],
        r=[[float(value) for value in values] for values in table["values"]],
        place=[list(range(side * side))] * len(table),
    )
    base = alt.Chart(panels).transform_filter("datum.generator == model")
    description = (
        f"Autocorrelation of the residuals of {len(generators)} generators' images: panels for {', '.join(names)}; a "
        "menu chooses the generator."
    )
    menus = [theme.choice("model", "Generator", generators, generator)]
    return layers.compose(_panels(base, len(names), side), menus, description, 190)


def _panels(base: alt.Chart, count: int, side: int) -> list[alt.Chart]:
    """`count` squares of `side` lags a side beside each other, and what each is of above it.

    One view for all, as facets do not follow a page's width.
    """
    step = side + 1.5
    across = alt.X("x:Q", title=None, axis=None).scale(domain=[0, count * step], nice=False)
    squares = (
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
            tooltip=layers.tooltips(
                ("precision_title:N", "images"), ("dx:Q", "lag across"), ("dy:Q", "lag down"),
                ("r:Q", "correlation", "+.2f"),
            ),
        )
    )  # fmt: skip
    words = (
        base.transform_calculate(x=f"datum.panel * {step} + {side / 2}")
        .mark_text(fontWeight=600, baseline="bottom")
        .encode(x=across, y=alt.datum(-0.5), text="precision_title:N")
    )
    return [squares, words]
