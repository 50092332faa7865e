"""UNets against DiTs at equal coverage and equal dose: at one nominal format they differ in both.

The libraries quantize linear layers, which hold nearly all of a DiT's denoiser and about half of a UNet's. So UNets are
taken from a ladder that quantizes convolutions too, and of both the rung whose images lie as far from the baseline's as
real ones at as many bits (`dose.at_matched_dose` at the coverage `dose.ALL`). The intervals are over prompts: a family
is the few generators that the study has of it, and of others they know nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from helpers.analysis import dose
from helpers.analysis.cells import logits_at
from helpers.analysis.decoder import areas
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import interval_columns
from helpers.generators.catalogue import GENERATORS
from helpers.precision.catalogue import PRECISIONS
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["DIFFERENCE", "EFFECTS", "KINDS", "by_family", "by_generator", "kind_of", "network", "places"]

#: The two kinds of denoiser, and the row of the first less the second.
KINDS = ("UNets", "DiTs")
DIFFERENCE = f"{KINDS[0]} less {KINDS[1]}"

#: What quantization does to a detector: the change of its AUC and of its logits (in standard deviations).
EFFECTS = ("auc", "shift")


def network(family: str) -> str:
    """The kind of denoiser, one of `KINDS`, by the words of a generator's family in the catalogue."""
    return KINDS[0] if family.startswith("UNet") else KINDS[1]


def kind_of(results: Results, generator: str) -> str:
    """The kind of a generator's denoiser; "" of one of whose family neither catalogue nor study file says anything."""
    own = str(results.own_generators.get(generator, {}).get("family") or "")
    family = GENERATORS[generator].family if generator in GENERATORS else own
    return network(family) if family else ""


def places(results: Results) -> pd.DataFrame:
    """What stands for each generator (with title) at each dose: one row per generator and precision of the main arm.

    kind; bits; `target`, the dose of real images in dB; `share` of the denoiser's parameters that the rung quantizes;
    the rung with its title, and its images' median PSNR in dB with its ends; `why` there is none ("" where one stands).
    """
    rows = []
    for (generator, precision), match in dose.matches(results, dose.ALL).items():
        row = results.titled(generator) | {"kind": kind_of(results, generator), "precision": precision}
        row |= {"bits": PRECISIONS[precision].bits, "target": match.target, "rung": match.precision}
        row |= {"rung_title": PRECISIONS.title(match.precision) if match.precision else ""}
        row |= {"share": dose.ladder_share(results, generator, match.arm) if match.arm else nan}
        rows.append(row | interval_columns(psnr=match.psnr) | {"why": match.why})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Effect:
    """The effects of a cell, whole and resampled by prompt: (R + 1,) each, None where it is not known."""

    auc: np.ndarray | None
    shift: np.ndarray | None
    before: float
    prompts: int


@once
def _effects(results: Results) -> dict[tuple[str, str, str], _Effect]:
    """The effects at equal coverage and dose, by (detector, generator, precision)."""
    there = dose.at_matched_dose(results, dose.ALL)
    if there is None:
        return {}
    cells = [(d, g, p) for d in there.detectors for g, p in dose.matches(results, dose.ALL)]
    found = {cell: _effect(there, *cell) for cell in cells}
    return {cell: effect for cell, effect in found.items() if effect is not None}


def _effect(there: Results, detector: str, generator: str, precision: str) -> _Effect | None:
    """The effect on one cell, on the prompts that baseline and rung, and for the AUC the reals, have in common."""
    base, other, real = (
        there.logits(detector, generator, there.baseline), there.logits(detector, generator, precision),
        there.reals(detector, generator),
    )  # fmt: skip
    both = base.index.intersection(other.index)
    if len(both) < 2:
        return None
    before, after = (logits_at(series, both) for series in (base, other))
    spread, drawn = before.std(ddof=1), metrics.bootstrap_weights(len(both)).T / len(both)
    moved = (after - before) / spread if spread > 0 else None
    shift = None if moved is None else np.concatenate([[moved.mean()], drawn @ moved])
    all_three = both.intersection(real.index)
    if len(all_three) < 2:
        return _Effect(None, shift, nan, len(both))
    before, after, against = (logits_at(series, all_three) for series in (base, other, real))
    first = areas(before, against)
    return _Effect(areas(after, against) - first, shift, float(first[0]), len(all_three))


