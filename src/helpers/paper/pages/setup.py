"""What notebook 01 says and shows of a study: what was run, its images, settings and models, what quantization did to
weights, controls.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from IPython.display import HTML, Markdown, display

from helpers import analysis, charts
from helpers.analysis import controls as control_arms
from helpers.analysis import inventory, words
from helpers.analysis import live_check as live
from helpers.analysis import miniatures as miniature_models
from helpers.analysis.costs import on_cpu, record
from helpers.analysis.words import counted, listed, share
from helpers.paper import page, sentences, tables
from helpers.precision.catalogue import PRECISIONS, UNQUANTIZED, Entry
from helpers.results.results import Results
from helpers.study.schema import MAX_KERNEL_DEVIATION

__all__ = [
    "audits", "audits_note", "beside_controls", "by_training", "controls", "controls_note", "cost_note", "crossed",
    "formats", "grid", "images", "live_check", "miniatures", "models_note", "reals", "settings", "settings_note",
    "show_controls", "sixteen", "twins",
]  # fmt: skip


ALONE = "the numbers rest on the stored results alone."


def grid(results: Results) -> str:
    """The sentence that says what was run: generators, precisions, images, detectors, and what was left out."""
    run = inventory.grid(results)
    missing = f"{counted(run.missing, 'cell')} {'is' if run.missing == 1 else 'are'} missing"
    return (
        f"{counted(run.generators, 'generator')} at {counted(run.precisions, 'precision')} "
        f"{'makes' if run.generators == 1 else 'make'} {counted(run.cells, 'cell')} with "
        f"{counted(run.images, 'generated image')} in all; {counted(run.reals, 'real image')} "
        f"{'stands' if run.reals < 2 else 'stand'} against them, and {counted(run.detectors, 'detector')} "
        f"{'judges' if run.detectors == 1 else 'judge'} each. Of the grid, "
        f"{missing if run.missing else 'every cell was run'}."
        f"{_dropped(results)}"
    )


#: What is said of the reals, by `inventory.reals_kind`; photographs have a sentence of their own.
REALS = {
    "": "This study has no real images, so there is no AUC, TNR or calibrated threshold.",
    "unknown": "Where the real images come from, and in which format and size, this study does not say.",
    "world": "The real images are renders of the miniature world, of the scenes that the prompts describe; they were "
    "made at the generators' sizes and never compressed with loss, as the generated images were not.",
}


def reals(results: Results) -> str:
    """The sentences that say what the reals are, and what could tell them from fakes beside their content."""
    kind = inventory.reals_kind(results)
    return REALS.get(kind) or _photographs(results, inventory.photographs(results))


def _photographs(results: Results, files: pd.DataFrame) -> str:
    sizes = results.scores["size"][results.scores.label == 1]
    edge = files[["width", "height"]].min(axis=1)
    least, most = edge.min() / sizes.max(), edge.max() / sizes.min()
    licence = (results.manifest.get("study", {}).get("reals") or {}).get("licence")
    lost = (results.manifest.get("reals") or {}).get("left_out") or {}
    without = f" Left out of the folder: {listed([f'{n} {why}' for why, n in lost.items()])}." if lost else ""
    came = "".join(f" As they came, reals and fakes {found}." for found in inventory.as_they_came(results))
    return (
        f"The real images are {counted(len(files), 'photograph')} ({licence or 'nobody says under which licence'}), "
        f"the same at each size: the central square, shrunk {least:.1f} to {most:.1f} times (bicubic, with "
        "antialiasing) and kept without loss at the size of the generated images, as those are."
        f"{without}{came} {_left(results, least)}"
    )


def _left(results: Results, least: float) -> str:
    """What may still tell photographs from fakes, where they were shrunk so many times at least."""
    enough = (
        "A shrink of 2 and more takes the traces of common JPEG qualities out of a photograph"
        if least >= 2
        else "Some were shrunk less than twice, so traces of their own compression may be left, and a detector may "
        "read those"
    )
    both = (
        "; under shared both classes are resized and compressed alike"
        if "shared" in set(results.counts.protocol)
        else "; the protocol shared, under which both classes are resized and compressed alike, was not scored"
    )
    return f"{enough}. That photographs were resampled and generated images were not is left{both}."


def _dropped(results: Results) -> str:
    """How many scores had no number, and of what; "" where there is none."""
    count = sum(results.dropped.values())
    if not count:
        return ""
    parts = []
    for cell, lost in results.dropped.items():
        generator, precision, detector = cell.split(" ")
        title = results.titled(generator)["generator_title"]
        of = "real images" if generator == "real" else f"{title} at {words.named(precision)}"
        parts.append(f"{lost} of {words.named(detector)} on {of}")
    are = "is no number and is" if count == 1 else "are no numbers and are"
    return f" {counted(count, 'score')} {are} left out: {listed(parts)}."


def crossed(results: Results) -> str:
    """The sentence that says how much of the deck's grid the study has."""
    there = inventory.of_deck(inventory.fakes(results))
    return "Here all of them are run." if there == len(inventory.DECK) else f"This study has {there or 'none'} of them."


