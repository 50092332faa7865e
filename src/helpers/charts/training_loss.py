"""How the miniatures were trained: the loss of each network over its steps."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import layers, theme

__all__ = ["training_loss"]


def training_loss(table: pd.DataFrame, network: str = "denoiser-sd3") -> alt.Chart:
    """The loss of one network as it was trained, from a table with network, step and loss; a menu chooses which."""
    networks = {name: name for name in table["network"].unique()}
    menu = theme.choice("network", "Network", networks, network)
    line = (
        alt.Chart(table)
        .transform_filter("datum.network == network")
        .mark_line(color=theme.colour("fp32"), point={"size": 14})
        .encode(
            x=alt.X("step:Q", title="optimisation steps").axis(tickCount=6),
            y=alt.Y("loss:Q", title="loss").scale(type="log"),
            tooltip=layers.tooltips(("step:Q",), ("loss:Q", "loss", ".4g")),
        )
    )

    def says(network: str) -> str:
        loss = table[table["network"] == network].loss
        first, last = (f"{value:.2g}" for value in (loss.iloc[0], loss.iloc[-1]))
        return f"The loss of {network} goes from {first} to {last}"

    description = "Mean loss of a network over the steps of its training (log scale)."
    return theme.describe(line, description, 240, [menu], says)
