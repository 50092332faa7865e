"""The same study under each of its protocols and trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from helpers.analysis.cells import EFFECTS, share_called, shifts
from helpers.analysis.repeats import family, repeats, seeds
from helpers.analysis.stats import metrics
from helpers.images.protocols import PROTOCOLS, weights_for
from helpers.results.memo import once, once_copied
from helpers.results.results import Results, own_trainings

__all__ = ["conditions", "own_training", "training_counts", "trainings", "trainings_of", "under"]


@once_copied
def trainings(results: Results) -> pd.DataFrame:
    """How far a detector's own training moves an effect: the changes against the baseline under each of its seeds.

    One row per generator, detector and precision, for detectors that the study scored with more than one seed (weights
    `X` and `X-s1`, `X-s2` ...): trainings, and each of `EFFECTS` (as in `shifts`) as _mean, _min and _max.
    """
    frames = []
    for place, other in enumerate(repeats(results)):
        again = [name for name, labels in seeds(results).items() if len(labels) > max(place, 1)]
        found = shifts(replace(other, detectors=tuple(again)), resamples=100) if again else pd.DataFrame()
        frames += [found] if len(found) else []
    if not frames:
        return pd.DataFrame()
    keys = ["generator", "generator_title", "detector", "detector_title", "precision", "precision_title"]
    groups = pd.concat(frames).groupby(keys, sort=False)
    found = groups[list(EFFECTS)].agg(["mean", "min", "max"])
    found.columns = [f"{name}_{what}" for name, what in found.columns]
    found.insert(0, "trainings", groups.size())
    return found[found.trainings > 1].reset_index()


def training_counts(results: Results) -> pd.DataFrame:
    """How often each detector was trained in the same way with another seed.

    One row per training and detector: weights (the label without its seed, `X` for `X`, `X-s1`, `X-s2` ...), detector
    (key), trainings (how many of these labels the study scored, under any protocol). The page's own training is first.
    """
    found = results.counts[["weights", "detector"]].astype(str).drop_duplicates()
    found = found.assign(weights=found.weights.str.replace(r"-s\d+$", "", regex=True))
    counts = found[found.detector.isin(results.detectors)].groupby(["weights", "detector"]).size()
    rows = counts.reset_index(name="trainings")
    further = rows.weights != own_training(results, results.protocol)
    place = rows.detector.map({key: place for place, key in enumerate(results.detectors)})
    return rows.loc[rows.assign(further=further, place=place).sort_values(["further", "weights", "place"]).index]


@once_copied
def conditions(results: Results) -> pd.DataFrame:
    """What other trainings and protocols say: one row per protocol, training, detector and generator.

    `auc_X`, `tpr_at_5_X` and `tpr_X` are the AUC, the TPR where 5 % of the reals are called fake and the detection rate
    (logit above the threshold) at each precision X.
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
                    row[f"tpr_at_5_{precision}"] = share_called(fake, metrics.limit_at(real)).estimate
                    row[f"tpr_{precision}"] = share_called(fake, there.threshold_of(detector)).estimate
                rows.append(row | {"protocol": protocol, "weights": there.trainings[detector]})
    return pd.DataFrame(rows)


def own_training(results: Results, protocol: str) -> str:
    """The label of the training that the study is about, under a protocol; all of them where detectors differ."""
    own = _own_trainings(results, protocol)
    wanted = weights_for(protocol, str(results.manifest.get("study", {}).get("weights") or "mini"))
    return ", ".join(dict.fromkeys(own.values())) or wanted


def _own_trainings(results: Results, protocol: str) -> dict[str, str]:
    """The page's detectors that were scored under a protocol, each with its own training."""
    found = own_trainings(results.source, protocol)
    return {name: found[name] for name in results.detectors if name in found}


def trainings_of(results: Results) -> list[tuple[str, str, list[str]]]:
    """Every protocol with each training scored under it and the page's detectors that have it; own training first.

    The seeds of a training are not trainings of their own here (`helpers.analysis.repeats`): the first stands for them.
    """
    kept = results.counts
    found = []
    for protocol in PROTOCOLS:
        rows = kept[kept.protocol == protocol]
        labels = {name: set(group.weights) for name, group in rows.groupby("detector", observed=True)}
        own = _own_trainings(results, protocol)
        if own:
            found.append((protocol, own_training(results, protocol), list(own)))
        for label in sorted(set(rows.weights)):
            names = [name for name in results.detectors if label in labels.get(name, ())
                     and family(label, labels[name]) == label != family(own[name], labels[name])]  # fmt: skip
            if names:
                found.append((protocol, label, names))
    return found


def under(results: Results, protocol: str, weights: str, detectors: Sequence[str]) -> Results:
    """The same page's results under another protocol and training."""
    found: Results = _under(results, protocol, weights, tuple(detectors))
    return found


@once
def _under(results: Results, protocol: str, weights: str, detectors: tuple[str, ...]) -> Results:
    own = weights == own_training(results, protocol)
    return results.under(protocol, None if own else weights, detectors=detectors)
