"""Anybody's images judged: a table with a row per file, and what sets its reals and fakes apart beside the content."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from scipy import stats
from tqdm import tqdm

from helpers import detectors as detection
from helpers.core.errors import UsageError
from helpers.core.scores import is_fake, probability
from helpers.detectors import stream
from helpers.images.perturbations import Perturbation

__all__ = ["PAIRS", "TELLING", "confounds", "counted", "labels", "score_files"]

#: Names of folders that say what is in them, real and fake, as in the public sets of real and generated images.
PAIRS = (("real", "fake"), ("reals", "fakes"), ("0_real", "1_fake"), ("nature", "ai"))
LABELS = {name: label for pair in PAIRS for name, label in zip(pair, ("real", "fake"), strict=True)}

#: Balanced accuracy of guessing by format or size alone from which a note is due; 0.5 tells nothing.
TELLING = 0.6


def score_files(
    places: Sequence[str | os.PathLike[str]],
    names: Sequence[str],
    weights: str = "mini",
    perturbation: Perturbation | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """Score every file behind the places by the named detectors; a row each, in the order of the input.

    Columns: path (a byte that is not UTF-8 as \\xe9), label ("real", "fake" or "", see `labels`), width and height
    (pixels as shown), format, sha256 (of the file), perturbation, error ("" where scored), then per detector
    NAME_logit, NAME_probability, NAME_verdict (at the detector's threshold, logit 0), NAME_size_rule and NAME_weights.

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
    rows = [_row(file, label, loaded, changes) for file, label in zip(bar, labels(found), strict=True)]
    return pd.DataFrame(rows)


def _row(
    file: stream.FileScore, label: str, loaded: dict[str, detection.Detector], perturbation: Perturbation | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "path": os.fsencode(file.path).decode("utf-8", "backslashreplace"),
        "label": label,
        "width": file.width,
        "height": file.height,
        "format": file.format,
        "sha256": file.sha256,
        "perturbation": (perturbation or Perturbation()).name,
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


def counted(table: pd.DataFrame) -> str:
    """How many files there are, and what came of them, in words."""
    broken = int((table["error"] != "").sum())
    return f"{len(table)} files: {len(table) - broken} scored, {broken} with errors"


def confounds(table: pd.DataFrame) -> list[str]:
    """Notes where format or size alone tell the labelled reals from the fakes: then a detector may do no more.

    Each is judged by the balanced accuracy of the best guess from it: half of 1 + total variation for formats, half
    of 1 + the Kolmogorov-Smirnov distance for pixel counts.
    """
    there = table[table["error"] == ""]
    real, fake = (there[there["label"] == label] for label in ("real", "fake"))
    if real.empty or fake.empty:
        return []
    notes = []
    shares = [of["format"].value_counts(normalize=True) for of in (real, fake)]
    best = (1 + shares[0].sub(shares[1], fill_value=0).abs().sum() / 2) / 2
    if best >= TELLING:
        notes.append(_note("format", best, _formats(real), _formats(fake), len(real), len(fake)))
    pixels = [of["width"] * of["height"] for of in (real, fake)]
    best = (1 + stats.ks_2samp(*pixels).statistic) / 2
    if best >= TELLING:
        notes.append(_note("size", best, _sizes(real), _sizes(fake), len(real), len(fake)))
    return notes


def _note(what: str, best: float, real: str, fake: str, reals: int, fakes: int) -> str:
    return (
        f"reals and fakes differ in {what}: {reals} reals are {real}, {fakes} fakes {fake}; {what} alone tells them "
        f"apart with a balanced accuracy of {best:.2f}, so scores may show no more than that"
    )


def _formats(of: pd.DataFrame) -> str:
    return ", ".join(f"{count} {name}" for name, count in of["format"].value_counts().items())


def _sizes(of: pd.DataFrame) -> str:
    pixels = of.assign(pixels=of["width"] * of["height"]).sort_values("pixels")
    least, middle, most = (pixels.iloc[place] for place in (0, len(pixels) // 2, -1))
    return f"{_size(least)} to {_size(most)} (median {_size(middle)})"


def _size(row: pd.Series) -> str:
    return f"{row['width']}x{row['height']}"
