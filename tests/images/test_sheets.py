"""A contact sheet by its pixels: where each image lies, what is done to small and large ones, what is no sheet."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from helpers.core.errors import Damaged
from helpers.images import sheets


def noise(side: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("side", [64, 96, 128, 256])
def test_an_image_lies_in_its_place(side: int) -> None:
    rows = [[noise(side, 8 * row + column) for column in range(8)] for row in range(3)]
    sheet = np.asarray(sheets.lay(rows))
    assert sheet.shape == (3 * 128 + 2 * 4, 8 * 128 + 7 * 4, 3)
    place = sheet[132 : 132 + 128, 5 * 132 : 5 * 132 + 128]
    pixels = np.asarray(rows[1][5])
    if side < 96:  # each pixel twice in either direction
        assert (place == pixels.repeat(2, 0).repeat(2, 1)).all()
    elif side == 96:
        assert (place[16:-16, 16:-16] == pixels).all() and (place[:16] == 255).all() and (place[:, -16:] == 255).all()
    elif side == 128:
        assert (place == pixels).all()
    else:
        means = pixels.reshape(128, 2, 128, 2, 3).mean((1, 3))
        assert np.abs(place - means).max() <= 1  # rounded once in either direction
    assert (np.asarray(sheets.tile(Image.fromarray(sheet), 3, 1, 5)) == place).all()
    # Nothing lies between the places.
    gaps = np.delete(sheet, [at for row in range(3) for at in range(row * 132, row * 132 + 128)], axis=0)
    assert gaps.shape[0] == 8 and (gaps == 255).all()


def test_a_sheet_of_another_size_is_refused() -> None:
    with pytest.raises(Damaged, match="contact sheet: 1052 x 260 pixels, where 4 rows of 8 images have 1052 x 524"):
        sheets.tile(Image.new("RGB", (1052, 260)), 4, 0, 0)
