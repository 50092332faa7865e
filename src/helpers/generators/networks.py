"""The networks of the eight public checkpoints at full size, built from their configurations without their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from helpers.core.errors import Failure, UsageError, nearest
from helpers.generators.catalogue import ARCHITECTURES

__all__ = ["Architecture", "Network", "architecture", "architectures", "build", "made", "named"]


@dataclass(frozen=True)
class Network:
    """A network of diffusers or transformers: the name of its class, its configuration, how many parameters it has."""

    kind: str
    config: Mapping[str, Any]
    parameters: int


@dataclass(frozen=True)
class Architecture:
    """A checkpoint: its key, name, id on the Hugging Face hub, edge of its native images in pixels, and networks by
    component name."""

    key: str
    title: str
    hub: str
    pixels: int
    parts: Mapping[str, Network]


@cache
def architectures() -> dict[str, Architecture]:
    """All eight, by key."""
    table = json.loads(ARCHITECTURES.read_text(encoding="utf-8"))
    networks = {
        key: Network(entry["class"], entry["config"], entry["parameters"]) for key, entry in table["networks"].items()
    }
    return {
        key: Architecture(
            key,
            entry["title"],
            entry["hub"],
            entry["pixels"],
            {part: networks[name] for part, name in entry["parts"].items()},
        )
        for key, entry in table["checkpoints"].items()
    }


def architecture(key: str) -> Architecture:
    """One of them. Raises UsageError for an unknown key."""
    known = architectures()
    if key not in known:
        raise UsageError(f"no checkpoint '{key}'{nearest(key, known)}; one of {', '.join(known)}")
    return known[key]


def named(keys: Sequence[str] | None = None) -> list[Architecture]:
    """The named ones, each once, or all. Raises UsageError for an unknown key."""
    return [architecture(key) for key in dict.fromkeys(keys or architectures())]


def made(network: Network, dtype: torch.dtype = torch.float32, device: str = "meta") -> nn.Module:
    """The network of this configuration with the random start of its library, however many parameters that gives.

    On torch's meta device, the default, it holds shapes and types and no numbers.
    """
    import diffusers
    import transformers

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            if hasattr(diffusers, network.kind):
                built = getattr(diffusers, network.kind)(**network.config)
            else:
                kind = getattr(transformers, network.kind)
                built = kind(kind.config_class(**network.config))
    finally:
        torch.set_default_dtype(before)
    return built.requires_grad_(False).eval()


def build(network: Network, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network on torch's meta device, which holds shapes and types and no numbers.

    Raises Failure where it has not as many parameters as its checkpoint: the library's class has changed.
    """
    built = made(network, dtype)
    found = sum(parameter.numel() for parameter in built.parameters())
    if found != network.parameters:
        raise Failure(
            f"{network.kind}: {found:,} parameters, not the checkpoint's {network.parameters:,};"
            " install the versions of requirements.lock"
        )
    return built
