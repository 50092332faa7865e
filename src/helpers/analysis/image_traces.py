"""What a run measured of its images, as tables with intervals: fine detail, spectra, residuals, fingerprints, filters.

Each reads one of the tables that lie beside the scores (`helpers.runs.stages.spectra` and `filtered`), and is empty
where a study has none. Intervals are bootstrapped over prompts, those of fingerprints over groups of prompts.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis.stats import metrics
from helpers.analysis.stats.metrics import Interval, interval_columns
from helpers.images import spectra
from helpers.results.memo import once
from helpers.results.results import Results, of_training

__all__ = [
    "FIGURES",
    "autocorrelations",
    "changes",
    "curves",
    "fingerprints",
    "levels",
    "paired",
    "pooled",
    "pooled_shift",
    "read",
    "relative",
    "treatments",
]

#: Figures of an image in spectra.parquet, and what they are called in print.
FIGURES = {
    "high": "energy above half Nyquist",
    "residual": "residual energy",
    "npr": "NPR residual",
    "period_2": "peak at period 2",
    "period_4": "peak at period 4",
    "period_8": "peak at period 8",
}


@once
def read(results: Results, name: str) -> pd.DataFrame:
    """A table beside the scores, for the page's generators and the reals; empty where the study has none."""
    table = results.table(name)
    if table is None:
        return pd.DataFrame(columns=["generator", "precision", "arm", "size", "label", "index", "treatment"])
    return table[table.generator.isin([*results.generators, "real"])]


_Key = tuple[str, str, str]


@once
def _places(source: Any, name: str) -> dict[_Key, np.ndarray]:
    """Where the rows of each (generator, precision, arm) stand in a table beside the scores."""
    table = source.table(name)
    if table is None or table.empty:
        return {}
    found: dict[_Key, np.ndarray] = table.groupby(["generator", "precision", "arm"], sort=False).indices
    return found


@once
def _cell(source: Any, name: str, key: _Key) -> pd.DataFrame:
    """The rows of one cell, by index where the table has one."""
    table, places = source.table(name), _places(source, name).get(key)
    if places is None:
        return pd.DataFrame(columns=["generator", "precision", "arm", "size"])
    rows = table.iloc[places]
    return rows.set_index("index").sort_index() if "index" in rows else rows


def _compared(results: Results) -> list[tuple[str, str, str]]:
    """What is set beside the baseline on this page: precision, arm and name of each, the null control first."""
    placebo = results.arm_of("null")
    base = results.baseline
    others = [(p, results.arm, title) for p, title in results.titles("precision").items() if p != base]
    return ([(base, placebo, "null control")] if placebo else []) + others


def _decibels(values: pd.Series) -> np.ndarray:
    decibels: np.ndarray = 10 * np.log10(np.maximum(values.to_numpy(np.float64), 1e-6))
    return decibels


def paired(results: Results, generator: str, precision: str, arm: str, figure: str) -> tuple[np.ndarray, np.ndarray]:
    """Changes against the baseline of a figure of each image, in dB of power (N,), and the images' index (N,)."""
    keys = (generator, results.baseline, results.arm), (generator, precision, arm)
    found: tuple[np.ndarray, np.ndarray] = _paired(results.source, *keys, figure)
    return found


@once
def _paired(source: Any, before: _Key, after: _Key, figure: str) -> tuple[np.ndarray, np.ndarray]:
    base, other = (_cell(source, "spectra.parquet", key) for key in (before, after))
    both = base.index.intersection(other.index)
    if not len(both):
        return np.empty(0), both.to_numpy()
    factor = 2 if figure == "npr" else 1  # a root of a power
    return factor * (_decibels(other[figure].loc[both]) - _decibels(base[figure].loc[both])), both.to_numpy()


@once
def _change(source: Any, before: _Key, after: _Key, figure: str, confidence: float) -> Interval:
    """The mean paired change of a figure in dB of power, by prompt."""
    values, index = _paired(source, before, after, figure)
    return metrics.bootstrap_mean(values, index, confidence=confidence)


def relative(decibels: Interval) -> Interval:
    """A change in dB of power as a relative change."""
    return Interval(*(10 ** (end / 10) - 1 for end in (decibels.estimate, decibels.low, decibels.high)))


