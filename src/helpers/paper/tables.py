"""Tables as they are printed: a frame becomes HTML that scrolls in its own box; and those that several pages show."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML

from helpers.analysis import paired, words
from helpers.analysis.figures import FIGURES
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import capitalised, listed, number, printed
from helpers.claims import rule
from helpers.paper import numbers
from helpers.paper.table_html import DASH, table_html
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = [
    "ARROW", "DASH", "beyond", "conditions", "crossed", "effect_sizes", "figure", "framed", "interval", "intervals",
    "matrix", "missing", "p_value", "table", "trainings",
]  # fmt: skip

ARROW = " \N{RIGHTWARDS ARROW} "


def table(frame: pd.DataFrame, caption: str) -> HTML:
    """A table that scrolls inside its own box where the page is narrower than it; its caption names it.

    Keys that repeat down the first columns stand once (`helpers.paper.table_html`); `frame` stays as it is. On a page
    of the book it has a number (`helpers.paper.numbers`) and a menu, which saves it as CSV.
    """
    return framed(table_html(frame), caption)


def framed(inner: str, caption: str) -> HTML:
    """The same of a table that is HTML already."""
    # Outside the box that scrolls: a caption in the table would be as wide as it.
    said = numbers.caption("Table", caption)
    return HTML(
        f'<figure class="table-figure" {numbers.attributes("Table", _name(caption), inner)}>{said}'
        f'<div class="table-scroll" tabindex="0">{inner}</div></figure>'
    )


def _name(caption: str) -> str:
    """The name of a table, by which pages refer to it: the first words of its caption."""
    words = re.sub(r"[^\w\s-]", "", re.split(r"[,;:(]", caption.lower().replace("'", ""))[0]).split()
    return "-".join(words[:6])


def missing(what: str) -> HTML:
    """The sentence that stands where a study has nothing for a table."""
    return HTML(f"<p>{what}</p>")


def figure(value: float, form: str) -> str:
    """A number in print, by a form such as "{:.2f}" or "{:.0%}", as 27 %; a dash where it is not known."""
    return DASH if pd.isna(value) else form.format(value).replace("%", "\N{NO-BREAK SPACE}%")


def p_value(value: float) -> str:
    """A p-value in print: < .001, .012; a dash where it is not known."""
    return DASH if pd.isna(value) else "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def interval(row: Any, name: str, digits: int = 2, sign: bool = False) -> str:
    """A figure of a row with its ends (`name`, `name`_low, `name`_high), in print; a dash where it is not known."""
    read = row.get if isinstance(row, pd.Series) else functools.partial(getattr, row)
    ends = Interval(*(read(f"{name}{end}") for end in ("", "_low", "_high")))
    return DASH if pd.isna(ends.estimate) else number(ends, digits, sign)


def intervals(
    found: pd.DataFrame, keys: Mapping[str, str], columns: Mapping[str, tuple[str, int, bool]]
) -> pd.DataFrame:
    """Columns of `found` for print: keys as they are, then estimates with their ends (title, digits, with a sign)."""
    printed = {
        title: [interval(row, name, digits, sign) for _, row in found.iterrows()]
        for name, (title, digits, sign) in columns.items()
    }
    return pd.DataFrame({title: found[key] for key, title in keys.items()} | printed)


def crossed(found: pd.DataFrame, keys: Sequence[str], across: str, values: str) -> pd.DataFrame:
    """A long frame made wide: a row per `keys`, a column per value of `across`, both in order of appearance."""
    wide = found.pivot(index=list(keys), columns=across, values=values)
    wide = wide.loc[found[list(keys)].drop_duplicates().set_index(list(keys)).index, list(found[across].unique())]
    return wide.rename_axis(None, axis=1).reset_index()


def matrix(costs: pd.DataFrame, column: str, form: str, caption: str) -> HTML:
    """One figure of every cell as a table, generators down and precisions across, each printed with `form`."""
    if costs.empty or costs[column].isna().all():
        return missing(f"{html.escape(caption)}: not known of this study.")
    wide = costs.pivot(index="generator_title", columns="precision_title", values=column)
    places = {title: place for place, title in enumerate(row.title for row in PRECISIONS.values())}
    columns = sorted(costs.precision_title.unique(), key=lambda title: places.get(title, len(places)))
    wide = wide.reindex(index=costs.generator_title.unique(), columns=columns)
    printed = wide.map(lambda number: figure(number, form))
    return table(printed.rename_axis(None, axis=1).reset_index(names="generator"), caption)


def effect_sizes(found: pd.DataFrame, generator: str, *detectors: str) -> HTML:
    """Effect sizes on a generator, from `analysis.paired.paired_effects`, with intervals and Holm's corrected p-values.

    Without `detectors`, of all of them.
    """
    if len(found):
        found = found[(found.generator == generator) & found.detector.isin(detectors or found.detector.unique())]
    if found.empty:
        wanted = " and ".join(filter(None, [words.named(generator), listed([words.named(d) for d in detectors])]))
        return missing(f"This study has no pairs of {wanted} at two precisions, so there is no table of them.")
    rows = [
        {
            "detector": row.detector_title, "precision": row.precision_title,
            "pairs": row.n, "shift of logit": _tested(interval(row, "standard", sign=True), row.shift_p_holm),
            "fake to real, %": _share(row, "lost_share"), "real to fake, %": _share(row, "gained_share"),
            "p of both": p_value(row.p_holm), "Cliff's delta": interval(row, "cliff", sign=True),
            "KS": _tested(figure(row.ks, "{:.3f}"), row.ks_p_holm),
            "Wasserstein": _tested(figure(row.wasserstein, "{:.2f}"), row.wasserstein_p_holm),
        }
        for row in found.itertuples()
    ]  # fmt: skip
    units = (
        "shift and Wasserstein distance in standard deviations at the baseline, KS: Kolmogorov-Smirnov distance; "
        "shares of verdicts that turn from fake to real and from real to fake; p with Holm's correction"
    )
    return table(pd.DataFrame(rows), f"Paired effects; {units}")


def _share(row: Any, name: str) -> str:
    """A share with its ends in percent, in print."""
    ends = (100 * getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return number(Interval(*ends), 1) if pd.notna(getattr(row, name)) else DASH


def _tested(printed: str, p: float) -> str:
    """A figure in print with the p-value of its test."""
    return printed if pd.isna(p) else f"{printed}, p {p_value(p)}" if p < 0.001 else f"{printed}, p = {p_value(p)}"


def beyond(found: pd.DataFrame) -> HTML:
    """In how many pairs of generator and detector a precision moves images further than each control does.

    `found` is the table of `analysis.paired.beyond`.
    """
    told = paired.beyond_by_control(found)
    if told.empty:
        return missing("This study has no control to set its precisions against.")
    rows = [
        {
            "precision": row.precision_title, "control": row.control_title,
            "pairs moved further": f"{row.further} of {row.pairs}",
            "smallest excess": interval(row, "least", sign=True), "largest excess": interval(row, "largest", sign=True),
        }
        for row in told.itertuples()
    ]  # fmt: skip
    return table(pd.DataFrame(rows), "Change of logit beyond the control's, in standard deviations at the baseline")


def _no_images(generators: Sequence[str]) -> HTML:
    named = listed([words.named(key) for key in generators], "or")
    return missing(f"This study has no images of {named}, so there is no table of them.")


def trainings(found: pd.DataFrame, against: str, *generators: str) -> HTML:
    """How far each detector's own training moves the change of each figure: its least and most over the trainings.

    `found` is the table of `analysis.trainings`, `against` names the baseline; without `generators`, all are shown.
    """
    if not len(found):
        return missing("This study has one training of each detector, so the spread between trainings is not known.")
    found = found[found.generator.isin(generators or found.generator)]
    if found.empty:
        return _no_images(generators)
    changes = {"auc_change": "auc", "tpr_at_5_change": "tpr_at_5", "change": "tpr"}
    shown = pd.concat([
        found.assign(figure=FIGURES[name], spread=_spread(found, change), order=range(len(found)))
        for change, name in changes.items() if found[f"{change}_min"].notna().any()
    ] or [found.assign(figure=FIGURES["tpr"], spread=DASH, order=0)]).sort_values("order", kind="stable")  # fmt: skip
    keys = {"generator_title": "generator", "detector_title": "detector", "trainings": "trainings", "figure": "measure"}
    wide = crossed(shown, list(keys), "precision_title", "spread").rename(columns=keys)
    return table(wide, f"Change against {against}, in points: smallest to largest over a detector's trainings")


def _spread(found: pd.DataFrame, change: str) -> list[str]:
    """Least and most of a change over trainings, in points, in print."""
    ends = zip(found[f"{change}_min"], found[f"{change}_max"], strict=True)
    return [
        DASH if pd.isna(least) else " to ".join(printed(100 * value, 1, True) for value in (least, most))
        for least, most in ends
    ]


def conditions(found: pd.DataFrame, results: Results, measure: str = "auc", *generators: str) -> HTML:
    """One of `analysis.figures.FIGURES` under every protocol and training, at the first precision and the last, per
    generator.

    `found` is the table of `analysis.conditions` of these results. Without `generators`, all of the page's.
    """
    both = list(dict.fromkeys((results.precisions[0], results.precisions[-1])))
    found = found[found.generator.isin(generators or results.generators)]
    if found.empty:
        return _no_images(generators)
    ends = [found[f"{measure}_{end}"] for end in both]
    if all(end.isna().all() for end in ends):
        no_reals = f"This study has no real images beside its fakes, so no {FIGURES[measure]} is known."
        unknown = f"No {FIGURES[measure]} is known: {rule.unscaled(results.unjudged)}."
        return missing(unknown if measure == "tpr" else no_reals)
    printed = [end.map(lambda value: figure(value, "{:.2f}")) for end in ends]
    found = found.assign(
        figure=[ARROW.join(row) for row in zip(*printed, strict=True)],
        condition=found.protocol + " \N{MIDDLE DOT} " + found.weights,
        **{kind: found[kind].map(results.titles(kind)) for kind in ("detector", "generator")},
    )
    what, at = capitalised(FIGURES[measure]), ARROW.join(map(words.named, both))
    wide = crossed(found, ["condition", "detector"], "generator", "figure")
    return table(wide.rename(columns={"condition": "protocol \N{MIDDLE DOT} training"}), f"{what} at {at}")
