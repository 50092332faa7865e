"""What quantization saves, for notebook 01: memory and time of the public checkpoints, costs of the study's cells."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import charts
from helpers.analysis.footprint import PARTS
from helpers.analysis.words import listed, named, share
from helpers.claims import Finding
from helpers.claims.savings import memory, time
from helpers.paper import page, tables
from helpers.paper.prose import Source, escaped
from helpers.results.results import Results

__all__ = ["COSTS", "costs", "footprint", "memory_answers", "show_costs", "time_answers", "timings"]


COSTS = {
    "bytes_share": ("{:.0%}", "Weights in memory, as a share of the unquantized"),
    "seconds_per_image": ("{:.2f}", "Seconds per image"),
    "seconds_load": ("{:.2f}", "Seconds to load"),
    "seconds_quantize": ("{:.2f}", "Seconds to quantize"),
    "peak_memory_mb": ("{:.0f}", "Peak memory of the process or the device, MB"),
}


def costs(found: pd.DataFrame, column: str) -> HTML:
    """One of `COSTS` of every cell, from `analysis.costs`."""
    return tables.matrix(found, column, *COSTS[column])


def show_costs(found: pd.DataFrame) -> None:
    """Display those of `COSTS` that are known of the cells, from `analysis.costs`."""
    for column in COSTS:
        if len(found) and not found[column].isna().all():
            display(costs(found, column))


def memory_answers(results: Results) -> list[Source]:
    """What real evidence says of the claims on memory, each in a paragraph."""
    return [
        _answer(results, "Memory against FP32", "C1_memory", memory()),
        _answer(results, "Memory against FP16", "C1_memory_from_FP16", memory(base="fp16")),
    ]


def time_answers(results: Results) -> list[Source]:
    """What real evidence says of the claims on time, each in a paragraph."""
    return [
        _answer(results, "Time against FP32", "C1_time", time()),
        _answer(results, "Time against FP16", "C1_time_from_FP16", time(base="fp16")),
    ]


def _answer(results: Results, head: str, key: str, finding: Finding) -> Source:
    return Source(f"**{head}:** {page.evidence(results, key).markdown} {escaped(finding.sentence)}")


def footprint(bars: pd.DataFrame, at_fp4: pd.DataFrame, at_formats: pd.DataFrame) -> None:
    """Display the memory of the public checkpoints' weights, by the tables of `analysis.footprint`: the chart by
    component (`by_precision`), what stays at FP4, all formats."""
    if bars.empty:
        display(Markdown("The checkpoints' memory was not counted: `quantdetect footprint` does it."))
        return
    page.glue_figure("footprint", charts.footprint(bars))
    display(_at_fp4(at_fp4))
    display(_at_formats(at_formats))


def _at_fp4(found: pd.DataFrame) -> HTML:
    """Each checkpoint at FP4: GB of its parts before (FP16) and after, and the share of its parameters quantized."""

    def sizes(part: str) -> list[str]:
        before = zip(found[f"{part}_before"], found[part], strict=True)
        return [f"{gb:.2f}{tables.ARROW}{after:.2f}" if gb else tables.DASH for gb, after in before]

    shown = pd.DataFrame(
        {
            "checkpoint": found.title,
            **{part: sizes(part) for part in PARTS},
            "denoiser quantized": [share(part, 2) for part in found.denoiser_share],
            "all weights quantized": [share(part, 1) for part in found.all_share],
            "all parts": sizes("all"),
        }
    )
    return tables.table(shown, f"Weights in GB (10\N{SUPERSCRIPT NINE} bytes), FP16{tables.ARROW}FP4")


def _at_formats(found: pd.DataFrame) -> HTML:
    """Every format on every checkpoint: GB in all, and the share of FP16's."""
    printed = found.assign(
        bits=found.bits.map("{:.4g}".format),
        printed=[f"{gb:.2f} ({share(part)})" for gb, part in zip(found.gb, found.share, strict=True)],
    )
    wide = tables.crossed(printed, ["precision_title", "bits"], "title", "printed")
    wide = wide.rename(columns={"precision_title": "format", "bits": "bits per weight, scales included"})
    caption = (
        "All weights in GB (10\N{SUPERSCRIPT NINE} bytes) at every format, and the share of FP16's; linear layers of"
        " denoiser and T5 in the format"
    )
    return tables.table(wide, caption)


MEASURED = {
    "title": "checkpoint", "precision": "precision", "coverage": "quantized layers", "bytes": "weights, GB",
    "peak_allocated": "peak memory, GB", "seconds_per_step": "seconds per step", "ratio": "time relative to FP16",
}  # fmt: skip
PUBLISHED = {
    "title": "checkpoint", "format": "format", "loaded_gb": "memory once loaded", "peak_gb": "peak memory",
    "seconds": "seconds", "ratio": "time relative to 16 bits", "card": "GPU", "source": "source",
}  # fmt: skip
PUBLISHED_FORMS = {"loaded_gb": "{:.1f}", "peak_gb": "{:.1f}", "seconds": "{:.2f}", "ratio": "{:.2f}"}


def timings(runs: pd.DataFrame, found: pd.DataFrame) -> None:
    """Display what was measured on a GPU, where a run is archived, and what others published, with its source, by the
    tables of `analysis.footprint`."""
    if len(runs):
        shown = runs.assign(
            precision=runs.precision.map(named),
            seconds_per_step=runs.seconds_per_step.map("{:.3f}".format),
            ratio=runs.ratio.map("{:.2f}".format, na_action="ignore"),
            **{key: runs[key].div(1e9).map("{:.2f}".format, na_action="ignore") for key in ("bytes", "peak_allocated")},
        )
        where = listed(sorted(set(runs.card + ", " + runs.versions)))
        title = f"Measured with random weights at native resolution: {where}"
        display(tables.table(shown[list(MEASURED)].rename(columns=MEASURED), title))
    found = found.assign(
        **{key: found[key].map(form.format, na_action="ignore") for key, form in PUBLISHED_FORMS.items()}
    )
    shown = found[list(PUBLISHED)].rename(columns=PUBLISHED)
    display(tables.table(shown, "Published by others, 1024 px: memory in their GB, seconds for an image"))
