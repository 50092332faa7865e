"""Make and score what is missing of a study's images; `run` then has them merged into the results and measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Any

from helpers.core.device import release
from helpers.core.errors import Failure, UsageError, shortened, shown
from helpers.core.files import sweep
from helpers.core.hashes import remembering
from helpers.generators.placement import WORDS
from helpers.runs import audit, finished, lock, merge, originals, score, sources
from helpers.runs import plan as planning
from helpers.runs.batches import Batches
from helpers.runs.digests import scoring_digest
from helpers.runs.executors.desk import Desk, spread
from helpers.runs.executors.staff import Staff, staff
from helpers.runs.executors.worker import Job, one_thread
from helpers.runs.plan import Plan, Recipe, Scoring, Shard, Source
from helpers.runs.progress import Line, bar, working_on
from helpers.runs.shard import State, state_of
from helpers.runs.stages import distances, filtered, gallery, perturbed, spectra
from helpers.runs.store import STALE, Store, pixel_sha256
from helpers.runs.writing import Writer
from helpers.study.schema import Study

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Done", "produce", "run"]


@dataclass
class Done:
    """What a call of `run` did: images made and rejected, scores added, whether the results were written anew.

    `failed` says which cells of the call could not be made, by their folders, and why; all else was done. `notes` says,
    a line each, what was made again and why, and what does not belong in the folder.
    """

    made: int = 0
    rejected: int = 0
    scored: int = 0
    merged: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether all was there already."""
        return not (self.made or self.rejected or self.scored or self.merged or self.failed)

    def add(self, other: Done) -> None:
        """Count what another did too."""
        self.made += other.made
        self.rejected += other.rejected
        self.scored += other.scored


def run(
    study: Study,
    out: str | os.PathLike[str],
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    images: int | None = None,
    shard: tuple[int, int] | None = None,
    *,
    arms: Sequence[str] | None = None,
    device: str = "cpu",
    workers: int | None = None,
    executor: str = "local",
    progress: bool = True,
) -> Done:
    """Bring the run in folder `out` up to `images` images per cell (default: the study's number).

    `generators`, `precisions`, `arms` and `shard` (i, n: the i-th of n equal shares) restrict what this call makes and
    scores; pipelines and detectors run on `device` ("cpu", "cuda", "cuda:N"). Of several, with commas between them,
    each has a process of its own; `workers` is how many processes work on one, by default this one alone. `executor`
    "ray" has `workers` actors of Ray. On a CPU each worker computes in one thread, so images are the same for any
    number of them. The results are merged, by this process, from all valid parts in the folder. What exists and is
    valid is kept, image by image, so an interrupted run goes on where it stopped; what is damaged, or of another shard
    than its name says, is named in `notes` and made again. A cell is audited (see `runs.audit`) before its first image.
    One that cannot be made, for want of memory or of its weights or since it fails its audit, is named in `failed` and
    tried again by the next call; the others are made. Raises UsageError for what the study does not have, a folder that
    cannot be written, and workers that cannot be had; Failure for a logit that is not finite, a folder in which another
    run works (see `runs.lock`), and where no worker is left.
    """
    asked = staff(executor, device, workers)
    device = asked.device
    store, done = Store(out), Done()
    chosen = planning.sources(study, generators, precisions, arms)
    plan = planning.resolve(study, images)
    for note in plan.reals.notes if plan.reals else ():
        store.note(note)
    with remembering(store.folder):
        weights = {scoring: scoring_digest(scoring) for scoring in plan.scorings}
    with lock.working(store.folder, shard), working_on(shard), one_thread(device):
        sweep(store.folder)
        _refuse_other(store, study)
        store.rename_former()
        job = Job(plan, store.folder.absolute(), weights, _produced, shard, progress)
        for part in _parts(job, store, plan.shards(chosen, shard), asked):
            done.add(part)
            for note in part.notes:
                store.note(note)
        originals.forget()
        done.failed = store.failures(chosen)
        # All of it by one share at a time: each writes what it finds, and the last one finds everything.
        with lock.merging(store.folder):
            done.merged |= merge.merge(plan, store, weights, device)
            done.merged |= gallery.write(plan, store)
            done.merged |= spectra.write(plan, store, progress=progress)
            done.merged |= distances.write(plan, store, progress=progress)
            done.merged |= filtered.write(plan, store, device=device, progress=progress)
            done.scored += perturbed.score(plan, store, weights, progress, device)
        standing = plan.reals.notes if plan.reals else ()
        # Beside other shares nobody knows which of the files were there when the results were merged.
        if shard is None and set(store.notes) <= set(standing):
            call = finished.asked(study, generators, precisions, images, arms=arms, device=device)
            finished.remember(store.folder, study, call, store.notes)
    done.notes += store.notes
    return done


