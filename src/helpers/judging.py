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
from helpers.analysis.metrics import is_fake, probability
from helpers.detectors import files
from helpers.perturbations import Perturbation

__all__ = ["TELLING", "confounds", "counted", "judged", "label_of"]

#: Names of folders that say what is in them, as in the public sets of real and generated images.
LABELS = {"real": ("real", "reals", "0_real", "nature"), "fake": ("fake", "fakes", "1_fake", "ai")}

#: Balanced accuracy of guessing by format or size alone from which a note is due; 0.5 tells nothing.
TELLING = 0.6


def judged(
    places: Sequence[str | os.PathLike[str]],
    names: Sequence[str],
    weights: str = "mini",
    perturbation: Perturbation | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """Score every file behind the places by the named detectors; a row each, in the order of the input.

    Columns: path, label ("real", "fake" or "", by the folders' names), width and height (pixels as shown), format,
    sha256 (of the file), perturbation, error ("" where scored), then per detector NAME_logit, NAME_probability,
    NAME_verdict (at the detector's threshold, logit 0), NAME_size_rule and NAME_weights.

    Raises:
        UsageError: a place, a detector or its weights are not there.
    """
    paths = files.find(places)
    loaded = {name: detection.load(name, weights, device=device) for name in names}
    changes = perturbation if perturbation is not None and perturbation.steps else None
    seen = files.judge(paths, loaded, changes)
    bar = tqdm(seen, "detect", len(paths), unit=" files", disable=not progress or len(paths) < 2, file=sys.stderr)
    return pd.DataFrame([_row(file, loaded, changes) for file in bar])


def _row(
    file: files.Seen, loaded: dict[str, detection.Detector], perturbation: Perturbation | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "path": str(file.path),
        "label": label_of(file.path),
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


def label_of(path: Path) -> str:
    """ "real" or "fake" by the innermost folder of the path that is named so, else ""."""
    for folder in reversed(path.parts[:-1]):
        for label, names in LABELS.items():
            if folder.lower() in names:
                return label
    return ""


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
    real, fake = (there[there["label"] == label] for label in LABELS)
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
