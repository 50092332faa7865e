"""The study file as data: which generators, precisions and detectors, which settings, prompts and seeds."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from helpers.core import files
from helpers.core.errors import UsageError, nearest, shown
from helpers.core.registry import KEY
from helpers.detectors.catalogue import DETECTORS, WEIGHTS_SUFFIXES
from helpers.generators.catalogue import GENERATORS, Entry
from helpers.images import perturbations
from helpers.images.protocols import LEVELS, PROTOCOLS, weights_for
from helpers.precision.catalogue import ARMS, BASELINE, COMPONENTS, COVERAGES, PRECISIONS
from helpers.study import prompts
from helpers.study import rules as ruling
from helpers.study.strict import Strict, Words, explain, key_text, nearest_of, one_of

__all__ = [
    "ArmName",
    "Cell",
    "DetectorKey",
    "GeneratorKey",
    "MAX_ERROR_DEVIATION",
    "GeneratorSettings",
    "Memory",
    "PLACEMENTS",
    "Perturbations",
    "PrecisionKey",
    "PromptSource",
    "ROLES",
    "Reals",
    "MAX_KERNEL_DEVIATION",
    "Study",
    "expected",
    "load",
    "reals_expected",
    "training_label",
    "weights_expected",
    "weights_folder",
]


#: A cell is refused where a native layer's output differs from that of the rounded weight, for the same input, by more
#: than this share (Frobenius). A wrong kernel gives about 1. Single precision keeps the difference under 1e-5 and BF16
#: under 0.01, but for weights that lie exactly between two codes, as weights stored in 16 bits may: in a small layer
#: one such weight that is rounded up for down makes 0.02.
MAX_KERNEL_DEVIATION = 0.05
#: A cell is refused where a layer's weights differ from the unquantized ones by more or less than its format makes them
#: differ by definition, by more than this share of that. In single precision the two agree to .1 %; in 16 bits scales
#: and quotients are rounded too, and INT8 in BF16 comes to a quarter more. A wrong scale makes a multiple.
MAX_ERROR_DEVIATION = 0.5


GeneratorKey = Annotated[str, one_of(GENERATORS)]
PrecisionKey = Annotated[str, one_of(PRECISIONS)]
DetectorKey = Annotated[str, one_of(DETECTORS)]
Component = Annotated[str, one_of(COMPONENTS)]
Way = Annotated[str, one_of(ARMS)]
Layers = Annotated[str, one_of(COVERAGES)]
Protocol = Annotated[str, one_of(PROTOCOLS)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

#: Names that Windows keeps for devices, whatever their suffix.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))))


def _once(values: list[str]) -> list[str]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice:
        raise ValueError(f"'{twice}' stands there more than once; name each once")
    return values


def _filed(name: str) -> str:
    if name.endswith(".") or name.partition(".")[0].lower() in _DEVICES:
        raise ValueError(f"{shown(name)}: not every system takes a folder of this name; give another one")
    return name


Precisions = Annotated[list[PrecisionKey], Field(min_length=1), AfterValidator(_once)]
Detectors = Annotated[list[DetectorKey], Field(min_length=1), AfterValidator(_once)]
Components = Annotated[list[Component], Field(min_length=1), AfterValidator(_once)]
ArmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class PromptSource(Strict):
    """Where prompts come from.

    kind "world": captions of the miniature world's test scenes; "grammar": the photographs of `helpers.study.prompts`;
    "file": the lines of the text file `path`, which is relative to the study file. Image 0 has prompt `first` of these:
    a confirmation takes up where the exploration ended.
    """

    kind: Annotated[str, one_of(("world", "grammar", "file"))]
    path: Words | None = None
    first: int = Field(0, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _of_a_file(self) -> PromptSource:
        if self.kind == "file" and self.path is None:
            raise ValueError("path is missing; prompts of kind 'file' need the path of a text file")
        if self.kind != "file" and self.path is not None:
            raise ValueError(f"path is for prompts of kind 'file', not of kind '{self.kind}'; take one of them out")
        return self

    def written(self, index: int) -> str:
        """The prompt of image `index`, of a kind that writes its prompts."""
        return (_caption if self.kind == "world" else prompts.prompt)(self.first + index)

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Manifests of studies that begin with the first prompt are older than the key.
        return {name: value for name, value in handler(self).items() if value or name != "first"}


class Reals(Strict):
    """Where a study's real images come from.

    kind "world": renders of the miniature world's test scenes, image i of the scene of prompt i; "folder": photographs
    in the folder `path` (relative to the study file, or absolute) under the `licence`, in a few words. Of these the
    first as many as a cell has images are taken, in an order drawn from their contents and the study's seed. One counts
    where its shorter side has at least `shrink` times the pixels of the study's largest images: it is shrunk to them,
    which takes its own compression out (see `helpers.runs.photographs`).
    """

    kind: Annotated[str, one_of(("world", "folder"))]
    path: Words | None = None
    licence: Words | None = None
    shrink: float | None = Field(None, ge=1, le=64)

    @model_validator(mode="after")
    def _of_a_folder(self) -> Reals:
        given = {name: getattr(self, name) for name in ("path", "licence", "shrink")}
        if self.kind == "folder":
            missing = next((name for name in ("path", "licence") if given[name] is None), "")
            if missing:
                raise ValueError(f"{missing} is missing; reals of kind 'folder' need a path and a licence")
        elif foreign := next((name for name, value in given.items() if value is not None), ""):
            raise ValueError(f"{foreign} is for reals of kind 'folder', not '{self.kind}'; take one of them out")
        return self

    @property
    def least_shrink(self) -> float:
        """How many times the pixels of the study's images a photograph's shorter side must have: 2 unless said."""
        return 2.0 if self.shrink is None else self.shrink


#: Where a pipeline's networks lie while it works on a GPU: all on the card; each there while it computes, in RAM else;
#: each layer so; or the networks on several cards, evenly.
PLACEMENTS = ("whole", "model", "sequential", "balanced")
Type = Annotated[str, one_of(("float32", "float16", "bfloat16"))]


class Memory(Strict):
    """How pipelines fit on a GPU, by diffusers' own means. On a CPU there is one placement and one type.

    `placement` is one of `PLACEMENTS`; where none is named, the first of "whole", "model" and "sequential" that fits is
    taken. It moves weights and changes no image.

    The others change pixels, by rounding or more, so images made otherwise are stale, and none is ever chosen by
    itself: `vae_tiling` decodes tile by tile and blends the seams, `vae_slicing` one image of a batch after the other,
    `dtypes` names the type of a component ("vae", "t5", ...) where it is not the generator's `dtype`, of every
    precision but FP32.
    """

    placement: Annotated[str, one_of(PLACEMENTS)] | None = None
    vae_tiling: bool = False
    vae_slicing: bool = False
    dtypes: dict[Component, Type] = {}

    @property
    def pixels(self) -> dict[str, Any]:
        """What of it makes the images; nothing where nothing is set."""
        return {name: value for name in ("vae_tiling", "vae_slicing", "dtypes") if (value := getattr(self, name))}

    @property
    def said(self) -> dict[str, Any]:
        """What the file says."""
        return {name: getattr(self, name) for name in self.model_fields_set}


#: What a study says of a generator that the catalogue lacks: the first three must be given. None of it makes an image.
OWN = ("title", "family", "pipeline", "licence")


class GeneratorSettings(Strict):
    """How one generator makes its images.

    `checkpoint` is a folder under models/mini in a mini study; in a full one a hub id or a folder. `size` is the edge
    in pixels (a multiple of 8, the latent grid), `dtype` the type in which a GPU computes all but FP32 (float32 where
    none is named), `variant` the file variant of a hub checkpoint. `memory` is what of the study's is otherwise here.

    The rest is for a generator that the catalogue lacks, of any key: its `title` in print, its `family` (what kind of
    network and diffusion, in a few words), `pipeline`, the name of its class in diffusers, and its `licence`.
    """

    checkpoint: Words
    revision: Words | None = None
    size: int = Field(ge=32, le=4096, multiple_of=8)
    steps: int = Field(ge=1, le=1000)
    guidance: float = Field(ge=0, le=50)
    dtype: Type | None = None
    variant: Words | None = None
    memory: Memory | None = None
    title: Words | None = None
    family: Words | None = None
    pipeline: Words | None = None
    licence: Words | None = None

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What a catalogued generator has no use for is not written down of it either.
        return {
            name: value for name, value in handler(self).items() if value is not None or name not in (*OWN, "memory")
        }


#: What an arm is for: a change that should do nothing; another seed as a yardstick; the VAE alone quantized; the text
#: encoders alone; more layers quantized; a ladder of ever coarser formats.
ROLES = ("null", "seed", "decoder", "text", "coverage", "ladder")


class Arm(Strict):
    """Cells beside the main arm: what they change, and with how many images.

    `title` says what it is and `role` what it is for, of `ROLES`, where it is for one of these; `precisions` and
    `generators` (default all of the study) are its cells, `images` how many each has. The rest is what differs from the
    main arm, where it is given: `way` ("native" storage and kernels, or "rounding" in the computing type), `coverage`,
    `components`, the `seed` of image 0, and how many images are computed together. The study's own training scores all
    of it, `further` trainings the precisions named there.
    """

    title: Words
    role: Annotated[str, one_of(ROLES)] | None = None
    precisions: Precisions
    images: Count
    generators: Annotated[list[str], Field(min_length=1), AfterValidator(_once)] | None = None
    way: Way | None = None
    coverage: Layers | None = None
    components: Components | None = None
    seed: int | None = Field(None, ge=0, lt=2**62)
    batch_size: Count | None = None
    further: Annotated[list[PrecisionKey], AfterValidator(_once)] = []

    @model_validator(mode="after")
    def _own_precisions(self) -> Arm:
        foreign = next((level for level in self.further if level not in self.precisions), None)
        if foreign:
            raise ValueError(f"further: '{foreign}' is none of the arm's precisions: {', '.join(self.precisions)}")
        return self


class Perturbations(Strict):
    """What is done to a sample of the images before they are scored once more: the `names` (see
    `helpers.images.perturbations`), at which `precisions` of the main arm, and to the first `images` of each cell and
    of the reals.
    """

    names: list[str] = Field(min_length=1)
    precisions: Precisions
    images: Count = 100

    @field_validator("names")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        try:
            parsed = [perturbations.parse(name).name for name in names]
        except UsageError as error:
            raise ValueError(str(error)) from None
        if perturbations.NONE in parsed:
            raise ValueError(f"'{perturbations.NONE}' is what scores.parquet holds; take it out")
        _once(parsed)  # "jpeg:75" and "jpeg:75.0" are one
        return names


@dataclass(frozen=True, order=True)
class Cell:
    """One configuration of the study: a generator at a precision, by one way (arm) of quantizing."""

    generator: str
    precision: str
    arm: str = "native"


class Study(Strict):
    """A whole study file. Image i of every cell has prompt i and seed `seed` + i: cells are paired.

    Every precision is compared with `baseline`. The main arm is the study's question; `arms` are its controls and its
    ladder of formats, by name.

    `weights` is the detectors' training that the study is about, `further` maps the labels of other trainings to the
    detectors that have them; `shared_level` is the difficulty of the protocol `shared`. `reals` are renders in a mini
    study unless it says otherwise, and none in a full one. `memory` is how pipelines fit on a GPU. `confirms` names the
    study whose claims this one judges again on other images, `retrains` the one whose generators were trained again.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100), AfterValidator(_filed)]
    scale: Annotated[str, one_of(("mini", "full"))]
    images_per_cell: Count = 500
    seed: int = Field(0, ge=0, lt=2**62)
    prompts: PromptSource
    precisions: Precisions
    baseline: PrecisionKey = BASELINE
    detectors: Detectors
    weights: Words = "mini"
    further: dict[Words, Detectors] = {}
    protocols: Annotated[list[Protocol], Field(min_length=1), AfterValidator(_once)] = ["plain"]
    shared_level: int = Field(1, ge=1, le=len(LEVELS))
    arm: Way = "native"
    coverage: Layers = "linear"
    components: Components = ["denoiser", "t5"]
    arms: dict[ArmName, Arm] = {}
    perturbations: Perturbations | None = None
    reals: Reals | None = None
    shard_size: Count = 25
    batch_size: Count = 1
    memory: Memory | None = None
    generators: dict[str, GeneratorSettings] = Field(min_length=1)
    rules: Words = ruling.FILE
    confirms: Words | None = None
    retrains: Words | None = None

    _folder: Path = PrivateAttr(default=files.STUDIES)

    @model_validator(mode="before")
    @classmethod
    def _no_margins(cls, data: Any) -> Any:
        if isinstance(data, dict) and "margins" in data:
            raise ValueError(
                'margins: they stand in a file of rules; change a copy of studies/rules.toml, name it (rules = "FILE") '
                "and take this table out"
            )
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        self._own_generators()
        self._own_names()
        # An arm may have precisions of its own, as a ladder has.
        asked: dict[str, tuple[str, Sequence[str], Sequence[str]]] = {
            "baseline": ("precision", [self.baseline], self.precisions),
            "perturbations.precisions": (
                "precision", self.perturbations.precisions if self.perturbations else [], self.precisions,
            ),
            **{f"arms.{n}.generators": ("generator", arm.generators or [], self.keys) for n, arm in self.arms.items()},
        }  # fmt: skip
        for place, (what, keys, own) in asked.items():
            foreign = next((key for key in keys if key not in own), None)
            if foreign:
                raise ValueError(f"{place}: '{foreign}' is none of the study's {what}s: {', '.join(own)}; add it there")
        self._distinct_trainings()
        if self.scale == "mini":
            self._own_miniatures()
        elif self.reals is not None and self.reals.kind == "world":
            raise ValueError("reals.kind: 'world' is what miniatures were trained on; a full study takes a 'folder'")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Manifests of studies that say nothing of these are older than the keys.
        return {
            n: value
            for n, value in handler(self).items()
            if value is not None or n not in ("reals", "confirms", "retrains", "memory")
        }

    def _own_generators(self) -> None:
        for key, settings in self.generators.items():
            given = [name for name in OWN if getattr(settings, name) is not None]
            if complaint := _of_catalogued(key, given) if key in GENERATORS else _of_own(key, given):
                raise ValueError(f"generators.{key_text(key)}{complaint}")

    def _own_names(self) -> None:
        # These stand beside the names of arms in a column of the results.
        taken = [name for name in self.arms if name in (*GENERATORS, *self.generators, *ARMS, "none")]
        if taken:
            raise ValueError(f"arms: an arm cannot be called '{taken[0]}'; give it another name")

    def _distinct_trainings(self) -> None:
        # In tables a training is known by the last part of its path.
        every = [weights_for(protocol, self.weights) for protocol in PROTOCOLS]
        labels = {training_label(weights): "weights" for weights in every}
        for further in self.further:
            label = training_label(further)
            if label in labels:
                raise ValueError(f"further: {shown(further)} and {labels[label]} have one label, {label}; rename one")
            labels[label] = shown(further)

    def _own_miniatures(self) -> None:
        shipped = os.path.realpath(files.MODELS / "mini")
        for key in self.keys:
            place = os.path.realpath(self.source(key))
            if Path(shipped) not in Path(place).parents:
                raise ValueError(
                    f"generators.{key}.checkpoint: {shown(self.generators[key].checkpoint)} is no folder in"
                    ' models/mini; name one, or set scale = "full"'
                )

    @property
    def keys(self) -> tuple[str, ...]:
        """The generators of the study, in the order of `GENERATORS`, then its own in the file's."""
        own = [key for key in self.generators if key not in GENERATORS]
        return (*(key for key in GENERATORS if key in self.generators), *own)

    def entry(self, generator: str) -> Entry:
        """A generator's row: the catalogue's, or of one that the catalogue lacks what the study says of it."""
        if generator in GENERATORS:
            return GENERATORS[generator]
        said = self.generators[generator].model_dump(include=set(OWN))
        return Entry(**said)

    @property
    def judged_by(self) -> ruling.Rules:
        """The rules by which the study's claims are judged. Raises UsageError where their file is none."""
        own = self._folder / self.rules
        shipped = files.STUDIES / self.rules
        alone = Path(self.rules).name == self.rules
        # os.path tells of no file where a name is too long for one; Path raises.
        return ruling.load(shipped if alone and not os.path.isfile(own) and os.path.isfile(shipped) else own)

    @property
    def margins(self) -> dict[str, float]:
        """The margins of its rules, by name."""
        return self.judged_by.limits()

    def cells(self) -> list[Cell]:
        """Every cell of the main arm, generator by generator, precisions in the order of the file."""
        return [Cell(key, precision, self.arm) for key in self.keys for precision in self.precisions]

    def arm_cells(self) -> list[Cell]:
        """Every cell of the other arms, arm by arm, then as in `cells`."""
        return [
            Cell(key, precision, name)
            for name, arm in self.arms.items()
            for key in self.keys
            if arm.generators is None or key in arm.generators
            for precision in arm.precisions
        ]

    def setting(self, name: str, arm: str) -> Any:
        """What holds in an arm: "way", "coverage", "components", "seed" or "batch_size", the main arm's by default."""
        own = getattr(self.arms[arm], name) if arm in self.arms else None
        return own if own is not None else getattr(self, "arm" if name == "way" else name)

    def memory_of(self, generator: str) -> Memory:
        """How a generator's pipeline fits on a GPU: what it says itself, else the study."""
        whole, own = self.memory or Memory(), self.generators[generator].memory or Memory()
        return Memory(**whole.said | own.said)

    def images_of(self, arm: str, images: int) -> int:
        """How many images a cell of an arm has where `images` are asked of the main arm's cells."""
        return min(images, self.arms[arm].images) if arm in self.arms else images

    def source(self, generator: str) -> str:
        """What a pipeline is loaded from: a mini study's folder under models/mini, else the checkpoint."""
        checkpoint = self.generators[generator].checkpoint
        return str(files.MODELS / "mini" / checkpoint) if self.scale == "mini" else checkpoint

    @property
    def reals_kind(self) -> str | None:
        """What the real images are: "world" (renders), "folder" (photographs), None where there are none."""
        if self.reals is not None:
            return self.reals.kind
        return "world" if self.scale == "mini" else None

    @property
    def reals_folder(self) -> Path:
        """The folder of photographs, of reals of kind "folder"."""
        return (self._folder / (self.reals and self.reals.path or "")).resolve()

    @property
    def reals_least(self) -> int:
        """The pixels that a photograph's shorter side must have, of reals of kind "folder"."""
        shrink = self.reals.least_shrink if self.reals else 1.0
        return ceil(shrink * max(settings.size for settings in self.generators.values()))

    def prompts_for(self, count: int) -> list[str]:
        """The prompts of images 0 to `count` - 1. Raises UsageError where a prompt file has fewer."""
        first = self.prompts.first
        if self.prompts.kind == "file":
            lines = self._lines()[first:]
            if count > len(lines):
                have = f"{len(lines)} prompts" + (f" from the {first + 1}th on" if first else "")
                raise UsageError(f"{self.prompts.path}: {have}, {count} images: add prompts or ask for fewer")
            return lines[:count]
        return [self.prompts.written(index) for index in range(count)]

    def digest(self, arm: str = "native") -> str:
        """SHA-256 (hex) of what determines an arm's images: settings, seed, prompts, way, coverage, components.

        The number of images, the precisions and the detectors are left out: more of them add to a run, they change
        nothing that is there.
        """
        what = {
            "generators": {key: self.generators[key].model_dump(exclude={*OWN, "memory"}) for key in self.keys},
            **self.model_dump(include={"scale"}),
            "seed": self.setting("seed", arm),
            "arm": self.setting("way", arm),
            "coverage": self.setting("coverage", arm),
            "components": sorted(self.setting("components", arm)),
            "prompts": self.prompt_probe(),
        }
        if arm in self.arms and self.arms[arm].batch_size:
            what["batch_size"] = self.arms[arm].batch_size
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def prompt_probe(self) -> list[str]:
        """What tells the study's prompts from others: a file's all, of a grammar the first hundred."""
        if self.prompts.kind == "file":
            return self._lines()[self.prompts.first :]
        return self.prompts_for(100 if self.prompts.kind == "world" else min(100, prompts.COUNT - self.prompts.first))

    def _lines(self) -> list[str]:
        text = files.read_text(self._folder / (self.prompts.path or ""), "a UTF-8 file of prompts, one a line")
        return [line.strip() for line in text.splitlines() if line.strip()]


