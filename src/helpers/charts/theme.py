"""The look of all charts, and the renderer that embeds them in a page which loads one local script.

Altair's own HTML renderer fetches Vega from a CDN. Here `bundle` writes Vega, Vega-Lite and Vega-Embed once into the
site, and each chart is a `div` with a label for screen readers, its specification, and a picture for readers without
scripts. A live JupyterLab, which has Vega itself, takes the specification from the same output.
"""

from __future__ import annotations

import copy
import html
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from helpers.core import files
from helpers.detectors.catalogue import DETECTORS
from helpers.precision.catalogue import PRECISIONS

__all__ = [
    "OTHER", "CONTROL_COLOURS", "FONT", "LAB", "PICTURE_WIDTH", "TWO_LINES", "bundle", "choice", "colour", "colours",
    "compared", "describe", "enable", "options", "render", "start",
]  # fmt: skip

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'

CONTROL_COLOURS = {"null": "#999999", "seed": "#4d4d4d"}  # by role: changes that are no precision
REAL, NULL, OTHER = "#666666", "#999999", "#666666"  # reals, the null control, keys without a colour

# Where columns are narrow a detector's name takes two lines.
TWO_LINES = "split(replace(datum.label, '_', '_|'), '|')"
PICTURE_WIDTH = 680  # px; of the picture for readers without scripts, as a picture has no container to fill
LAB = "application/vnd.vegalite.v5+json"  # what JupyterLab draws itself; it reads version 6's charts as well
EMBED = {"actions": False, "renderer": "svg", "downloadFileName": "quantdetect"}

# Vega-Embed's bundle sets names that pages use too (`_`), so it runs inside a function of its own. A chart's inline
# script runs before the bundle and the styles that give the column its width have loaded, hence the wait for `load`;
# outside the book there is no bundle, and the picture is shown instead. Vega measures its place when the window is
# resized; the observer lets it measure again when the page's columns have settled after that.
SCRIPT = """(function () {
  var place = document.currentScript.previousElementSibling, spec = %s;
  function show() {
    if (!window.vegaEmbed) { place.innerHTML = place.querySelector("noscript").textContent; return; }
    window.vegaEmbed(place, spec, %s).then(function () {
      new ResizeObserver(function () { window.dispatchEvent(new Event("resize")); }).observe(place);
    });
  }
  if (document.readyState === "complete") show(); else window.addEventListener("load", show);
})();"""


@alt.theme.register("quantdetect", enable=False)
def _theme() -> alt.theme.ThemeConfig:
    quiet = {
        "labelFont": FONT,
        "titleFont": FONT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
    }
    return {
        "background": "white",
        "padding": 6,
        "config": {
            "font": FONT,
            "view": {"stroke": None, "continuousWidth": PICTURE_WIDTH, "discreteWidth": PICTURE_WIDTH},
            "axis": quiet | {"domainColor": "#999", "tickColor": "#999", "gridColor": "#e6e6e6", "labelLimit": 120},
            "legend": quiet | {"orient": "top", "title": None, "symbolSize": 120, "columns": 4, "labelLimit": 120},
            "title": {"font": FONT, "fontSize": 14, "fontWeight": 600, "anchor": "start"},
            "text": {"font": FONT, "fontSize": 12},
        },
    }


def enable() -> None:
    """Make this look and this renderer the ones of every chart displayed from here on."""
    alt.theme.enable("quantdetect")
    alt.data_transformers.disable_max_rows()
    alt.renderers.register("quantdetect", render)
    alt.renderers.enable("quantdetect")


def render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A chart's specification as a mime bundle: HTML for the book, the specification for JupyterLab, PNG and text."""
    description = str(spec.get("description", "A chart."))
    picture = b64encode(vl_convert.vegalite_to_png(json.dumps(_with_width(spec)), scale=1)).decode()
    label = html.escape(description, quote=True)
    image = f'<img alt="{label}" src="data:image/png;base64,{picture}">'
    # "</" would end the script element early wherever it stands in a string.
    script = SCRIPT % (json.dumps(spec).replace("</", "<\\/"), json.dumps(EMBED))
    return {
        "text/html": f'<div class="quantdetect-chart" role="img" aria-label="{label}">'
        f"<noscript>{image}</noscript></div>"
        f"<script>{script}</script>",
        LAB: spec,
        "image/png": picture,
        "text/plain": description,
    }


def _with_width(spec: dict[str, Any]) -> dict[str, Any]:
    fixed = copy.deepcopy(spec)
    if fixed.get("width") == "container":
        fixed["width"] = PICTURE_WIDTH
    return fixed


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


def describe(chart: alt.LayerChart | alt.Chart, description: str, height: Any) -> Any:
    """The chart as wide as its column, `height` in pixels or steps, and with the text that stands for it."""
    return chart.properties(width="container", height=height, description=description)
