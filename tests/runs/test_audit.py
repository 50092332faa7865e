"""The audit of a cell's weights within a run: what it refuses, what it keeps, and records that are damaged."""

from __future__ import annotations

import json
import re

import pytest
import torch

from helpers.core import files
from helpers.precision import formats
from helpers.runs import Source, Store, make, resolve
from helpers.runs.audit import QuantizationAudit
from helpers.runs.digests import image_digest
from helpers.runs.sources import open_source
from helpers.study import schema

FP4 = Source("sd3", "fp4", "native", 128, 1)


def quick(**changes) -> schema.Study:
    loaded = schema.load("mini")
    settings = {key: value.model_copy(update={"steps": 3}) for key, value in loaded.generators.items()}
    few = {"protocols": ["plain"], "further": {}, "arms": {}, "detectors": ["npr"]}
    return loaded.model_copy(update={"generators": settings, **few, **changes})


def test_a_cell_in_which_both_arms_are_wrong_in_the_same_way_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_scale", lambda magnitudes, code: torch.ones_like(magnitudes))
    done = make.run(quick(precisions=["fp32", "int8"]), tmp_path, ["sd3"], ["int8"], 1, progress=False)
    line = r"denoiser\.\S+\.weight is off by [.\d]+ of its norm, where int8 by its definition puts it"
    assert re.fullmatch(line + r" off by 0\.0\d+; compute in another type.*", done.failed["sd3/int8"])
    assert not list(tmp_path.rglob("sd3/**/*.png"))


def test_the_error_by_definition_is_kept_beside_the_measured_one(tmp_path):
    plan = resolve(quick(), 1)
    auditing, recipe = QuantizationAudit(plan, Store(tmp_path)), plan.recipes[FP4]
    source = open_source(recipe)
    assert auditing.audit(recipe, source) and not auditing.audit(recipe, source)
    found = auditing.columns(recipe)
    part = json.loads(found["component_coverage"])["denoiser"]
    assert part["expected_error"] == pytest.approx(found["weight_error"], rel=1e-3) and found["weight_error"] > 0.05


def _record(**parts) -> dict:
    recipe = resolve(quick(), 1).recipes[FP4]
    key = f"{FP4.folder}/{image_digest(recipe)}/{open_source(recipe).model()}"
    return {"key": key, "coverage": 0.9, "components": parts}


def columns(store: Store) -> dict:
    plan = resolve(quick(), 1)
    return QuantizationAudit(plan, store).columns(plan.recipes[FP4])


WHOLE = {"weight_errors": {"all": 0.1}, "expected_error": 0.1, "output_error": 0.2, "native_deviation": None}


def test_a_record_without_the_error_by_definition_still_counts(tmp_path):
    store = Store(tmp_path)
    for part in (WHOLE, {name: value for name, value in WHOLE.items() if name != "expected_error"}):
        files.write_json(_record(denoiser=part), store.audit(FP4))
        assert columns(store)["weight_error"] == 0.1


def test_a_former_versions_record_still_counts_and_is_brought_up_to_date(tmp_path):
    store, plan, new = Store(tmp_path), resolve(quick(), 1), _record(denoiser=WHOLE)
    source = open_source(plan.recipes[FP4])
    former = f"{FP4.folder}/{quick().digest()}/{quick().shard_size}/{source.model()}"  # with a digest of the study
    files.write_json(new | {"key": former}, store.audit(FP4))
    assert columns(store)["weight_error"] == 0.1
    assert not QuantizationAudit(plan, store).audit(plan.recipes[FP4], source)
    assert files.read_json(store.audit(FP4)) == new


def test_records_in_the_folder_of_a_former_version_still_count(tmp_path):
    store, plan = Store(tmp_path), resolve(quick(), 1)
    store.rename_former()
    assert store.notes == [] and not list(tmp_path.iterdir())
    files.write_json(_record(denoiser=WHOLE), tmp_path / "proof" / f"{FP4.folder}.json")
    assert columns(store)["weight_error"] is None
    store.rename_former()
    assert columns(store)["weight_error"] == 0.1 and not (tmp_path / "proof").exists()
    assert store.notes == [f"{tmp_path / 'proof'}: called audit/ now"]
    assert not QuantizationAudit(plan, store).audit(plan.recipes[FP4], open_source(plan.recipes[FP4]))


@pytest.mark.parametrize(
    "part",
    ["nothing", [], None, {}, WHOLE | {"weight_errors": 3}, WHOLE | {"weight_errors": {"all": "x"}},
     WHOLE | {"output_error": "0.1"}, WHOLE | {"native_deviation": []}],
    ids=str,
)  # fmt: skip
def test_a_record_of_another_shape_is_none(part, tmp_path):
    store = Store(tmp_path)
    for content in (
        _record(denoiser=part),
        _record() | {"components": [part]},
        _record(denoiser=WHOLE) | {"coverage": part},
    ):
        files.write_json(content, store.audit(FP4))
        assert set(columns(store).values()) == {None}


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[" * 100_000, b'{"key"', b"[]", b"null", b"3"], ids=len)
def test_a_damaged_record_is_none(damage, tmp_path):
    store = Store(tmp_path)
    store.audit(FP4).parent.mkdir(parents=True)
    store.audit(FP4).write_bytes(damage)
    assert set(columns(store).values()) == {None}
