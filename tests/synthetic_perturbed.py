"""A synthetic study with scores of perturbed images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import synthetic

from helpers.analysis import perturbed

NAMES = {"jpeg:75": -1.0, "blur:1": 0.0}


def write(folder: Path, effects=synthetic.FLAT, moved=None, level: float = 1.0) -> Path:
    """A synthetic study with perturbed scores: the untouched logits, moved by so much per perturbation (fakes only)."""
    synthetic.write(folder, effects, images=60, level=level)
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[scores.precision.isin(["fp32", "fp4", "none"])]
    frames = []
    for name, by in (moved or NAMES).items():
        logit = scores.logit + np.float32(by) * scores.label
        frames.append(scores.assign(logit=logit.astype(np.float32), perturbation=name))
    pd.concat(frames).to_parquet(folder / perturbed.TABLE)
    return synthetic.vouch(folder)
