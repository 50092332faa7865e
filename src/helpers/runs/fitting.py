"""What a cell needs of a card, of RAM and of the disk: of a loaded pipeline, or of a study before any is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from torch import nn

from helpers import precision
from helpers.core.errors import Damaged, UsageError, shortened
from helpers.core.files import read_json
from helpers.generators import placement
from helpers.generators.networks import Architecture, Network, architectures, build
from helpers.generators.placement import Need
from helpers.precision.catalogue import PRECISIONS, UNQUANTIZED
from helpers.precision.coverage import holdings
from helpers.precision.footprint import count
from helpers.precision.formats import Storage
from helpers.runs.fetching import components_of
from helpers.runs.plan import Recipe
from helpers.study.schema import Cell, Memory, Study

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = ["Expected", "by_layers", "decode_in_parts", "expected", "need", "working"]

#: Bytes of a number of a computing type.
ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}


def need(pipeline: DiffusionPipeline, recipe: Recipe, device: str) -> Need:
    """What a recipe's quantized pipeline needs of a card; its weights are counted as they are stored."""
    held = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    parts = {name: _held(part) for name, part in held.items()}
    largest = max((_largest(part) for part in held.values()), default=0)
    config = getattr(held.get("unet"), "config", {})
    return Need(parts, largest, working(recipe, device, config), by_layers(recipe.way, recipe.source.precision))


def working(recipe: Recipe, device: str, config: Mapping[str, Any] | None = None) -> int:
    """Bytes beside weights, for a batch of the recipe; `config` is a UNet's configuration."""
    return _working(recipe.source.size, recipe.batch_size, recipe.computing_type(device), config or {})


def _working(size: int, batch: int, dtype: str, config: Mapping[str, Any]) -> int:
    kept = placement.attention(config, size, batch, dtype)
    return placement.activations(size, batch, ITEMSIZE[dtype]) + kept


def by_layers(way: str | None, level: str) -> bool:
    """Whether the layers of a cell can be brought to a card one by one."""
    return way == "rounding" or PRECISIONS[level].scope == "component"


def _held(part: nn.Module) -> int:
    """Bytes of a network's parameters as they are stored and of its buffers; those that hold a parameter count once."""
    own = (module._buffers.values() for module in part.modules() if not isinstance(module, Storage))
    buffers: Iterable[Any] = (buffer for values in own for buffer in values if buffer is not None)
    return sum(size for *_, size in holdings(part)) + sum(buffer.nbytes for buffer in buffers)


def _largest(part: nn.Module) -> int:
    """Bytes of the module that holds most itself."""
    own = ([*module._parameters.values(), *module._buffers.values()] for module in part.modules())
    return max(sum(tensor.nbytes for tensor in tensors if tensor is not None) for tensors in own)


def decode_in_parts(pipeline: DiffusionPipeline, memory: Memory) -> None:
    """Let the VAE decode in tiles, or one image after the other, where a study asks for it.

    Raises UsageError for a VAE that cannot.
    """
    for asked, means in ((memory.vae_tiling, "enable_tiling"), (memory.vae_slicing, "enable_slicing")):
        if asked and not hasattr(getattr(pipeline, "vae", None), means):
            raise UsageError(
                f"{type(pipeline).__name__}: its VAE has no {means}; take it out of [memory] in the study file"
            )
        if asked:
            getattr(pipeline.vae, means)()


@dataclass(frozen=True)
class Expected:
    """What a cell would need, in bytes, before anything is loaded.

    Attributes:
        cell: which one.
        exact: whether its weights were counted from its networks; else 8 and 4 bits are counted as the computing type.
        need: of a card; None where nothing is known of the generator's networks.
        memory: of the card.
        placement: the study's own; None for what fits.
        ram: for the generator in FP32, which stays there for all its cells, and for the cell's copy in another type.
        disk: of its images, at most: as many as their pixels.
        there: whether the checkpoint is: "yes", "no", or "in part".
    """

    cell: Cell
    exact: bool
    need: Need | None
    memory: int
    placement: str | None
    ram: int | None
    disk: int
    there: str

    @property
    def how(self) -> str:
        """How it would be placed, or why it would not be."""
        if self.need is None:
            return "not known"
        if self.placement == "balanced":
            return placement.WORDS["balanced"]
        quickest, fits = self.need.chosen(self.memory - placement.RESERVE)
        chosen = self.placement or quickest
        peak = self.need.peaks.get(chosen)
        if peak is None:
            return f"cannot be: no {placement.WORDS[chosen]} of {self.cell.precision}"
        if peak <= self.memory - placement.RESERVE:
            return placement.WORDS[chosen]
        return f"does not fit by {placement.WORDS[chosen]}"

    @property
    def peak(self) -> int | None:
        """Peak of the placement, or of the most sparing one."""
        if self.need is None:
            return None
        return self.need.peaks.get(self.placement or self.need.chosen(self.memory - placement.RESERVE)[0])


