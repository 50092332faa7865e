"""An explorer for a live kernel: choose generator, precisions and detector, see densities and figures change.

It needs a running kernel, so notebooks show it in JupyterLab and the book leaves it out: there the menus of the
charts do the choosing.
"""

from __future__ import annotations

import ipywidgets
import pandas as pd

from helpers import analysis, charts
from helpers.analysis.figures import FIGURES
from helpers.results.results import Results

__all__ = ["Explorer", "explore"]

COLUMNS = {
    "precision_title": "precision",
    "n": "images",
    **FIGURES,
    "tnr": "TNR",
    "mean_logit": "logit",
}


class Explorer(ipywidgets.VBox):
    """Three choosers over a chart of densities and a table of figures; both follow every change of a chooser.

    `rows` is the table as shown, for the detector, generator and precisions that are chosen.
    """

    def __init__(self, results: Results, generator: str = "sd3", detector: str = "npr") -> None:
        self._cells = analysis.cells(results)
        self._densities = analysis.densities(results)
        self.rows = pd.DataFrame()
        self.generator = _chooser("Generator", results.titles("generator"), generator)
        self.detector = _chooser("Detector", results.titles("detector"), detector)
        named = [(title, key) for key, title in results.titles("precision").items()]
        self.precisions = ipywidgets.SelectMultiple(
            options=named, value=results.precisions, rows=len(named), description="Precisions"
        )
        self.figure = ipywidgets.Output()
        self.table = ipywidgets.HTML()
        choosers = [self.generator, self.detector, self.precisions]
        for chooser in choosers:
            chooser.observe(self._update, names="value")
        super().__init__([ipywidgets.HBox(choosers), self.figure, self.table])
        self._update()

    def _update(self, _change: object = None) -> None:
        generator, detector, precisions = self.generator.value, self.detector.value, self.precisions.value
        cells = self._cells
        chosen = (cells.generator == generator) & (cells.detector == detector) & cells.precision.isin(precisions)
        self.rows = cells[chosen]
        self.table.value = (
            self.rows[list(COLUMNS)]
            .rename(columns=COLUMNS)
            .to_html(index=False, border=0, float_format="{:.3f}".format, na_rep="\N{EN DASH}")
        )
        others = [p for p in self._densities.columns if p in set(cells.precision) - set(precisions)]
        kept = self._densities.drop(columns=others)
        picture = charts.density(kept, detector, generator).properties(width=600)
        # Replaced as a whole: `append_display_data` works without a front end too, where capturing output does not.
        self.figure.outputs = ()
        if precisions:
            self.figure.append_display_data(picture)


def _chooser(label: str, titles: dict[str, str], value: str) -> ipywidgets.Dropdown:
    options = [(title, key) for key, title in titles.items()]
    return ipywidgets.Dropdown(options=options, value=value if value in titles else options[0][1], description=label)


def explore(results: Results, generator: str = "sd3", detector: str = "npr") -> Explorer:
    """The explorer of a study, to be displayed by a live notebook; starts at this generator and detector."""
    return Explorer(results, generator, detector)
