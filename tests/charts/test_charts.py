"""Every figure is valid Vega-Lite over small data, embedded with no outside address, safe against its own text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import altair as alt
import numpy as np
import pandas as pd
import pytest
import synthetic
import vl_convert
from scipy import special

from helpers import analysis, charts
from helpers.analysis import paired
from helpers.analysis.figures import FIGURES as FIGURES_OF
from helpers.charts import dose, dose_response, layers, public_study, real_ladders, shifts, theme
from helpers.charts.heatmap import METRICS
from helpers.charts.perturbations import MEASURES as OF_PERTURBATIONS
from helpers.detectors.catalogue import DETECTORS
from helpers.paper import explorer as widgets
from helpers.paper.pages import real_checkpoints
from helpers.precision.catalogue import PRECISIONS
from helpers.results import importing


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    return analysis.load(synthetic.write(tmp_path_factory.mktemp("study"), synthetic.DECK, images=40))


FIGURES = {
    "heatmap": lambda study: charts.heatmap(analysis.cells(study)),
    "anomaly": lambda study: charts.anomaly(analysis.cells(study)),
    "forest": lambda study: charts.shift_forest(analysis.shifts(study), analysis.trainings(study)),
    "density": lambda study: charts.density(analysis.densities(study)),
    "robustness": lambda study: charts.robustness(analysis.cells(study)),
    "legacy": lambda study: charts.legacy(analysis.cells(study)),
    "beside": lambda study: charts.effect_by_study(real_checkpoints.both(study)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_small_bundle_of_everything(study, name: str) -> None:
    charts.enable()
    spec = FIGURES[name](study).to_dict()
    assert spec["width"] == "container" and spec["params"]
    out = theme.render(spec)
    text = theme.page(out[theme.LAB], out["image/png"])
    assert "http" not in text.replace(spec["$schema"], "") and len(text) < 450_000
    assert 'role="img"' in text and "<noscript><img" in text
    assert out["image/png"].startswith("iVBOR")
    # HTML beside it would be shown in place of the chart that JupyterLab draws, as wide as a cell's output.
    assert "text/html" not in out and out[theme.LAB]["width"] == theme.PICTURE_WIDTH
    assert "null" not in json.dumps(spec["datasets"])[:200]


def test_a_density_has_its_whole_mass_and_an_interval_that_few_images_widen(study, tmp_path) -> None:
    many = analysis.load(synthetic.write(tmp_path, synthetic.DECK, images=400))
    widths = []
    for results in (study, many):
        found = analysis.densities(results, points=201)
        for scale in ("logit", "score"):
            own = found[(found.scale == scale) & (found.generator == "sd3") & (found.detector == "npr")]
            assert np.trapezoid(own.fp4, own.x) == pytest.approx(1, abs=0.02)
            inside = (own.fp4_low <= own.fp4 + 1e-3) & (own.fp4 <= own.fp4_high + 1e-3)
            assert (own.fp4_low >= 0).all() and inside.mean() > 0.95
        widths.append((own.fp4_high - own.fp4_low).mean())
    # Ten times the images: on the scale of scores, where the kernel's width is fixed, about the root of ten.
    assert widths[0] / widths[1] == pytest.approx(10**0.5, rel=0.25)


def test_controls_stand_in_the_forest_with_colours_of_their_own(tmp_path) -> None:
    results = analysis.load(synthetic.write(tmp_path / "batch", images=30, placebo=0.05))
    renamed = synthetic.renamed_arm(synthetic.write(tmp_path / "groups", images=30, placebo=0.05), "batch", "groups")
    for name, study in (("batch", results), ("groups", analysis.load(renamed))):
        found = paired.paired_effects(study, resamples=50)
        assert dict(zip(found.arm, found.role, strict=True)) == {"native": "", name: "null"}
        chart = charts.shift_forest(found, analysis.trainings(study)).to_dict()
        text = json.dumps(chart)
        assert "null control" in text and theme.CONTROL_COLOURS["null"] in text and "Cliff's delta" in text


def test_the_heatmap_offers_the_figures_it_has(study) -> None:
    few, all_ = (charts.heatmap(analysis.cells(study, resamples=n)).to_dict() for n in (0, 20))
    menus = [spec["params"][0]["bind"]["options"] for spec in (few, all_)]
    assert few["params"][0]["value"] == "auc" and menus[0][:3] == ["auc", "tpr_at_5", "tpr"]
    assert "tpr_at_1" not in menus[0] and menus[1] == list(METRICS)


def drawn(chart, width: int = 600) -> list[str]:
    """The words in a chart's picture."""
    charts.enable()
    spec = chart.to_dict()
    spec["width"] = width
    return re.findall(r"<text[^>]*>([^<]*)</text>", vl_convert.vegalite_to_svg(json.dumps(spec)))


