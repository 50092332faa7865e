"""One function per figure: a table in, an Altair chart out that works in a static page, with no server and no CDN."""

from helpers.charts.distributions import density
from helpers.charts.effects import anomaly, shift_forest
from helpers.charts.heatmap import heatmap
from helpers.charts.perturbations import perturbations
from helpers.charts.robustness import legacy, robustness
from helpers.charts.theme import bundle, enable
from helpers.charts.training import curves

__all__ = [
    "anomaly",
    "bundle",
    "curves",
    "density",
    "enable",
    "heatmap",
    "legacy",
    "perturbations",
    "robustness",
    "shift_forest",
]
