"""One study's results: read from a folder or taken from a table, checked once, and narrowed to what is asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.core import columns, files
from helpers.core.errors import Damaged, UsageError, nearest
from helpers.core.registry import Registry
from helpers.detectors.catalogue import DETECTORS, published
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import weights_for
from helpers.precision.catalogue import BASELINE, PRECISIONS
from helpers.results.memo import once
from helpers.study.rules import Rules, of_manifest

__all__ = [
    "Results",
    "all_arms",
    "archived_images",
    "check_results",
    "derived",
    "from_frame",
    "judged_by",
    "load",
    "manifest_of",
    "of_deck",
    "of_pairs",
    "of_training",
    "own_trainings",
    "titles",
    "read_verified",
    "with_cells",
    "with_fakes",
    "with_generators",
]

#: The tables of keys in a manifest, those that hold others first.
MANIFEST = (
    "study", "files", "imported", "reals", "rules", "scored", "study.reals", "study.arms", "study.margins",
    "study.generators", "study.further", "imported.unscored",
)  # fmt: skip


#: Columns of scores in which the same words stand over and over.
_WORDS = (*columns.KEYS, "image_sha256")


class _Cell(NamedTuple):
    """What one set of images is made by."""

    generator: str
    precision: str
    arm: str


class _Group(NamedTuple):
    """What the rows of one group of scores share."""

    protocol: str
    detector: str
    weights: str
    label: int
    arm: str


class _Images(NamedTuple):
    """What tells the images of a group apart, but for their index."""

    generator: str
    precision: str
    size: int


#: Where the rows of each set of images stand, by group.
_Groups = dict[_Group, dict[_Images, np.ndarray]]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of a table, by what they are of: a frame of them is made when it is asked for, and other names for some
    (`renamed`, see `with_cells`) cost no copy of millions of rows."""

    whole: pd.DataFrame
    groups: _Groups
    renamed: frozenset[tuple[_Group, _Images]] = frozenset()

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The rows in the order of the table, then the renamed ones. Not to be written to."""
        places = {(group, images): at for group, of in self.groups.items() for images, at in of.items()}
        other = {key: at for key, at in places.items() if key in self.renamed}
        own = [at for key, at in places.items() if key not in self.renamed]
        kept = np.sort(np.concatenate(own)) if own else np.zeros(0, dtype=np.int64)
        if not other and len(kept) == len(self.whole):
            return self.whole
        found, start = self.whole.take(np.concatenate([kept, *other.values()])), len(kept)
        for (group, images), at in other.items():
            for name, word in (("arm", group.arm), ("generator", images.generator), ("precision", images.precision)):
                found.iloc[start : start + len(at), found.columns.get_loc(name)] = word
            start += len(at)
        return found

    @functools.cached_property
    def counts(self) -> pd.DataFrame:
        """How many there are of each protocol, detector, weights and label."""
        keys = list(_Group._fields[:-1])
        counts = pd.DataFrame(list(self.groups), columns=_Group._fields)
        counts = counts.assign(count=[sum(map(len, of.values())) for of in self.groups.values()])
        return counts.groupby(keys)["count"].sum().reset_index()

    def only(self, wanted: Callable[[_Group], bool], images: Callable[[_Images], bool] = lambda _: True) -> _Rows:
        """Those of the groups that are wanted and, of fakes, of the images that are."""
        found: _Groups = {}
        for group, of in self.groups.items():
            if wanted(group):
                kept = {key: at for key, at in of.items() if group.label == 0 or images(key)}
                found |= {group: kept} if kept else {}
        return replace(self, groups=found)

    def said(self, name: str) -> set[str]:
        """The words that the groups have in a column."""
        return {getattr(group, name) for group in self.groups}

    def fakes(self, name: str) -> set[str]:
        """The generators or precisions of the fakes."""
        return {getattr(key, name) for group, of in self.groups.items() if group.label == 1 for key in of}


@dataclass(frozen=True, eq=False)
class _Scores:
    """The stored rows whose logit is a finite number, and the others."""

    finite: _Rows
    others: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Source:
    """Where results come from, whole: a folder, or a table that is in memory (`folder` None, nothing beside it).

    `replaced` are cells whose rows are those of other cells (see `with_cells`), `parts` the sources of which this one
    is made, each with what says whether a generator is taken from it (see `with_generators`).
    """

    name: str
    folder: Path | None
    manifest: dict[str, Any]
    scores: _Scores
    replaced: Mapping[_Cell, _Cell | None] = field(default_factory=dict)
    parts: tuple[tuple[_Source, Callable[[str], bool]], ...] = ()

    def table(self, name: str) -> pd.DataFrame | None:
        """A table beside the scores; None where there is none that the manifest vouches for. Read once: not to be
        written to."""
        found: pd.DataFrame | None = _beside(self, name)
        return found


@once
def _beside(source: _Source, name: str) -> pd.DataFrame | None:
    if source.parts:
        tables = [(of.table(name), wanted) for of, wanted in source.parts]
        there = [table[table.generator.map(wanted)] for table, wanted in tables if table is not None]
        return pd.concat(there, ignore_index=True) if len(there) == len(tables) else None
    table = read_verified(source.folder, name) if source.folder else None
    if table is None or not source.replaced:
        return table
    # Filtered images were made of the cells that are replaced, or towards their spectra; reals were not.
    return _replaced(table[table.label == 0] if "treatment" in table else table, source.replaced)


@dataclass(frozen=True, eq=False)
class Results:
    """One study's results, narrowed to what a page asked for.

    Attributes:
        scores: one row per image and detector, columns as in `helpers.core.columns`, logits float64.
        cells: one row per generator and precision.
        generators, precisions, detectors: keys in the order of the catalogue.
        threshold: the logit above which an image is called fake.
        dropped: how many rows without a number for a logit were left out, here or when the scores were imported, by
            "GENERATOR PRECISION DETECTOR".
        unsaid: the detectors of whose scores nobody said whether they are logits or probabilities.
        fakes: the logits of the fakes by (detector, generator, precision), where they are not those of `scores`.
        made: of which results those were made and how (`derived`), so that the same can be made under another training.
    """

    source: _Source = field(repr=False)
    rows: _Rows = field(repr=False)
    cells: pd.DataFrame
    manifest: dict[str, Any]
    generators: tuple[str, ...]
    precisions: tuple[str, ...]
    detectors: tuple[str, ...]
    threshold: float = 0.0
    protocol: str = "plain"
    arm: str = "native"
    dropped: dict[str, int] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()
    fakes: dict[tuple[str, str, str], pd.Series] | None = field(default=None, repr=False)
    made: tuple[Results, Callable[[Results], Results]] | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path | None:
        """Where they were read from; None where they were not."""
        return self.source.folder

    @property
    def name(self) -> str:
        """The folder's name, or "the table" where they were not read from one."""
        return self.folder.name if self.folder else self.source.name

    @property
    def stored(self) -> pd.DataFrame:
        """All scores of the study with a number for a logit, whatever was asked for; not to be written to."""
        return self.source.scores.finite.frame

    @property
    def scores(self) -> pd.DataFrame:
        """The scores of what was asked for; not to be written to."""
        return self.rows.frame

    @property
    def counts(self) -> pd.DataFrame:
        """How many scores there are: protocol, detector, weights, label, count."""
        return self.source.scores.finite.counts

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        """The arms beside the main one, by name, as the study file says them."""
        return self.manifest.get("study", {}).get("arms") or {}

    def arm_of(self, role: str) -> str:
        """The first arm of a role ("null", "seed", "decoder", "text", "coverage", "ladder"); "" where none has it."""
        return next((name for name, arm in self.arms.items() if role and arm.get("role") == role), "")

    def table(self, name: str) -> pd.DataFrame | None:
        """A table that lies beside the scores ("spectra.parquet" ...), its logits as float64; None where there is none.

        Raises Damaged where it lacks a column or a column is not as declared.
        """
        return self.source.table(name)

    def under(
        self, protocol: str, weights: str | Mapping[str, str] | None = None, **narrower: Sequence[str]
    ) -> Results:
        """The same results under another protocol and training: one of all detectors, one of each by its key, or (None)
        each detector's own."""
        asked = {"generators": self.generators, "precisions": self.precisions, "detectors": self.detectors} | narrower
        keys = (tuple(asked[name]) for name in ("generators", "precisions", "detectors"))
        own = tuple(weights.items()) if isinstance(weights, Mapping) else weights
        found: Results = _view(self.source, *keys, self.threshold, protocol, self.arm, own)
        return found

    @property
    def scale(self) -> str:
        """ "mini", "full", or "unknown" where the manifest does not say."""
        return str(self.manifest.get("study", {}).get("scale") or "unknown")

    def threshold_of(self, detector: str) -> float:
        """The threshold on a detector's scores; NaN where their scale is unsaid and the page's is 0, which is that of
        logits. Another was chosen by somebody who knows the scores."""
        return nan if detector in self.unsaid and self.threshold == 0 else self.threshold

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The detectors whose threshold is not known."""
        return tuple(key for key in self.detectors if isnan(self.threshold_of(key)))

    @property
    def trainings(self) -> dict[str, str]:
        """Each detector's training here, by its label."""
        return dict(_trainings(self))

    @property
    def baseline(self) -> str:
        """The precision that the others are compared with: the study's own, FP32 where it names none."""
        return str(self.manifest.get("study", {}).get("baseline") or BASELINE)

    @property
    def lowest(self) -> str:
        """The precision that is set against the baseline where one stands for all: the coarsest of the study's main
        arm, as in `runs.plan`; "" where the study has the baseline alone."""
        others = [key for key in self.manifest.get("study", {}).get("precisions") or self.precisions
                  if key != self.baseline and key in PRECISIONS]  # fmt: skip
        return min(others, key=lambda key: PRECISIONS[key].bits_with_scales, default="")

    @property
    def rules(self) -> Rules:
        """The rules by which its claims are judged: those of its manifest, else the shipped ones.

        Raises Damaged where the manifest's are none.
        """
        found: Rules = _rules(self)
        return found

    def titles(self, kind: str) -> dict[str, str]:
        """Keys with their titles of this study's "generator"s, "precision"s or "detector"s."""
        return {key: self.titled(**{kind: key})[f"{kind}_title"] for key in getattr(self, f"{kind}s")}

    def titled(self, generator: str = "", precision: str = "", detector: str = "") -> dict[str, Any]:
        """The row of `titles`, where a generator that only the study knows has the study's title."""
        row = titles(generator, precision, detector)
        own = self.own_generators.get(generator, {}).get("title")
        return row | {"generator_title": str(own)} if own else row

    @property
    def own_generators(self) -> dict[str, dict[str, Any]]:
        """What the study file says of its generators that the catalogue lacks, by key."""
        said = self.manifest.get("study", {}).get("generators") or {}
        return {key: dict(of) for key, of in said.items() if isinstance(of, dict) and key not in GENERATORS}

    def logits(self, detector: str, generator: str, precision: str) -> pd.Series:
        """Raw logits of one cell by image index (N,); empty where the cell was not run."""
        series = (_fakes(self) if self.fakes is None else self.fakes).get((detector, generator, precision))
        return series if series is not None else pd.Series(dtype=np.float64)

    def reals(self, detector: str, generator: str) -> pd.Series:
        """Raw logits of the reals to set beside this generator (N,): of its size and, under `aligned`, of its VAE."""
        of = generator if self.protocol == "aligned" else "none"
        series = _reals(self).get((detector, of, _sizes(self).get(generator)))
        return series if series is not None else pd.Series(dtype=np.float64)


