"""Why scores move: is quantization a smoothing filter (C6), or do detectors read the decoder that it leaves alone?

The deck's explanation makes four predictions, each judged by the rule of `helpers.claims.rule`:

a. Fine detail falls: energy above half Nyquist's frequency and residual energy, from FP32 to FP4.
b. The fingerprint of FP4 correlates less with FP32's than the null control's does.
c. A filter that gives FP32 images FP4's spectrum lowers the end-to-end detectors that FP4 lowers, by as much.
d. FP4 images that are given FP32's spectrum are detected again.

FP32 and FP4 stand for the study's own two, its baseline and the coarsest of the others, which the sentences name.

All of them must hold: one that fails contradicts the explanation. (c) and (d) are put to the test only where FP4 lowers
a detector by more than the study's `overlap` margin. Intervals are bootstrapped over prompts, those of fingerprints
over groups of prompts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import isnan

import numpy as np
import pandas as pd

from helpers.analysis.decoder import detection, shares
from helpers.analysis.image_traces import (
    FIGURES,
    changes,
    fingerprints,
    paired,
    pooled,
    pooled_shift,
    treatments,
)
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number, percent, share
from helpers.claims.rule import (
    END_TO_END,
    LEAST_IMAGES,
    NOT_TESTABLE,
    PLURAL,
    SAID,
    Finding,
    margins,
    too_few,
    verdict,
)
from helpers.detectors.catalogue import DETECTORS
from helpers.results.memo import once
from helpers.results.results import Results, of_deck

__all__ = ["PREDICTIONS", "decoder", "in_study", "lowered", "moves", "predictions", "smoothing", "smoothing_answer"]

PREDICTIONS = {
    "a": "fine detail falls from FP32 to FP4",
    "b": "FP4's fingerprint is further from FP32's than the null control's",
    "c": "FP4's spectrum, put on FP32 images, lowers the same detectors as much",
    "d": "FP32's spectrum, given to FP4 images, restores detection",
}


def in_study(results: Results, text: str) -> str:
    """A text about FP32 and FP4, which the deck speaks of, about the study's baseline and lowest precision instead."""
    own = {"FP32": named(results.baseline), "FP4": named(results.lowest) if results.lowest else "FP4"}
    return re.sub("|".join(own), lambda found: own[found[0]], text)


def lowered(results: Results) -> list[tuple[str, str]]:
    """Generators and end-to-end detectors whose logits FP4 lowers by more than the margin, with the whole interval."""
    table, most = treatments(results), margins(results)["overlap"]
    if table.empty:
        return []
    found = table[table.detector.isin(END_TO_END) & (table.quantized_high < -most)]
    return list(zip(found.generator, found.detector, strict=True))


def _figures(rows: pd.DataFrame, name: str, label: Callable[[pd.Series], str]) -> dict[str, Interval]:
    """Figures of a table's column `name`, with its ends, by label; those that are not defined are left out."""
    return {
        label(row): Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
        for _, row in rows.iterrows()
        if not isnan(row[name])
    }


def _generator(row: pd.Series) -> str:
    return str(row.generator_title)


def _fine_detail(results: Results, confidence: float) -> dict[str, Interval]:
    table = changes(results, confidence)
    if table.empty:
        return {}
    rows = table[(table.precision == results.lowest) & table.figure.isin(["high", "residual"])]
    return _figures(rows, "relative", lambda row: f"{row.figure_title} of {row.generator_title}")


def _further(results: Results, confidence: float) -> dict[str, Interval]:
    table = fingerprints(results, confidence)
    return _figures(table[table.precision == results.lowest], "further", _generator) if len(table) else {}


def _explained(results: Results, column: str, confidence: float) -> dict[str, Interval]:
    cells = lowered(results)
    table = treatments(results, confidence)
    rows = table[[key in cells for key in zip(table.generator, table.detector, strict=True)]] if len(table) else table
    return _figures(rows, column, lambda row: f"{row.detector_title} on {row.generator_title}")


