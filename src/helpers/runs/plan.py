"""What a run consists of, read from the study once: sources of images with their recipes, cut into shards, and the ways
in which they are scored (no torch).

`resolve` turns a study into a `Plan`; whatever makes, audits, scores or measures images takes the plan, or one recipe
of it, and never asks the study.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.core.errors import UsageError, nearest, shown
from helpers.generators.catalogue import GENERATORS, Entry
from helpers.images.protocols import weights_for
from helpers.precision.catalogue import PRECISIONS, UNQUANTIZED
from helpers.runs.shares import contiguous
from helpers.study.schema import Memory, Perturbations, Study, training_label

if TYPE_CHECKING:
    from helpers.runs.photographs import Chosen, Photograph

__all__ = [
    "AUDITED",
    "REAL",
    "Plan",
    "Recipe",
    "Scoring",
    "Shard",
    "Source",
    "parse_share",
    "resolve",
    "scorings",
    "sources",
]

REAL = "real"

#: Images of a generator without quantization that the audit of its cells denoises, however few are asked for.
AUDITED = 2


@dataclass(frozen=True)
class Source:
    """Where images come from: a cell of the study (label 1), or the real images at one size (label 0).

    `size` is in pixels; the precision is "none" for real images. Their arm is "none" too, or the generator through
    whose VAE they were passed (protocol `aligned`).
    """

    generator: str
    precision: str
    arm: str
    size: int
    label: int

    @property
    def folder(self) -> str:
        """Path of its images below images/: real/64, real/64-sd15, sd15/fp4, sd15/fp4-rounding."""
        if self.label == 0:
            return f"{REAL}/{self.size}" + ("" if self.arm == "none" else f"-{self.arm}")
        return f"{self.generator}/{self.precision}" + ("" if self.arm == "native" else f"-{self.arm}")


@dataclass(frozen=True)
class Recipe:
    """How a source's images are made: all that the study says of it.

    What a source does not have is None: a real image has neither a checkpoint nor prompts, one that was passed through
    a VAE has the checkpoint alone.

    Attributes:
        source: whose images these are.
        images: how many of them there are to be; `shard_size` of them have one record, `batch_size` are computed
            together.
        digest: SHA-256 (hex) of what makes the images, apart from the model's files and the type it computes in.
            Nothing else counts, so another generator, another arm or more images leave these as they are.
        former_digest: what earlier versions kept in its place, a digest of the whole study.
        generator: key of the generator, of a passed real that of the VAE's; `entry`: its row, of the catalogue or the
            study's own.
        checkpoint: the folder or hub id of its pipeline, with `revision` and `variant` of the hub's files.
        steps, guidance: of the sampling; `dtype`: the type in which a GPU computes all but FP32.
        memory: how its pipeline fits on a GPU; what of it changes pixels counts in the digest.
        batch_counts: whether its batches must be of `batch_size`, since they are what its arm is about.
        way, coverage, components: what the precision is applied to, and how (`precision.apply`).
        seed: of image 0, image i has `seed` + i; `prompts`: of the images, by index.
        photographs: the files of real images by index; empty where they are renders.
        first: the scene of the miniature world's test split that render 0 shows.
    """

    source: Source
    images: int
    shard_size: int
    batch_size: int
    digest: str
    former_digest: str
    generator: str | None = None
    entry: Entry | None = None
    checkpoint: str | None = None
    revision: str | None = None
    variant: str | None = None
    steps: int | None = None
    guidance: float | None = None
    dtype: str | None = None
    memory: Memory = Memory()
    batch_counts: bool = False
    way: str | None = None
    coverage: str | None = None
    components: tuple[str, ...] = ()
    seed: int | None = None
    prompts: tuple[str, ...] = ()
    photographs: tuple[Photograph, ...] = ()
    first: int = 0

    @property
    def folder(self) -> str:
        """Path of its images below images/ (see `Source.folder`)."""
        return self.source.folder

    def computing_type(self, device: str) -> str:
        """The type in which its images are computed: FP32 in itself, other precisions on a GPU in the study's `dtype`.

        On a CPU everything computes in single precision, since many have no arithmetic of 16 bits.
        """
        return "float32" if self._single(device) else self.dtype or "float32"

    def types(self, device: str) -> Mapping[str, str]:
        """Component -> type in which it computes, where that is another than `computing_type`."""
        return {} if self._single(device) else self.memory.dtypes

    def _single(self, device: str) -> bool:
        return self.source.precision == UNQUANTIZED or device == "cpu"


@dataclass(frozen=True)
class Scoring:
    """One way in which images are scored: a detector, its weights (a training's label or a path), the protocol, and the
    difficulty of the protocol `shared`; `cells` are the fakes that it scores, by arm and precision (None: all).
    """

    detector: str
    weights: str
    protocol: str
    level: int | None = None
    cells: frozenset[tuple[str, str]] | None = None

    @property
    def label(self) -> str:
        """The weights' name in tables."""
        return training_label(self.weights)

    @property
    def key(self) -> str:
        """Its name in records."""
        return f"{self.detector}/{self.label}/{self.protocol}"

    def applies(self, source: Source) -> bool:
        """Whether it scores a source's images: `aligned` has reals of its own."""
        if source.label == 1:
            return self.cells is None or (source.arm, source.precision) in self.cells
        return (source.arm != "none") == (self.protocol == "aligned")


@dataclass(frozen=True)
class Shard:
    """The images `start` <= index < `stop` of a source; the unit of work and of bookkeeping."""

    source: Source
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Path of its files below parts/, without suffix."""
        return f"{self.source.folder}/{self.start:04d}"

    @property
    def indices(self) -> range:
        """The indices of its images."""
        return range(self.start, self.stop)


def sources(
    study: Study,
    generators: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    arms: Sequence[str] | None = None,
) -> list[Source]:
    """The chosen cells, those of the main arm first, then the reals at their sizes, where it has any.

    Raises UsageError for a generator, precision or arm that the study does not have.
    """
    every = study.cells() + study.arm_cells()
    keys = _chosen("generator", generators, study.keys, GENERATORS)
    levels = _chosen("precision", precisions, list(dict.fromkeys(cell.precision for cell in every)), PRECISIONS)
    ways = _chosen("arm", arms, [study.arm, *study.arms], ())
    cells = [cell for cell in every if cell.generator in keys and cell.precision in levels and cell.arm in ways]
    fakes = [
        Source(cell.generator, cell.precision, cell.arm, study.generators[cell.generator].size, 1) for cell in cells
    ]
    if study.reals_kind is None:
        return fakes
    sizes = sorted({study.generators[key].size for key in keys})
    own = [key for key in keys if "aligned" in study.protocols]
    return (
        fakes
        + [Source(REAL, "none", "none", size, 0) for size in sizes]
        + [Source(REAL, "none", key, study.generators[key].size, 0) for key in own]
    )


def scorings(study: Study) -> list[Scoring]:
    """Every way in which the study scores its images: each protocol, then the further trainings, under `plain` but for
    those that are seeds of another protocol's own training (`mini-aligned-s1`), which are scored as that one is.

    Further trainings score the main arm, and of the others what these say (`Arm.further`).
    """
    main = [
        Scoring(name, weights_for(p, study.weights), p, study.shared_level if p == "shared" else None)
        for p in study.protocols
        for name in study.detectors
    ]
    cells = {(study.arm, level) for level in (*study.precisions, study.baseline)}
    cells |= {(name, level) for name, arm in study.arms.items() for level in arm.further}
    further = [(name, weights) for weights, names in study.further.items() for name in names]
    return main + [
        Scoring(name, weights, _protocol_of(study, weights), cells=frozenset(cells)) for name, weights in further
    ]


def _protocol_of(study: Study, weights: str) -> str:
    """The protocol under which a further training is scored."""
    label, own = training_label(weights), training_label(study.weights)
    apart = [p for p in study.protocols if weights_for(p, own) != own]
    return next((p for p in apart if re.fullmatch(rf"{re.escape(weights_for(p, own))}-s\d+", label)), "plain")


@dataclass(frozen=True)
class Plan:
    """A study as a run takes it.

    Attributes:
        study: the study file's content, for the manifest; `study_digest` its digest, by which archives are told apart.
        rules: the rules by which its claims are judged, as a manifest keeps them.
        recipes: every source, those of the main arm first, then the arms', then the reals.
        references: generator -> recipe of its images in the main arm without quantization, with which cells are
            compared, whether or not the study has that cell.
        scorings: every way in which images are scored; `weights` is the training that the study is about.
        arm: the main arm; `baseline` the precision with which others are compared, `lowest` the coarsest of the others
            (None where there is none).
        shard_size: images of a shard; `perturbations`: the study's sample to be scored once more.
        reals: the photographs that are the real images, None where they are renders or there are none.
    """

    study: Mapping[str, Any]
    study_digest: str
    rules: Mapping[str, Any]
    recipes: Mapping[Source, Recipe]
    references: Mapping[str, Recipe]
    scorings: tuple[Scoring, ...]
    weights: str
    arm: str
    baseline: str
    lowest: str | None
    shard_size: int
    perturbations: Perturbations | None
    reals: Chosen | None = None

    def shards(self, chosen: Iterable[Source], share: tuple[int, int] | None = None) -> list[Shard]:
        """Shards of the chosen sources; with share (i, n) the i-th of n parts that cost about the same.

        Shards begin at multiples of the shard size, so a run with more images extends the last one and keeps the
        others. A part is of whole sources, those of a generator together, for whoever makes it loads each anew; sources
        are cut only where there are more parts than sources.
        """
        every = [self._shards(self.recipes[source]) for source in chosen]
        if share is None:
            return [shard for one in every for shard in one]
        generators = list(dict.fromkeys(self.recipes[source].generator for source in chosen))
        every.sort(key=lambda one: generators.index(self.recipes[one[0].source].generator))
        index, count = share
        units = every if count <= len(every) else [[shard] for one in every for shard in one]
        part = contiguous([sum(map(self.cost, unit)) for unit in units], count)[index - 1]
        return [shard for place in part for shard in units[place]]

    def _shards(self, recipe: Recipe) -> list[Shard]:
        return [
            Shard(recipe.source, start, min(start + self.shard_size, recipe.images))
            for start in range(0, recipe.images, self.shard_size)
        ]

    def cost(self, shard: Shard) -> int:
        """What a shard costs beside others, in pixels that are denoised."""
        return len(shard.indices) * (self.recipes[shard.source].steps or 1) * shard.source.size**2


def resolve(study: Study, images: int | None = None) -> Plan:
    """The plan of a run with `images` images per cell (default: the study's number), at most an arm's own number.

    Raises UsageError for less than one image, and for more images than prompts or photographs.
    """
    images = study.images_per_cell if images is None else images
    if images < 1:
        raise UsageError(f"{images} images per cell: ask for at least 1")
    every = sources(study)
    # Those of the study's own number too: a folder may hold more images than this call asks for, and they are measured.
    prompts = tuple(study.prompts_for(max(images, AUDITED, study.images_per_cell)))
    probe = _sha256(study.prompt_probe())
    chosen = _photographs(study, images)
    former = {arm: study.digest(arm) for arm in {source.arm for source in every} | {study.arm}}

    def recipe(source: Source) -> Recipe:
        common = {
            "source": source,
            "images": study.images_of(source.arm, images),
            "shard_size": study.shard_size,
            "batch_size": study.setting("batch_size", source.arm),
            "former_digest": former[source.arm],
        }
        if source.label == 0:
            return Recipe(**common, **_real(study, source, chosen))
        return Recipe(**common, **_cell(study, source, probe), prompts=prompts)

    quantized = [level for level in study.precisions if level != study.baseline]
    return Plan(
        study=study.model_dump(mode="json"),
        study_digest=study.digest(),
        rules=study.judged_by.record(),
        recipes={source: recipe(source) for source in every},
        references={
            key: recipe(Source(key, UNQUANTIZED, study.arm, study.generators[key].size, 1)) for key in study.keys
        },
        scorings=tuple(scorings(study)),
        weights=study.weights,
        arm=study.arm,
        baseline=study.baseline,
        lowest=min(quantized, key=lambda level: PRECISIONS[level].bits_with_scales, default=None),
        shard_size=study.shard_size,
        perturbations=study.perturbations,
        reals=chosen,
    )


def _photographs(study: Study, images: int) -> Chosen | None:
    """The photographs of a study whose reals they are."""
    if study.reals_kind != "folder":
        return None
    from helpers.runs import photographs  # it brings torch, which a plan without photographs does without

    return photographs.choose(study.reals_folder, images, study.reals_least, study.seed)


def _real(study: Study, source: Source, chosen: Chosen | None) -> dict[str, Any]:
    """Of the recipe of real images what is its own."""
    first = study.prompts.first if study.reals_kind == "world" else 0
    of: dict[str, Any] = {"size": source.size} | ({"photographs": chosen.digest} if chosen else {})
    of |= {"first": first} if first else {}
    own: dict[str, Any] = {
        "digest": _sha256(of), "photographs": chosen.photographs if chosen else (), "first": first,
    }  # fmt: skip
    if source.arm == "none":
        return own
    return own | {
        "generator": source.arm, "entry": study.entry(source.arm), "checkpoint": study.source(source.arm),
        **study.generators[source.arm].model_dump(include={"revision", "variant"}),
    }  # fmt: skip


def _cell(study: Study, source: Source, probe: str) -> dict[str, Any]:
    """Of a cell's recipe what is its own; `probe` tells its prompts from others."""
    settings, memory = study.generators[source.generator], study.memory_of(source.generator)
    own_batches = study.arms[source.arm].batch_size if source.arm in study.arms else None
    asked = {name: study.setting(name, source.arm) for name in ("way", "coverage", "components", "seed")}
    asked |= settings.model_dump(include={"steps", "guidance", "variant"})
    asked |= {"generator": source.generator, "components": tuple(asked["components"])}
    counted = asked | {
        "precision": source.precision,
        "size": source.size,
        "components": sorted(asked["components"]),
        "prompts": probe,
        # The main arm's is a matter of memory; an arm's own is what that arm is about.
        "batch_size": own_batches,
        # Where weights lie changes nothing.
        **memory.pixels,
    }
    return asked | {
        # What is not set does not count: a setting that a later version adds leaves the images of this one valid.
        "digest": _sha256({name: value for name, value in counted.items() if value is not None}),
        "entry": study.entry(source.generator),
        "checkpoint": study.source(source.generator),
        "revision": settings.revision,
        "dtype": settings.dtype,
        "memory": memory,
        "batch_counts": own_batches is not None,
    }


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_share(text: str) -> tuple[int, int]:
    """(i, n) of "I/N", the I-th of N equal shares of a run; 1 <= I <= N, else UsageError."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    share = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= share[0] <= share[1]:
        raise UsageError(f"shard {shown(text)}: write I/N with 1 <= I <= N, for instance 1/4")
    return share


def _chosen(what: str, wanted: Sequence[str] | None, there: Sequence[str], known: Iterable[str]) -> Sequence[str]:
    for word in wanted or ():
        if word not in there:
            state = f"the study has no {what} '{word}'" if word in known else f"no {what} '{word}'"
            raise UsageError(f"{state}{nearest(word, there)}; one of {', '.join(there)}")
    return there if wanted is None else wanted
