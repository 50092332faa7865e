"""What detection is owed to, the decoder or the denoiser, and which of the two moves with precision.

Reals passed through a generator's own VAE carry its decoder's traces and none of its denoiser's. Detection is the AUC
above 1/2; all intervals are bootstrapped over prompts, drawn for fakes and reals at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis import controls
from helpers.analysis.cells import logits_at
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.results.memo import once
from helpers.results.results import Results, of_deck, titles

__all__ = ["areas", "component_shifts", "detection", "known_shares", "shares"]

#: Detection above chance (AUC less 1/2) below which it has no shares.
LEAST = 0.05


def areas(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """AUC of fakes against reals of the same prompts (N,) each: of the whole, then of each resample (R + 1,).

    A resample's area is taken to first order, from how each prompt's two images are placed among the others (DeLong et
    al., Biometrics 1988): the rest is of order 1/N.
    """
    of_fake = (np.searchsorted(np.sort(real), fake) + np.searchsorted(np.sort(real), fake, "right")) / 2
    of_real = len(fake) - (np.searchsorted(np.sort(fake), real) + np.searchsorted(np.sort(fake), real, "right")) / 2
    placed = (of_fake + of_real) / len(fake)
    area = placed.mean() / 2
    return np.concatenate([[area], area + metrics.bootstrap_weights(len(fake)).T @ (placed - 2 * area) / len(fake)])


@dataclass(frozen=True)
class _Resampled:
    """A figure of so many prompts, whole and resampled (R + 1,), and how far it goes if every prompt changes."""

    values: np.ndarray
    prompts: int
    reach: float = 1.0

    def __sub__(self, other: _Resampled) -> _Resampled:
        return _Resampled(self.values - other.values, min(self.prompts, other.prompts))

    def __truediv__(self, whole: _Resampled) -> _Resampled:
        return _Resampled(self.values / whole.values, min(self.prompts, whole.prompts), float(1 / abs(whole.values[0])))

    def __float__(self) -> float:
        return float(self.values[0])


def _detection(fake: pd.Series, real: pd.Series, both: pd.Index) -> _Resampled:
    """AUC above 1/2 on the prompts that both have, two or more."""
    sides = (logits_at(series, both) for series in (fake, real))
    return _Resampled(areas(*sides) - 0.5, len(both))


@once
def _above_chance(results: Results, detector: str, generator: str, precision: str) -> _Resampled | None:
    """AUC above 1/2 of a cell, prompts drawn for fakes and reals at once."""
    fake, real = results.logits(detector, generator, precision), results.reals(detector, generator)
    both = fake.index.intersection(real.index)
    return _detection(fake, real, both) if len(both) > 1 else None


def _decoded(results: Results, detector: str, generator: str) -> tuple[_Resampled, _Resampled, _Resampled] | None:
    """Detection above chance of the baseline's fakes against reals, of reals passed through the generator's VAE
    against reals, and of the baseline's fakes against those: the same prompts and the same detector throughout.
    """
    passed = _passed(results.source).get((generator, detector))
    if passed is None or results.protocol != "plain":
        return None
    fake, real = results.logits(detector, generator, results.baseline), results.reals(detector, generator)
    both = passed.index.intersection(fake.index).intersection(real.index)
    if len(both) < 2:
        return None
    return _detection(fake, real, both), _detection(passed, real, both), _detection(fake, passed, both)


@once
def _passed(source: Any) -> dict[tuple[str, str], pd.Series]:
    """Logits by index of the reals that were passed through a generator's VAE, by generator and detector."""
    table = source.table("counterfactuals.parquet")
    if table is None:
        return {}
    rows = table[table.treatment == "decoded"]
    return {key: own.set_index("index")["logit"] for key, own in rows.groupby(["arm", "detector"], sort=False)}