def by_generator(results: Results) -> pd.DataFrame:
    """The effect on each detector at each dose: one row per generator, precision of the main arm and detector.

    As in `places`, where a rung stands, and `auc`, the change of AUC from the baseline, `shift`, the mean paired change
    of logit in standard deviations of the baseline's logits, both with ends, `before`, the AUC at the baseline, and n.
    Empty where nothing can be compared.
    """
    effects, rows = _effects(results), []
    for row in places(results).to_dict("records") if effects else ():
        for detector in results.detectors:
            effect = effects.get((detector, row["generator"], row["precision"]))
            if effect is not None:
                figures = {name: _mean([(1.0, [effect])], name) for name in EFFECTS}
                own = results.titled(detector=detector) | {"before": effect.before, "n": effect.prompts}
                rows.append(row | own | interval_columns(**figures))
    return pd.DataFrame(rows)


def by_family(results: Results) -> pd.DataFrame:
    """The mean effect over the generators of each kind, and `DIFFERENCE`, the first's less the second's.

    One row per kind, precision of the main arm and detector (with title): `generators`, how many, and their `titles`;
    bits; auc and shift as in `by_generator`; `least` and `most`, the changes of AUC of the generators between which the
    mean lies. The same prompts are drawn for all. The difference is there where both kinds are.
    """
    effects, rows = _effects(results), []
    for precision in dict.fromkeys(precision for *_, precision in effects):
        for detector in results.detectors:
            own = {
                kind: {g: e for (d, g, p), e in effects.items()
                       if (d, p) == (detector, precision) and kind_of(results, g) == kind}
                for kind in KINDS
            }  # fmt: skip
            signs = {kind: [(1.0, kind)] for kind in KINDS if own[kind]}
            if len(signs) == len(KINDS):
                signs[DIFFERENCE] = [(1.0, KINDS[0]), (-1.0, KINDS[1])]
            for name, parts in signs.items():
                row = {"kind": name, "precision": precision, "bits": PRECISIONS[precision].bits}
                row |= results.titled(detector=detector) | _members(results, own, [kind for _, kind in parts])
                taken = [(sign, list(own[kind].values())) for sign, kind in parts]
                rows.append(row | interval_columns(**{effect: _mean(taken, effect) for effect in EFFECTS}))
    return pd.DataFrame(rows)


def _members(results: Results, own: dict[str, dict[str, _Effect]], kinds: Sequence[str]) -> dict[str, object]:
    """Which generators a mean is over, and the least and most of their changes of AUC."""
    there = {key: effect for kind in kinds for key, effect in own[kind].items()}
    known = [float(effect.auc[0]) for effect in there.values() if effect.auc is not None]
    titles = ", ".join(str(results.titled(key)["generator_title"]) for key in there)
    return {
        "generators": len(there), "titles": titles, "least": min(known, default=nan), "most": max(known, default=nan),
    }  # fmt: skip


def _mean(parts: Sequence[tuple[float, Sequence[_Effect]]], name: str) -> metrics.Interval:
    """The signed sum of the means of one effect over cells that draw the same prompts; unknown where one lacks it."""
    values = [[getattr(effect, name) for effect in effects] for _, effects in parts]
    if any(value is None for own in values for value in own):
        return metrics.UNKNOWN
    drawn = np.sum([sign * np.mean(own, axis=0) for (sign, _), own in zip(parts, values, strict=True)], axis=0)
    prompts = min(effect.prompts for _, effects in parts for effect in effects)
    return metrics.resampled(float(drawn[0]), drawn[1:], prompts, reach=1.0)
