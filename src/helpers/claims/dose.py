"""Sentences on the dose: which cells have none, which rung stands for a real dose, and what the pictures still show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from helpers.analysis import dose, families
from helpers.analysis.repeats import in_words
from helpers.analysis.stats.metrics import Interval
from helpers.analysis.words import counted, listed, named, number, share
from helpers.claims import neighbours
from helpers.claims.claim import Claim
from helpers.claims.gate import gated
from helpers.claims.rule import NOT_TESTABLE, Finding
from helpers.precision.catalogue import PRECISIONS
from helpers.results.memo import once
from helpers.results.results import Results

__all__ = ["BRIDGE", "NONE", "Rungs", "at_neighbours", "doses", "exact", "judged", "kinds", "shown"]

#: Which rung stands for each cell: `dose.matches`, or `dose.neighbouring`.
Rungs = Callable[[Results], Mapping[tuple[str, str], dose.Match]]

#: What a study without distances says.
NONE = (
    "How far this study's images lie from their baseline was not measured. A run over the folder that holds them adds "
    "distances.parquet to it."
)

BRIDGE = "PSNR is an imperfect bridge between studies: it counts a shape that has moved and a grain that is lost alike."


#: What is said of a claim that would hold if it spoke of no other doses than those that there are.
LACKING = "Not every dose that the claim speaks of is there, so it may fail, but cannot be found to hold."


def exact(results: Results) -> str:
    """The sentence on cells of which every image is the baseline's byte for byte; "" where there is none."""
    table = dose.doses(results)
    table = table[table.exact & (table.arm == results.arm)] if len(table) else table
    if table.empty:
        return ""
    each = [
        f"{title} of {listed(list(cell.generator_title))}"
        for title, cell in table.groupby("precision_title", sort=False)
    ]
    return (
        f"The images of {listed(each)} are those of {named(results.baseline)} byte for byte: the checkpoint is stored "
        "in no more bits than the format has. As a control they say nothing."
    )


def doses(results: Results, targets: Mapping[str, float]) -> str:
    """The sentences on the dose of the lowest precision and on the rung that stands for each of the `targets` (dB, by
    name): median PSNRs, from the least to the most of the generators."""
    table = dose.doses(results)
    if table.empty:
        return NONE
    said = []
    low = table[(table.arm == results.arm) & (table.precision == results.lowest)]
    if len(low):
        low = low.sort_values("psnr")
        ends = [f"{row.psnr:.1f} dB ({row.generator_title})" for row in (low.iloc[0], low.iloc[-1])]
        spread = ends[0] if len(low) == 1 else f"{ends[0]} to {ends[1]}"
        said.append(f"The median PSNR of {named(results.lowest)} images to {named(results.baseline)}'s is {spread}.")
    said += [_matched(results, name, target) for name, target in targets.items()]
    return " ".join([*said, exact(results), BRIDGE]).replace("  ", " ")


def _matched(results: Results, name: str, target: float) -> str:
    """Which rung stands for a dose, generator by generator, and for which there is none and why."""
    found = {key: dose.matched_rung(results, key, target) for key in results.generators}
    titles = results.titles("generator")
    rungs: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for key, match in found.items():
        own = f"{named(match.precision)} ({match.psnr.estimate:.1f})" if match.precision else ""
        (rungs.setdefault(own, []) if own else without.setdefault(match.why, [])).append(titles[key])
    parts = [f"{rung} for {listed(keys)}" for rung, keys in rungs.items()]
    lead = f"To {name}, {target:.1f} dB, "
    told = f"{lead}the nearest rung is {listed(parts)}." if parts else f"{lead}no rung of the ladder matches."
    return " ".join([told, *(f"No rung matches for {listed(keys)}: {why}." for why, keys in without.items())])


