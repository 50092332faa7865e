"""Public ladders of large generators: what each precision does to a picture, beside the same weights once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import altair as alt
import pandas as pd

from helpers.analysis.words import printed
from helpers.charts import layers, theme

__all__ = ["MEASURES", "ladder_dose", "ladder_groups"]

MEASURES = {
    "high_db": "fine detail (mean log power), change in dB",
    "power_db": "fine detail (mean power), change in dB",
    "npr_change": "energy of NPR's residual, relative change",
    "residual_change": "median residual, relative change",
    "psnr_db": "PSNR to the baseline, dB",
}

#: Kinds of network with two of Okabe and Ito's colours; shapes keep them apart in print too.
KINDS = {"U-Net": ("#D55E00", "circle"), "transformer": ("#0072B2", "diamond")}
COLUMNS = ["ladder", "model", "technique", "bits", "role", "kind", "group", *MEASURES]


def _kinds(table: pd.DataFrame) -> tuple[list[str], alt.Color, alt.Shape]:
    """The kinds of network of a table, their colours and their shapes."""
    kinds = [kind for kind in KINDS if kind in set(table.kind)]
    colour = layers.coloured("kind", {kind: KINDS[kind][0] for kind in kinds})
    return kinds, colour, alt.Shape("kind:N").scale(domain=kinds, range=[KINDS[kind][1] for kind in kinds])


def ladder_groups(
    table: pd.DataFrame, medians: pd.DataFrame, groups: Sequence[str], measure: str = "high_db"
) -> alt.LayerChart:
    """Every picture's change against its baseline, by bits and kind of network, beside pairs of the same weights.

    `table` is that of `helpers.analysis.real_ladders.pairs`, `medians` that of its `medians` over MEASURES, `groups`
    the rows in order. Bars are medians, rules their intervals; a menu chooses the measure. A `measure` that is none of
    MEASURES is another column of `table`, shown alone, with bars where `medians` has it.
    """
    measures = layers.measures(table, MEASURES, measure)
    medians = layers.bounded(medians, measures)
    kinds, colour, shape = _kinds(table)
    shown = [group for group in groups if group in set(table.group)]
    tips = layers.tooltips(
        ("model:N",), ("technique:N",), ("bits:Q",), ("ladder:N",), ("value:Q", "value", "+.3~f"),
    )  # fmt: skip
    points = (
        alt.Chart(layers.picked(table, *COLUMNS, *measures))
        .transform_calculate(value="datum[measure]")
        .mark_point(size=42, filled=True, opacity=0.55)
        .encode(x=alt.X("value:Q", title="measure, against the baseline").axis(tickCount=6), shape=shape, tooltip=tips)
    )
    middle = (
        alt.Chart(layers.picked(medians, "group", "kind", "n", "ladders", *layers.ends(measures)))
        .transform_calculate(**layers.MEASURED)
        .encode(
            tooltip=layers.tooltips(
                ("kind:N",), ("value:Q", "median", "+.3~f"), ("interval:N", "95 % interval"), ("n:Q", "pairs"),
                ("ladders:Q",),
            )
        )
    )  # fmt: skip
    spans = middle.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    bars = middle.mark_tick(thickness=3, size=15, opacity=1).encode(x="value:Q")
    stack = [
        layers.grouped_rows(layer, ("group", shown), ("kind", kinds), colour.legend(symbolOpacity=1))
        for layer in (points, spans, bars)
    ]
    zero = layers.rule(x=0).transform_filter("measure != 'psnr_db'")
    description = (
        f"{len(table)} public pictures of {table.ladder.nunique()} ladders, each against its baseline, by bits and "
        f"kind of network ({', '.join(kinds)}). Bars are medians, lines their 95 % intervals."
    )
    menus = [theme.choice("measure", "Measure", measures, measure)]
    says = _medians(medians, measures, shown)
    return layers.compose([zero, *stack], menus, description, layers.stacked_offsets(18), says)


def _medians(medians: pd.DataFrame, measures: Mapping[str, str], groups: Sequence[str]) -> Callable[..., str]:
    """The medians of 4 bits, or of the last group where there is none, kind by kind."""
    there = [group for group in groups if group in set(medians.group)]
    group = "4 bits" if "4 bits" in there else there[-1]

    def says(measure: str) -> str:
        rows = medians[(medians.group == group) & medians[measure].notna()]
        signed = measure != "psnr_db"
        parts = [f"{printed(row[measure], sign=signed)} ({row.kind})" for _, row in rows.iterrows()]
        return f"At {group}, medians of {measures[measure]}: {' and '.join(parts) or 'not known'}"

    return says


def ladder_dose(table: pd.DataFrame, doses: pd.DataFrame) -> alt.LayerChart:
    """PSNR of every rung of weights against its bits (log scale), with the medians that doses are matched to.

    `table` is that of `helpers.analysis.real_ladders.pairs` without other parts; hollow marks are the same weights.
    `doses` has bits, psnr (dB) with its ends, pairs, ladders: a bar from each number of bits to the next.
    """
    kinds, colour, shape = _kinds(table)
    bits = alt.X("bits:Q", title="bits a weight, block scales counted (log scale)").scale(
        type="log", domain=[2.4, 18], nice=False
    )
    psnr = alt.Y("psnr_db:Q", title="PSNR to the baseline, dB").scale(zero=False).axis(tickCount=6)
    base = alt.Chart(table[COLUMNS]).encode(
        x=bits.axis(values=[3, 4, 5, 6, 8, 16]), y=psnr, color=colour.legend(symbolOpacity=1), shape=shape,
        tooltip=layers.tooltips(
            ("model:N",), ("technique:N",), ("bits:Q",), ("ladder:N",), ("psnr_db:Q", "PSNR", ".1f")
        ),
    )  # fmt: skip
    points = base.transform_filter("datum.role == 'rung'").mark_point(filled=True, size=55, opacity=0.7)
    hollow = base.transform_filter("datum.role == 'null'").mark_point(filled=False, size=45, opacity=0.7)
    bars = alt.Chart(doses.assign(end=doses.bits + 1).round(2)).encode(
        x="bits:Q", x2="end:Q",
        tooltip=layers.tooltips(
            ("psnr:Q", "median PSNR", ".1f"), ("psnr_low:Q", "from", ".1f"), ("psnr_high:Q", "to", ".1f"),
            ("pairs:Q",), ("ladders:Q",),
        ),
    )  # fmt: skip
    spans = bars.mark_rect(opacity=0.15, color=theme.INK).encode(y="psnr_low:Q", y2="psnr_high:Q")
    middle = bars.mark_rule(strokeWidth=3, color=theme.INK).encode(y="psnr:Q")
    named = [f"{row.psnr:.1f} dB at {row.bits} bits" for row in doses.itertuples()]
    description = (
        f"PSNR of {int((table.role == 'rung').sum())} public pictures to their baselines against bits a weight (log "
        f"scale), by kind of network ({', '.join(kinds)}). Bars are medians ({', '.join(named)}) and their 95 % "
        f"intervals; hollow marks at 16 bits are {int((table.role == 'null').sum())} pairs of the same weights."
    )

    def says() -> str:
        parts = [f"{printed(row.psnr, 1)} dB at {row.bits} bits" for row in doses.itertuples()]
        return f"Public pictures lie off their baselines by a median PSNR of {' and '.join(parts) or 'unknown size'}"

    return layers.compose([spans, points, hollow, middle], [], description, 300, says)
