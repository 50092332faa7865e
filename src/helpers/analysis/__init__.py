"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import arms, findings, metrics, models, perturbed, tables
from helpers.analysis.tables import Results, cells, conditions, densities, load, shifts, trainings

__all__ = [
    "Results",
    "arms",
    "cells",
    "conditions",
    "densities",
    "findings",
    "load",
    "metrics",
    "models",
    "perturbed",
    "shifts",
    "tables",
    "trainings",
]
