"""Full-size checkpoints, as far as they can be tried offline: the hub's layout, gates, and what overflows in 16 bits.

Each is stood in for by the miniature of its class, written into a cache as the hub's own tools write it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from helpers import generators, precision
from helpers.core import device as machine
from helpers.core.errors import UsageError
from helpers.generators.sampling import _UNDEFINED
from helpers.runs import Source, Store, audit, make, plan, score, sources
from helpers.study import schema as study

FULL = study.load("full")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(cache: Path, key: str, change=lambda pipeline: None) -> tuple[str, str]:
    """The miniature of `key`, changed, where the hub's tools put the full study's checkpoint; its id and revision."""
    settings = FULL.generators[key]
    folder = cache / f"models--{settings.checkpoint.replace('/', '--')}"
    pipeline = generators.load(key)
    change(pipeline)
    pipeline.save_pretrained(folder / "snapshots" / settings.revision)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(settings.revision)
    return settings.checkpoint, settings.revision


def test_the_full_study_pins_every_revision():
    for settings in FULL.generators.values():
        assert len(settings.revision) == 40 and int(settings.revision, 16)


@pytest.mark.parametrize("key", FULL.keys)
def test_a_checkpoint_of_every_class_loads_from_the_hubs_cache_and_samples_in_16_bits(cache, key):
    where, revision = put(cache, key)
    dtype = FULL.generators[key].dtype
    pipeline = generators.load(key, where, revision=revision, dtype=dtype)
    attributes = precision.attributes(pipeline)
    assert {getattr(pipeline, attributes[name]).dtype for name in ("denoiser", "vae")} == {getattr(torch, dtype)}
    image = generators.sample(pipeline, ["a photo of a red ball on sand"], [1], steps=1, guidance=3.0, size=64)[0]
    assert not image.info[_UNDEFINED] and np.asarray(image).std() > 2


def test_another_revision_is_not_there(cache):
    where, revision = put(cache, "sd15")
    generators.load("sd15", where, revision=revision)
    with pytest.raises(
        UsageError, match=f"no local copy of '{where}'; get it with 'hf download {where} --revision 0000"
    ):
        generators.load("sd15", where, revision="0" * 40)


@pytest.mark.parametrize("key", FULL.keys)
def test_a_missing_checkpoint_says_in_one_line_what_to_accept_where_and_how_to_log_in(key):
    settings = FULL.generators[key]
    with pytest.raises(UsageError) as raised:
        generators.load(key, settings.checkpoint, revision=settings.revision)
    said = str(raised.value)
    assert "\n" not in said and f"hf download {settings.checkpoint} --revision {settings.revision} --include" in said
    assert generators.GENERATORS[key].licence in said
    gated = generators.GENERATORS[key].gated
    assert (f"huggingface.co/{settings.checkpoint}" in said and "hf auth login" in said) == gated
    assert gated == (key in ("sd3", "sd35", "flux1"))


def test_the_safety_checker_that_blanks_images_is_left_out(cache):
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CLIPConfig(text_config=tiny, vision_config=tiny | {"image_size": 32}, projection_dim=8)

    def with_checker(pipeline):
        pipeline.register_modules(
            safety_checker=StableDiffusionSafetyChecker(config), feature_extractor=CLIPImageProcessor()
        )

    where, revision = put(cache, "sd15", with_checker)
    index = json.loads(next(cache.rglob("model_index.json")).read_text())
    assert index["safety_checker"][1] == "StableDiffusionSafetyChecker"
    assert generators.load("sd15", where, revision=revision).safety_checker is None


def _ask_for_attention_in_float32(pipeline):
    pipeline.unet.register_to_config(upcast_attention=True)
    with torch.no_grad():
        for name, module in pipeline.unet.named_modules():
            if name.endswith(("to_q", "to_k")):
                module.weight.mul_(300)  # queries and keys that FP16 holds, and products that it does not


def test_attention_that_overflows_in_fp16_is_computed_in_float32(cache):
    from diffusers.models.attention_processor import AttnProcessor

    where, revision = put(cache, "sd21", _ask_for_attention_in_float32)
    pipeline = generators.load("sd21", where, revision=revision, dtype="float16")
    assert {type(processor) for processor in pipeline.unet.attn_processors.values()} == {AttnProcessor}
    given = torch.randn(1, pipeline.unet.config.in_channels, 16, 16, dtype=torch.float16)
    text = torch.randn(1, 16, pipeline.unet.config.cross_attention_dim, dtype=torch.float16)
    with torch.inference_mode():
        assert torch.isfinite(pipeline.unet(given, 500, text).sample).all()
        for module in pipeline.unet.modules():
            if hasattr(module, "upcast_attention"):
                module.upcast_attention = False
        assert not torch.isfinite(pipeline.unet(given, 500, text).sample).all()  # what it is for
    plain = generators.load("sd21", where, revision=revision)
    assert AttnProcessor not in {type(processor) for processor in plain.unet.attn_processors.values()}


def test_a_vae_that_asks_for_it_decodes_in_float32(cache):
    def overflowing(pipeline):
        pipeline.vae.register_to_config(force_upcast=True)

    where, revision = put(cache, "sdxl", overflowing)
    pipeline = generators.load("sdxl", where, revision=revision, dtype="float16")
    types = []
    pipeline.vae.decoder.register_forward_pre_hook(lambda module, args: types.append(args[0].dtype))
    generators.sample(pipeline, ["a photo of a red ball on sand"], [1], steps=1, guidance=3.0, size=64)
    assert types == [torch.float32] and pipeline.vae.dtype == torch.float16


@pytest.mark.parametrize("key", ["fp32", "fp16", "fp8", "fp4"])
def test_t5s_last_layers_stay_in_float32_whatever_their_storage(cache, key):
    """transformers keeps `wo` in FP32 where a T5 is loaded in FP16, since its activations overflow there."""
    where, revision = put(cache, "sd3")
    pipeline = generators.load("sd3", where, revision=revision, dtype="float16")
    t5 = pipeline.text_encoder_3
    assert t5.encoder.block[0].layer[0].SelfAttention.q.weight.dtype == torch.float16
    assert t5.encoder.block[0].layer[-1].DenseReluDense.wo.weight.dtype == torch.float32
    precision.apply(pipeline, key)
    seen = []
    wo = t5.encoder.block[0].layer[-1].DenseReluDense.wo
    wo.register_forward_hook(lambda module, args, output: seen.append((args[0].dtype, output.dtype)))
    with torch.inference_mode():
        assert torch.isfinite(t5(torch.ones(1, 4, dtype=torch.long)).last_hidden_state).all()
    assert seen == [(torch.float32, torch.float32)]


def test_flux_is_not_computed_in_fp16():
    with pytest.raises(UsageError, match="flux1: overflows in float16.*use dtype bfloat16"):
        generators.load("flux1", dtype="float16")
    assert FULL.generators["flux1"].dtype == "bfloat16"


@pytest.mark.parametrize(
    ("key", "level", "device", "expected"),
    [
        ("flux1", "fp32", "cuda", "float32"),
        ("flux1", "fp16", "cuda", "bfloat16"),
        ("flux1", "fp4", "cuda:1", "bfloat16"),
        ("sdxl", "fp8", "cuda", "float16"),
        ("sdxl", "fp8", "cpu", "float32"),
    ],
)
def test_a_gpu_computes_in_the_studys_type_and_a_cpu_in_float32(key, level, device, expected):
    recipes = plan.resolve(FULL.model_copy(update={"reals": None}), 1).recipes
    assert recipes[Source(key, level, "native", FULL.generators[key].size, 1)].computing_type(device) == expected


@pytest.mark.parametrize("key", ["sd15", "sd3", "flux1"])
@pytest.mark.parametrize("level", ["fp16", "fp8", "fp4"])
def test_a_cell_that_computes_in_bf16_is_audited_and_made(tmp_path, monkeypatch, key, level):
    """What a GPU does, on the CPU: the FP32 reference's inputs meet a pipeline of another type."""
    monkeypatch.setattr(plan.Recipe, "computing_type", lambda self, device: _half(self.source.precision))
    mini = study.load("mini")
    settings = {key: mini.generators[key].model_copy(update={"steps": 2})}
    loaded = mini.model_copy(update={"generators": settings, "arms": {}, "protocols": ["plain"], "further": {}})
    resolved = plan.resolve(loaded, 1)
    recipe = resolved.recipes[Source(key, level, "native", settings[key].size, 1)]
    source, auditing = sources.open_source(recipe), audit.QuantizationAudit(resolved, Store(tmp_path))
    assert auditing.audit(recipe, source)
    assert next(p for p in source.pipeline.vae.parameters()).dtype == torch.bfloat16
    found = auditing.columns(recipe)
    assert 0 < found["native_deviation"] < study.MAX_KERNEL_DEVIATION or level == "fp16"
    assert 0 < found["output_error"] < 0.5
    assert source.check(source.make([0])[0]) is None