def _parts(job: Job, store: Store, shards: Sequence[Shard], asked: Staff) -> Iterator[Done]:
    """What came of the shards, made and scored by this process or, piece by piece, by those that it has."""
    if asked.here:
        yield job.work(job.plan, store, shards, job.weights, job.progress, asked.device)
        return
    with job.shown(), asked.hired(job, asked) as hands:
        yield from spread(Desk(job.plan, shards, len(hands)), hands, store.note)


def _produced(
    plan: Plan, store: Store, shards: Sequence[Shard], weights: Mapping[Scoring, str], progress: bool, device: str
) -> Done:
    """What `produce` did, with what it noted of the folder."""
    done = Done()
    produce(plan, store, shards, weights, done, progress, device)
    done.notes = list(store.notes)
    return done


def _refuse_other(store: Store, study: Study) -> None:
    """Keep every study, its confirmation and other trainings too, in a folder of its own: none may take another's
    images."""
    name = (store.manifest().get("study") or {}).get("name")
    if name not in (None, study.name):
        raise UsageError(
            f"{store.folder}: holds the run of {shown(str(name))}, and {study.name} is to have images of its own: "
            "give another folder by --out"
        )


@dataclass
class _Work:
    """What is to be made of one source: its shards' states, and of each the indices and the number of scores that it
    lacks."""

    recipe: Recipe
    states: list[State]
    missing: list[list[int]]
    scores: list[int]

    @property
    def images(self) -> int:
        """How many images are missing."""
        return sum(map(len, self.missing))


def produce(
    plan: Plan,
    store: Store,
    shards: Iterable[Shard],
    weights: Mapping[Scoring, str],
    done: Done,
    progress: bool = True,
    device: str = "cpu",
) -> None:
    """Make the missing images of the shards and score them, source by source; counts what it did in `done`.

    `weights` maps each scoring to the digest of what its logits come from. The shards of a source stand together. All
    sources of a generator are made one after the other, since it is read once for them (see `runs.originals`). One
    source's model is in memory at a time, and gone when its images are scored. A source that cannot be made is noted in
    the folder (`Store.failures`), and the others are made.
    """
    every = list(shards)
    order = list(dict.fromkeys(shard.source.generator for shard in every))
    every.sort(key=lambda shard: order.index(shard.source.generator))
    scorer = score.Scorer(store, weights, device)
    groups = groupby(every, key=lambda shard: shard.source)
    tried = [_lacking(plan, store, scorer, plan.recipes[source], list(group), device) for source, group in groups]
    work = [one for one in tried if one]
    auditing = audit.QuantizationAudit(plan, store, device)
    images, scores = sum(one.images for one in work), sum(sum(one.scores) for one in work)
    with bar(images, "images", progress) as made, bar(scores, "scores", progress) as scored:
        for one in work:
            made.set_postfix_str(one.recipe.folder)
            with _noting_failure(store, one.recipe.source):
                _make_source(store, one, auditing, done, made, device)
            release(device)
            if any(one.scores):
                store.begun(str(plan.rules["digest"]))
                scored.set_postfix_str(one.recipe.folder)
                _score_source(scorer, one, done, scored)


