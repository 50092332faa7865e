"""What a full study needs of others, brought here: checkpoints into the hub's local cache, detectors' weights into
their folder.

Of a checkpoint those files alone that its pipeline reads are fetched, at the revision that the study pins. Each is held
against the hub's SHA-256. FETCHED in the folder of the detectors' weights says what came from where. Nothing else in
this package goes to the network, and HF_HUB_OFFLINE=1 keeps this from it too.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.core.errors import Damaged, Failure, UsageError, shortened
from helpers.core.registry import unknown
from helpers.detectors.catalogue import DETECTORS, WEIGHTS_SUFFIXES
from helpers.study.schema import Study, weights_expected, weights_folder

__all__ = ["FETCHED", "Outcome", "fetch", "needed", "put"]

FETCHED = "fetched.json"

#: What a component's configuration and a tokenizer's words are stored as.
_TEXTS = (".json", ".txt", ".model")
#: A component's weights: whole or one of several parts, of a variant such as fp16 or of none.
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<before>\w+))?(?:-\d{5}-of-\d{5})?(?:\.(?P<after>\w+))?"
    r"\.(?P<kind>safetensors|bin)"
)


@dataclass
class Outcome:
    """What is there now, and what is missing with the reason and the mend, a line each."""

    there: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Item:
    """Something on the hub: `key` of the generator or the detector, repository, revision (None: the newest), terms, and
    the files that are needed of those it has; `variant` of the weights."""

    key: str
    repo: str
    revision: str | None
    terms: str
    gated: bool
    chosen: Callable[[Sequence[str], Callable[[str], Path]], list[str]]
    variant: str | None = None

    @property
    def asked(self) -> list[str | None]:
        """What a record says that was asked for."""
        return [self.revision, self.variant]


def fetch(study: Study, only: Sequence[str] | None = None) -> Outcome:
    """Fetch what the study needs and licences let anybody fetch; `only` names generators and detectors of it.

    Raises UsageError for a study that needs nothing of the hub, and for a name that is none of its generators or
    detectors.
    """
    if study.scale == "mini":
        raise UsageError(f"{study.name}: nothing is to be fetched, all of it is in the repository; fetch full")
    for name in only or ():
        if name not in (*study.keys, *study.detectors):
            raise unknown("generator or detector of the study", name, (*study.keys, *study.detectors))
    wanted = [name for name in (*study.keys, *study.detectors) if only is None or name in only]
    outcome, folder = Outcome(), weights_folder(study.weights)
    for key in (key for key in study.keys if key in wanted):
        source = study.source(key)
        if Path(source).is_dir():
            outcome.there.append(f"{key}: {source}, a folder of yours")
        else:
            _fetch(_checkpoint(study, key), folder, outcome)
    for name in (name for name in study.detectors if name in wanted):
        _bring_detector(study, name, folder, outcome)
    return outcome


def _checkpoint(study: Study, key: str) -> _Item:
    row, settings = study.entry(key), study.generators[key]
    left_out = {name for name, value in row.loading.items() if value is None}

    def chosen(names: Sequence[str], get: Callable[[str], Path]) -> list[str]:
        index = files.read_json(get("model_index.json"))
        return ["model_index.json", *needed(names, components_of(index) - left_out, settings.variant)]

    return _Item(key, study.source(key), settings.revision, row.licence, row.gated, chosen, settings.variant)


def components_of(index: Mapping[str, Any]) -> set[str]:
    """The folders of a pipeline's model_index.json that hold something."""
    return {name for name, value in index.items() if isinstance(value, list) and value and value[0] is not None}


def needed(names: Iterable[str], components: Iterable[str], variant: str | None = None) -> list[str]:
    """The files of a repository that a pipeline with these components reads: texts, and the weights of the variant, or
    of none where a component has no such; safetensors where there are any.

    >>> needed(["unet/config.json", "unet/model.safetensors", "unet/model.bin", "big.safetensors"], ["unet"])
    ['unet/config.json', 'unet/model.safetensors']
    """
    found: list[str] = []
    for component in sorted(components):
        own = [name for name in names if name.startswith(f"{component}/") and name.count("/") == 1]
        found += [name for name in own if name.endswith(_TEXTS)]
        weights: dict[tuple[str, str | None], list[str]] = {}
        for name in own:
            if match := _WEIGHTS.fullmatch(name.partition("/")[2]):
                weights.setdefault((match["kind"], match["before"] or match["after"]), []).append(name)
        order = [(kind, of) for of in dict.fromkeys((variant, None)) for kind in ("safetensors", "bin")]
        found += next((weights[choice] for choice in order if choice in weights), [])
    return found


