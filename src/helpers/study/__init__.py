"""The study file: what to run, checked against the catalogues, with the prompts and seeds of its images."""

from helpers.study.schema import Study, expected, load, weights_expected

__all__ = ["Study", "expected", "load", "weights_expected"]
