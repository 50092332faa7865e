"""Anybody's images judged: a table with a row per file, and what sets its reals and fakes apart beside the content."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from helpers import detectors as detection
from helpers.core.errors import UsageError
from helpers.core.scores import is_fake, probability
from helpers.detectors import stream
from helpers.images.confounds import differences
from helpers.images.perturbations import Perturbation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CAUTION", "PAIRS", "caution", "confounds", "counted", "judged", "labels", "score_files", "tabled"]

#: What whoever scores pictures by the shipped weights is to know.
CAUTION = (
    "miniature weights: they have learnt to tell renders of one small world from images of it, and what they say of"
    " photographs means nothing; --weights FOLDER takes released weights, which `quantdetect fetch full` gets"
)

#: Names of folders that say what is in them, real and fake, as in the public sets of real and generated images.
PAIRS = (("real", "fake"), ("reals", "fakes"), ("0_real", "1_fake"), ("nature", "ai"))
LABELS = {name: label for pair in PAIRS for name, label in zip(pair, ("real", "fake"), strict=True)}


def score_files(
    places: Sequence[str | os.PathLike[str]],
    names: Sequence[str],
    weights: str = "mini",
    perturbation: Perturbation | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """Score every file behind the places by the named detectors: the rows of `judged` as a table."""
    return tabled(judged(places, names, weights, perturbation, device, progress))


def tabled(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """The rows of `judged` as a table, whose logits and probabilities are float64 even where no file has one."""
    import pandas as pd  # which one picture on the screen does without

    table = pd.DataFrame(rows)
    return table.astype({name: float for name in table if name.endswith(("_logit", "_probability"))})


def judged(
    places: Sequence[str | os.PathLike[str]],
    names: Sequence[str],
    weights: str = "mini",
    perturbation: Perturbation | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> list[dict[str, object]]:
    """Score every file behind the places by the named detectors; a row each, in the order of the input.

    Columns: path (a byte that is not UTF-8 as \\xe9), label ("real", "fake" or "", see `labels`), width and height
    (pixels as shown), format, sha256 (of the file), perturbation, caution (`CAUTION` where the weights are miniatures',
    else ""), error ("" where scored), then per detector NAME_logit, NAME_probability, NAME_verdict (at the detector's
    threshold, logit 0), NAME_size_rule and NAME_weights.

    Raises:
        UsageError: a place, a detector or its weights are not there, or no detector is named.
    """
    if not names:
        raise UsageError(f"no detector is named; there are {', '.join(detection.DETECTORS)}")
    found = stream.placed(places)
    loaded = {name: detection.load(name, weights, device=device) for name in dict.fromkeys(names)}
    changes = perturbation if perturbation is not None and perturbation.steps else None
    seen = stream.judge([path for path, _ in found], loaded, changes)
    bar = tqdm(seen, "detect", len(found), unit=" files", disable=not progress or len(found) < 2, file=sys.stderr)
    beware = caution(weights)
    return [_row(file, label, loaded, changes, beware) for file, label in zip(bar, labels(found), strict=True)]


def caution(weights: str | os.PathLike[str]) -> str:
    """`CAUTION` where these are weights of miniatures, by label or by path; else ""."""
    return CAUTION if detection.miniature(weights) else ""


def _row(
    file: stream.FileScore,
    label: str,
    loaded: Mapping[str, detection.Detector],
    perturbation: Perturbation | None,
    beware: str,
) -> dict[str, object]:
    row: dict[str, object] = {
        "path": os.fsencode(file.path).decode("utf-8", "backslashreplace"),
        "label": label,
        "width": file.width,
        "height": file.height,
        "format": file.format,
        "sha256": file.sha256,
        "perturbation": (perturbation or Perturbation()).name,
        "caution": beware,
        "error": file.error,
    }
    for name, detector in loaded.items():
        logit = file.logits.get(name)
        row[f"{name}_logit"] = logit
        row[f"{name}_probability"] = None if logit is None else float(probability(logit))
        row[f"{name}_verdict"] = "" if logit is None else "fake" if is_fake(logit, detector.threshold) else "real"
        row[f"{name}_size_rule"] = detector.ready.size_rule
        row[f"{name}_weights"] = detector.weights
    return row


def labels(found: Sequence[tuple[Path, Path]]) -> list[str]:
    """ "real", "fake" or "" for each (file, folder in which it was looked for), see `files.placed`.

    The innermost folder below that one decides, that is named as in `PAIRS`. Its own name counts only where the other
    of the pair was named too, as in `real/ fake/`; what lies above says nothing of them: a user may be called ai.
    """
    named = {place.name.lower() for _, place in found}
    pairs = {name for pair in PAIRS if named.issuperset(pair) for name in pair}
    return [_label(path, place, pairs) for path, place in found]


def _label(path: Path, place: Path, pairs: set[str]) -> str:
    below = [folder.lower() for folder in path.relative_to(place).parts[:-1]]
    own = [name for name in [place.name.lower()] if name in pairs]
    return next((LABELS[name] for name in reversed(own + below) if name in LABELS), "")


def counted(rows: Sequence[Mapping[str, object]]) -> str:
    """How many files there are, and what came of them, in words."""
    broken = sum(row["error"] != "" for row in rows)
    return f"{len(rows)} files: {len(rows) - broken} scored, {broken} with errors"


def confounds(table: pd.DataFrame) -> list[str]:
    """Notes where format or size alone tell the labelled reals from the fakes: then a detector may do no more."""
    there = table[table["error"] == ""]
    return [f"reals and fakes {found}, so scores may show no more than that" for found in differences(there)]
