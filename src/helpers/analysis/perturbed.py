"""What is done to pictures after they are made, beside what quantization does to them: one table, one comparison.

Every figure is a mean over the page's generators. Intervals resample prompts: the fakes of all generators, precisions
and perturbations and the real of one prompt are drawn together, so differences are paired throughout.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.analysis.cells import logits_at
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed
from helpers.core import scores
from helpers.images.perturbations import KINDS, NONE
from helpers.results.memo import once
from helpers.results.results import Results, of_training, titles

__all__ = ["Damage", "MEASURES", "TABLE", "damages", "perturbation_effects", "title", "what"]

TABLE = "perturbed.parquet"

#: Measures of a condition, all from 0 to 1: fakes called fake, reals called real, AUC of fakes against reals.
MEASURES = ("tpr", "tnr", "auc")


@dataclass(frozen=True)
class Damage:
    """What a detector loses of a measure to quantization, what to a perturbation, and the first less the second.

    Losses are positive where the measure falls; with 95 % intervals, of so many prompts.
    """

    detector: str
    quantization: Interval
    perturbation: Interval
    difference: Interval
    prompts: int

    @property
    def verdict(self) -> str:
        """ "less", "more", or "open" where the interval of the difference holds 0: how damaging quantization is."""
        return "less" if self.difference.high < 0 else "more" if self.difference.low > 0 else "open"


def title(name: str) -> str:
    """A perturbation as a reader knows it: "jpeg:75" is "JPEG 75", a chain's parts are joined by a comma."""
    parts = [part.partition(":") for part in name.split("+")]
    return ", ".join(KINDS[kind].title.format(amount) if kind in KINDS else "untouched" for kind, _, amount in parts)


def perturbation_effects(results: Results, resamples: int = 2000, confidence: float = 0.95) -> pd.DataFrame:
    """One row per detector, precision and perturbation ("none" first): n prompts, then each of `MEASURES`, its `_low`
    and `_high`, and its change against untouched images at the baseline, NAME_change with `_low` and `_high`.

    Reals get the same perturbation as the fakes beside them. Empty where the results have no perturbed scores.
    """
    rows = []
    for detector in results.detectors:
        drawn = _resampled(results, detector, resamples)
        for (precision, perturbation), (n, measured) in drawn.items():
            row = titles("", precision, detector) | {"perturbation": perturbation, "n": n}
            row["perturbation_title"] = title(perturbation)
            for name in MEASURES:
                base = drawn[results.baseline, NONE][1][name]
                for column, values, least in ((name, measured[name], 0), (f"{name}_change", measured[name] - base, -1)):
                    interval = _interval(values, n, confidence, least)
                    row |= metrics.interval_columns(**{column: interval})
            rows.append(row)
    return pd.DataFrame(rows)


def damages(
    results: Results, precision: str = "", perturbation: str = "jpeg:75", measure: str = "auc", resamples: int = 2000
) -> list[Damage]:
    """Per detector what `precision` costs untouched images beside what `perturbation` costs images at the baseline.

    By default the precision is the results' lowest one.
    """
    precision = precision or results.lowest
    found, baseline = [], results.baseline
    for detector in results.detectors:
        drawn = _resampled(results, detector, resamples)
        if (precision, NONE) not in drawn or (baseline, perturbation) not in drawn:
            continue
        base, quantized, perturbed = (
            drawn[key][1][measure] for key in ((baseline, NONE), (precision, NONE), (baseline, perturbation))
        )
        n = drawn[baseline, NONE][0]
        lost, dropped, further = (
            _interval(values, n) for values in (base - quantized, base - perturbed, perturbed - quantized)
        )
        found.append(Damage(detector, lost, dropped, further, n))
    return found


def _interval(values: np.ndarray, prompts: int, confidence: float = 0.95, least: int = -1) -> Interval:
    """The estimate, which stands first, with the interval of its resamples; a measure lies in `least` to 1.

    Where none of the prompts moves the measure, it is as far away as so many prompts as may be unseen could move it.
    """
    found = metrics.resampled(values[0], values[1:], prompts, confidence, reach=1.0)
    return Interval(found.estimate, *(float(np.clip(end, least, 1)) for end in (found.low, found.high)))


