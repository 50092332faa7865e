"""What a study cannot show, and how often its detectors were trained: what the methods quote of the study at hand."""

from __future__ import annotations

import html
import re

from IPython.display import HTML

from helpers.analysis import instruments, inventory, miniatures
from helpers.analysis.conditions import training_counts
from helpers.analysis.words import listed, named, span
from helpers.claims import neighbours, retrained
from helpers.claims.rule import FROZEN
from helpers.results.results import Results

__all__ = ["limits", "sentences", "trainings"]

#: Limits that no figure of a study states.
ALWAYS = (
    "Some rules and margins were set after an archive had been seen; the rule behind a verdict, above, names them.",
)


def limits(results: Results) -> HTML:
    """The sentences of `sentences` as a list."""
    return HTML(f"<ul>{''.join(f'<li>{html.escape(said)}</li>' for said in sentences(results))}</ul>")


def sentences(results: Results) -> list[str]:
    """What these results cannot show: by their sizes, models, scenes, trainings and detectors, and always."""
    own = (_sizes, _targets, _world, _generators, _detectors, _instruments, neighbours.bridge)
    return [said for said in (limit(results) for limit in own) if said] + list(ALWAYS)


def trainings(results: Results) -> str:
    """The sentence that counts the trainings of each detector that differ in their seed alone."""
    parts = []
    for label, rows in training_counts(results).groupby("weights", sort=False):
        by_count = rows.groupby("trainings", sort=False).detector.agg(list)
        each = [f"{count} of {listed([named(key) for key in keys])}" for count, keys in by_count.items()]
        parts.append(f"of {label} {listed(each)}")
    return f"Trainings in these results: {'; '.join(parts)}."


def _sizes(results: Results) -> str:
    """How large the images are, and the crops that shipped detectors learnt from."""
    found = results.scores["size"][results.scores.label == 1]
    if found.empty:
        return ""
    crops = miniatures.crops(results.trainings) if results.scale == "mini" else {}
    parts = [
        f"{listed([named(key) for key in keys])} learnt from crops of {crop}"
        for crop, keys in crops.items() if crop < found.max()  # a larger one takes images whole
    ]  # fmt: skip
    return f"Images have {span(found)} pixels a side{''.join(f'; {part}' for part in parts)}."


def _targets(results: Results) -> str:
    """Which targets the shipped generators' trainings missed."""
    if results.scale != "mini":
        return ""
    found = miniatures.missed(results.generators)
    if not found.targets:
        return ""
    count = sum(map(len, found.missed.values()))
    parts = [f"{title} ({listed([named(key) for key in keys])})" for title, keys in found.missed.items()]
    which = f": {'; '.join(parts)}" if parts else ""
    return f"The generators missed {count or 'none'} of the {found.targets} targets of their training{which}."


def _world(results: Results) -> str:
    kinds = {
        "world": "All scenes come from one renderer: one world and one camera, and no photograph.",
        "": "There are no real images, so nothing is said of false alarms.",
    }
    return kinds.get(inventory.reals_kind(results), "")


def _generators(results: Results) -> str:
    """Which generators are there in one training only, and of which others lie beside these results."""
    keys, again = set(results.generators), retrained.trainings(results)
    single = [key for key in results.generators if not re.search(r"-s\d+$", key) and f"{key}-s1" not in keys]
    said, lone = [], [key for key in single if key not in again]
    if lone:
        once = f"There is one training of {listed([named(key) for key in lone], 'and of')}"
        said.append(f"{once}: what is its own cannot be told from what is the architecture's.")
    if again:
        said.append(
            f"Of {listed([named(key) for key in again], 'and of')} there are more, by which the page of the claims "
            "judges again; verdicts and their intervals are of the first alone."
        )
    return " ".join(said)


def _detectors(results: Results) -> str:
    """How few trainings of the detectors there are, and whose intervals therefore know prompts alone."""
    found = training_counts(results)
    own = found[found.weights == found.detector.map(results.trainings)].set_index("detector").trainings
    lone, several = own[own == 1], own[own > 1]
    said = []
    if len(lone):
        said.append(
            f"There is one training of {listed([named(key) for key in lone.index], 'and of')}: an interval of what it "
            "finds is over prompts alone, and does not know what another training would have found."
        )
    if len(several):
        counts = " to ".join(str(count) for count in sorted({several.min(), several.max()}))
        noun = "" if said else " trainings"
        said.append(f"There are {counts}{noun} of {listed([named(key) for key in several.index], 'and of')}, no more.")
    return " ".join(said)


def _instruments(results: Results) -> str:
    """Which detectors can answer nowhere."""
    found = instruments.by_training(results)
    known = found[found.adequate.notna()]
    weak = [key for key, rows in known.groupby("detector", sort=False) if not rows.adequate.any()]
    said = []
    for key in weak:
        most = known.highest[known.detector == key].max()
        why = ", as its frozen tower is too weak" if key in FROZEN else ""
        said.append(f"{named(key)} reaches an AUC of {most:.2f} at {named(results.baseline)}, and no more{why}.")
    return " ".join([*said, "What quantization costs cannot be read off that."] if said else [])
