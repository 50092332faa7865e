"""Training of the miniature generators: resumable to the bit, standardised latents, pipelines true to their family."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from helpers.core.errors import UsageError
from helpers.core.files import MODELS
from helpers.mini import families
from helpers.mini.learning.loop import EMA, ramp, record, run_steps, step_rng
from helpers.mini.training import denoiser, miniatures
from helpers.mini.training import text as train_text
from helpers.mini.training import vae as train_vae


def _regression(folder, steps, stop=None):
    """Fit a line by seeded steps; `stop` kills it after that many."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimiser, average = torch.optim.AdamW(model.parameters(), 1e-2), EMA(model, 0.9)

    def step(i):
        if i == stop:
            raise KeyboardInterrupt
        batch = torch.randn(8, 4, generator=step_rng(3, i))
        loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        average.update(model)
        return {"loss": loss.item()}

    spent = run_steps("line", folder, steps, {"model": model, "optimiser": optimiser, "ema": average}, step, every=0)
    return spent, model.weight.detach().clone(), average.shadow["weight"].clone()


def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path):
    _, wanted, wanted_average = _regression(tmp_path / "whole", 30)
    with pytest.raises(KeyboardInterrupt):
        _regression(tmp_path / "killed", 30, stop=17)
    spent, weight, average = _regression(tmp_path / "killed", 30)
    assert spent["steps"] == 30
    torch.testing.assert_close(weight, wanted, rtol=0, atol=0)
    torch.testing.assert_close(average, wanted_average, rtol=0, atol=0)
    assert len((tmp_path / "killed" / "line.csv").read_text().splitlines()) == 31  # a header, a row per step


def test_every_step_is_logged_where_no_time_is_to_pass_between_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.mini.learning.loop.time.monotonic", lambda: 7.0)  # a clock coarser than any step
    spent, *_ = _regression(tmp_path, 30)
    assert spent == {"steps": 30, "seconds": 0.0}
    logged = (tmp_path / "line.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in logged] == list(range(1, 31))


def test_a_record_holds_the_end_and_the_curve_of_a_log(tmp_path):
    _regression(tmp_path, 30)
    found = record(tmp_path, "line", points=5)
    assert found["steps"] == 30 and found["seconds"] >= 0 and len(found["curve"]) == 5
    assert found["curve"][0]["step"] == 1 and found["curve"][-1]["step"] == 30
    logged = (tmp_path / "line.csv").read_text().splitlines()[1:]
    assert [f"{row['loss']:g}" for row in found["curve"]] == [
        logged[row["step"] - 1].split(",")[2] for row in found["curve"]
    ]


def test_rounds_follow_each_other_and_a_further_one_leaves_the_first_as_they_were():
    recipe = families.Recipe(rounds=(3, 2), seed=1)
    assert [recipe.place(i) for i in range(5)] == [(0, 3), (1, 3), (2, 3), (0, 2), (1, 2)] and recipe.steps == 5
    longer = replace(recipe, rounds=(3, 2, 9))
    assert [longer.place(i) for i in range(5)] == [recipe.place(i) for i in range(5)]
    with pytest.raises(IndexError):
        recipe.place(5)


def test_the_rate_warms_up_holds_and_decays():
    rates = [ramp(i, 1000) for i in range(1000)]
    assert rates[0] == 0.01 and rates[99] == 1.0 and rates[500] == 1.0
    assert all(np.diff(rates[601:]) <= 0) and rates[-1] == 0.02


@pytest.mark.parametrize("kind", families.VAES)
def test_standardised_latents_carry_the_same_image(kind):
    """New units of the latents: zero mean and unit variance, and the decoder undoes them (away from padded borders)."""
    torch.manual_seed(1)
    vae = families.build_vae(kind).eval()
    image = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = vae.encode(image).latent_dist
        shown = vae.decode(before.mean).sample
        channels = before.mean.transpose(0, 1).flatten(1)
        train_vae._standardise(vae, channels.mean(1), channels.std(1))
        after = vae.encode(image).latent_dist
        shown_after = vae.decode(after.mean).sample
    channels_after = after.mean.transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels_after.mean(1), torch.zeros(len(channels)), atol=1e-3, rtol=0)
    torch.testing.assert_close(channels_after.std(1), torch.ones(len(channels)), atol=1e-3, rtol=0)
    # The posterior's width is in the same units as its mean.
    torch.testing.assert_close(after.std / before.std, (1 / channels.std(1))[None, :, None, None].expand_as(after.std),
                               atol=1e-3, rtol=1e-3)  # fmt: skip
    if kind == "kl4":  # its post_quant_conv is 1x1; kl16's 3x3 convolution pads with zeros, which now differ
        torch.testing.assert_close(shown_after, shown, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["clip", "t5"])
