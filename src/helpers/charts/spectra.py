"""Spectra of the images by frequency, and autocorrelation of their residuals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import altair as alt
import numpy as np
import pandas as pd

from helpers.analysis.words import printed
from helpers.charts import findings, layers, theme
from helpers.precision.catalogue import PRECISIONS

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
                symbolType="stroke",
                symbolStrokeWidth=3,
                symbolOpacity=1,
                columns=alt.ExprRef("max(2, floor((width + 60) / 120))"),
            ),
            tooltip=layers.tooltips(
                ("precision_title:N", "images"), ("x:Q", "frequency", ".2f"), ("value:Q", "dB", "+.2f")
            ),
        )
    )
    dashes = ([[4, 3]] if "real" in names else []) + layers.DASHES
    dash = alt.StrokeDash("precision_title:N", sort=names).scale(domain=names, range=dashes)
    line = alt.Y("value:Q", title="power, dB").axis(tickCount=6)
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("show", "Show", {"change": f"difference from {against}", "level": "level"}, show),
    ]
    description = (
        f"Mean radial power spectrum of a generator's images ({', '.join(names)}), or its difference from {against} in "
        "the same prompts, in dB; bands are 95 % intervals."
    )
    stack = layers.band_and_line(base, "low:Q", line, dash, opacity=0.2)
    return layers.compose(stack, menus, description, 280, _above_half(curves, generators, against))


def _above_half(curves: pd.DataFrame, generators: Mapping[str, str], against: str) -> Callable[..., str]:
    """The mean over the upper half of the frequencies at the lowest precision, or its difference from the baseline."""
    upper = curves[(curves.x >= 0.5) & curves.precision.isin(PRECISIONS)]

    def says(model: str, show: str) -> str:
        rows = upper[upper.generator == model]
        if rows.empty:
            return findings.NOTHING
        last, name = rows.precision.iloc[-1], rows.precision_title.iloc[-1]
        mean = float(rows[rows.precision == last][show].mean())
        on = f"On {generators[model]}, {name}'s images"
        if show == "level":
            return f"{on} have {printed(mean, 1)} dB in the mean above half Nyquist"
        if abs(mean) < 0.05:
            return f"{on} have the power of {against}'s above half Nyquist, to 0.1 dB in the mean"
        side = "less" if mean < 0 else "more"
        return f"{on} have {printed(abs(mean), 1)} dB {side} power than {against}'s above half Nyquist"

    return says


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
        f"Autocorrelation of the residuals of a generator's images: a square for each of {', '.join(names)}, lags in "
        "pixels across and down, lag 0 in the middle."
    )
    menus = [theme.choice("model", "Generator", generators, generator)]

    def says(model: str) -> str:
        rows = table[(table.generator == model) & table.precision.isin(PRECISIONS)]
        if rows.empty:
            return findings.NOTHING
        beside = side * (side // 2) + side // 2 + 1
        parts = [
            f"{printed(row['values'][beside])} at {row.precision_title}" for _, row in rows.iloc[[0, -1]].iterrows()
        ]
        return f"On {generators[model]}, residuals of neighbours correlate by {' and '.join(dict.fromkeys(parts))}"

    return layers.compose(_panels(base, len(names), side), menus, description, 190, says)


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
