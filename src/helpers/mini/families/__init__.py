"""The miniature generators, untrained: diffusers' own classes at small sizes, each true to its family in kind.

What is kept of each family: its denoiser class, its prediction type and scheduler, how many text encoders of which
kind feed it and through which layers, the channels of its VAE, and the ratio of resolutions 512 : 768 : 1024. One file
per generator, named after its key, holds what is its own as `FAMILY`; a generator of the catalogue that has no file
here, and one of another package, has no miniature. No key begins with `_`, so `_common` can be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from diffusers import AutoencoderKL

from helpers.core.errors import UsageError, nearest
from helpers.generators.catalogue import GENERATORS
from helpers.mini.families._common import MAX_TOKENS, VAES, Decoder, Family, Recipe, build_vae, tokenizer

__all__ = ["FAMILIES", "MAX_TOKENS", "VAES", "Decoder", "Family", "Recipe", "build", "build_vae", "tokenizer"]

#: Every miniature by key, in the catalogue's order.
FAMILIES: Mapping[str, Family] = {
    key: import_module(f"{__name__}.{key}").FAMILY for key in GENERATORS.own if find_spec(f"{__name__}.{key}")
}


def build(key: str, seed: int = 0, vae: AutoencoderKL | None = None) -> Any:
    """Return an untrained miniature pipeline, the same for the same seed.

    Args:
        key: one of `FAMILIES`.
        seed: seeds the weights.
        vae: a trained VAE to put in; untrained if None.

    Raises:
        UsageError: the key is unknown; the message names the nearest.
    """
    if key not in FAMILIES:
        raise UsageError(f"no miniature generator {key!r}{nearest(key, FAMILIES)}")
    of = FAMILIES[key]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = of.assemble(vae or build_vae(of.vae), of.denoiser())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
