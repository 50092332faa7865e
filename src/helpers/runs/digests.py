"""What images and scores are made by, as digests: where one changes, what was made by another is stale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helpers import detectors
from helpers.core.files import tree_sha256
from helpers.core.hashes import known_sha256
from helpers.runs.plan import Recipe, Scoring

__all__ = ["MadeBy", "image_digest", "made_by", "scoring_digest"]


@dataclass(frozen=True)
class MadeBy:
    """What a source's images are made by, as records of them say it: digests of the recipe and of the model.

    `former` is what earlier versions kept in the recipe's place, a digest of the whole study.
    """

    recipe: str
    model: str
    former: str


def made_by(recipe: Recipe, model: str, device: str = "cpu") -> MadeBy:
    """What a source's images are made by on a device, with a model of this digest."""
    return MadeBy(image_digest(recipe, device), model, _digest(recipe.former_digest, recipe, device))


def image_digest(recipe: Recipe, device: str = "cpu") -> str:
    """Digest of the settings behind a source's images, of the size of its shards, and of what computes them.

    Devices of another kind, or other types, round otherwise: such images must not meet in one cell. Renders and
    photographs are made by no network.
    """
    return _digest(recipe.digest, recipe, device)


def _digest(settings: str, recipe: Recipe, device: str) -> str:
    # Shards of another size would overlap these.
    digest = f"{settings}/{recipe.shard_size}"
    kind = device.partition(":")[0]
    if kind == "cpu" or recipe.checkpoint is None:
        return digest
    return f"{digest}/{kind}/{recipe.computing_type(device)}"


def scoring_digest(scoring: Scoring) -> str:
    """Digest of what gives a scoring's logits: the weights, the frozen backbones, the handling of the images."""
    digest = tree_sha256(*_files(scoring), of_file=known_sha256)
    return digest if scoring.level is None else f"{digest}/{scoring.level}"


def _files(scoring: Scoring) -> list[Path]:
    path, *frozen = detectors.weights_files(scoring.detector, scoring.weights)
    shipped = sorted((path.parent.parent / "backbones").glob("*.safetensors"))
    return list(dict.fromkeys([path, *shipped, *frozen]))