def _of_catalogued(key: str, given: list[str]) -> str:
    """What is wrong with what a study says of a generator of the catalogue, after its key; "" for nothing."""
    return f".{given[0]}: the catalogue says it of {key}; take it out" if given else ""


def _of_own(key: str, given: list[str]) -> str:
    """The same of a generator that the catalogue lacks."""
    *needed, last = OWN[:-1]
    if not given:
        near = nearest_of(key, list(GENERATORS))
        return f": no such key {shown(key)}{near}; to run another one, give its {', '.join(needed)} and {last}"
    if key in (*ARMS, "none", "real") or not KEY.fullmatch(key):
        return f": no generator can be called {shown(key)}; small letters, digits and _ make a name"
    missing = next((name for name in (*needed, last) if name not in given), "")
    return f".{missing}: missing; it must be given of what the catalogue lacks" if missing else ""


def load(study: str | os.PathLike[str]) -> Study:
    """Read and check a study: a path, or the name of a shipped one ("mini", "full"). Raises UsageError."""
    path = _find(study)
    data = files.read_toml(path, "a TOML study file")
    try:
        loaded = Study.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, _models())}") from None
    loaded._folder = path.parent
    try:
        _ = loaded.judged_by
    except UsageError as error:
        raise UsageError(f"{path}: rules: {error}") from None
    if loaded.prompts.kind != "world":  # the world never runs out of scenes
        try:
            loaded.prompts_for(loaded.images_per_cell)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    return loaded


