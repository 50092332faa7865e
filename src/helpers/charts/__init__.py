"""One function per figure: a table in, an Altair chart out that works in a static page, with no server and no CDN."""

from helpers.charts.checkpoints import beside, ladders
from helpers.charts.distributions import density
from helpers.charts.dose import ladder
from helpers.charts.effects import anomaly, shift_forest
from helpers.charts.footprint import footprint
from helpers.charts.heatmap import heatmap
from helpers.charts.perturbations import perturbations
from helpers.charts.robustness import legacy, robustness
from helpers.charts.spectra import autocorrelation, detail, filters, fingerprints, radial
from helpers.charts.theme import bundle, enable
from helpers.charts.training import curves

__all__ = [
    "anomaly",
    "autocorrelation",
    "beside",
    "bundle",
    "curves",
    "density",
    "detail",
    "enable",
    "filters",
    "fingerprints",
    "footprint",
    "heatmap",
    "ladder",
    "ladders",
    "legacy",
    "perturbations",
    "radial",
    "robustness",
    "shift_forest",
]
