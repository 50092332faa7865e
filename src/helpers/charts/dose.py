"""The shift of a detector's logit against the dose that a format gives the pictures, in dB of PSNR."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["dose_shifts"]

_COLUMNS = ["generator", "detector", "precision_title", "arm_title", "psnr", "psnr_low", "psnr_high", "n",
            *layers.ends(["shift"])]  # fmt: skip


def dose_shifts(
    table: pd.DataFrame,
    targets: Mapping[str, float],
    generator: str = "sd3",
    detector: str = "npr",
    against: str = "FP32",
) -> alt.LayerChart:
    """The mean shift of each format against the median PSNR of its images to the baseline's; menus choose.

    `table` is that of `helpers.analysis.dose.responses`; `targets` are doses in dB to be marked, by name; `against`
    names the baseline. The axis runs from large doses to small ones.
    """
    generators, detectors = (theme.options(table, key) for key in ("generator", "detector"))
    titles = list(dict.fromkeys(table.arm_title))
    base = (
        alt.Chart(table[_COLUMNS].round(4))
        .transform_filter("datum.generator == model && datum.detector == detector")
        .encode(
            x=alt.X("psnr:Q", title=f"median PSNR to {against}, dB").scale(zero=False, padding=24).axis(grid=True),
            tooltip=layers.tooltips(
                ("precision_title:N", "format"), ("arm_title:N", "arm"), ("psnr:Q", "PSNR, dB", ".1f"),
                ("shift:Q", "shift", "+.3f"), ("shift_low:Q", "from", "+.3f"), ("shift_high:Q", "to", "+.3f"),
                ("n:Q", "images"),
            ),
        )
    )  # fmt: skip
    axis = alt.Y("shift_low:Q", title=f"logit shift, in SDs of {against}, with 95 % interval").scale(zero=False)
    spans, points = layers.points_with_intervals(base, axis, "shift_high:Q", "shift:Q", size=80, width=2, opacity=0.8)
    names = base.mark_text(dy=-9, baseline="bottom", fontSize=11)
    names = names.encode(y="shift_high:Q", text="precision_title:N", color=alt.value("#333"))
    points = points.encode(shape=layers.shapes("arm_title", titles))
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("detector", "Detector", detectors, detector),
    ]
    marked = "".join(f"; {name} is marked at {value:.1f} dB" for name, value in targets.items())
    description = (
        f"Shift of the logits of {len(detectors)} detectors against the median PSNR of {table.precision.nunique()} "
        f"formats' images to those of {against}, for {len(generators)} generators, with 95 % intervals{marked}; menus "
        "choose generator and detector."
    )
    zero = layers.rule(y=0, color="#777", strokeDash=[4, 3])
    return layers.compose([zero, *_marks(targets), spans, points, names], menus, description, 300)


def _marks(targets: Mapping[str, float]) -> list[alt.Chart]:
    """An upright line with its name at each dose."""
    if not targets:
        return []
    rows = pd.DataFrame({"name": list(targets), "target": list(targets.values())})
    base = alt.Chart(rows).encode(x="target:Q")
    text = base.mark_text(align="left", baseline="top", dx=4, fontSize=11, color="#555")
    return [
        base.mark_rule(color="#555", strokeDash=[2, 2]),
        text.encode(y=alt.value(0), text="name:N"),
    ]
