"""Tables print what they are given, in its order, with a dash where nothing is known."""

from __future__ import annotations

from math import nan

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from scipy import stats
from tabled import rows_of

from helpers import charts
from helpers.analysis import footprint, paired, real_checkpoints, words
from helpers.analysis.stats.metrics import Interval
from helpers.core import files
from helpers.paper import tables


@pytest.mark.parametrize(
    ("value", "printed"), [(0.0004, "< .001"), (0.0123, ".012"), (1.0, "1.000"), (nan, "\N{EN DASH}")]
)
def test_a_p_value_is_printed_as_journals_do(value: float, printed: str) -> None:
    assert tables.p_value(value) == printed


def test_a_wide_table_keeps_the_order_of_the_long_one() -> None:
    long = pd.DataFrame({"row": ["b", "b", "a", "a"], "column": ["z", "y", "z", "y"], "value": [1, 2, 3, 4]})
    wide = tables.crossed(long, ["row"], "column", "value")
    assert list(wide.columns) == ["row", "z", "y"]
    assert wide.to_numpy().tolist() == [["b", 1, 2], ["a", 3, 4]]


def test_an_interval_is_read_from_a_row_of_either_kind() -> None:
    frame = pd.DataFrame({"shift": [0.5, nan], "shift_low": [0.25, nan], "shift_high": [0.75, nan]})
    for rows in ([row for _, row in frame.iterrows()], list(frame.itertuples())):
        assert [tables.interval(row, "shift", sign=True) for row in rows] == ["+0.50 (+0.25 to +0.75)", "\N{EN DASH}"]


def test_a_control_is_told_by_its_least_and_largest_excess() -> None:
    rows = pd.DataFrame(
        {
            "control": "batch", "control_title": "null control", "precision": ["fp4"] * 3 + ["fp8"],
            "precision_title": ["FP4"] * 3 + ["FP8"], "further": [True, True, False, False],
            "excess": [0.3, 0.9, 0.1, nan], "excess_low": [0.2, 0.8, -0.1, nan], "excess_high": [0.4, 1.0, 0.3, nan],
        }
    )  # fmt: skip
    four, eight = paired.beyond_by_control(rows).itertuples()
    assert (four.further, four.pairs, four.family) == (2, 3, 4)
    assert (four.least, four.least_low, four.largest, four.largest_high) == (0.1, -0.1, 0.9, 1.0)
    assert (eight.further, eight.pairs) == (0, 1) and np.isnan(eight.least)


def test_a_rank_correlation_is_scipys_and_unknown_of_few_cells() -> None:
    published = [0.1, 0.4, 0.35, 0.8, 0.9, 0.2]
    own = [0.2, 0.3, 0.5, 0.7, 0.95, nan]
    beside = pd.DataFrame({"training": "", "published": published, "tpr": own})
    few = beside.head(3).assign(training="mini-sdxl")
    first, second = real_checkpoints.rank_correlations(pd.concat([beside, few]), resamples=200).itertuples()
    assert (first.cells, second.cells) == (5, 3) and np.isnan(second.rho)
    assert first.rho == pytest.approx(stats.spearmanr(published[:5], own[:5]).statistic)
    assert first.rho_low <= first.rho <= first.rho_high <= 1


def test_gigabytes_at_fp4_are_those_of_the_parts() -> None:
    counted, found = footprint.weights(), footprint.at_fp4().set_index("title")
    sdxl = counted[(counted.title == "SDXL") & (counted.precision == "fp16") & (counted.coverage == "whole")]
    assert found.loc["SDXL", "all_before"] == pytest.approx(sdxl.bytes.sum() / 1e9)
    parts = found.loc["SDXL", [f"{part}_before" for part in footprint.PARTS]]
    assert parts.sum() == pytest.approx(found.loc["SDXL", "all_before"]) and found.loc["SDXL", "T5_before"] == 0
    assert 0.9 < found.loc["Flux.1 dev", "denoiser_share"] < 1


#: Numbers as they are printed to one digit, with their sign and without one.
PRINTED = {
    -2.1: ("-2.1", "-2.1"), -0.06: ("-0.1", "-0.1"), -0.04: ("-0.0", "0.0"), -1e-6: ("-0.0", "0.0"),
    0.0: ("0.0", "0.0"), 1e-6: ("+0.0", "0.0"), 0.04: ("+0.0", "0.0"), 0.6: ("+0.6", "0.6"),
}  # fmt: skip