def _fetch(item: _Item, folder: Path, outcome: Outcome) -> str | None:
    """Bring one repository's files into the hub's local cache; the commit they are of, None where some are missing."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if commit := _held(item, folder):
        outcome.there.append(f"{item.key}: {item.repo} at {commit[:12]}")
        return commit
    if constants.HF_HUB_OFFLINE:
        outcome.missing.append(f"{item.key}: {item.repo} is missing and HF_HUB_OFFLINE is set; {_accepting(item)}")
        return None
    try:
        commit = _download(item, folder)
    except GatedRepoError:
        outcome.missing.append(f"{item.key}: {item.repo} is not given to you yet; {_accepting(item)}")
    except RepositoryNotFoundError:
        mend = _accepting(item) if item.gated else "look whether it has another name today"
        outcome.missing.append(f"{item.key}: the hub shows no {item.repo} to you; {mend}")
    except (Damaged, Failure) as error:
        outcome.missing.append(f"{item.key}: {error}")
    except Exception as error:  # what a network brings about has no common base
        why = shortened(f"{type(error).__name__}: {error}", 160)
        outcome.missing.append(f"{item.key}: {item.repo} was not fetched: {why}; call it again to go on")
    else:
        outcome.there.append(f"{item.key}: {item.repo} at {commit[:12]}")
        return commit
    return None


def _accepting(item: _Item) -> str:
    if not item.gated:
        return f"fetch it where there is a network ({item.terms})"
    from huggingface_hub import constants

    where = f"{constants.ENDPOINT}/{item.repo}"
    return f"accept the {item.terms} at {where} and log in with 'hf auth login', then call it again"


def _download(item: _Item, folder: Path) -> str:
    """Fetch and check the files; returns their commit. Raises what the hub's library does, Failure for wrong bytes."""
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(item.repo, revision=item.revision, files_metadata=True)
    sizes = {one.rfilename: one.size or 0 for one in info.siblings}
    digests = {one.rfilename: one.lfs.sha256 for one in info.siblings if one.lfs}

    def get(name: str) -> Path:
        return Path(hf_hub_download(item.repo, name, revision=info.sha))

    names = item.chosen(list(sizes), get)
    if not names:
        raise Failure(f"{item.repo} at {info.sha[:12]} has none of the files that are needed")
    _refuse_full(item, [(name, sizes[name]) for name in names], info.sha)
    known = _record(folder).get("hub", {}).get(item.repo, {})
    checked = dict(known.get("files", {})) if known.get("commit") == info.sha else {}
    for name in names:
        path = get(name)
        if checked.get(name) != (digest := digests.get(name) or files.file_sha256(path)):
            _refuse_other_bytes(path, digest)
            checked[name] = digest
            # File by file: what a stopped call has checked is not read again.
            _write(folder, "hub", item.repo, {"commit": info.sha, "asked": item.asked, "files": checked})
    _write(folder, "hub", item.repo, {"commit": info.sha, "asked": item.asked, "files": checked, "whole": True})
    return info.sha


def _refuse_full(item: _Item, sizes: Sequence[tuple[str, int]], commit: str) -> None:
    """Raise Failure where the disk has no room for what is still to come."""
    from huggingface_hub import constants

    asked = sum(size for name, size in sizes if _cached(item.repo, name, commit) is None)
    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if asked > free:
        raise Failure(
            f"{item.repo} takes {asked / 1e9:.1f} GB more and {place} has {free / 1e9:.1f}; free some, or set HF_HOME"
        )


def _refuse_other_bytes(path: Path, digest: str) -> None:
    """Raise Failure, and let the file be fetched again, where its bytes are not those that the hub has."""
    if files.file_sha256(path) != digest:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise Failure(f"{path.name} came with other bytes than the hub's (SHA-256); call it again to fetch it anew")


