"""The miniature world: seeded scenes of shaded solids on textured grounds, seen by a small noisy camera.

A scene is a pure function of its seed, and a render a pure function of seed and size. Light is linear until the
camera's last step. The camera (lens blur, Bayer mosaic, shot and read noise, bilinear demosaicing, gamma, 8 bits)
gives a render the kind of noise that forensic detectors look for in photographs: it is what makes a render "real".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

__all__ = [
    "COLOURS",
    "GROUNDS",
    "METHOD",
    "RELATIONS",
    "SHAPES",
    "SPLITS",
    "Scene",
    "Solid",
    "render",
    "renders",
    "scene",
]

#: What tells this renderer from others. Put any other word here when a render's pixels change: runs make theirs again.
#: The first is the name and the checksum of the file that the renderer lay in, for that is what runs have on record.
METHOD = "world.py 53363417b61cd256a186ed2c4e209c0bfa347c42ab238df4cb5818f1da19db8d"

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


def renders(seeds: Iterable[int], size: int) -> np.ndarray:
    """Return the renders of several seeds, uint8 (N, size, size, 3); see `render`."""
    return np.stack([render(seed, size) for seed in seeds])


def render(seed: int, size: int) -> np.ndarray:
    """Return the photograph of a seed's scene.

    Args:
        seed: the scene; also seeds texture and sensor noise.
        size: width and height in pixels, even, at least 16.

    Returns:
        uint8 array (size, size, 3), sRGB.

    Raises:
        ValueError: the size is odd or below 16 (a Bayer mosaic needs even sides).
    """
    if size < 16 or size % 2:
        raise ValueError(f"size {size}: a render needs an even size of at least 16 pixels")
    of, rng = scene(seed), np.random.default_rng([seed, size])
    light = _ground(GROUNDS[of.ground], size, rng)
    # The light falls from above: its azimuth is the scene's, its elevation is fixed.
    sun = np.array([np.cos(of.light), -np.sin(of.light), 0.9], np.float32)
    sun /= np.linalg.norm(sun)
    distances = [_distance(solid, size) for solid in of.solids]
    for solid, distance in zip(of.solids, distances, strict=True):
        light *= 1 - 0.55 * _shadow(distance, solid, sun, size)
    for solid, distance in zip(of.solids, distances, strict=True):
        colour, cover = _surface(solid, distance, sun, size)
        light += cover * (colour - light)
    return _camera(light, rng)


@lru_cache(maxsize=64)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as shares of the width: x and y, each (size, size)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))


@lru_cache(maxsize=64)
def _amplitude(slope: float, stretch: float, cutoff: float, size: int) -> np.ndarray:
    """Amplitude spectrum of a texture, (size, size), with unit variance of the noise it shapes."""
    across = np.fft.fftfreq(size, 1 / size)
    radius = np.hypot(across[None, :] * stretch**0.5, across[:, None] / stretch**0.5).astype(np.float32)
    amplitude = np.maximum(radius, 1.5) ** -slope / (1 + (radius / cutoff) ** 4)
    amplitude[0, 0] = 0
    return (amplitude * size / np.sqrt((amplitude**2).sum())).astype(np.float32)


def _noise(ground: Ground, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two textures with the ground's statistics, each (size, size) of unit variance, from one complex transform."""
    white = rng.standard_normal((2, size, size), np.float32)
    shaped = fft.ifft2((white[0] + 1j * white[1]) * _amplitude(ground.slope, ground.stretch, ground.cutoff, size))
    return shaped.real * size, shaped.imag * size


def _ground(ground: Ground, size: int, rng: np.random.Generator) -> np.ndarray:
    """Linear light of the empty ground, (3, size, size)."""
    coarse, other = _noise(ground, size, rng)
    # Differences of neighbouring texels are the finer layer: blades, grains, ripples.
    fine = other - np.roll(other, 1, axis=-1)
    driver = rng.uniform(0.42, 0.58) + ground.contrast * (coarse + ground.fine * fine)
    ramp = np.clip(driver, 0, 1)[None]
    dark, light = (np.array(end, np.float32)[:, None, None] for end in (ground.dark, ground.light))
    tint = rng.uniform(0.88, 1.12, (3, 1, 1)).astype(np.float32)
    return ((dark + (light - dark) * ramp) * tint).astype(np.float32)


