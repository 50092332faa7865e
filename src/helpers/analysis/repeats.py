"""The same results under each training of the same detectors, which differ in their seed alone.

The seeds of one training have the labels X, X-s1, X-s2 ...: they are no conditions of their own but what an interval in
all is taken over (`helpers.analysis.stats.in_all`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from helpers.analysis.words import counted, listed, named
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["count", "family", "in_words", "repeats", "rests", "seeds"]


def family(label: str, labels: Collection[str]) -> str:
    """The training that a label is a seed of, where `labels` has that one too; else the label itself."""
    stem = re.sub(r"-s\d+$", "", label)
    return stem if stem in labels else label


@once
def seeds(results: Results) -> dict[str, tuple[str, ...]]:
    """The labels of the seeds of each detector's training under the page's protocol, its own here first."""
    there = results.counts[(results.counts.protocol == results.protocol) & (results.counts.label == 1)]
    found = {}
    for detector, own in results.trainings.items():
        labels = set(there[there.detector == detector].weights)
        others = [label for label in labels - {own} if family(label, labels) == family(own, labels)]
        found[detector] = (own, *sorted(others, key=lambda label: (len(label), label)))
    return {detector: found[detector] for detector in results.detectors if detector in found}


@once
def repeats(results: Results) -> tuple[Results, ...]:
    """These results, then the same with the detectors' second training, their third ...

    A detector that has no further one keeps its first; `count` says how many of them a figure may be taken over. What
    was made of results (`results.derived`) is made of each.
    """
    if results.made:
        parent, step = results.made
        return results, *(step(other) for other in repeats(parent)[1:])
    if results.fakes is not None:
        return (results,)
    labels = seeds(results)
    found = [results]
    for place in range(1, max(map(len, labels.values()), default=1)):
        weights = {detector: own[place] if place < len(own) else own[0] for detector, own in labels.items()}
        other = results.under(results.protocol, weights, detectors=results.detectors)
        found.append(other if other.manifest is results.manifest else replace(other, manifest=results.manifest))
    return tuple(found)


def count(results: Results, detectors: Iterable[str]) -> int:
    """How many trainings a figure of these detectors may be taken over: as many as each has that has more than one.

    Detectors are trained apart, so the second trainings of two go together as well as any others.
    """
    several = [len(labels) for detector in detectors if len(labels := seeds(results).get(detector, ())) > 1]
    return min(several, default=1) if len(repeats(results)) > 1 else 1


def rests(results: Results) -> str:
    """How many trainings of each detector there are, in words: "3 trainings of NPR and R50_TF, 1 of CLIP-D"; and that
    of some cells there are fewer, where not all were scored by each."""
    return in_words({key: count(results, [key]) for key in seeds(results)}, "; of some cells fewer" * _uneven(results))


def in_words(trainings: Mapping[str, int], fewer: str = "") -> str:
    """So many trainings of each detector, by key, in words, with what is said of fewer."""
    of: dict[int, list[str]] = {}
    for detector, several in trainings.items():
        of.setdefault(several, []).append(named(detector))
    if len(of) == 1 and len(trainings) > 1:
        return f"{counted(next(iter(of)), 'training')} of each detector{fewer}"
    parts = [(f"{counted(n, 'training')} of " if not place else f"{n} of ") + listed(names)
             for place, (n, names) in enumerate(sorted(of.items(), reverse=True))]  # fmt: skip
    return ", ".join(parts) + fewer


def _uneven(results: Results) -> bool:
    """Whether a training of a detector lacks a cell that the page's own has."""
    cells = [(d, g, p) for d in results.detectors for g in results.generators for p in results.precisions]
    cells = [cell for cell in cells if len(results.logits(*cell))]
    return any(
        other.logits(*cell).empty
        for other in repeats(results)[1:] for cell in cells if cell[0] in other.detectors
    )  # fmt: skip
