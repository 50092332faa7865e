"""A study's results as tables: read them once, then cells, paired shifts, densities and costs with their intervals."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers import paths
from helpers.analysis import metrics
from helpers.errors import Damaged, UsageError, nearest
from helpers.protocols import PROTOCOLS, weights_for
from helpers.study import DETECTORS, GENERATORS, PRECISIONS

__all__ = [
    "BASELINE",
    "EFFECTS",
    "Results",
    "all_arms",
    "cells",
    "check_results",
    "conditions",
    "costs",
    "densities",
    "half",
    "images_per_cell",
    "load",
    "manifest_of",
    "of_training",
    "own_training",
    "pairs",
    "settings",
    "shifts",
    "spread",
    "standard_shift",
    "stored",
    "titles",
    "trainings",
    "trainings_of",
    "under",
    "vouched",
    "with_fakes",
]

SCORE_COLUMNS = (
    "generator", "precision", "arm", "protocol", "size", "index", "label", "detector", "weights", "logit",
)  # fmt: skip
WORDS = ("generator", "precision", "arm", "protocol", "detector", "weights")
WHOLE = ("size", "index", "label")
#: What makes a row one score of one image.
IDENTITY = [name for name in SCORE_COLUMNS if name != "logit"]
#: The columns that a table beside the scores must have.
BESIDE = {
    "cells.parquet": ("generator", "precision", "arm"),
    "spectra.parquet": ("generator", "precision", "arm", "index"),
    "patterns.parquet": ("generator", "precision", "arm"),
    "counterfactuals.parquet": (*SCORE_COLUMNS, "treatment"),
    "perturbed.parquet": (*SCORE_COLUMNS, "perturbation"),
}
#: The tables of keys in a manifest, those that hold others first.
TABLES = (
    "study", "files", "imported", "study.arms", "study.margins", "study.generators", "study.further",
    "imported.unscored",
)  # fmt: skip
BASELINE = "fp32"

#: What a run measures of each cell, in seconds and MB.
MEASURED = ("seconds_load", "seconds_quantize", "seconds_per_image", "peak_memory_mb")

#: Measures of an effect in the table of `shifts`.
EFFECTS = ("shift", "standard", "score", "change")


@dataclass(frozen=True)
class Results:
    """One study's results, narrowed to what a page asked for.

    `scores` holds one row per image and detector, `costs` one per cell; `generators`, `precisions` and `detectors`
    are keys in the order of the catalogue; `threshold` is the logit above which an image is called fake. `dropped`
    counts the rows without a number for a logit, which were left out here or when the scores were imported, by
    "GENERATOR PRECISION DETECTOR". `unsaid` are the detectors of whose scores nobody said whether they are logits or
    probabilities. What is computed once is kept in `cache`, which no other `Results` shares.
    """

    folder: Path
    scores: pd.DataFrame
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
    cache: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

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
        first = self.scores.drop_duplicates("detector")
        return dict(zip(first.detector.astype(str), first.weights.astype(str), strict=True))

    @property
    def baseline(self) -> str:
        """The precision that the others are compared with: the study's own, FP32 where it names none."""
        return str(self.manifest.get("study", {}).get("baseline") or BASELINE)

    @property
    def margins(self) -> dict[str, float]:
        """The margins that the study file stated for its claims, by name."""
        return dict(self.manifest.get("study", {}).get("margins") or {})

    def titles(self, kind: str) -> dict[str, str]:
        """Keys with their titles of this study's "generator"s, "precision"s or "detector"s."""
        return {key: titles(**{kind: key})[f"{kind}_title"] for key in getattr(self, f"{kind}s")}

    def logits(self, detector: str, generator: str, precision: str) -> pd.Series:
        """Raw logits of one cell by image index (N,); empty where the cell was not run."""
        series = self._logits.get((detector, generator, precision))
        return series if series is not None else pd.Series(dtype=np.float64)

    def reals(self, detector: str, generator: str) -> pd.Series:
        """Raw logits of the reals to set beside this generator (N,): of its size and, under `aligned`, of its VAE."""
        rows = self.scores[(self.scores.generator == generator) & (self.scores.label == 1)]
        size = rows["size"].iloc[0] if len(rows) else None
        series = self._real_logits.get((detector, generator if self.protocol == "aligned" else "none", size))
        return series if series is not None else pd.Series(dtype=np.float64)

    @property
    def _logits(self) -> dict[tuple[str, str, str], pd.Series]:
        return self._once("fakes", 1, ["detector", "generator", "precision"])

    @property
    def _real_logits(self) -> dict[tuple[str, str, int], pd.Series]:
        return self._once("reals", 0, ["detector", "arm", "size"])

    def _once(self, name: str, label: int, keys: list[str]) -> dict[Any, pd.Series]:
        if name not in self.cache:
            rows = self.scores[self.scores.label == label]
            self.cache[name] = {
                key: group.set_index("index")["logit"].sort_index() for key, group in rows.groupby(keys, observed=True)
            }
        return self.cache[name]


