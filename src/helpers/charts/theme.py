"""The look of all charts, what a figure says of itself, and how it stands in JupyterLab and on a page of the book.

Altair's own HTML renderer fetches Vega from a CDN. Here `bundle` writes Vega, Vega-Lite and Vega-Embed once into the
site, and `page` makes of a chart a numbered figure: its finding, its specification, which `figures.js` draws, a picture
for readers without scripts, and a caption. A live JupyterLab, which has Vega itself, draws the specification: HTML
beside it would be shown in its place, so `render` emits none.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from helpers.core import files
from helpers.detectors.catalogue import DETECTORS
from helpers.precision.catalogue import PRECISIONS

__all__ = [
    "CONTROL_COLOURS", "FINDING", "FONT", "INK", "LAB", "OTHER", "PICTURE_WIDTH", "QUIET", "bundle",
    "choice", "colour", "colours", "compared", "describe", "enable", "named", "options", "page", "render", "start",
]  # fmt: skip

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'

CONTROL_COLOURS = {"null": "#999999", "seed": "#4d4d4d"}  # by role: changes that are no precision
REAL, NULL, OTHER = "#666666", "#999999", "#666666"  # reals, the null control, keys without a colour

PICTURE_WIDTH = 680  # px; of the picture for readers without scripts, as a picture has no container to fill
LAB = "application/vnd.vegalite.v5+json"  # what JupyterLab draws itself; it reads version 6's charts as well

#: Colours of what explains the marks, lines and words: figures.css shows both light where the page is dark.
INK, QUIET = "#333333", "#777777"

#: How D3 prints numbers: as it does unasked, but for percent, which stand as in prose.
NUMBERS = {
    "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "percent": "\N{NO-BREAK SPACE}%",
}  # fmt: skip

#: The parameter that holds a chart's finding and follows the chart's menus, and the one with all that it may say.
FINDING, FINDINGS = "finding", "findings"
# Vega breaks no title by itself: lines of about the chart's width, in letters of 14 px.
LINES = (
    f"split(replace({FINDING}, regexp('(.{{1,' + max(30, floor((width + 90) / 7.4)) + '}})( |$)', 'g'), '$1|'), '|')"
)


@alt.theme.register("quantdetect", enable=False)
def _theme() -> alt.theme.ThemeConfig:
    quiet = {
        "labelFont": FONT,
        "titleFont": FONT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "labelColor": INK,
        "titleColor": INK,
    }
    return {
        "background": "white",
        "padding": 6,
        "config": {
            "font": FONT,
            "view": {"stroke": None, "continuousWidth": PICTURE_WIDTH, "discreteWidth": PICTURE_WIDTH},
            "axis": quiet | {"domainColor": QUIET, "tickColor": QUIET, "gridColor": "#e6e6e6", "labelLimit": 120},
            # Towards the end a long title has the room of the labels before it.
            "axisX": {"titleAnchor": "end"},
            "legend": quiet | {"orient": "top", "title": None, "symbolSize": 120, "columns": 4, "labelLimit": 120},
            "title": {
                "font": FONT, "fontSize": 14, "fontWeight": 600, "color": INK,
                "anchor": "start", "frame": "bounds", "offset": 8,
            },
            "text": {"font": FONT, "fontSize": 12, "color": INK},
            "rule": {"color": INK},
            "locale": {"number": NUMBERS},
        },
    }  # fmt: skip


def enable() -> None:
    """Make this look and this renderer the ones of every chart displayed from here on."""
    alt.theme.enable("quantdetect")
    alt.data_transformers.disable_max_rows()
    alt.renderers.register("quantdetect", render)
    alt.renderers.enable("quantdetect")


def render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A chart's specification as a mime bundle for JupyterLab: the specification, which it draws, PNG and text."""
    fixed = {**spec, "width": PICTURE_WIDTH} if spec.get("width") == "container" else spec
    picture = vl_convert.vegalite_to_png(json.dumps(fixed), scale=1)
    said = " ".join(filter(None, (_meta(spec, FINDING), spec.get("description"))))
    return {LAB: fixed, "image/png": b64encode(picture).decode(), "text/plain": said or "A chart."}


