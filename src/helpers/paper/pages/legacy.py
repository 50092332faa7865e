"""What notebook 06 says of a study: whether a deficit can be told to be the training's or the generator's."""

from __future__ import annotations

from helpers.analysis.conditions import trainings_of
from helpers.paper.prose import Source
from helpers.results.results import Results

__all__ = ["trainings_note"]

ONE = (
    "Whether a deficit comes from what a detector was trained on or from the generator's own images, one training "
    "cannot tell."
)
UNSEEN = (
    "In *mini* a detector has seen fakes of all the generators it is tested on. In *mini-sdxl* it has seen those of "
    "SDXL alone, which is the deck's explanation put to the test: what it loses there against *mini* is owed to what "
    "it has not seen. The public detectors saw SDXL and StyleGAN 2 [Dell'Anna et al., "
    "2025](https://arxiv.org/abs/2504.20658); that detectors are to be tested on generators younger than their "
    "training is the point of AI-GenBench [Pellegrini et al., 2025](https://arxiv.org/abs/2504.20865), while here the "
    "unseen ones are older."
)


def trainings_note(results: Results) -> Source:
    """The sentences on what the study's trainings have seen, as far as they bear on a deficit."""
    labels = {label for _, label, _ in trainings_of(results)}
    return Source(f"{ONE} {UNSEEN}" if "mini-sdxl" in labels else ONE)
