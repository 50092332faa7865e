"""What a study's scores say: tables with intervals, one module for each question. Nothing here needs torch."""

from helpers.analysis.cells import cells, shifts
from helpers.analysis.conditions import conditions, trainings
from helpers.analysis.costs import costs, settings
from helpers.analysis.densities import densities
from helpers.results.results import Results, load

__all__ = ["Results", "cells", "conditions", "costs", "densities", "load", "settings", "shifts", "trainings"]
