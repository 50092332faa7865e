"""Every figure is valid Vega-Lite over small data, embedded with no outside address, safe against its own text."""

from __future__ import annotations

import json

import pytest
import synthetic

from helpers import analysis, beside, charts, widgets
from helpers.charts import theme
from helpers.study import DETECTORS, PRECISIONS


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
    "beside": lambda study: charts.beside(beside.both(study)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_small_bundle_of_everything(study, name: str) -> None:
    charts.enable()
    spec = FIGURES[name](study).to_dict()
    assert spec["width"] == "container" and spec["params"]
    out = theme.render(spec)
    assert "http" not in out["text/html"].replace(spec["$schema"], "")
    assert 'role="img"' in out["text/html"] and "<noscript><img" in out["text/html"]
    assert len(out["text/html"]) < 400_000
    assert out["image/png"].startswith("iVBOR")
    assert "null" not in json.dumps(spec["datasets"])[:200]


def test_text_cannot_leave_its_place() -> None:
    charts.enable()
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": [{"a": "</script><b>"}]},
    }
    out = theme.render(spec | {"mark": "point", "description": '"><script>'})["text/html"]
    assert out.count("</script>") == 1 and 'aria-label="&quot;&gt;&lt;script&gt;"' in out


def test_each_precision_and_detector_has_a_colour_of_its_own() -> None:
    assert set(theme.PRECISION_COLOURS) == set(PRECISIONS) and len(set(theme.PRECISION_COLOURS.values())) == 12
    assert set(theme.DETECTOR_COLOURS) == set(DETECTORS)


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
