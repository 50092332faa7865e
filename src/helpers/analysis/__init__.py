"""From raw scores to figures with intervals: metrics, tables of a study, findings. Nothing here needs torch."""

from helpers.analysis import (
    arms,
    checkpoints,
    claims,
    effects,
    findings,
    footprint,
    metrics,
    models,
    perturbed,
    power,
    tables,
)
from helpers.analysis.tables import Results, cells, conditions, densities, load, shifts, trainings

__all__ = [
    "Results",
    "arms",
    "cells",
    "checkpoints",
    "claims",
    "conditions",
    "densities",
    "effects",
    "findings",
    "footprint",
    "load",
    "metrics",
    "models",
    "perturbed",
    "power",
    "shifts",
    "tables",
    "trainings",
]