def twins(results: Results) -> str:
    """The sentence that says what pairs the images of two precisions, and how many have a twin."""
    base = words.named(results.baseline)
    images, twins = inventory.twins(inventory.fakes(results), results.baseline)
    if not images:
        return f"All of its images are at {base}, so none has a twin to be compared with."
    if not results.manifest.get("imported") and twins == images:
        return (
            "Every image has a prompt and a seed of its own, and both are the same at every precision. So each "
            f"quantized image has a twin at {base} that differs from it in nothing but the weights."
        )
    have = "has" if twins == 1 else "have"
    return (
        "Images of a generator that bear the same number are taken to be of one prompt and seed; so "
        f"{twins:,} of {counted(images, 'image')} at other precisions {have} a twin at {base}."
    )


def sixteen(results: Results) -> str:
    """The sentence that says whether FP16 of the main arm is a control: not where it changes no score at all."""
    if "fp16" not in results.precisions or results.baseline == "fp16":
        return "This study has no FP16 beside its baseline, which could be a second one."
    same, paired = inventory.same_scores(inventory.fakes(results), "fp16")
    base = words.named(results.baseline)
    if len(same) == paired:
        return f"FP16 of the main arm is no second one: it scores exactly as {base} does."
    how = " and computed in FP32" if on_cpu(analysis.costs(results)) else ""
    but = f"; on {listed(same)} it scores exactly as {base} does, and is none" if same else ""
    return f"FP16 of the main arm is a second one: weights stored in 16 bits{how}{but}."


def cost_note(results: Results) -> str:
    """The sentence under the costs: on which device, and how many images were rejected for which reasons."""
    found = record(analysis.costs(results))
    if found is None:
        return "What the cells of this study cost was not recorded."
    why = f" ({listed(found.reasons)})" if found.rejected and found.reasons else ""
    lost = f"{counted(found.rejected, 'image').capitalize()} {'was' if found.rejected < 2 else 'were'} rejected{why}."
    below = f"What the cells of this study cost is below, measured on {listed(found.devices)}"
    kernels = f" {ON_CPU}" if on_cpu(analysis.costs(results)) else ""
    return f"{below}, as it came: the machine did other work too. {lost}{kernels}"


ON_CPU = (
    "Seconds on a CPU say nothing about a GPU, where other kernels run: here a four-bit layer is unpacked at every "
    "step."
)


def images(fakes: pd.DataFrame) -> HTML:
    """How many images each cell has scores of, by the table of `analysis.inventory.fakes`."""
    return tables.matrix(fakes, "images", "{:.0f}", "Images per cell")


def formats() -> HTML:
    """The catalogue of precisions, for the page on methods."""
    rows = [
        {
            "precision": row.title, "key": key, "bits": row.bits, "with scales": f"{row.bits_with_scales:.4g}",
            "what is stored": _stored(row), "library": row.backend, "defined by": row.source or tables.DASH,
        }
        for key, row in PRECISIONS.items()
    ]  # fmt: skip
    caption = (
        "Formats: what a weight is stored as, in how many bits, without its scales and with them, by which library"
    )
    return tables.table(pd.DataFrame(rows), caption)


def _stored(row: Entry) -> str:
    """The numbers of a format, its scales, and what becomes of the inputs of its layers, where that is something."""
    group = "output channel" if row.group == "channel" else f"block of {row.group}"
    scales = f"{counted(row.scales, 'scale')} for each {group}" if row.group else ""
    return "; ".join(filter(None, [row.code, scales, f"inputs of layers: {row.inputs}" if row.inputs else ""]))


def settings(settings: pd.DataFrame) -> HTML:
    """The generators with their settings, as far as they are known, by the table of `analysis.settings`."""
    shown = settings.dropna(axis=1, how="all").rename(columns={"pixels": "pixels a side", "guidance": "guidance scale"})
    return tables.table(shown, "Generators")


def settings_note(settings: pd.DataFrame) -> str:
    """The sentence over the generators' settings, by the table of `analysis.settings`."""
    if settings.steps.notna().any():
        return "Settings are those of the study file; they do not change with precision."
    return "With which settings the images were made is not recorded with this study's scores."


def models_note(results: Results) -> str:
    """How good the miniatures are is measured, in words; "" for a study of other models."""
    return MEASURED if results.scale == "mini" else ""


