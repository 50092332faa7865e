"""The kept dry runs of the full study, against a record written by hand, and the page that shows them."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers.analysis import dry_runs
from helpers.core import files
from helpers.study import schema


def cell(place, peak, estimated=None, images=2):
    placed = {"estimated_peak_mb": estimated} if estimated else {}
    return {"cell": place, "images": images, "peak_memory_mb": peak} | placed


@pytest.fixture
def record():
    well, ill = {"exit": 0, "seconds": 1.0}, {"exit": 1, "seconds": 1.0}
    sd15 = [cell("sd15/fp32", 5000, 6000), cell("sd15/fp8", 4000, 3000), cell("sd15/fp4", None, None, 0)]
    flux = [cell("flux1/fp32", 7000, 14_000), cell("flux1/fp32-batch", 60_000, 16_000)]
    return {
        "machine": {"card": "A card"},
        "families": [
            {"family": "sd15", "depth": 1.0, "parameters": {"unet": 8 * 10**8, "vae": 10**8}, "cells": sd15,
             "commands": {"run": ill, "verify": well}},
            {"family": "flux1", "depth": 0.125, "parameters": {"transformer": 10**9}, "cells": flux,
             "commands": {"run": well, "verify": ill}},
        ],
    }  # fmt: skip


def test_a_record_is_counted_by_family(record):
    found = dry_runs.families(record).set_index("family")
    assert list(found.parameters) == [9 * 10**8, 10**9]
    assert list(found.made) == [2, 2] and list(found.cells) == [3, 2]
    assert list(found.run) == [False, True] and list(found.verify) == [True, False]
    assert list(found.peak) == [5e9, 7e9] and list(found.estimated) == [6e9, 14e9]
    lines = dry_runs.markdown(record).splitlines()
    assert lines[2] == "| SD1.5 | all | 0.90 | 2 of 3 | yes | 6.0 | 5.0 |"
    assert lines[3] == "| Flux.1 | 1 in 8 | 1.00 | 2 of 2 | no | 14.0 | 7.0 |"


def test_cells_that_took_more_than_was_expected_are_told(record):
    assert list(dry_runs.dearer(record)["cell"]) == ["flux1/fp32-batch", "sd15/fp8"]
    said = dry_runs.sentence(record)
    assert said.startswith("Of 5 cells 2 took more") and "60.0 GB, where 16.0 had been expected" in said
    record["families"] = [one | {"cells": one["cells"][:1]} for one in record["families"]]
    assert dry_runs.sentence(record) == "None of the 2 cells took more than was expected."


def test_the_kept_records_are_of_all_families_and_stand_on_the_page_on_reproducing():
    (kept,) = dry_runs.records()
    full = schema.load("full")
    found = dry_runs.families(kept)
    assert tuple(found.family) == full.keys and (found.made == found.cells).all()
    assert found[["grid", "run", "verify"]].all(axis=None)
    arms = {f"{key}/{level}" for key in full.keys for level in full.precisions}
    assert arms <= {cell["cell"] for one in kept["families"] for cell in one["cells"]}
    # Of two families all layers were built: their numbers of parameters are those of the public checkpoints.
    memory = pd.read_csv(files.RESULTS / "footprint" / "memory.csv").query("precision == 'fp32'")
    counted = memory.groupby("checkpoint").parameters.sum()
    assert list(found.parameters[:2]) == [counted["sd15"], counted["sd21"]]
    page = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
    for said in (dry_runs.markdown(kept), dry_runs.sentence(kept), kept["machine"]["card"]):
        assert said in page, "put what analysis.dry_runs gives in its place"