@once
def _stored(results: Results) -> pd.DataFrame:
    """The perturbed scores of the page's generators and detectors and of the reals, with the study's own training."""
    rows = results.table(TABLE) if results.protocol == "plain" else None
    if rows is None:
        return pd.DataFrame()
    rows = of_training(results, rows)
    own = rows.generator.isin(results.generators) & rows.precision.isin(results.precisions)
    keys = ["detector", "generator", "precision", "perturbation"]
    rows = rows.loc[own | (rows.label == 0), [*keys, "size", "index", "label", "logit"]]
    return rows.astype(dict.fromkeys(keys, "category"))  # words are compared by number, ten times as fast


@once
def _resampled(
    results: Results, detector: str, resamples: int
) -> dict[tuple[str, str], tuple[int, dict[str, np.ndarray]]]:
    """(precision, perturbation) -> prompts, and each measure (1 + resamples,): as observed, then as drawn again."""
    stored = _stored(results)
    if stored.empty:
        return {}
    each = [_of_generator(results, stored, detector, generator, resamples) for generator in results.generators]
    each = [of for of in each if of]
    shared = [condition for condition in each[0] if all(condition in of for of in each)] if each else []
    return {
        condition: (
            min(of[condition][0] for of in each),
            {name: np.mean([of[condition][1][name] for of in each], axis=0) for name in MEASURES},
        )
        for condition in shared
    }


def _of_generator(
    results: Results, stored: pd.DataFrame, detector: str, generator: str, resamples: int
) -> dict[tuple[str, str], tuple[int, dict[str, np.ndarray]]]:
    """`_resampled` for one generator alone."""
    own = stored[stored.detector == detector]
    fakes = own[own.generator == generator]
    if fakes.empty:
        return {}
    reals = own[(own.label == 0) & (own["size"] == fakes["size"].iloc[0])]
    real = {NONE: results.reals(detector, generator)} | _by_perturbation(reals)
    fake = {key: of for key, of in _fakes(results, fakes, detector, generator).items() if len(of) and key[1] in real}
    prompts = functools.reduce(pd.Index.intersection, (of.index for of in (*fake.values(), *real.values())))
    prompts = prompts.sort_values()
    if prompts.empty or (results.baseline, NONE) not in fake:
        return {}
    weights = np.vstack([np.ones(len(prompts)), metrics.bootstrap_weights(len(prompts), resamples).T]) / len(prompts)
    limit = results.threshold_of(detector)
    return {
        key: (len(prompts), _measured(logits_at(of, prompts), logits_at(real[key[1]], prompts), weights, limit))
        for key, of in fake.items()
    }


def _by_perturbation(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Logits by index of each perturbation in the rows of one cell."""
    groups = rows.groupby("perturbation", sort=False)
    return {name: group.set_index("index")["logit"] for name, group in groups}


def _fakes(results: Results, fakes: pd.DataFrame, detector: str, generator: str) -> dict[tuple[str, str], pd.Series]:
    """(precision, perturbation) -> logits by index of a generator's fakes, the untouched ones from the scores."""
    found = {(results.baseline, NONE): results.logits(detector, generator, results.baseline)}
    for precision in fakes.precision.unique():
        found[precision, NONE] = results.logits(detector, generator, precision)
        perturbed = _by_perturbation(fakes[fakes.precision == precision])
        found |= {(precision, name): logits for name, logits in perturbed.items()}
    return found


def _measured(fake: np.ndarray, real: np.ndarray, weights: np.ndarray, limit: float) -> dict[str, np.ndarray]:
    """Each measure of fakes (N,) and reals (N,) of the same prompts under weights of the prompts (B, N): (B,) each;
    those at a threshold that is not known are NaN."""
    fake, real = scores.finite(fake), scores.finite(real)
    above = (fake[:, None] > real) + 0.5 * (fake[:, None] == real)
    return {
        "tpr": weights @ metrics.verdicts(fake, limit),
        "tnr": weights @ (1 - metrics.verdicts(real, limit)),
        "auc": ((weights @ above) * weights).sum(1),
    }


def what(table: pd.DataFrame) -> str:
    """What was done to the images of a table of `perturbation_effects`, in words: "JPEG 95, JPEG 75 and blur 1 px"."""
    done = table[table.perturbation != NONE].perturbation_title.unique() if len(table) else ()
    return listed(list(done))
