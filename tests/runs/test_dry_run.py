"""The dry run of the full study (benchmarks/dry_run.py) with tiny networks: the same code, the same commands."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from dataclasses import replace

import pytest
import torch

from helpers import detectors, generators
from helpers.cli import app
from helpers.core import files
from helpers.core.errors import Failure
from helpers.detectors import clip_d
from helpers.generators.networks import Network, architecture
from helpers.runs import Store, plan
from helpers.study import schema

_spec = importlib.util.spec_from_file_location("dry_run", files.ROOT / "benchmarks" / "dry_run.py")
dry_run = sys.modules["dry_run"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dry_run)

#: What a text encoder's table must hold, whatever its width.
WORDS = {"vocab_size": 600, "max_position_embeddings": 77}


def miniature(key, share=1.0):
    """The networks of a generator's miniature, with tables for the dry run's tokens and the public VAE's range."""
    found = {}
    for attribute in dry_run.components(key):
        path = files.MODELS / "mini" / key / attribute / "config.json"
        if path.is_file():
            config = json.loads(path.read_text())
            kind = config.get("_class_name") or config["architectures"][0]
            own = {name: value for name, value in config.items() if name[0] != "_"}
            own |= WORDS if attribute.startswith("text_encoder") else {}
            own |= dry_run.FAMILIES[key].latents if attribute == "vae" else {}
            found[attribute] = Network(kind, own, 0)
    return found


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(dry_run, "networks", miniature)
    small = {"image_size": 224, "patch_size": 56, "width": 1024, "head_width": 64, "layers": 1}
    monkeypatch.setitem(clip_d.VISION, "full", small)


@pytest.mark.parametrize("key", schema.load("full").keys)
def test_a_family_lies_as_the_hub_has_it_and_is_loaded_and_sampled_by_the_package(tmp_path, tiny, key):
    dry_run.write_checkpoint(key, dry_run.networks(key), tmp_path / key)
    family = dry_run.FAMILIES[key]
    stored = [path.name for path in tmp_path.rglob("*.safetensors")]
    assert stored and all((".fp16." in name) == (family.variant == "fp16") for name in stored)
    settings = dry_run.study_of(key, tmp_path, ["npr"])["generators"][key]
    options = {"variant": settings.get("variant"), "dtype": "float32"}
    pipeline = generators.load(key, settings["checkpoint"], **options)
    assert type(pipeline.scheduler).__name__ == family.scheduler
    image = generators.sample(pipeline, ["a red ball"], [1], steps=2, guidance=settings["guidance"], size=64)[0]
    assert image.size == (64, 64) and generators.check(image) != "undefined pixels"


def test_a_folder_of_another_variant_names_the_setting(tmp_path, tiny):
    dry_run.write_checkpoint("sd15", dry_run.networks("sd15"), tmp_path / "sd15")
    with pytest.raises(Failure, match='files are of the variant fp16; say variant = "fp16" .* study file') as raised:
        generators.load("sd15", str(tmp_path / "sd15"))
    assert "\n" not in str(raised.value)


def test_detectors_lie_in_their_authors_files_and_give_their_networks_logits(tmp_path, tiny):
    keys = schema.load("full").detectors
    dry_run.write_detectors(tmp_path, keys)
    for key in keys:
        given = torch.randn(1, 3, *[224 if key == "clip_d" else 32] * 2)
        torch.manual_seed(0)
        with torch.inference_mode():
            expected = detectors.build(key).eval()(given)
            assert torch.allclose(detectors.detector.trained(key, tmp_path)[0](given), expected, atol=1e-5)
    head = torch.load(tmp_path / "clip_d.pth")["model"]
    assert {name: tuple(value.shape) for name, value in head.items()} == {"fc.weight": (1, 1024), "fc.bias": (1,)}


def test_a_studys_file_is_the_full_ones_but_for_its_scale(tmp_path):
    text = "\n".join(dry_run.toml(dry_run.study_of("sdxl", tmp_path, ["npr"])))
    assert tomllib.loads(text)["generators"]["sdxl"]["variant"] == "fp16"
    (tmp_path / "study.toml").write_text(text)
    found, full = schema.load(tmp_path / "study.toml"), schema.load("full")
    assert found.precisions == full.precisions and found.scale == "full" and found.reals is None
    assert set(found.arms) == {*full.arms, "rounding_arm"} and found.images_per_cell == dry_run.IMAGES


def test_a_gpu_has_the_studys_sizes_and_a_cpu_small_ones(tmp_path):
    full = schema.load("full")
    for key, settings in full.generators.items():
        small, own = (dry_run.study_of(key, tmp_path, ["npr"], device) for device in ("cpu", "cuda"))
        assert own["generators"][key]["size"] == settings.size == 8 * small["generators"][key]["size"]