def scored(tmp_path, *cells, reals=True):
    """A study of three images in each of these (generator, precision, detector), all called fake."""
    rows = [(g, p, i, 1, d, 2.0) for g, p, d in cells for i in range(3)]
    rows += [("real", "none", i, 0, d, -1.0) for d in sorted({d for _, _, d in cells}) for i in range(3) if reals]
    table = pd.DataFrame(rows, columns=["generator", "precision", "index", "label", "detector", "logit"])
    table.to_csv(tmp_path / "scores.csv", index=False)
    importing.import_scores(tmp_path / "scores.csv", tmp_path / "study")
    return analysis.load(tmp_path / "study")


def test_a_heatmap_prints_a_dash_where_there_is_no_figure(tmp_path) -> None:
    found = analysis.cells(scored(tmp_path, ("sd15", "fp32", "npr"), ("sd15", "fp4", "npr"), reals=False))
    words = drawn(charts.heatmap(found.assign(auc=[np.nan, 0.5]), "auc"))
    assert "null" not in words and "NaN" not in words and words.count("\N{EN DASH}") == 1 and "0.50" in words
    offered = charts.heatmap(found).to_dict()["params"][0]["bind"]["options"]
    assert offered == ["tpr"]  # without reals nothing else is known


@pytest.mark.parametrize("reals", [True, False])
def test_auc_and_tpr_at_5_lead_where_there_are_reals(tmp_path, reals: bool) -> None:
    found = analysis.cells(scored(tmp_path, ("sd3", "fp32", "npr"), ("sd3", "fp4", "npr"), reals=reals))
    for chart in (charts.anomaly, charts.robustness, charts.legacy, charts.heatmap):
        menu = next(menu for menu in chart(found).to_dict()["params"] if menu["name"] == "figure")
        assert menu["bind"]["options"][:3] == (["auc", "tpr_at_5", "tpr"] if reals else ["tpr"])
        assert menu["value"] == menu["bind"]["options"][0]
        assert "accuracy" not in menu["bind"]["labels"] and menu["bind"]["labels"][-1 if not reals else 2] == (
            "detection rate"
        )


def test_charts_take_any_table_with_the_keys_and_any_measure() -> None:
    keys = [(g, p, d) for g in ("sd3", "mine") for p in ("fp32", "fp4") for d in ("npr", "own")]
    table = pd.DataFrame(keys, columns=["generator", "precision", "detector"]).assign(
        seconds=[1.0, 2.0, 30.0, 4.0, 5.0, 6.0, 7.0, 8.0], share=[0.1, 0.2, 0.9, 0.4, 0.5, 0.6, 0.5, 0.6]
    )
    words = drawn(charts.heatmap(table, "seconds"))
    assert "30.00" in words and "SD3" in words and words.count("mine") == 1
    said = charts.heatmap(table, "seconds").to_dict()["usermeta"]["finding"]
    assert said == "From FP32 to FP4, seconds changes most for NPR on SD3: 1.00 to 30.00"
    for chart in (charts.anomaly, charts.robustness, charts.legacy):
        assert "share with 95 % interval" in drawn(chart(table, metric="share"))


