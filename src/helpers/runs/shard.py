"""What is known of a shard: which of its images exist and are valid, which were rejected, which are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from helpers.core.columns import SCORES, ordered, problem
from helpers.core.errors import Damaged
from helpers.core.files import read_json, read_parquet, write_json
from helpers.runs.digests import MadeBy, made_by
from helpers.runs.plan import Plan, Scoring, Shard, Source
from helpers.runs.store import Store, pixel_sha256

__all__ = ["CELL", "State", "of", "state_of"]

#: The columns of scores that say of which source a row is.
CELL = tuple(field.name for field in fields(Source))


class _Image(BaseModel):
    sha256: str
    seconds: float


class _Record(BaseModel, extra="allow"):
    seconds_load: float | None = None
    seconds_quantize: float | None = None
    peak_memory_mb: float | None = None
    device: str | None = None
    versions: dict[str, str] | None = None


class _Known(BaseModel):
    """What a state's file holds; older ones hold a digest of the whole study for the recipe's, and of them the oldest
    do not name their shard.
    """

    recipe: str | None = None
    study: str | None = None
    model: str
    shard: str | None = None
    images: dict[int, _Image]
    rejected: dict[int, str]
    record: _Record
    scorings: dict[str, str]


class State:
    """The state of one shard, kept in its JSON file.

    An image is valid where its file decodes to the pixels on record, and the record was made by the same recipe and
    the same model. A stale record is dropped whole, and so is one of another shard, whatever its name says.

    Attributes:
        images: index -> {"sha256", "seconds"}; rejected: index -> reason.
        record: what was measured of the cell (see `QuantizedPipeline.record`).
        scorings: key of a scoring -> digest of what its scores come from.
        stale: whether an older record was dropped; former: whether the record holds and is of an earlier version.
    """

    def __init__(self, store: Store, shard: Shard, size: int, made: MadeBy) -> None:
        self.store, self.shard = store, shard
        self.slot = range(shard.start, shard.start + size)
        self.key = {"recipe": made.recipe, "model": made.model}
        self.stale = self.former = False
        self._forget()
        if known := store.read(self._known, store.state(shard)):
            self.former = (known.recipe, known.study, known.model) == (None, made.former, made.model)
            self.stale = not self.former and {"recipe": known.recipe, "model": known.model} != self.key
            if not self.stale:
                self._take(known)
                self._doubt(known)

    def _forget(self) -> None:
        self._take(_Known(model="", images={}, rejected={}, record={}, scorings={}))

    def _known(self, path: Path) -> _Known:
        """What the file holds; raises Damaged where that is of another shape, or of another shard."""
        try:
            known = _Known.model_validate(read_json(path))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise Damaged(f"{path}: not what is known of a shard ('{where}')") from None
        if known.shard not in (None, self.shard.name) or not {*known.images, *known.rejected} <= {*self.slot}:
            raise Damaged(f"{path}: of another shard")
        return known

    def _take(self, known: _Known) -> None:
        self.images: dict[int, dict[str, Any]] = {index: image.model_dump() for index, image in known.images.items()}
        self.rejected: dict[int, str] = known.rejected
        self.record: dict[str, Any] = known.record.model_dump(exclude_unset=True)
        self.scorings: dict[str, str] = known.scorings

    def _doubt(self, known: _Known) -> None:
        # Where the shard is not named, the scores of its images tell whose they are.
        if known.shard is None and set(self.scores()["index"]) != set(self.images):
            self.store.note(f"{self.store.state(self.shard)}: nothing says that it is of this shard; made again")
            self._forget()

    def write(self) -> None:
        """Put the state on disk."""
        content = {
            **self.key,
            "shard": self.shard.name,
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
        frame = self.store.read(self._own, self.store.part(self.shard))
        if frame is None:
            return pd.DataFrame(columns=list(SCORES.names))
        known = {index: image["sha256"] for index, image in self.images.items()}
        return frame[(frame["index"].map(known) == frame["image_sha256"]) & np.isfinite(frame["logit"])]

    def _own(self, path: Path) -> pd.DataFrame:
        """The table of scores, logits in double precision; raises Damaged where it is not this shard's."""
        frame = read_parquet(path, SCORES.names)[list(SCORES.names)]
        if wrong := problem(SCORES, frame):
            raise Damaged(f"{path}: {wrong}")
        own = (frame[list(CELL)] == list(astuple(self.shard.source))).all(axis=1) & frame["index"].isin(self.slot)
        if not own.all():
            raise Damaged(f"{path}: scores of another shard")
        if frame.duplicated(["protocol", "index", "detector", "weights"]).any():
            raise Damaged(f"{path}: an image's score stands there twice")
        return frame.astype({"logit": "float64"})

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
            "logit": np.asarray(logits, dtype="float64"),
            "image_sha256": [self.images[index]["sha256"] for index in indices],
        }
        return ordered(SCORES, pd.DataFrame(values))

    def _valid(self, index: int) -> bool:
        image = self.store.open(self.shard.source, index)
        return image is not None and pixel_sha256(image) == self.images[index]["sha256"]


def state_of(plan: Plan, store: Store, shard: Shard, model: str, device: str = "cpu") -> State:
    """What the folder knows of a shard of the plan whose images a model of this digest makes on the device."""
    return State(store, shard, plan.shard_size, made_by(plan.recipes[shard.source], model, device))


def of(frame: pd.DataFrame, scoring: Scoring) -> pd.Series:
    """Which rows of a table of scores are one scoring's."""
    return (
        (frame["detector"] == scoring.detector)
        & (frame["weights"] == scoring.label)
        & (frame["protocol"] == scoring.protocol)
    )
