"""Controls of the detectors: what tells fakes from renders with no detector's training behind it, on the same images.

A detector that finds no more than these has learnt no more than a picture's plain numbers, or any set of filters,
show. Beside them stand the towers that were tried for CLIP-D (`towers`). All are trained and tested on the FP32 images
that the detectors are; nothing here is shipped but the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from helpers import detectors
from helpers.core.files import replacing
from helpers.mini.measures import plain_facts
from helpers.mini.training import samples, towers
from helpers.mini.training.detectors import TRAININGS, Data, Fakes, Reals, Task, at_zero, learn, on_generators

__all__ = ["CONTROLS", "TABLE", "evaluate", "plain", "random_tower"]

#: Name of the table beside the models.
TABLE = "controls.csv"

#: The detector whose head and statistics the random tower is read by.
PROBE = "patch_probe"

#: AUC, TPR and TNR by generator.
Measures = dict[str, dict[str, float]]


def plain(task: Task, work: Path, device: str = "cpu") -> Measures:
    """A logistic regression on seven plain numbers of a picture: `measures.plain_facts`, standardized."""
    train, validation = (_facts(task.data[split]) for split in ("train", "validation"))
    features = np.concatenate([np.concatenate(pair) for pair in train.values()])
    labels = np.concatenate([np.repeat([1, 0], [len(fake), len(real)]) for fake, real in train.values()])
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)
    return at_zero({key: tuple(head.decision_function(side) for side in pair) for key, pair in validation.items()})


def _facts(pairs: Data) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By generator the plain facts of its fakes and of its reals, (N, 7) each."""
    return pairs.logits(lambda images: np.concatenate([plain_facts(np.asarray(image)[None]) for image in images]))


def random_tower(task: Task, work: Path, device: str = "cpu") -> Measures:
    """The patch probe, learnt as ever, on a tower of the same architecture with random weights."""
    drawn = replace(task, frozen=_random(task.seed), whole=True)
    path = learn(drawn, Path(work) / f"control-{task.facts['weights']}.safetensors", work, device=device)
    found: Measures = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["validation"]
    return found


def _tried(name: str, task: Task, work: Path, device: str = "cpu") -> Measures:
    """A linear head on the class token of a tower that was tried for CLIP-D."""
    return towers.head(name, task, work, device)


def _random(seed: int) -> Mapping[str, Tensor]:
    """The state of a tower as it is before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = detectors.build(PROBE, "mini").state_dict()
    return {key: value for key, value in state.items() if key.startswith("visual.")}


#: Control -> (task, work, device) -> its measures on the task's validation images.
CONTROLS: Mapping[str, Callable[[Task, Path, str], Measures]] = MappingProxyType(
    {"random_tower": random_tower, "plain_facts": plain} | {name: partial(_tried, name) for name in towers.TRIED}
)


def evaluate(
    work: Path,
    out: Path,
    device: str = "cpu",
    *,
    fakes: Fakes = samples.fakes,
    reals: Mapping[bool, Reals] = MappingProxyType({False: samples.reals, True: samples.aligned}),
    images: Mapping[str, int] = MappingProxyType({}),
) -> pd.DataFrame:
    """Train each control as the first seed of each kind of training of the probe is; write out/controls.csv.

    Args:
        work: folder of what is unfinished. out: models/mini.
        fakes: source of the generators' images. reals: of what stands beside them, by whether it is aligned.
        images: images per class by split, in place of the recipe's.

    Returns:
        one row per control, training and generator: control, weights, generator, auc, tpr, tnr (validation images).
    """
    rows = []
    for label, of in TRAININGS.items():
        if of.seed or PROBE not in of.detectors:
            continue
        task = on_generators(PROBE, fakes, reals[of.aligned], out, of, label, images)
        for control, run in CONTROLS.items():
            found = run(task, work, device)
            rows += [{"control": control, "weights": label, "generator": key} | own for key, own in found.items()]
    table = pd.DataFrame(rows).round(4)
    with replacing(Path(out) / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    return table
