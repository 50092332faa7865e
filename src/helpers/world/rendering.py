"""Renders of the miniature world: shaded solids on textured grounds in linear light, seen by the camera.

A render is a pure function of seed and size. Light is linear until the camera's last step.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from scipy import fft

from helpers.world.camera import photograph
from helpers.world.scenes import COLOURS, GROUNDS, Ground, Solid, scene

__all__ = ["METHOD", "render", "renders"]

#: What tells this renderer from others. Put any other word here when a render's pixels change: runs make theirs again.
#: The first is the name and the checksum of the file that the renderer lay in, for that is what runs have on record.
METHOD = "world.py 53363417b61cd256a186ed2c4e209c0bfa347c42ab238df4cb5818f1da19db8d"


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
    return photograph(light, rng)


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