def _half(level: str) -> str:
    return "float32" if level == "fp32" else "bfloat16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    ("device", "said"),
    [("cuda", "PyTorch sees 0 CUDA devices"), ("tpu", "no device 'tpu'; give cpu"), ("cuda:x", "no device 'cuda:x'")],
)
def test_a_device_that_is_not_there_is_refused(device, said):
    with pytest.raises(UsageError, match=said):
        machine.require(device)


def test_a_run_hands_its_device_to_pipelines_and_detectors(tmp_path, monkeypatch):
    seen = set()
    load, open_source = score.detection.load, sources.open_source

    def opening(recipe, device="cpu"):
        seen.add(("pipeline", device))
        return open_source(recipe)

    def scoring(name, weights, device="cpu"):
        seen.add(("detector", device))
        return load(name, weights)

    monkeypatch.setattr(sources, "open_source", opening)
    monkeypatch.setattr(score.detection, "load", scoring)
    auditing = lambda self, recipe, source: bool(seen.add(("audit", self.device)))  # noqa: E731
    monkeypatch.setattr(audit.QuantizationAudit, "audit", auditing)
    mini = study.load("mini")
    settings = {"sd15": mini.generators["sd15"].model_copy(update={"steps": 2})}
    plain = {"arms": {}, "protocols": ["plain"], "further": {}, "detectors": ["npr"], "generators": settings}
    make.run(mini.model_copy(update=plain), tmp_path, None, ["fp32"], 1, device="cuda:7", progress=False)
    assert {("pipeline", "cuda:7"), ("audit", "cuda:7"), ("detector", "cuda:7")} <= seen
