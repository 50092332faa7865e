"""The patch probe's statistics against the tower's own modules and NumPy, and its head against scikit-learn's."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from helpers import detectors, world
from helpers.detectors.patch_probe import corners
from helpers.mini.training.detectors import Recipe, Training, learn, on_generators

DEPTHS, WIDTH, PATCHES = 5, 128, 64


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return detectors.build("patch_probe", "mini").eval()


def tokens(net: torch.nn.Module, tile: torch.Tensor) -> np.ndarray:
    """Patch tokens of one tile (depths, patches, C): hooks see what enters the first block and leaves each."""
    seen: list[torch.Tensor] = []
    blocks = net.visual.transformer.resblocks
    hooks = [blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))]
    hooks += [block.register_forward_hook(lambda _, given, made: seen.append(made)) for block in blocks]
    with torch.inference_mode():
        net.visual(tile[None])
    for hook in hooks:
        hook.remove()
    return torch.stack(seen)[:, 0, 1:].double().numpy()


def test_statistics_are_those_of_the_patch_tokens_of_all_tiles():
    net = network()
    image = torch.randn(1, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    both = np.concatenate([tokens(net, image[0, :, :, at : at + 64]) for at in (0, 64)], axis=1)
    assert both.shape == (DEPTHS, 2 * PATCHES, WIDTH)
    with torch.inference_mode():
        mean, spread = net.features(image)[0].numpy().reshape(2, DEPTHS, WIDTH)
    np.testing.assert_allclose(mean, both.mean(1), atol=1e-4)
    np.testing.assert_allclose(spread, both.std(1), atol=1e-4)


def test_tiles_cover_an_image_of_any_size():
    for length in (64, 65, 96, 128, 200):
        starts = corners(length, 64)
        covered = {pixel for at in starts for pixel in range(at, at + 64)}
        assert covered == set(range(length)) and len(starts) == -(-length // 64)
    with torch.inference_mode():
        assert network()(torch.zeros(2, 3, 40, 71)).shape == (2,)


def test_a_head_is_solved_for_stored_and_as_good_as_its_card_says(tmp_path):
    """Stand-in fakes that are renders with a fine grain; the head is linear and its stored logits are the solver's."""

    def rendered(split: str, generator: str, count: int) -> np.ndarray:
        return world.renders(range(world.SPLITS[split], world.SPLITS[split] + count), 64)

    def grainy(split: str, generator: str, count: int) -> np.ndarray:
        noise = np.random.default_rng(3).normal(0, 25, (count, 64, 64, 3))
        return (rendered(split, generator, count) + noise).clip(0, 255).astype(np.uint8)

    (tmp_path / "backbones").mkdir()
    tower = {key: value for key, value in network(2).state_dict().items() if key.startswith("visual.")}
    save_file(tower, tmp_path / "backbones" / "clip.safetensors")
    task = on_generators(
        "patch_probe",
        grainy,
        rendered,
        tmp_path,
        Training(generators=("sd15",)),
        images={"train": 40, "validation": 30},
    )
    task = replace(task, recipe=Recipe(0, 0.0, 0, pairs=6, probe=20, strengths=(0.01, 0.1)))
    path = learn(task, tmp_path / "detectors" / "patch_probe.safetensors", tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    assert [row["inverse_strength"] for row in card["curve"]] == [0.01, 0.1] and card["steps"] > 0
    detector = detectors.load("patch_probe", path)
    logits = [
        detector.score([Image.fromarray(image) for image in of("validation", "sd15", 30)]) for of in (grainy, rendered)
    ]
    area = roc_auc_score([1] * 30 + [0] * 30, np.concatenate(logits))
    assert area > 0.95 and area == pytest.approx(card["validation"]["sd15"]["auc"])