@once
def predictions(results: Results) -> dict[str, Finding]:
    """The four predictions a to d of the smoothing filter, each with its verdict, sentence and figures at 95 %.

    Intervals that may contradict are widened for the number of figures of all four together.
    """
    bounds = margins(results)
    asked: dict[str, tuple[Callable[[float], dict[str, Interval]], float, float]] = {
        "a": (lambda level: _fine_detail(results, level), -np.inf, -bounds["smoothing"]),
        "b": (lambda level: _further(results, level), -np.inf, 0.0),
        "c": (lambda level: _explained(results, "of_matched", level), bounds["explained"], np.inf),
        "d": (lambda level: _explained(results, "of_restored", level), bounds["explained"], np.inf),
    }
    figures = {key: estimate(0.95) for key, (estimate, _, _) in asked.items()}
    count = max(1, sum(map(len, figures.values())))
    said = {"a": _say_detail, "b": _say_fingerprint, "c": _say_matched, "d": _say_restored}
    found = {}
    images = _images(results)
    for key, (estimate, low, high) in asked.items():
        widened = estimate(1 - 0.05 / count)
        judged = verdict(figures[key].values(), low, high, widened.values())
        told = said[key](results, figures[key])
        if figures[key] and images < LEAST_IMAGES:
            judged, told = NOT_TESTABLE, f"This study cannot say: {too_few(images)}. {told}"
        found[key] = Finding(judged, in_study(results, told), figures[key])
    return found


def _images(results: Results) -> int:
    """The fewest images at FP32 and FP4 that spectra were measured of, of the generators that have some."""
    counts = [len(paired(results, key, results.lowest, results.arm, "high")[0]) for key in results.generators]
    return min(filter(None, counts), default=0)


def _counted(figures: dict[str, Interval], low: float = -np.inf, high: float = np.inf) -> str:
    inside = sum(low <= figure.low and figure.high <= high for figure in figures.values())
    outside = sum(figure.high < low or figure.low > high for figure in figures.values())
    return f"{inside} of {len(figures)} with the whole interval, {outside} with none of it"


def _say_detail(results: Results, figures: dict[str, Interval]) -> str:
    if not figures:
        return "This study has no spectra of FP32 and FP4 images, so whether fine detail falls is not known."
    margin = margins(results)["smoothing"]
    energies = {name: value for name, value in figures.items() if name.startswith(FIGURES["high"])}
    least, most = (how(energies, key=lambda name: energies[name].estimate) for how in (min, max))
    spans = [f"{percent(energies[name])} on {name.rpartition(' of ')[2]}" for name in (least, most)]
    mean = f"{percent(pooled(results, 'high'))} on average over generators, from {spans[0]} to {spans[1]}"
    return (
        f"From FP32 to FP4 the energy above half Nyquist changes by {mean if len(energies) > 1 else spans[0]}; "
        f"the residual energy by {percent(pooled(results, 'residual'))}. A "
        f"loss of more than {share(margin)} counts as smoothing: "
        f"{_counted(figures, high=-margin)}."
    )


def _say_fingerprint(results: Results, figures: dict[str, Interval]) -> str:
    if not figures:
        return "This study has no null control whose fingerprint could be set beside FP4's."
    table = fingerprints(results)
    at = _figures(table[table.precision == results.lowest], "correlation", _generator)
    parts = [f"{number(at[name])} on {name}" for name in figures]
    lacks = [f"{number(figures[name], 3, sign=True)} on {name}" for name in figures]
    return (
        f"The correlation of FP4's fingerprint with FP32's, over other scenes, is {listed(parts)}. Against the null "
        f"control's it differs by {listed(lacks)}. Plain mean residuals of two sets of other scenes, both at FP32, "
        f"would correlate by {table.reliability.min():.2f} to {table.reliability.max():.2f}, which is allowed for."
    )


def _say_matched(results: Results, figures: dict[str, Interval]) -> str:
    if not figures:
        return _untested(results)
    losses = _explained(results, "of_attenuated", 0.95)
    parts = [f"{number(figure)} for {name} (losses alone {number(losses[name])})" for name, figure in figures.items()]
    return f"A filter that gives FP32 images FP4's mean spectrum makes this share of FP4's shift: {listed(parts)}."


