"""The sentences that several of a study's pages print: whose results these are, what its controls show."""

from __future__ import annotations

import pandas as pd

from helpers.analysis import controls, miniatures, paired
from helpers.analysis.costs import costs, images_per_cell
from helpers.analysis.words import listed, named, share
from helpers.core.scores import MUCH_REJECTED, much_rejected
from helpers.detectors.catalogue import DETECTORS
from helpers.paper.facts import has
from helpers.paper.prose import Source, escaped
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = ["beyond_note", "lacks", "null", "pairs", "rejected_note", "scale_note", "starts", "whose"]


def scale_note(results: Results) -> str:
    """The sentences that say whose results these are, and what of them a page with other parameters shows."""
    return f"{_scale(results)}{_asked(results)}{_choice(results)}"


def _scale(results: Results) -> str:
    images = f"{images_per_cell(results)} images per cell"
    images = "1 image per cell" if images == "1 images per cell" else images
    if results.scale == "mini":
        return (
            f"These are miniatures' results: small generators and detectors trained by this project, {images}. They "
            "show what the question looks like where everything can be rerun; they are not measurements of the public "
            "checkpoints."
        )
    imported = results.manifest.get("imported") or {}
    whose = imported.get("title")
    taken = f" The scores are those of another study: {whose}." if whose else ""
    taken = " The scores were imported." if imported and not whose else taken
    if results.scale == "full":
        return f"These are results of the public checkpoints at full size, {images}.{taken}"
    return f"It is not said at which scale this study was run; it has {images}.{taken}"


def rejected_note(results: Results) -> str:
    """The sentence that names the cells, of those that a page uses, of which too many images were rejected; "" where
    there is none."""
    cells = [
        f"{row['generator_title']} at {row['precision_title']} ({row['rejected']:,} of"
        f" {row['images'] + row['rejected']:,})"
        for row in costs(results).to_dict("records")
        if much_rejected(row["images"], row["rejected"])
    ]
    if not cells:
        return ""
    return (
        f"Caution: more than {share(MUCH_REJECTED)} of the images were rejected of {listed(cells)}; what is said of"
        " the others may not hold for all that such a cell makes."
    )


def lacks(results: Results, *generators: str) -> str:
    """The sentence that names those of the generators of which the study has no images; "" where it has all."""
    keys = [named(key) for key in generators if key not in results.generators]
    return f"This study has no images of {listed(keys, 'or')}." if keys else ""


def starts(results: Results, *keys: str) -> str:
    """The sentences on what a figure cannot start with: generators, precisions and detectors that the study lacks."""
    lacks = [key for key in keys if key not in (*results.generators, *results.precisions, *results.detectors)]
    return " ".join(_lack(key) for key in lacks)


def _lack(key: str) -> str:
    kind = "detector" if key in DETECTORS else "precision" if key in PRECISIONS else "generator"
    what = {"detector": "scores of", "precision": "images at", "generator": "images of"}[kind]
    return f"This study has no {what} {named(key)}, so the figure starts with another {kind}."


#: What a grey row of the shifts is, by the role of its arm.
CONTROLS = {
    "null": "*null control*, the same images computed in batches of another size",
    "seed": "*other seed*, the same prompts from another seed's noise",
}


def pairs(results: Results, generator: str) -> Source:
    """What the rows of paired shifts are, and how often the lowest precision moves images further than controls do;
    the table after it is of `generator`."""
    said = []
    if has(results, "controls"):
        said.append(escaped(beyond_note(paired.beyond(results), results.precisions[-1])))
    there = controls.scored_arms(results)
    grey = [what for role, what in CONTROLS.items() if results.arm_of(role) in there]
    if grey:
        said.append(f"A grey row is a change that is no precision: {listed(grey)}.")
    said.append("Intervals come from a bootstrap over prompts.")
    if has(results, "seeds"):
        said.append("A pale band behind an interval spans what the detector's other trainings find.")
    said.append(f"The table after it gives the pairs of {escaped(named(generator))} in full; here are all generators.")
    return Source(" ".join(said))