@pytest.mark.parametrize("scale", ["logit", "score"])
def test_a_density_states_the_means_of_the_scores(study, scale: str) -> None:
    """Not of its curves: on the scale of scores a smoothed one has 0.98 where every score is 1.00."""
    found = analysis.densities(study)
    said = charts.density(found, "npr", "sd3", scale).to_dict()["usermeta"]["finding"]
    fakes = study.scores[(study.scores.generator == "sd3") & (study.scores.detector == "npr")]
    fakes = fakes[(fakes.arm == "native") & (fakes.protocol == "plain") & (fakes.weights == study.trainings["npr"])]
    logits = fakes.logit.astype(float)
    values = fakes.assign(value=logits if scale == "logit" else special.expit(logits))
    means = values.groupby("precision", observed=True).value.mean()
    told = [float(word.replace("\N{MINUS SIGN}", "-")) for word in re.findall(r"[\d.\N{MINUS SIGN}]+(?= at )", said)]
    assert told == pytest.approx([means["fp32"], means["fp4"]], abs=0.0051)


def test_one_format_far_off_does_not_flatten_the_others() -> None:
    rows = pd.DataFrame({"name": ["a", "b", "c"], "value": [0.1, -0.2, -9.0]})
    rows = rows.assign(low=rows.value - 0.05, high=rows.value + 0.05)
    base = layers.capped(alt.Chart(rows), "name").mark_text().encode(y="drawn:Q", text="label:N")
    words = drawn(base)
    assert {"a", "b", "\N{DOWNWARDS ARROW} c -9.0"} <= {word.replace("\N{MINUS SIGN}", "-") for word in words}
    axis = [float(word.replace("\N{MINUS SIGN}", "-")) for word in words if re.fullmatch(r"[\N{MINUS SIGN}\d.]+", word)]
    assert min(axis) >= -0.6 - 1e-9  # three times the second farthest


def test_a_heatmap_names_every_row(tmp_path) -> None:
    cells = [("sd15", "fp32", "npr"), ("sd15", "fp4", "npr"), ("sd3", "fp32", "r50_tf"), ("sd3", "fp4", "r50_tf")]
    words = drawn(charts.heatmap(analysis.cells(scored(tmp_path, *cells))))
    assert words.count("FP32") == words.count("FP4") == 2 and words.count("1.00") == 4


def test_a_threshold_where_a_density_begins_is_not_on_the_axis(study) -> None:
    charts.enable()
    found = analysis.densities(study)
    found = found[(found.detector == "npr") & (found.scale == "logit") & (found.generator == "sd3")]
    spec = charts.density(found.assign(x=found.x - found.x.min(), threshold=0.0)).to_dict()
    picture = vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 600}))
    (line,) = re.findall(r'<line [^>]*translate\(([\d.]+),[^>]*stroke-dasharray="4,4"', picture)
    assert 8 <= float(line) <= 20  # pixels from the axis at the left


def test_the_line_of_a_density_stands_at_the_threshold(study) -> None:
    for limit, share in ((0.0, 0.5), (1.5, 1 / (1 + math.exp(-1.5)))):
        spec = charts.density(analysis.densities(replace(study, threshold=limit))).to_dict()
        rows = spec["datasets"][spec["layer"][-1]["data"]["name"]]
        at = {row["scale"]: row["threshold"] for row in rows if row["detector"] == "npr"}
        assert at == {"score": pytest.approx(share), "logit": limit}


def test_bars_stand_beside_the_studys_own_baseline(tmp_path) -> None:
    found = analysis.cells(scored(tmp_path, ("sd3", "fp32", "npr"), ("sd3", "bf16", "npr"), ("sd3", "fp4", "npr")))
    spec = charts.anomaly(found, baseline="bf16").to_dict()
    assert "BF16 against " in json.dumps(spec["params"]) and "at BF16 and at another precision" in spec["description"]


def test_shifts_are_told_against_the_studys_own_baseline(study) -> None:
    chart = charts.shift_forest(analysis.shifts(study, resamples=20), pd.DataFrame(), against="BF16")
    assert any(word.startswith("more real than at BF16") for word in drawn(chart))
    spec = chart.to_dict()
    assert "against BF16 for" in spec["description"] and "standard deviations at BF16" in json.dumps(spec["params"])