def _say_restored(results: Results, figures: dict[str, Interval]) -> str:
    if not figures:
        return _untested(results)
    parts = [f"{number(figure)} for {name}" for name, figure in figures.items()]
    return f"FP32's mean spectrum, given to FP4 images, takes back this share of FP4's shift: {listed(parts)}."


def _untested(results: Results) -> str:
    table, most = treatments(results), margins(results)["overlap"]
    rows = table[table.detector.isin(END_TO_END)] if len(table) else table
    if not len(rows):
        return "This study has no filtered images, so what a filter does to its detectors is not known."
    least = rows.loc[rows.quantized.idxmin()]
    shift = number(Interval(least.quantized, least.quantized_low, least.quantized_high), sign=True)
    return (
        f"FP4 lowers no end-to-end detector by more than {most:.2f} standard deviations of the FP32 logits with its "
        f"whole interval (most {least.detector_title} on {least.generator_title}, {shift}), so there is no fall that a "
        "filter could explain."
    )


def smoothing(results: Results) -> Finding:
    """C6: quantization is a smoothing filter that removes the high-frequency artifacts that end-to-end detectors use.

    Supported where all four predictions are, contradicted where one is, not testable without spectra.
    """
    found = predictions(results)
    verdicts = {key: finding.verdict for key, finding in found.items()}
    figures = {f"({key}) {name}": figure for key, finding in found.items() for name, figure in finding.figures.items()}
    images = _images(results)
    if verdicts["a"] == NOT_TESTABLE:
        why = too_few(images) if images else "it has no spectra of FP32 and FP4 images"
        return Finding(NOT_TESTABLE, in_study(results, f"This study cannot say: {why}."), {}, n=images)
    judged = _together(verdicts.values())
    groups = {kind: [f"({k})" for k, v in verdicts.items() if v == kind] for kind in dict.fromkeys(verdicts.values())}
    tally = listed([f"{listed(keys)} {(SAID if len(keys) == 1 else PLURAL)[kind]}" for kind, keys in groups.items()])
    sentence = (
        f"Quantization {WORDS[judged]} a smoothing filter here: from FP32 to FP4 the energy of fine detail, above half "
        f"Nyquist's frequency, changes by {percent(pooled(results, 'high'))}, mean over generators. Of the deck's four "
        f"predictions {tally}."
    )
    # The figure of (a) that lies furthest from a fall.
    deciding = max((name for name in figures if name.startswith("(a)")), key=lambda name: figures[name].estimate)
    changes = frozenset(name for name in figures if name.startswith(("(a)", "(b)")))
    return Finding(judged, in_study(results, sentence), figures, deciding, images, changes=changes)


WORDS = {"contradicted": "is not", "supported": "is", "inconclusive": "cannot be said to be"}


def smoothing_answer(results: Results) -> str:
    """The plain answer to: is quantization a smoothing filter, here? With what a smoothing filter would do instead."""
    found = smoothing(results)
    if found.verdict not in WORDS:
        return found.sentence
    change = pooled(results, "high")
    does = "removes" if change.high < 0 else "adds" if change.low > 0 else "leaves"
    plain = {"contradicted": "No", "supported": "Yes", "inconclusive": "It cannot be said"}[found.verdict]
    said = [
        f"{plain}: FP4 {does} fine detail in these images; the energy above half Nyquist changes by {percent(change)}, "
        "mean over generators."
    ]
    halved = {key: pooled_shift(results, key, "halved") for key in END_TO_END if key in results.detectors}
    parts = [f"{DETECTORS[key].title} by {number(f, sign=True)}" for key, f in halved.items() if not isnan(f.estimate)]
    if parts:
        said.append(
            "A filter that does smooth, taking half the power above half Nyquist from FP32 images, moves the logits of "
            f"{listed(parts)} standard deviations, mean over generators."
        )
    rival = decoder(results).verdict
    if rival != NOT_TESTABLE:
        said.append(f"The rival explanation, that detectors read the decoder, {SAID[rival]}.")
    return in_study(results, " ".join(said))


