"""What the cells of the page on real checkpoints call: its sentences and tables, each saying whose figures they are."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, sqrt

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import stats

from helpers.analysis import public_study as real
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, number
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.paper import page
from helpers.precision.catalogue import PRECISIONS
from helpers.results.tables import Results, titles

__all__ = [
    "agreement",
    "agreement_note",
    "answer",
    "aucs_note",
    "both",
    "doubtful_note",
    "ladder_note",
    "power_note",
    "published",
    "published_note",
    "resemblance",
    "resemblance_note",
    "scores",
    "verdicts",
]

FORMATS = ("nf4", "int8")
BASE = "fp16"  # the public study's
NOTHING = "This study has no scores in the public study's formats, so nothing can be set beside them."


def _whose(study: Results) -> str:
    """The study of the page, as a column's head; in a sentence it takes `_the`."""
    return "miniatures" if study.scale == "mini" else "this study"


def _the(study: Results) -> str:
    return "the miniatures" if study.scale == "mini" else "this study"


def _interval(row: pd.Series, name: str) -> Interval:
    return Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _effects() -> pd.DataFrame:
    """The public study's comparisons with its baseline, cells alone."""
    table = real.public_effects()
    return table[(table.against == BASE) & (table.generator != real.ALL)]


def _own(study: Results) -> pd.DataFrame:
    """The study's effects in the public study's formats, for its generators and detectors."""
    there = _effects()
    narrowed = replace(
        study,
        generators=tuple(key for key in study.generators if key in set(there.generator)),
        detectors=tuple(key for key in study.detectors if key in set(there.detector)),
    )
    return real.effects(narrowed, FORMATS)


def _mean(table: pd.DataFrame, precision: str) -> Interval | None:
    rows = table[(table.generator == real.ALL) & (table.detector == real.ALL) & (table.precision == precision)]
    return _interval(rows.iloc[0], "change") if len(rows) else None


def answer(study: Results) -> str:
    """The page's first sentences: what NF4 does to the accuracy on real checkpoints, and on this study's images."""
    table, there = real.public_effects(), _effects()
    theirs, ours = _mean(table, "nf4"), _mean(_own(study), "nf4")
    moved = "raises" if theirs.low > 0 else "lowers" if theirs.high < 0 else "does not measurably change"
    cells = (
        f"{there.generator.nunique()} generators and {there.detector.nunique()} detectors, {there.n.max()} pairs each"
    )
    first = (
        f"In the one public study of real checkpoints with scores of single images, NF4 {moved} the accuracy of "
        f"detection: {number(theirs, 3, sign=True)} against {PRECISIONS[BASE].title}, averaged over {cells}."
    )
    leading = table[(table.generator == real.ALL) & (table.detector != real.ALL) & (table.precision == "nf4")]
    leading = leading.loc[leading.change.abs().idxmax()]
    most = (
        f"{DETECTORS[leading.detector].title} has the most of it, {number(_interval(leading, 'change'), 3, sign=True)}."
    )
    beside = (
        f" {_the(study).capitalize()} at NF4, on the same generators and detectors: {number(ours, 3, sign=True)} "
        f"against {PRECISIONS[study.baseline].title}."
        if ours and not isnan(ours.estimate)
        else ""
    )
    return f"{first} {most}{beside} {agreement_note(study)}"


def agreement_note(study: Results) -> str:
    """How many comparisons agree, part or stay open."""
    found = real.agreement(real.public_effects(), _own(study))
    if found.empty:
        return NOTHING
    counts = found.verdict.value_counts()
    agree, part, undecided = (int(counts.get(key, 0)) for key in ("agree", "part", "open"))
    zero = int(((found.shift_low_real <= 0) & (found.shift_high_real >= 0)).sum())
    same = f"{len(found)} comparisons" if len(found) > 1 else "1 comparison"
    return (
        f"Of {same} of the same generator, detector and format, both move the score in the same "
        f"direction in {agree} and in opposite directions in {part}; {undecided} stay open, as an interval holds zero "
        f"({zero} of the public study's {len(found)} do). The intervals of the standardized size overlap in "
        f"{int(found.sizes.sum())}."
    )