@once
def _rules(results: Results) -> Rules:
    return of_manifest(results.manifest, f"{results.name}: manifest.json")


def judged_by(results: Results, rules: Rules) -> Results:
    """The same study judged by other rules."""
    manifest = results.manifest | {"rules": rules.record()}
    return replace(results, manifest=manifest, source=replace(results.source, manifest=manifest))


@once
def _fakes(results: Results) -> dict[tuple[str, str, str], pd.Series]:
    own = {group.detector: (group, of) for group, of in results.rows.groups.items() if group.label == 1}
    return {
        (detector, *cell): series
        for detector, (group, of) in own.items()
        for cell, series in _series(results.source.scores.finite, group, "generator", "precision").items()
        if any(key[:2] == cell for key in of)
    }


@once
def _trainings(results: Results) -> dict[str, str]:
    return {group.detector: group.weights for group in results.rows.groups}


@once
def _sizes(results: Results) -> dict[str, int]:
    """Each generator's image size, in pixels."""
    fakes = [key for group, of in results.rows.groups.items() if group.label == 1 for key in of]
    return {key.generator: key.size for key in reversed(fakes)}


@once
def _reals(results: Results) -> dict[tuple[str, str, int | None], pd.Series]:
    found: dict[tuple[str, str, int | None], pd.Series] = {}
    for group in results.source.scores.finite.groups:
        own = results.protocol, results.trainings.get(group.detector), 0
        if (group.protocol, group.weights, group.label) == own:
            of = _series(results.source.scores.finite, group, "size")
            found |= {(group.detector, group.arm, size): series for (size,), series in of.items()}
    return found


