"""What a study says about the deck's words: a verdict, the sentence that a page prints, and the estimates behind it.

One rule for all: a claim names a region for each of its figures. If every interval lies inside its region the claim
is supported; if any lies wholly outside it is contradicted; else it is inconclusive. Intervals are 95 % ones; to
contradict, where one figure of several is enough, an interval widened for their number (Bonferroni) must lie outside.
A claim whose cells were not run is not testable. The regions come from the margins of the study file, stated before
the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan

import numpy as np
import pandas as pd

from helpers.analysis import arms, metrics, tables
from helpers.analysis.metrics import Interval
from helpers.analysis.tables import Results
from helpers.study import DETECTORS, GENERATORS, PRECISIONS, Margins

__all__ = [
    "Finding",
    "anomaly",
    "challenging",
    "cost_note",
    "detectable",
    "drop",
    "families",
    "feature_based",
    "grid",
    "legacy",
    "null",
    "overlap",
    "overview",
    "robust",
    "scale_note",
    "shift",
    "verdict",
]

NOT_TESTABLE = "not testable"
END_TO_END = tuple(key for key, detector in DETECTORS.items() if detector.kind == "end-to-end")
FROZEN = tuple(key for key in DETECTORS if key not in END_TO_END)


@dataclass(frozen=True)
class Finding:
    """A verdict on the deck's words, a plain sentence with estimates and intervals, and the figures by name."""

    verdict: str
    sentence: str
    figures: dict[str, Interval]


def verdict(
    figures: Iterable[Interval],
    low: float = -inf,
    high: float = inf,
    widened: Iterable[Interval] | None = None,
) -> str:
    """Supported where every interval lies in [low, high], contradicted where a widened one lies outside it, else
    open.

    `widened` are the same figures with intervals that hold all at once; by default the figures themselves.
    """
    figures = list(figures)
    if not figures or any(isnan(figure.estimate) for figure in figures):
        return NOT_TESTABLE
    if any(figure.high < low or figure.low > high for figure in (figures if widened is None else widened)):
        return "contradicted"
    inside = all(low <= figure.low and figure.high <= high for figure in figures)
    return "supported" if inside else "inconclusive"


def _judge(
    estimate: Callable[[float], dict[str, Interval]], low: float = -inf, high: float = inf
) -> tuple[str, dict[str, Interval]]:
    """The verdict on figures that `estimate` gives at a confidence level, and those figures at 95 %."""
    figures = estimate(0.95)
    widened = estimate(1 - 0.05 / len(figures)) if len(figures) > 1 else figures
    return verdict(figures.values(), low, high, widened.values()), figures


def margins(results: Results) -> dict[str, float]:
    """The study's margins, with the defaults of `helpers.study.Margins` for those its manifest does not hold."""
    return Margins().model_dump() | results.margins


def scale_note(results: Results) -> str:
    """The sentence that says whose results these are."""
    count = tables.images_per_cell(results)
    if results.scale == "mini":
        return (
            f"These are miniatures' results: small generators and detectors trained by this project, "
            f"{count} images "
            "per cell. They show what the question looks like where everything can be rerun; they are not "
            "measurements of the public checkpoints."
        )
    if results.scale == "full":
        whose = results.manifest.get("imported", {}).get("title")
        taken = f" The scores are those of another study: {whose}." if whose else ""
        return f"These are results of the public checkpoints at full size, {count} images per cell.{taken}"
    return f"The manifest does not say at which scale this study was run; it has {count} images per cell."


def number(interval: Interval, digits: int = 2, sign: bool = False) -> str:
    """An estimate with its interval, for prose: 0.93 (0.88 to 0.96)."""
    form = f"{'+' if sign else ''}.{digits}f"

    def show(value: float) -> str:
        return format(value + 0.0 if round(value, digits) else 0.0, form).replace("-", "\N{MINUS SIGN}")

    return f"{show(interval.estimate)} ({show(interval.low)} to {show(interval.high)})"