def decoder(results: Results) -> Finding:
    """The rival explanation: detectors read the decoder, which quantizing the denoiser leaves alone.

    Two regions: for every detector of the deck the decoder alone must make at least a share of the detection of FP32
    images (the rules' `decoder`), and FP4 of the denoiser must change detection (AUC) by no more than the margin
    `drop`, mean over generators.
    """
    if results.protocol != "plain":
        return Finding(
            NOT_TESTABLE, "What detectors owe to the decoder is measured under the protocol plain alone.", {}
        )
    drop, results = margins(results)["drop"], of_deck(results)
    regions = {"share": (results.rules.judging.decoder.value, np.inf), "change": (-drop, drop)}
    figures = _owed(results, 0.95)
    if not all(figures.values()):
        return Finding(
            NOT_TESTABLE,
            in_study(
                results,
                "This study cannot say what detectors owe to the decoder: it has no scores of reals passed through the "
                "VAE, or none at FP4.",
            ),
            {},
        )
    widened = _owed(results, 1 - 0.05 / sum(map(len, figures.values())))
    verdicts = {kind: verdict(figures[kind].values(), *regions[kind], widened[kind].values()) for kind in regions}
    judged = _together(verdicts.values())
    owed, moves = figures["share"], figures["change"]
    widest = max(moves, key=lambda name: abs(moves[name].estimate))
    shares_ = listed([f"{number(figure)} for {name}" for name, figure in owed.items()])
    sentence = (
        f"{READ[judged]}. How well real images that were only passed through the decoder are told from untouched ones, "
        f"as a share of the detection of FP32 fakes (1: as well as those, 0: not at all), is {shares_}. With the "
        f"denoiser at FP4 detection changes most for {widest}: its AUC by {number(moves[widest], 3, sign=True)}, mean "
        "over generators."
    )
    told = {f"decoder's share, {name}": figure for name, figure in owed.items()} | {
        in_study(results, f"change at FP4, {name}"): figure for name, figure in moves.items()
    }
    return Finding(judged, in_study(results, sentence), told)


READ = {
    "supported": "All detectors find the decoder's traces, and quantizing the denoiser takes nothing from them",
    "contradicted": "Not all detectors find the decoder's traces and lose nothing when the denoiser is quantized",
    "inconclusive": "Whether all detectors find the decoder's traces, and lose nothing when the denoiser is quantized, "
    "is open",
}


def moves(results: Results) -> str:
    """The sentence that says which traces move with precision: all of an image's, or those of the denoiser alone."""
    table = detection(results)
    row = table[(table.precision == results.lowest) & (table.detector == "")]
    if row.empty or row.further.isna().all():
        why = "it lacks FP4 or the protocol aligned"
        return in_study(results, f"This study cannot say which traces move with precision: {why}.")
    plain, again, further = (
        Interval(*(row.iloc[0][f"{name}{end}"] for end in ("", "_low", "_high")))
        for name in ("plain_change", "aligned_change", "further")
    )
    which = (
        "more where only the denoiser's traces are left" if further.high < 0
        else "less where only the denoiser's traces are left" if further.low > 0
        else "alike with and without the decoder's traces"
    )  # fmt: skip
    return in_study(
        results,
        f"Detection moves {which}: from FP32 to FP4 the AUC changes by {number(plain, 3, sign=True)} against reals "
        f"and by {number(again, 3, sign=True)} under aligned, mean over generators and the deck's detectors, a "
        f"difference of {number(further, 3, sign=True)}.",
    )


def _owed(results: Results, confidence: float) -> dict[str, dict[str, Interval]]:
    """The decoder's share of each detector's detection at FP32, and what FP4 of the denoiser changes of it."""
    changed = detection(results, confidence)
    changed = changed[(changed.precision == results.lowest) & (changed.detector != "")]
    return {
        "share": _figures(shares(results, confidence), "decoder", lambda row: row.detector_title),
        "change": _figures(changed, "plain_change", lambda row: row.detector_title),
    }


def _together(verdicts: Iterable[str]) -> str:
    """The verdict on an explanation from those on what follows from it: all must hold."""
    found = set(verdicts)
    return "contradicted" if "contradicted" in found else "supported" if found == {"supported"} else "inconclusive"