@once
def _series(rows: _Rows, group: _Group, *names: str) -> dict[tuple[Any, ...], pd.Series]:
    """Logits by index (N,) of each cell of a group of scores, by the columns that tell its cells apart."""
    places: dict[tuple[Any, ...], list[np.ndarray]] = {}
    for images, at in rows.groups.get(group, {}).items():
        places.setdefault(tuple(getattr(images, name) for name in names), []).append(at)
    indices, logits = rows.whole["index"].to_numpy(), rows.whole["logit"].to_numpy()
    found = {}
    for key, several in places.items():
        at = several[0] if len(several) == 1 else np.sort(np.concatenate(several))
        index = indices[at]
        if (np.diff(index) < 0).any():
            order = np.argsort(index, kind="stable")
            at, index = at[order], index[order]
        found[key] = pd.Series(logits[at], index=pd.Index(index, name="index"), name="logit")
    return found


def with_fakes(results: Results, precisions: tuple[str, ...], logits: dict[Any, pd.Series]) -> Results:
    """The same study with these precisions and these fakes, logits by (detector, generator, precision)."""
    return replace(results, precisions=precisions, fakes=logits, made=None)


def derived(results: Results, step: Callable[[Results], Results]) -> Results:
    """What a step makes of results (other fakes), which remembers it: under other trainings of the same detectors the
    same step is taken. Results with fakes of their own that were not made so stand for one training alone."""
    return replace(step(results), made=(results, step))