def changes(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """How each figure of the images changes against the baseline.

    One row per generator, precision (or null control) and figure: generator, title, precision (the name of what is
    compared), figure, n; `change` with its ends, the mean paired change in dB of power, and `relative`, the same as a
    share of the baseline's. Empty without spectra.parquet.
    """
    rows = []
    for generator in results.generators:
        for precision, arm, name in _compared(results):
            for figure, title in FIGURES.items():
                values, _ = paired(results, generator, precision, arm, figure)
                if not len(values):
                    continue
                base = (generator, results.baseline, results.arm)
                found = _change(results.source, base, (generator, precision, arm), figure, confidence)
                row = results.titled(generator) | {"precision_title": name}
                row |= {"precision": precision if arm == results.arm else arm}
                row |= {"figure": figure, "figure_title": title, "n": len(values)}
                rows.append(row | interval_columns(change=found, relative=relative(found)))
    return pd.DataFrame(rows)


def levels(results: Results) -> pd.DataFrame:
    """The figures themselves: one row per generator and precision of the main arm, and one for the reals of its size.

    generator, precision (with titles; "real" for reals), n, and for each of `FIGURES` the mean with its ends: NPR's in
    levels of 255, energies as mean squares in levels, peaks as ratios to their neighbours, 1 where there is none.
    """
    rows = []
    for generator in results.generators:
        for precision, name, cell in _shown(results, generator, "spectra.parquet"):
            if not len(cell):
                continue
            row = results.titled(generator) | {"precision": precision, "precision_title": name, "n": len(cell)}
            means = {figure: metrics.bootstrap_mean(cell[figure], cell.index) for figure in FIGURES}
            rows.append(row | interval_columns(**means))
    return pd.DataFrame(rows)


def _shown(results: Results, generator: str, name: str) -> list[tuple[str, str, pd.DataFrame]]:
    """Key, title and rows of a generator's precisions in the main arm, and of the reals of its size before them."""
    cells = [(p, title, _cell(results.source, name, (generator, p, results.arm)))
             for p, title in results.titles("precision").items()]  # fmt: skip
    sizes = {size for _, _, cell in cells for size in cell.get("size", ())}
    reals = _cell(results.source, name, ("real", "none", "none"))
    return [("real", "real", reals[reals["size"].isin(sizes)]), *cells]


#: Points of a radial spectrum that a chart shows at most.
POINTS = 48


def curves(results: Results) -> pd.DataFrame:
    """Mean radial spectra in dB, with intervals: one row per generator, precision (or "real") and frequency.

    generator, precision (with titles), x (frequency as a share of Nyquist's); `level` in dB over one squared level of
    255, `change` the mean difference from the baseline's image of the same prompt, each with its ends.
    """
    rows = []
    for generator in results.generators:
        base = _cell(results.source, "spectra.parquet", (generator, results.baseline, results.arm))
        for precision, name, cell in _shown(results, generator, "spectra.parquet"):
            both = cell.index.intersection(base.index)
            if not len(both):
                continue
            own, other = (_thinned(np.stack(table.loc[both, "radial"])) for table in (cell, base))
            frame = pd.DataFrame({"x": (np.arange(own.shape[1]) + 1) / own.shape[1]})
            for column, values in (("level", own), ("change", own - other)):
                low, high = metrics.bands(values)
                frame = frame.assign(**{column: values.mean(axis=0), f"{column}_low": low, f"{column}_high": high})
            rows.append(frame.assign(**results.titled(generator), precision=precision, precision_title=name))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _thinned(spectra_: np.ndarray) -> np.ndarray:
    """Spectra (N, B) without their first bin, the mean of neighbours where they have too many points."""
    step = -(-(spectra_.shape[1] - 1) // POINTS)
    kept = (spectra_.shape[1] - 1) // step * step
    means: np.ndarray = spectra_[:, 1 : kept + 1].reshape(len(spectra_), -1, step).mean(axis=2)
    return means


def autocorrelations(results: Results, lags: int = 8) -> pd.DataFrame:
    """Autocorrelation of the residuals: one row per generator and precision (or "real"), with titles.

    `values` holds the (2 `lags` + 1) squared correlations, row by row from the top.
    """
    rows = []
    for generator in results.generators:
        for precision, name, cell in _shown(results, generator, "patterns.parquet"):
            if not len(cell):
                continue
            half = np.asarray(cell.autocorrelation.iloc[0])
            half = half.reshape(-1, 2 * round((sqrt(1 + 8 * len(half)) - 3) / 4) + 1)
            whole = np.concatenate([half[:0:-1, ::-1], half])
            cut = len(whole) // 2 - min(lags, len(whole) // 2)
            whole = whole[cut : len(whole) - cut, cut : len(whole) - cut]
            row = results.titled(generator) | {"precision": precision, "precision_title": name}
            rows.append(row | {"values": whole.ravel().round(3)})
    return pd.DataFrame(rows)


def fingerprints(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """How each cell's fingerprint correlates with the baseline's: one row per generator, precision (or null control).

    `correlation` counts other scenes only (`spectra.correlation`), `further` is what it lacks of the null control's
    correlation (NaN without one), both with ends; `reliability` is that of the baseline's fingerprint, what two plain
    mean residuals of other scenes would correlate by. Estimates are NaN where a generator's images have nothing in
    common to correlate. Empty without patterns.parquet.
    """
    rows, placebo = [], results.arm_of("null")
    for generator in results.generators:
        own = (generator, results.baseline, results.arm)
        base = _products(results.source, own)
        control = _resemblance(results.source, own, (generator, results.baseline, placebo))
        for precision, arm, name in _compared(results):
            found = _resemblance(results.source, own, (generator, precision, arm))
            if base is None or found is None:
                continue
            # The baseline's own residuals are identical, so no control.
            against = [np.full(len(of), nan) for of in found] if control is None or _alike(
                results.source, own, (generator, results.baseline, placebo)
            ) else control  # fmt: skip
            row = results.titled(generator) | {"precision_title": name}
            row |= {"precision": precision if arm == results.arm else arm}
            row |= interval_columns(correlation=_of_draws(found[0], found[1], len(base[0]), confidence))
            further, again = (f - a for f, a in zip(found, against, strict=True))
            row |= interval_columns(further=_of_draws(further, again, len(base[0]), confidence))
            rows.append(row | {"reliability": spectra.reliability(base[0])})
    return pd.DataFrame(rows)


@once
def _resemblance(source: Any, before: _Key, after: _Key) -> tuple[np.ndarray, np.ndarray] | None:
    """The correlation of a cell's fingerprint with the baseline's: of all folds (1,) and of folds drawn again (R,);
    None where either was not measured."""
    base, cell = _products(source, before), _products(source, after)
    if base is None or cell is None:
        return None
    one, drawn = np.ones((1, len(base[0]))), metrics.bootstrap_weights(len(base[0])).T
    whole, again = (spectra.correlation(cell[1], base[0], cell[0], weights) for weights in (one, drawn))
    return whole, again


def _alike(source: Any, before: _Key, after: _Key) -> bool:
    """Whether two cells, which were measured, have the same residuals."""
    base, cell = _products(source, before), _products(source, after)
    return base is not None and cell is not None and all(np.array_equal(base[0], of) for of in cell)


def _products(source: Any, key: _Key) -> tuple[np.ndarray, np.ndarray] | None:
    """Products of a cell's folds with each other and with the baseline's (folds, folds); None if not measured."""
    rows = _cell(source, "patterns.parquet", key)
    if not len(rows) or not len(rows["cross"].iloc[0]):
        return None
    own, cross = (np.asarray(rows[name].iloc[0], dtype=np.float64) for name in ("own", "cross"))
    return own.reshape(round(sqrt(len(own))), -1), cross.reshape(round(sqrt(len(cross))), -1)


def _of_draws(
    estimate: np.ndarray, again: np.ndarray, clusters: int, confidence: float, reach: float | None = None
) -> Interval:
    """The interval of `metrics.resampled` of an estimate (1,) and its resamples (R,); unknown where too many of them
    are not defined."""
    if np.isfinite(again).mean() < 0.975:
        return metrics.UNKNOWN
    return metrics.resampled(float(estimate[0]), again, clusters, confidence, reach)


@once
def _filtered(results: Results) -> dict[tuple[str, str], pd.DataFrame]:
    """Logits of the fakes by index, one column for each (treatment, precision), by (generator, detector); complete
    rows. Those of the results' own protocol and training."""
    table = read(results, "counterfactuals.parquet")
    rows = table[table.treatment != "decoded"]
    if rows.empty:
        return {}
    rows = of_training(results, rows[rows.protocol == results.protocol])
    return {
        key: own.pivot(index="index", columns=["treatment", "precision"], values="logit").dropna()
        for key, own in rows.groupby(["generator", "detector"], sort=False)
    }


def _logits(results: Results, generator: str, detector: str) -> pd.DataFrame:
    """The table of `_filtered` of one generator and detector; empty where there is none."""
    return _filtered(results).get((generator, detector), pd.DataFrame())


#: What is compared of the counterfactuals: name in a table -> (treatment, precision) less (treatment, precision), where
#: a precision is an attribute of the results, their `baseline` or the one that is set against it, `lowest`.
EFFECTS = {
    "quantized": (("sham", "lowest"), ("sham", "baseline")),
    "matched": (("matched", "baseline"), ("sham", "baseline")),
    "attenuated": (("attenuated", "baseline"), ("sham", "baseline")),
    "halved": (("halved", "baseline"), ("sham", "baseline")),
    "restored": (("restored", "lowest"), ("sham", "baseline")),
    "given_back": (("restored", "lowest"), ("sham", "lowest")),
}


def _moved(results: Results, wide: pd.DataFrame, effect: str) -> pd.Series:
    """What one of the `EFFECTS` does to the logits (N,) of a table of `_logits`."""
    after, before = ((treatment, getattr(results, of)) for treatment, of in EFFECTS[effect])
    return wide[after] - wide[before]


def treatments(results: Results, confidence: float = 0.95) -> pd.DataFrame:
    """What the lowest precision and each filter do to the logits: one row per generator and detector (with titles), n.

    Mean paired shifts in standard deviations of the baseline's logits, each with its ends: `quantized`, `matched`,
    `attenuated`, `halved`, `restored` against the baseline, `given_back` of restored images against the lowest
    precision; `of_matched`, `of_attenuated` and `of_restored` are the shares of its shift that the filters make, and
    that restoring takes back. Empty without counterfactuals.parquet.
    """
    found: pd.DataFrame = _treatments(results, confidence)
    return found


@once
def _treatments(results: Results, confidence: float) -> pd.DataFrame:
    rows = []
    for generator in results.generators:
        for detector in results.detectors:
            wide = _logits(results, generator, detector)
            if len(wide) < 2 or not float(wide["sham", results.baseline].std()):
                continue
            spread = float(wide["sham", results.baseline].std())
            moved = {name: (_moved(results, wide, name) / spread).to_numpy(np.float64) for name in EFFECTS}
            row = results.titled(generator, "", detector) | {"n": len(wide)}
            means = {n: metrics.bootstrap_mean(v, wide.index, confidence=confidence) for n, v in moved.items()}
            row |= interval_columns(
                **means,
                of_matched=_ratio(moved["matched"], moved["quantized"], confidence),
                of_attenuated=_ratio(moved["attenuated"], moved["quantized"], confidence),
                of_restored=_ratio(-moved["given_back"], moved["quantized"], confidence),
            )
            rows.append(row)
    return pd.DataFrame(rows)


def pooled_shift(results: Results, detector: str, effect: str) -> Interval:
    """One of the `EFFECTS` on a detector, mean over generators, in standard deviations of the baseline's logits."""
    parts, prompts = [], []
    for generator in results.generators:
        wide = _logits(results, generator, detector)
        spread = float(wide["sham", results.baseline].std()) if len(wide) > 1 else 0.0
        if spread:
            parts.append((_moved(results, wide, effect) / spread / len(wide)).to_numpy(np.float64))
            prompts.append(wide.index)
    if not parts:
        return metrics.UNKNOWN
    return metrics.bootstrap_sum(np.concatenate(parts) / len(parts), np.concatenate(prompts))


def _ratio(values: np.ndarray, by: np.ndarray, confidence: float) -> Interval:
    """Ratio of two paired means (N,), resampled together; a value that was not seen is at most the greatest of `by`."""
    below = metrics.drawn_sums(by)
    return _of_draws(
        np.array([values.mean() / by.mean() if by.mean() else nan]),
        np.divide(metrics.drawn_sums(values), below, out=np.full(len(below), nan), where=below != 0),
        len(values),
        confidence,
        reach=float(np.abs(by).max() / abs(by.mean())) if by.mean() else None,
    )


def pooled(results: Results, figure: str, precision: str = "", arm: str = "") -> Interval:
    """The change of a figure from the baseline to a precision (of an arm), a share of the baseline's.

    By default to the lowest precision of the main arm.

    The mean over generators; prompts are drawn.
    """
    which = (precision or results.lowest, arm or results.arm)
    cells = [paired(results, generator, *which, figure) for generator in results.generators]
    cells = [(values, index) for values, index in cells if len(values)]
    if not cells:
        return metrics.UNKNOWN
    parts = np.concatenate([values / len(values) / len(cells) for values, _ in cells])
    return relative(metrics.bootstrap_sum(parts, np.concatenate([index for _, index in cells])))
