"""Distances and readings beside the scores of a synthetic study: known medians, known losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic

#: Words of a reading that is the prompt's.
RIGHT = {"ground": "sand", "colours": "red", "shapes": "ball"}


def write(
    folder: Path,
    psnr: Mapping[tuple[str, str], float | np.ndarray],
    lost: Mapping[tuple[str, str], int] | None = None,
    *,
    read: bool = True,
) -> Path:
    """Write distances.parquet beside a study's scores.

    `psnr` maps (arm, precision) to the dB of its images, one for all or one for each; `lost` to the number of its first
    images whose ground is read otherwise than at the baseline, where all is right. Without `read` nothing is read.
    """
    scores = pd.read_parquet(folder / "scores.parquet")
    keys = ["generator", "precision", "arm", "size", "index", "image_sha256"]
    rows = scores[(scores.label == 1)].drop_duplicates(keys[:5])[keys]
    frames = []
    for (arm, precision), decibels in {("native", "fp32"): np.inf, **psnr}.items():
        for _, cell in rows[(rows.arm == arm) & (rows.precision == precision)].groupby("generator", sort=False):
            cell = cell.sort_values("index").assign(psnr=decibels)
            cell = cell.assign(gmsd=np.where(np.isinf(cell.psnr), 0, 10 ** (-cell.psnr / 20)))
            cell = cell.assign(
                identical=np.isinf(cell.psnr).astype(np.int8), **(RIGHT if read else dict.fromkeys(RIGHT))
            )
            gone = cell["index"] < (lost or {}).get((arm, precision), 0)
            cell = cell.assign(ground=np.where(gone, "sky", cell.ground))
            right = {f"{part}_right": (~gone if part == "ground" else True) if read else None for part in RIGHT}
            frames.append(cell.assign(**right).astype(dict.fromkeys(right, "Int8")))
    pd.concat(frames).to_parquet(folder / "distances.parquet")
    return synthetic.vouch(folder)
