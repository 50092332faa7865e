"""C10: NPR does poorly on the older generator, SD1.5."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from helpers.analysis.effects import rate, rate_less
from helpers.analysis.stats.in_all import CHANGE
from helpers.analysis.words import counted, named, number
from helpers.claims.claim import LEVEL, Claim, Reads, World
from helpers.claims.figures import accuracies, finding_of, missing
from helpers.claims.rule import Finding, margins
from helpers.generators.catalogue import GENERATORS
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """Modern detectors (NPR) do poorly on the older SD1.5, and worse than on what came after it."""
    base = named(results.baseline)
    limits = margins(results)
    figures = accuracies(results, ["sd15"], [results.baseline], ["npr"], high=limits["challenging"])
    newer = [key for key in results.generators if key in GENERATORS and key not in ("sd15", "sd21")]
    newer = [key for key in newer if len(results.logits("npr", key, results.baseline))]
    if not figures or not newer:
        return missing(f"scores of NPR at {base} on both SD1.5 and newer generators")
    ((name, old),) = figures.items()
    recent = replace(old, of=lambda other: rate(other, "npr", newer, results.baseline), high=inf)
    figures["SD1.5 minus newer"] = replace(
        old, of=lambda other: rate_less(other, "npr", "sd15", newer, results.baseline), high=-limits["drop"],
        bounds=CHANGE, general=CLAIM.general,
    )  # fmt: skip
    return finding_of(
        figures,
        lambda shown, worst: (
            f"At {base} NPR finds {number(shown[name])} of SD1.5's images and {number(recent.in_all())} of those of "
            f"the {counted(len(newer), 'newer generator').removeprefix('1 ')}. The difference is "
            f"{number(shown['SD1.5 minus newer'], sign=True)}."
        ),
    )


CLAIM = Claim(
    id="C10",
    part="",
    words="Modern detectors (NPR) do poorly on older, lower-resolution generators (SD1.5).",
    short="NPR does poorly on older generators",
    quantity="detection rate of NPR at FP32 on SD1.5, and its difference to the four newer generators",
    rule=("Poorly means at most {challenging:.2f}, and a deficit of more than {drop:.2f}, with each whole interval."),
    margins=("challenging", "drop", "adequate"),
    page="06_legacy_sd15",
    anchor="generators-side-by-side",
    judge=judge_claim,
    reads=Reads(LEVEL, groups=(("npr",),)),
    training="mini-sdxl",
    because="the public NPR, of which the deck speaks, saw fakes of SDXL and none of SD1.5",
    formats=(),
    general=True,  # of those that came after SD1.5, which it names
    true_world=World({("npr", "sd15", None): -4.5}),
    false_world=World(),
    headline=True,
)
