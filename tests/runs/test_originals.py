"""A generator read once for all its cells: what comes of it is what a fresh load gives, to the last bit."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from helpers import generators, precision
from helpers.core import device
from helpers.precision.audit import Recorder
from helpers.runs import Source, Store, audit, originals, plan
from helpers.runs.sources import QuantizedPipeline
from helpers.study import schema


@pytest.fixture(autouse=True)
def _nothing_held():
    originals.forget()
    yield
    originals.forget()


def resolved(key, **changes):
    """The mini study of one generator, two steps an image."""
    mini = schema.load("mini")
    settings = {key: mini.generators[key].model_copy(update={"steps": 2})}
    few = {"arms": {}, "protocols": ["plain"], "further": {}, "generators": settings}
    return plan.resolve(mini.model_copy(update=few | changes), 2)


def recipe(key, level, **changes):
    found = resolved(key)
    size = schema.load("mini").generators[key].size
    return dataclasses.replace(found.recipes[Source(key, level, "native", size, 1)], **changes)


def fresh(of, indices):
    """Images of a cell by a pipeline that is loaded for it alone, with nothing but the libraries' own encoding."""
    pipeline = generators.load(of.generator, of.checkpoint, entry=of.entry)
    precision.apply(pipeline, of.source.precision, of.way, of.coverage, of.components)
    prompts, seeds = [of.prompts[i] for i in indices], [of.seed + i for i in indices]
    settings = {"steps": of.steps, "guidance": of.guidance, "size": of.source.size, "batch_size": len(indices)}
    return generators.sample(pipeline, prompts, seeds, **settings)


def of(part):
    return [*part.named_parameters(), *part.named_buffers()]


def assert_same_network(one, other):
    for (name, a), (other_name, b) in zip(of(one), of(other), strict=True):
        assert (name, a.dtype) == (other_name, b.dtype) and torch.equal(a, b), name


def networks(pipeline):
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


@pytest.mark.parametrize("key", generators.GENERATORS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_copy_in_another_type_is_what_loading_in_it_gives(key, dtype):
    if dtype == "float16" and not generators.GENERATORS[key].half:
        pytest.skip("it overflows in float16")
    loaded = generators.load(key, dtype=dtype)
    copied = generators.copied(key, generators.load(key), dtype=dtype)
    assert type(copied) is type(loaded) and networks(copied).keys() == networks(loaded).keys()
    for name, part in networks(loaded).items():
        assert_same_network(networks(copied)[name], part)
    if hasattr(loaded, "unet"):  # SD2.1's attention computes in FP32 there
        kinds = [{type(one) for one in each.unet.attn_processors.values()} for each in (loaded, copied)]
        assert kinds[0] == kinds[1]


@pytest.mark.parametrize("key", ["sd15", "sd3"])  # a UNet and a DiT
def test_cells_of_one_original_are_those_of_a_fresh_load(key):
    first = recipe(key, "fp32")
    held = originals.original(first, "digest")
    before = {
        name: [tensor.clone() for _, tensor in of(part)] for name, part in networks(held.pipeline("float32")).items()
    }
    for level, way in (("fp8", "native"), ("fp4", "native"), ("int4", "rounding")):
        cell = recipe(key, "fp8", way=way, source=dataclasses.replace(first.source, precision=level))
        source = QuantizedPipeline(cell)
        source.load()
        made = source.make([0, 1])
        assert [np.array_equal(a, b) for a, b in zip(made, fresh(cell, [0, 1]), strict=True)] == [True, True], level
        assert source.record["seconds_load"] > 0
    # Nothing of all that has reached the original, and its weights are there once.
    own = originals.original(first, source.model())
    for name, part in networks(own.pipeline("float32")).items():
        assert all(torch.equal(a, b) for a, (_, b) in zip(before[name], of(part), strict=True))
        assert {tensor.data_ptr() for _, tensor in of(part)} == {
            tensor.data_ptr() for _, tensor in of(networks(own.pipeline("float32"))[name])
        }


def test_prompts_are_encoded_once_by_cells_with_the_same_encoders(monkeypatch):
    calls = []
    first = recipe("sd3", "fp32")
    encode = type(generators.load("sd3")).encode_prompt
    monkeypatch.setattr(
        "diffusers.StableDiffusion3Pipeline.encode_prompt",
        functools.wraps(encode)(lambda *args, **kwargs: calls.append(1) or encode(*args, **kwargs)),
    )
    counts = []
    for level, parts in (("fp32", ()), ("fp4", ("denoiser",)), ("fp4", ("vae",)), ("fp4", ("denoiser", "t5"))):
        of = dataclasses.replace(first.source, precision=level)
        source = QuantizedPipeline(dataclasses.replace(first, source=of, components=parts, coverage="all"))
        source.load()
        source.make([0, 1])
        counts.append(len(calls))
        source.make([0])  # another batch rounds otherwise
    assert counts == [1, 2, 2, 3] and len(calls) == 4


def test_what_was_encoded_cannot_be_written_into():
    pipeline, kept = generators.load("sd15"), generators.Encodings()
    ask = {"device": torch.device("cpu"), "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
    plain = pipeline.encode_prompt(["a red ball"], **ask)
    kept.attach(pipeline, "sd15")
    for _ in range(2):
        found = pipeline.encode_prompt(["a red ball"], **ask)
        assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))
        found[0].zero_()
    assert not torch.equal(pipeline.encode_prompt(["a blue ball"], **ask)[0], plain[0])
    given = pipeline.encode_prompt(None, prompt_embeds=plain[0], negative_prompt_embeds=plain[1], **ask)
    assert torch.equal(given[0], plain[0])


