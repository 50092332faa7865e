"""Memory of the real architectures: counted bytes against measured ones, the networks' sizes, steps on a device."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
import torch
from tabled import rows_of
from torch import nn

from helpers import analysis, generators, precision
from helpers.analysis import footprint as footprint_
from helpers.claims import savings
from helpers.cli import app as command
from helpers.cli import footprint as footprint_command
from helpers.core.errors import Failure, UsageError
from helpers.generators.catalogue import GENERATORS, checkpoint_titles
from helpers.generators.networks import Architecture, Network, architecture, architectures, build
from helpers.paper.pages import savings as page
from helpers.precision import coverage, footprint, timing
from helpers.precision.formats import FORMATS
from helpers.study import schema

# Parameters of the text encoders and VAEs as their model cards and papers count them.
PARTS = {
    "CLIPTextModel": {123_060_480, 340_387_840},
    "CLIPTextModelWithProjection": {694_659_840},
    "T5EncoderModel": {4_762_310_656},
    "AutoencoderKL": {83_653_863, 83_819_683},
}
KEYS = {"sd15": "sd15", "sd21": "sd21", "sdxl": "sdxl", "sd3": "sd3", "sd35": "sd35-large", "flux1": "flux1-dev"}


@pytest.fixture(scope="module")
def counted() -> pd.DataFrame:
    return footprint.table(precisions=["fp32", "fp16", "fp8", "fp4", "bf16", "nvfp4", "q4_k"])


def test_the_eight_networks_have_the_published_sizes():
    assert len(architectures()) == 8
    for key, checkpoint in KEYS.items():
        assert architecture(checkpoint).parts["denoiser"].parameters == GENERATORS[key].parameters
    for checkpoint in architectures().values():
        for name, network in checkpoint.parts.items():
            built = build(network)  # counts its parameters
            assert next(built.parameters()).is_meta
            assert name == "denoiser" or network.parameters in PARTS[network.kind]


def test_a_network_of_another_size_is_refused():
    vae = architecture("sd15").parts["vae"]
    with pytest.raises(Failure, match="AutoencoderKL: 83,653,863 parameters, not the checkpoint's 1;"):
        build(Network(vae.kind, vae.config, 1))


def test_linear_layers_are_the_published_share_of_each_denoiser(counted):
    rows = counted[(counted.component == "denoiser") & (counted.precision == "fp4") & (counted.coverage == "linear")]
    rows = rows.set_index("checkpoint")
    for key, checkpoint in KEYS.items():
        share = rows.quantized[checkpoint] / rows.parameters[checkpoint]
        assert share == pytest.approx(GENERATORS[key].linear_share, abs=0.002)  # biases are stored in 16 bits


def test_flux_in_bf16_loads_into_what_was_published(counted):
    """31.4 GiB (printed "GB"), measured by others on an H100: an independent count of the same bytes."""
    rows = counted[(counted.checkpoint == "flux1-dev") & (counted.precision == "bf16")]
    assert rows.bytes.sum() / 2**30 == pytest.approx(31.447, rel=0.002)
    published = footprint_.published()
    loaded = published[(published.checkpoint == "flux1-dev") & (published.precision == "bf16")].loaded_gb.item()
    assert rows.bytes.sum() / footprint_.GIB == pytest.approx(loaded, abs=0.05)


def test_casts_take_two_or_four_bytes_and_what_is_not_quantized_two(counted):
    whole = counted[counted.coverage == "whole"]
    size = whole.precision.map({"fp32": 4, "fp16": 2, "bf16": 2})
    assert (whole.bytes == size * whole.parameters).all() and (whole.quantized == whole.parameters).all()
    rest = counted[~counted.component.isin(footprint.QUANTIZED) & counted.precision.isin(["fp8", "fp4"])]
    assert (rest.bytes == 2 * rest.parameters).all() and (rest.quantized == 0).all()


def test_four_bits_and_a_scale_of_four_bytes_per_block(counted):
    """By hand for T5: weights of Linear layers in (4 + 32 / 64) bits, the rest (embeddings, norms) in 16."""
    row = counted[(counted.component == "t5") & (counted.precision == "fp4") & (counted.coverage == "linear")].iloc[0]
    linear = 24 * (4 * 4096 * 4096 + 3 * 4096 * 10240)
    assert row.quantized == linear
    assert row.bytes == linear * 4.5 / 8 + 2 * (row.parameters - linear)


#: By hand: bytes of a block in memory over its weights, of formats that no library here stores.
BYTES = {"mxfp4": 17 / 32, "nvfp4": 9 / 16, "q8_0": 34 / 32, "q4_0": 18 / 32, "q4_k": 144 / 256, "w4a4": 34 / 64}


@pytest.mark.parametrize("key", BYTES)
def test_formats_of_today_are_counted_block_by_block(key):
    """T5 again: 24 layers of 7 weights, whose rows are whole numbers of every block."""
    stored = (
        footprint_.weights().set_index(["checkpoint", "component", "precision", "coverage"]).loc["flux1-dev", "t5", key]
    )
    linear = 24 * (4 * 4096 * 4096 + 3 * 4096 * 10240)
    weights = 24 * 7 * 4 if key == "nvfp4" else 0  # one FP32 scale each
    row = stored.loc["linear"]
    assert row.quantized == linear
    assert row.bytes == linear * BYTES[key] + weights + 2 * (row.parameters - linear)


def test_every_format_has_its_memory_beside_the_others():
    found = footprint_.at_formats().set_index(["precision", "title"])
    assert list(found.index.get_level_values(0).unique()) == list(FORMATS)
    assert (found.loc["fp16"].share == 1).all() and (found.loc["fp32"].share == 2).all()
    counted = footprint_.totals().loc["Flux.1 dev"]
    assert found.loc[("nvfp4", "Flux.1 dev"), "gb"] == pytest.approx(counted["nvfp4", "linear"] / 1e9)
    assert found.loc[("nvfp4", "Flux.1 dev"), "bits"] == 4.5
    assert found.loc["mxfp4"].gb.lt(found.loc["nvfp4"].gb).all()


def test_the_page_shows_every_format():
    rows = rows_of(page._at_formats(footprint_.at_formats()).data)
    shown = {cell.replace("\N{NO-BREAK SPACE}", " ").strip() for row in rows for cell in row}
    sd15 = footprint_.totals().loc["SD1.5"]
    for key in ("nvfp4", "q4_k", "w4a4"):
        cell = f"{sd15[key, 'linear'] / 1e9:.2f} ({sd15[key, 'linear'] / sd15['fp16', 'whole'] * 100:.0f} %)"
        assert FORMATS[key].title in shown and cell in shown


@pytest.mark.parametrize("coverage", ["linear", "all"])
@pytest.mark.parametrize("key", ["fp8", "int8", "fp8_e5m2", "nf4", "fp4"])
def test_the_count_is_what_a_quantized_miniature_stores(key, coverage):
    for generator in ("sd15", "sd3"):
        pipeline = generators.load(generator)
        attributes = precision.attributes(pipeline)
        expected = {
            name: footprint.count(getattr(pipeline, attributes[name]), FORMATS[key], coverage, 4)
            for name in footprint.QUANTIZED
            if name in attributes
        }
        found = precision.apply(pipeline, key, coverage=coverage).components
        assert {name: (part.quantized, part.bytes_after) for name, part in found.items()} == expected


def test_the_archived_table_is_what_the_command_counts(counted):
    stored = footprint_.weights().drop(columns="title")
    assert set(stored.precision) == set(FORMATS) and set(stored.checkpoint) == set(architectures())
    stored = stored[stored.precision.isin(counted.precision.unique())].reset_index(drop=True)
    pd.testing.assert_frame_equal(stored, counted)


@pytest.mark.parametrize("key", list(KEYS))
def test_the_grid_says_what_the_footprint_counts(key):
    rows = {row["precision"]: row["bytes"] for row in schema.expected(schema.load("full")) if row["generator"] == key}
    stored = footprint_.weights()
    stored = stored[(stored.checkpoint == KEYS[key]) & (stored.component == "denoiser") & (stored.coverage != "all")]
    counted = stored.set_index("precision").bytes
    assert all(size == pytest.approx(counted[precision], rel=0.002) for precision, size in rows.items())


def test_the_names_in_print_are_those_of_the_architectures():
    assert checkpoint_titles() == {key: entry.title for key, entry in architectures().items()}


def test_the_command_prints_components_and_sums(tmp_path, capsys):
    out = tmp_path / "sizes.csv"
    assert command.main(["footprint", "--checkpoints", "sd15", "--precisions", "fp16,fp4", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["checkpoint", "component", "fp16", "fp4", "linear", "fp4", "all"]
    assert lines[4].split()[:4] == ["sd15", "in", "all", "2.132"]
    assert len(pd.read_csv(out)) == 3 * 3
    assert command.main(["footprint", "--checkpoints", "sd15", "--precisions", "nvfp4,q4_k", "--out", str(out)]) == 0
    assert "nvfp4 linear" in capsys.readouterr().out
    assert command.main(["footprint", "--checkpoints", "sdxI"]) == 2
    assert "no checkpoint 'sdxI' (nearest: 'sdxl')" in capsys.readouterr().err
    assert command.main(["footprint", "--precisions", "fp5"]) == 2
    if not torch.cuda.is_available():
        assert command.main(["footprint", "--device", "cuda"]) == 2
        assert "PyTorch sees 0 CUDA devices" in capsys.readouterr().err


def test_a_name_given_twice_counts_once(tmp_path, capsys):
    names = ["--checkpoints", "sd15,sd15", "--precisions", "fp16,fp16"]
    assert command.main(["footprint", *names, "--out", str(tmp_path / "sizes.csv")]) == 0
    counted = pd.read_csv(tmp_path / "sizes.csv")
    assert len(counted) == 3  # the components
    assert capsys.readouterr().out.splitlines()[4].split()[:4] == ["sd15", "in", "all", "2.132"]


def test_a_name_given_twice_is_measured_once(monkeypatch):
    monkeypatch.setattr(timing, "measure", lambda checkpoint, *how: {"checkpoint": checkpoint.key, "how": how[0]})
    assert len(timing.table("cpu", ["sd3", "sd3"], ["fp16", "fp32", "fp16"])) == 2


UNET = {
    "sample_size": 8, "block_out_channels": [32, 64], "cross_attention_dim": 32, "attention_head_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}  # fmt: skip
SDXL = UNET | {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 64,
}  # fmt: skip
SD3 = {
    "sample_size": 8, "patch_size": 2, "in_channels": 16, "num_layers": 2, "attention_head_dim": 16,
    "num_attention_heads": 4, "joint_attention_dim": 48, "caption_projection_dim": 64, "pooled_projection_dim": 32,
    "out_channels": 16, "pos_embed_max_size": 16,
}  # fmt: skip
FLUX = {
    "in_channels": 64, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 4,
    "joint_attention_dim": 48, "pooled_projection_dim": 32, "guidance_embeds": True, "axes_dims_rope": [4, 6, 6],
}  # fmt: skip
T5 = {"d_model": 48, "d_ff": 64, "d_kv": 8, "num_layers": 1, "num_heads": 4, "vocab_size": 64}


def tiny(kind: str, config: dict) -> Architecture:
    import diffusers
    import transformers

    size = sum(p.numel() for p in getattr(diffusers, kind)(**config).parameters())
    t5 = sum(p.numel() for p in transformers.T5EncoderModel(transformers.T5Config(**T5)).parameters())
    parts = {"denoiser": Network(kind, config, size), "t5": Network("T5EncoderModel", T5, t5)}
    return Architecture("tiny", "Tiny", "someone/tiny", 64, parts)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("UNet2DConditionModel", UNET),
        ("UNet2DConditionModel", SDXL),
        ("SD3Transformer2DModel", SD3),
        ("FluxTransformer2DModel", FLUX),
    ],
    ids=["sd15", "sdxl", "sd3", "flux1"],
)
@pytest.mark.parametrize("key", ["fp32", "fp16", "fp8", "fp4"])
def test_steps_run_in_the_precision_that_was_asked_for(kind, config, key):
    checkpoint = tiny(kind, config)
    row = timing.measure(checkpoint, key, "all", "cpu", steps=2)
    assert row["fits"] and row["seconds_per_step"] > 0 and row["peak_allocated"] > 0 and row["steps"] == 2
    itemsize = 4 if key == "fp32" else 2
    sizes = [
        footprint.count(build(network), FORMATS[key], "all", itemsize)[1] if FORMATS[key].scope == "layers"
        else network.parameters * itemsize
        for network in checkpoint.parts.values()
    ]  # fmt: skip
    assert row["bytes"] == sum(sizes)
    kernels = json.loads(row["kernels"])
    signs = {"fp32": "Linear/Parameter", "fp16": "Linear/Parameter", "fp8": "QLinear/", "fp4": "Linear"}
    assert any(name.startswith(signs[key]) for name in kernels)
    assert (key == "fp4") == any("4bit" in name or "FourBit" in name for name in kernels)
    assert row["batch"] == (1 if kind.startswith("Flux") else 2)


def test_materialised_networks_hold_numbers_and_no_shared_weight_twice():
    network = tiny("SD3Transformer2DModel", SD3).parts["t5"]
    made, made_plain = timing.materialise(network, "fp4", "linear", "cpu", torch.bfloat16), build(network)
    assert not any(tensor.is_meta for tensor in [*made.parameters(), *made.buffers()])
    assert made.shared.weight is made.encoder.embed_tokens.weight
    assert made.dtype == torch.bfloat16
    linear = [module.weight.numel() for module in made_plain.modules() if isinstance(module, nn.Linear)]
    held = list(precision.holdings(made))
    assert sum(parameters for parameters, bits, _ in held if bits == 4) == sum(linear) > 0


def test_what_does_not_fit_is_a_row_that_says_so(monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(timing, "materialise", full)
    row = timing.measure(tiny("SD3Transformer2DModel", SD3), "fp32", "linear", "cpu")
    assert not row["fits"] and "seconds_per_step" not in row
    assert footprint_command._measured_row(row)["weights GB"] == "does not fit"


def test_a_format_without_kernels_has_no_time():
    with pytest.raises(UsageError, match="int3: no library here stores it, so it has no time"):
        timing.table("cpu", ["sd15"], ["int3"])


def test_the_archived_run_holds_the_bytes_that_are_counted():
    """Counted without weights on any machine, held on a GPU by the libraries' own layers: the same to the byte."""
    counted, runs = footprint_.weights(), footprint_.measured()
    assert runs.fits.all() and set(runs.precision[runs.bytes.isna()]) == {"fp8"}  # counted wrong there, so left out
    for run in runs.dropna(subset="bytes").itertuples():
        parts = counted[counted.checkpoint == run.checkpoint]
        plain = ("fp32" if run.precision == "fp32" else "bf16", "whole")  # CLIP encoders and VAE
        ways = {
            part: (run.precision, run.coverage) if part in ("denoiser", "t5") else plain for part in parts.component
        }
        asked = [(part, *way) for part, way in ways.items()]
        assert parts.set_index(["component", "precision", "coverage"]).bytes[asked].sum() == run.bytes
        assert run.bytes < run.peak_allocated