def shown(results: Results) -> str:
    """The sentences on what part of the lowest precision's change is other content: what is read otherwise, and how far
    the logits of the images move of which nothing is."""
    table = dose.content(results, [results.arm])
    table = table[table.precision == results.lowest] if len(table) else table
    if table.empty:
        return "" if dose.doses(results).empty else (
            "What this study's pictures show was not read: its prompts are no captions of the miniature world, which "
            "are all that the judge knows."
        )  # fmt: skip
    low, base = named(results.lowest), named(results.baseline)
    most = table.loc[table.changed.idxmax()]
    where = f", most in {most.generator_title}'s" if most.changed > table.changed.min() else ""
    told = (
        f"At {low} the judge reads another ground, colour or shape than at {base} in {_share(table, 'changed')} of a "
        f"generator's images{where}{_unrest(results)}."
    )
    return f"{told} {_moved(results)}".strip()


def _share(table: pd.DataFrame, name: str) -> str:
    """Least and most of a share, in print."""
    return _ends(table[name].min(), table[name].max(), 1)


def _unrest(results: Results) -> str:
    null = dose.content(results, [results.arm_of("null")]) if results.arm_of("null") else pd.DataFrame()
    return f" (in the null control, in {_share(null, 'changed')})" if len(null) else ""


def _moved(results: Results) -> str:
    """Of the pairs of generator and detector that the lowest precision moves, how many move where nothing is read
    otherwise too."""
    table = dose.strata(results)
    table = table[(table.precision == results.lowest)].dropna(subset=["same_low"]) if len(table) else table
    if table.empty:
        return ""
    moved = table[(table.same_low > 0) | (table.same_high < 0)]
    told = (
        f"Among the images of which it reads the same, the logits still move in {len(moved)} of "
        f"{counted(len(table), 'pair')} of generator and detector (95 % interval without 0)"
    )
    if moved.empty:
        return f"{told}; so no shift is known that content, as the judge reads it, does not go with."
    most = moved.loc[moved.same.abs().idxmax()]
    figure = number(Interval(most.same, most.same_low, most.same_high), sign=True)
    also = f", by {figure} standard deviations for {most.detector_title} on {most.generator_title} at most"
    return (
        f"{told}{also}. Such shifts are not the work of another ground, colour or shape. They may be the work of what "
        "the judge does not read: place, size, light and texture."
    )


def judged(
    claim: Claim, results: Results, there: Results | None, elsewhere: bool = True, stand: Rungs = dose.matches
) -> Finding:
    """The finding on a claim where each generator's images lie as far from its baseline's as real ones at as many bits,
    by the same gate and judge.

    `there` are the results at that dose (`analysis.dose.at_matched_dose`), under the condition that is asked for, and
    `stand` says which rungs they are of. The words name the dose where the nominal finding names the format, and the
    note the rung that stands for it, generator by generator, with its median PSNR. A generator without a rung in reach
    is not judged, and the note says why; where none has one, or none of them was scored, the claim is not testable.
    Where a generator that is judged lacks one of the doses that the claim speaks of, the claim may fail but not hold:
    all of it must.
    """
    asked = _asked(claim, results, stand)
    if not asked:
        return Finding(NOT_TESTABLE, "This study cannot say: it has no images of the formats that are meant.", {})
    rungs = _stand(results, asked)
    judged_ = [cell for cell in asked if cell in _scored(there)] if there else []
    kept = tuple(dict.fromkeys(generator for generator, _ in judged_))
    if there is None or not kept:
        return Finding(NOT_TESTABLE, f"This study cannot say at the dose of real images. {rungs}", {})
    found = gated(claim, _of(there, kept), elsewhere)
    if found.verdict == "supported" and any(cell[0] in kept and cell not in judged_ for cell in asked):
        found, rungs = replace(found, verdict="inconclusive"), f"{rungs} {LACKING}"
    names = {p: _dose_name(p) for p in dict.fromkeys(p for _, p in dose.matches(results))}
    return replace(
        found, sentence=_dosed(found.sentence, names), deciding=_dosed(found.deciding, names),
        figures={_dosed(name, names): figure for name, figure in found.figures.items()},
        prompts={_dosed(name, names): figure for name, figure in found.prompts.items()},
        bases={_dosed(name, names): basis for name, basis in found.bases.items()},
        changes=frozenset(_dosed(name, names) for name in found.changes),
        note=f"{rungs} {_dosed(found.note, names)}".strip(),
    )  # fmt: skip