def expected(study: Study) -> list[dict[str, Any]]:
    """What each cell of the study needs, in the order of `Study.cells`.

    Keys: generator, title, precision, arm, images, size (px), steps, guidance, source (folder or hub id), terms (gate
    and licence), bytes (int). `bytes` of a full cell are its denoiser's weights at its precision, Linear layers
    quantized and the rest at 16 bits. Of a generator that nobody has counted they are its weights on disk, and None of
    one on the hub. Those of a mini cell are its weights on disk, and None where the folder is missing.
    """
    return [
        {
            "generator": cell.generator,
            "title": study.entry(cell.generator).title,
            "precision": cell.precision,
            "arm": cell.arm,
            "images": study.images_per_cell,
            **study.generators[cell.generator].model_dump(include={"size", "steps", "guidance"}),
            "source": study.source(cell.generator),
            "terms": study.entry(cell.generator).terms if study.scale == "full" else "in this repository",
            "bytes": _bytes(study, cell),
        }
        for cell in study.cells()
    ]


def reals_expected(study: Study) -> dict[str, Any]:
    """What the study's real images are and whether they are there.

    Keys: kind ("world", "folder" or None), images (of each size), sizes (px), and of a folder path, licence, least (px
    of the shorter side), files (how many the folder holds, whatever they are; None where there is no folder).
    """
    sizes = sorted({settings.size for settings in study.generators.values()}) if study.reals_kind else []
    found: dict[str, Any] = {"kind": study.reals_kind, "images": study.images_per_cell, "sizes": sizes}
    if study.reals is None or study.reals.kind != "folder":
        return found
    folder = study.reals_folder
    shown_files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = sum(1 for _ in shown_files) if folder.is_dir() else None
    return found | {
        "path": folder, "licence": study.reals.licence, "least": study.reals_least, "files": files,
    }  # fmt: skip