def listed(parts: Sequence[str]) -> str:
    """Parts joined as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1] if parts else ""]))


def _missing(what: str) -> Finding:
    return Finding(NOT_TESTABLE, f"This study cannot say: it has no {what}.", {})


def _title(key: str) -> str:
    for catalogue in (GENERATORS, DETECTORS):
        if key in catalogue:
            return catalogue[key].title
    return PRECISIONS.get(key, key)


def _base(results: Results) -> str:
    return _title(results.baseline)


def _accuracies(
    results: Results, generators: Sequence[str], precisions: Sequence[str], detectors: Sequence[str]
) -> Callable[[float], dict[str, Interval]]:
    """Accuracy of each named cell that was run, by confidence level."""
    cells = {
        f"{_title(d)} on {_title(g)} at {_title(p)}": results.logits(d, g, p).to_numpy() > results.threshold
        for g in generators for p in precisions for d in detectors
    }  # fmt: skip
    cells = {name: called for name, called in cells.items() if len(called)}
    return lambda level: {name: metrics.wilson(int(c.sum()), len(c), level) for name, c in cells.items()}


Pairs = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def _pairs(results: Results, generator: str, cells: dict[str, tuple[str, str]]) -> Pairs:
    """Baseline logits, other logits and index of each named (detector, precision) that was run."""
    found = {name: tables.pairs(results, d, generator, p) for name, (d, p) in cells.items()}
    return {name: pair for name, pair in found.items() if len(pair[0])}


def _extreme(figures: dict[str, Interval], lowest: bool = True) -> str:
    return (min if lowest else max)(figures, key=lambda name: figures[name].estimate)


def _present(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    return [key for key in wanted if key in there]


def overview(results: Results) -> Finding:
    """All cells at once: the range of accuracy and the mean change from FP32 to the lowest precision of the deck."""
    table = tables.cells(results)
    best, worst = table.loc[table.tpr.idxmax()], table.loc[table.tpr.idxmin()]
    span = (
        f"Over {len(table)} cells accuracy runs from {_cell(worst)} to {_cell(best)}."
        if worst.tpr < best.tpr
        else f"Every one of the {len(table)} cells has the same accuracy, {best.tpr:.2f}."
    )
    change = _mean_change(results, results.detectors)
    if isnan(change.estimate):
        return Finding(NOT_TESTABLE, span, {})
    shown = number(change, 3, sign=True)
    mean = f" Averaged over generators and detectors, FP4 changes accuracy by {shown} against {_base(results)}."
    return Finding("", span + mean, {"mean change at FP4": change})


def _cell(row: pd.Series) -> str:
    interval = Interval(row.tpr, row.tpr_low, row.tpr_high)
    return f"{number(interval)} for {row.detector_title} on {row.generator_title} at {row.precision_title}"


def detectable(results: Results) -> Finding:
    """C2: SDXL and Flux are highly detectable across all precisions."""
    return _stay_high(results, results.precisions, "at every precision")


def robust(results: Results) -> Finding:
    """C9: Flux.1 and SDXL stay above 95 % accuracy even at FP4."""
    return _stay_high(results, ["fp4"], "at FP4")


def _stay_high(results: Results, precisions: Sequence[str], where: str) -> Finding:
    high = margins(results)["high"]
    judged, figures = _judge(_accuracies(results, ["sdxl", "flux1"], precisions, results.detectors), low=high)
    names = listed([_title(key) for key in _present(["sdxl", "flux1"], results.generators)])
    if not figures:
        return _missing(f"cells of SDXL or Flux.1 {where}")
    worst = min(figures, key=lambda name: figures[name].estimate)
    above = sum(figure.low >= high for figure in figures.values())
    below = sum(figure.high < high for figure in figures.values())
    sentence = (
        f"Of the {len(figures)} accuracies on {names} {where}, {above} lie above {high:.2f} with "
        "their whole interval, "
        f"{below} below and {len(figures) - above - below} across it; the lowest is "
        f"{number(figures[worst])}, {worst}."
    )
    return Finding(judged, sentence, figures)


def challenging(results: Results) -> Finding:
    """C3: SD1.5 is challenging for modern detectors (NPR)."""
    limit = margins(results)["challenging"]
    judged, figures = _judge(_accuracies(results, ["sd15"], [results.baseline], ["npr"]), high=limit)
    if not figures:
        return _missing(f"scores of NPR on SD1.5 at {_base(results)}")
    figure = number(next(iter(figures.values())))
    sentence = f"At {_base(results)} NPR's accuracy on SD1.5 is {figure}; it counts as challenging below {limit:.2f}."
    return Finding(judged, sentence, figures)


def drop(results: Results, generator: str, detectors: Sequence[str], precision: str = "fp4") -> Finding:
    """A significant drop: each detector's accuracy on the generator falls by more than the margin, image by image."""
    margin = margins(results)["drop"]
    pairs = _pairs(results, generator, {d: (d, precision) for d in detectors})
    if not pairs:
        return _missing(f"pairs of {_base(results)} and {_title(precision)} images of {_title(generator)}")
    called = {d: (base > results.threshold, other > results.threshold) for d, (base, other, _) in pairs.items()}
    judged, figures = _judge(
        lambda level: {d: metrics.paired_difference(*both, level) for d, both in called.items()}, high=-margin
    )
    parts = [
        f"{_title(d)}'s accuracy goes from {called[d][0].mean():.2f} to {called[d][1].mean():.2f}, a "
        "change of "
        f"{number(figure, sign=True)}"
        for d, figure in figures.items()
    ]
    sentence = (
        f"On {_title(generator)}, from {_base(results)} to {_title(precision)}, {listed(parts)}. A loss counts as "
        "a drop when all "
        f"of its interval is beyond {margin:.2f}."
    )
    return Finding(judged, sentence, figures)


