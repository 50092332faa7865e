"""The same study under each of its protocols and trainings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.analysis.cells import EFFECTS, share_called, shifts
from helpers.analysis.stats import metrics
from helpers.images.protocols import PROTOCOLS, weights_for
from helpers.results.results import Results, own_trainings

__all__ = ["conditions", "own_training", "trainings", "trainings_of", "under"]


def trainings(results: Results) -> pd.DataFrame:
    """How far a detector's own training moves an effect: the changes against the baseline under each of its seeds.

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
    found = own_trainings(results.counts, results.manifest, protocol)
    return {name: found[name] for name in results.detectors if name in found}


def trainings_of(results: Results) -> list[tuple[str, str, list[str]]]:
    """Every protocol with each training scored under it and the page's detectors that have it; own training first."""
    kept = results.counts
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
    own = weights == own_training(results, protocol)
    return results.under(protocol, None if own else weights, detectors=detectors)