@once
def _scored(results: Results) -> frozenset[tuple[str, str]]:
    """The cells, generator and precision, that have scores of fakes."""
    fakes = results.scores[results.scores.label == 1].drop_duplicates(["generator", "precision"])
    return frozenset(zip(fakes.generator, fakes.precision, strict=True))


@once
def _of(results: Results, generators: tuple[str, ...]) -> Results:
    """The same results of these generators alone."""
    return replace(results, generators=tuple(key for key in results.generators if key in generators))


def at_neighbours(claim: Claim, results: Results, there: Results | None) -> Finding | None:
    """`judged` at the neighbouring rungs (`analysis.dose.neighbours`), where there are any; None where a claim reads no
    dose that two rungs stand for. The note names the neighbours. `there` are the results at those
    (`analysis.dose.at_neighbouring_dose`)."""
    asked, by_cell = _asked(claim, results, dose.matches), dose.neighbours(results)
    next_ = {cell: by_cell[cell] for cell in asked if cell in by_cell and by_cell[cell].precision}
    if there is None or not next_:
        return None
    # What else its note says is said at the nearest rungs already.
    return replace(judged(claim, results, there, stand=dose.neighbouring), note=_stand(results, next_))


def _asked(claim: Claim, results: Results, stand: Rungs) -> dict[tuple[str, str], dose.Match]:
    """What stands for the cells that a claim reads, by (generator, precision); C6 reads the lowest precision."""
    generators = claim.reads.generators if claim.reads else ()
    formats = (results.lowest,) if claim.of_images and not claim.of_scores else claim.formats
    return {
        (generator, precision): match
        for (generator, precision), match in stand(results).items()
        if (not generators or generator in generators) and (formats is None or precision in formats)
    }


def _dose_name(precision: str) -> str:
    """What a precision is called where another format stands for its dose."""
    return f"the real {PRECISIONS[precision].bits}-bit dose"


def _dosed(text: str, names: Mapping[str, str]) -> str:
    """A sentence on formats as one on their doses."""
    by_title = {PRECISIONS[key].title: name for key, name in names.items()}

    def renamed(found: re.Match[str]) -> str:
        return f"{'images at ' if found[2] else ''}{by_title[found[1]]}"

    return re.sub(rf"\b({'|'.join(map(re.escape, by_title))})\b(?!-)( images)?", renamed, text)


def _stand(results: Results, asked: Mapping[tuple[str, str], dose.Match]) -> str:
    """The sentences that say which rungs stand for which dose, and which generators have none and why."""
    titles, said = results.titles("generator"), []
    for precision in dict.fromkeys(precision for _, precision in asked):
        own = {generator: match for (generator, of), match in asked.items() if of == precision}
        stand = [
            f"{named(match.precision)} of {titles[generator]}'s ladder ({match.psnr.estimate:.1f} dB)"
            for generator, match in own.items() if match.precision
        ]  # fmt: skip
        target = next((match.target for match in own.values() if match.target == match.target), None)
        at = "" if target is None else f" at {target:.1f} dB"
        real = f"real {PRECISIONS[precision].bits}-bit images{at}"
        said += [f"{listed(stand)} {'stands' if len(stand) == 1 else 'stand'} for {real}."] if stand else []
        without: dict[str, list[str]] = {}
        for generator, match in own.items():
            if not match.precision:
                without.setdefault(match.why, []).append(titles[generator])
        said += [f"No rung of {listed(keys)} stands for {real}: {why}." for why, keys in without.items()]
    return " ".join(said)


