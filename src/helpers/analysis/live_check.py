"""What `quantdetect verify` found on the machine that builds a page, read from the report that it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.core.errors import Damaged
from helpers.results.results import Results

__all__ = ["LiveCheck", "read"]


@dataclass(frozen=True)
class LiveCheck:
    """A sample of an archive that was made again: so many `images` of each of `cells` cells.

    Attributes:
        equal, made: how many of all images are equal to the last bit, of how many.
        largest: the largest difference of a logit from the archived one.
        agree: whether every logit lies within the tolerance.
        study_digest, scores_sha256: of what study and scores it is.
        checked: the day on which it was made (YYYY-MM-DD); "" where the report does not say.
    """

    images: Any
    cells: int
    equal: int
    made: int
    largest: float
    agree: bool
    study_digest: str
    scores_sha256: str
    checked: str = ""

    def is_of(self, results: Results) -> bool:
        """Whether it compared the study and the scores of these results."""
        vouched = results.manifest.get("files", {}).get("scores.parquet")
        return (self.study_digest, self.scores_sha256) == (results.manifest.get("study_digest"), vouched)


def read(path: str | Path) -> LiveCheck | None:
    """The report in a file (relative ones below the checkout); None where there is none that can be read."""
    file = Path(path) if Path(path).is_absolute() else files.ROOT / path
    try:
        outcome = files.read_json(file)
        cells = [dict(cell) for cell in outcome["cells"]]
        equal, made = (sum(int(cell.get(name) or 0) for cell in cells) for name in ("images_equal", "images"))
        largest = max((_largest(cell.get("max_logit_diff")) for cell in cells), default=0.0)
        of = outcome["study_digest"], outcome["scores_sha256"]
        agree, checked = bool(outcome["agree"]), str(outcome.get("checked") or "")
        return LiveCheck(outcome.get("images", "?"), len(cells), equal, made, largest, agree, *of, checked)
    except (OSError, Damaged, KeyError, TypeError, ValueError):
        return None


def _largest(difference: Any) -> float:
    values = difference.values() if isinstance(difference, dict) else [difference or 0]
    return max((float(number) for number in values), default=0.0)
