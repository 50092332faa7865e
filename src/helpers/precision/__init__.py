"""Precisions of a pipeline's weights: the formats, how they are applied to its components, and what they covered."""

from helpers.precision.coverage import Component, Coverage, holdings
from helpers.precision.formats import FORMATS, Format
from helpers.precision.quantize import ARMS, COMPONENTS, apply, attributes

__all__ = ["ARMS", "COMPONENTS", "FORMATS", "Component", "Coverage", "Format", "apply", "attributes", "holdings"]
