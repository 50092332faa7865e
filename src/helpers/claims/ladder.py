"""Whether error or bits predicts an unseen format: the ladder"s sentences and their verdict."""

from __future__ import annotations

import numpy as np

from helpers.analysis import image_traces, words
from helpers.analysis.dose_response import FORMATS, contrasts, ladder_arm, off_zero, relations, weight_errors
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import number
from helpers.claims.rule import Finding
from helpers.results.results import Results, titles

__all__ = ["detail", "follows"]


def detail(results: Results) -> str:
    """The sentence that says what each format does to the images' fine detail, in the order of its weight error."""
    arm, errors = ladder_arm(results), weight_errors(results)
    mean = {key: np.mean([error for (_, p), error in errors.items() if p == key] or [np.inf]) for key in FORMATS}
    found = (
        {key: image_traces.pooled(results, "high", key, arm) for key in sorted(FORMATS, key=mean.__getitem__)}
        if arm
        else {}
    )
    parts = [
        f"{words.percent(figure)} at {titles(precision=key)['precision_title']}"
        for key, figure in found.items()
        if not np.isnan(figure.estimate)
    ]
    if not parts:
        return "What the formats do to fine detail was not measured in this study."
    ends = parts if len(parts) < 4 else [*parts[:1], *parts[-3:]]
    return f"From the smallest error to the largest, the energy above half Nyquist changes by {', '.join(ends)}."


def follows(results: Results) -> Finding:
    """The plain answer: does detection follow the number of bits, the weight error, or the format?

    Error or bits: whichever predicts a format from the others better, where the 95 % interval of the difference lies on
    one side of 0. Comparisons at equal bits are made with intervals widened for their number (Bonferroni): one
    that differs from 0 shows that bits are not all, one that differs from what the symmetric integers' curve makes of
    the errors that error is not all. No verdict: the deck makes no claim here.
    """
    table = relations(results)
    if table.empty:
        return Finding("", "This study has no ladder of formats, so what detection follows is not known.", {})
    whole = table.iloc[0]
    names = ("rank_error", "rank_bits", "miss_error", "miss_bits", "gain_error")
    figures = {name: Interval(*(whole[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in names}
    gain = figures["gain_error"]
    better = (
        "follows the weight error more closely than the number of bits" if gain.low > 0
        else "follows the number of bits more closely than the weight error" if gain.high < 0
        else "follows bits and weight error about equally"
    )  # fmt: skip
    sentence = (
        f"Along the ladder detection {better}. A format's shift was predicted from those of the other formats: by "
        f"weight error the prediction misses by {number(figures['miss_error'])} standard deviations, by bits by "
        f"{number(figures['miss_bits'])}. The difference is {number(gain, 3, sign=True)}."
    )
    return Finding("", f"{sentence} {_at_equal_bits(results)}".strip(), figures)


def _at_equal_bits(results: Results) -> str:
    """The sentence on the comparisons at equal bits, detector by detector; "" where there are none."""
    pairs = contrasts(results)
    if pairs.empty:
        return ""
    count = int((pairs.detector != "").sum())
    pairs = contrasts(results, 1 - 0.05 / count)
    pairs = pairs[pairs.detector != ""]
    differ, beyond = off_zero(pairs, "difference"), off_zero(pairs, "beyond")
    told = f"At equal bits {len(differ)} of {count} comparisons of two formats by a detector differ from 0, by "
    told += "intervals that hold for all of them at once (Bonferroni)"
    told += f". {len(beyond)} differ by more or less than the errors of the two formats account for"
    if len(beyond):
        most = beyond.loc[beyond.beyond.abs().idxmax()]
        figure = Interval(most.beyond, most.beyond_low, most.beyond_high)
        told += (
            f" (the furthest: {most.first_title} less {most.second_title} for {most.detector_title}, "
            f"{number(figure, sign=True)} standard deviations beyond it)"
        )
    rule = {
        (True, True): "neither the bits nor the error decide alone: the format counts too",
        (True, False): "bits do not decide alone, and the error accounts for what they leave",
        (False, False): "nothing speaks against bits or error",
        (False, True): "the errors differ where detection does not: bits are enough",
    }[bool(len(differ)), bool(len(beyond))]
    return f"{told}. So {rule}."