@once
def of_deck(results: Results) -> Results:
    """The same study with the published detectors alone, of which the deck speaks; the same object where it has no
    others."""
    kept = tuple(key for key in results.detectors if published(key))
    return results if kept == results.detectors else replace(results, detectors=kept)


def of_pairs(results: Results, pairs: Collection[tuple[str, str]]) -> Results:
    """The same study with the fakes of these pairs of detector and generator alone."""
    found: Results = _kept(results, frozenset(pairs))
    return found


@once
def _kept(results: Results, pairs: frozenset[tuple[str, str]]) -> Results:
    return derived(results, functools.partial(_of_pairs, pairs=pairs))


def _of_pairs(results: Results, pairs: Collection[tuple[str, str]]) -> Results:
    fakes = _fakes(results) if results.fakes is None else results.fakes
    kept = {key: series for key, series in fakes.items() if key[:2] in pairs}
    detectors, generators = ({key[place] for key in kept} for place in (0, 1))
    return replace(
        results, fakes=kept, made=None, detectors=tuple(key for key in results.detectors if key in detectors),
        generators=tuple(key for key in results.generators if key in generators),
    )  # fmt: skip


def with_cells(results: Results, cells: Mapping[tuple[str, str], tuple[str, str] | None]) -> Results:
    """The same study with other cells in its main arm: for each (generator, precision) that is there the images of
    another (arm, precision) of that generator, or none of them (None).

    They take the place at every level: in the scores under every protocol and training, and in the tables beside them,
    so that what is asked of results can be asked of these. Filtered images are left out, for those were made from
    the cells that are replaced. Raises ValueError where the fakes are no longer those that are stored (`with_fakes`,
    `of_pairs`): such a view is taken first.
    """
    if results.fakes is not None:
        raise ValueError("with_cells: the fakes of these results are not those that are stored")
    replaced = tuple(
        (_Cell(generator, precision, results.arm), new and _Cell(generator, new[1], new[0]))
        for (generator, precision), new in cells.items()
    )
    return _narrowed(
        _with_cells(results.source, replaced), results.generators, results.precisions, results.detectors,
        results.threshold, results.protocol, results.arm, results.trainings,
    )  # fmt: skip


@once
def _with_cells(source: _Source, cells: tuple[tuple[_Cell, _Cell | None], ...]) -> _Source:
    scores, replaced = source.scores, dict(cells)
    return replace(
        source, scores=_Scores(_renamed(scores.finite, replaced), _replaced(scores.others, replaced)),
        replaced={**source.replaced, **replaced},
    )  # fmt: skip


def _renamed(rows: _Rows, cells: Mapping[_Cell, _Cell | None]) -> _Rows:
    """`_replaced` without a copy."""
    groups: _Groups = {
        group: {key: at for key, at in of.items() if _Cell(*key[:2], group.arm) not in cells}
        for group, of in rows.groups.items()
    }
    renamed = {(group, key) for group, key in rows.renamed if key in groups[group]}
    for cell, new in cells.items():
        for group, of in rows.groups.items() if new else ():
            for key in [key for key in of if _Cell(*key[:2], group.arm) == new]:
                named = group._replace(arm=cell.arm), _Images(cell.generator, cell.precision, key.size)
                groups.setdefault(named[0], {})[named[1]] = of[key]
                renamed.add(named)
    return replace(rows, groups={group: of for group, of in groups.items() if of}, renamed=frozenset(renamed))


def _replaced(table: pd.DataFrame, cells: Mapping[_Cell, _Cell | None]) -> pd.DataFrame:
    """The table with the rows of other cells under the names of these cells, whose own rows are gone."""

    @functools.cache
    def named(name: str, key: str) -> np.ndarray:
        found: np.ndarray = (table[name] == key).to_numpy(bool)
        return found

    def rows(cell: _Cell) -> np.ndarray:
        found: np.ndarray = np.logical_and.reduce([named(name, key) for name, key in cell._asdict().items()])
        return found

    gone, added = np.zeros(len(table), dtype=bool), {}
    for cell, new in cells.items():
        gone |= rows(cell)
        if new:
            added[cell] = np.flatnonzero(rows(new))
    places = [np.flatnonzero(~gone), *added.values()]
    found = table.take(np.concatenate(places)).reset_index(drop=True)  # at once: millions of scores are copied
    start = len(places[0])
    for cell, place in added.items():
        for name, key in cell._asdict().items():
            found.iloc[start : start + len(place), found.columns.get_loc(name)] = key
        start += len(place)
    return found