def with_fakes(results: Results, precisions: tuple[str, ...], logits: dict[Any, pd.Series]) -> Results:
    """The same study with these precisions and these fakes, logits by (detector, generator, precision)."""
    there = replace(results, precisions=precisions)
    there.cache["fakes"] = logits
    return there


def check_results(results: str | Path) -> Path:
    """The folder `results` (a path, or one relative to the checkout) if it holds scores; else UsageError."""
    given = Path(results).expanduser()
    places = [given] if given.is_absolute() else [given, paths.ROOT / given]
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

    `weights` chooses the training of the detectors where a study scored with several; by default each detector's own
    for the protocol: the study's, or where it was not scored with that, the one it has most scores of. `arm` is the
    study's main arm where none is given.
    Logits are float64; rows whose logit is not a finite number are left out and counted in `Results.dropped`.
    Raises UsageError where the folder, a column or a key is not there, and Damaged where a file is not what it should
    be, or the scores are not those that the manifest vouches for.
    """
    folder = check_results(results)
    whole, unscored, counts = _scores(folder)
    manifest = manifest_of(folder)
    arm = arm or str(manifest.get("study", {}).get("arm") or "native")
    scores = whole[(whole.protocol == protocol) & ((whole.label == 0) | (whole.arm == arm))]
    if scores.empty:
        closest = nearest(protocol, set(whole.protocol) - {protocol})
        raise UsageError(f"protocol: {str(results)!r} has no scores under {protocol!r} with arm {arm!r}{closest}")
    labels = sorted(set(scores.weights))
    if weights and weights not in labels:
        raise UsageError(f"weights: no {weights!r}{nearest(weights, labels)}; the study has {', '.join(labels)}")
    scores = scores[scores.weights == weights] if weights else _of(scores, _own(counts, manifest, protocol))
    fakes = scores[scores.label == 1]
    if fakes.empty:
        closest = nearest(arm, set(whole.arm) - {arm, "none"})
        raise UsageError(f"arm: {str(results)!r} has no fakes under {protocol!r} with arm {arm!r}{closest}")
    chosen = {
        "generator": _chosen("generators", generators, fakes.generator, GENERATORS),
        "precision": _chosen("precisions", precisions, fakes.precision, PRECISIONS),
        "detector": _chosen("detectors", detectors, scores.detector, DETECTORS),
    }
    kept_fake = fakes.generator.isin(chosen["generator"]) & fakes.precision.isin(chosen["precision"])
    kept = pd.concat([fakes[kept_fake], scores[scores.label == 0]])
    kept = kept[kept.detector.isin(chosen["detector"])]
    lost = unscored[(unscored.protocol == protocol) & ((unscored.label == 0) | (unscored.arm == arm))]
    return Results(
        folder, kept, _cells_file(folder, chosen, arm), manifest,
        chosen["generator"], chosen["precision"], chosen["detector"], float(threshold), protocol, arm,
        _dropped(lost, manifest, chosen), tuple(key for key in chosen["detector"] if key in _unsaid(manifest)),
    )  # fmt: skip


def _unsaid(manifest: dict[str, Any]) -> list[str]:
    return manifest.get("study", {}).get("unsaid") or []


def stored(folder: Path) -> pd.DataFrame:
    """All scores of a results folder with a number for a logit (float64), read once while the file stays the same; not
    to be written to.

    Raises Damaged where it is no table of scores, or not the one that the manifest vouches for.
    """
    return _scores(folder).finite


class _Scores(NamedTuple):
    """The stored rows whose logit is a finite number, the others, and how many of the finite ones there are by
    protocol, detector, weights and label."""

    finite: pd.DataFrame
    others: pd.DataFrame
    counts: pd.DataFrame


def _scores(folder: Path) -> _Scores:
    file = folder / "scores.parquet"
    if _vouches(folder, file.name) is False:
        raise Damaged(f"{file}: not the scores that its manifest.json vouches for; run or import the study again")
    return _read(file, *_state(file))


def _state(file: Path) -> tuple[int, int]:
    return file.stat().st_mtime_ns, file.stat().st_size


@functools.lru_cache(maxsize=2)
def _read(file: Path, changed: int, size: int) -> _Scores:
    scores = paths.read_parquet(file, SCORE_COLUMNS)
    holds = dict.fromkeys(WHOLE, pd.api.types.is_integer_dtype) | {"logit": pd.api.types.is_numeric_dtype}
    for name in (name for name in holds if not holds[name](scores[name].dtype)):
        raise Damaged(f"{file}: its column {name!r} holds {scores[name].dtype}, not numbers; make it again")
    for name in (name for name in (*WORDS, *WHOLE) if scores[name].isna().any()):
        raise Damaged(f"{file}: its column {name!r} has blank rows; make it again")
    if not scores.label.isin([0, 1]).all():
        raise Damaged(f"{file}: its column 'label' holds more than 1 (fake) and 0 (real); make it again")
    # Words are compared by number, ten times as fast.
    scores = scores.astype(dict.fromkeys(WORDS, "category") | {"logit": np.float64})
    twice = scores.duplicated(IDENTITY)
    if twice.any():
        row = scores[twice].iloc[0]
        what = f"{row.generator} {row.precision} {row.arm} {row['index']} by {row.detector} ({row.weights})"
        raise Damaged(f"{file}: {int(twice.sum())} rows stand there twice, the first {what}; run or import it again")
    finite = np.isfinite(scores.logit)
    counts = scores[finite].groupby(["protocol", "detector", "weights", "label"], observed=True).size()
    return _Scores(scores[finite], scores[~finite], counts.reset_index(name="count").astype({"weights": str}))


def manifest_of(folder: Path) -> dict[str, Any]:
    """What a results folder's manifest.json says; {} where there is none.

    Raises Damaged where it is not a manifest.
    """
    file = folder / "manifest.json"
    if not file.exists():
        return {}
    manifest = paths.read_json(file)
    for place in TABLES:
        *above, name = place.split(".")
        held = functools.reduce(lambda table, key: table.get(key, {}), above, manifest).get(name, {})
        if above and held is None:  # a key of a study that has none
            continue
        if not isinstance(held, dict) or place == "study.arms" and not all(isinstance(a, dict) for a in held.values()):
            raise Damaged(f"{file}: its {place!r} is not a table of keys; run or import the study again")
    if not isinstance(_unsaid(manifest), list):
        raise Damaged(f"{file}: its 'study.unsaid' is not a list of detectors; import the study again")
    return manifest


def vouched(folder: Path, name: str) -> pd.DataFrame | None:
    """A table that lies beside the scores, its logits as float64; None where the manifest does not vouch for it.

    What a former study left in the folder has other bytes than the manifest says, or stands there not at all.
    Raises Damaged where it lacks a column.
    """
    if not _vouches(folder, name):
        return None
    table = paths.read_parquet(folder / name, BESIDE.get(name, ()))
    return table.astype({"logit": np.float64}) if "logit" in table else table


def _vouches(folder: Path, name: str) -> bool | None:
    """Whether a file is there with the digest of the manifest; None where the manifest does not speak of it."""
    said = manifest_of(folder).get("files", {}).get(name)
    file = folder / name
    return None if said is None else file.is_file() and _digest(file, *_state(file)) == said


@functools.lru_cache(maxsize=64)
def _digest(file: Path, changed: int, size: int) -> str:
    return paths.file_sha256(file)


def _own(counts: pd.DataFrame, manifest: dict[str, Any], protocol: str) -> dict[str, str]:
    """Each detector's own training: the study's for the protocol, else the one it has most fakes of."""
    wanted = weights_for(protocol, str(manifest.get("study", {}).get("weights") or ""))
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
    """Fakes of every arm under the page's protocol and training: all that `load` narrows, but for the arm."""
    rows = stored(results.folder)
    rows = of_training(results, rows[(rows.label == 1) & (rows.protocol == results.protocol)])
    return rows.astype(dict.fromkeys(WORDS, str))


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


