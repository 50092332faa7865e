"""What is known of a shard: which of its images exist and are valid, which were rejected, which are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.runs.plan import Scoring, Shard
from helpers.runs.store import Store, pixel_sha256, read_json, write_json

__all__ = ["COLUMNS", "State", "of"]

#: Columns of scores.parquet.
COLUMNS = (
    "generator",
    "precision",
    "arm",
    "protocol",
    "size",
    "index",
    "label",
    "detector",
    "weights",
    "logit",
    "image_sha256",
)


class State:
    """The state of one shard, kept in its JSON file.

    An image is valid where its file decodes to the pixels on record, and the record was made by the same study (its
    digest), the same shard size and the same model (its digest). A stale record is dropped whole.

    Attributes:
        images: index -> {"sha256", "seconds"}; rejected: index -> reason.
        record: what was measured of the cell (see `CellMaker.record`).
        scorings: key of a scoring -> digest of what its scores come from.
        stale: whether an older record was dropped.
    """

    def __init__(self, store: Store, shard: Shard, digest: str, model: str) -> None:
        self.store, self.shard = store, shard
        self.key = {"study": digest, "model": model}
        found = read_json(store.state(shard))
        same = all(found.get(name) == value for name, value in self.key.items())
        self.stale = bool(found) and not same
        found = found if same else {}
        self.images: dict[int, dict[str, Any]] = {int(i): known for i, known in found.get("images", {}).items()}
        self.rejected: dict[int, str] = {int(i): why for i, why in found.get("rejected", {}).items()}
        self.record: dict[str, Any] = found.get("record", {})
        self.scorings: dict[str, str] = found.get("scorings", {})

    def write(self) -> None:
        """Put the state on disk."""
        content = {
            **self.key,
            "images": self.images,
            "rejected": self.rejected,
            "record": self.record,
            "scorings": self.scorings,
        }
        write_json(content, self.store.state(self.shard))

    def missing(self) -> list[int]:
        """Indices of the shard that have neither a valid image nor a rejection; invalid ones are struck off."""
        for index in [index for index in self.images if index in self.shard.indices and not self._valid(index)]:
            del self.images[index]
        return [index for index in self.shard.indices if index not in self.images and index not in self.rejected]

    def scores(self) -> pd.DataFrame:
        """The shard's scores that hold: of images on record with the pixels on record."""
        try:
            frame = pd.read_parquet(self.store.part(self.shard))
        except (OSError, ValueError):  # missing, or not a parquet file
            return pd.DataFrame(columns=list(COLUMNS))
        known = {index: image["sha256"] for index, image in self.images.items()}
        return frame[frame["index"].map(known) == frame["image_sha256"]]

    def unscored(self, digests: dict[Scoring, str]) -> dict[Scoring, list[int]]:
        """Scoring -> indices without a score by what its digest stands for; only scorings that lack some."""
        frame, lacking = self.scores(), {}
        for scoring, digest in digests.items():
            if not scoring.applies(self.shard.source):
                continue
            done = set(frame.loc[of(frame, scoring), "index"]) if self.scorings.get(scoring.key) == digest else set()
            lacking[scoring] = [index for index in sorted(self.images) if index not in done]
        return {scoring: indices for scoring, indices in lacking.items() if indices}

    def rows(self, scoring: Scoring, indices: Sequence[int], logits: Sequence[float]) -> pd.DataFrame:
        """Scores of images of this shard as rows of scores.parquet."""
        source = self.shard.source
        values = {
            "generator": source.generator,
            "precision": source.precision,
            "arm": source.arm,
            "protocol": scoring.protocol,
            "size": source.size,
            "index": list(indices),
            "label": source.label,
            "detector": scoring.detector,
            "weights": scoring.label,
            "logit": pd.array(logits, dtype="float32"),
            "image_sha256": [self.images[index]["sha256"] for index in indices],
        }
        return pd.DataFrame(values, columns=list(COLUMNS)).astype({"logit": "float32"})

    def _valid(self, index: int) -> bool:
        image = self.store.open(self.shard.source, index)
        return image is not None and pixel_sha256(image) == self.images[index]["sha256"]


def of(frame: pd.DataFrame, scoring: Scoring) -> pd.Series:
    """Which rows of a table of scores are one scoring's."""
    return (
        (frame["detector"] == scoring.detector)
        & (frame["weights"] == scoring.label)
        & (frame["protocol"] == scoring.protocol)
    )