def anomaly(results: Results) -> Finding:
    """C4: SD3 at FP4 shows a significant drop in accuracy for the end-to-end detectors."""
    return drop(results, "sd3", _present(END_TO_END, results.detectors))


def feature_based(results: Results) -> Finding:
    """C5: on SD3 at FP4 R50_TF stays above 0.9."""
    limit = margins(results)["robust"]
    judged, figures = _judge(_accuracies(results, ["sd3"], ["fp4"], ["r50_tf"]), low=limit)
    if not figures:
        return _missing("scores of R50_TF on SD3 at FP4")
    figure = number(next(iter(figures.values())))
    sentence = f"R50_TF's accuracy on SD3 at FP4 is {figure}; the deck has it above {limit:.2f}."
    return Finding(judged, sentence, figures)


def _shifts(results: Results, detector: str, generator: str, precisions: Sequence[str]) -> Callable:
    """Paired logit shifts in standard deviations of the FP32 logits, by precision, at a confidence level."""
    pairs = _pairs(results, generator, {p: (detector, p) for p in precisions})
    return lambda level: {p: tables.standard_shift(*pair, confidence=level) for p, pair in pairs.items()}


def shift(results: Results, detector: str = "npr", generator: str = "sd3") -> Finding:
    """C7: at FP8 and FP4 the scores move to the left, into false negatives."""
    least = margins(results)["shift"]
    wanted = _present(["fp8", "fp4"], results.precisions)
    judged, figures = _judge(_shifts(results, detector, generator, wanted), high=-least)
    if not figures:
        return _missing(f"pairs of {_title(detector)} scores on {_title(generator)} at FP8 or FP4")
    parts = [f"{number(figure, sign=True)} at {_title(p)}" for p, figure in figures.items()]
    sentence = (
        f"{_title(detector)}'s logits on {_title(generator)} shift, in standard deviations of the "
        f"{_base(results)} scores, by "
        f"{listed(parts)}; at least {least:.2f} to the left counts as a shift."
    )
    return Finding(judged, sentence, figures)


def overlap(results: Results, detector: str = "r50_tf", generator: str = "sd3") -> Finding:
    """C8: the densities overlap across precisions."""
    most = margins(results)["overlap"]
    wanted = [p for p in results.precisions if p != results.baseline]
    judged, figures = _judge(_shifts(results, detector, generator, wanted), low=-most, high=most)
    if not figures:
        return _missing(f"pairs of {_title(detector)} scores on {_title(generator)}")
    widest = max(figures, key=lambda p: abs(figures[p].estimate))
    sentence = (
        f"Of {_title(detector)}'s shifts on {_title(generator)} the largest is "
        f"{number(figures[widest], sign=True)} "
        f"standard deviations of the {_base(results)} scores, at {_title(widest)}; up to {most:.2f} either way "
        "counts as an overlap."
    )
    return Finding(judged, sentence, figures)


def legacy(results: Results) -> Finding:
    """C10: modern detectors (NPR) do worse on the older, low-resolution SD1.5 than on what came after it."""
    margin = margins(results)["drop"]
    newer = [key for key in results.generators if key in GENERATORS and key not in ("sd15", "sd21")]
    old = results.logits("npr", "sd15", results.baseline)
    recent = [results.logits("npr", key, results.baseline) for key in newer]
    recent = [series for series in recent if len(series)]
    if not len(old) or not recent:
        return _missing(f"scores of NPR at {_base(results)} on both SD1.5 and newer generators")
    pooled = pd.concat(recent)
    rates = [metrics.wilson(int((s > results.threshold).sum()), len(s)) for s in (pooled, old)]
    figure = metrics.independent_difference(*rates)
    sentence = (
        f"At {_base(results)} NPR finds {number(rates[1])} of SD1.5's images and {number(rates[0])} of those of the "
        f"{len(recent)} newer generators, a difference of {number(figure, sign=True)}; a deficit "
        "counts when all of its "
        f"interval is beyond {margin:.2f}."
    )
    return Finding(verdict([figure], high=-margin), sentence, {"SD1.5 minus newer": figure})