def doubtful_note() -> str:
    """What the scores labelled 8 bits show for SD1.5, where the label is in doubt."""
    rows = _effects()
    rows = rows[(rows.arm != "native")]
    largest = rows.loc[(rows["shift"] * np.sqrt(rows.n) / rows.sd).abs().idxmax()]
    t = largest["shift"] * sqrt(largest.n) / largest.sd
    named = titles(largest.generator, "", largest.detector)
    p = 2 * stats.t.sf(abs(t), largest.n - 1)
    return (
        f"{named['detector_title']}'s logits on {named['generator_title']} move by "
        f"{number(_interval(largest, 'shift'), sign=True)} under that label (t = {t:.2f}, n = {largest.n}, "
        f"p = {p:.1g} before any correction for its {len(rows)} detectors)"
    )


def _resemblance() -> pd.DataFrame:
    """Correlation of the paired logits of each two runs, one row per generator and detector."""
    table = real.public_effects()
    table = table[table.generator != real.ALL]
    named = {
        (BASE, "int8"): "FP16 and 8 bits", (BASE, "nf4"): "FP16 and NF4", ("int8", "nf4"): "8 bits and NF4",
    }  # fmt: skip
    runs = [named[pair] for pair in zip(table.against, table.precision, strict=True)]
    wide = table.assign(runs=runs).pivot(index=["generator", "detector"], columns="runs", values="r")
    return wide[list(named.values())]


def resemblance_note(study: Results) -> str:
    """Which runs of the public study resemble each other, by the span of their correlations, and this study's."""
    wide = _resemblance()
    parts = []
    for generator in wide.index.unique("generator"):
        spans = [f"{low:.2f} to {high:.2f} for {name}" for name, low, high in zip(
            wide, wide.loc[generator].min(), wide.loc[generator].max(), strict=True,
        )]  # fmt: skip
        parts.append(f"On {GENERATORS[generator].title} the correlation of logits is {listed(spans)}.")
    own = _own(study)
    own = own[(own.generator != real.ALL) & (own.precision == "nf4")].r if len(own) else own.change
    if len(own):
        base = PRECISIONS[study.baseline].title
        parts.append(f"For {base} and NF4 of {_the(study)} it is {own.min():.2f} to {own.max():.2f}.")
    return " ".join(parts).replace("-", "\N{MINUS SIGN}")


def resemblance() -> HTML:
    """The same, detector by detector."""
    wide = _resemblance().map(lambda r: f"{r:.2f}".replace("-", "\N{MINUS SIGN}")).reset_index()
    return page.table(_titled(wide), "Public study: correlation of the paired logits of two runs")


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    """Keys replaced by the names that readers know."""
    table = table.rename_axis(None, axis=1)
    named = {"generator": GENERATORS, "detector": DETECTORS}
    for column, catalogue in named.items():
        table = table.assign(**{column: table[column].map(lambda key, of=catalogue: of[key].title)})
    return table


def _formats(rows: pd.DataFrame) -> list[str]:
    """The rows' formats, with a star where what was quantized is in doubt."""
    return [PRECISIONS[p].title + "*" * (arm != "native") for p, arm in zip(rows.precision, rows.arm, strict=True)]


def scores() -> HTML:
    """The public study's paired shifts, analysed again, and the smallest that its pairs could have shown."""
    rows = _effects()
    seen = real.power(real.public_effects()).shift_seen
    shown = pd.DataFrame(
        {
            "generator": rows.generator, "detector": rows.detector, "format": _formats(rows),
            "shift of logit": [number(_interval(row, "shift"), sign=True) for _, row in rows.iterrows()],
            "least seen": seen.map("{:.2f}".format).to_numpy(),
            "AUC": [f"{row.auc_before:.3f} \N{RIGHTWARDS ARROW} {row.auc:.3f}" for row in rows.itertuples()],
        }
    )  # fmt: skip
    return page.table(
        _titled(shown), f"Public study: scores against {PRECISIONS[BASE].title}, {rows.n.max()} pairs a row"
    )