def test_tokenizers_know_every_caption(kind):
    words = families.tokenizer(kind)
    text = "a photo of a red ball, a blue star and an orange hexagon against the sky"
    ids = words(text).input_ids
    assert words.unk_token_id not in ids and len(ids) <= families.MAX_TOKENS
    assert words.decode(ids, skip_special_tokens=True).replace(" ,", ",") == text


def test_the_families_are_kept():
    """What makes each family itself, read off the built pipelines."""
    built = {key: families.build(key) for key in families.FAMILIES}
    names = {key: type(pipeline).__name__ for key, pipeline in built.items()}
    assert names == {
        "sd15": "StableDiffusionPipeline",
        "sd21": "StableDiffusionPipeline",
        "sdxl": "StableDiffusionXLPipeline",
        "sd3": "StableDiffusion3Pipeline",
        "sd35": "StableDiffusion3Pipeline",
        "flux1": "FluxPipeline",
    }
    assert [built[k].scheduler.config.get("prediction_type") for k in ("sd15", "sd21", "sdxl")] == [
        "epsilon", "v_prediction", "epsilon",
    ]  # fmt: skip
    assert built["sd21"].unet.config.use_linear_projection and not built["sd15"].unet.config.use_linear_projection
    layers = {key: built[key].text_encoder.config.num_hidden_layers for key in ("sd15", "sd21")}
    assert layers["sd21"] == layers["sd15"] - 1
    assert {key: built[key].vae.config.latent_channels for key in built} == {
        "sd15": 4, "sd21": 4, "sdxl": 4, "sd3": 16, "sd35": 16, "flux1": 16,
    }  # fmt: skip
    normed = {key: built[key].transformer.transformer_blocks[0].attn.norm_q is not None for key in ("sd3", "sd35")}
    assert normed == {"sd3": False, "sd35": True}
    assert built["flux1"].transformer.config.guidance_embeds


#: Names of the files that hold a component's configuration.
CONFIGS = ("config.json", "scheduler_config.json")

#: What the libraries add to a stored configuration beside the network: versions, places and types.
_PASSING = {"architectures", "dtype", "torch_dtype", "transformers_version", "use_cache", "_name_or_path"}


def _stored(folder):
    """A stored component's configuration, from the file itself."""
    found = json.loads(next(folder / n for n in CONFIGS if (folder / n).is_file()).read_text())
    return {name: value for name, value in found.items() if name not in _PASSING and not name.startswith("_")}


@pytest.mark.parametrize("key", families.FAMILIES)
def test_a_family_is_built_as_its_trained_miniature_is_stored(key, tmp_path):
    """Every component's configuration, and the names and shapes of its weights, against the files in models/mini."""
    families.build(key).save_pretrained(tmp_path)
    shipped = MODELS / "mini" / key
    parts = {folder.name for folder in shipped.iterdir() if any((folder / name).is_file() for name in CONFIGS)}
    assert parts == {folder.name for folder in tmp_path.iterdir() if any((folder / n).is_file() for n in CONFIGS)}
    for part in parts:
        assert _stored(tmp_path / part) == _stored(shipped / part), part
        names = [sorted((folder / part).glob("*.safetensors")) for folder in (tmp_path, shipped)]
        assert [file.name for file in names[0]] == [file.name for file in names[1]]
        for made, trained in zip(*names, strict=True):
            shapes = [{name: value.shape for name, value in load_file(file).items()} for file in (made, trained)]
            assert shapes[0] == shapes[1], part


