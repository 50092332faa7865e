"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import arms, checkpoints, findings, metrics, models, tables
from helpers.analysis.tables import Results, cells, conditions, densities, load, shifts, trainings

__all__ = [
    "Results",
    "arms",
    "cells",
    "checkpoints",
    "conditions",
    "densities",
    "findings",
    "load",
    "metrics",
    "models",
    "shifts",
    "tables",
    "trainings",
]
