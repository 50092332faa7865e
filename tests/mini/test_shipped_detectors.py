"""The shipped trainings of the detectors: each is loaded by its label, and its card says what it was and how good."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers import detectors, world
from helpers.core.files import MODELS
from helpers.mini.training.detectors import TRAININGS, WHOLE

SHIPPED = [(name, label) for label, of in TRAININGS.items() for name in of.detectors]


def card(name: str, label: str) -> dict:
    path = detectors.weights_path(name, label)
    assert path.parent == MODELS / "mini" / "detectors"
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_each_kind_of_training_has_its_seeds():
    """Five of `mini`, three of each further kind; no file lies beside them that is no training."""
    assert [label for label in TRAININGS if label.startswith("mini-s") and not label.startswith("mini-sdxl")] == [
        f"mini-s{seed}" for seed in (1, 2, 3, 4)
    ]
    assert sum(label.startswith("mini-sdxl") for label in TRAININGS) == 3
    assert sum(label.startswith("mini-aligned") for label in TRAININGS) == 3
    files = {path.stem for path in (MODELS / "mini" / "detectors").glob("*.safetensors")}
    assert files == {name + label.removeprefix("mini") for name, label in SHIPPED}


@pytest.mark.parametrize(("name", "label"), SHIPPED)
def test_a_shipped_training_is_loaded_by_its_label(name, label):
    detector, of, said = detectors.load(name, label), TRAININGS[label], card(name, label)
    assert (detector.name, detector.weights, detector.width) == (name, label, "mini")
    assert (said["name"], said["weights"], said["seed"]) == (name, label, of.seed)
    assert tuple(said["generators"]) == of.generators == tuple(said["validation"])
    assert ("VAE" in said["data"]["real"]) == of.aligned
    assert np.isfinite(detector.score([Image.fromarray(world.render(world.SPLITS["validation"], 64))])).all()


def test_trainings_of_other_seeds_are_other_detectors():
    image = [Image.fromarray(world.render(world.SPLITS["validation"], 64))]
    logits = [float(detectors.load("r50_tf", label).score(image)[0]) for label in ("mini", "mini-s1", "mini-s3")]
    assert len(set(logits)) == 3


def test_r50_tf_tells_fp32_from_renders_and_seldom_calls_a_render_fake():
    """The target that was set before it was trained on whole images: AUC .95 and TNR .90 on each generator's validation
    images. A further seed may miss the first by a hundredth on its worst generator."""
    if card("r50_tf", "mini")["augmentation"]["crop"] != WHOLE:
        pytest.skip("the head that the archive was scored with learned from crops")
    for figures in card("r50_tf", "mini")["validation"].values():
        assert figures["auc"] >= 0.95 and figures["tnr"] >= 0.90
    for label in (label for label, of in TRAININGS.items() if len(of.generators) > 1 and not of.aligned):
        areas = [figures["auc"] for figures in card("r50_tf", label)["validation"].values()]
        assert np.mean(areas) >= 0.95 and min(areas) >= 0.94, label