def test_text_cannot_leave_its_place() -> None:
    charts.enable()
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": [{"a": "</script><b>"}]},
    }
    out = theme.page(spec | {"mark": "point", "description": '"><script>'}, "")
    assert out.count("</script>") == 1 and "</span> &quot;&gt;&lt;script&gt;</figcaption>" in out


def test_each_precision_and_detector_has_a_colour_of_its_own() -> None:
    for catalogue in (PRECISIONS, DETECTORS):
        scale = theme.colours(catalogue, [row.title for row in catalogue.values()]).to_dict()
        assert len(set(scale["range"])) == len(catalogue) and theme.OTHER not in scale["range"]


def test_the_bundle_is_one_closed_script(tmp_path) -> None:
    text = charts.bundle(tmp_path).read_text(encoding="utf-8")
    assert text.startswith("(function () {") and "vegaEmbed" in text


def test_the_explorer_follows_its_choosers(study) -> None:
    charts.enable()
    explorer = widgets.explore(study, "sd3", "npr")
    before, shown = explorer.table.value, explorer.figure.outputs
    assert set(explorer.rows.generator) == {"sd3"} and shown
    explorer.precisions.value = ("fp4",)
    assert list(explorer.rows.precision) == ["fp4"] and explorer.table.value != before
    explorer.detector.value = "r50_tf"
    assert list(explorer.rows.detector) == ["r50_tf"] and explorer.figure.outputs != shown


def test_the_decks_line_stands_in_the_picture_of_the_detection_rate_alone(study) -> None:
    charts.enable()
    spec = charts.robustness(analysis.cells(study)).to_dict()
    menu = next(menu for menu in spec["params"] if menu["name"] == "figure")
    dashed = []
    for figure in ("auc", "tpr"):
        menu["value"] = figure
        dashed.append('stroke-dasharray="6,4"' in vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 600})))
    assert dashed == [False, True]


def documented(**more: object) -> pd.DataFrame:
    """A table with the keys of every chart that shows a measure, and measures without titles or intervals of old."""
    keys = [(g, p, d) for g in ("sd15", "sd3") for p in ("fp8", "fp4") for d in ("npr", "clip_d")]
    table = pd.DataFrame(keys, columns=["generator", "precision", "detector"])
    table = table.assign(
        generator_title=table.generator.map({"sd15": "SD1.5", "sd3": "SD3"}),
        precision_title=table.precision.str.upper(),
        detector_title=table.detector.map({"npr": "NPR", "clip_d": "CLIP-D"}),
        arm_title="main arm", perturbation="none", perturbation_title="untouched", whose="this study",
        row=table.generator, of="UNets", dose="real images", stands="FP4", bits=4, family="floating point", error=0.1,
        psnr=np.linspace(20, 34, 8), psnr_low=19.0, psnr_high=35.0, n=30, lost=0.0, gained=0.0,
        ladder="one", model="SD3", technique="GGUF", role="quantized", group="4 bits",
        kind=["U-Net"] * 4 + ["transformer"] * 4, seconds=np.linspace(1, 8, 8),
    )  # fmt: skip
    return table.assign(**more)


NO_BANDS = pd.DataFrame(columns=["bits", "psnr", "psnr_low", "psnr_high"])
MEDIANS = pd.DataFrame({"group": ["4 bits"], "kind": ["U-Net"], "n": [4], "ladders": [1]})
#: Every chart with a measure: its own measures, and how it is drawn of a table with one.
MEASURING = {
    "heatmap": (METRICS, charts.heatmap),
    "anomaly": (FIGURES_OF, lambda table, name: charts.anomaly(table, metric=name)),
    "robustness": (FIGURES_OF, lambda table, name: charts.robustness(table, metric=name)),
    "legacy": (FIGURES_OF, lambda table, name: charts.legacy(table, "fp4", metric=name)),
    "shift_forest": (shifts.MEASURES, lambda table, name: charts.shift_forest(table, pd.DataFrame(), measure=name)),
    "perturbations": (OF_PERTURBATIONS, lambda table, name: charts.perturbations(table, measure=name)),
    "effect_by_study": (public_study.EFFECTS, lambda table, name: charts.effect_by_study(table, "npr", measure=name)),
    "ladder": (dose_response.MEASURES, lambda table, name: charts.ladder(table, measure=name)),
    "families": (dose.MEASURES, lambda table, name: charts.families(table, measure=name)),
    "dose_shifts": (dose.MEASURES, lambda table, name: charts.dose_shifts(table, {}, measure=name)),
    "dose_auc": (dose.MEASURES, lambda table, name: charts.dose_auc(table, NO_BANDS, measure=name)),
    "ladder_groups": (
        real_ladders.MEASURES, lambda table, name: charts.ladder_groups(table, MEDIANS, ["4 bits"], measure=name),
    ),
}  # fmt: skip