def _cached(repo: str, name: str, commit: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=commit)
    return Path(found) if isinstance(found, str) else None


def _held(item: _Item, folder: Path) -> str | None:
    """The commit of which all files were fetched, checked and are in the cache; None where some are not."""
    known = _record(folder).get("hub", {}).get(item.repo, {})
    if not known.get("whole") or known.get("asked") != item.asked:
        return None
    commit = str(known["commit"])
    return commit if all(_cached(item.repo, name, commit) for name in known.get("files", {})) else None


def _bring_detector(study: Study, name: str, folder: Path, outcome: Outcome) -> None:
    """The detector's own file, which its authors publish in places of their own, and its backbone from the hub."""
    row = next(row for row in weights_expected(study) if row["detector"] == name)
    if row["there"]:
        _remember_file(folder, row["file"], "put there")
        outcome.there.append(f"{name}: {row['file']}")
    else:
        outcome.missing.append(
            f"{name}: no {row['file']}; get it from {row['source']} ({row['terms']}) and call"
            f" 'quantdetect fetch {study.name} --put {name}=FILE'"
        )
    if own := DETECTORS[name].backbone:
        there = next((folder / file for file in own.files if (folder / file).is_file()), None)
        if there is None:
            item = _Item(
                f"{name} (backbone)", own.hub, None, own.terms, False, lambda names, _: _first(own.files, names)
            )
            commit = _fetch(item, folder, outcome)
            there = _placed(item, folder, commit) if commit else None
        else:
            outcome.there.append(f"{name} (backbone): {there}")
        if there is not None:
            _remember_file(folder, there, own.hub)


def _first(choices: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in choices if name in names][:1]


def _placed(item: _Item, folder: Path, commit: str) -> Path:
    """The one file of an item in the folder of weights: another name of the cache's, or a copy on another disk."""
    (name,) = _record(folder)["hub"][item.repo]["files"]
    source, target = _cached(item.repo, name, commit), folder / name
    with files.replacing(target) as temporary:
        try:
            os.link(source.resolve(), temporary)
        except OSError:
            shutil.copyfile(source, temporary)
    return target


def put(study: Study, name: str, file: Path) -> Path:
    """Copy weights that were got by hand to where the study looks for them, once they load; returns the place. What
    lay there under that name is replaced; weights in another format, which might be found first, end in .before then.

    Raises UsageError for a detector that the study lacks, and for a file that is missing or holds no weights of it.
    """
    if name not in study.detectors:
        raise unknown("detector of the study", name, study.detectors)
    if not file.is_file():
        raise UsageError(f"{shortened(file)}: no such file; name the weights of {name} that you got")
    folder, own = weights_folder(study.weights), DETECTORS[name].backbone
    beside = next((folder / one for one in own.files if (folder / one).is_file()), None) if own else None
    from helpers import detectors

    detectors.load(name, file, backbone=beside)
    # Of a name that is not looked for, what loaded is a pickle: only .safetensors is read in another way.
    target = folder / f"{name}{file.suffix if file.suffix in WEIGHTS_SUFFIXES else '.pth'}"
    with files.replacing(target) as temporary:
        shutil.copyfile(file, temporary)
    for suffix in WEIGHTS_SUFFIXES:
        if (other := folder / f"{name}{suffix}") != target and other.is_file():
            other.replace(other.with_name(f"{other.name}.before"))  # it might be found first
    _remember_file(folder, target, file.name)
    return target


def _record(folder: Path) -> dict[str, Any]:
    try:
        return files.read_json(folder / FETCHED)
    except Damaged:
        return {}


def _write(folder: Path, part: str, key: str, value: Mapping[str, Any]) -> None:
    record = _record(folder)
    files.write_json(record | {part: record.get(part, {}) | {key: value}}, folder / FETCHED)


def _remember_file(folder: Path, file: Path, origin: str) -> None:
    """Note a weights file's digest and where it came from, unless that is known."""
    digest, known = files.file_sha256(file), _record(folder).get("weights", {}).get(file.name, {})
    if known.get("sha256") != digest:
        _write(folder, "weights", file.name, {"sha256": digest, "from": origin})