def _chosen(name: str, asked: Sequence[str] | None, there: pd.Series, catalogue: dict[str, Any]) -> tuple[str, ...]:
    present = set(there.unique())
    order = [key for key in catalogue if key in present] + sorted(present - set(catalogue))
    for key in asked or ():
        if key not in catalogue and key not in present:
            raise UsageError(f"{name}: no {key!r}{nearest(key, order)}; the study has {', '.join(order)}")
    kept = tuple(key for key in order if not asked or key in asked)
    if not kept:
        raise UsageError(f"{name}: the study has none of {', '.join(asked or ())}; it has {', '.join(order)}")
    return kept


def _cells_file(folder: Path, chosen: dict[str, tuple[str, ...]], arm: str) -> pd.DataFrame:
    table = vouched(folder, "cells.parquet")
    if table is None:
        return pd.DataFrame(columns=["generator", "precision", "arm"])
    kept = table.generator.isin(chosen["generator"]) & table.precision.isin(chosen["precision"])
    return table[kept & (table.arm == arm)].reset_index(drop=True)


def titles(generator: str = "", precision: str = "", detector: str = "") -> dict[str, str]:
    """Keys with the names that readers know, for a row of a table; a key outside the catalogue is its own name."""
    named = {"generator": (generator, GENERATORS), "detector": (detector, DETECTORS)}
    row: dict[str, str] = {}
    for column, (key, catalogue) in named.items():
        if key:
            entry = catalogue.get(key)
            row |= {column: key, f"{column}_title": entry.title if entry else key}
    if precision:
        row |= {"precision": precision, "precision_title": PRECISIONS.get(precision, precision)}
    return row


