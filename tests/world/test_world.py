"""The miniature world: pure functions of a seed, captions that read back, a camera with a camera's noise."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import world
from helpers.core.errors import UsageError
from helpers.core.files import RESULTS
from helpers.world import camera

seeds = st.integers(0, 40_000_000)


@given(seeds)
def test_captions_read_back(seed):
    of = world.scene(seed)
    parsed = world.parse(world.caption(of))
    assert parsed.ground == of.ground
    assert parsed.relation == of.relation
    assert parsed.solids == tuple((solid.colour, solid.shape) for solid in of.solids)


@given(seeds)
def test_captions_use_the_vocabulary(seed):
    words = world.prompt(seed).replace(",", " ,").split()
    assert set(words) <= set(world.vocabulary())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a photo of a redd ball on sand", "nearest: 'red'"),
        ("a photo of a red bal on sand", "nearest: 'ball'"),
        ("a red ball on sand", "a photo of"),
        ("a photo of a red ball on lava", "lava"),
    ],
)
def test_foreign_captions_are_refused_by_name(text, named):
    with pytest.raises(UsageError, match=named):
        world.parse(text)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([64, 96, 128]))
def test_a_render_is_a_pure_function_of_its_seed(seed, size):
    first, again = world.render(seed, size), world.render(seed, size)
    assert first.shape == (size, size, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != world.render(seed + 1, size)).mean() > 0.5


def test_renders_are_the_archived_reals():
    """Pixels as the archived run recorded them: SHA-256 of the picture's size and RGB bytes."""
    archive = pd.read_parquet(
        RESULTS / "mini" / "scores.parquet", columns=[*"generator arm size index image_sha256".split()]
    )
    reals = archive[(archive.generator == "real") & (archive.arm == "none") & (archive["index"] < 20)]
    reals = reals.drop_duplicates(["size", "index"])
    assert set(reals["size"]) == {64, 96, 128} and len(reals) == 60
    for real in reals.to_dict("records"):
        size, pixels = real["size"], world.render(world.SPLITS["test"] + real["index"], real["size"])
        assert hashlib.sha256(f"{size}x{size} RGB\n".encode() + pixels.tobytes()).hexdigest() == real["image_sha256"]


def test_renders_are_the_single_renders():
    np.testing.assert_array_equal(world.renders([5, 9], 64)[1], world.render(9, 64))


@pytest.mark.parametrize("size", [15, 14, 65])
def test_a_size_that_no_mosaic_has_is_refused(size):
    with pytest.raises(ValueError, match="even size"):
        world.render(0, size)


def test_splits_do_not_meet():
    starts = sorted(world.SPLITS.values())
    assert min(np.diff(starts)) >= 10_000_000


def test_solids_are_where_the_caption_says():
    for seed in range(300):
        of = world.scene(seed)
        across, down = [s.x for s in of.solids], [s.y for s in of.solids]
        if of.relation in ("beside", "row"):
            assert across == sorted(across)
        if of.relation == "above":
            assert down == sorted(down)
        for solid in of.solids:
            assert 0 < solid.x - 0.8 * solid.radius and solid.x + 0.8 * solid.radius < 1
            assert solid.colour not in world.GROUNDS[of.ground].clashes


def test_every_name_occurs():
    scenes = [world.scene(seed) for seed in range(600)]
    assert {of.ground for of in scenes} == set(world.GROUNDS)
    assert {of.relation for of in scenes} == set(world.RELATIONS)
    assert {s.shape for of in scenes for s in of.solids} == set(world.SHAPES)
    assert {s.colour for of in scenes for s in of.solids} == set(world.COLOURS)


def test_a_solid_has_its_colour():
    """At the centre of a lone square, the mean linear light leans to the named colour."""
    seen = 0
    for seed in range(400):
        of = world.scene(seed)
        solid = of.solids[0]
        if of.relation != "alone" or solid.shape != "square" or solid.colour not in ("red", "green", "blue"):
            continue
        x, y = int(solid.x * 64), int(solid.y * 64)
        patch = world.render(seed, 64)[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1))
        assert ("red", "green", "blue")[int(patch.argmax())] == solid.colour
        seen += 1
    assert seen >= 3


def test_the_sensor_leaves_noise_that_demosaicing_correlates():
    """A flat grey through the camera: noise is there, and interpolation makes red smoother than white noise."""
    flat = np.full((3, 128, 128), 0.3, np.float32)
    image = camera.photograph(flat, np.random.default_rng(0)).astype(float)
    noise = image - image.mean((0, 1))
    assert 1.0 < noise.std() < 12.0
    red = noise[..., 0]
    neighbours = np.corrcoef(red[:, 1:].ravel(), red[:, :-1].ravel())[0, 1]
    assert neighbours > 0.3  # white noise has 0; bilinear interpolation of every second pixel lies near 0.5
