"""Distances between pictures against closed forms and against the figures of another library."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import world
from helpers.images import distances


@pytest.mark.parametrize("offset", [1, 3, 16, 100])
def test_a_constant_offset_has_its_closed_form(offset):
    first = np.random.default_rng(0).integers(0, 256 - offset, (3, 16, 24, 3), dtype=np.uint8)
    np.testing.assert_allclose(distances.psnr(first, first + np.uint8(offset)), 20 * np.log10(255 / offset))
    np.testing.assert_allclose(distances.psnr(first + np.uint8(offset), first), 20 * np.log10(255 / offset))


def test_equal_images_lie_at_no_distance_and_one_level_of_one_channel_is_seen():
    first = np.full((2, 8, 8, 3), 7, np.uint8)
    second = first.copy()
    second[1, 0, 0, 2] += 1
    assert distances.psnr(first, second)[0] == np.inf and distances.gmsd(first, second)[0] == 0
    assert distances.psnr(first, second)[1] == pytest.approx(10 * np.log10(255**2 * 8 * 8 * 3))


def test_gmsd_is_that_of_another_library():
    """piq 0.8.0, `gmsd(x, y, data_range=255, reduction="none")`, of the same pixels in double precision."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    moved = np.random.default_rng(1).integers(-40, 41, noise.shape)
    other = np.clip(noise.astype(int) + moved, 0, 255).astype(np.uint8)
    expected = [0.05690447, 0.05700872, 0.05752663, 0.05842318]
    np.testing.assert_allclose(distances.gmsd(noise, other), expected, atol=1e-8)
    np.testing.assert_allclose(distances.psnr(noise, other), [21.09286, 21.10785, 21.08326, 21.16426], atol=1e-4)


def test_the_distance_grows_with_the_noise_and_does_not_depend_on_what_is_beside_it():
    first = world.renders([world.SPLITS["test"] + i for i in range(3)], 64)[:, 1:, 1:]  # odd sides
    rng = np.random.default_rng(2)
    found = []
    for spread in (2, 8, 32):
        second = np.clip(first + rng.normal(0, spread, first.shape), 0, 255).astype(np.uint8)
        found.append([distances.gmsd(first, second), -distances.psnr(first, second)])
        np.testing.assert_allclose(distances.gmsd(first[1:2], second[1:2]), found[-1][0][1:2], rtol=1e-12)
    assert (np.diff(found, axis=0) > 0).all()
