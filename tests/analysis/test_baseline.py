"""The baseline is the study's: a study from FP16 to NF4 is told what the same study from FP32 to FP4 is."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import synthetic
import synthetic_perturbed
import synthetic_traces

from helpers import analysis, charts
from helpers.analysis import decoder, image_traces
from helpers.claims import smoothing
from helpers.claims.perturbed import perturbation_finding
from helpers.runs import plan
from helpers.study import schema

NAMES = {"fp32": "fp16", "fp4": "nf4"}
TABLES = ("scores", "cells", "spectra", "patterns", "counterfactuals")


def renamed(folder):
    """The study with its first and last precisions called FP16 and NF4, and no others."""
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        kept = table.precision.isin([*NAMES, "none"])
        table[kept].assign(precision=lambda rows: rows.precision.replace(NAMES)).to_parquet(file)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["study"] |= {"precisions": list(NAMES.values()), "baseline": "fp16"}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return synthetic.vouch(folder)


def told(text):
    return text.replace("FP32", "FP16").replace("FP4", "NF4")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same study from FP32 to FP4, and from FP16 to NF4."""
    made = []
    for change in (lambda folder: folder, renamed):
        folder = synthetic.write(tmp_path_factory.mktemp("base") / "s", images=60, placebo=0.01, generators=("sd15",))
        made.append(analysis.load(change(synthetic_traces.traces(folder, "smooths", decoder=0.9))))
    return made


def test_the_results_know_their_two_precisions(both):
    assert [(found.baseline, found.lowest) for found in both] == [("fp32", "fp4"), ("fp16", "nf4")]
    assert analysis.load(both[1].folder, precisions=["fp16"]).lowest == "nf4"  # of the study, not of the page


def test_the_mechanism_is_judged_alike_and_names_the_studys_own(both):
    first, second = both
    findings = [smoothing.predictions(found) | {"C6": smoothing.smoothing(found)} for found in both]
    assert {key: of.verdict for key, of in findings[1].items()} == dict.fromkeys([*"abcd", "C6"], "supported")
    for key, finding in findings[0].items():
        assert findings[1][key].sentence == told(finding.sentence)
        assert findings[1][key].figures == finding.figures
    for sentence in (smoothing.smoothing_answer, smoothing.moves):
        assert sentence(second) == told(sentence(first))
    owed = [smoothing.decoder(found) for found in both]
    assert owed[1].sentence == told(owed[0].sentence) and owed[1].verdict == owed[0].verdict
    assert list(owed[1].figures) == [told(name) for name in owed[0].figures]


@pytest.mark.parametrize(
    "table", [image_traces.treatments, image_traces.curves, image_traces.fingerprints, decoder.shares]
)
def test_its_tables_hold_the_same_numbers(both, table):
    first, second = (table(found).select_dtypes("number") for found in both)
    rows = slice(None) if len(first) == len(second) else table(both[0]).precision.isin(["real", *NAMES, "batch"])
    pd.testing.assert_frame_equal(first[rows].reset_index(drop=True), second.reset_index(drop=True))


def test_a_figure_names_the_studys_own():
    rows = {f"{name}{end}": [0.1] for name in (*charts.image_traces.FILTERS,) for end in ("", "_low", "_high")}
    keys = {"generator": "sd15", "generator_title": "SD1.5", "detector": "npr", "detector_title": "NPR", "n": 60}
    table = pd.DataFrame(rows | {key: [word] for key, word in keys.items()})
    drawn = charts.filters(table, "sd15", "NF4", "FP16").to_json()
    assert "matched to NF4" in drawn and " FP4" not in drawn and "FP32" not in drawn


def test_perturbations_are_held_against_it(tmp_path):
    folders = [synthetic_perturbed.write(tmp_path / name) for name in ("first", "second")]
    first, second = analysis.load(folders[0]), analysis.load(renamed(folders[1]))
    assert perturbation_finding(second).sentence == told(perturbation_finding(first).sentence)


def test_a_run_filters_at_the_precision_that_is_read(tmp_path):
    study = schema.Study.model_validate(schema.load("mini").model_dump(mode="json", exclude={"arms", "perturbations"}))
    own = study.model_copy(update={"precisions": ["fp16", "fp8", "nf4"], "baseline": "fp16"})
    resolved = plan.resolve(own, 1)
    assert (resolved.baseline, resolved.lowest) == ("fp16", "nf4")