def spread(name: str, interval: metrics.Interval) -> dict[str, float]:
    """An interval as three entries of a table's row: the name, and with _low and _high."""
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def cells(results: Results, confidence: float = 0.95, resamples: int = 0) -> pd.DataFrame:
    """One row per generator, precision and detector: n, tpr (the deck's accuracy), tnr, balanced, auc, calibrated.

    Each figure has its `_low` and `_high`: Wilson for rates, MOVER for balanced accuracies, DeLong for AUC. Reals are
    those of the generator's own image size.

    `calibrated` is the balanced accuracy on images of odd index, fakes of this precision and reals, at the logit
    `calibrated_at` that is best on the FP32 fakes and the reals of even index: a threshold that has seen no image it is
    used on and no quantized one. Its interval is for this threshold as it is.

    `mean_logit` is bootstrapped by prompt, and so are, where `resamples` are asked for, `metrics.OPERATING` (ap, eer,
    tpr_at_1, tpr_at_5): fake i and real i are of prompt i and are drawn together.
    """
    rows = []
    for generator in results.generators:
        for detector in results.detectors:
            real = results.reals(detector, generator)
            base = results.logits(detector, generator, results.baseline)
            limit = metrics.calibrate(*(half(series, 0).to_numpy() for series in (base, real)))
            threshold = results.threshold_of(detector)
            tnr = _rate(real, threshold, confidence, fake=False)
            passed = _rate(half(real, 1), limit, confidence, fake=False)
            for precision in results.precisions:
                fake = results.logits(detector, generator, precision)
                if not len(fake):
                    continue
                tpr = _rate(fake, threshold, confidence)
                row: dict[str, Any] = titles(generator, precision, detector)
                row |= {"kind": _kind(detector), "n": len(fake), "reals": len(real)}
                row |= spread("tpr", tpr) | spread("tnr", tnr)
                row |= spread("balanced", metrics.balanced_accuracy(tpr, tnr))
                row |= spread("auc", metrics.auc(fake, real, confidence))
                caught = _rate(half(fake, 1), limit, confidence)
                row |= spread("calibrated", metrics.balanced_accuracy(caught, passed)) | {"calibrated_at": limit}
                row |= spread("mean_logit", metrics.bootstrap_mean(fake, fake.index, confidence=confidence))
                if resamples:
                    of_both = metrics.operating(
                        fake, real, fake.index, real.index, resamples=resamples, confidence=confidence
                    )
                    for name, interval in of_both.items():
                        row |= spread(name, interval)
                rows.append(row)
    return pd.DataFrame(rows)