def with_generators(results: Results, other: Results) -> Results:
    """The main arm of this study with the generators of another in place of its own: their fakes, and their rows of the
    tables beside the scores, are the other's, reals and all else this one's.

    Both have the same prompts, reals and scorings. A generator that this study lacks is left out. Raises ValueError
    where the fakes are not those that are stored, as `with_cells` does.
    """
    if results.fakes is not None or other.fakes is not None:
        raise ValueError("with_generators: the fakes of these results are not those that are stored")
    source = _with_generators(results.source, other.source, results.arm, frozenset(other.generators))
    return _narrowed(
        source, results.generators, results.precisions, results.detectors, results.threshold, results.protocol,
        results.arm, results.trainings,
    )  # fmt: skip


@once
def _with_generators(own: _Source, other: _Source, arm: str, keys: frozenset[str]) -> _Source:
    """The source of `with_generators`, without arms beside the main one: none of those is of these generators."""
    finite, theirs = own.scores.finite, other.scores.finite
    mine = finite.only(lambda group: group.label == 0 or group.arm == arm, lambda images: images.generator not in keys)
    theirs = theirs.only(lambda group: group.label == 1 and group.arm == arm, lambda images: images.generator in keys)
    frames, parts = (mine.frame, theirs.frame), ((own, lambda key: key not in keys), (other, keys.__contains__))
    study = {**own.manifest.get("study", {}), "arms": {}}
    return _Source(
        f"{own.name} with {other.name}", None, {**own.manifest, "study": study}, _checked(_below(frames), own.name),
        parts=parts,
    )  # fmt: skip