def page(spec: Mapping[str, Any], picture: str) -> str:
    """What `render` made of a chart as a figure of the book, which `figures.js` draws; `picture` is its PNG in base64,
    for readers without scripts.

    The figure has the name that `named` gave the chart. Its title is the finding and its caption the description; both
    together are the text that stands for the picture, so that the text follows the menus as the title does.
    `helpers.paper.numbers` fills in the number.
    """
    filling = {"width": "container"} if spec.get("width") == PICTURE_WIDTH else {}
    # "</" would end the script element early wherever it stands in a string.
    source = json.dumps({**spec, **filling}).replace("</", "<\\/")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()[:8]
    name = f"fig-{_meta(spec, 'figure') or digest}"
    title, caption = html.escape(_meta(spec, FINDING)), html.escape(str(spec.get("description", "")))
    return (
        f'<figure class="quantdetect-figure" id="{name}" data-kind="Figure" data-digest="{digest}">'
        f'<p class="figure-title" id="{name}-title">{title}</p>'
        '<div class="quantdetect-chart"><div class="chart-picture" role="img" '
        f'aria-labelledby="{name}-title {name}-caption">'
        f'<noscript><img alt="" src="data:image/png;base64,{picture}"></noscript></div></div>'
        f'<figcaption id="{name}-caption"><span class="figure-number">Figure</span> {caption}</figcaption>'
        f'<script type="application/json" class="chart-spec">{source}</script></figure>'
    )


def _meta(spec: Mapping[str, Any], name: str) -> str:
    return str((spec.get("usermeta") or {}).get(name, ""))


def named(name: str, chart: Any) -> Any:
    """The chart with a name, of letters, digits, _ and -: pages refer to it by that, and its files are called so."""
    return _with_meta(chart, figure=name)


def _with_meta(chart: Any, **said: str) -> Any:
    own = chart.usermeta if isinstance(chart.usermeta, dict) else {}
    return chart.properties(usermeta={**own, **said})


def bundle(folder: str | Path) -> Path:
    """Write the one script that all charts of a site share into `folder`; returns the file."""
    file = Path(folder) / "vega.js"
    source = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with files.replacing(file) as temporary:
        temporary.write_text(f"(function () {{\n{source}\n}})();\n", encoding="utf-8")
    return file


def colours(keys: Iterable[str], titles: Iterable[str]) -> alt.Scale:
    """The fixed colours of precisions, roles of controls or detectors, for a field that holds their titles."""
    return alt.Scale(domain=list(titles), range=[colour(key) for key in keys])


def colour(key: str, other: str = OTHER) -> str:
    """The colour of a precision or detector, as its row has it, or of a control by its arm's role; `other` for a key
    without one."""
    row = next((of[key] for of in (PRECISIONS, DETECTORS) if key in of), None)
    return row.colour if row else CONTROL_COLOURS.get(key, other)


def compared(table: Any) -> tuple[list[str], alt.Scale]:
    """Titles of what a table compares (precisions, reals, the null control), in order, and their colours."""
    named = options(table, "precision")
    colours = [colour(key, REAL if key == "real" else NULL) for key in named]
    return list(named.values()), alt.Scale(domain=list(named.values()), range=colours)


def options(table: Any, column: str) -> dict[str, str]:
    """Keys and titles of a column ("generator", "precision", "detector") in order of appearance."""
    return dict(table[[column, f"{column}_title"]].drop_duplicates().itertuples(index=False, name=None))


def choice(name: str, label: str, choices: Mapping[str, str], value: str, all_as: str | None = None) -> alt.Parameter:
    """A menu beside a chart, choosing a key by its title; it works in the reader's browser.

    `all_as` adds a first entry with that title and the key "". A `value` that is no choice becomes the first one.
    """
    entries = ({"": all_as} if all_as else {}) | dict(choices)
    menu = alt.binding_select(options=list(entries), labels=list(entries.values()), name=f"{label} ")
    return alt.param(name=name, value=start(entries, value), bind=menu)


def start(choices: Mapping[str, str], wanted: str) -> str:
    """The key at which a menu of these choices starts: the one that is wanted, or the first where it is none."""
    return wanted if wanted in choices else next(iter(choices))


def describe(
    chart: alt.LayerChart | alt.Chart,
    description: str,
    height: Any,
    menus: Sequence[alt.Parameter] = (),
    says: Callable[..., str] | None = None,
) -> Any:
    """The chart as wide as its column, `height` in pixels or steps, with its menus and what it says of itself.

    `description` is its caption: what is drawn, how, and what the menus choose. `says` gives the finding for each
    choice in the menus, which it gets by their names; it becomes the title and follows the menus.
    """
    chart = chart.properties(width="container", height=height, description=description)
    chart = chart.add_params(*menus) if menus else chart
    if says is None:
        return chart
    choices = {menu.name: menu.param.bind.options for menu in menus}
    texts = {
        "|".join(picked): says(**dict(zip(choices, picked, strict=True)))
        for picked in itertools.product(*choices.values())
    }
    first = texts["|".join(menu.param.value for menu in menus)]
    if menus:
        key = " + '|' + ".join(choices)
        params = [alt.param(name=FINDINGS, value=texts), alt.param(name=FINDING, expr=f"{FINDINGS}[{key}]")]
    else:
        params = [alt.param(name=FINDING, value=first)]
    chart = chart.add_params(*params).properties(title=alt.TitleParams(text=alt.ExprRef(LINES)))
    return _with_meta(chart, finding=first)
