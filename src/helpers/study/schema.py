"""The study file as data: which generators, precisions and detectors, which settings, prompts and seeds."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from helpers.core import files
from helpers.core.errors import UsageError, nearest, shown
from helpers.core.registry import KEY
from helpers.detectors.catalogue import DETECTORS, WEIGHTS_SUFFIXES
from helpers.generators.catalogue import GENERATORS, Entry
from helpers.images import perturbations
from helpers.images.protocols import LEVELS, PROTOCOLS, weights_for
from helpers.precision.catalogue import ARMS, BASELINE, COMPONENTS, COVERAGES, PRECISIONS
from helpers.study import prompts

__all__ = [
    "ArmName",
    "Cell",
    "DetectorKey",
    "GeneratorKey",
    "MAX_ERROR_DEVIATION",
    "GeneratorSettings",
    "Margins",
    "Perturbations",
    "PrecisionKey",
    "PromptSource",
    "ROLES",
    "Reals",
    "Share",
    "MAX_KERNEL_DEVIATION",
    "Strict",
    "Study",
    "expected",
    "explain",
    "load",
    "one_of",
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


def one_of(options: Collection[str]) -> BeforeValidator:
    """A word that is among `options`, which may be a catalogue; they are read when a file is checked."""

    def check(word: object) -> object:
        if not isinstance(word, str) or word not in options:
            raise PydanticCustomError("none_of", "Input should be one of {options}", {"options": list(options)})
        return word

    return BeforeValidator(check)


GeneratorKey = Annotated[str, one_of(GENERATORS)]
PrecisionKey = Annotated[str, one_of(PRECISIONS)]
DetectorKey = Annotated[str, one_of(DETECTORS)]
Component = Annotated[str, one_of(COMPONENTS)]
Way = Annotated[str, one_of(ARMS)]
Layers = Annotated[str, one_of(COVERAGES)]
Protocol = Annotated[str, one_of(PROTOCOLS)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

#: Names that Windows keeps for devices, whatever their suffix.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))))


def _once(values: list[str]) -> list[str]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice:
        raise ValueError(f"'{twice}' stands there more than once; name each once")
    return values


def _worded(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError(f"{shown(text)}: write it on one line, without blanks at its ends or control characters")
    return text


def _filed(name: str) -> str:
    if name.endswith(".") or name.partition(".")[0].lower() in _DEVICES:
        raise ValueError(f"{shown(name)}: not every system takes a folder of this name; give another one")
    return name


Precisions = Annotated[list[PrecisionKey], Field(min_length=1), AfterValidator(_once)]
Detectors = Annotated[list[DetectorKey], Field(min_length=1), AfterValidator(_once)]
Components = Annotated[list[Component], Field(min_length=1), AfterValidator(_once)]
#: What a person writes, on one line.
Words = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_worded)]
ArmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class Strict(BaseModel):
    """A table of a study file: no unknown keys, no silent conversions, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PromptSource(Strict):
    """Where prompts come from.

    kind "world": captions of the miniature world's test scenes; "grammar": the photographs of `helpers.study.prompts`;
    "file": the lines of the text file `path`, which is relative to the study file.
    """

    kind: Annotated[str, one_of(("world", "grammar", "file"))]
    path: Words | None = None

    @model_validator(mode="after")
    def _of_a_file(self) -> PromptSource:
        if self.kind == "file" and self.path is None:
            raise ValueError("path is missing; prompts of kind 'file' need the path of a text file")
        if self.kind != "file" and self.path is not None:
            raise ValueError(f"path is for prompts of kind 'file', not of kind '{self.kind}'; take one of them out")
        return self


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


#: What a study says of a generator that the catalogue lacks: the first three must be given. None of it makes an image.
OWN = ("title", "family", "pipeline", "licence")


