"""A study's results: read from a folder or taken from a table, checked by one schema; anybody's scores imported."""

from helpers.results.results import Results, from_frame, load

__all__ = ["Results", "from_frame", "load"]
