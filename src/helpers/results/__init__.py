"""A results folder read once and checked, and anybody's scores made into one."""

from helpers.results.tables import Results, load

__all__ = ["Results", "load"]