MEASURED = (
    "This study runs miniatures, trained by this project from nothing on scenes that it renders itself. How good they "
    "are is measured on FP32 images alone. How much of a render survives the VAE? Does a judge network, which has seen "
    "renders alone, read ground, colours and shapes as the prompt asks? How far do the images' features lie from the "
    "renders' (Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet distance)? Are images copies of training renders, or all "
    "alike? How much of the difference to renders is trivial? Below a measure stands the same one of renders, where it "
    "has one."
)


#: Columns of `analysis.miniatures.overview` for print.
CARDS = {
    "weights, M": "weights, millions", "steps": "training steps", "minutes": "training, minutes", "on": "hardware",
    "fakes from": "trained on fakes of",
}  # fmt: skip


def miniatures(scale: str, measures: pd.DataFrame, cards: pd.DataFrame, curves: pd.DataFrame) -> None:
    """Display what is known of the miniatures behind a study of this scale: measures at FP32, cards, training curves.

    The tables are those of `analysis.miniatures`: `measures`, `overview` and `curves`.
    """
    if scale != "mini":
        display(Markdown(
            "This study runs public checkpoints; their makers' cards describe them." if scale == "full"
            else "Which models made these images, at which scale, this study does not say."
        ))  # fmt: skip
        return
    if len(measures):
        display(tables.table(measures, "Measures at FP32; a target was set before any quantized image was scored"))
    else:
        display(Markdown("The generators were not measured: `quantdetect train mini --evaluate` does it."))
    shown = by_training(cards).rename(columns=CARDS)
    display(tables.table(shown, "Cards of the shipped models, least to most over a detector's seeds"))
    if len(curves):
        page.glue_figure("training_loss", charts.training_loss(curves))


def by_training(cards: pd.DataFrame) -> pd.DataFrame:
    """Cards of models as they are printed: the trainings of a detector that differ in their seed alone are one row,
    which says how many there are (`trainings`) and the least and the most of each figure."""
    kinds = cards.model.str.replace(r"(?: \(|-)s\d+\)$", lambda seed: ")" if seed[0][0] == "-" else "", regex=True)
    groups = cards.assign(model=kinds, minutes=cards.minutes.astype(int)).groupby("model", sort=False)
    return pd.DataFrame([
        {"model": model, "trainings": len(group), "weights, M": group["weights, M"].iloc[0]}
        | {name: _ends(group[name]) for name in ("steps", "minutes", "seed")}
        | {"on": listed(list(group["on"].unique())), "fakes from": group["fakes from"].iloc[0]}
        for model, group in groups
    ])  # fmt: skip


def _ends(numbers: pd.Series) -> str:
    least, most = numbers.min(), numbers.max()
    return f"{least}" if least == most else f"{least} to {most}"


def beside_controls(scale: str, found: pd.DataFrame) -> None:
    """Display the detectors' figures at FP32 beside their controls', by the table of `miniatures.of_controls`; nothing
    where the study is of other models."""
    if scale != "mini":
        return
    display(
        Markdown(
            " ".join(filter(None, (miniature_models.beside_controls(found), miniature_models.towers_tried(found))))
        )
    )
    if found.empty:
        return
    shown = pd.DataFrame({
        "training": found.weights,
        "detector or control": found.title,
        "trainings": found.trainings,
        "mean AUC": found.auc.map("{:.3f}".format),
        "AUC, range": [_span(row.auc_low, row.auc_high) for row in found.itertuples()],
        "TNR, range": [_span(row.tnr_low, row.tnr_high) for row in found.itertuples()],
    })  # fmt: skip
    caption = "At FP32, on validation images: ranges over generators and trainings; controls and tried towers last"
    display(tables.table(shown, caption))


def _span(least: float, most: float) -> str:
    return f"{least:.3f}" if least == most else f"{least:.3f} to {most:.3f}"


def audits_note(found: pd.DataFrame) -> list[str]:
    """The paragraphs over the table of `audits`; none where the study has no audit."""
    if "output_error" not in found:
        return []
    said = (
        "Coverage says how much was rounded, not how coarsely. The next tables are the audit of every quantized cell. "
        "They say what each component's weights became, and how far these and the component's output lie from FP32's, "
        "for recorded inputs of FP32 images. The last column says how far the library's own layers differ from weights "
        "that were merely rounded. A cell at 0 % coverage, or one with a library layer that differs by more than "
        f"{share(MAX_KERNEL_DEVIATION)}, is refused."
    )
    exact = (
        "An error of 0 at FP16 is a fact, not an omission: such weights were stored as 16-bit numbers to begin with."
    )
    return [said, exact] if control_arms.exact_casts(found) else [said]


