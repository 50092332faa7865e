"""How long the analysis of a whole study takes, beside the same bootstrap as a loop over images and resamples.

    python benchmarks/analyse.py [RESULTS]      default results/mini

The loop is what one would write first: for each cell and resample, draw prompts, hand the images to scikit-learn.
It is run on a few cells with a few resamples in the same process and scaled up to the same work; nothing else is.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_curve

from helpers import analysis, claims
from helpers.analysis import controls, paired
from helpers.paper import sentences

RESAMPLES = 2000
CELLS, DRAWS = 3, 20  # of the loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default="results/mini")
    study = analysis.load(parser.parse_args().results)
    tasks: dict[str, Callable[[], object]] = {
        "cells, every figure with its interval": lambda: analysis.cells(study, resamples=RESAMPLES),
        "paired effects and controls": lambda: paired.paired_effects(study, resamples=RESAMPLES),
        "further than the controls": lambda: paired.beyond(study, resamples=RESAMPLES),
        "other trainings": lambda: analysis.trainings(study),
        "other protocols and trainings": lambda: analysis.conditions(study),
        "arms beside the main one": lambda: (controls.spreads(study), controls.weight_audits(study)),
        "claims": lambda: claims.evaluate(study),
        "claims under every condition": lambda: claims.by_condition(study),
        "densities": lambda: analysis.densities(study),
        "sentences": lambda: (sentences.overview(study), sentences.null(study), sentences.grid(study)),
    }
    taken = {name: _seconds(task) for name, task in tasks.items()}
    for name, (seconds, busy) in taken.items():
        print(f"{seconds:7.2f} s  ({busy:.2f} s of a processor)  {name}")
    cells = len(study.generators) * len(study.precisions) * len(study.detectors)
    loop = _loop(study) / (CELLS * DRAWS) * cells * RESAMPLES
    wall, busy = (sum(column) for column in zip(*taken.values(), strict=True))
    print(f"{wall:7.2f} s  ({busy:.2f} s of a processor)  in all: {cells} cells, {RESAMPLES} resamples")
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{loop:7.0f} s  the cells' curves alone as a loop ({CELLS} cells, {DRAWS} resamples, scaled up)")
    print(f"{loop / taken['cells, every figure with its interval'][1]:7.0f} x  the loop against the cells as done here")


def _seconds(task: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of a processor, which other work on the machine does not lengthen."""
    start, busy = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - start, time.process_time() - busy


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
