"""What images and scores are made by, as digests: where one changes, what was made by another is stale."""

from __future__ import annotations

from pathlib import Path

from helpers import detectors
from helpers.core.files import tree_sha256
from helpers.runs.plan import Scoring, Source
from helpers.runs.sources import computing_type
from helpers.study.schema import Study

__all__ = ["image_digest", "scoring_digest"]


def image_digest(study: Study, source: Source, device: str = "cpu") -> str:
    """Digest of the settings behind a source's images, of the size of its shards, and of what computes them.

    Devices of another kind, or other types, round otherwise: such images must not meet in one cell. A render is made
    by no network.
    """
    # Shards of another size would overlap these.
    digest = f"{study.digest(source.arm)}/{study.shard_size}"
    kind = device.partition(":")[0]
    if kind == "cpu" or (source.label == 0 and source.arm == "none"):
        return digest
    dtype = computing_type(study.generators[source.generator], source.precision, device) if source.label else "float32"
    return f"{digest}/{kind}/{dtype}"


def scoring_digest(study: Study, scoring: Scoring) -> str:
    """Digest of what gives a scoring's logits: the weights, the frozen backbones, the handling of the images."""
    digest = tree_sha256(*_files(scoring))
    return f"{digest}/{study.shared_level}" if scoring.protocol == "shared" else digest


def _files(scoring: Scoring) -> list[Path]:
    path, *frozen = detectors.weights_files(scoring.detector, scoring.weights)
    shipped = sorted((path.parent.parent / "backbones").glob("*.safetensors"))
    return list(dict.fromkeys([path, *shipped, *frozen]))
