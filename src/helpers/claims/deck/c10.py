"""C10: NPR does poorly on the older generator, SD1.5."""

from __future__ import annotations

import functools

import pandas as pd

from helpers.analysis.stats import metrics
from helpers.analysis.words import counted, named, number
from helpers.claims.claim import Claim, World
from helpers.claims.figures import Figure, accuracies, finding_of, missing
from helpers.claims.rule import Finding, margins
from helpers.generators.catalogue import GENERATORS
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """Modern detectors (NPR) do poorly on the older SD1.5, and worse than on what came after it."""
    base = named(results.baseline)
    limits = margins(results)
    newer = [key for key in results.generators if key in GENERATORS and key not in ("sd15", "sd21")]
    figures = accuracies(results, ["sd15"], [results.baseline], ["npr"], high=limits["challenging"])
    recent = [results.logits("npr", key, results.baseline) for key in newer]
    recent = [series for series in recent if len(series)]
    if not figures or not recent:
        return missing(f"scores of NPR at {base} on both SD1.5 and newer generators")
    rate = functools.partial(metrics.rate, metrics.verdicts(pd.concat(recent), results.threshold_of("npr")))
    (old,) = figures.values()
    figures["SD1.5 minus newer"] = Figure(
        lambda level: metrics.independent_difference(rate(level), old.at(level)), old.n, high=-limits["drop"],
        unjudged=old.unjudged,
    )  # fmt: skip
    return finding_of(
        figures,
        lambda shown, worst: (
            f"At {base} NPR finds {number(old.at(0.95))} of SD1.5's images and {number(rate(0.95))} of those of the "
            f"{counted(len(recent), 'newer generator').removeprefix('1 ')}, a difference of "
            f"{number(shown['SD1.5 minus newer'], sign=True)}."
        ),
    )


CLAIM = Claim(
    id="C10",
    part="",
    words="Modern detectors (NPR) do poorly on older, lower-resolution generators (SD1.5).",
    short="NPR does poorly on older generators",
    quantity="accuracy of NPR at FP32 on SD1.5, and its difference to the four newer generators",
    rule=("Poorly means at most {challenging:.2f}, and a deficit of more than {drop:.2f}, with each whole interval."),
    margins=(
        "challenging",
        "drop",
    ),
    page="06_legacy_sd15",
    anchor="figure-legacy",
    judge=judge_claim,
    true_world=World({("npr", "sd15", None): -4.5}),
    false_world=World(),
    headline=True,
)
