"""Densities of a detector's scores on a generator's images, one curve per precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd

from helpers.analysis.words import printed
from helpers.charts import findings, layers, theme
from helpers.precision.catalogue import PRECISIONS

__all__ = ["density"]

SCALES = {"logit": "logit", "score": "score (0 to 1)"}
AXIS = "real  \N{LEFTWARDS ARROW}  detector score  \N{RIGHTWARDS ARROW}  fake"


def density(
    densities: pd.DataFrame, detector: str = "npr", generator: str = "sd3", scale: str = "logit"
) -> alt.LayerChart:
    """Overlaid densities, starting at one detector and generator; menus reach every other one and the other scale.

    `densities` is the table of `helpers.analysis.densities`; pale bands are its intervals. The dashed line is the
    detector's threshold, where it has one. It starts at the other scale where the detector has not the one asked for.
    """
    generators, detectors = (theme.options(densities, key) for key in ("generator", "detector"))
    generator, detector = theme.start(generators, generator), theme.start(detectors, detector)
    precisions = {key: row.title for key, row in PRECISIONS.items() if key in densities.columns}
    limits = densities[["detector", "scale", "threshold"]].dropna().drop_duplicates()
    limit = (
        alt.Chart(limits)
        .transform_filter("datum.detector == detector && datum.scale == scale")
        .mark_rule(strokeDash=[4, 4], color=theme.QUIET)
        .encode(x="threshold:Q")
    )
    has = set(densities.scale[densities.detector == detector])
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("scale", "Scale", SCALES, scale if scale in has else next(iter(has))),
    ]
    at = " The dashed line is the detector's threshold; what lies left of it is called real." if len(limits) else ""
    description = (
        f"Density of a detector's output over one generator's images at {', '.join(precisions.values())}; pale bands "
        f"are 95 % intervals.{at}"
    )
    curves = _curves(_folded(densities, precisions), precisions)
    says = _means(densities, precisions, generators, detectors)
    return layers.compose([*curves, limit], menus, description, 260, says)


def _means(
    densities: pd.DataFrame, precisions: Mapping[str, str], generators: Mapping[str, str], detectors: Mapping[str, str]
) -> Callable[..., str]:
    """The mean score at the first precision and at the last."""

    def says(model: str, detector: str, scale: str) -> str:
        chosen = (densities.generator == model) & (densities.detector == detector) & (densities.scale == scale)
        rows = densities[chosen]
        there = [key for key in precisions if rows[key].sum() > 0]
        if not there:
            return findings.NOTHING
        means = [
            f"{printed(rows[f'{key}_mean'].iloc[0])} at {precisions[key]}"
            for key in dict.fromkeys((there[0], there[-1]))
        ]
        return f"{detectors[detector]} on {generators[model]}: mean {scale} {', '.join(means)}"

    return says


def _folded(densities: pd.DataFrame, precisions: Mapping[str, str]) -> alt.Chart:
    """One row holds all curves of a choice as lists, and is unfolded in the browser: a fifth of the size."""
    keys = ["generator", "detector", "scale"]
    names = {f"{key}{end}": f"{title}{end}" for key, title in precisions.items() for end in ("", "_low", "_high")}
    wide = densities[[*keys, "x", *names]].rename(columns=names)
    wide = wide.groupby(keys, sort=False).agg(_listed).reset_index()
    return (
        alt.Chart(wide)
        .transform_filter("datum.generator == model && datum.detector == detector && datum.scale == scale")
        .transform_flatten(["x", *names.values()])
        .transform_fold(list(precisions.values()), as_=["precision", "density"])
        .transform_filter("isValid(datum.density)")
        .transform_calculate(low="datum[datum.precision + '_low']", high="datum[datum.precision + '_high']")
    )


def _listed(values: pd.Series) -> list[float | None]:
    """A column as a list that JSON knows: None at a precision at which this generator was not run."""
    return [None if pd.isna(value) else value for value in values]


def _curves(base: alt.Chart, precisions: Mapping[str, str]) -> list[alt.Chart]:
    """A curve per precision in its band."""
    titles = list(precisions.values())
    base = base.encode(
        # Room at both ends, or a threshold that lies at one would lie on the axis and not be seen.
        x=alt.X("x:Q", title=AXIS).scale(zero=False, nice=False, padding=12).axis(tickCount=5),
        color=layers.legend(layers.titled_colours("precision", precisions), symbolType="stroke", symbolStrokeWidth=3),
        tooltip=layers.tooltips(
            ("precision:N",), *((f"{name}:Q", name, ".2f") for name in ("x", "density", "low", "high"))
        ),
    )
    dash = alt.StrokeDash("precision:N", sort=titles).scale(domain=titles, range=layers.DASHES)
    band = alt.Y("low:Q", title="density", stack=None).axis(tickCount=4)
    return layers.band_and_line(base, band, alt.Y("density:Q", stack=None), dash, opacity=0.22)