def half(logits: pd.Series, odd: int) -> pd.Series:
    """The logits whose image index is even (0: they calibrate a threshold) or odd (1: they are judged by it)."""
    return logits[logits.index % 2 == odd]


def _rate(logits: pd.Series, threshold: float, confidence: float = 0.95, fake: bool = True) -> metrics.Interval:
    """The share of images called fake (or real) at a threshold; unknown where the threshold is."""
    called = metrics.verdicts(logits, threshold)
    return metrics.rate(called if fake else 1 - called, confidence)


def _kind(detector: str) -> str:
    entry = DETECTORS.get(detector)
    return entry.kind if entry else ""


def pairs(results: Results, detector: str, generator: str, precision: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Baseline and quantized logits of the images both cells have, and their index: (N,), (N,), (N,).

    Empty for the baseline itself, which has nothing to be compared with.
    """
    base = results.logits(detector, generator, results.baseline)
    other = results.logits(detector, generator, precision)
    shared = base.index.intersection(other.index) if precision != results.baseline else base.index[:0]
    return base[shared].to_numpy(np.float64), other[shared].to_numpy(np.float64), shared.to_numpy()


def standard_shift(
    base: np.ndarray, other: np.ndarray, index: np.ndarray, confidence: float = 0.95, resamples: int = 2000
) -> metrics.Interval:
    """The mean paired logit shift in standard deviations of the baseline's logits, bootstrapped by prompt."""
    return metrics.bootstrap_ratio(other - base, base, index, resamples=resamples, confidence=confidence)[0]


def shifts(results: Results, confidence: float = 0.95, resamples: int = 2000) -> pd.DataFrame:
    """One row per generator, detector and precision other than the baseline (FP32 where the study names no other):
    what changes in the same images, paired by index.

    `shift` is the mean logit difference, `standard` the same in standard deviations of the FP32 logits and `score`
    the mean difference of the probabilities (all bootstrapped by prompt), `change` the difference of accuracy
    (Newcombe), `lost` and `gained` the verdicts that turned to real and to fake, `changed` their share (Wilson), `p`
    McNemar's exact p-value, uncorrected. Of a detector without a threshold what rests on verdicts is NaN, of one whose
    scale is unsaid `score`.
    """
    rows = []
    for generator in results.generators:
        for detector in results.detectors:
            for precision in results.precisions:
                base, other, index = pairs(results, detector, generator, precision)
                if not len(base):
                    continue
                before, after = (metrics.verdicts(logits, results.threshold_of(detector)) for logits in (base, other))
                lost, gained, p = metrics.mcnemar(before, after)
                by_prompt = {"clusters": index, "resamples": resamples, "confidence": confidence}
                score = metrics.probability(other) - metrics.probability(base)
                row: dict[str, Any] = titles(generator, precision, detector)
                row |= {"kind": _kind(detector), "n": len(base), "lost": lost, "gained": gained, "p": p}
                row |= spread("shift", metrics.bootstrap_mean(other - base, reach=np.ptp(base), **by_prompt))
                row |= spread("standard", standard_shift(base, other, index, confidence, resamples))
                known = detector not in results.unsaid  # else the scores may be probabilities already
                mean = metrics.bootstrap_mean(score, reach=1.0, **by_prompt) if known else metrics.UNKNOWN
                row |= spread("score", mean)
                row |= spread("change", metrics.paired_difference(before, after, confidence))
                row |= spread("changed", metrics.rate(np.abs(after - before), confidence))
                rows.append(row)
    return pd.DataFrame(rows)


def trainings(results: Results) -> pd.DataFrame:
    """How far a detector's own training moves an effect: the changes against FP32 under each of its seeds.

    One row per generator, detector and precision, for detectors that the study scored with more than one seed (weights
    `X` and `X-s1`, `X-s2` ...): trainings, and each of `EFFECTS` (as in `shifts`) as _mean, _min and _max.
    """
    main = own_training(results, results.protocol)
    frames = [
        shifts(under(results, protocol, label, names), resamples=100)
        for protocol, label, names in trainings_of(results)
        if protocol == results.protocol and (label == main or _again(results, label, names))
    ]
    if not frames:
        return pd.DataFrame()
    keys = ["generator", "generator_title", "detector", "detector_title", "precision", "precision_title"]
    groups = pd.concat(frames).groupby(keys, sort=False)
    found = groups[list(EFFECTS)].agg(["mean", "min", "max"])
    found.columns = [f"{name}_{what}" for name, what in found.columns]
    found.insert(0, "trainings", groups.size())
    return found[found.trainings > 1].reset_index()


def _again(results: Results, label: str, detectors: Sequence[str]) -> bool:
    """Whether a training is the detectors' own with another seed."""
    return all(re.fullmatch(rf"{re.escape(results.trainings.get(name, ''))}-s\d+", label) for name in detectors)


def conditions(results: Results) -> pd.DataFrame:
    """What other trainings and protocols say: one row per protocol, training, detector and generator.

    `auc_X` and `tpr_X` are the AUC and the share of fakes called fake (logit above the threshold) at each precision X.
    """
    rows = []
    for protocol, label, names in trainings_of(results):
        there = under(results, protocol, label, names)
        for generator in there.generators:
            for detector in there.detectors:
                row: dict[str, Any] = {"generator": generator, "detector": detector}
                real = there.reals(detector, generator)
                for precision in there.precisions:
                    fake = there.logits(detector, generator, precision)
                    row[f"auc_{precision}"] = metrics.auc(fake, real).estimate
                    row[f"tpr_{precision}"] = _rate(fake, there.threshold_of(detector)).estimate
                rows.append(row | {"protocol": protocol, "weights": there.trainings[detector]})
    return pd.DataFrame(rows)


def own_training(results: Results, protocol: str) -> str:
    """The label of the training that the study is about, under a protocol; all of them where detectors differ."""
    own = _own_trainings(results, protocol)
    wanted = weights_for(protocol, str(results.manifest.get("study", {}).get("weights") or "mini"))
    return ", ".join(dict.fromkeys(own.values())) or wanted


def _own_trainings(results: Results, protocol: str) -> dict[str, str]:
    """The page's detectors that were scored under a protocol, each with its own training."""
    found = _own(_scores(results.folder).counts, results.manifest, protocol)
    return {name: found[name] for name in results.detectors if name in found}


def trainings_of(results: Results) -> list[tuple[str, str, list[str]]]:
    """Every protocol with each training scored under it and the page's detectors that have it; own training first."""
    kept = _scores(results.folder).counts
    found = []
    for protocol in PROTOCOLS:
        own = _own_trainings(results, protocol)
        if own:
            found.append((protocol, own_training(results, protocol), list(own)))
        for label, group in kept[kept.protocol == protocol].groupby("weights", observed=True):
            further = set(group.detector) - {name for name in own if own[name] == label}
            if names := [name for name in results.detectors if name in further]:
                found.append((protocol, str(label), names))
    return found


def under(results: Results, protocol: str, weights: str, detectors: Sequence[str]) -> Results:
    """The same page's results under another protocol and training."""
    return load(
        results.folder, results.generators, results.precisions, detectors, results.threshold, protocol, results.arm,
        None if weights == own_training(results, protocol) else weights,
    )  # fmt: skip


def densities(results: Results, points: int = 61) -> pd.DataFrame:
    """Smoothed densities of the scores, one row per generator, detector, scale and x; one column per precision.

    Beside each precision's column are its `_low` and `_high`: at every x a 95 % interval from a bootstrap by prompt.
    `threshold` is the detector's on that scale, NaN where it has none.
    On the scale "score" x is the probability in [0, 1] and the smoothing is reflected at both ends, so that mass at
    1.0 stays there; on the scale "logit" x spans the middle 99.8 % of that detector's fakes of this generator. Of
    detectors whose scale is unsaid there are the scores as they are, under "logit".
    """
    frames = []
    for generator in results.generators:
        for detector in results.detectors:
            logits = {p: results.logits(detector, generator, p).to_numpy() for p in results.precisions}
            logits = {p: values for p, values in logits.items() if len(values)}
            if not logits:
                continue
            everything = np.concatenate(list(logits.values()))
            low, high = np.quantile(everything, [0.001, 0.999])
            pad = 0.08 * (high - low) + 0.25
            grids = {"score": np.linspace(0, 1, points), "logit": np.linspace(low - pad, high + pad, points)}
            limit = results.threshold_of(detector)
            limits = {"score": float(metrics.probability(limit)), "logit": limit}
            for scale in grids if detector not in results.unsaid else ("logit",):
                grid = grids[scale]
                curves = {"x": grid}
                for precision, values in logits.items():
                    curve, bottom, top = _density(values, grid, scale)
                    curves |= {precision: curve, f"{precision}_low": bottom, f"{precision}_high": top}
                frame = pd.DataFrame(curves).round(3).assign(threshold=limits[scale])
                frames.append(frame.assign(scale=scale, **titles(generator, "", detector)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _density(values: np.ndarray, grid: np.ndarray, scale: str, resamples: int = 200) -> np.ndarray:
    """A density on a grid (K,) with the ends of its interval: (3, K)."""
    width = 0.025 if scale == "score" else max(0.05, 0.9 * values.std() * len(values) ** -0.2)
    data = values if scale == "logit" else metrics.probability(values)
    kernel = np.zeros((len(grid), len(values)), np.float32)
    for reflected in [data, -data, 2 - data] if scale == "score" else [data]:
        kernel += np.exp(-0.5 * ((grid[:, None] - reflected[None, :]) / width) ** 2).astype(np.float32)
    kernel /= width * np.sqrt(2 * np.pi)
    curve, ends = kernel.mean(axis=1), np.maximum(metrics.bands(kernel.T, resamples), 0)
    return np.stack([curve, *np.where(curve == 0, 0, ends)])  # no density where no score is near


def images_per_cell(results: Results) -> str:
    """How many fakes a cell has, as words: one number, or "a to b" where cells differ."""
    fakes = results.scores[results.scores.label == 1]
    counts = fakes.groupby(["generator", "precision"], observed=True)["index"].nunique()
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"


def costs(results: Results) -> pd.DataFrame:
    """One row per cell as it was run: coverage and seconds as measured, denoiser bytes against FP32's, images kept."""
    rows = []
    for cell in results.cells.to_dict("records"):
        before, after = _bytes(cell.get("component_coverage"))
        rows.append(
            titles(cell["generator"], cell["precision"])
            | {
                "coverage": float(cell.get("coverage", nan)),
                **{name: float(cell.get(name, nan)) for name in MEASURED},
                "bytes_before": before,
                "bytes_after": after,
                "bytes_share": after / before,
                "images": int(cell.get("images", 0)),
                "rejected": int(cell.get("rejected", 0) or 0),
                "rejected_why": str(cell.get("rejected_why") or ""),
                "size": int(cell.get("size", 0)),
                "steps": int(cell.get("steps", 0)),
                "guidance": float(cell.get("guidance", nan)),
                "device": str(cell.get("device", "")),
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    for column, catalogue in (("generator", GENERATORS), ("precision", PRECISIONS)):
        table[f"_{column}"] = table[column].map({key: place for place, key in enumerate(catalogue)}).fillna(99)
    order = ["_generator", "_precision"]
    return table.sort_values(order).drop(columns=order).reset_index(drop=True)


def settings(results: Results) -> pd.DataFrame:
    """One row per generator for print: title, family, edge in pixels, steps, guidance."""
    table = costs(results)
    rows = []
    for key, title in results.titles("generator").items():
        cell = table[table.generator == key].iloc[0].to_dict() if len(table) and key in set(table.generator) else {}
        family = GENERATORS[key].family if key in GENERATORS else ""
        rows.append(
            {
                "generator": title,
                "family": family,
                "pixels": cell.get("size") or None,
                "steps": cell.get("steps") or None,
            }
            | {"guidance": cell.get("guidance")}
        )
    return pd.DataFrame(rows)


def _bytes(component_coverage: Any) -> tuple[float, float]:
    """Bytes of the components before and after quantization, from the stored JSON; NaN where it holds none."""
    parts = json.loads(component_coverage) if isinstance(component_coverage, str) else {}
    before = sum(part.get("bytes_before", 0) for part in parts.values())
    after = sum(part.get("bytes_after", 0) for part in parts.values())
    return (float(before), float(after)) if before else (nan, nan)