def verdicts() -> HTML:
    """The public study's verdicts: accuracy, its change, how many turn, and McNemar's corrected p."""
    rows = _effects()
    shown = pd.DataFrame(
        {
            "generator": rows.generator, "detector": rows.detector, "format": _formats(rows),
            "accuracy": [f"{row.tpr_before:.2f} \N{RIGHTWARDS ARROW} {row.tpr:.2f}" for row in rows.itertuples()],
            "change": [number(_interval(row, "change"), sign=True) for _, row in rows.iterrows()],
            "turned": [f"\N{MINUS SIGN}{int(row.lost)} +{int(row.gained)}" for row in rows.itertuples()],
            "p": [f"{p:.2f}" for p in rows.p_holm],
        }
    )  # fmt: skip
    return page.table(
        _titled(shown), f"Public study: verdicts against {PRECISIONS[BASE].title}, {rows.n.max()} pairs a row"
    )


def aucs_note() -> str:
    """Whether the AUC that the study states is what its scores give."""
    stated, ours = real.published_aucs(), _effects()
    before = ours[ours.precision == "nf4"][["generator", "detector", "auc_before"]].assign(precision=BASE)
    after = ours[["generator", "detector", "precision", "auc"]]
    computed = pd.concat([before.rename(columns={"auc_before": "auc"}), after])
    both = stated.merge(computed, on=["generator", "detector", "precision"], suffixes=("_stated", "_computed"))
    gap = (both.auc_stated - both.auc_computed).abs().max()
    return f"The {len(both)} areas that the study states are what its scores give (largest difference {gap:.4f})."


def power_note(study: Results) -> str:
    """What as many pairs can and cannot show, and this study's own."""
    table = real.power(real.public_effects())
    n, tests = int(table.n.max()), len(table)
    flips, corrected = real.fewest_flips(), real.fewest_flips(0.05 / tests)
    low, high = table.loc[table.shift_seen.idxmin()], table.loc[table.shift_seen.idxmax()]
    seen = [f"{row.shift_seen:.2f} logits for {_cell(row)}" for row in (low, high)]
    text = (
        f"{n} pairs show a shift with 80 % power from {real.smallest_shift(n):.2f} standard deviations of the paired "
        f"differences on: from {seen[0]} to {seen[1]}. Of accuracy, McNemar's exact test needs {flips} verdicts that "
        f"all turn the same way, a change of {flips / n:.2f}, and shows a change with 80 % power from "
        f"{real.flips_for_power(n):.2f} on; to outlast Holm's correction over {tests} comparisons the first needs "
        f"{corrected} verdicts, {corrected / n:.2f}."
    )
    own = _own(study)
    if own.empty:
        return text
    cells = own[own.generator != real.ALL]
    pairs, named = int(cells.n.max()), listed(list(cells.arm_title.unique()))
    have = "have" if study.scale == "mini" else "has"
    return (
        f"{text} {_the(study).capitalize()} {have} {pairs} pairs a cell here ({named}): "
        f"{real.smallest_shift(pairs):.2f} standard deviations, and a change of accuracy of {flips / pairs:.2f}."
    )


def _cell(row: pd.Series) -> str:
    named = titles(row.generator, row.precision, row.detector)
    return f"{named['detector_title']} on {named['generator_title']} at {named['precision_title']}"


def both(study: Results) -> pd.DataFrame:
    """The table behind the chart: the public study's effects and this study's, one row each, with titles."""
    own = _own(study)
    own = own[own.generator != real.ALL]
    theirs = _effects()
    there = theirs[["generator", "detector", "precision"]]
    frames = [theirs.assign(whose="public study, real checkpoints (against FP16)")]
    if len(own):
        mine = f"{_whose(study)} (against {PRECISIONS[study.baseline].title})"
        frames.append(own.merge(there, on=list(there)).assign(whose=mine))
    table = pd.concat(frames, ignore_index=True)
    named = [titles(row.generator, row.precision, row.detector) for row in table.itertuples()]
    for kind in ("generator", "precision", "detector"):
        table[f"{kind}_title"] = [row[f"{kind}_title"] for row in named]
    return table