def shares(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """What detection at the baseline is owed to, as shares of the AUC above 1/2 against reals; with ends.

    One row per detector (with title), the mean over generators where the detector finds anything: `decoder`, what
    reals keep that were only passed through the generator's VAE; `denoiser`, what is left of fakes against those,
    by the same detector; `retrained`, what is left of it when detectors are trained and tested with such reals
    (`aligned`). Detectors can find the same image by both, so the shares need not add up to 1.
    """
    rows = []
    aligned = _aligned(results)
    for detector in results.detectors:
        found: dict[str, list[_Resampled]] = {"decoder": [], "denoiser": [], "retrained": []}
        for generator in results.generators:
            parts = _decoded(results, detector, generator)
            if parts is not None and float(parts[0]) > LEAST:
                found["decoder"].append(parts[1] / parts[0])
                found["denoiser"].append(parts[2] / parts[0])
            if aligned is not None:
                pair = [_above_chance(of, detector, generator, results.baseline) for of in (results, aligned)]
                if all(part is not None for part in pair) and float(pair[0]) > LEAST:
                    found["retrained"].append(pair[1] / pair[0])
        row = titles(detector=detector)
        for name, values in found.items():
            row |= interval_columns(**{name: _mean_of(values, confidence)}) | {f"{name}_generators": len(values)}
        rows.append(row)
    return pd.DataFrame(rows)


def known_shares(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `shares` of detectors of which the share of the decoder, or what training keeps, is known."""
    return table[(table.decoder_generators + table.retrained_generators) > 0]


def _mean_of(values: list[_Resampled], confidence: float) -> Interval:
    """Mean over cells of figures that drew the same prompts."""
    if not values:
        return metrics.UNKNOWN
    mean = np.mean([of.values for of in values], axis=0)
    prompts, reach = min(of.prompts for of in values), float(np.mean([of.reach for of in values]))
    return metrics.resampled(mean[0], mean[1:], prompts, confidence, reach)


@once
def _aligned(results: Results) -> Results | None:
    """The same page under the protocol `aligned`; None where the study was not scored so."""
    there = results.protocol == "plain" and "aligned" in set(results.counts.protocol)
    return results.under("aligned") if there else None


def detection(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """Detection above chance by precision: a row per detector and precision, and per precision for all of the deck's
    (detector "").

    Means over generators (and detectors): `plain` and `aligned` are AUC less 1/2, `plain_change` and `aligned_change`
    the paired change against the baseline, `further` what aligned loses more than plain; all with ends, NaN where the
    study was not scored so.
    """
    aligned, rows = _aligned(results), []
    every = of_deck(results).detectors
    together = "all" if every == results.detectors else "the deck's"
    for detectors in [every, *((key,) for key in results.detectors)]:
        row = {"detector": "", "detector_title": together} if detectors is every else titles(detector=detectors[0])
        for precision in results.precisions:
            plain, again = (_changes(page, detectors, precision) for page in (results, aligned))
            found = {"plain": plain[0], "aligned": again[0], "plain_change": plain[1], "aligned_change": again[1]}
            there = len(plain[1]) == len(again[1])
            found["further"] = [two - one for one, two in zip(plain[1], again[1], strict=True)] if there else []
            figures = {name: _mean_of(values, confidence) for name, values in found.items()}
            rows.append(row | titles(precision=precision) | interval_columns(**figures))
    return pd.DataFrame(rows)


def _changes(
    results: Results | None, detectors: Sequence[str], precision: str
) -> tuple[list[_Resampled], list[_Resampled]]:
    """Detection above chance of each generator's and detector's cell at a precision, and its change."""
    pairs = [] if results is None else [
        tuple(_above_chance(results, d, g, p) for p in (precision, results.baseline)) for g in results.generators
        for d in detectors
    ]  # fmt: skip
    pairs = [pair for pair in pairs if all(area is not None for area in pair)]
    return [own for own, _ in pairs], [own - base for own, base in pairs]


def component_shifts(results: Results) -> pd.DataFrame:
    """What quantizing the denoiser moves, and what quantizing the VAE alone: one row per detector, precision and part.

    part ("denoiser", "VAE", "null control"), n; `shift`, the mean paired change of logit in standard deviations of the
    generator's logits at the baseline, and `size`, the root of its mean square, both over all generators, with ends.
    """
    rows, differences = [], controls.differences(results)
    parts = {results.arm: "denoiser", results.arm_of("decoder"): "VAE", results.arm_of("null"): "null control"}
    differences = differences[differences.arm.isin([name for name in parts if name])]
    spread = differences.drop_duplicates(["generator", "detector", "index"]).groupby(["generator", "detector"]).before
    differences = differences.join(spread.std().rename("spread"), on=["generator", "detector"])
    differences = differences[differences.spread > 0].assign(moved=lambda d: d.change / d.spread)
    least = differences.groupby("arm")["index"].max().min()  # the same prompts in every part
    for (arm, precision, detector), group in differences[differences["index"] <= least].groupby(
        ["arm", "precision", "detector"], sort=False
    ):
        shift = metrics.bootstrap_mean(group.moved, group["index"])
        square = metrics.bootstrap_mean(group.moved**2, group["index"])
        size = Interval(*(sqrt(max(0.0, end)) for end in (square.estimate, square.low, square.high)))
        row = titles(precision=precision, detector=detector) | {"part": parts[arm], "n": len(group)}
        rows.append(row | interval_columns(shift=shift, size=size))
    return pd.DataFrame(rows)
