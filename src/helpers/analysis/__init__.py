"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import findings, metrics, models, tables
from helpers.analysis.tables import Results, cells, densities, load, shifts

__all__ = ["Results", "cells", "densities", "findings", "load", "metrics", "models", "shifts", "tables"]
