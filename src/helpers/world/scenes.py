"""Scenes of the miniature world: one to three coloured solids on a ground, as data; a pure function of a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["COLOURS", "GROUNDS", "RELATIONS", "SHAPES", "SPLITS", "Ground", "Scene", "Solid", "scene"]

#: First seed of each split; splits never overlap (each has ten million seeds).
SPLITS = {"train": 0, "validation": 10_000_000, "test": 20_000_000}

SHAPES = ("ball", "disc", "ring", "square", "triangle", "star", "cross", "hexagon")

#: Names and linear-light albedos (red, green, blue; 0 to 1) of the solids' colours.
COLOURS = {
    "red": (0.62, 0.03, 0.03),
    "orange": (0.85, 0.24, 0.01),
    "yellow": (0.85, 0.66, 0.03),
    "green": (0.03, 0.36, 0.07),
    "blue": (0.03, 0.10, 0.62),
    "purple": (0.27, 0.05, 0.44),
    "white": (0.85, 0.85, 0.85),
    "black": (0.012, 0.012, 0.014),
}


@dataclass(frozen=True)
class Ground:
    """Texture of a ground: a colour ramp driven by noise whose power spectrum is a stretched power law.

    Attributes:
        dark, light: linear RGB at the two ends of the ramp.
        slope: exponent of the amplitude spectrum (0 is white noise, 1 is 1/f).
        stretch: how much longer the grain is horizontally (> 1) or vertically (< 1).
        cutoff: finest grain, in cycles per image width at any size.
        contrast: standard deviation of the ramp's driver.
        fine: weight of a second, finer and less stretched layer.
        clashes: colours that a solid on this ground never has, for they could not be seen.
    """

    dark: tuple[float, float, float]
    light: tuple[float, float, float]
    slope: float
    stretch: float
    cutoff: float
    contrast: float
    fine: float
    clashes: tuple[str, ...] = ()


GROUNDS = {
    "grass": Ground((0.02, 0.07, 0.01), (0.22, 0.36, 0.07), 0.45, 0.30, 40, 0.24, 0.5, ("green",)),
    "sand": Ground((0.40, 0.27, 0.13), (0.72, 0.54, 0.32), 0.30, 1.3, 56, 0.16, 0.6),
    "wood": Ground((0.06, 0.022, 0.008), (0.27, 0.12, 0.05), 0.75, 9.0, 44, 0.24, 0.2),
    "stone": Ground((0.08, 0.08, 0.085), (0.34, 0.33, 0.32), 0.70, 1.0, 52, 0.20, 0.6),
    "water": Ground((0.005, 0.05, 0.11), (0.10, 0.34, 0.46), 0.85, 3.2, 30, 0.22, 0.2, ("blue",)),
    "sky": Ground((0.10, 0.26, 0.62), (0.86, 0.90, 0.95), 1.70, 1.7, 16, 0.30, 0.1, ("blue", "white")),
    "snow": Ground((0.52, 0.60, 0.72), (0.90, 0.91, 0.94), 1.20, 1.4, 40, 0.16, 0.3, ("white",)),
}

#: Where the solids of each relation stand (x, y as shares of the width) and their radius range.
RELATIONS = {
    "alone": (((0.50, 0.50),), (0.21, 0.28)),
    "beside": (((0.27, 0.50), (0.73, 0.50)), (0.16, 0.20)),
    "above": (((0.50, 0.27), (0.50, 0.73)), (0.16, 0.20)),
    "row": (((0.20, 0.36), (0.50, 0.68), (0.80, 0.36)), (0.135, 0.165)),
}
_WEIGHTS = (0.34, 0.25, 0.17, 0.24)  # share of scenes with each relation


@dataclass(frozen=True)
class Solid:
    """One solid: its shape and colour by name, centre and radius as shares of the width, turn in radians."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    turn: float


@dataclass(frozen=True)
class Scene:
    """What a picture shows: a ground, one to three solids in reading order, how they stand, where light comes from."""

    ground: str
    relation: str
    solids: tuple[Solid, ...]
    light: float


def scene(seed: int) -> Scene:
    """Return the scene of a seed (a non-negative integer): always the same one."""
    rng = np.random.default_rng([seed, 1])
    ground = tuple(GROUNDS)[rng.integers(len(GROUNDS))]
    relation = tuple(RELATIONS)[rng.choice(len(RELATIONS), p=_WEIGHTS)]
    places, (smallest, largest) = RELATIONS[relation]
    colours = [name for name in COLOURS if name not in GROUNDS[ground].clashes]
    solids = tuple(
        Solid(
            shape=SHAPES[rng.integers(len(SHAPES))],
            colour=colours[rng.integers(len(colours))],
            x=x + rng.uniform(-0.04, 0.04),
            y=y + rng.uniform(-0.06, 0.06),
            radius=rng.uniform(smallest, largest),
            turn=rng.uniform(-0.25, 0.25),
        )
        for x, y in places
    )
    return Scene(ground, relation, solids, light=rng.uniform(0.55, 0.95) * np.pi)