def controls_note(results: Results) -> list[str]:
    """The paragraphs over the table of `controls`: what the null control finds, and what the arms are."""
    said, arms = [sentences.null(results)], control_arms.scored_arms(results)
    if arms:
        said.append(ARMS)
    if results.arm_of("null") in arms:
        said.append(
            "The null control changes nothing that should matter: the same "
            f"{words.named(results.baseline)} weights, images computed in batches of another size. {sixteen(results)} "
            "What any other row moves is to be read against these."
        )
    return said


ARMS = (
    "Every arm below makes the same prompts from the same seeds (but for one of other seeds, where there is one) and "
    "is scored by all detectors."
)


#: Columns of `audits` for print, those that an older run lacks left out: those of both tables, and each table's own.
AUDITED = {"generator_title": "generator", "precision_title": "precision", "component": "component"}
AUDITS = {
    "Each component at each precision; errors are relative (Frobenius)": {
        "parameters": "parameters, millions", "share": "share in the format", "bytes": "size, MB",
        "weight_error": "weight error", "expected_error": "by the format's definition", "output_error": "output error",
        "native_deviation": "library \N{MINUS SIGN} rounded weights",
    },
    "Errors of weights by kind of layer, relative (Frobenius)": {
        "attention": "attention", "feed-forward": "feed-forward", "convolution": "convolution", "other": "other layers",
    },
}  # fmt: skip
ERRORS = ("weight_error", "expected_error", "output_error", "attention", "feed-forward", "convolution", "other")
FORMS = dict.fromkeys(ERRORS, "{:.2%}") | {"share": "{:.1%}", "native_deviation": "{:.1e}"}


def audits(found: pd.DataFrame, arm: str = "native") -> HTML:
    """What was measured of each component of each quantized cell of an arm (`controls.weight_audits`)."""
    found = found[(found.arm == arm) & (found.precision != UNQUANTIZED)] if len(found) else found
    if found.empty or "output_error" not in found:
        return tables.missing("This study has no record of what its precisions did to the weights.")
    sizes = zip(found.bytes_before / 1e6, found.bytes_after / 1e6, strict=True)
    shown = found.assign(
        bytes=[f"{before:.2f}{tables.ARROW}{after:.2f}" for before, after in sizes],
        parameters=found.parameters.div(1e6).map("{:,.2f}".format, na_action="ignore"),
        **{name: found[name].map(partial(tables.figure, form=form)) for name, form in FORMS.items() if name in found},
    )
    return HTML("".join(
        tables.table(shown[there].rename(columns=AUDITED | columns), caption).data
        for caption, columns in AUDITS.items()
        if len(there := [name for name in (*AUDITED, *columns) if name in shown]) > len(AUDITED)
    ))  # fmt: skip


#: Figures of `controls`: how each is printed, and the caption.
MOVES = {
    "spread": ("{:.3f}", "Standard deviation of the paired change of logit against {}"),
    "changed": ("{:.1%}", "Share of images whose verdict differs from their twin's at {}"),
}


def controls(found: pd.DataFrame, figure: str = "spread", against: str = "FP32") -> HTML:
    """How far each arm moves each detector, by the table of `controls.spreads`: "spread" of the paired logits or
    verdicts "changed"; `against` names the baseline.
    """
    if found.empty or found.arm.nunique() < 2:
        return tables.missing("This study has no arms beside its main one.")
    form, caption = MOVES[figure]
    keys = {"arm_title": "arm", "precision_title": "precision"}
    printed = found.assign(printed=[tables.figure(value, form) for value in found[figure]])
    wide = tables.crossed(printed, [*keys, "images"], "detector_title", "printed")
    wide["images"] = wide.pop("images")  # the last column
    caption = f"{caption.format(against)}, all generators"
    return tables.table(wide.rename(columns=keys), caption)


def show_controls(found: pd.DataFrame, against: str) -> None:
    """Display how far each arm moves paired logits and how many verdicts it changes, by the table of
    `controls.spreads`; `against` names the baseline."""
    display(controls(found, "spread", against))
    if len(found) and found.arm.nunique() > 1:
        display(controls(found, "changed", against))


def live_check(path: str, results: Results) -> str:
    """What the live check on the machine that built this page found, in a sentence; says so where there was none.

    A check counts where the study and the scores that it compared are those of the page.
    """
    found = live.read(path)
    if found is None:
        return f"The live check was not run where this page was built: {ALONE}"
    if not found.is_of(results):
        return f"The live check where this page was built was of other results than these: {ALONE}"
    if not found.cells:
        return f"The live check where this page was built compared no cell: {ALONE}"
    when = f", on {found.checked}" if found.checked else ""
    return (
        f"Where this page was built{when}, {found.images} images of each of {found.cells} cells were made, quantized "
        f"and scored again with the shipped models and compared with the stored results. "
        f"{'They agree' if found.agree else 'THEY DO NOT AGREE'} ({found.equal} of {found.made} images equal to the "
        f"last bit, largest difference of a logit {found.largest:.2g})."
    )