def test_the_title_of_public_pictures_has_the_unit_of_its_medians() -> None:
    table = documented(**dict.fromkeys(real_ladders.MEASURES, 0.5))
    said = charts.ladder_groups(table, MEDIANS, ["4 bits"]).to_dict()["usermeta"]["finding"]
    assert "change in dB: " in said


def test_a_fingerprint_without_an_interval_has_its_mark() -> None:
    table = pd.DataFrame({
        "generator": "sd3", "generator_title": "SD3", "precision": ["fp16", "fp4"], "precision_title": ["FP16", "FP4"],
        "correlation": [1.0, 0.7], "correlation_low": [np.nan, 0.6], "correlation_high": [np.nan, 0.8],
    })  # fmt: skip
    charts.enable()
    picture = vl_convert.vegalite_to_svg(json.dumps(charts.fingerprints(table).to_dict() | {"width": 600}))
    said = re.findall(r'aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="point"', picture)
    assert len(said) == 2 and not re.search("NaN|undefined|Infinity", picture)


@pytest.mark.parametrize("width", [260, 600])
def test_real_doses_have_level_names_and_no_arm_is_cut(width: int) -> None:
    arms = ["main arm", "ladder of formats, rounded weights, convolutions too"]
    table = documented(shift=np.arange(8) / 10, arm_title=arms * 4)
    doses = {f"the median of real {bits}-bit images": psnr for bits, psnr in ((8, 26.6), (4, 21.0))}
    chart = charts.dose_shifts(table, doses, "sd15", "npr")
    words = drawn(chart, width)
    assert {"8 bits", "4 bits", "main arm", "ladder: rounded weights, convolutions too"} <= set(words)
    turned = [layer["mark"] for layer in chart.to_dict()["layer"] if layer["mark"].get("angle")]
    assert not turned and not any("\N{HORIZONTAL ELLIPSIS}" in word for word in words)


@pytest.mark.parametrize("name", sorted(MEASURING.keys() - {"heatmap"}))
def test_an_axis_of_numbers_has_a_title(name: str) -> None:
    own, chart = MEASURING[name]
    table = documented(**dict.fromkeys(own, 0.5))
    layers_of = [layer["encoding"] for layer in chart(table, next(iter(own))).to_dict()["layer"]]
    for along in ("x", "y"):
        axes = [of[along] for of in layers_of if of.get(along, {}).get("type") == "quantitative"]
        assert not axes or any(axis.get("title") for axis in axes), along


@pytest.mark.parametrize("name", MEASURING)
def test_a_chart_of_a_measure_takes_any_column(name: str) -> None:
    own, chart = MEASURING[name]
    needed = real_ladders.MEASURES if name == "ladder_groups" else {}
    for measure in (*own, "seconds", "n"):
        table = documented(**dict.fromkeys(needed, 0.5))
        table = table if measure in table and measure not in needed else table.assign(**{measure: np.arange(8) / 10})
        spec = chart(table, measure).to_dict()
        rows = next(rows for rows in spec["datasets"].values() if measure in rows[0])
        assert {row[measure] for row in rows} <= {round(float(value), 4) for value in table[measure]}
        menus = {menu["name"]: menu["value"] for menu in spec["params"] if "bind" in menu}
        assert measure in (menus.get("figure"), menus.get("measure")) or measure in json.dumps(spec["layer"])
        words = " ".join(drawn(chart(table, measure)))
        assert words and not re.search("NaN|undefined|null", words), measure
