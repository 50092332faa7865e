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
        .add_params(menu)
    )
    return theme.describe(line, f"Loss over steps of {len(networks)} networks; a menu chooses the network.", 240)