def _below(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of scores, one below the other: their words stay categories, ten times as fast as text."""
    words = {
        name: sorted({word for frame in frames for word in frame[name].cat.categories})
        for name in _WORDS if all(name in frame for frame in frames)
    }  # fmt: skip
    alike = [
        frame.assign(**{name: frame[name].cat.set_categories(of) for name, of in words.items()}) for frame in frames
    ]
    return pd.concat(alike, ignore_index=True)


def check_results(results: str | Path) -> Path:
    """The folder `results` (a path, or one relative to the checkout) if it holds scores; else UsageError."""
    given = Path(results).expanduser()
    places = [given] if given.is_absolute() else [given, files.ROOT / given]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise UsageError(f"results: no folder {str(results)!r}; give one that `quantdetect run` has written")
    if not (folder / "scores.parquet").is_file():
        raise UsageError(f"results: {str(results)!r} holds no scores.parquet; finish it with `quantdetect run`")
    return folder.resolve()


def load(
    results: str | Path,
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    detectors: Sequence[str] | None = None,
    threshold: float = 0.0,
    protocol: str = "plain",
    arm: str | None = None,
    weights: str | None = None,
) -> Results:
    """Read a results folder and keep the named generators, precisions and detectors (None or empty: all it holds).

    `weights` chooses the training of the detectors where a study scored with several. By default it is each detector's
    own for the protocol: the study's, or else the one that it has most scores of. `arm` is the
    study's main arm where none is given.
    Logits are float64; rows whose logit is not a finite number are left out and counted in `Results.dropped`. The same
    view of an unchanged folder is the same object, with what was computed of it.
    Raises UsageError where the folder, a column or a key is not there, and Damaged where a file is not what it should
    be, or the scores are not those that the manifest vouches for.
    """
    folder = check_results(results)
    states = tuple((file.name, *_state(file)) for file in sorted(folder.glob("*")) if file.is_file())
    asked = (tuple(generators or ()), tuple(precisions or ()), tuple(detectors or ()))
    return _loaded(str(results), folder, states, asked, threshold, protocol, arm, weights)


@functools.lru_cache(maxsize=4)
def _loaded(
    name: str, folder: Path, _states: tuple[tuple[str, int, int], ...],
    asked: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    threshold: float, protocol: str, arm: str | None, weights: str | None,
) -> Results:  # fmt: skip
    """One view of a folder as it is now, the same object whoever asks for it: what is kept with it is computed once."""
    source = _Source(name, folder, manifest_of(folder), _scores(folder))
    return _narrowed(source, *asked, threshold, protocol, arm, weights)


def from_frame(
    scores: pd.DataFrame,
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    detectors: Sequence[str] | None = None,
    threshold: float = 0.0,
    protocol: str = "plain",
    arm: str | None = None,
    weights: str | None = None,
    manifest: dict[str, Any] | None = None,
) -> Results:
    """The results that a table of scores holds: one row per image and detector, as in `scores.parquet`.

    The columns are those of `helpers.core.columns`; `manifest` is what a folder's manifest.json would say ({"study":
    {"baseline": "bf16"}}, say). The rest is as in `load`. Nothing lies beside such scores, so there are no spectra.

    >>> import pandas as pd
    >>> rows = [("real", "none", "none", 0, -2.0), ("sd3", "fp32", "native", 1, 3.0), ("sd3", "fp4", "native", 1, 0.5)]
    >>> frame = pd.DataFrame(rows, columns=["generator", "precision", "arm", "label", "logit"])
    >>> frame = frame.assign(protocol="plain", size=512, index=0, detector="npr", weights="mine")
    >>> from_frame(frame).precisions
    ('fp32', 'fp4')
    """
    source = _Source("the table", None, manifest or {}, _checked(scores, "the table"))
    return _narrowed(source, generators, precisions, detectors, threshold, protocol, arm, weights)


@once
def _view(
    source: _Source, generators: tuple[str, ...], precisions: tuple[str, ...], detectors: tuple[str, ...],
    threshold: float, protocol: str, arm: str, weights: str | tuple[tuple[str, str], ...] | None,
) -> Results:  # fmt: skip
    """One view of a study, the same object whoever asks for it: what is kept with it is computed once."""
    own = dict(weights) if isinstance(weights, tuple) else weights
    return _narrowed(source, generators, precisions, detectors, threshold, protocol, arm, own)


def _narrowed(
    source: _Source,
    generators: Sequence[str] | None,
    precisions: Sequence[str] | None,
    detectors: Sequence[str] | None,
    threshold: float,
    protocol: str,
    arm: str | None,
    weights: str | Mapping[str, str] | None,
) -> Results:
    unscored, manifest = source.scores.others, source.manifest
    arm = arm or str(manifest.get("study", {}).get("arm") or "native")
    rows = _asked(source, protocol, arm, weights)
    if not rows.fakes("generator"):
        closest = nearest(arm, source.scores.finite.said("arm") - {arm, "none"})
        raise UsageError(f"arm: {source.name!r} has no fakes under {protocol!r} with arm {arm!r}{closest}")
    chosen = {
        "generator": _chosen("generators", generators, rows.fakes("generator"), GENERATORS),
        "precision": _chosen("precisions", precisions, rows.fakes("precision"), PRECISIONS),
        "detector": _chosen("detectors", detectors, rows.said("detector"), DETECTORS),
    }
    kept = rows.only(
        lambda group: group.detector in chosen["detector"],
        lambda key: key.generator in chosen["generator"] and key.precision in chosen["precision"],
    )
    lost = unscored[(unscored.protocol == protocol) & ((unscored.label == 0) | (unscored.arm == arm))]
    return Results(
        source, kept, _cells_file(source, chosen, arm), manifest,
        chosen["generator"], chosen["precision"], chosen["detector"], float(threshold), protocol, arm,
        _dropped(lost, manifest, chosen), tuple(key for key in chosen["detector"] if key in _unsaid(manifest)),
    )  # fmt: skip


def _asked(source: _Source, protocol: str, arm: str, weights: str | Mapping[str, str] | None) -> _Rows:
    """The fakes of a protocol and an arm and its reals, of one training, of each detector's as asked, or of its own."""
    whole = source.scores.finite
    own = whole.only(lambda key: key.protocol == protocol and (key.label == 0 or key.arm == arm))
    if not own.groups:
        closest = nearest(protocol, whole.said("protocol") - {protocol})
        raise UsageError(f"protocol: {source.name!r} has no scores under {protocol!r} with arm {arm!r}{closest}")
    labels = sorted(own.said("weights"))
    if isinstance(weights, str) and weights and weights not in labels:
        raise UsageError(f"weights: no {weights!r}{nearest(weights, labels)}; the study has {', '.join(labels)}")
    if not weights:
        weights = own_trainings(source, protocol)
    return own.only(lambda key: key.weights == (weights if isinstance(weights, str) else weights.get(key.detector)))


def _unsaid(manifest: dict[str, Any]) -> list[str]:
    return manifest.get("study", {}).get("unsaid") or []


def _scores(folder: Path) -> _Scores:
    file = folder / "scores.parquet"
    if _vouches(folder, file.name) is False:
        raise Damaged(f"{file}: not the scores that its manifest.json vouches for; run or import the study again")
    return _read(file, *_state(file))


def _state(file: Path) -> tuple[int, int]:
    return file.stat().st_mtime_ns, file.stat().st_size


@functools.lru_cache(maxsize=2)
def _read(file: Path, changed: int, size: int) -> _Scores:
    return _checked(files.read_parquet(file, columns.SCORES.needed, _WORDS), str(file))


def _checked(scores: pd.DataFrame, where: str) -> _Scores:
    columns.check(columns.SCORES, scores, where)
    words = {name: _numbered(scores[name]) for name in _WORDS if name in scores}
    scores = scores.assign(**words, logit=scores.logit.astype(np.float64))
    blocks = _blocks(scores)
    twice = _twice(scores, blocks)
    if twice.any():
        row = scores[twice].iloc[0]
        what = f"{row.generator} {row.precision} {row.arm} {row['index']} by {row.detector} ({row.weights})"
        raise Damaged(f"{where}: {int(twice.sum())} rows stand there twice, the first {what}; run or import it again")
    finite = np.isfinite(scores.logit).to_numpy()
    kept = scores if finite.all() else scores[finite]
    return _Scores(_Rows(kept, _grouped(kept, blocks[finite])), scores[~finite])


