"""Whether a call of `run` has anything left to do, told from names, sizes and times of files alone (no torch).

A run that ends with nothing left writes .finished.json: what was asked for, and for every file that the answer depends
on its size and times. While they are the same, the same call has nothing to do, and no image need be decoded nor any
model read. Anything else, a copied folder too, takes the way on which all is checked.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISDIR

from helpers.core import files
from helpers.core.errors import Damaged
from helpers.images.protocols import weights_for
from helpers.study.schema import Study, weights_folder

__all__ = ["FILE", "asked", "remember", "stands"]

FILE = ".finished.json"

#: This package's own code: what is due may change with it.
_CODE = Path(__file__).resolve().parents[1]


def asked(
    study: Study,
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    images: int | None = None,
    *,
    arms: Sequence[str] | None = None,
    device: str = "cpu",
) -> str:
    """Digest (hex) of what a call of `run` with these arguments asks for, of a study with its prompts and rules."""
    what = {
        "study": study.model_dump(mode="json"),
        "prompts": study.prompt_probe(),
        "rules": study.judged_by.record(),
        "call": [generators, precisions, images, arms, device],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def stands(folder: str | os.PathLike[str], study: Study, asked_for: str) -> Sequence[str] | None:
    """What such a call says of a run's folder where it has nothing to do there; None where that is not known."""
    try:
        known = files.read_json(Path(folder) / FILE)
    except Damaged:
        return None
    if known.get("asked") != asked_for or known.get("files") != _fingerprint(study, Path(folder)):
        return None
    notes = known.get("notes")
    return notes if isinstance(notes, list) and all(isinstance(note, str) for note in notes) else None


def remember(folder: str | os.PathLike[str], study: Study, asked_for: str, notes: Iterable[str] = ()) -> None:
    """Write down that this call has left nothing to do; `notes` is what every such call says of the folder."""
    known = {"asked": asked_for, "notes": list(notes), "files": _fingerprint(study, Path(folder))}
    files.write_json(known, Path(folder) / FILE)


def _fingerprint(study: Study, folder: Path) -> str:
    """Digest (hex) of names, sizes and times of all files in the run's folder and of those that its files come from."""
    total = hashlib.sha256()
    for place in (folder, *_origins(study)):
        for line in _stats(os.path.abspath(place)):
            total.update(line)
    return total.hexdigest()


def _origins(study: Study) -> list[Path]:
    """Code, generators' folders, all detectors' weights, the judge's and the photographs: what images and scores are
    made by."""
    models = files.MODELS / "mini"
    mini = [models / "detectors", models / "backbones", *models.glob("judge.*")]
    trainings = [*(weights_for(protocol, study.weights) for protocol in study.protocols), *study.further]
    places = map(weights_folder, trainings)
    named = [place.parent if place.is_file() else place for place in places]  # a backbone may lie beside
    own = [study.reals_folder] if study.reals_kind == "folder" else []
    return [_CODE, *(Path(study.source(key)) for key in study.keys), *mini, *dict.fromkeys(named), *own]


def _stats(place: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[bytes]:
    """A line for each file at or below a place, hidden ones left out, in the order of names.

    `above` are the folders that are being listed, for a link may lead back to one. ctime stands beside mtime for what
    sets the latter, as `cp -p` does. One call to the system per file: 12,000 images take a tenth of a second.
    """
    try:
        stat = os.stat(place)
        names = sorted(os.listdir(place)) if S_ISDIR(stat.st_mode) else None
    except OSError:
        yield f"{place} is missing\n".encode(errors="surrogateescape")
        return
    own = (stat.st_dev, stat.st_ino)
    if names is None or own in above:
        yield f"{place} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode(errors="surrogateescape")
    else:
        for name in names:
            if not name.startswith((".", "__pycache__")):
                yield from _stats(os.path.join(place, name), above | {own})
