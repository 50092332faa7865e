"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import arms, checkpoints, claims, effects, findings, metrics, models, power, tables
from helpers.analysis.tables import Results, cells, conditions, densities, load, shifts, trainings

__all__ = [
    "Results",
    "arms",
    "claims",
    "cells",
    "checkpoints",
    "conditions",
    "densities",
    "effects",
    "findings",
    "load",
    "metrics",
    "models",
    "power",
    "shifts",
    "tables",
    "trainings",
]