def families(results: Results) -> Finding:
    """C11: the end-to-end detectors are less robust to FP4 than the feature-based ones, over all generators."""
    margin = margins(results)["drop"]
    groups = [_present(group, results.detectors) for group in (END_TO_END, FROZEN)]
    changes = [_mean_change(results, group) for group in groups]
    figure = _mean_change(results, *groups)
    if isnan(figure.estimate):
        return _missing(f"pairs of {_base(results)} and FP4 images for both kinds of detectors")
    sentence = (
        f"From {_base(results)} to FP4 accuracy, averaged over generators, changes by "
        f"{number(changes[0], 3, sign=True)} for "
        f"end-to-end detectors and {number(changes[1], 3, sign=True)} for feature-based ones; the "
        "difference is "
        f"{number(figure, 3, sign=True)}, and less robust means all of its interval beyond {margin:.2f}."
    )
    return Finding(verdict([figure], high=-margin), sentence, {"end-to-end minus feature-based": figure})


def _mean_change(results: Results, detectors: Sequence[str], against: Sequence[str] = ()) -> Interval:
    """Mean change of verdict from FP32 to FP4, minus the same of `against`; prompts are resampled whole.

    Each generator and detector has the same weight, whatever its number of images.
    """
    values, index, weights = [], [], []
    for group, sign in ((detectors, 1.0), (against, -1.0)):
        rows = [tables.pairs(results, d, g, "fp4") for g in results.generators for d in group]
        rows = [row for row in rows if len(row[0])]
        if group and not rows:
            return metrics.UNKNOWN
        for base, other, prompts in rows:
            values.append(1.0 * (other > results.threshold) - (base > results.threshold))
            index.append(prompts)
            weights.append(np.full(len(prompts), sign / len(rows) / len(prompts)))
    if not values or not detectors:
        return metrics.UNKNOWN
    return metrics.bootstrap_sum(np.concatenate(values) * np.concatenate(weights), np.concatenate(index))


def grid(results: Results) -> str:
    """The sentence that says what was run: generators, precisions, images, detectors, and what was left out."""
    fakes = results.scores[results.scores.label == 1]
    made = fakes.groupby(["generator", "precision"], observed=True)["index"].nunique()
    reals = results.scores[results.scores.label == 0]
    per_size = reals.groupby(["size", "detector"], observed=True)["index"].nunique()
    cells, all_cells = len(made), len(results.generators) * len(results.precisions)
    whole = "every cell was run" if cells == all_cells else f"{all_cells - cells} cells are missing"
    counted = int(per_size.groupby("size").max().sum()) if len(per_size) else 0
    return (
        f"{len(results.generators)} generators at {len(results.precisions)} precisions make {cells} "
        "cells with "
        f"{int(made.sum()):,} generated images in all; {counted:,} real images stand against them, and "
        f"{len(results.detectors)} detectors judge each. Of the grid, {whole}."
    )


def null(results: Results) -> str:
    """The sentence that sets the null control's spread beside the coarsest precision's, detector by detector."""
    settings = results.manifest.get("study", {}).get("arms") or {}
    placebo = next((name for name, arm in settings.items() if arm.get("batch_size")), "")
    found = arms.spreads(results)
    last = results.precisions[-1]
    if found.empty or placebo not in set(found.arm) or last == results.baseline:
        return (
            "This study has no null control, so what a change that should not matter does to its scores is not known."
        )
    rows = {key: found[(found.arm == key) & (found.precision == p)] for key, p in (
        (placebo, results.baseline), (results.arm, last),
    )}  # fmt: skip
    both = rows[placebo].merge(rows[results.arm], on="detector_title", suffixes=("", "_last"))
    parts = [f"{row.detector_title} {row.spread:.4f} against {row.spread_last:.2f}" for row in both.itertuples()]
    turned, images = int((rows[placebo].changed * rows[placebo].n).round().sum()), int(rows[placebo].n.sum())
    return (
        f"Paired logits change by this much (standard deviation) under the null control, against {PRECISIONS[last]}:"
        f" {listed(parts)}. The null control turns {turned} of {images} verdicts."
    )


def cost_note(results: Results) -> str:
    """The sentence under the costs: on which device, and how many images were rejected for which reasons."""
    table = tables.costs(results)
    if table.empty or not any(table.device):
        return "What the cells cost was not recorded."
    devices = listed(sorted(set(table.device)))
    rejected = int(table.rejected.sum())
    why = listed(sorted({reason for reason in table.rejected_why if reason}))
    lost = f"{rejected} images were rejected ({why})." if rejected else "No image was rejected."
    return f"Measured on {devices}, as it came: the machine did other work too. {lost}"