def kinds(results: Results) -> str:
    """The sentences that set UNets beside DiTs: at equal coverage and dose, by the interval in all, or why they cannot
    be."""
    effects, places = families.by_family(results), families.places(results)
    differ = effects[effects.kind == families.DIFFERENCE].dropna(subset=["auc"]) if len(effects) else effects
    lead = "At one nominal format they differ in how much of them is quantized and in how far their images move"
    if differ.empty:
        return (
            f"UNets and DiTs cannot be compared at equal coverage and dose here: {_lacking(results, places)}. {lead}."
        )
    said = [_apart(bits, own) for bits, own in differ.groupby("bits", sort=False)]
    said += [neighbours.kinds(results, differ)]
    shares = places.dropna(subset=["share"]).groupby("kind")["share"]
    held = [f"{_ends(own.min(), own.max())} of the {kind}' denoisers" for kind, own in shares if kind]
    return (
        f"UNets and DiTs are compared where the ladder quantizes {listed(held)} and images lie as far from the "
        f"baseline's as real ones. {' '.join(said)} {_over(effects, differ)} {lead}, so nothing is concluded from that."
    )


def _apart(bits: int, own: pd.DataFrame) -> str:
    """In how many detectors the kinds differ at a dose, by the interval in all and by that over prompts."""
    wide, narrow = (
        own[(own[f"{name}_low"] > 0) | (own[f"{name}_high"] < 0)] for name in ("auc_mean", "auc")
    )  # fmt: skip
    told = (
        f"At the dose of real {bits}-bit images the change of AUC differs in {len(wide)} of "
        f"{counted(len(own), 'detector')} (95 % interval in all without 0). Over prompts alone, of this training, it "
        f"differs in {len(narrow)}"
    )
    if len(wide):
        most = wide.loc[wide.auc_mean.abs().idxmax()]
        less = "more" if most.auc_mean < 0 else "less"
        change = number(Interval(most.auc_mean, most.auc_mean_low, most.auc_mean_high), 3, sign=True)
        told += f". It differs most for {most.detector_title}, which loses {less} on UNets (difference {change})"
    return f"{told}."


def _over(effects: pd.DataFrame, differ: pd.DataFrame) -> str:
    """What the intervals in all are taken over, and what a kind of one generator leaves open."""
    means = effects[effects.kind.isin(families.KINDS)].drop_duplicates("kind")
    over = listed(
        [f"{counted(row.generators, row.kind.removesuffix('s'))} ({row.titles})" for row in means.itertuples()]
    )
    by_dose = {in_words(dict(zip(own.detector, own.trainings, strict=True))): f"real {bits}-bit images"
               for bits, own in differ.groupby("bits", sort=False)}  # fmt: skip
    trained = next(iter(by_dose)) if len(by_dose) == 1 else "; ".join(f"{of}, of {at}" for of, at in by_dose.items())
    lone = [row.kind for row in means.itertuples() if row.generators == 1]
    if not lone:
        return f"Intervals in all are over prompts, generators and trainings: {over}; {trained}."
    alone = listed([f"one {kind.removesuffix('s')} says nothing of {kind} at large" for kind in lone])
    return (
        f"Intervals in all are over prompts and trainings ({trained}), and over generators where a kind has several: "
        f"here are {over}. As {alone}, whether the kinds differ stays open, and these figures are of these generators."
    )


def _lacking(results: Results, places: pd.DataFrame) -> str:
    """Why nothing stands at equal coverage and dose, kind by kind or generator by generator."""
    if dose.doses(results).empty:
        return "the distances of the images were not measured"
    without = places[places.why != ""] if len(places) else places
    if without.empty:
        return "the study has not both of them, or no reals"
    whys = without.groupby("why", sort=False).generator_title.agg(lambda titles: listed(list(dict.fromkeys(titles))))
    return "; ".join(f"for {titles}, {why}" for why, titles in whys.items())


def _ends(least: float, most: float, digits: int = 0) -> str:
    """Least and most of a share, in print."""
    return " to ".join(dict.fromkeys(share(end, digits) for end in (least, most)))
