"""What a study would need, before anything is loaded: against the archived counts, loaded pipelines and files."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from huggingface_hub import constants

from helpers import generators
from helpers.cli import app as cli
from helpers.core import files
from helpers.core.errors import Damaged, UsageError
from helpers.generators import placement
from helpers.runs import fitting, plan, sources
from helpers.study import schema

FULL = schema.load("full")
GIB = 2**30
NAMES = {"sd35": "sd35-large", "flux1": "flux1-dev"}


@pytest.fixture(scope="module")
def cells():
    return {(one.cell.generator, one.cell.precision, one.cell.arm): one for one in fitting.expected(FULL, 24 * GIB)}


@pytest.mark.parametrize(("level", "coverage"), [("fp16", "whole"), ("fp8", "linear"), ("fp4", "linear")])
@pytest.mark.parametrize("key", FULL.keys)
def test_all_of_a_pipelines_weights_are_counted(cells, key, level, coverage):
    archived = pd.read_csv(files.RESULTS / "footprint/memory.csv")
    own = archived[archived.checkpoint == NAMES.get(key, key)]
    total = own[(own.precision == level) & (own.coverage == coverage)].bytes.sum()
    assert sum(cells[key, level, "native"].need.parts.values()) == total


def test_what_is_done_on_a_card_of_24_gb(cells):
    assert cells["sd15", "fp32", "native"].how == "whole on the card"
    assert cells["flux1", "fp4", "native"].how == "whole on the card"
    # 4 bytes for each of 11.9 billion numbers do not fit, and what is not quantized can be brought layer by layer.
    assert cells["flux1", "fp32", "native"].how == "sequential offload"
    flux = cells["flux1", "fp32", "native"]
    assert flux.ram == sum(flux.need.parts.values()) > 4 * (11_901_408_320 + 4_762_310_656)
    assert flux.disk == 500 * 1024 * 1024 * 3 and cells["flux1", "fp32", "batch"].disk == 100 * 1024 * 1024 * 3
    # Batches of two take twice the allowance.
    assert cells["sd15", "fp32", "batch"].need.working == 2 * cells["sd15", "fp32", "native"].need.working


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (24, {"model": "sdxl/fp32 sd3/fp32 sd35/fp16", "sequential": "sd35/fp32 flux1/fp32 flux1/fp16"}),
        (80, {}),
    ],
)
def test_the_page_on_reproducing_names_what_does_not_lie_whole_on_a_card(size, said):
    found = {}
    for one in fitting.expected(FULL.model_copy(update={"arms": {}}), size * 10**9):
        if one.how != placement.WORDS["whole"]:
            found.setdefault(one.how, set()).add(f"{one.cell.generator}/{one.cell.precision}")
    assert found == {placement.WORDS[how]: set(names.split()) for how, names in said.items()}
    page = re.sub(r"\{term\}`(\w+)`", r"\1", (files.BOOK / "reproduce.md").read_text(encoding="utf-8"))
    assert "SDXL and SD3 at FP32 and SD3.5 at FP16 do not: each network comes to the card" in page
    assert "SD3.5 at FP32 and Flux.1 at FP32 and FP16 come layer by layer" in page
    assert "On 80 GB all of the main arm lies whole on the card." in page


@pytest.mark.parametrize(
    ("memory", "how", "said"),
    [
        (80, None, "whole on the card"),
        (20, "model", "model offload"),
        (12, None, "does not fit by model offload"),
        (80, "sequential", "cannot be: no sequential offload of fp8"),
        (20, "whole", "does not fit by whole on the card"),
        (20, "balanced", "balanced over the cards"),
    ],
)
def test_a_placement_that_cannot_be_is_named(memory, how, said):
    flux = FULL.generators["flux1"].model_copy(update={"memory": schema.Memory(placement=how)})
    few = {"generators": {"flux1": flux}, "precisions": ["fp8"], "arms": {}}
    (one,) = fitting.expected(FULL.model_copy(update=few), memory * 10**9)
    assert one.how == said


def test_unknown_networks_are_counted_from_their_files_and_as_the_loaded_pipeline():
    mini = schema.load("mini")
    found = {one.cell.precision: one for one in fitting.expected(mini, GIB) if one.cell.generator == "sd15"}
    stored = found["fp32"].need.parts
    loaded = fitting.need(generators.load("sd15"), plan.resolve(mini, 1).references["sd15"], "cpu").parts
    assert stored == pytest.approx(loaded, rel=1e-3)  # buffers that no file holds
    assert found["fp32"].exact and not found["fp4"].exact and found["fp32"].there == "yes"


@pytest.mark.parametrize("kept", [0, 4, 1000])
def test_a_damaged_file_of_weights_is_named(tmp_path, kept):
    whole = files.MODELS / "mini" / "sd15" / "text_encoder" / "model.safetensors"
    damaged = tmp_path / "text_encoder" / "model.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(whole.read_bytes()[:kept])
    own = FULL.generators["sd15"].model_copy(update={"checkpoint": str(tmp_path)})
    few = {"generators": {"sd15": own}, "precisions": ["fp32"], "arms": {}}
    with pytest.raises(Damaged, match=f"^{damaged}: cannot be read: .*; get it again"):
        fitting.expected(FULL.model_copy(update=few), GIB)


@pytest.mark.parametrize("checkpoint", ["somebody/model", "checkpoints/my/model", "../model", "/nowhere", "my model!"])
def test_a_generator_of_which_nothing_is_here_is_not_known(checkpoint):
    own = FULL.generators["sd15"].model_copy(update={"checkpoint": checkpoint})
    few = {"generators": {"sd15": own}, "precisions": ["fp32"], "arms": {}}
    (one,) = fitting.expected(FULL.model_copy(update=few), GIB)
    assert (one.how, one.peak, one.ram, one.there) == ("not known", None, None, "no")


def test_a_checkpoint_is_there_in_part_or_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    settings = FULL.generators["sd3"]
    there = lambda: fitting._there(settings.checkpoint, settings.revision)  # noqa: E731
    assert there() == "no"
    folder = tmp_path / f"models--{settings.checkpoint.replace('/', '--')}" / "snapshots" / settings.revision
    (folder / "vae").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"vae": ["diffusers", "AutoencoderKL"]}))
    (folder / "vae" / "config.json").write_text("{}")
    assert there() == "in part"
    (folder / "vae" / "model.safetensors").write_text("")
    assert there() == "yes"


@pytest.mark.parametrize("text", ["24", "24gb", "0GB", "1e3GB", "24 GB", "-1GB", "24MB", "9" * 50 + "GB"])
def test_a_size_has_its_unit(capsys, text):
    assert cli.main(["grid", "full", f"--memory={text}"]) == 2
    assert "write a size with its unit, as 24GB" in capsys.readouterr().err


def test_a_grid_says_what_a_card_would_take(capsys):
    assert cli.main(["grid", "mini", "--memory", "1GiB"]) == 0
    out = capsys.readouterr().out
    assert "sd15/fp4" in out and "whole on the card" in out and "a card of 1.1 GB" in out
    assert cli.main(["grid", "mini", "--memory", "1GiB", "--out", "x"]) == 2


# On a card


class Card:
    """A pipeline that writes down how it is placed, on a card with so much memory free."""

    def __init__(self, monkeypatch, free):
        self.placed = []
        monkeypatch.setattr(placement, "free", lambda device: free)
        monkeypatch.setattr(placement, "place", lambda pipeline, how, device: self.placed.append((how, device)))


def source(memory=None, level="fp32"):
    mini = schema.load("mini")
    own = mini.generators["sd15"].model_copy(update={"memory": memory})
    chosen = plan.resolve(mini.model_copy(update={"generators": {"sd15": own}}), 1)
    recipe = next(one for key, one in chosen.recipes.items() if key.folder == f"sd15/{level}")
    made = sources.QuantizedPipeline(recipe, "cuda")
    made.pipeline, made.record = SimpleNamespace(components=generators.load("sd15").components), {}
    return made


@pytest.mark.parametrize(("free", "how"), [(10**12, "whole"), (1, "sequential")])
def test_a_pipeline_is_placed_by_the_memory_that_is_free_and_the_record_says_how(monkeypatch, free, how):
    card, made = Card(monkeypatch, free), source()
    made.place()
    made.place()
    assert card.placed == [(how, "cuda")]
    assert made.record["placement"] == how and made.record["estimated_peak_mb"] > 0


def test_the_peak_of_a_cell_is_that_of_its_images_and_not_of_its_audit(monkeypatch):
    held = []
    monkeypatch.setattr(sources, "forget_peak", lambda device: held.clear())
    monkeypatch.setattr(sources, "peaks", lambda device: {"peak_allocated": max(held)})
    monkeypatch.setattr(sources.generators, "sample", lambda *given, **settings: held.append(3_000_000))
    made = sources.QuantizedPipeline(source().recipe, "cpu")
    held.append(9_000_000)  # an audit holds the network without quantization too
    for _ in range(2):
        made.make([0])
        assert made.record["peak_memory_mb"] == 3
    held.append(5_000_000)  # and so does a batch that is dearer than the one before
    made.make([0])
    assert made.record["peak_memory_mb"] == 5


def test_a_study_may_say_how(monkeypatch):
    card, made = Card(monkeypatch, 10**12), source(schema.Memory(placement="model"))
    made.place()
    assert card.placed == [("model", "cuda")]
    with pytest.raises(UsageError, match="layers stored at fp4 cannot be brought to the card one by one"):
        source(schema.Memory(placement="sequential"), "fp4").place()


# In the study file

TABLES = '\n[memory]\nplacement = "model"\n[generators.sd15.memory]\nvae_tiling = true\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text((files.STUDIES / "full.toml").read_text().replace('path = "', f'path = "{tmp_path}/') + TABLES)
    return path


def test_a_generators_own_settings_stand_beside_the_studys(file):
    study = schema.load(file)
    assert study.memory_of("sd15") == schema.Memory(placement="model", vae_tiling=True)
    assert study.memory_of("flux1") == schema.Memory(placement="model")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("vae_tiling", "vae_tilling", r"generators\.sd15\.memory\.vae_tilling: unknown key .*nearest: 'vae_tiling'"),
        ('"model"', '"modle"', r"memory\.placement: no such value 'modle' \(nearest: 'model'\)"),
        ("vae_tiling = true", 'dtypes = { vea = "float32" }', r"dtypes.*no such key 'vea' \(nearest: 'vae'\)"),
        ("vae_tiling = true", 'dtypes = { vae = "float8" }', r"dtypes\.vae: no such value 'float8'"),
    ],
)
def test_a_mistake_there_is_named(file, before, after, said):
    head, sign, tables = file.read_text().partition("\n[memory]")
    file.write_text(head + sign + tables.replace(before, after))
    with pytest.raises(UsageError, match=said):
        schema.load(file)


@pytest.mark.parametrize(
    ("memory", "stale"),
    [
        ({"placement": "sequential"}, False),
        ({"vae_tiling": True}, True),
        ({"vae_slicing": True}, True),
        ({"dtypes": {"vae": "float32"}}, True),
    ],
)
def test_what_changes_pixels_makes_stale_and_nothing_else(memory, stale):
    mini = schema.load("mini")
    before, after = (
        {one.folder: recipe.digest for one, recipe in plan.resolve(study, 1).recipes.items()}
        for study in (mini, mini.model_copy(update={"memory": schema.Memory(**memory)}))
    )
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if stale and not name.startswith("real")
    }


def test_a_vae_decodes_in_parts_where_it_is_asked_to():
    pipeline = generators.load("sd15")
    assert not pipeline.vae.use_tiling and not pipeline.vae.use_slicing
    fitting.decode_in_parts(pipeline, schema.Memory(vae_tiling=True, vae_slicing=True))
    assert pipeline.vae.use_tiling and pipeline.vae.use_slicing
    with pytest.raises(UsageError, match="its VAE has no enable_tiling"):
        fitting.decode_in_parts(SimpleNamespace(vae=object()), schema.Memory(vae_tiling=True))