def test_weights_that_a_kernel_packs_take_the_bytes_of_what_they_are_packed_in():
    """Four codes of 8 bits in a whole number of 32: a tensor in a tensor, whose own shape and type say four times as
    much.
    """

    class Packed(torch.Tensor):  # as optimum-quanto's MarlinF8PackedTensor, which only a GPU can make
        @staticmethod
        def __new__(cls, codes):
            return torch.Tensor._make_wrapper_subclass(cls, (64, 32), dtype=torch.int32)

        def __init__(self, codes):
            self.codes = codes

        def __tensor_flatten__(self):
            return ["codes"], {}

        def __torch_dispatch__(self, *_):
            raise NotImplementedError

    packed = Packed(torch.zeros(16, 32, dtype=torch.int32))
    assert packed.nbytes == 4 * 64 * 32 and coverage._bytes(packed) == 64 * 32


def test_memory_falls_and_published_times_do_not(tmp_path, monkeypatch):
    shutil.copy(footprint_.FOLDER / "memory.csv", tmp_path)
    shutil.copy(footprint_.FOLDER / "published.csv", tmp_path)
    monkeypatch.setattr(footprint_, "FOLDER", tmp_path)  # where no run on a GPU is archived
    memory, time = savings.memory(), savings.time()
    assert memory.verdict == "supported" and set(memory.figures) == set(checkpoint_titles().values())
    assert memory.figures["Flux.1 dev"].estimate == pytest.approx(9.98 / 67.48, abs=0.001)
    assert savings.memory(0.1).verdict == "contradicted"
    assert not re.search(r"\d%", memory.sentence) and "15\N{NO-BREAK SPACE}% to" in memory.sentence
    against = savings.memory(base="fp16")
    # SD1.5's UNet is half convolutions, which stay: 1.74 of 2.13 GB.
    assert against.verdict == "contradicted" and against.figures["SD1.5"].estimate == pytest.approx(0.82, abs=0.005)
    assert time.verdict == "not testable" and "published timings" in time.sentence and "none is faster" in time.sentence


@pytest.mark.parametrize(("fp4", "expected"), [(0.3, "supported"), (1.1, "contradicted")])
def test_an_archived_gpu_run_is_judged(tmp_path, monkeypatch, fp4, expected):
    rows = [
        {"checkpoint": "flux1-dev", "precision": key, "coverage": how, "fits": True, "seconds_per_step": s, "card": "X"}
        for key, how, s in (("fp32", "whole", 1.0), ("fp16", "whole", 0.5), ("fp4", "linear", fp4), ("fp4", "all", 9.0))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "device.csv", index=False)
    monkeypatch.setattr(analysis.footprint, "FOLDER", tmp_path)
    found = savings.time()
    assert found.verdict == expected and found.figures["Flux.1 dev"].estimate == fp4
    assert f"{100 * fp4:.0f}\N{NO-BREAK SPACE}% (1 DiT)" in found.sentence and "On X" in found.sentence
    assert savings.time(base="fp16").figures["Flux.1 dev"].estimate == fp4 / 0.5
    assert savings.memory().verdict == "not testable"
