"""What quantization saves on the public checkpoints: memory counted from their networks, time measured on GPUs."""

from __future__ import annotations

import pandas as pd

from helpers.core import files

__all__ = ["CHECKPOINTS", "GIB", "measured", "published", "weights"]

#: The checkpoints of `precision.architectures`, by key, with their names in print.
CHECKPOINTS = {
    "sd15": "SD1.5", "sd21": "SD2.1", "sdxl": "SDXL", "sd3": "SD3 medium", "sd35-large": "SD3.5 large",
    "sd35-medium": "SD3.5 medium", "flux1-dev": "Flux.1 dev", "flux1-schnell": "Flux.1 schnell",
}  # fmt: skip
#: Bytes of a GiB, which many tools print as "GB".
GIB = 2**30
FOLDER = files.RESULTS / "footprint"


def _read(name: str) -> pd.DataFrame:
    path = FOLDER / name
    found = pd.read_csv(path, keep_default_na=True) if path.is_file() else pd.DataFrame(columns=["checkpoint"])
    return found.assign(title=found.checkpoint.map(CHECKPOINTS).fillna(found.checkpoint))


def weights() -> pd.DataFrame:
    """What `quantdetect footprint` counted: checkpoint (and title), component, precision, coverage, parameters,
    quantized, bytes.
    """
    return _read("memory.csv")


def measured() -> pd.DataFrame:
    """What `quantdetect footprint --device cuda` measured; empty where no run is archived."""
    return _read("device.csv")


def published() -> pd.DataFrame:
    """Timings that others published, each with its source: loaded_gb, peak_gb, seconds (of an image), `ratio` of its
    seconds to those of the 16-bit row of the same source.
    """
    found = _read("published.csv")
    base = found[found.precision.isin(["bf16", "fp16"])].set_index("source").seconds
    return found.assign(ratio=found.seconds / found.source.map(base))


def totals() -> pd.DataFrame:
    """Bytes of a whole checkpoint: one row per title, one column per (precision, coverage)."""
    frame = weights()
    return frame.groupby(["title", "precision", "coverage"], sort=False).bytes.sum().unstack([1, 2])
