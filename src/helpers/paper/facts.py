"""What a study has, by the names with which a cell's tags ask for it: a page leaves out what a study lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from helpers import analysis
from helpers.analysis import controls, dose, image_traces, paired, perturbed
from helpers.analysis.conditions import trainings_of, under
from helpers.analysis.costs import on_cpu
from helpers.analysis.repeats import repeats
from helpers.paper import contact
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["FACTS", "facts", "wanted"]


#: What a study may have beside scores, by the name under which a cell's tag asks for it ("if-NAME", "unless-NAME").
FACTS: dict[str, Callable[[Results], bool]] = {
    "reals": lambda results: bool((results.scores.label == 0).any()),
    "settings": lambda results: analysis.settings(results).steps.notna().any(),
    "costs": lambda results: any(analysis.costs(results).get("device", ())),
    "cpu": lambda results: on_cpu(analysis.costs(results)),
    "audits": lambda results: "output_error" in controls.weight_audits(results),
    "exact-fp16": lambda results: controls.exact_casts(controls.weight_audits(results)),
    "arms": lambda results: bool(controls.scored_arms(results)),
    "null-control": lambda results: results.arm_of("null") in controls.scored_arms(results),
    "other-seed": lambda results: results.arm_of("seed") in controls.scored_arms(results),
    "controls": lambda results: bool(paired.controls(results)),
    "ladder": lambda results: results.arm_of("ladder") in controls.scored_arms(results),
    "contact": lambda results: bool(contact.sheets(results)),
    "contact-ladder": lambda results: bool(contact.sheets(results, "ladder")),
    "spectra": lambda results: len(image_traces.read(results, "spectra.parquet")) > 0,
    "distances": lambda results: len(image_traces.read(results, dose.TABLE)) > 0,
    "readings": lambda results: len(dose.content(results)) > 0,
    "filtered": lambda results: len(image_traces.read(results, "counterfactuals.parquet")) > 0,
    "perturbed": lambda results: results.protocol == "plain" and len(image_traces.read(results, perturbed.TABLE)) > 0,
}  # fmt: skip


def facts(results: Results) -> set[str]:
    """What a page may speak of: the study's keys, protocols and trainings, its scale, and each of `FACTS` that holds.

    The scale is "scale-mini", "scale-full" or "scale-unknown"; "conditions" says that there is more than one protocol
    or training, "seeds" that a training was repeated.
    """
    return set(_found(results))


@once
def _found(results: Results) -> frozenset[str]:
    found = {*results.generators, *results.precisions, *results.detectors, f"scale-{results.scale or 'unknown'}"}
    conditions = {(protocol, label) for protocol, label, _ in trainings_of(results)}
    found |= {name for condition in conditions for name in condition}
    found |= {"conditions"} if len(conditions) > 1 else set()
    found |= {"seeds"} if any(len(repeats(under(results, *of))) > 1 for of in trainings_of(results)) else set()
    return frozenset(found | {name for name, holds in FACTS.items() if holds(results)})


def wanted(tags: Sequence[str], facts: Collection[str]) -> bool:
    """Whether a cell with these tags has something to say of a study: every "if-X" is a fact, no "unless-X" is one."""
    asked = [tag.partition("-") for tag in tags]
    return all((name in facts) == (how == "if") for how, _, name in asked if how in ("if", "unless"))