def test_beyond_its_bytes_nothing_more_is_kept():
    pipeline, kept = generators.load("sd15"), generators.Encodings(most=1)
    kept.attach(pipeline, "sd15")
    ask = {"device": torch.device("cpu"), "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    assert torch.equal(pipeline.encode_prompt(["x"], **ask)[0], pipeline.encode_prompt(["x"], **ask)[0])
    assert kept.held == 0


def test_a_generator_is_read_once_for_all_cells_and_their_audit(tmp_path, monkeypatch):
    reads, load = [], generators.load
    monkeypatch.setattr(generators, "load", lambda *args, **kwargs: reads.append(args[0]) or load(*args, **kwargs))
    found = resolved("sd15")
    auditing = audit.QuantizationAudit(found, Store(tmp_path))
    for level in ("fp32", "fp8", "fp4"):
        cell = found.recipes[Source("sd15", level, "native", 64, 1)]
        source = QuantizedPipeline(cell)
        assert auditing.audit(cell, source)
        source.make([0])
    assert reads == ["sd15"]
    assert auditing.columns(found.recipes[Source("sd15", "fp32", "native", 64, 1)])["output_error"] == 0
    QuantizedPipeline(recipe("sd21", "fp32")).load()
    assert reads == ["sd15", "sd21"] and len(originals._HELD) == 1


def test_where_main_memory_is_too_small_each_cell_is_read_anew(monkeypatch):
    reads, load = [], generators.load
    monkeypatch.setattr(
        generators, "load", lambda *args, **kwargs: reads.append(kwargs.get("dtype")) or load(*args, **kwargs)
    )
    monkeypatch.setattr(originals, "memory_left", lambda: 1 << 20)
    for level in ("fp32", "fp4"):
        source = QuantizedPipeline(recipe("sd15", level))
        source.load()
        made = source.make([0])
    assert reads == ["float32", "float32"]
    assert np.array_equal(made[0], fresh(recipe("sd15", "fp4"), [0])[0])


def test_the_encoders_inputs_are_recorded_though_the_prompts_were_encoded_before(tmp_path):
    found = resolved("sd3")
    main = QuantizedPipeline(found.references["sd3"])
    main.load()
    main.make([0])
    recorded = []

    class Spy(Recorder):
        def __exit__(self, *error):
            recorded.append({name: len(calls) for name, calls in self.calls.items()})
            super().__exit__(*error)

    cell = found.recipes[Source("sd3", "fp4", "native", 128, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit.audit, "Recorder", Spy)
        audit.QuantizationAudit(found, Store(tmp_path)).audit(cell, QuantizedPipeline(cell))
    assert recorded[0].keys() == {"denoiser", "t5"} and recorded[0]["t5"] >= plan.AUDITED


def test_free_memory_is_some_of_the_machines():
    left = device.memory_left()
    assert left is None or 0 < left < 1 << 50
