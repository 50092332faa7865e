"""One function per figure: a table in, an Altair chart out that works in a static page, with no server and no CDN."""

from helpers.charts.accuracy import anomaly, legacy, robustness
from helpers.charts.densities import density
from helpers.charts.dose_response import ladder
from helpers.charts.footprint import footprint
from helpers.charts.heatmap import heatmap
from helpers.charts.image_traces import detail, filters, fingerprints
from helpers.charts.perturbations import perturbations
from helpers.charts.public_study import effect_by_study, public_ladders
from helpers.charts.shifts import shift_forest
from helpers.charts.spectra import autocorrelation, radial
from helpers.charts.theme import bundle, enable
from helpers.charts.training_loss import training_loss

__all__ = [
    "anomaly", "autocorrelation", "bundle", "density", "detail", "effect_by_study", "enable", "filters", "fingerprints",
    "footprint", "heatmap", "ladder", "legacy", "perturbations", "public_ladders", "radial", "robustness",
    "shift_forest", "training_loss",
]  # fmt: skip
