"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import arms, claims, effects, findings, footprint, metrics, models, power, tables
from helpers.analysis.tables import Results, cells, conditions, densities, load, shifts, trainings

__all__ = [
    "Results",
    "arms",
    "claims",
    "cells",
    "conditions",
    "densities",
    "effects",
    "footprint",
    "findings",
    "load",
    "metrics",
    "models",
    "power",
    "shifts",
    "tables",
    "trainings",
]
