"""C9, loss: FP4 costs Flux.1 and SDXL no accuracy."""

from __future__ import annotations

from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number
from helpers.claims.claim import FALL, Claim, Reads, World
from helpers.claims.figures import finding_of, known_figures, losses, missing, present
from helpers.claims.rule import Finding, margins
from helpers.results import Results

__all__ = ["CLAIM"]


def judge_claim(results: Results) -> Finding:
    """FP4 costs Flux.1 and SDXL no accuracy."""
    base = named(results.baseline)
    figures = losses(results, ["sdxl", "flux1"], results.detectors, low=-margins(results)["drop"])
    if not figures:
        return missing(f"pairs of {base} and FP4 images of SDXL or Flux.1")
    names = listed([named(key) for key in present(["sdxl", "flux1"], results.generators)])

    def sentence(shown: dict[str, Interval], worst: str) -> str:
        shown = known_figures(shown)
        change = f"{number(shown[worst], sign=True)}, {worst}"
        if len(shown) == 1:
            return f"From {base} to FP4 the detection rate changes by {change}."
        among = f"{len(shown)} on {names}"
        return f"From {base} to FP4 the largest loss of detection rate among {among} is a change of {change}."

    return finding_of(figures, sentence)


CLAIM = Claim(
    id="C9",
    part="loss",
    words=("Flux.1 and SDXL are robust: their fingerprints are stronger than the noise reduction of quantization."),
    short="They are robust to FP4",
    quantity="paired change of the detection rate on SDXL and Flux.1 from FP32 to FP4, every detector",
    rule="Robust means that each whole interval is a loss of less than {drop:.2f}, whatever the rate was.",
    margins=("drop", "adequate", "ceiling"),
    page="05_flux_sdxl_robustness",
    anchor="at-each-precision",
    judge=judge_claim,
    reads=Reads(FALL, generators=("sdxl", "flux1")),
    formats=("fp4",),
    true_world=World(),
    false_world=World({("clip_d", "flux1", "fp4"): -6.0}),
)
