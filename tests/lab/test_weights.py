"""A weights file holds every number to the last bit, in as few bits as hold it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from lab_stored import numbers

from helpers.lab import weights
from helpers.lab.storage import Files


def test_numbers_come_back_to_the_last_bit() -> None:
    random = np.random.default_rng(1)
    whole = random.standard_normal((5, 7), np.float32)
    given = {"a": whole, "b": whole.astype(np.float16).astype(np.float32), "c": np.float32([0.1]), "d": -0.0 * whole[0]}
    contents, few, many = weights.packed(given)
    assert (few, many) == (35 + 7, 35 + 1) and len(contents) == 2 * few + 4 * many
    ordered = np.concatenate([of.ravel() for of in weights.ordered(given).values()])
    assert numbers(contents, few, many).tobytes() == ordered.tobytes()


def test_numbers_of_sixteen_bits_come_first_and_keep_their_order() -> None:
    given = {"x": np.float32([0.1]), "y": np.float32([1]), "z": np.float32([2])}
    assert list(weights.ordered(given)) == ["y", "z", "x"]


@pytest.mark.parametrize(
    "value, fits", [(65504.0, True), (65505.0, False), (1e6, False), (2**-24, True), (1e-9, False)]
)
def test_what_float16_cannot_hold_stays(value: float, fits: bool) -> None:
    assert weights.halves(np.float32([value])) is fits


def test_a_file_is_stored_once(tmp_path: Path) -> None:
    stored = Files(tmp_path)
    assert stored.put("models/a.bin", b"1" * 1000) == stored.put("models/b.bin", b"1" * 1000) == "models/a.bin.gz"
    assert stored.put("models/c.bin", b"2" * 1000) == "models/c.bin.gz"
    assert gzip.decompress((tmp_path / "models" / "a.bin.gz").read_bytes()) == b"1" * 1000
    assert stored.sizes.keys() == {"models/a.bin.gz", "models/c.bin.gz"}
    assert all(of["bytes"] == 1000 and of["transfer"] < 100 for of in stored.sizes.values())
