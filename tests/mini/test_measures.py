"""The measures of the generators: distances with known answers, a judge that reads renders, a table that says what
was missed."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import world
from helpers.analysis import miniatures
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.mini import judge, measures
from helpers.paper.pages import setup


def test_frechet_distance_of_normals_is_the_closed_form():
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 1, (40_000, 2)), rng.normal([3, 0], [1, 2], (40_000, 2))
    # |m1 - m2|^2 + sum (s1 - s2)^2 for independent coordinates: 9 + 0 + 1.
    assert measures.frechet(near, far) == pytest.approx(10.0, rel=0.03)
    assert measures.frechet(near, near) == pytest.approx(0.0, abs=1e-6)


def test_nearest_is_zero_for_known_pictures_and_grows_with_distance():
    known = world.renders(range(20), 64)
    assert measures.nearest(known[:5], known) == pytest.approx(0.0, abs=1e-3)
    dark, light = np.zeros((3, 64, 64, 3), np.uint8), np.full((3, 64, 64, 3), 51, np.uint8)
    assert measures.nearest(light, dark) == pytest.approx(0.2, abs=1e-3)


def test_spread_is_the_mean_distance_of_pairs():
    steps = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 51, 102)])
    assert measures.spread(steps) == pytest.approx((0.2 + 0.2 + 0.4) / 3, abs=1e-3)


def test_the_trivial_classifier_sees_a_tint_and_nothing_where_nothing_is():
    first, second = world.renders(range(150), 64), world.renders(range(1000, 1150), 64)
    tinted = (second * np.array([0.5, 1.0, 1.0])).astype(np.uint8)
    assert measures.trivial_auc(tinted, first) > 0.9
    # Two sets of renders: AUC .5 but for chance, whose standard deviation is sqrt((2n + 1) / 12) / n.
    chance = np.sqrt(301 / 12) / 150
    assert abs(measures.trivial_auc(second, first) - 0.5) < stats.norm.ppf(0.9999) * chance


def test_the_judge_reads_new_renders():
    seeds = range(world.SPLITS["test"] + 5000, world.SPLITS["test"] + 5120)
    scenes = [world.scene(seed) for seed in seeds]
    for size in (64, 96, 128):
        read = judge.fidelity(judge.load(), world.renders(seeds, size), scenes)
        assert min(read.values()) >= 0.97, (size, read)


def test_the_judge_notices_pictures_of_other_prompts():
    scenes = [world.scene(seed) for seed in range(40)]
    # The same layouts, so that only what stands there differs.
    layouts: dict[str, list[int]] = {}
    for seed in range(2000, 2600):
        layouts.setdefault(world.scene(seed).relation, []).append(seed)
    others = [layouts[scene.relation].pop() for scene in scenes]
    read = judge.fidelity(judge.load(), world.renders(others, 64), scenes)
    assert read["ground"] < 0.4 and read["colour"] < 0.4 and read["shape"] < 0.4  # chance: 1/7, 1/8, 1/8


def test_crops_hold_the_solids_in_reading_order():
    def told_apart(scene):  # one white, one black: shading cannot swap their order
        return scene.relation == "row" and {"white", "black"} < {solid.colour for solid in scene.solids}

    seed = next(seed for seed in range(5000) if told_apart(world.scene(seed)))
    colours = [solid.colour for solid in world.scene(seed).solids]
    parts = judge.crops(judge.to_tensor(world.renders([seed], 128)), ["row"])
    assert parts.shape == (3, 3, judge.CROP, judge.CROP)
    brightness = parts[:, :, 12:20, 12:20].mean((1, 2, 3)).tolist()
    assert colours[brightness.index(max(brightness))] == "white"
    assert colours[brightness.index(min(brightness))] == "black"


def test_a_missing_judge_says_how_to_get_one(tmp_path):
    with pytest.raises(UsageError, match="quantdetect train mini judge"):
        judge.load(tmp_path / "judge.safetensors")


def test_the_table_keeps_other_rows_says_what_was_missed_and_fills_the_card(tmp_path, monkeypatch):
    found = {"vae_psnr_db": 29.0, "ground": 0.99, "colour": 0.5, "frechet": 3.0}
    monkeypatch.setattr(measures, "measure", lambda key, fakes, work, device: found)
    for key in ("sdxl", "sd15"):
        (tmp_path / key).mkdir()
        (tmp_path / key / files.CARD).write_text(json.dumps({"name": key}))
        measures.evaluate([key], lambda *_: np.zeros(0), tmp_path, tmp_path)
    table = pd.read_csv(tmp_path / measures.TABLE)
    assert list(table["generator"].unique()) == ["sd15", "sdxl"]
    met = table.set_index(["generator", "measure"])["met"]
    assert str(met["sd15", "vae_psnr_db"]) == "False" and str(met["sdxl", "vae_psnr_db"]) == "True"
    assert str(met["sd15", "colour"]) == "False" and pd.isna(met["sd15", "frechet"])
    card = json.loads((tmp_path / "sd15" / files.CARD).read_text())
    assert card == {"name": "sd15", "measures": found}
    shown = miniatures.measures(tmp_path).set_index("measure")
    assert shown.loc["VAE: PSNR, dB", "SD1.5"] == "29.0 (missed)" and shown.loc["VAE: PSNR, dB", "SDXL"] == "29.0"


def test_every_shipped_model_has_a_card_with_its_licence():
    cards = miniatures.cards()
    assert len(cards) >= 6 + 1 + 2 + 4
    assert {card["licence"] for card in cards} == {"Apache-2.0"}
    shown = miniatures.overview()
    assert len(shown) == len(cards)
    folded = setup.by_training(shown).set_index("model")
    assert folded.trainings.sum() == len(cards) and not folded.index.str.contains(r"s\d").any()
    assert folded.index.is_unique and folded.seed["NPR"] == "0 to 4" and folded.seed["NPR (aligned)"] == "0 to 2"


def test_what_detectors_were_trained_on_is_said_from_their_cards(tmp_path):
    (tmp_path / "detectors").mkdir()
    for name, weights, keys in (("npr", "mini", ["sd15", "flux1"]), ("r50_tf", "mini", ["sd15", "flux1"]),
                                ("npr", "mini-sdxl", ["sdxl"])):  # fmt: skip
        card = {"name": name, "weights": weights, "task": "renders against fakes", "generators": keys, "data": {}}
        (tmp_path / "detectors" / f"{name}-{weights}.json").write_text(json.dumps(card))
    assert miniatures.trained_on(["mini"], ["npr", "r50_tf"], tmp_path) == (
        "The detectors were trained on renders against fakes: SD1.5, Flux.1."
    )
    both = miniatures.trained_on(["mini", "mini-sdxl"], ["npr"], tmp_path)
    assert both == (
        "Trained on renders against fakes: SDXL: NPR. Trained on renders against fakes: SD1.5, Flux.1: NPR."
    )
    assert miniatures.trained_on(["released"], ["npr"], tmp_path) == ""
