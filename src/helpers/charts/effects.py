"""What quantization changes: accuracy at two precisions side by side, and the paired shift of the scores."""

from __future__ import annotations

import altair as alt
import pandas as pd

from helpers.charts import theme

__all__ = ["anomaly", "shift_forest"]

SHIFTS = {
    "shift": "logits",
    "standard": "standard deviations at {}",
    "score": "score (0 to 1)",
    "change": "accuracy",
    "cliff": "Cliff's delta",
}


def anomaly(
    cells: pd.DataFrame, generator: str = "sd3", precision: str = "fp4", baseline: str = "fp32"
) -> alt.LayerChart:
    """Bars of accuracy per detector at the baseline and at one other precision, with Wilson intervals; menus choose
    generator and precision.
    """
    generators, precisions, detectors = (theme.options(cells, key) for key in ("generator", "precision", "detector"))
    baseline = theme.start(precisions, baseline)
    others = {key: title for key, title in precisions.items() if key != baseline} or precisions
    generator, precision = (theme.start(of, key) for of, key in ((generators, generator), (others, precision)))
    columns = [
        "generator",
        "precision",
        "precision_title",
        "detector_title",
        "kind",
        "n",
        "tpr",
        "tpr_low",
        "tpr_high",
    ]
    base = (
        alt.Chart(cells[columns].round(4))
        .transform_filter("datum.generator == model && isValid(datum.tpr)")
        .transform_filter(f"datum.precision == '{baseline}' || datum.precision == precision")
        .transform_calculate(interval="format(datum.tpr_low, '.3f') + ' to ' + format(datum.tpr_high, '.3f')")
        .encode(
            x=alt.X("detector_title:N", sort=list(detectors.values()), title=None).axis(
                labelAngle=0, ticks=False, labelExpr=theme.TWO_LINES
            ),
            xOffset=alt.XOffset("precision_title:N", sort=list(precisions.values())),
            tooltip=[
                alt.Tooltip("detector_title:N", title="detector"),
                alt.Tooltip("kind:N", title="kind"),
                alt.Tooltip("precision_title:N", title="precision"),
                alt.Tooltip("tpr:Q", title="accuracy", format=".3f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("n:Q", title="images"),
            ],
        )
    )
    bars = base.mark_bar().encode(
        y=alt.Y("tpr:Q", title="accuracy (fakes called fake)")
        .scale(domain=[0, 1.15])
        .axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
        color=alt.Color("precision_title:N", sort=list(precisions.values())).scale(
            theme.colours(precisions, precisions.values())
        ),
    )
    spans = base.mark_rule(strokeWidth=2, color="black").encode(y="tpr_low:Q", y2="tpr_high:Q")
    numbers = base.mark_text(fontSize=11, fontWeight=600, angle=270, align="right").encode(
        y=alt.value(0), text=alt.Text("tpr:Q", format=".2f")
    )
    menus = [
        theme.choice("model", "Generator", generators, generator),
        theme.choice("precision", f"{precisions[baseline]} against", others, precision),
    ]
    description = (
        f"Bars of accuracy per detector on {generators[generator]} at {precisions[baseline]} and "
        f"{precisions[precision]}, with 95 % Wilson intervals; menus choose both."
    )
    return theme.describe(alt.layer(bars, spans, numbers).add_params(*menus), description, 260)


def shift_forest(
    shifts: pd.DataFrame, trainings: pd.DataFrame, detector: str = "npr", measure: str = "shift", against: str = "FP32"
) -> alt.LayerChart:
    """The paired change against the baseline with its interval, per generator and precision; menus choose detector and
    measure.

    `shifts` is the table of `helpers.analysis.shifts`, or that of `helpers.analysis.paired.effects`, which adds the
    controls; `trainings` is that of `helpers.analysis.trainings`: behind an interval a pale band spans what the
    detector's other trainings find. Left of zero the images look more real than at the baseline,
    whose title is `against`.
    """
    measures = {name: title.format(against) for name, title in SHIFTS.items() if name in shifts}
    generators, precisions, detectors = (theme.options(shifts, key) for key in ("generator", "precision", "detector"))
    columns = ["generator_title", "precision", "precision_title", "detector", "n", "lost", "gained"]
    columns += [f"{name}{end}" for name in measures for end in ("", "_low", "_high")]
    if len(trainings):
        ends = [f"{name}{end}" for name in measures for end in ("_min", "_max") if f"{name}{end}" in trainings]
        keys = ["generator_title", "precision", "detector"]
        shifts, columns = shifts.merge(trainings[keys + ends], on=keys, how="left"), columns + ends
    base = (
        alt.Chart(shifts[columns].round(4))
        .transform_filter("datum.detector == detector")
        .transform_filter("isValid(datum[measure])")
        .transform_calculate(
            **theme.MEASURED,
            least="datum[measure + '_min']",
            most="datum[measure + '_max']",
        )
        .encode(
            y=alt.Y("generator_title:N", sort=list(generators.values()), title=None).axis(
                labelFontWeight=600, ticks=False
            ),
            yOffset=alt.YOffset("precision_title:N", sort=list(precisions.values())),
            color=alt.Color("precision_title:N", sort=list(precisions.values()))
            .scale(theme.colours(precisions, precisions.values()))
            .legend(symbolOpacity=1),  # the bands' paleness is not the colour's
            tooltip=[
                alt.Tooltip("generator_title:N", title="generator"),
                alt.Tooltip("precision_title:N", title="precision"),
                alt.Tooltip("value:Q", title="shift", format="+.3f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("lost:Q", title="fake to real"),
                alt.Tooltip("gained:Q", title="real to fake"),
                alt.Tooltip("n:Q", title="pairs"),
            ],
        )
    )
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X(
            "low:Q", title=f"more real than at {against}  \N{LEFTWARDS ARROW}    \N{RIGHTWARDS ARROW}  more fake"
        ).axis(tickCount=6),
        x2="high:Q",
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color="#555").encode(x=alt.datum(0))
    menus = [
        theme.choice("detector", "Detector", detectors, detector),
        theme.choice("measure", "Measured in", measures, measure),
    ]
    description = (
        f"Paired shift of {detectors[theme.start(detectors, detector)]} against {against} for "
        f"{', '.join(generators.values())} at {', '.join(precisions.values())}, with 95 % intervals; menus choose "
        "detector and measure."
    )
    bands = base.mark_rule(strokeWidth=11, opacity=0.2).encode(x="least:Q", x2="most:Q")
    bands = bands.transform_filter("isValid(datum.least)")
    chart = alt.layer(bands, zero, spans, points).add_params(*menus)
    return theme.describe(chart, description, alt.Step(14, **{"for": "offset"}))