def _numbered(words: pd.Series) -> pd.Series:
    """The same words as categories in the order of the alphabet: they are compared by number, ten times as fast."""
    found = words.astype("category")
    return found.cat.set_categories(sorted(found.cat.categories.astype(str)))


def _blocks(scores: pd.DataFrame) -> np.ndarray:
    """A number for each row (N,), the same for all that differ by no more than the index of the image."""
    whole, most = np.zeros(len(scores), dtype=np.int64), 1
    for name in (*_Group._fields, *_Images._fields):
        codes = scores[name].cat.codes.to_numpy(np.int64) if name in columns.KEYS else pd.factorize(scores[name])[0]
        count = int(codes.max(initial=0)) + 1
        if most * count > np.iinfo(np.int64).max:
            whole = pd.factorize(whole)[0]
            most = len(whole)
        whole, most = whole * count + codes, most * count
    return np.asarray(pd.factorize(whole)[0])


def _twice(scores: pd.DataFrame, blocks: np.ndarray) -> np.ndarray:
    """Whether each row (N,) is of the same image, detector, training and protocol as one before it."""
    order = _by_block(blocks)
    index, sorted_blocks = scores["index"].to_numpy()[order], blocks[order]
    if ((np.diff(index) > 0) | (np.diff(sorted_blocks) > 0)).all():  # as studies are stored: ten times as fast
        return np.zeros(len(scores), dtype=bool)
    return np.asarray(pd.DataFrame({"block": blocks, "index": scores["index"].to_numpy()}).duplicated())


def _by_block(blocks: np.ndarray) -> np.ndarray:
    """The order that puts the rows of a block (N,) beside each other."""
    small = blocks.astype(np.uint16) if blocks.max(initial=0) < 2**16 else blocks  # NumPy sorts 16 bits by radix
    return np.argsort(small, kind="stable")


def _grouped(scores: pd.DataFrame, blocks: np.ndarray) -> _Groups:
    """Where the rows of each group and its images stand, in the order of the first row of each."""
    order = _by_block(blocks)
    ends = np.flatnonzero(np.diff(blocks[order])) + 1
    places = np.split(order, ends) if len(order) else []
    first = scores.iloc[[at[0] for at in places]]
    found: _Groups = {}
    keys = (zip(*(first[name].tolist() for name in of._fields), strict=True) for of in (_Group, _Images))
    for group, images, at in zip(*keys, places, strict=True):
        found.setdefault(_Group(*group), {})[_Images(*images)] = at
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    """What a results folder's manifest.json says; {} where there is none.

    Raises Damaged where it is not a manifest, UsageError where a later version of this package wrote it.
    """
    file = folder / "manifest.json"
    if not file.exists():
        return {}
    manifest = files.read_json(file)
    columns.check_version(manifest, str(file))
    for place in MANIFEST:
        *above, name = place.split(".")
        held = functools.reduce(lambda table, key: table.get(key, {}), above, manifest).get(name, {})
        if above and held is None:  # a key of a study that has none
            continue
        if not isinstance(held, dict) or place == "study.arms" and not all(isinstance(a, dict) for a in held.values()):
            raise Damaged(f"{file}: its {place!r} is not a table of keys; run or import the study again")
    if not isinstance(_unsaid(manifest), list):
        raise Damaged(f"{file}: its 'study.unsaid' is not a list of detectors; import the study again")
    return manifest


