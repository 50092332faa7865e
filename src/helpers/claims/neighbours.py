"""How much hangs on which of two rungs of nearly equal PSNR stands for a dose: what is said at the neighbouring rung.

The rule takes the rung nearest in PSNR. Where a second one lies in reach (`analysis.dose.neighbours`) all is found once
more there. It decides nothing; it says how far the bridge by PSNR carries.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from helpers.analysis import dose, families
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number
from helpers.claims.claim import Outcome
from helpers.claims.rule import NOT_TESTABLE
from helpers.results.results import Results

__all__ = ["answer", "bridge", "kept", "kinds", "rungs", "turned"]

PSNR = "PSNR, by which the doses of two scales are matched, is an imperfect bridge"


def rungs(results: Results) -> str:
    """The sentences that name the neighbouring rungs and count the shifts that keep their sign there; "" where nothing
    stands for a dose."""
    found = dose.neighbours(results)
    if not found:
        return ""
    stands, titles = dose.matches(results), results.titles("generator")
    each = [
        f"{titles[generator]} {named(stands[generator, precision].precision)} and {named(match.precision)} "
        f"({stands[generator, precision].psnr.estimate:.1f} and {match.psnr.estimate:.1f} dB)"
        for (generator, precision), match in found.items() if match.precision
    ]  # fmt: skip
    reach = results.rules.judging.reach.value
    if not each:
        return f"No dose has a second rung within {reach:g} dB, so how much hangs on the rung is not known."
    lead = (
        f"Of {counted(len(found), 'dose')} for which a rung stands, {len(each)} have a second one within {reach:g} dB"
    )
    return f"{lead}: {listed(each)}. {_signs(dose.side_by_side(results))}".strip()


def _signs(table: pd.DataFrame) -> str:
    """How many shifts keep their sign at the neighbouring rung, and how many lie on the two sides of 0."""
    if table.empty:
        return ""
    apart = int(table.apart.sum())
    told = (
        f"Of {counted(len(table), 'mean shift')} of a detector, {int(table.same.sum())} have the same sign at both; "
        f"{apart} {'lies' if apart == 1 else 'lie'} on opposite sides of 0 with both intervals"
    )
    other = table[table.apart]
    if other.empty:
        return f"{told}."
    most = other.loc[(other.rung_shift - other.next_shift).abs().idxmax()]
    first, second = (
        f"{number(Interval(*(most[f'{name}_shift{end}'] for end in ('', '_low', '_high'))), sign=True)} at "
        f"{most[f'{name}_title']}"
        for name in ("rung", "next")
    )
    return f"{told}. The furthest apart is {most.detector_title} on {most.generator_title}: {first}, {second}."


def bridge(results: Results) -> str:
    """What the neighbouring rungs mean for matching doses by PSNR: a limit of every study."""
    table = dose.side_by_side(results)
    if table.empty:
        return f"{PSNR}: it does not tell other content from other traces."
    turn = int((~table.same).sum())
    off = (table.rung_psnr - table.next_psnr).abs().max()
    means = (
        "so an equal PSNR fixes not even the direction in which a detector moves" if table.apart.any()
        else "so the direction in which a detector moves hangs little on the rung"
    )  # fmt: skip
    return (
        f"{PSNR}. Between two rungs at most {off:.1f} dB apart, {turn} of {counted(len(table), 'mean shift')} "
        f"{'changes its' if turn == 1 else 'change their'} sign, {means}."
    )


def kept(outcomes: Iterable[Outcome]) -> str:
    """The sentence that counts the verdicts at the dose of real images that come out the same at the neighbouring
    rungs; "" where no statement was judged there."""
    dosed = [outcome for outcome in outcomes if outcome.matched]
    verdicts = [(of.matched.verdict, of.neighbour.verdict) for of in dosed if of.matched and of.neighbour]
    if not dosed:
        return ""
    if not verdicts:
        return "No statement reads a dose for which two rungs stand."
    same = sum(here == there for here, there in verdicts)
    turn = [outcome.claim.title for outcome in dosed if outcome.turned]
    said = (
        f"Of {counted(len(dosed), 'statement')} judged at the dose of real images, {len(verdicts)} "
        f"{'reads' if len(verdicts) == 1 else 'read'} a dose for which a second rung stands. There "
        f"{'all' if same == len(verdicts) else same or 'none'} of these keep their verdict"
    )
    if not turn:
        return f"{said}."
    return (
        f"{said}, but {'figures' if len(turn) > 1 else 'a figure'} of {listed(turn)} turn{'s' * (len(turn) < 2)} sign."
    )


def answer(outcome: Outcome) -> str:
    """What a claim's finding at the neighbouring rungs says, or that there are none; "" where no rung stands at all."""
    if outcome.neighbour or outcome.matched is None or outcome.matched.verdict == NOT_TESTABLE:
        return outcome.neighbour_answer
    return "None of the doses that it reads has a second rung in reach."


def turned(outcome: Outcome) -> str:
    """The sentence on a figure of a claim that changes its sign at the neighbouring rung; "" where none does."""
    if not outcome.turned:
        return ""
    name = outcome.turned[0]
    here, there = (
        number(finding.figures[name], sign=True) for finding in (outcome.matched, outcome.neighbour) if finding
    )
    return f"At {name} two rungs of nearly equal PSNR disagree: {here} at the nearest, {there} at the next."


def kinds(results: Results, differ: pd.DataFrame) -> str:
    """The sentence on the differences of UNets and DiTs (rows of `families.by_family`) at the neighbouring rungs; ""
    where there are none."""
    moved = {precision for (_, precision), match in dose.neighbours(results, dose.ALL).items() if match.precision}
    there = families.by_family(results, dose.at_neighbouring_dose) if moved else pd.DataFrame()
    if there.empty:
        return ""
    keys, names = ["precision", "detector"], ["auc_mean", "auc_mean_low", "auc_mean_high"]
    there = there[(there.kind == families.DIFFERENCE) & there.precision.isin(moved)][[*keys, *names]]
    both = differ[[*keys, "bits", *names]].merge(there, on=keys, suffixes=("", "_next")).dropna()
    if both.empty:
        return ""
    same = both[_side(both, "") == _side(both, "_next")]
    signs = both[both.auc_mean * both.auc_mean_next > 0]
    bits = listed([str(of) for of in dict.fromkeys(both.bits)])
    return (
        f"At the neighbouring rungs ({bits} bits) {len(signs)} of {counted(len(both), 'difference')} have the same "
        f"sign. By the interval in all, {len(same)} {'lies' if len(same) == 1 else 'lie'} as before: above 0, below it "
        "or across it."
    )


def _side(table: pd.DataFrame, end: str) -> pd.Series:
    """1 where an interval lies above 0, -1 below it, 0 across it."""
    return (table[f"auc_mean_low{end}"] > 0).astype(int) - (table[f"auc_mean_high{end}"] < 0).astype(int)
