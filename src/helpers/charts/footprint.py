"""Bytes of the public checkpoints' weights by component, from FP32 down."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.analysis.words import printed
from helpers.charts import layers, theme

__all__ = ["COMPONENTS", "footprint"]

#: Components by name in print, with their colours (Tol's bright set).
COMPONENTS = {
    "denoiser": ("denoiser", "#4477AA"),
    "t5": ("T5 encoder", "#EE6677"),
    "text_encoder": ("CLIP encoders", "#CCBB44"),
    "text_encoder_2": ("CLIP encoders", "#CCBB44"),
    "vae": ("VAE", "#228833"),
}


def footprint(bars: pd.DataFrame) -> alt.Chart:
    """Stacked bars, one per precision and coverage; a menu chooses the checkpoint.

    `bars` has title, how (the bar's name, in order), component and bytes.
    """
    names = {key: title for key, (title, _) in COMPONENTS.items()}
    shown = bars.assign(part=bars.component.map(names), gb=(bars.bytes / 1e9).round(3))
    shown = shown.groupby(["title", "how", "part"], sort=False, as_index=False).gb.sum()
    titles, order = list(shown.title.unique()), list(shown.how.unique())
    colours = {title: colour for title, colour in COMPONENTS.values()}
    chart = (
        alt.Chart(shown)
        .transform_filter("datum.title == model")
        .mark_bar(size=18)
        .encode(
            x=alt.X("gb:Q", title="weights, GB (10⁹ bytes)").axis(tickCount=5),
            y=alt.Y("how:N", sort=order, title=None).axis(ticks=False, labelLimit=170),
            color=layers.legend(layers.coloured("part", colours).title(None), 110),
            order=alt.Order("rank:Q"),
            tooltip=layers.tooltips(
                ("title:N", "checkpoint"), ("how:N", "precision"), ("part:N", "component"), ("gb:Q", "GB", ".3f")
            ),
        )
        .transform_calculate(rank=f"indexof({list(colours)}, datum.part)")
    )
    menu = theme.choice("model", "Checkpoint", {title: title for title in titles}, "Flux.1 dev")
    description = (
        f"Gigabytes of weights of a public checkpoint by component at {', '.join(order)}, counted from the networks' "
        "shapes."
    )

    def says(model: str) -> str:
        totals = shown[shown.title == model].groupby("how", sort=False).gb.sum()
        ends = [f"{printed(totals.iloc[end], 1)} GB at {totals.index[end]}" for end in (0, -1)]
        return f"{model}'s weights take {' and '.join(dict.fromkeys(ends))}"

    return theme.describe(chart, description, alt.Step(30), [menu], says)