def test_every_family_has_a_file_and_every_file_a_family():
    files = {path.stem for path in Path(families.__file__).parent.glob("*.py")} - {"__init__", "_common"}
    assert files == set(families.FAMILIES)


@pytest.mark.parametrize("key", ["sd15", "sdxl", "sd35", "flux1"])
def test_training_moves_the_denoiser_and_nothing_else(key, tmp_path):
    """Thirty steps on eight images change the denoiser's weights and leave the VAE's as they were."""
    pipeline = families.build(key)
    frozen = [value.clone() for value in pipeline.vae.state_dict().values()]
    recipe = replace(families.FAMILIES[key].recipe, rounds=(30,), batch=8, images=8)
    denoiser.train_denoiser(key, pipeline, tmp_path, "cpu", recipe)
    log = (tmp_path / f"denoiser-{key}.csv").read_text().splitlines()
    assert len(log) == 2
    trained = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    first = families.build(key)
    untrained = first.unet if hasattr(first, "unet") else first.transformer
    moved = [(a - b).abs().max().item() for a, b in zip(trained.parameters(), untrained.parameters(), strict=True)]
    assert max(moved) > 1e-3
    assert all(torch.equal(a, b) for a, b in zip(frozen, pipeline.vae.state_dict().values(), strict=True))


def test_a_text_encoder_learns_what_captions_say(tmp_path, monkeypatch):
    monkeypatch.setattr(train_text, "TEXT_STEPS", 40)
    monkeypatch.setattr(train_text, "_CAPTIONS", 300)
    encoder = families.build("sd15").text_encoder
    train_text.train_text_encoder("text", "clip", encoder, 1, tmp_path, "cpu")
    assert not any(value.requires_grad for value in encoder.parameters())
    loss = float((tmp_path / "text.csv").read_text().splitlines()[-1].split(",")[-1])
    # Blind guessing of ground, relation and three (colour, shape) pairs costs about 1.9 nats at each of three
    # readouts and ln 4 for the places of words at two: over 8 in all.
    assert loss < 8


def test_equal_vaes_are_stored_once(tmp_path):
    for name, weights in {"sd3": b"same", "sd35": b"same", "flux1": b"other"}.items():
        (tmp_path / name / "vae").mkdir(parents=True)
        (tmp_path / name / "vae/diffusion_pytorch_model.safetensors").write_bytes(weights)
    for name in ("sd35", "flux1", "sd3"):
        miniatures._share_weights(tmp_path / name)
    files = {name: tmp_path / name / "vae/diffusion_pytorch_model.safetensors" for name in ("sd3", "sd35", "flux1")}
    assert {name: file.is_symlink() for name, file in files.items()} == {"sd3": False, "sd35": True, "flux1": False}
    assert files["sd35"].read_bytes() == b"same"


def test_an_unknown_miniature_is_named():
    with pytest.raises(UsageError, match="nearest: 'flux1'"):
        miniatures.train(["flux"])
    with pytest.raises(UsageError, match="nearest: 'flux1'"):
        families.build("flux")


@pytest.mark.parametrize("key", families.FAMILIES)
def test_a_stored_miniature_loads_with_plain_diffusers(key):
    """`models/mini/<key>` needs nothing of this package, and makes what its prompt says: grass is green."""
    folder = MODELS / "mini" / key
    pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    size = families.FAMILIES[key].size
    extra = {"max_sequence_length": families.MAX_TOKENS} if hasattr(pipeline, "transformer") else {}
    images = pipeline(
        ["a photo of a white ring on grass", "a photo of a white ring on sand"],
        num_inference_steps=8, guidance_scale=3.0, height=size, width=size, output_type="np",
        generator=[torch.Generator().manual_seed(i) for i in (1, 2)], **extra,
    ).images  # fmt: skip
    border = [np.concatenate([image[:6].reshape(-1, 3), image[-6:].reshape(-1, 3)]).mean(0) for image in images]
    greenness = [green - max(red, blue) for red, green, blue in border]
    assert greenness[0] > greenness[1] + 0.05
    card = json.loads((folder / "card.json").read_text())
    assert card["name"] == key and card["licence"] == "Apache-2.0"