def weights_expected(study: Study) -> list[dict[str, Any]]:
    """Which file each detector of the study is loaded from, and the published backbone that CLIP-D's needs beside it.

    Keys: detector, file (the one that is there, else the first that would do), there (bool), source, terms.
    """
    if study.scale == "mini":
        folder, here = files.MODELS / "mini" / "detectors", "trained by this project"
        label = study.weights.removeprefix("mini")
        return [_weights(name, [folder / f"{name}{label}.safetensors"], here, "Apache-2.0") for name in study.detectors]
    folder = weights_folder(study.weights)
    rows = []
    for name in study.detectors:
        beside = [folder / f"{name}{suffix}" for suffix in WEIGHTS_SUFFIXES]
        rows.append(_weights(name, beside, DETECTORS[name].source, DETECTORS[name].terms))
    for name in study.detectors:
        if own := DETECTORS[name].backbone:
            rows.append(_weights(f"{name} (backbone)", [folder / file for file in own.files], own.source, own.terms))
    return rows


def weights_folder(weights: str | os.PathLike[str]) -> Path:
    """The folder of released weights: a path, or where there is none, the folder of that name under models."""
    path = Path(weights)
    return path if path.exists() or path.is_absolute() else files.MODELS / path


def training_label(weights: str | os.PathLike[str]) -> str:
    """The name in tables of the training behind `weights`: a label itself, or a path's last part without the ending
    of a weights file.

    "mini-sdxl" -> "mini-sdxl", "released/v1.2" -> "v1.2", "mine/npr.pth.tar" -> "npr".
    """
    name = os.path.basename(os.path.abspath(weights))  # of "." and "released/" too
    while (end := os.path.splitext(name)[1]) in WEIGHTS_SUFFIXES:
        name = name.removesuffix(end)
    return name


