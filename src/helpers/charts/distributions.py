"""Densities of a detector's scores on a generator's images, one curve per precision."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme
from helpers.precision.catalogue import PRECISIONS

__all__ = ["density"]

SCALES = {"score": "score (0 to 1)", "logit": "logit"}


def density(
    densities: pd.DataFrame,
    detector: str = "npr",
    generator: str = "sd3",
    scale: str = "score",
) -> alt.LayerChart:
    """Overlaid densities, starting at one detector and generator; menus reach every other one and the other scale.

    `densities` is the table of `helpers.analysis.densities`; pale bands are its intervals. The dashed line is the
    detector's threshold, where it has one. It starts at the other scale where the detector has not the one asked for.
    """
    generators, detectors = (theme.options(densities, key) for key in ("generator", "detector"))
    generator, detector = theme.start(generators, generator), theme.start(detectors, detector)
    precisions = [key for key in PRECISIONS if key in densities.columns]
    titles = [PRECISIONS[key].title for key in precisions]
    # One row holds all curves of a choice as lists, and is unfolded in the browser: a fifth of the size.
    keys = ["generator", "detector", "scale"]
    names = {f"{key}{end}": f"{PRECISIONS[key].title}{end}" for key in precisions for end in ("", "_low", "_high")}
    wide = densities[[*keys, "x", *names]].rename(columns=names)
    wide = wide.groupby(keys, sort=False).agg(_listed).reset_index()
    base = (
        alt.Chart(wide)
        .transform_filter("datum.generator == model && datum.detector == detector && datum.scale == scale")
        .transform_flatten(["x", *names.values()])
        .transform_fold(titles, as_=["precision", "density"])
        .transform_filter("isValid(datum.density)")
        .transform_calculate(low="datum[datum.precision + '_low']", high="datum[datum.precision + '_high']")
        .encode(
            x=alt.X("x:Q", title="real  \N{LEFTWARDS ARROW}  detector score  \N{RIGHTWARDS ARROW}  fake")
            .scale(zero=False, nice=False)
            .axis(tickCount=5),
            color=alt.Color("precision:N", scale=theme.colours(precisions, titles), sort=titles).legend(
                symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
            ),
            tooltip=[
                "precision:N",
                alt.Tooltip("x:Q", format=".2f"),
                alt.Tooltip("density:Q", format=".2f"),
                alt.Tooltip("low:Q", format=".2f"),
                alt.Tooltip("high:Q", format=".2f"),
            ],
        )
    )
    bands = base.mark_area(opacity=0.22).encode(
        y=alt.Y("low:Q", title="density", stack=None).axis(tickCount=4), y2="high:Q"
    )
    lines = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("density:Q", stack=None),
        strokeDash=alt.StrokeDash("precision:N", sort=titles).scale(
            domain=titles, range=[[1, 0], [6, 2], [2, 2], [8, 2, 2, 2]] * 3
        ),
    )
    limits = densities[["detector", "scale", "threshold"]].dropna().drop_duplicates()
    line = (
        alt.Chart(limits)
        .transform_filter("datum.detector == detector && datum.scale == scale")
        .mark_rule(strokeDash=[4, 4], color="#555")
        .encode(x="threshold:Q")
    )
    has = set(densities.scale[densities.detector == detector])
    scale = scale if scale in has else next(iter(has))
    at = ", and a line at the threshold" if detector in set(limits.detector) else ""
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("scale", "Scale", SCALES, scale),
    ]
    description = (
        f"Densities of {detectors[detector]} scores on {generators[generator]} images at "
        f"{', '.join(titles)}, with 95 % intervals{at}; menus choose another detector or "
        "generator."
    )
    return theme.describe(alt.layer(bands, lines, line).add_params(*menus), description, 260)


def _listed(values: pd.Series) -> list[float | None]:
    """A column as a list that JSON knows: None at a precision at which this generator was not run."""
    return [None if pd.isna(value) else value for value in values]