def agreement(study: Results) -> HTML:
    """Row by row: direction and size of the effect in both, with both intervals."""
    found = real.agreement(real.public_effects(), _own(study))
    if found.empty:
        return HTML(f"<p>{NOTHING}</p>")
    named = [
        GENERATORS[g].title + " " + DETECTORS[d].title for g, d in zip(found.generator, found.detector, strict=True)
    ]
    shown = pd.DataFrame(
        {
            "cell": [f"{cell} {form}" for cell, form in zip(named, _formats(found), strict=True)],
            "real checkpoints": _standard(found, "real"),
            _whose(study): _standard(found, "own"),
            "direction": found.verdict,
        }
    )
    return page.table(shown, f"Standardized shift: public study and {_the(study)}")


def _standard(found: pd.DataFrame, whose: str) -> list[str]:
    ends = zip(*(found[f"standard{end}_{whose}"] for end in ("", "_low", "_high")), strict=True)
    return [number(Interval(*three), sign=True) for three in ends]


def _beside(study: Results) -> dict[str, pd.DataFrame]:
    """The published rates beside the study's accuracy, by training: the study's own, and on SDXL alone if it has it."""
    main = str(study.manifest.get("study", {}).get("weights") or "mini")
    return {name: real.beside_published(study, label) for name, label in (
        (_whose(study), None), (f"{_whose(study)} trained on SDXL", f"{main}-sdxl"),
    ) if label is None or label in (study.manifest.get("study", {}).get("further") or {})}  # fmt: skip


def published(study: Results) -> HTML:
    """TrueFake's rates beside the study's accuracy at its baseline."""
    tables = _beside(study)
    first = next(iter(tables.values()))
    shown = first[["generator", "detector"]].assign(
        published=[
            f"{row.published:.2f}" + (" (seen)" if row.in_training == "yes" else "") for row in first.itertuples()
        ]
    )
    for name, table in zip((_whose(study), "trained on SDXL"), tables.values(), strict=False):
        shown[name] = [number(_interval(row, "tpr")) for _, row in table.iterrows()]
    return page.table(
        _titled(shown),
        f"Fakes called fake: TrueFake's Table III and {_the(study)} at {PRECISIONS[study.baseline].title}",
    )


def published_note(study: Results) -> str:
    """Whether what is hard for the public detectors is hard for the study's: a rank correlation."""
    parts = []
    for name, table in _beside(study).items():
        table = table.dropna(subset="tpr")
        if len(table) < 4 or table.tpr.nunique() < 2:
            continue
        rng = np.random.default_rng(0)
        pairs = table[["published", "tpr"]].to_numpy()
        drawn = rng.integers(0, len(pairs), (2000, len(pairs)))
        with np.errstate(invalid="ignore"):
            ranks = [stats.spearmanr(*pairs[rows].T).statistic for rows in drawn if np.ptp(pairs[rows], 0).all()]
        rho = Interval(float(stats.spearmanr(*pairs.T).statistic), *np.quantile(ranks, [0.025, 0.975]))
        parts.append(f"{number(rho, sign=True)} for {name.replace(_whose(study), _the(study))}")
    if not parts:
        return f"Too few cells of {_the(study)} are in the published table for a comparison."
    cells = next(iter(_beside(study).values())).tpr.notna().sum()
    return (
        f"Over the {cells} cells that both have, the rank correlation of the published rates with the accuracy is "
        f"{listed(parts)}."
    )


def ladder_note() -> str:
    """What the public ladders show: the symmetric 4-bit rung against its neighbours, and how far content moves."""
    table = real.ladders()
    steps = []
    for name, rungs in table.groupby("ladder", sort=False):
        place = list(rungs.format).index("q4_0")
        beside = rungs.iloc[[at for at in (place - 1, place + 1) if at < len(rungs)]]
        steps.append((name, float(rungs.high_db.iloc[place] - beside.high_db.mean())))
    below = sum(step < 0 for _, step in steps)
    parts = [f"{_signed(step, 1)} dB in {name}" for name, step in steps]
    worst = table.loc[table.psnr_db.idxmin()]
    return (
        f"In {below} of {len(steps)} public ladders the symmetric 4-bit format has less energy in high frequencies "
        f"than its neighbours on the ladder ({listed(parts)}). PSNR falls to {worst.psnr_db:.1f} dB at "
        f"{worst.format} in {worst.ladder}: the picture itself changes. "
        "One prompt and one seed each: an observation, not a test."
    )