class GeneratorSettings(Strict):
    """How one generator makes its images.

    `checkpoint` is a folder under models/mini in a mini study; in a full one a hub id or a folder. `size` is the edge
    in pixels (a multiple of 8, the latent grid), `dtype` the type in which a GPU computes all but FP32 (float32 where
    none is named), `variant` the file variant of a hub checkpoint.

    The rest is for a generator that the catalogue lacks, of any key: its `title` in print, its `family` (what kind of
    network and diffusion, in a few words), `pipeline`, the name of its class in diffusers, and its `licence`.
    """

    checkpoint: Words
    revision: Words | None = None
    size: int = Field(ge=32, le=4096, multiple_of=8)
    steps: int = Field(ge=1, le=1000)
    guidance: float = Field(ge=0, le=50)
    dtype: Annotated[str, one_of(("float32", "float16", "bfloat16"))] | None = None
    variant: Words | None = None
    title: Words | None = None
    family: Words | None = None
    pipeline: Words | None = None
    licence: Words | None = None

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What a catalogued generator has no use for is not written down of it either.
        return {name: value for name, value in handler(self).items() if value is not None or name not in OWN}


#: What an arm is for: a change that should do nothing; another seed as a yardstick; the VAE alone quantized; the text
#: encoders alone; more layers quantized; a ladder of ever coarser formats.
ROLES = ("null", "seed", "decoder", "text", "coverage", "ladder")


class Arm(Strict):
    """Cells beside the main arm: what they change, and with how many images.

    `title` says what it is and `role` what it is for, of `ROLES`, where it is for one of these; `precisions` and
    `generators` (default all of the study) are its cells, `images` how many each has. The rest is what differs from
    the main arm, where it is given: `way` ("native" storage and kernels, or "rounding" in the computing type),
    `coverage`, `components`, the `seed` of image 0, and how many images are computed together.
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


class Margins(Strict):
    """Thresholds that turn the words of the deck's claims into numbers, fixed before any result is seen.

    "Accuracy" is the deck's: the share of fakes called fake at logit 0.
    """

    high: Share = Field(0.95, description="C2, C9: accuracy from which a generator is highly detectable")
    challenging: Share = Field(0.75, description="C3, C10: accuracy under which a generator is challenging")
    drop: Share = Field(0.05, description="C4, C9, C11: accuracy lost to FP4 that is a drop; C10: deficit that counts")
    anomaly_before: Share = Field(0.90, description="C4: least accuracy on SD3 at FP32, before the anomaly")
    anomaly_after: Share = Field(0.40, description="C4: most accuracy on SD3 at FP4, after the anomaly")
    robust: Share = Field(0.90, description="C5: accuracy on SD3 at FP4 above which R50_TF is unharmed")
    smoothing: Share = Field(0.05, description="C6: share of high-frequency energy lost that is smoothing")
    explained: Share = Field(0.5, description="C6: share of FP4's shift its spectrum must account for to explain it")
    shift: float = Field(0.5, gt=0, le=5, description="C7: shift to the left, in SDs of FP32, that counts")
    overlap: float = Field(0.2, gt=0, le=5, description="C8: shift, in SDs of FP32, that is still an overlap")
    memory: Share = Field(0.5, description="C1: most of FP32's memory that is a drastic saving")
    time: Share = Field(0.5, description="C1: most of FP32's time per image that is a drastic saving")


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
    study unless it says otherwise, and none in a full one.
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
    generators: dict[str, GeneratorSettings] = Field(min_length=1)
    margins: Margins = Margins()

    _folder: Path = PrivateAttr(default=files.STUDIES)

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
        # Manifests of studies that say nothing of reals are older than the key.
        return {name: value for name, value in handler(self).items() if value is not None or name != "reals"}

    def _own_generators(self) -> None:
        for key, settings in self.generators.items():
            given = [name for name in OWN if getattr(settings, name) is not None]
            if complaint := _of_catalogued(key, given) if key in GENERATORS else _of_own(key, given):
                raise ValueError(f"generators.{_key(key)}{complaint}")

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
        """The first `count` prompts. Raises UsageError where a prompt file has fewer."""
        if self.prompts.kind == "file":
            lines = self._lines()
            if count > len(lines):
                have = f"{len(lines)} prompts, {count} images"
                raise UsageError(f"{self.prompts.path}: {have}: add prompts or ask for fewer")
            return lines[:count]
        prompt = _caption if self.prompts.kind == "world" else prompts.prompt
        return [prompt(index) for index in range(count)]

    def digest(self, arm: str = "native") -> str:
        """SHA-256 (hex) of what determines an arm's images: settings, seed, prompts, way, coverage, components.

        The number of images, the precisions and the detectors are left out: more of them add to a run, they change
        nothing that is there.
        """
        what = {
            "generators": {key: self.generators[key].model_dump(exclude=set(OWN)) for key in self.keys},
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
        return self._lines() if self.prompts.kind == "file" else self.prompts_for(min(100, prompts.COUNT))

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
        near = _nearest_of(key, list(GENERATORS))
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
    if loaded.prompts.kind != "world":  # the world never runs out of scenes
        try:
            loaded.prompts_for(loaded.images_per_cell)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    return loaded


def expected(study: Study) -> list[dict[str, Any]]:
    """What each cell of the study needs, in the order of `Study.cells`.

    Keys: generator, title, precision, arm, images, size (px), steps, guidance, source (folder or hub id), terms (gate
    and licence), bytes (int): a full cell's denoiser weights at its precision, Linear layers quantized and the rest
    at 16 bits (of a generator that nobody has counted, its weights on disk; None of one on the hub); a mini cell's
    weights on disk (None where the folder is missing).
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
    if os.path.lexists(path):
        return path
    shipped = sorted(file.stem for file in files.STUDIES.glob("*.toml"))
    mend = f"name one of {', '.join(shipped)} or a TOML file"
    raise UsageError(f"no study {shown(str(study))}{nearest(study, shipped)}; {mend}")