def _polygon(x: np.ndarray, y: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Signed distance to a polygon with corners (K, 2): negative inside (even-odd rule)."""
    nearest = np.full(x.shape, np.inf, np.float32)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        dx, dy = x - ax - along * ex, y - ay - along * ey
        np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < ax + ex * (y - ay) / ey)
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def _corners(radii: tuple[float, ...], count: int, start: float = -np.pi / 2) -> np.ndarray:
    angles = start + 2 * np.pi * np.arange(count) / count
    radius = np.resize(np.array(radii), count)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1).astype(np.float32)


_ARM = 0.34  # half the width of a cross's arm
_CROSS = np.array(
    [(-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM), (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM),
     (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)], np.float32,
)  # fmt: skip

#: Outlines of the polygonal shapes in units of the radius.
_OUTLINES = {
    "square": _corners((1.15,), 4, np.pi / 4),
    "triangle": _corners((1.2,), 3),
    "star": _corners((1.15, 0.48), 10),
    "cross": _CROSS,
    "hexagon": _corners((1.08,), 6, 0.0),
}


def _distance(solid: Solid, size: int) -> np.ndarray:
    """Signed distance to the solid's outline in shares of the width, (size, size): negative inside."""
    gx, gy = _grid(size)
    cos, sin = np.cos(solid.turn, dtype=np.float32), np.sin(solid.turn, dtype=np.float32)
    dx, dy = (gx - np.float32(solid.x)) / solid.radius, (gy - np.float32(solid.y)) / solid.radius
    if solid.shape in _OUTLINES:
        return _polygon(cos * dx + sin * dy, cos * dy - sin * dx, _OUTLINES[solid.shape]) * np.float32(solid.radius)
    away = np.hypot(dx, dy)
    return (np.abs(away - 0.7) - 0.3 if solid.shape == "ring" else away - 1) * np.float32(solid.radius)


def _cover(distance: np.ndarray, size: int) -> np.ndarray:
    """Share of each pixel that lies inside (antialiasing over one pixel)."""
    return np.clip(0.5 - distance * size, 0, 1)


#: Height of each shape's relief as a function of depth inside the outline (0 at the rim, 1 at the deepest point).
_RELIEF = {
    "ball": lambda depth: np.sqrt(np.clip(1 - (1 - depth) ** 2, 0, 1)),
    "ring": lambda depth: np.sqrt(np.clip(1 - (1 - depth) ** 2, 0, 1)) * 0.32,
    "disc": lambda depth: 0.22 * np.minimum(depth / 0.22, 1) - 0.10 * np.clip((depth - 0.30) / 0.12, 0, 1),
    "hexagon": lambda depth: 0.55 * depth,
}


def _surface(solid: Solid, distance: np.ndarray, sun: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear light of a lit solid (3, size, size), and its cover (size, size)."""
    depth = np.clip(-distance / np.float32(solid.radius), 0, 1)
    if solid.shape == "ring":
        depth = depth / 0.3
    relief = _RELIEF.get(solid.shape, lambda depth: 0.16 * np.minimum(depth / 0.16, 1))(depth) * solid.radius * size
    rise_y, rise_x = np.gradient(relief)
    steep = np.sqrt(1 + rise_x**2 + rise_y**2)
    facing = np.clip((sun[2] - sun[0] * rise_x - sun[1] * rise_y) / steep, 0, None)
    gloss = 0.35 * np.clip(facing, 0, 1) ** 24 if solid.shape in ("ball", "ring") else 0.0
    albedo = np.array(COLOURS[solid.colour], np.float32)[:, None, None]
    return albedo * (0.22 + 0.95 * facing) + gloss, _cover(distance, size)


def _shadow(distance: np.ndarray, solid: Solid, sun: np.ndarray, size: int) -> np.ndarray:
    """Soft shadow of a solid on the ground, (size, size), 0 to 1: its outline moved away from the sun and blurred."""
    reach = 0.30 * solid.radius * size
    moved = np.roll(distance, (round(-sun[1] * reach), round(-sun[0] * reach)), (0, 1))
    return np.clip(0.5 - moved / (0.5 * np.float32(solid.radius)), 0, 1)


#: Camera: lens blur (pixels), shot noise (variance per unit light), read noise (standard deviation, linear light).
LENS, SHOT, READ = 0.55, 0.0012, 0.004


def _smooth(plane: np.ndarray, axis: int) -> np.ndarray:
    """[1, 2, 1] / 2 along one axis with mirrored borders, which keep the mosaic's parity."""
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 1)
    wide = np.pad(plane, pad, mode="reflect")
    cut = [slice(None), slice(None)]
    before, after = list(cut), list(cut)
    before[axis], after[axis] = slice(None, -2), slice(2, None)
    return plane + 0.5 * (wide[tuple(before)] + wide[tuple(after)])


def _demosaic(raw: np.ndarray) -> np.ndarray:
    """Bilinear demosaicing of an RGGB mosaic (size, size) to (3, size, size)."""
    out = np.zeros((3, *raw.shape), np.float32)
    out[0, 0::2, 0::2], out[2, 1::2, 1::2] = raw[0::2, 0::2], raw[1::2, 1::2]
    out[1, 0::2, 1::2], out[1, 1::2, 0::2] = raw[0::2, 1::2], raw[1::2, 0::2]
    out[0], out[2] = _smooth(_smooth(out[0], 0), 1), _smooth(_smooth(out[2], 0), 1)
    # Green lies on a quincunx: a missing site is the mean of its four neighbours.
    out[1] = 0.5 * (_smooth(out[1], 0) + _smooth(out[1], 1))
    out[1, 0::2, 1::2], out[1, 1::2, 0::2] = raw[0::2, 1::2], raw[1::2, 0::2]
    return out


def _camera(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photograph linear light (3, size, size): uint8 (size, size, 3)."""
    seen = ndimage.gaussian_filter(light, LENS, axes=(1, 2), truncate=3)
    seen = np.clip(seen * np.float32(rng.uniform(0.92, 1.08)), 0, 1)
    raw = np.empty(seen.shape[1:], np.float32)
    raw[0::2, 0::2], raw[1::2, 1::2] = seen[0, 0::2, 0::2], seen[2, 1::2, 1::2]
    raw[0::2, 1::2], raw[1::2, 0::2] = seen[1, 0::2, 1::2], seen[1, 1::2, 0::2]
    raw += rng.standard_normal(raw.shape, np.float32) * np.sqrt(SHOT * raw + READ**2)
    linear = np.clip(_demosaic(raw), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
