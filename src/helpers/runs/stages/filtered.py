"""Score images whose spectrum was changed: is it the missing fine detail that moves the detectors?

counterfactuals.parquet has the columns of scores.parquet (`image_sha256` is that of the untreated image) and

treatment
    "sham"        images of either precision through the same transform with gain 1: the pixels stay, and so must the
                  logits
    "matched"     images at the baseline with the gain that gives them the lowest precision's mean radial spectrum,
                  above 1 where that has more
    "attenuated"  the same, with no gain above 1: only what the lowest precision has lost
    "halved"      images at the baseline that lose half the power above half Nyquist's frequency: what a smoothing
                  filter would do
    "restored"    images at the lowest precision with the gain that gives them the baseline's mean radial spectrum
    "decoded"     reals passed through the generator's VAE (arm: the generator), untreated: what its decoder alone does

The lowest precision is the coarsest of the main arm's that is not the baseline. All are scored as the study scores:
under each of its protocols by the training that the protocol asks for; "decoded" under `plain` alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pandas as pd
from PIL import Image

from helpers import detectors as detection
from helpers.core.columns import TABLES
from helpers.images import spectra
from helpers.images.protocols import shared, weights_for
from helpers.runs.digests import scoring_digest
from helpers.runs.plan import REAL, Plan, Scoring, Source
from helpers.runs.progress import each
from helpers.runs.stages import cache
from helpers.runs.store import Store

__all__ = ["METHOD", "gain", "halving", "write"]

TABLE = "counterfactuals.parquet"
#: To be raised when a treatment or its scoring changes here: what was scored by another number is scored again.
METHOD = 1


def write(plan: Plan, store: Store, *, device: str = "cpu", progress: bool = True) -> bool:
    """Write counterfactuals.parquet for each generator measured at both precisions; says whether anything is new.

    It needs spectra.parquet (see `runs.stages.spectra`). What was scored of the same pixels, with the same gains and
    weights, is kept. Raises UsageError where the study's detectors are not there.
    """
    if not (store.folder / "spectra.parquet").is_file():
        return cache.publish(store, {TABLE: []})
    measured = store.table("spectra.parquet", [*cache.CELL, "radial"])
    digests = cache.scored(store)
    loaded = functools.cache(functools.partial(detection.load, device=device))
    method = "/".join([f"filtered {spectra.METHOD}.{METHOD}", *map(scoring_digest, _scorings(plan))])
    parts = []
    for key in each(plan.references, "counterfactuals", progress, "generators"):
        for treatment, source, gain in _work(plan, key, measured):
            of = digests.get(source, pd.Series(dtype=str))
            made_of = [method, treatment, *of, *map("{:.5f}".format, gain)]
            make = functools.partial(_scored, _scorings(plan), store, treatment, source, of, gain, loaded)
            parts.append(cache.cached(store, f"counterfactuals/{source.folder}/{treatment}", made_of, make))
    return cache.publish(store, {TABLE: parts})


def _scorings(plan: Plan) -> list[Scoring]:
    """The study's protocols, each with its own training; further trainings are left out."""
    return [one for one in plan.scorings if one.weights == weights_for(one.protocol, plan.weights)]


def _work(plan: Plan, key: str, measured: pd.DataFrame) -> list[tuple[str, Source, np.ndarray]]:
    """Each treatment of a generator's images: its name, the source of the images, the gain per radial frequency."""
    size = plan.references[key].source.size
    flat = np.ones(size // 2 + 1)
    work = [("decoded", Source(REAL, "none", key, size, 0), flat)]
    if plan.lowest is None:
        return work
    before, after = (Source(key, precision, plan.arm, size, 1) for precision in (plan.baseline, plan.lowest))
    curves = [_curve(measured, source) for source in (before, after)]
    if all(curve is not None for curve in curves):
        towards = gain(*curves)
        work += [("sham", before, flat), ("matched", before, towards), ("attenuated", before, np.minimum(towards, 1))]
        work += [("halved", before, halving(size)), ("sham", after, flat), ("restored", after, 1 / towards)]
    return work


def _curve(measured: pd.DataFrame, source: Source) -> np.ndarray | None:
    """The mean radial spectrum (S/2 + 1,) of a source's images, in dB; None where it was not measured."""
    own = (measured[list(cache.CELL)] == list(astuple(source))).all(axis=1)
    return np.stack(measured.loc[own, "radial"]).mean(axis=0) if own.any() else None


def gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Factor (B,) of the amplitude at each radial frequency that turns the spectrum `before` (B,) in dB into `after`.

    The mean of an image is no part of its spectrum, so bin 0 keeps what it has.
    """
    return np.concatenate([[1.0], 10 ** ((after - before)[1:] / 20)])


def halving(size: int) -> np.ndarray:
    """Gain (S/2 + 1,) that takes half the power above half Nyquist's frequency, over a slope of four bins."""
    return np.interp(np.arange(size // 2 + 1), [size / 4 - 2, size / 4 + 2], [1.0, np.sqrt(0.5)])


def _scored(
    scorings: list[Scoring],
    store: Store,
    treatment: str,
    source: Source,
    digests: pd.Series,
    gain: np.ndarray,
    loaded: Callable[[str, str], detection.Detector],
) -> pd.DataFrame | None:
    batches = cache.read_verified(store, source, digests) if len(digests) else None
    if batches is None:
        return None
    images = {
        int(index): Image.fromarray(one)
        for pixels, indices in batches
        for index, one in zip(indices, spectra.filtered(pixels, gain), strict=True)
    }
    cell = dict(zip(cache.CELL, astuple(source), strict=True))
    cell |= {"index": digests.index, "image_sha256": digests.to_numpy(), "treatment": treatment}
    frames = []
    for scoring in scorings:
        if treatment == "decoded" and scoring.protocol != "plain":
            continue
        level = scoring.level
        seen = {
            store.image(source, index): image if level is None else shared(image, index, level)
            for index, image in images.items()
        }
        how = {"protocol": scoring.protocol, "detector": scoring.detector, "weights": scoring.label}
        (logits,) = cache.logits([loaded(scoring.detector, scoring.weights)], seen)
        frames.append(pd.DataFrame(cell | how | {"logit": logits}))
    return pd.concat(frames, ignore_index=True)[list(TABLES[TABLE].names)]