@pytest.mark.parametrize("value", PRINTED)
def test_what_rounds_to_zero_keeps_its_sign_where_signs_are_asked_for_and_zero_has_none(value: float) -> None:
    """Vega is the judge of all but zero itself, which it gives a plus; the minus is a true one."""
    signed, plain = (said.replace("-", "\N{MINUS SIGN}") for said in PRINTED[value])
    assert (words.printed(value, 1, sign=True), words.printed(value, 1)) == (signed, plain)
    text = {"expr": f"format({value!r}, '+.1f') + ' ' + format({value!r}, '.1f')"}
    chart = vl_convert.vegalite_to_svg({"data": {"values": [{}]}, "mark": {"type": "text", "text": text}})
    assert f">{signed if value else '+0.0'} {plain}<" in chart


def test_what_arithmetic_leaves_of_zero_has_no_sign() -> None:
    assert words.printed(0.3 - 0.1 - 0.2, sign=True) == words.printed(-0.0, sign=True) == "0.00"
    span = words.number(Interval(-0.001, -0.04, 0.002), sign=True)
    assert span == "\N{MINUS SIGN}0.00 (\N{MINUS SIGN}0.04 to +0.00)"


def test_a_share_is_in_percent_after_a_space_in_prose_tables_and_charts() -> None:
    assert words.share(0.274) == tables.figure(0.274, "{:.0%}") == "27\N{NO-BREAK SPACE}%"
    assert words.share(-0.001, 1, sign=True) == "\N{MINUS SIGN}0.1\N{NO-BREAK SPACE}%"
    assert words.percent(Interval(0.03, 0.01, 0.05)) == "+3.0\N{NO-BREAK SPACE}% (+1.0 to +5.0)"
    charts.enable()
    axis = alt.X("x:Q").axis(format="+.0%")
    drawn = vl_convert.vegalite_to_svg(
        alt.Chart(pd.DataFrame({"x": [-0.2, 0.1]})).mark_point().encode(x=axis).to_json()
    )
    assert ">+10\N{NO-BREAK SPACE}%<" in drawn and ">\N{MINUS SIGN}20\N{NO-BREAK SPACE}%<" in drawn


def test_the_scripts_of_a_page_print_signs_as_python_does(browser) -> None:
    page = browser.new_page()
    page.add_script_tag(path=files.BOOK / "_static" / "drawing.js")
    found = page.evaluate("values => values.map(value => quantdetectDrawing.signed(value, 1))", list(PRINTED))
    assert found == [words.printed(value, 1, sign=True) for value in PRINTED]
    page.close()


KEYED = pd.DataFrame(
    {
        "generator": ["SD3"] * 4 + ["Flux.1"],
        "detector": ["NPR", "NPR", "CLIP-D", "CLIP-D", "CLIP-D"],
        "precision": ["FP8", "FP4", "FP8", "FP4", "FP4"],
        "change": ["\N{MINUS SIGN}0.10 (\N{MINUS SIGN}0.20 to +0.05)", "1", "1", "1", "1"],
        "note": ["a < b & c", "", "long enough to be wrapped somewhere", "", ""],
    }
)


def test_keys_that_repeat_stand_once_for_all_their_rows_and_the_frame_stays() -> None:
    before = KEYED.copy()
    shown = tables.table(KEYED, "Changes").data
    pd.testing.assert_frame_equal(KEYED, before)
    assert rows_of(shown) == [list(KEYED.columns), *KEYED.to_numpy().tolist()]
    assert shown.count(">SD3<") == shown.count(">NPR<") == 1 and shown.count(">Flux.1<") == 1
    # A head of a whole group is one of its <tbody>; one inside it, and one of a single row, are of their rows.
    assert shown.count("<tbody>") == 2 and shown.count('scope="rowgroup"') == 1
    assert '<th scope="rowgroup" rowspan="4">' in shown and shown.count('<th scope="row" rowspan="2">') == 2


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_table_without_keys_that_repeat_has_one_group(rows: int) -> None:
    frame = KEYED.drop_duplicates("precision").head(rows).assign(value=[0.1 + 0.2, nan, 7.0][: min(rows, 2)])
    shown = tables.table(frame[["precision", "detector", "value"]], "Values").data
    assert shown.count("<tbody>") == 1 and "rowspan" not in shown
    assert ">0.3<" in shown if rows else "<td" not in shown
    assert (f">{tables.DASH}<" in shown) == (rows > 1)


def test_an_interval_may_go_below_its_estimate_and_nothing_breaks_inside() -> None:
    shown = tables.table(KEYED, "Changes").data
    estimate, ends = "\N{MINUS SIGN}0.10", "(\N{MINUS SIGN}0.20 to +0.05)"
    assert f'<td class="figures"><span>{estimate}</span> <span class="ends">{ends}</span></td>' in shown
    assert "<td>a &lt; b &amp; c</td>" in shown and '<td class="words">long enough' in shown
    arrow = tables.table(pd.DataFrame({"AUC": ["0.99 \N{RIGHTWARDS ARROW} 0.98"], "x": ["1"]}), "AUC").data
    assert "<span>0.99 \N{RIGHTWARDS ARROW}</span> <span>0.98</span>" in arrow
