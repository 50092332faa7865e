"""The six text-to-image generators: one table, one way to load a pipeline and one way to make images with it."""

from helpers.generators.catalogue import CATALOGUE, Entry, entry
from helpers.generators.loading import load, source
from helpers.generators.sampling import check, reconstruct, sample

__all__ = ["CATALOGUE", "Entry", "check", "entry", "load", "reconstruct", "sample", "source"]