def expected(study: Study, memory: int) -> list[Expected]:
    """What every cell of a study needs, those of the main arm first, and how a card of `memory` bytes would take it.

    Raises Damaged for a file of weights that cannot be read.
    """
    return [_expected(study, cell, memory) for cell in [*study.cells(), *study.arm_cells()]]


def _expected(study: Study, cell: Cell, memory: int) -> Expected:
    settings = study.generators[cell.generator]
    dtype = "float32" if cell.precision == UNQUANTIZED else settings.dtype or "float32"
    asked = {name: study.setting(name, cell.arm) for name in ("way", "coverage", "components", "batch_size")}
    images = study.images_of(cell.arm, study.images_per_cell)
    source = study.source(cell.generator)
    known = next((one for one in architectures().values() if one.hub == source), None)
    parts = _parts(known, cell.precision, dtype, **asked) if known else _stored(source, ITEMSIZE[dtype])
    need = ram = None
    if parts:
        config = known.parts["denoiser"].config if known else {}
        working = _working(settings.size, asked["batch_size"], dtype, config)
        need = Need(parts, _leaf(known, ITEMSIZE[dtype]), working, by_layers(asked["way"], cell.precision))
        numbers = sum(_numbers(known, source).values())
        ram = numbers * (4 if dtype == "float32" else 4 + ITEMSIZE[dtype])
    return Expected(
        cell=cell,
        exact=known is not None or PRECISIONS[cell.precision].scope == "component",
        need=need,
        memory=memory,
        placement=study.memory_of(cell.generator).placement,
        ram=ram,
        disk=images * settings.size**2 * 3,
        there=_there(source, settings.revision),
    )


def _parts(
    known: Architecture, level: str, dtype: str, way: str, coverage: str, components: Sequence[str], **_: Any
) -> dict[str, int]:
    """Bytes of each component of a checkpoint whose networks are known."""
    row, found = precision.FORMATS[level], {}
    for name, network in known.parts.items():
        packed = name in components and way == "native" and row.scope == "layers"
        itemsize = ITEMSIZE[dtype]
        found[name] = count(_built(network), row, coverage, itemsize)[1] if packed else network.parameters * itemsize
    return found


@cache
def _built_as(kind: str, config: str, parameters: int) -> nn.Module:
    return build(Network(kind, json.loads(config), parameters))


def _built(network: Network) -> nn.Module:
    """The network without numbers, built once however many checkpoints and cells have it."""
    return _built_as(network.kind, json.dumps(network.config, sort_keys=True), network.parameters)


def _leaf(known: Architecture | None, itemsize: int) -> int:
    """Bytes of the largest layer; 0 where the networks are not known."""
    built = map(_built, known.parts.values()) if known else ()
    return max((_largest(part) * itemsize // 4 for part in built), default=0)


def _numbers(known: Architecture | None, source: str) -> dict[str, int]:
    """Numbers in each component: of known networks, else of the files in a folder; empty where there are none."""
    if known:
        return {name: network.parameters for name, network in known.parts.items()}
    found: dict[str, int] = {}
    for path in sorted(Path(source).glob("*/*.safetensors")):
        found[path.parent.name] = found.get(path.parent.name, 0) + _numbers_in(path)
    return found


def _numbers_in(path: Path) -> int:
    try:
        with safe_open(path, "pt") as file:
            return sum(prod(file.get_slice(key).get_shape()) for key in file.keys())
    except (OSError, SafetensorError) as error:
        raise Damaged(f"{path}: cannot be read: {shortened(error)}; get it again, or name another folder") from None


def _stored(source: str, itemsize: int) -> dict[str, int]:
    return {name: numbers * itemsize for name, numbers in _numbers(None, source).items()}


def _there(source: str, revision: str | None) -> str:
    """Whether a checkpoint's files are in its folder or the hub's local cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    index, found = Path(source) / "model_index.json", None
    if not index.is_file():
        with suppress(HFValidationError):  # a folder that is not there, by a path that is no hub id
            found = try_to_load_from_cache(source, index.name, revision=revision)
        if not isinstance(found, str):
            return "no"
        index = Path(found)
    parts = [name for name in components_of(read_json(index)) if (index.parent / name / "config.json").is_file()]
    weights = [[*(index.parent / name).glob("*.safetensors"), *(index.parent / name).glob("*.bin")] for name in parts]
    return "yes" if parts and all(weights) else "in part"