Models = Mapping[tuple[str, ...], type[BaseModel]]


def explain(error: ValidationError, models: Models) -> str:
    """The first mistake as "place: what is wrong (nearest: ...)"; misspelt keys before missing ones.

    `models` says which model checks which table of the file, by its path of keys; () is the file itself.
    """
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] == "missing")
    mistake = mistakes[0]
    place = [part for part in mistake["loc"] if part != "[key]"]
    more = f"; {len(mistakes) - 1} more after this" if len(mistakes) > 1 else ""
    where = f"{_dotted(place)}: " if place else ""  # what concerns several keys names them itself
    return f"{where}{_complaint(dict(mistake), place, models)}{more}"


def _dotted(place: list[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in place)
    return "".join(parts).removeprefix(".")


def _key(part: str) -> str:
    """A key as TOML takes it: bare, or in quotes."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else shown(part)


def _complaint(mistake: dict[str, Any], place: list[str | int], models: Models) -> str:
    kind, context, value = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    if kind == "extra_forbidden":
        return f"unknown key (value {shown(value)}){_nearest_of(place[-1], _siblings(place, models))}"
    if kind == "none_of":
        what = "key" if mistake["loc"][-1] == "[key]" else "value"
        return f"no such {what} {shown(value)}{_nearest_of(value, context['options'])}"
    if kind == "missing":
        return "missing; this key must be given"
    if kind == "value_error":
        return str(context["error"])
    bound = next((context[name] for name in ("ge", "le") if name in context), None)
    if kind == "multiple_of":
        bound = max(1, round(value / context["multiple_of"])) * context["multiple_of"]
    closest = "" if bound is None else f" (nearest: {bound:g})"
    said = mistake["msg"].removeprefix("Input should ").removeprefix("be ")
    return f"{shown(value)} should be {said}{closest}"


def _nearest_of(word: object, options: list[str]) -> str:
    """The nearest option, or all of them where none is alike."""
    return nearest(word, options) or f" (one of: {', '.join(options)})"


@functools.cache
def _models() -> dict[tuple[str, ...], type[BaseModel]]:
    return {
        (): Study,
        ("prompts",): PromptSource,
        ("margins",): Margins,
        ("arms",): Arm,
        ("perturbations",): Perturbations,
        ("reals",): Reals,
        ("generators",): GeneratorSettings,
    }


def _siblings(place: list[str | int], models: Models) -> list[str]:
    # A table may be one of several of its kind, whose names are the file's: [arms.seed].
    path = tuple(part for part in place[:-1] if isinstance(part, str))
    model = next((models[of] for of in (path, path[:-1]) if of in models), models[()])
    return list(model.model_fields)
