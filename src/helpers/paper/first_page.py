"""The answer on the book's first page: what the lowest precision costs, at which scale, and what real evidence says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan

import pandas as pd

from helpers.analysis import still_found
from helpers.analysis.instruments import instruments
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import listed, named, number, quoted, share
from helpers.claims import Outcome
from helpers.claims.evidence import overall
from helpers.claims.rule import LEAST_IMAGES, PLURAL, SAID, margins, too_few, unscaled, verdict
from helpers.paper import first_figures, page
from helpers.paper.sentences import rejected_note
from helpers.precision.catalogue import PRECISIONS
from helpers.results.results import Results

__all__ = ["answer", "deck_and_evidence", "glue_all", "rule"]

SPACE = "\N{NO-BREAK SPACE}"
#: Where it was tested, by the study's scale, and what such a study cannot say.
WHERE = {"mini": "In miniature", "full": "On the public checkpoints"}
CAUTION = {
    "mini": "Miniatures are small generators and detectors trained for this study: they show what can happen, not what "
    "the public checkpoints do."
}

#: What is found of a generator's images at the lowest precision, by what its interval says.
KEPT, FEWER, OPEN = "about as many images of {} as before", "fewer of {}", "for {} that stays open"

#: The short answer, by what is found of the generators.
SHORT = {
    frozenset({KEPT}): "yes, about as well as before",
    frozenset({FEWER}): "less well than before",
    frozenset({OPEN}): "that stays open",
    frozenset({KEPT, OPEN}): "yes for some generators, open for others",
    frozenset({FEWER, OPEN}): "less well for some generators, open for others",
    frozenset({KEPT, FEWER}): "it depends on the generator",
    frozenset({KEPT, FEWER, OPEN}): "it depends on the generator",
}

#: What others' figures of the public checkpoints say of so many statements of the deck.
EVIDENCE = {
    "supported": "agree with {}", "contradicted": "contradict {}", "mixed": "speak both ways on {}",
    "inconclusive": "leave {} undecided", "": "say nothing of {}",
}  # fmt: skip


def glue_all(results: Results, outcomes: Sequence[Outcome]) -> None:
    """Glue what the first page shows: `first_short`, `first_answer`, `first_beside` and `first_rule` (sentences), and
    the figures `first_tiles` and `first_glance`."""
    short, sentences = answer(results)
    said = [CAUTION.get(results.scale, ""), rejected_note(results), deck_and_evidence(results, outcomes)]
    beside = " ".join(filter(None, said))
    for name, text in {"short": short, "answer": sentences, "beside": beside, "rule": rule(results)}.items():
        page.glue_text(f"first_{name}", text)
    first_figures.glue_figures(results)


def answer(results: Results) -> tuple[str, str]:
    """The short answer, with the study's scale, and the sentences that bear it out: of which generators detectors find
    as many images at the lowest precision as at the baseline, of which fewer, and where the most is lost.
    """
    detectors = still_found.able(results)
    found = still_found.by_generator(results, detectors)
    if why := _silent(results, detectors, found):
        return f"{_where(results)}, that cannot be said.", f"This study cannot say: {why}."
    kinds = {row.generator_title: _kind(row, margins(results)["drop"]) for row in found.itertuples()}
    short = f"{_where(results)}, {SHORT[frozenset(kinds.values())]}."
    return short, f"With {_weights(results)}, {_found(kinds)}. {_most(found)}"


def _found(kinds: Mapping[str, str]) -> str:
    """Of which generators, by title, detectors find what."""
    named_by = {kind: listed([title for title, own in kinds.items() if own == kind]) for kind in (KEPT, FEWER, OPEN)}
    parts = [kind.format(named_by[kind]) for kind in (KEPT, FEWER) if named_by[kind]]
    if not parts:
        return f"whether detectors find as many images of {named_by[OPEN]} as before stays open"
    rest = f"; {OPEN.format(named_by[OPEN])}" if named_by[OPEN] else ""
    said = f"detectors find {listed(parts)}{rest}"
    return said if named_by[KEPT] else said.replace("fewer of", "fewer images of")


def _where(results: Results) -> str:
    return WHERE.get(results.scale, "In this study")


def _silent(results: Results, detectors: Sequence[str], found: pd.DataFrame) -> str:
    """Why a study has no answer, as the end of a sentence; "" where it has one."""
    base, low = named(results.baseline), named(results.lowest)
    if results.unjudged and not detectors:
        return unscaled(results.unjudged)
    if not detectors:
        return f"none of its detectors tells fakes from reals well enough, even at {base}"
    if found.empty:
        return f"it has no images at {base} and at {low}" if low else f"all of its images are at {base}"
    most = int(found.n.max())
    return f"it has {too_few(most)}" if most < LEAST_IMAGES else ""


def _kind(row: pd.Series, drop: float) -> str:
    """KEPT where the whole interval is a loss of less than the margin, FEWER where there is a loss by an interval that
    holds for all generators at once, else OPEN, as of too few images."""
    if row.n < LEAST_IMAGES:
        return OPEN
    if verdict([Interval(row.change, row.change_low, row.change_high)], low=-drop) == "supported":
        return KEPT
    return FEWER if row.widened_high < 0 else OPEN


def _weights(results: Results) -> str:
    """Both precisions in words: 4-bit weights (FP4) in place of 32-bit ones (FP32)."""
    bits = [
        f"{PRECISIONS[key].bits}-bit" if key in PRECISIONS else "other" for key in (results.lowest, results.baseline)
    ]
    low, base = named(results.lowest), named(results.baseline)
    return f"{bits[0]} weights ({low}) in place of {bits[1]} ones ({base})"


def _most(found: pd.DataFrame) -> str:
    """The sentence on the generator whose images lose most, and on the reals that are called fake too."""
    found = found[found.n >= LEAST_IMAGES]
    row = found.loc[found.change.idxmin()]
    moved = number(Interval(*(100 * row[f"change{end}"] for end in ("", "_low", "_high"))), 1, sign=True)
    lead = "The largest fall is on" if row.change < 0 else "No share falls; the least change is on"
    span = f"a change of {moved.replace(' (', f' points (95{SPACE}% interval ')}"
    reals = "" if isnan(row.false_alarms) else f"; of real images {share(row.false_alarms)} are called fake"
    there = f"from {share(row.before)} of its images to {share(row.after)}"
    return f"{lead} {row.generator_title}, {there}, {span}{reals}."


def deck_and_evidence(results: Results, outcomes: Sequence[Outcome]) -> str:
    """The sentence that counts what holds in the study of the deck's main claims, and what public figures of the real
    checkpoints say of the same."""
    main = [outcome for outcome in outcomes if outcome.claim.headline]
    here = Counter(outcome.here for outcome in main)
    said = [f"{_all(here[way], main)} {(SAID if here[way] == 1 else PLURAL)[way]}" for way in SAID if here[way]]
    real = Counter(overall(outcome.claim.key, margins(results)) for outcome in main)
    public = [words.format(_all(real[way], main)) for way, words in EVIDENCE.items() if real[way]]
    return (
        f"Of the {len(main)} main claims of the slide deck under test {listed(said)} here; public measurements of "
        f"the real checkpoints {listed(public)}."
    )


def _all(count: int, of: Sequence[Outcome]) -> str:
    return "all" if count == len(of) > 1 else str(count)


def rule(results: Results) -> str:
    """The sentences that say which detectors the answer is a mean over, and what its words mean in numbers."""
    limits, base = margins(results), named(results.baseline)
    counting = still_found.able(results)
    out = [named(key) for key in results.detectors if key not in counting]
    left = f", without {listed(out)}, which cannot answer" if out else ""
    who = listed([named(key) for key in counting]) or "no detector"
    known = any(instruments(results)[key].adequate(0) is not None for key in counting or results.detectors)
    how = (
        f"Which can answer is decided by AUC at {base} alone: at least {limits['adequate']:.2f} on some generator that "
        "its training covers."
        if known
        else f"Whether they can tell fakes from reals at all is not known here: no AUC at {base}."
    )
    return (
        f"A share is a mean over {who}{left}, each at its own threshold. {how} {quoted('As many')} means that the "
        f"whole 95{SPACE}% interval, over prompts and trainings, is a loss of less than {100 * limits['drop']:.0f} "
        f"points, {quoted('fewer')} that there is a loss by an interval that holds for all generators at once."
    )
