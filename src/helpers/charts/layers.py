"""What figures are laid of: rows of points with intervals, lines in bands, rules, tooltips, menus that measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from helpers.analysis import words
from helpers.charts import theme

__all__ = [
    "DASHES", "IMAGES", "MEASURED", "band_and_line", "bounded", "capped", "coloured", "completed", "compose", "ends",
    "grouped_rows", "legend", "measures", "picked", "points_with_intervals", "rows", "rule", "shapes",
    "stacked_offsets", "titled_colours", "titles_of", "tooltips", "two_lines",
]  # fmt: skip

#: Dashes that keep lines apart in print, drawn through once more where there are more lines.
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2]] * 3
SHAPES = ["circle", "square", "triangle-up", "diamond"]

#: The figure that the parameter "measure" names, with its ends and its interval in words, for transform_calculate.
MEASURED = {
    "value": "datum[measure]",
    "low": "datum[measure + '_low']",
    "high": "datum[measure + '_high']",
    "interval": "format(datum[measure + '_low'], '+.3f') + ' to ' + format(datum[measure + '_high'], '+.3f')",
}


#: The numbers of images for tooltips, in words where they are not known.
IMAGES = {name: f"isValid(datum.{name}) ? datum.{name} : 'not known'" for name in ("n", "reals")}


def two_lines(name: str, columns: int) -> str:
    """An expression of the lines, one or two, of a column's name that is `name` in Vega's words: broken at a blank, or
    after an underscore where so many columns leave no room for the whole."""
    broken = f"split(replace(replace({name}, '_', '_|'), ' ', '|'), '|')"
    return f"length({name}) * 7 > width / {columns} ? {broken} : [{name}]"


def titles_of(table: pd.DataFrame) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Generators, precisions and detectors of a table: keys and titles in order of appearance."""
    generators, precisions, detectors = (theme.options(table, key) for key in ("generator", "precision", "detector"))
    return generators, precisions, detectors


def measures(table: pd.DataFrame, named: Mapping[str, str], asked: str = "") -> dict[str, str]:
    """What a menu of measures offers: those of `named` that a table knows, by column and with their titles; or, alone
    and by its own name, the column that is asked for where it is none of them."""
    if asked in table and asked not in named:
        return {asked: asked}
    return {name: title for name, title in named.items() if name in table and table[name].notna().any()} or dict(named)