def _weights(detector: str, choices: list[Path], source: str, terms: str) -> dict[str, Any]:
    there = next((file for file in choices if file.is_file()), None)
    return {
        "detector": detector,
        "file": there or choices[0],
        "there": there is not None,
        "source": source,
        "terms": terms,
    }


def _bytes(study: Study, cell: Cell) -> int | None:
    generator, bits = study.entry(cell.generator), PRECISIONS[cell.precision].bits_with_scales
    if study.scale == "mini" or generator.parameters is None or generator.linear_share is None:
        stored = list(Path(study.source(cell.generator)).rglob("*.safetensors"))
        return sum(file.stat().st_size for file in stored) if stored else None
    reached = 1.0 if study.coverage == "all" else generator.linear_share
    return round(generator.parameters * (reached * bits + (1 - reached) * max(bits, 16)) / 8)


def _caption(index: int) -> str:
    # The world needs nothing heavy, but a study of another scale needs nothing of the world.
    from helpers import world

    return world.prompt(world.SPLITS["test"] + index)


def _find(study: str | os.PathLike[str]) -> Path:
    path = Path(study)
    if path.suffix != ".toml" and path.parent == Path("."):
        path = files.STUDIES / f"{path.name}.toml"
    if os.path.lexists(path) and path != files.STUDIES / ruling.FILE:
        return path
    shipped = sorted(file.stem for file in files.STUDIES.glob("*.toml") if file.name != ruling.FILE)
    mend = f"name one of {', '.join(shipped)} or a TOML file"
    raise UsageError(f"no study {shown(str(study))}{nearest(study, shipped)}; {mend}")


@functools.cache
def _models() -> dict[tuple[str, ...], type[BaseModel]]:
    return {
        (): Study,
        ("prompts",): PromptSource,
        ("arms",): Arm,
        ("perturbations",): Perturbations,
        ("reals",): Reals,
        ("memory",): Memory,
        ("generators",): GeneratorSettings,
        ("generators", "memory"): Memory,
    }
