"""What a cell needs of a card, of RAM and of the disk: of a loaded pipeline, or of a study before any is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import nn

from helpers import precision
from helpers.core.errors import UsageError
from helpers.generators import placement
from helpers.generators.placement import Need
from helpers.precision.coverage import holdings
from helpers.precision.formats import Storage
from helpers.runs.plan import Recipe
from helpers.study.schema import Memory

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = ["decode_in_parts", "need"]

#: Bytes of a number of a computing type.
ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}


def need(pipeline: DiffusionPipeline, recipe: Recipe, device: str) -> Need:
    """What a recipe's quantized pipeline needs of a card; its weights are counted as they are stored."""
    networks = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    dtype = recipe.computing_type(device)
    parts = {name: sum(map(_stored, part.modules())) + _held(part) for name, part in networks.items()}
    largest = max((_largest(part) for part in networks.values()), default=0)
    config = getattr(networks.get("unet"), "config", {})
    return Need(parts, largest, working(recipe, dtype, config), by_layers(recipe))


def working(recipe: Recipe, dtype: str, config: Any) -> int:
    """Bytes beside weights, for a batch of the recipe; `config` is a UNet's configuration, or empty."""
    size, batch = recipe.source.size, recipe.batch_size
    kept = placement.attention(config, size, batch, dtype)
    return placement.activations(size, batch, ITEMSIZE[dtype]) + kept


def by_layers(recipe: Recipe) -> bool:
    """Whether the layers of a cell can be brought to a card one by one."""
    return recipe.way == "rounding" or precision.PRECISIONS[recipe.source.precision].scope == "component"


def _held(part: nn.Module) -> int:
    return sum(size for *_, size in holdings(part))


def _stored(module: nn.Module) -> int:
    """Bytes of a module's own buffers; those that hold a parameter are counted as parameters."""
    buffers: Iterable[Any] = () if isinstance(module, Storage) else module._buffers.values()
    return sum(buffer.nbytes for buffer in buffers if buffer is not None)


def _largest(part: nn.Module) -> int:
    """Bytes of the module that holds most itself."""
    own = (sum(parameter.nbytes for parameter in module._parameters.values() if parameter is not None)
           + sum(buffer.nbytes for buffer in module._buffers.values() if buffer is not None)
           for module in part.modules())  # fmt: skip
    return max(own, default=0)


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
