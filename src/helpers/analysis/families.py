"""UNets against DiTs at equal coverage and equal dose: at one nominal format they differ in both.

The libraries quantize linear layers, which hold nearly all of a DiT's denoiser and about half of a UNet's. So UNets are
taken from a ladder that quantizes convolutions too, and of both the rung whose images lie as far from the baseline's as
real ones at as many bits (`dose.at_matched_dose` at the coverage `dose.ALL`). Each effect has two intervals: over
prompts, of the page's own training, and in all, over prompts and trainings, and for a kind over its generators
(`stats.in_all`), for what is said of a kind is said of more than the few that a study has of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import inf, nan

import pandas as pd

from helpers.analysis import dose, effects
from helpers.analysis.cells import paired_logits
from helpers.analysis.effects import mean_less, over_trainings
from helpers.analysis.stats import metrics
from helpers.analysis.stats.in_all import CHANGE, Sample, in_all
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


def _figure(results: Results, name: str, detector: str, generator: str, precision: str) -> Sample | None:
    """One of `EFFECTS` on a cell of the results at that dose; None of fewer than two images."""
    if len(paired_logits(results, detector, generator, precision)[0]) < 2:
        return None
    found: Sample | None = _sample(results, name, detector, generator, precision)
    return found


@once
def _sample(results: Results, name: str, detector: str, generator: str, precision: str) -> Sample | None:
    of = {"auc": effects.area_change, "shift": effects.shift}[name]
    return of(results, detector, generator, precision)


def _effects(
    there: Results, detector: str, precision: str, own: Sequence[str], others: Sequence[str] = ()
) -> dict[str, float]:
    """Columns of each of `EFFECTS`, the mean over generators less that over others: `NAME` of the page's training with
    its ends over prompts, `NAME_mean` of all with its ends in all, and `trainings`, how many
    those are (of the first that is known)."""
    row: dict[str, float] = {"trainings": 0}
    for name in EFFECTS:
        samples = over_trainings(
            functools.partial(_mean, name=name, detector=detector, precision=precision, own=own, others=others),
            there, [detector],
        )  # fmt: skip
        # A difference of two changes goes as far as both together.
        reach = inf if name == "shift" else CHANGE[1] * (1 + bool(others))
        first, mean = metrics.UNKNOWN, metrics.UNKNOWN
        if samples:
            first, mean = samples[0].at(0.95), in_all(samples, 0.95, (-reach, reach), general=True)
        row["trainings"] = row["trainings"] or len(samples)
        row |= interval_columns(**{name: first, f"{name}_mean": mean})
    return row


def _mean(
    results: Results, name: str, detector: str, precision: str, own: Sequence[str], others: Sequence[str]
) -> Sample | None:
    """The mean of an effect over generators less that over others; None where one of them lacks it."""
    found = [[(key, _figure(results, name, detector, key, precision)) for key in keys] for keys in (own, others)]
    first, second = ({key: sample for key, sample in part if sample} for part in found)
    return mean_less(first, second) if len(first) + len(second) == len(own) + len(others) else None


def by_generator(results: Results) -> pd.DataFrame:
    """The effect on each detector at each dose: one row per generator, precision of the main arm and detector.

    As in `places`, where a rung stands, and `auc`, the change of AUC from the baseline, `shift`, the mean paired change
    of logit in standard deviations of the baseline's logits, both of the page's training with ends over prompts;
    `auc_mean` and `shift_mean`, the same over `trainings` trainings with ends in all, over prompts and trainings;
    `before`, the AUC of these images at the baseline, and n. Empty where nothing can be compared.
    """
    there, rows = dose.at_matched_dose(results, dose.ALL), []
    if there is None:
        return pd.DataFrame()
    for row in places(results).to_dict("records"):
        generator, precision = row["generator"], row["precision"]
        for detector in there.detectors:
            if _figure(there, "shift", detector, generator, precision) is None:
                continue
            base, _, prompts = paired_logits(there, detector, generator, precision)
            before = metrics.auc(base, there.reals(detector, generator)).estimate
            own = results.titled(detector=detector) | {"before": before, "n": len(prompts)}
            rows.append(row | own | _effects(there, detector, precision, [generator]))
    return pd.DataFrame(rows)


def by_family(results: Results, at: Callable[[Results, str], Results | None] = dose.at_matched_dose) -> pd.DataFrame:
    """The mean effect over the generators of each kind, and `DIFFERENCE`, the first's less the second's.

    One row per kind, precision of the main arm and detector (with title): `generators`, how many, and their `titles`;
    bits; the columns of effects of `by_generator`, in all over generators too, as far as a kind has several; `least`
    and `most`, the changes of AUC of the generators between which the mean lies. Trainings that lack a generator's rung
    are left out of what rests on it. The difference is there where both kinds are. `at` gives the results at a dose:
    `dose.at_neighbouring_dose` at the neighbouring rungs.
    """
    there, rows = at(results, dose.ALL), []
    if there is None:
        return pd.DataFrame()
    cells = list(dose.matches(results, dose.ALL))
    for precision in dict.fromkeys(precision for _, precision in cells):
        for detector in there.detectors:
            members: dict[str, list[str]] = {kind: [] for kind in KINDS}
            for generator in (generator for generator, of in cells if of == precision):
                kind = kind_of(results, generator)
                if kind in members and _figure(there, "shift", detector, generator, precision) is not None:
                    members[kind].append(generator)
            parts: dict[str, tuple[list[str], list[str]]] = {kind: (members[kind], []) for kind in KINDS}
            if all(members.values()):
                parts[DIFFERENCE] = members[KINDS[0]], members[KINDS[1]]
            for name, (own, others) in parts.items():
                if own:
                    row = {"kind": name, "precision": precision, "bits": PRECISIONS[precision].bits}
                    row |= results.titled(detector=detector) | _members(there, detector, precision, [*own, *others])
                    rows.append(row | _effects(there, detector, precision, own, others))
    return pd.DataFrame(rows)


def _members(there: Results, detector: str, precision: str, keys: Sequence[str]) -> dict[str, object]:
    """Which generators a mean is over, and the least and most of their changes of AUC."""
    found = [sample for key in keys if (sample := _figure(there, "auc", detector, key, precision))]
    known = [sample.estimates[""] for sample in found]
    titles = ", ".join(str(there.titled(key)["generator_title"]) for key in keys)
    return {
        "generators": len(keys), "titles": titles, "least": min(known, default=nan), "most": max(known, default=nan),
    }  # fmt: skip
