"""The arms beside the main one: how far each moves the logits of the same images; what was measured of every cell."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from helpers.analysis import paired
from helpers.analysis.stats import metrics
from helpers.analysis.words import share
from helpers.precision.catalogue import PRECISIONS
from helpers.results.memo import once
from helpers.results.results import Results, all_arms

__all__ = [
    "differences", "exact_casts", "null_control", "positive", "scored_arms", "spreads", "turned", "weight_audits",
]  # fmt: skip


@once
def differences(results: Results) -> pd.DataFrame:
    """Logits of the main arm's and the other arms' fakes less those of the baseline, image by image.

    One row per image: arm, arm_title, generator, precision, detector (with titles), index, before (the logit at the
    baseline),
    after, change. The protocol and the training are the page's. Rows are in the order of the study, main arm first.
    Kept with the results: not to be written to.
    """
    rows = all_arms(results)
    rows = rows[rows.generator.isin(results.generators) & rows.detector.isin(results.detectors)]
    keys = ["generator", "detector", "index"]
    base = (
        rows[(rows.arm == results.arm) & (rows.precision == results.baseline)].set_index(keys)["logit"].rename("before")
    )
    rows = rows[(rows.arm != results.arm) | (rows.precision != results.baseline)]
    rows = rows.join(base, on=keys, how="inner").rename(columns={"logit": "after"})
    rows["change"] = rows.after - rows.before
    names = _arm_titles(results)
    rows["arm_title"] = rows.arm.map(names).fillna(rows.arm)
    for kind in ("generator", "precision", "detector"):
        named = {key: results.titled(**{kind: key})[f"{kind}_title"] for key in rows[kind].unique()}
        rows[f"{kind}_title"] = rows[kind].map(named)
    order = {arm: place for place, arm in enumerate(names)}
    return rows.sort_values("arm", key=lambda arm: arm.map(order).fillna(99), kind="stable").reset_index(drop=True)


def _arm_titles(results: Results) -> dict[str, str]:
    """Names of the arms, the main one first."""
    return {results.arm: "main arm"} | {name: arm["title"] for name, arm in results.arms.items()}


@once
def spreads(results: Results) -> pd.DataFrame:
    """How far each arm moves each detector at each precision, over all generators.

    n images, and `images`, the most that any detector has of the arm at that precision; `mean` and `spread` (standard
    deviation) of the paired changes of logit, `largest` the largest in magnitude, `changed` the share of images whose
    verdict changes, `tpr` the share called fake, `tpr_before` that of the same images at the baseline; these three are
    NaN of a detector without a threshold.
    """
    rows = differences(results)
    if rows.empty:
        return rows
    limits = rows.detector.map(results.threshold_of)
    rows = rows.assign(fake=metrics.verdicts(rows.after, limits), was=metrics.verdicts(rows.before, limits))
    rows["turned"] = (rows.fake - rows.was).abs()
    keys = ["arm", "arm_title", "precision", "precision_title", "detector", "detector_title"]
    found = (
        rows.groupby(keys, sort=False)
        .agg(
            n=("change", "size"),
            mean=("change", "mean"),
            spread=("change", "std"),
            largest=("change", lambda change: float(change.abs().max())),
            changed=("turned", "mean"),
            tpr=("fake", "mean"),
            tpr_before=("was", "mean"),
        )
        .reset_index()
    )
    return found.assign(images=found.groupby(["arm", "precision"], sort=False).n.transform("max"))


def scored_arms(results: Results) -> dict[str, Any]:
    """The arms beside the main one that have scores: their settings in the study file, by name."""
    there = set(results.stored.arm.unique())
    return {name: arm for name, arm in results.arms.items() if name in there}


def null_control(results: Results) -> pd.DataFrame:
    """What the null control does to each detector, beside the study's last precision.

    detector_title, n images and `turned` of their verdicts (NaN of a detector without a threshold), `spread` of the
    paired changes of logit, `spread_last` that of the last precision. Empty where there is no null control that changes
    a score, or nothing beside the baseline.
    """
    name, last = results.arm_of("null"), results.precisions[-1]
    columns = ["detector_title", "n", "turned", "spread", "spread_last"]
    if name not in paired.controls(results) or last == results.baseline:
        return pd.DataFrame(columns=columns)
    found = spreads(results)
    null = found[(found.arm == name) & (found.precision == results.baseline)]
    coarse = found[(found.arm == results.arm) & (found.precision == last)]
    both = null.merge(coarse[["detector_title", "spread"]], on="detector_title", suffixes=("", "_last"))
    return both.assign(turned=(both.changed * both.n).round())[columns]


def turned(null: pd.DataFrame) -> tuple[int, int]:
    """How many verdicts the null control turns, by the table of `null_control`, and of how many that are known."""
    known = null.dropna(subset="turned")
    return int(known.turned.sum()), int(known.n.sum())


def positive(results: Results) -> str:
    """The sentence on the positive control: how many verdicts the ladder's finest and coarsest format turn.

    The ladder is the arm of that role, the coarsest format the one at its end.
    """
    name = results.arm_of("ladder")
    found = spreads(results)
    found = found[found.arm == name] if len(found) else found
    if found.empty or found.precision.nunique() < 3:
        return "This study has no ladder of formats, so what its detectors can notice at most is not known."
    found = found.dropna(subset="changed")
    if found.empty:
        return "What the ladder does to verdicts is not known, for the scale of the scores is not said."
    steps = [key for key in results.arms[name]["precisions"] if key in set(found.precision)]
    first, last = steps[0], steps[-1]
    wide = found.pivot(index="detector_title", columns="precision", values="changed")
    parts = [
        f"{title} {share(wide.loc[title, first], 1)} and {share(wide.loc[title, last], 1)}"
        for title in found.detector_title.unique()
    ]
    base, first, last = (PRECISIONS.title(key) for key in (results.baseline, first, last))
    return (
        f"The ladder rounds the same layers to ever coarser formats, down to {last}, where something must show. "
        f"Positive control: the share of verdicts that differ from {base}'s, at the first step of the ladder ({first}) "
        f"and at its last ({last}), is {', '.join(parts)}."
    )


def weight_audits(results: Results) -> pd.DataFrame:
    """What was measured of every component of every cell, all arms: one row per arm, generator, precision, component.

    parameters; share stored in the format; bytes_before, bytes_after; weight_error of the whole component and one
    column per kind of layer; expected_error, what weight_error is by the format's definition (not of older runs);
    output_error; native_deviation and native_layer, the layer that differs most.
    """
    cells = results.table("cells.parquet")
    cells = pd.DataFrame(columns=["generator"]) if cells is None else cells
    names = _arm_titles(results)
    rows: list[dict[str, Any]] = []
    for cell in cells[cells.generator.isin(results.generators)].to_dict("records"):
        stored = cell.get("component_coverage")
        for name, part in (json.loads(stored) if isinstance(stored, str) else {}).items():
            errors = part.get("weight_errors", {})
            rows.append(
                {"arm": cell["arm"], "arm_title": names.get(cell["arm"], cell["arm"])}
                | results.titled(cell["generator"], cell["precision"])
                | {"component": name, **{key: value for key, value in part.items() if key != "weight_errors"}}
                | {"weight_error": errors.get("all")}
                | {kind: error for kind, error in errors.items() if kind != "all"}
            )
    return pd.DataFrame(rows)


def exact_casts(audited: pd.DataFrame, precision: str = "fp16") -> bool:
    """Whether a cast changed nothing of some component's weights, by the table of `weight_audits`."""
    return "weight_error" in audited and bool((audited.weight_error[audited.precision == precision] == 0).any())