@contextmanager
def _noting_failure(store: Store, source: Source) -> Iterator[None]:
    """Note in the folder what keeps a source from being made.

    What is wrong with the disk or the installation would keep all others too: that is raised.
    """
    store.forget_failure(source)
    try:
        yield
    except (OSError, ImportError):
        raise
    except (UsageError, Failure) as error:
        store.fail(source, str(error).removeprefix(f"{source.folder}: "))
    except Exception as error:  # what libraries and kernels bring about has no common base
        store.fail(source, shortened(f"{type(error).__name__}: {error}", 400))


def _lacking(
    plan: Plan, store: Store, scorer: score.Scorer, recipe: Recipe, shards: list[Shard], device: str
) -> _Work | None:
    """What is to be made of a source; None where its model is not at hand."""
    model = None
    with _noting_failure(store, recipe.source), remembering(store.folder):
        model = sources.open_source(recipe).model()
    if model is None:
        return None
    states = [state_of(plan, store, shard, model, device) for shard in shards]
    missing = [state.missing() for state in states]
    if any(state.stale for state in states):
        store.note(f"{recipe.folder}: {STALE}; made again")
    for state in states:
        if state.former:  # so that it holds whatever else the study is to have
            state.write()
    scores = [scorer.expected(state, len(indices)) for state, indices in zip(states, missing, strict=True)]
    return _Work(recipe, states, missing, scores)


def _make_source(
    store: Store, work: _Work, auditing: audit.QuantizationAudit, done: Done, shown: Line, device: str
) -> None:
    source = sources.open_source(work.recipe, device)
    loaded = work.recipe.source.label == 1 and auditing.audit(work.recipe, source)
    if work.images and not loaded:
        source.load()
    batches = Batches(source, work.recipe, device)
    with Writer() as writer:
        for state, indices in zip(work.states, work.missing, strict=True):
            for batch in _batches(state.shard, indices, work.recipe.batch_size):
                began = perf_counter()
                made = batches.make(batch)
                seconds = (perf_counter() - began) / len(batch)
                new = {index: image for index, image in zip(batch, made, strict=True) if index in indices}
                record = source.record | {"batch_size": batches.size}
                writer.write(_keep, store, state, new, source.check, seconds, record, done)
                if how := source.record.get("placement"):
                    shown.set_postfix_str(f"{work.recipe.folder}, {WORDS[how]}")
                shown.update(len(new))
    if batches.note:
        store.note(batches.note)


def _score_source(scorer: score.Scorer, work: _Work, done: Done, shown: Line) -> None:
    for expected, added in zip(work.scores, scorer.score(work.states), strict=True):
        done.scored += added
        shown.update(expected)  # images that were rejected have no scores


def _batches(shard: Shard, missing: Sequence[int], size: int) -> list[range]:
    """The shard's batches that lack an image: always the same ones, so that going on changes no image."""
    every = [range(start, min(start + size, shard.stop)) for start in range(shard.start, shard.stop, size)]
    return [batch for batch in every if set(batch) & set(missing)]


def _keep(
    store: Store,
    state: State,
    made: Mapping[int, Image.Image],
    check: Callable[[Image.Image], str | None],
    seconds: float,
    record: Mapping[str, Any],
    done: Done,
) -> None:
    """Write images of a shard, by index, each of which took `seconds`, and then what is known of the shard."""
    for index, image in made.items():
        why = check(image)
        store.save(image, state.shard.source, index, rejected=why is not None)
        if why is None:
            state.images[index] = {"sha256": pixel_sha256(image), "seconds": round(seconds, 5)}
            done.made += 1
        else:
            state.rejected[index] = why
            done.rejected += 1
    state.record = dict(record)
    state.write()
