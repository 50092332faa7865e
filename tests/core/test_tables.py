"""Stored tables: what is written is what is read, and words that stand in many rows are stored once."""

import hashlib

import numpy as np
import pandas as pd

from helpers.core.files import write_parquet


def test_a_digest_that_stands_in_many_rows_is_stored_once(tmp_path):
    """20,000 digests are 1.4 MB, more than pyarrow's own bound of a dictionary, beyond which each row has its own."""
    digests = np.array([hashlib.sha256(bytes([i // 256, i % 256])).hexdigest() for i in range(20_000)])
    frame = pd.DataFrame({"image_sha256": np.tile(digests, 8), "logit": np.arange(160_000) / 7})
    write_parquet(frame[["image_sha256"]], tmp_path / "digests.parquet")
    assert (tmp_path / "digests.parquet").stat().st_size < 1.5 * 20_000 * 64
    write_parquet(frame, tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), frame)
