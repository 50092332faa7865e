"""How long the analysis of a whole study takes: what all notebooks compute from one archive, in one process.

    python benchmarks/analyse.py [RESULTS] [--save FILE]      default results/mini
    python benchmarks/archive.py FOLDER                       makes one of the size of the mini study, to run it on

Each stage is what one or two notebooks ask for; what they share is computed once, by the first that asks. Drawing is no
part of it. `--save` keeps all tables and sentences, so that those of two versions can be compared. Beside them stands
the same bootstrap as a loop over images and resamples, what one would write first: for each cell and resample, draw
prompts, hand the images to scikit-learn. It is run on a few cells with a few resamples in the same process and scaled
up to the same work; nothing else is.

On results/mini (2,322,000 scores), with a confirmation and two other trainings of three generators beside it, one
thread (OMP_NUM_THREADS=1) of two idle cores took 17.7 s, and a loop 845 times as long for the cells. Before draws,
paired logits and thresholds were kept, 21.6 s went to 1,698,000 scores.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_curve

from helpers import analysis, claims
from helpers.analysis import (
    controls,
    decoder,
    dose,
    dose_response,
    effects,
    families,
    image_traces,
    instruments,
    inventory,
    paired,
    perturbed,
    real_ladders,
    words,
)
from helpers.claims import confirmation, ladder, retrained, smoothing
from helpers.claims import dose as doses
from helpers.claims.perturbed import perturbation_finding
from helpers.paper import facts, first_page, sentences
from helpers.paper.operating import operating_note
from helpers.paper.pages import heatmap, limits, mechanism, real_checkpoints, rules, setup

RESAMPLES = 2000
CELLS, DRAWS = 3, 20  # of the loop

Stage = Callable[[analysis.Results], object]

#: What the notebooks compute, in their order.
STAGES: dict[str, Stage] = {
    "what there is, and its limits (01)": lambda s: (
        [facts.has(s, name) for name in facts.FACTS], inventory.fakes(s), analysis.settings(s), analysis.costs(s),
        setup.grid(s), setup.crossed(s), setup.twins(s), setup.reals(s), limits.sentences(s), limits.trainings(s),
    ),
    "arms beside the main one (01)": lambda s: (
        controls.spreads(s), controls.weight_audits(s), controls.positive(s), sentences.null(s), setup.sixteen(s),
    ),
    "cells, every figure with its interval (02)": lambda s: analysis.cells(s, resamples=RESAMPLES),
    "further than the controls (02)": lambda s: (paired.beyond(s), heatmap.overview(s), heatmap.controls_note(s)),
    "other protocols and trainings (02)": analysis.conditions,
    "paired effects and controls (03, 04)": paired.paired_effects,
    "further trainings (03 to 06)": analysis.trainings,
    "densities (04)": analysis.densities,
    "cells of the explorer (02 to 06)": analysis.cells,
    "claims, nominal and at the matched dose (09)": lambda s: _plain(claims.evaluate(s)),
    "claims under every condition (09)": lambda s: (
        claims.by_condition(s), [claims.disagreement(s, of) for of in claims.evaluate(s) if of.claim.of_study],
    ),
    "operating points (02 to 06)": lambda s: [operating_note(s, of) for of in claims.evaluate(s)],
    "summary, first page, rules (09)": lambda s: (
        claims.summary(s, claims.evaluate(s)), first_page.answer(s), first_page.rule(s),
        first_page.deck_and_evidence(s, claims.evaluate(s)), rules.across(s), rules.note(s),
    ),
    "confirmation (09)": lambda s: _confirmed(s),
    "other trainings of generators (09)": lambda s: _retrained(s),
    "instruments, trainings (09)": lambda s: (instruments.by_training(s), effects.spread(s)),
    "spectra and fingerprints (07)": lambda s: (
        image_traces.curves(s), image_traces.changes(s), image_traces.levels(s), image_traces.autocorrelations(s),
        image_traces.fingerprints(s),
    ),
    "filters and the decoder (07)": lambda s: (
        image_traces.treatments(s), _plain(smoothing.predictions(s)), smoothing.smoothing_answer(s),
        smoothing.moves(s), smoothing.decoder(s).sentence, decoder.shares(s), decoder.detection(s),
        decoder.component_shifts(s),
    ),
    "ladder of formats (07)": lambda s: (
        ladder.follows(s).sentence, ladder.detail(s), dose_response.ladder(s), dose_response.relations(s),
        dose_response.contrasts(s),
    ),
    "dose and content (07)": lambda s: (
        doses.doses(s, mechanism.real_doses()), dose.doses(s), dose.responses(s), dose.content(s), dose.strata(s),
        doses.shown(s),
    ),
    "families at equal dose (07)": lambda s: (
        doses.kinds(s), families.places(s), families.by_generator(s), families.by_family(s),
    ),
    "beside real checkpoints (10)": lambda s: (
        real_ladders.pairs(), real_checkpoints.nf4_answer(s), real_checkpoints.resemblance_note(s),
        real_checkpoints.power_note(s), real_checkpoints.agreement_note(s), real_checkpoints.published_note(s),
        real_checkpoints.both(s),
    ),
    "perturbations (11)": lambda s: (
        perturbed.perturbation_effects(s), perturbation_finding(s).sentence, words.named(s.baseline),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default="results/mini")
    parser.add_argument("--save", type=Path, help="keep all tables and sentences there (a pickle)")
    asked = parser.parse_args()
    study, taken = _timed(lambda: analysis.load(asked.results))
    spent = {"loading": taken}
    found = {}
    for name, stage in STAGES.items():
        found[name], spent[name] = _timed(lambda stage=stage: stage(study))
    for name, (seconds, busy) in spent.items():
        print(f"{seconds:7.2f} s  ({busy:6.2f} s of a processor)  {name}")
    wall, busy = (sum(column) for column in zip(*spent.values(), strict=True))
    print(f"{wall:7.2f} s  ({busy:6.2f} s of a processor)  in all: {len(study.stored):,} scores, {RESAMPLES} resamples")
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if asked.save:
        asked.save.write_bytes(pickle.dumps(found))
    cells = len(study.generators) * len(study.precisions) * len(study.detectors)
    loop = _loop(study) / (CELLS * DRAWS) * cells * RESAMPLES
    print(f"{loop:7.0f} s  the cells' curves alone as a loop ({CELLS} cells, {DRAWS} resamples, scaled up)")
    own = spent["cells, every figure with its interval (02)"][1]
    print(f"{loop / own:7.0f} x  the loop against the {cells} cells as done here")


def _plain(found: object) -> object:
    """Findings and outcomes without the functions they hold, which no pickle keeps."""
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [(of.claim.key, _plain(of.finding), _plain(of.matched)) for of in found]
    return found


def _confirmed(study: analysis.Results) -> object:
    found = confirmation.compared(study, claims.evaluate(study))
    return found, confirmation.sentence(study, found)


def _retrained(study: analysis.Results) -> object:
    others = retrained.beside(study)
    found = retrained.compared(study, claims.evaluate(study), others)
    return found, retrained.sentence(study, others, found), retrained.changes(study, others)


def _timed(task: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What a task gives, and its seconds by the clock and of a processor, which other work on the machine does not
    lengthen."""
    start, busy = time.perf_counter(), time.process_time()
    found = task()
    return found, (time.perf_counter() - start, time.process_time() - busy)


def _loop(study: analysis.Results) -> float:
    rng, start = np.random.default_rng(0), time.process_time()
    for generator in study.generators[:CELLS]:
        detector = study.detectors[0]
        fake = study.logits(detector, generator, study.precisions[0])
        real = study.reals(detector, generator)
        prompts = fake.index.intersection(real.index).to_numpy()
        for _ in range(DRAWS):
            drawn = rng.choice(prompts, len(prompts))
            scores = [fake.loc[prompt] for prompt in drawn] + [real.loc[prompt] for prompt in drawn]
            labels = [1] * len(drawn) + [0] * len(drawn)
            average_precision_score(labels, scores)
            roc_curve(labels, scores)
    return time.process_time() - start


if __name__ == "__main__":
    main()