def bounded(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """A table with the ends of the intervals of `names`, unknown where it has none."""
    return table.assign(**{name: float("nan") for name in ends(names) if name not in table})


def picked(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """These columns of a table, each once, with four digits after the point: what a chart takes along."""
    return table[list(dict.fromkeys(names))].round(4)


def completed(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """A table of cells with every column that figures of them ask for: titles are the catalogues' where there are none,
    numbers of images and the ends of the intervals of `names` are unknown."""
    titles = {f"{key}_title": table[key].map(words.named) for key in ("generator", "precision", "detector")}
    unknown = dict.fromkeys(["kind", "n", "reals", *ends(names)])
    return table.assign(**{name: own for name, own in {**titles, **unknown}.items() if name not in table})


def ends(names: Iterable[str]) -> list[str]:
    """The columns of these figures, each with both ends of its interval."""
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def tooltips(*entries: tuple[str, ...]) -> list[alt.Tooltip]:
    """One line of a tooltip for each (field), (field, title) or (field, title, format)."""
    names = ("shorthand", "title", "format")
    return [alt.Tooltip(**dict(zip(names, entry, strict=False))) for entry in entries]


def titled_colours(field: str, named: Mapping[str, str], roles: Mapping[str, str] | None = None) -> alt.Color:
    """The fixed colours of precisions, controls or detectors for a field of their titles, in order.

    `roles` says of a control, by its key, the role of its arm, which has the colour.
    """
    titles = list(named.values())
    keys = [(roles or {}).get(key) or key for key in named]
    return alt.Color(f"{field}:N", sort=titles).scale(theme.colours(keys, titles))


def coloured(field: str, colours: Mapping[str, str]) -> alt.Color:
    """Colours by title, in order, for a field of titles of which no other figure has the colours."""
    titles = list(colours)
    return alt.Color(f"{field}:N", sort=titles).scale(domain=titles, range=list(colours.values()))


def legend(colour: alt.Color, width: int = 120, **more: Any) -> alt.Color:
    """A colour whose legend takes as many columns of `width` pixels as the chart has room for."""
    columns = alt.ExprRef(f"max(1, floor((width + 60) / {width + 30}))")
    return colour.legend(**{"columns": columns, "labelLimit": width, "symbolOpacity": 1} | more)


def shapes(field: str, titles: Sequence[str]) -> alt.Shape:
    """A shape for each title, so that colours need not be seen."""
    return alt.Shape(f"{field}:N", sort=titles).scale(domain=titles, range=(SHAPES * 3)[: len(titles)])


def rows(field: str, titles: Sequence[str], **axis: Any) -> alt.Y:
    """Rows down, one per title, named in bold at the left."""
    return alt.Y(f"{field}:N", sort=titles, title=None).axis(**{"labelFontWeight": 600, "ticks": False} | axis)


def grouped_rows(
    chart: alt.Chart, row: tuple[str, Iterable[str]], member: tuple[str, Iterable[str]], colour: alt.Color
) -> alt.Chart:
    """Rows down and, within each, its members below each other in their colours: (field, titles in order) of both."""
    field, titles = member
    return chart.encode(
        y=rows(row[0], list(row[1])), yOffset=alt.YOffset(f"{field}:N", sort=list(titles)), color=colour
    )


def points_with_intervals(
    base: alt.Chart,
    axis: alt.X | alt.Y,
    high: str = "high:Q",
    value: str | alt.X | alt.Y = "value:Q",
    *,
    size: int = 60,
    width: float = 2.5,
    opacity: float = 1,
) -> list[alt.Chart]:
    """A span from the field of `axis` to `high`, and a point of `size` at `value` on it, along the axis that it is."""
    along = "x" if isinstance(axis, alt.X) else "y"
    return [
        base.mark_rule(strokeWidth=width).encode(**{along: axis, f"{along}2": high}),
        base.mark_point(filled=True, size=size, opacity=opacity).encode(**{along: value}),
    ]


def band_and_line(
    base: alt.Chart, band: alt.Y | str, line: alt.Y, dash: alt.StrokeDash, opacity: float
) -> list[alt.Chart]:
    """A pale band from the field of `band` to "high" and a dashed line on it, per colour of `base`."""
    return [
        base.mark_area(opacity=opacity).encode(y=band, y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=line, strokeDash=dash),
    ]


def capped(base: alt.Chart, title: str, when: str = "true") -> alt.Chart:
    """Rows of value, low and high, held within three times the second farthest value from zero, beyond which one mark
    would flatten all others.

    The rows get `drawn`, `least` and `most` in the place of the three, `beyond` where a value lies farther, `rank` by
    how far it lies, and `label`: the name in the field `title`, with an arrow and the value where it lies beyond.
    `when` is an expression that is true where the measure is a change, of which alone that can be said.
    """
    arrow = "(datum.value < 0 ? '\u2193 ' : '\u2191 ')"
    return (
        base.transform_calculate(far="abs(datum.value)")
        .transform_window(rank="row_number()", sort=[alt.SortField("far", order="descending")])
        .transform_calculate(next="datum.rank == 2 ? datum.far : null")
        .transform_joinaggregate(second="max(next)")
        .transform_calculate(beyond=f"({when}) && datum.second > 0 && datum.far > 3 * datum.second")
        .transform_calculate(
            drawn="datum.beyond ? clamp(datum.value, -1.5 * datum.second, 1.5 * datum.second) : datum.value",
            label=f"datum.beyond ? {arrow} + datum.{title} + ' ' + format(datum.value, '+.1f') : datum.{title}",
        )
        .transform_calculate(
            least=f"datum.beyond ? datum.drawn : ({when}) ? max(datum.low, -3 * datum.second) : datum.low",
            most=f"datum.beyond ? datum.drawn : ({when}) ? min(datum.high, 3 * datum.second) : datum.high",
        )
    )


def rule(x: float | None = None, y: float | None = None, color: str = theme.QUIET, **mark: Any) -> alt.Chart:
    """A straight line over the whole figure at a value of one axis: zero, a threshold, a margin."""
    place = {"x": alt.datum(x)} if y is None else {"y": alt.datum(y)}
    return alt.Chart(alt.Data(values=[{}])).mark_rule(color=color, **mark).encode(**place)


def stacked_offsets(step: int) -> alt.Step:
    """The height of a figure of grouped rows: `step` pixels for each member of each row."""
    return alt.Step(step, **{"for": "offset"})


def compose(
    layers: Iterable[alt.Chart],
    menus: Sequence[alt.Parameter],
    description: str,
    height: Any,
    says: Callable[..., str] | None = None,
) -> Any:
    """The layers, first at the bottom, with their menus and what the figure says of itself (`theme.describe`)."""
    return theme.describe(alt.layer(*layers), description, height, menus, says)
