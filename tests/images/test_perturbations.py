"""The perturbations: what each does to a picture, how names are read, what a seed changes."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from helpers import world
from helpers.core.errors import UsageError
from helpers.images import perturbations


def picture(seed: int = 3, size: int = 96) -> Image.Image:
    return Image.fromarray(world.render(seed, size))


def test_names_are_read_and_written_back():
    for text in ("jpeg:75", "resize:0.5", "blur:1", "noise:4", "jpeg:75+resize:0.5+blur:2", "none"):
        assert perturbations.parse(text).name == text
    assert perturbations.parse("resize:.50") == perturbations.parse("resize:0.5")
    parts = [perturbations.parse(text) for text in ("jpeg:75", "blur:1")]
    assert perturbations.chain(parts) == perturbations.parse("jpeg:75+blur:1")
    assert perturbations.chain([]).name == "none"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jpg:75", "nearest: 'jpeg'"),
        ("", "there are jpeg:QUALITY"),
        ("jpeg", "'jpeg': QUALITY must be a whole number from 1 to 100, as in jpeg:75"),
        ("jpeg:75.5", "whole number"),
        ("jpeg:0", "from 1 to 100"),
        ("jpeg:75+", "no perturbation ''"),
        ("blur:nan", "SIGMA must be a number"),
        ("resize:inf", "FACTOR must be a number from 0.1 to 1"),
        ("resize:0.5+blur:-1", "'blur:-1'"),
    ],
)
def test_a_name_that_is_none_is_told_in_one_line(text, says):
    with pytest.raises(UsageError) as error:
        perturbations.parse(text)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_image_is_left_as_it_is_and_comes_back_as_rgb():
    image = picture()
    before = image.tobytes()
    for text in ("jpeg:50", "resize:0.5", "blur:2", "noise:4", "none"):
        made = perturbations.parse(text)(image, 0)
        assert made.mode == "RGB" and (text == "none") == (made.tobytes() == before)
    assert image.tobytes() == before


def test_jpeg_is_what_a_file_of_that_quality_shows():
    image, file = picture(), io.BytesIO()
    image.save(file, "JPEG", quality=75)
    assert perturbations.parse("jpeg:75")(image, 0).tobytes() == Image.open(file).tobytes()
    pixels = np.asarray(image, np.float64)
    loss = [
        ((np.asarray(perturbations.parse(f"jpeg:{quality}")(image, 0)) - pixels) ** 2).mean()
        for quality in (95, 85, 75, 50)
    ]
    assert loss == sorted(loss)


def test_a_resize_leaves_the_picture_smaller_and_its_mean_in_place():
    image = picture(size=128).crop((0, 0, 97, 65))
    made = perturbations.parse("resize:0.5")(image, 0)
    assert made.size == (48, 32)
    assert np.asarray(made).mean() == pytest.approx(np.asarray(image).mean(), abs=1.5)
    assert perturbations.parse("resize:0.1")(picture(size=64), 0).size == (8, 8)


def test_a_blur_is_the_gaussian_of_its_sigma():
    # The response to an edge is the Gaussian's integral, a closed form.
    edge = Image.fromarray(np.repeat(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None, :, None], 3, 2))
    edge = edge.resize((64, 64), Image.Resampling.NEAREST)
    for sigma in (1.0, 2.0):
        row = np.asarray(perturbations.parse(f"blur:{sigma}")(edge, 0))[32, :, 0]
        wanted = [255 * 0.5 * (1 + math.erf((x - 31.5) / (sigma * 2**0.5))) for x in range(64)]
        assert np.abs(row - wanted).max() < 0.03 * 255


def test_noise_is_drawn_from_the_seed_and_as_strong_as_said():
    grey, noise = Image.new("RGB", (128, 128), (128, 128, 128)), perturbations.parse("noise:4")
    assert noise(grey, 1).tobytes() == noise(grey, 1).tobytes() != noise(grey, 2).tobytes()
    assert np.asarray(noise(grey, 1), np.float64).std() == pytest.approx((4**2 + 1 / 12) ** 0.5, rel=0.05)
    twice = perturbations.parse("noise:4+noise:4")(grey, 1)  # each step draws its own
    assert np.asarray(twice, np.float64).std() == pytest.approx((2 * 4**2 + 2 / 12) ** 0.5, rel=0.05)


def test_a_chain_is_applied_in_order():
    image = picture()
    small = perturbations.parse("resize:0.5")(image, 0)
    assert perturbations.parse("resize:0.5+jpeg:75")(image, 0).tobytes() == (
        perturbations.parse("jpeg:75")(small, 0).tobytes()
    )
