"""The detectors: one row each, of what is true of it in every study. No torch is needed to read it.

A package that is installed beside this one adds a detector by an entry point of the group `quantdetect.detectors` in
its pyproject.toml, `mine = "my_package.rows:MINE"`, where MINE is an `Entry` whose `module` has `build(width)`. The
module in which the row stands should not import torch, for commands that need none read the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helpers.core.registry import Registry

__all__ = [
    "DETECTORS", "IMAGENET", "WEIGHTS_SUFFIXES", "WIDTHS", "Backbone", "Entry", "Preprocess", "of_kind", "published",
]  # fmt: skip

#: Sizes of a detector's network: as published, and as the miniature study has it.
WIDTHS = ("full", "mini")

#: Endings of weights files, in the order in which they are looked for.
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar")

#: Means and standard deviations of RGB in 0..1 that networks are trained with.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Preprocess:
    """A size rule by name (see `preprocessing.SIZE_RULES`), and the mean and standard deviation that RGB in 0..1 is
    normalized with.
    """

    size_rule: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """A published backbone that lies in a file of its own beside the head's.

    Attributes:
        files: names that it may have.
        hub: its repository on the Hugging Face hub.
        source: where its authors publish it.
        terms: its licence.
        prefix: what its keys begin with; a weights file that has such keys carries its backbone itself.
        without: a key of it that the detector leaves out.
    """

    files: tuple[str, ...]
    hub: str
    source: str
    terms: str
    prefix: str
    without: str


@dataclass(frozen=True)
class Entry:
    """One detector.

    Attributes:
        title: its name in print.
        kind: "end-to-end" where its backbone was trained on the task, "frozen backbone" where it was not.
        source: where its authors publish the weights.
        terms: under which terms.
        module: name of the module with `build(width)`, imported when the network is first asked for.
        preprocess: how it reads an image, by width.
        backbone: of the published size, where it lies in a file of its own.
        colour: of its marks in charts.
        published: whether somebody published it as a detector. One that this project made is shown beside the others;
            the deck, which does not know it, says nothing of it.
    """

    title: str
    kind: str
    source: str
    terms: str
    module: str
    preprocess: Mapping[str, Preprocess]
    backbone: Backbone | None = None
    colour: str = "#666666"
    published: bool = True


_TRUEFAKE = "github.com/MMLab-unitn/TrueFake-IJCNN25"
_NATIVE = dict.fromkeys(WIDTHS, Preprocess("native", *IMAGENET))

#: The deck's four, in its order, and one of this project's. Their colours are of Tol's muted set, which keeps apart
#: under the common colour deficiencies.
DETECTORS = Registry(
    "detector",
    {
        "npr": Entry(
            title="NPR",
            kind="end-to-end",
            source=f"github.com/chuangchuangtan/NPR-DeepfakeDetection, {_TRUEFAKE}",
            terms="none stated; CC0",
            module="helpers.detectors.npr",
            preprocess=_NATIVE,  # one retraining uses "resize-256"
            colour="#CC6677",
        ),
        "r50_nodown": Entry(
            title="R50_nodown",
            kind="end-to-end",
            source=f"github.com/grip-unina/DMimageDetection, {_TRUEFAKE}",
            terms="GRIP non-profit; CC0",
            module="helpers.detectors.r50_nodown",
            preprocess=_NATIVE,
            colour="#882255",
        ),
        "r50_tf": Entry(
            title="R50_TF",
            kind="frozen backbone",
            source=_TRUEFAKE,
            terms="CC0",
            module="helpers.detectors.r50_tf",
            preprocess=_NATIVE,
            colour="#117733",
        ),
        "clip_d": Entry(
            title="CLIP-D",
            kind="frozen backbone",
            source=f"github.com/grip-unina/ClipBased-SyntheticImageDetection, {_TRUEFAKE}",
            terms="Apache-2.0; CC0",
            module="helpers.detectors.clip_d",
            preprocess={
                "full": Preprocess("short-224-crop", *_CLIP),
                "mini": Preprocess("short-64-crop", *_CLIP),
            },
            backbone=Backbone(
                files=(
                    "open_clip_model.safetensors",
                    "open_clip_pytorch_model.safetensors",
                    "open_clip_pytorch_model.bin",
                ),
                hub="laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K",
                source="huggingface.co/laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K, 1.7 GB",
                terms="MIT",
                prefix="visual.",
                without="visual.proj",
            ),
            colour="#332288",
        ),
        "patch_probe": Entry(
            title="Patch probe",
            kind="frozen backbone",
            source="this project: no published detector",
            terms="Apache-2.0",
            module="helpers.detectors.patch_probe",
            preprocess=dict.fromkeys(WIDTHS, Preprocess("native", *_CLIP)),
            colour="#88CCEE",
            published=False,
        ),
    },
    group="quantdetect.detectors",
    kind=Entry,
)


def published(key: str) -> bool:
    """Whether a detector was published as one; so is one that the catalogue lacks, whose scores somebody brought."""
    return key not in DETECTORS or DETECTORS[key].published


def of_kind(kind: str) -> tuple[str, ...]:
    """The keys of the deck's detectors of a kind ("end-to-end", "frozen backbone"), in the catalogue's order."""
    return tuple(key for key in DETECTORS.own if DETECTORS[key].kind == kind and published(key))