def test_what_a_record_says_of_a_gpu_stands_beside_the_cell(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text("\n".join(dry_run.toml(dry_run.study_of("flux1", tmp_path, ["npr"], "cuda"))))
    of = next(source for source in plan.sources(schema.load(study)) if source.folder == "flux1/fp8")
    path = Store(tmp_path).state(plan.Shard(of, 0, 2))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"record": {"placement": "whole", "estimated_peak_mb": 5.0, "device": "a card"}}))
    assert dry_run._placed(tmp_path, of) == {"placement": "whole", "estimated_peak_mb": 5.0}


def test_networks_are_as_deep_as_memory_lets_them_be_and_always_of_full_width():
    config = architecture("flux1-dev").parts["denoiser"]
    few = dry_run.shallow(config, 0.0)
    assert (few.config["num_layers"], few.config["num_single_layers"]) == (1, 1)
    assert few.config["num_attention_heads"] == config.config["num_attention_heads"]
    assert dry_run.shallow(config, 1.0).config == config.config
    counted = {name: network.parameters for name, network in architecture("sd15").parts.items()}
    whole = dry_run.needed(counted)
    assert dry_run.deepest("sd15", whole) == (1.0, dry_run.parameters(dry_run.networks("sd15")))
    assert sum(dry_run.deepest("sd15", whole)[1].values()) == sum(counted.values())
    assert dry_run.deepest("sd15", whole / 1.001)[0] < 1 and dry_run.deepest("sd15", 1e9) is None


def test_the_whole_way_is_gone_in_the_commands_order_and_the_weights_are_taken_away(
    tmp_path, tiny, monkeypatch, capsys
):
    def here(words, log):
        status = app.main(words)
        said = capsys.readouterr()
        return {"exit": status, "seconds": 1.0, "peak_gb": 1.0, "said": (said.err + said.out).strip().split("\n")[-1]}

    called = dry_run.calls
    monkeypatch.setattr(dry_run, "called", here)
    monkeypatch.setattr(dry_run, "apart", lambda call, *given: call(*given))
    monkeypatch.setattr(dry_run, "calls", lambda *given: {n: w for n, w in called(*given).items() if n != "report"})
    monkeypatch.setattr(dry_run, "STEPS", 1)
    few = schema.load("full").model_copy(update={"detectors": ["npr"]})
    load = schema.load
    monkeypatch.setattr(schema, "load", lambda name: few if name == "full" else load(name))
    assert dry_run.main(["--families", "sd15", "--memory", "9", "--work", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "dry_run.json").read_text())
    (found,) = written["families"]
    assert written["machine"]["device"] == "cpu"
    assert [one["exit"] for one in found["commands"].values()] == [0, 0, 0, 0]
    assert len(found["cells"]) == 8 and all(cell["images"] == 2 for cell in found["cells"])
    assert all((cell["coverage"] > 0) == ("fp32" not in cell["cell"]) for cell in found["cells"])
    assert not (tmp_path / "sd15").exists() and not (tmp_path / "detectors").exists()
    assert "sd15" in capsys.readouterr().out


def test_a_cell_that_could_not_be_made_has_its_reason_and_the_others_the_commands_last_line(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text("\n".join(dry_run.toml(dry_run.study_of("flux1", tmp_path, ["npr"]))))
    of = next(source for source in plan.sources(schema.load(study)) if source.folder == "flux1/fp8")
    Store(tmp_path).fail(of, "its kernel cannot be trusted")
    found = {cell["cell"]: cell["why"] for cell in dry_run.cells_of(study, tmp_path, "quantdetect: stopped")}
    assert found.pop("flux1/fp8") == "its kernel cannot be trusted"
    assert set(found) == {"flux1/fp32", "flux1/fp16", "flux1/fp4", "flux1/fp32-batch", "flux1/fp8-rounding_arm"}
    assert set(found.values()) == {"quantdetect: stopped"}


def test_what_no_memory_holds_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "write_checkpoint", lambda *arguments: pytest.fail("built"))
    outcome = dry_run.tried("flux1", tmp_path, "cpu", 1e9, ["npr"])
    assert not outcome.well and "GB of memory, 1.0 are free" in dry_run.row(outcome)["parameters"]


def test_a_command_is_a_process_whose_end_time_and_memory_are_kept(tmp_path):
    found = dry_run.called(["grid", "no-such-study"], tmp_path / "log")
    assert found["exit"] == 2 and found["said"].startswith("quantdetect: no study") and found["peak_gb"] > 0.01
    assert replace(dry_run.Outcome("sd15"), commands={"grid": found}).well is False