def whose(results: Results) -> str:
    """The sentences that say whose results these are, and what the shipped detectors were trained on."""
    lesson = (
        miniatures.trained_on(results.scores.weights.unique(), results.detectors) if results.scale == "mini" else ""
    )
    return f"{scale_note(results)} {lesson}".strip()


def _asked(results: Results) -> str:
    """The sentence on detectors without a threshold and its mend; "" where there is none."""
    if not results.unjudged:
        return ""
    return (
        f" All scores by {listed([named(key) for key in results.unjudged])} lie in 0 to 1, as probabilities do, and it "
        "is not said whether they are: figures at a threshold stay unknown until a map of the import says, under "
        '[logit], scale = "probability" or "logit".'
    )


def _choice(results: Results) -> str:
    """The sentences on parameters that are not the defaults, without which a page's words on "this study" and on the
    detectors' own threshold would be taken for the whole study's; "" where all are."""
    whole = results.under(results.protocol, generators=(), precisions=(), detectors=())
    kept = {kind: getattr(results, kind) for kind in ("generators", "precisions", "detectors")}
    parts = [f"{kind} {listed([*map(named, keys)])}" for kind, keys in kept.items() if keys != getattr(whole, kind)]
    said = []
    if parts:
        said.append(f" A part of the study was chosen: {'; '.join(parts)}. What is said to be missing may be there.")
    if results.protocol != "plain":
        said.append(f" Where no protocol is named, it is {results.protocol}.")
    if results.threshold:
        said.append(f" The threshold was set to {results.threshold:g}, in place of the detectors' own.")
    return "".join(said)


def null(results: Results) -> str:
    """The sentence that sets the null control's spread beside the coarsest precision's, detector by detector."""
    same = paired.identical(results)
    idle = [f"{_actor(title)} changes no score of any image: it is identical, so no control." for title in same]
    found = controls.null_control(results)
    if found.empty:
        unknown = "what a change that should not matter does to its scores is not known"
        return " ".join([*idle, f"{'So' if idle else 'This study has no null control, so'} {unknown}."])
    parts = [f"{row.detector_title} {row.spread:.4f} against {row.spread_last:.2f}" for row in found.itertuples()]
    turned, judged = controls.turned(found)
    return " ".join([
        "Paired logits change by this much (standard deviation) under the null control, against "
        f"{named(results.precisions[-1])}: {listed(parts)}.",
        f"The null control turns {turned} of {judged} verdicts.", *idle,
    ])  # fmt: skip


def beyond_note(beyond: pd.DataFrame, precision: str = "fp4") -> str:
    """The sentence that counts where a precision moves images further than each control does.

    `beyond` is the table of `helpers.analysis.paired.beyond`.
    """
    told = paired.beyond_by_control(beyond)
    rows = told[told.precision == precision] if len(told) else told
    if rows.empty:
        further = "moves images further than a change that should not matter does"
        return f"Whether {named(precision)} {further}, this study cannot say."
    parts = [f"than {_deed(row.control_title)} in {row.further} of {row.pairs}" for row in rows.itertuples()]
    return (
        f"{named(precision)} moves the same images further {listed(parts)} pairs of generator and detector. (One-sided "
        f"paired tests at 5 %; for each control with Holm's correction over its tests, at most {told.family.max()}.)"
        f"{_no_control(beyond)}"
    )


def _no_control(beyond: pd.DataFrame) -> str:
    """The sentence on generators to which FP16, of all controls, does nothing; "" where there is none."""
    own = set(beyond.generator[beyond.control == "fp16"])
    idle = [title for key, title in dict(zip(beyond.generator, beyond.generator_title, strict=True)).items()
            if key not in own]  # fmt: skip
    if not own or not idle:
        return ""
    return f" On {listed(idle)} FP16 changes nothing, so there it is no control and nothing is tested against it."


def _deed(control: str) -> str:
    return {"null control": "the null control does", "other seed": "another seed does"}.get(control, f"{control} does")


def _actor(control: str) -> str:
    return control if control.isupper() or control[-1].isdigit() else f"The {control}"