def read_verified(folder: Path, name: str) -> pd.DataFrame | None:
    """A table that lies beside the scores, its logits as float64; None where the manifest does not vouch for it.

    What a former study left in the folder has other bytes than the manifest says, or stands there not at all.
    Raises Damaged where it lacks a column or a column is not as declared.
    """
    if not _vouches(folder, name):
        return None
    table = _table(folder, name)
    return table.astype({"logit": np.float64}) if "logit" in table else table


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table of a results folder, as declared."""
    table = columns.TABLES[name]
    found = files.read_parquet(folder / name, table.needed)
    columns.check(table, found, str(folder / name))
    return found


def archived_images(folder: Path) -> dict[tuple[str, str, str], int]:
    """Images of each (generator, precision, arm) by the record of a folder's cells; empty where it has no record.

    Raises Damaged where the record cannot be read, is another than the manifest vouches for or does not count images.
    """
    name = "cells.parquet"
    if not (folder / name).is_file():
        return {}
    if _vouches(folder, name) is False:
        raise Damaged(f"{folder / name}: not the record that its manifest.json vouches for; run the study again")
    cells = _table(folder, name)
    if "images" not in cells:
        raise Damaged(f"{folder / name}: it lacks the column 'images'; run the study again")
    counts = cells.groupby(["generator", "precision", "arm"])["images"].sum()
    return {(str(g), str(p), str(arm)): int(count) for (g, p, arm), count in counts.items()}


def _vouches(folder: Path, name: str) -> bool | None:
    """Whether a file is there with the digest of the manifest; None where the manifest does not speak of it."""
    said = manifest_of(folder).get("files", {}).get(name)
    file = folder / name
    return None if said is None else file.is_file() and _digest(file, *_state(file)) == said


@functools.lru_cache(maxsize=64)
def _digest(file: Path, changed: int, size: int) -> str:
    return files.file_sha256(file)


@once
def own_trainings(source: _Source, protocol: str) -> dict[str, str]:
    """Each detector's own training: the study's for the protocol, else the one it has most fakes of. Not to be written
    to."""
    wanted = weights_for(protocol, str(source.manifest.get("study", {}).get("weights") or ""))
    counts = source.scores.finite.counts
    counts = counts[counts.protocol == protocol]
    counts = counts.assign(first=counts.weights == wanted)
    counts = counts.sort_values(["first", "label", "count", "weights"], ascending=[False, False, False, True])
    chosen = counts.drop_duplicates("detector")
    return dict(zip(chosen.detector, chosen.weights, strict=True))


def _of(rows: pd.DataFrame, trainings: dict[str, str]) -> pd.DataFrame:
    """The rows of these trainings, by detector."""
    own = [(rows.detector == detector) & (rows.weights == label) for detector, label in trainings.items()]
    return rows[np.logical_or.reduce(own)] if own else rows[:0]


def of_training(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose detector was trained as the page's."""
    return _of(rows, results.trainings)


def all_arms(results: Results) -> pd.DataFrame:
    """Fakes of every arm under the page's protocol and training: all that `load` narrows, but for the arm. Kept with
    the study: not to be written to."""
    found: pd.DataFrame = _all_arms(results.source, results.protocol, tuple(results.trainings.items()))
    return found


@once
def _all_arms(source: _Source, protocol: str, trainings: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    rows = source.scores.finite.only(
        lambda key: key.label == 1 and key.protocol == protocol and (key.detector, key.weights) in trainings
    ).frame
    return rows.assign(**{name: _spelled(rows[name]) for name in _WORDS if name in rows})


def _spelled(words: pd.Series) -> pd.Series:
    """The words of categories."""
    found = words.cat.categories.array.take(words.cat.codes.to_numpy(), allow_fill=True)
    return pd.Series(found, index=words.index, name=words.name)


def _dropped(rows: pd.DataFrame, manifest: dict[str, Any], chosen: dict[str, tuple[str, ...]]) -> dict[str, int]:
    counts = rows.groupby(["generator", "precision", "detector"], observed=True).size()
    found = {" ".join(key): int(count) for key, count in counts.items()}
    for key, count in (manifest.get("imported", {}).get("unscored") or {}).items():
        found[key] = found.get(key, 0) + count
    keys = [{*chosen["generator"], "real"}, {*chosen["precision"], "none"}, {*chosen["detector"]}]
    return {
        key: count for key, count in found.items()
        if all(word in of for word, of in zip(key.split(" "), keys, strict=False))
    }  # fmt: skip


def _chosen(name: str, asked: Sequence[str] | None, present: set[str], catalogue: Collection[str]) -> tuple[str, ...]:
    order = [key for key in catalogue if key in present] + sorted(present - set(catalogue))
    for key in asked or ():
        if key not in catalogue and key not in present:
            raise UsageError(f"{name}: no {key!r}{nearest(key, order)}; the study has {', '.join(order)}")
    kept = tuple(key for key in order if not asked or key in asked)
    if not kept:
        raise UsageError(f"{name}: the study has none of {', '.join(asked or ())}; it has {', '.join(order)}")
    return kept


def _cells_file(source: _Source, chosen: dict[str, tuple[str, ...]], arm: str) -> pd.DataFrame:
    table = source.table("cells.parquet")
    if table is None:
        return pd.DataFrame(columns=["generator", "precision", "arm"])
    kept = table.generator.isin(chosen["generator"]) & table.precision.isin(chosen["precision"])
    return table[kept & (table.arm == arm)].reset_index(drop=True)


def titles(generator: str = "", precision: str = "", detector: str = "") -> dict[str, Any]:
    """Keys with the names that readers know, for a row of a table; a key outside the catalogue is its own name."""
    named: dict[str, tuple[str, Registry[Any]]] = {
        "generator": (generator, GENERATORS), "detector": (detector, DETECTORS), "precision": (precision, PRECISIONS),
    }  # fmt: skip
    row: dict[str, str] = {}
    for column, (key, catalogue) in named.items():
        if key:
            row |= {column: key, f"{column}_title": catalogue.title(key)}
    return row
