"""What notebook 02 says of a study: all cells at once, and the changes that precisions are set against."""

from __future__ import annotations

import pandas as pd

from helpers.analysis import figures, paired
from helpers.analysis.conditions import trainings_of
from helpers.analysis.costs import costs, on_cpu
from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import capitalised, counted, listed, named, number
from helpers.claims.rule import NOT_TESTABLE, Finding, unscaled
from helpers.paper import sentences
from helpers.paper.facts import has
from helpers.paper.prose import Source, escaped
from helpers.results.results import Results

__all__ = ["against_controls", "conditions_note", "controls_note", "measures", "overview", "shown"]


def overview(results: Results) -> Finding:
    """All cells at once: the mean changes of AUC, TPR at 5 % FPR and detection rate from the baseline to the lowest
    precision, and the range of the one that leads.
    """
    found = figures.overview(results)
    if found is None:
        rate = figures.FIGURES["tpr"]
        return Finding(NOT_TESTABLE, f"No {rate} of this study is known: {unscaled(results.unjudged)}.", {})
    span, base = _span(found), named(results.baseline)
    lead = "" if found.leading == "auc" else (
        " It has no real images, so neither AUC nor TPR at 5 % FPR is known and the detection rate leads."
    )  # fmt: skip
    if not found.precision:
        return Finding(NOT_TESTABLE, f"All images of this study are at {base}. {span}.{lead}", {})
    low = named(found.precision)
    if not found.changes:
        return Finding(NOT_TESTABLE, f"This study has no pairs of {base} and {low} images. {span}.{lead}", {})
    many = listed([word for word, keys in (
        ("generators", results.generators), ("detectors", results.detectors)) if len(keys) > 1])  # fmt: skip
    parts = [
        f"{figures.FIGURES[name]} by {number(change, 3, sign=True)}" for name, change in found.changes.items()
    ]  # fmt: skip
    mean = f"{low} changes {listed(parts)} against {base}"
    mean = f"Averaged over {many}, {mean}" if many else mean
    but = f" Left out of the detection rate: {unscaled(results.unjudged)}." if results.unjudged else ""
    key = f"mean change of {figures.FIGURES[found.leading]} at {low}"
    return Finding("", f"{mean}. {span}.{lead}{but}", {key: found.changes.get(found.leading, metrics.UNKNOWN)})


def shown(results: Results) -> str:
    """The sentence that says what a cell of the heatmap is before anybody turns its menu."""
    if (results.scores.label == 0).any():
        return (
            "Each cell is the AUC of a detector, which ranks a generator's images at one precision against real ones: "
            "0.5 is chance, 1 tells all apart. On its own page a menu changes to TPR at 5 % FPR and to the detection "
            "rate, the share of fakes called fake at the detector's own threshold, which the deck calls accuracy."
        )
    return (
        "Each cell is a detection rate: the share of a generator's images at one precision that a detector calls fake. "
        "Without real images neither AUC nor TPR at 5 % FPR is known."
    )


#: What the heatmap's menu offers where a study has reals.
MEASURES = (
    "The heatmap starts with AUC, which needs no threshold. Its first menu changes to TPR at the threshold that 5 % of "
    "the reals pass, and to the detection rate. It also has what else real images add: balanced accuracy, average "
    "precision, the equal error rate and the share of reals called real. Balanced accuracy is given at a threshold "
    "that was calibrated on other {base} images too."
)


def measures(results: Results) -> str:
    """The sentences on what the heatmap's menu offers; "" without reals, where `overview` says what leads."""
    return MEASURES.format(base=named(results.baseline)) if has(results, "reals") else ""


#: What is said of a protocol or training, where the study has it, after its own name.
CONDITIONS = {
    "shared": "Under *shared*, fakes and reals both go through one seeded resize, JPEG and noise, as on a platform; "
    "how harsh was set on FP32 images alone.",
    "aligned": "Under *aligned*, reals go through the generator's own VAE, in training and test, so that only the "
    "denoiser's traces are left to find [Rajan et al., 2025](https://arxiv.org/abs/2410.11835).",
    "mini-sdxl": "The training *mini-sdxl* saw fakes of SDXL alone, the only one of the six that the public detectors "
    "saw [Dell'Anna et al., 2025](https://arxiv.org/abs/2504.20658).",
}
LOW_AUC = (
    "A detection rate that is high while the AUC is low is a threshold's, not a detector's: it calls everything fake."
)


def conditions_note(results: Results) -> Source:
    """The sentences that name the page's training and protocol, and say what the study's others are."""
    own = f"*{escaped(listed(sorted(results.scores.weights.unique())))}*"
    conditions = {(protocol, label) for protocol, label, _ in trainings_of(results)}
    there = {name for condition in conditions for name in condition}
    said = [f"What stands above is of the training {own} and of the protocol *{escaped(results.protocol)}*."]
    said += [what for name, what in CONDITIONS.items() if name in there]
    said += [] if len(conditions) > 1 else ["This study has no other training and no other protocol."]
    return Source(" ".join([*said, LOW_AUC] if has(results, "reals") else said))


def against_controls(results: Results, beyond: pd.DataFrame) -> list[str]:
    """The paragraphs that set the lowest precision against changes that should not matter.

    `beyond` is the table of `analysis.paired.beyond`.
    """
    said = [controls_note(results)]
    if has(results, "controls"):
        said.append(sentences.beyond_note(beyond, results.precisions[-1]))
    if has(results, "arms"):
        said.append(sentences.null(results))
    if has(results, "controls"):
        said.append(
            "The table gives, for each precision and control, in how many pairs of generator and detector the images "
            "move further, and the pairs with the least and the largest excess, with 95 % intervals."
        )
    return said


def _span(found: figures.Overview) -> str:
    """The range of the leading figure; a cell counts once for each detector."""
    scored = counted(found.combinations, "combination") + " of generator, precision and detector"
    name, title = found.leading, figures.FIGURES[found.leading]
    if found.worst[name] < found.best[name]:
        return f"Over the {scored}, {title} runs from {_cell(found.worst, name)} to {_cell(found.best, name)}"
    return (
        f"{capitalised(title)} is {found.best[name]:.2f} in {'each of the ' if found.combinations > 1 else ''}{scored}"
    )


def _cell(row: pd.Series, name: str) -> str:
    interval = Interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))
    return f"{number(interval)} for {row.detector_title} on {row.generator_title} at {row.precision_title}"


def controls_note(results: Results) -> str:
    """The sentence that names the changes against which this study can set its precisions."""
    there = [title for title, _ in paired.controls(results).values()]
    idle = {
        "null control": f"the same {named(results.baseline)} images computed in batches of another size (null control)",
        "FP16": "weights cast to FP16" + (", which a CPU computes with in 32 bits" if on_cpu(costs(results)) else ""),
    }
    parts = [words for title, words in idle.items() if title in there]
    yardstick = "a yardstick, the same prompt from another seed's noise" if "other seed" in there else ""
    if not parts:
        lacks = "This study has no change that should not matter, to set its precisions against"
        return f"{lacks}; it has {yardstick}." if yardstick else f"{lacks}."
    many = "changes" if len(parts) > 1 else "a change"
    return f"So each precision is set against {many} that should not matter: {listed(parts)}" + (
        f". A further one is {yardstick}." if yardstick else "."
    )
