"""A study of a generator that the catalogue lacks: a tiny PixArt with random weights, from its study file to scores."""

import json
import re

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch

from helpers import analysis, cli, generators, results
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.paper import contents, execution
from helpers.study import schema

STUDY = """
name = "own"
scale = "full"
images_per_cell = 2
precisions = ["fp32", "int8"]
detectors = ["npr"]
weights = "mini"

[prompts]
kind = "grammar"

[generators.pixart]
title = "PixArt, tiny"
family = "DiT, cross-attention"
pipeline = "PixArtAlphaPipeline"
checkpoint = "CHECKPOINT"
size = 64
steps = 2
guidance = 3.0
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study file beside its checkpoint: the denoiser's weights are random, text encoder and VAE the miniatures'."""
    folder = tmp_path_factory.mktemp("own")
    sd3, sd15 = generators.load("sd3"), generators.load("sd15")
    torch.manual_seed(3)
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
        cross_attention_dim=32, caption_channels=sd3.text_encoder_3.config.d_model, sample_size=8,
    )  # fmt: skip
    pipeline = diffusers.PixArtAlphaPipeline(
        sd3.tokenizer_3, sd3.text_encoder_3, sd15.vae, transformer, diffusers.DPMSolverMultistepScheduler()
    )
    pipeline.save_pretrained(folder / "pixart")
    (folder / "study.toml").write_text(STUDY.replace("CHECKPOINT", (folder / "pixart").as_posix()), encoding="utf-8")
    return folder / "study.toml"


def changed(study, old, new):
    assert old in study.read_text(encoding="utf-8")
    other = study.with_name("changed.toml")
    other.write_text(study.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return other


def test_the_grid_shows_it(study, capsys):
    assert cli.main(["grid", str(study)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("pixart")]
    assert [row[:3] for row in rows] == [["pixart", "fp32", "2"], ["pixart", "int8", "2"]]
    weights = sum(file.stat().st_size for file in study.parent.rglob("*.safetensors"))
    assert f"{weights / 1e6:,.1f}" in rows[0]


def test_it_runs_at_a_precision_and_its_results_know_its_title(study, tmp_path):
    made = ["run", str(study), "--out", str(tmp_path), "--device", "cpu", "--precisions", "int8"]
    assert cli.main(made) == 0
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert len(scores) == 2 and set(scores.generator) == {"pixart"} and np.isfinite(scores.logit).all()
    cells = pd.read_parquet(tmp_path / "cells.parquet").set_index("precision")
    parts = json.loads(cells.component_coverage["int8"])
    assert set(parts) == {"denoiser", "t5"} and parts["denoiser"]["share"] > 0.5
    assert parts["denoiser"]["bytes_after"] < parts["denoiser"]["bytes_before"] / 2
    found = results.load(tmp_path)
    assert found.titles("generator") == {"pixart": "PixArt, tiny"}
    assert analysis.settings(found).family.tolist() == ["DiT, cross-attention"]
    assert analysis.cells(found).generator_title.tolist() == ["PixArt, tiny"]
    page = contents.notebooks()[0]
    execution.check(page, {"results": str(tmp_path), "generators": ["pixart"]})
    with pytest.raises(UsageError, match="generators: no 'pixar' .nearest: 'pixart'"):
        execution.check(page, {"results": str(tmp_path), "generators": ["pixar"]})


def test_its_images_do_not_hang_on_what_it_is_called(study):
    renamed = schema.load(changed(study, "PixArt, tiny", "Another title"))
    assert renamed.digest() == schema.load(study).digest()


def test_the_table_that_the_book_prints_is_one(tmp_path):
    text = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
    printed = re.search(r"```toml\n(\[generators.*?)```", text, re.DOTALL)[1]
    head = STUDY.partition("[generators.pixart]")[0]
    (tmp_path / "study.toml").write_text(head + printed, encoding="utf-8")
    assert schema.load(tmp_path / "study.toml").entry("pixart").pipeline == "PixArtAlphaPipeline"


def test_a_catalogued_generator_is_written_down_as_ever():
    settings = schema.load("mini").model_dump()["generators"]["sd15"]
    assert set(settings) == {"checkpoint", "revision", "size", "steps", "guidance", "dtype", "variant"}


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('family = "DiT, cross-attention"\n', "", r"generators\.pixart\.family: missing"),
        ("generators.pixart", "generators.sd3", r"generators\.sd3\.title: the catalogue says it of sd3"),
        ("generators.pixart", "generators.real", "no generator can be called 'real'"),
        ("generators.pixart", "generators.Pix", r"generators\.Pix: no generator can be called 'Pix'; small"),
        (
            'title = "PixArt, tiny"\nfamily = "DiT, cross-attention"\npipeline = "PixArtAlphaPipeline"\n', "",
            r"generators\.pixart: no such key 'pixart'.*; to run another one, give its title, family and pipeline",
        ),
        ('"PixArtAlphaPipeline"', '"PixArtPipeline"', "holds a PixArtAlphaPipeline, not a PixArtPipeline"),
    ],
)  # fmt: skip
def test_a_mistake_in_its_table_is_told(study, old, new, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        other = schema.load(changed(study, old, new))
        generators.load("pixart", other.source("pixart"), entry=other.entry("pixart"))


def test_a_checkpoint_of_another_class_is_refused(study):
    own = schema.load(study)
    with pytest.raises(UsageError, match="pixart: '.*sd15' holds a StableDiffusionPipeline, not a PixArtAlphaPipeline"):
        generators.load("pixart", str(files.MODELS / "mini" / "sd15"), entry=own.entry("pixart"))
