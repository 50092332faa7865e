"""What quantization saves on the public checkpoints: memory counted from their networks, time measured on GPUs."""

from __future__ import annotations

import pandas as pd

from helpers.core import files
from helpers.generators.catalogue import GENERATORS, checkpoint_titles
from helpers.precision.catalogue import PRECISIONS

__all__ = [
    "GIB", "PARTS", "at_formats", "at_fp4", "by_family", "by_precision", "measured", "published", "totals", "weights",
]  # fmt: skip

#: Bytes of a GiB, which many tools print as "GB".
GIB = 2**30
FOLDER = files.RESULTS / "footprint"
#: What a figure shows of `weights`, in order: (precision, coverage) with its name in print.
PRECISIONS_SHOWN = {
    ("fp32", "whole"): "FP32", ("fp16", "whole"): "FP16",
    ("fp8", "linear"): "FP8", ("fp8", "all"): "FP8 and convolutions",
    ("fp4", "linear"): "FP4", ("fp4", "all"): "FP4 and convolutions",
}  # fmt: skip
#: Parts of a checkpoint in print, and their components.
PARTS = {"denoiser": ["denoiser"], "T5": ["t5"], "CLIP": ["text_encoder", "text_encoder_2"], "VAE": ["vae"]}


def _read(name: str) -> pd.DataFrame:
    path = FOLDER / name
    found = files.read_csv(path, ["checkpoint"]) if path.is_file() else pd.DataFrame(columns=["checkpoint"])
    return found.assign(title=found.checkpoint.map(checkpoint_titles()).fillna(found.checkpoint))


def by_family(shares: pd.Series) -> dict[str, pd.Series]:
    """Shares by checkpoint (its name in print) in two parts, "UNets" and "DiTs"; a family without any is left out."""
    kinds = {
        title: "UNets" if GENERATORS[key.partition("-")[0]].family.startswith("UNet") else "DiTs"
        for key, title in checkpoint_titles().items()
    }
    found = {kind: shares[[title for title in shares.index if kinds[title] == kind]] for kind in ("UNets", "DiTs")}
    return {kind: part for kind, part in found.items() if len(part)}


def weights() -> pd.DataFrame:
    """What `quantdetect footprint` counted: checkpoint (and title), component, precision, coverage, parameters,
    quantized, bytes.
    """
    return _read("memory.csv")


def measured() -> pd.DataFrame:
    """What `quantdetect footprint --device cuda` measured; empty where no run is archived.

    `ratio` is a step's seconds to those of the same checkpoint at FP16, NaN where that was not run.
    """
    found = _read("device.csv")
    if found.empty:
        return found
    base = found[found.precision == "fp16"].set_index("title").seconds_per_step
    return found.assign(ratio=found.seconds_per_step / found.title.map(base))


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


def by_precision() -> pd.DataFrame:
    """The rows of `weights` at six precisions and coverages, named in print and in order by `how`."""
    counted = weights()
    if counted.empty:
        return counted.assign(how=[])
    ways = list(zip(counted.precision, counted.coverage, strict=True))
    shown = counted.assign(how=pd.Series(ways, index=counted.index).map(PRECISIONS_SHOWN)).dropna(subset="how")
    order = list(PRECISIONS_SHOWN.values())
    return shown.sort_values("how", key=lambda names: names.map(order.index), kind="stable")


def at_fp4() -> pd.DataFrame:
    """Each checkpoint at FP4 (linear layers) against FP16: title; gigabytes (10^9 bytes) of each of PARTS and `all`,
    `_before` and after; the share of its parameters in the format, of the denoiser and of all (`denoiser_share`,
    `all_share`). 0 GB is a part that the checkpoint lacks.
    """
    rows = []
    for title, group in weights().groupby("title", sort=False):
        half, four = (
            group[(group.precision == key) & (group.coverage == coverage)].set_index("component")
            for key, coverage in (("fp16", "whole"), ("fp4", "linear"))
        )
        row = {"title": title, "all_before": half.bytes.sum() / 1e9, "all": four.bytes.sum() / 1e9}
        for name, keys in PARTS.items():
            row |= {f"{name}_before": half.bytes.reindex(keys).sum() / 1e9, name: four.bytes.reindex(keys).sum() / 1e9}
        row["denoiser_share"] = four.quantized["denoiser"] / four.parameters["denoiser"]
        row["all_share"] = four.quantized.sum() / four.parameters.sum()
        rows.append(row)
    return pd.DataFrame(rows)


def at_formats() -> pd.DataFrame:
    """Every format of weights on every checkpoint, linear layers, in the catalogue's order: precision (key) and
    precision_title, bits (of a weight with its share of the scales, beside 16 bits), title (of the checkpoint), `gb`
    (10^9 bytes of all its weights) and `share` of what they take at FP16. Formats that were not counted are left out.
    """
    counted = weights()
    if counted.empty:
        return pd.DataFrame(columns=["precision", "precision_title", "bits", "title", "gb", "share"])
    sizes = counted[counted.coverage != "all"].groupby(["precision", "title"], sort=False).bytes.sum()
    order = [key for key in PRECISIONS if key in sizes.index]
    rows = [
        {
            "precision": key, "precision_title": PRECISIONS[key].title, "bits": PRECISIONS[key].bits_with_scales,
            "title": title, "gb": size / 1e9, "share": size / sizes["fp16", title],
        }
        for key in order for title, size in sizes[key].items()
    ]  # fmt: skip
    return pd.DataFrame(rows)
