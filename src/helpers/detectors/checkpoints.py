"""Reading detector weights in their authors' formats: only tensors are unpickled, only what fits is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from helpers.errors import UsageError
from helpers.paths import replacing

__all__ = ["fit", "metadata", "read", "write"]

#: Keys under which training scripts put the state dict.
_UNDER = ("model", "state_dict")


def read(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a file: raw or under "model" or "state_dict", without any `module.` prefix.

    Raises:
        UsageError: the file is missing, cannot be read, or holds anything but tensors.
    """
    if not path.is_file():
        raise UsageError(f"no weights file {path}: give the path of a .safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise UsageError(f"{path} is not a readable weights file: {_line(error)}") from None
    except Exception as error:  # pickle's errors have no common base; weights_only refuses code with one of them
        raise UsageError(f"{path} was refused, it holds more than tensors: {_line(error)}") from None
    for key in _UNDER:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise UsageError(f"{path} holds no state dict, neither bare nor under {' or '.join(map(repr, _UNDER))}")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def metadata(path: Path) -> dict[str, str]:
    """Return a safetensors file's own notes (detector, width, backbone); empty for other formats."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise UsageError(f"{path} is not a readable weights file: {_line(error)}") from None


def write(path: Path, state: Mapping[str, Tensor], notes: dict[str, str]) -> None:
    """Store a state dict as safetensors: matrices and kernels in half precision, vectors in single.

    Half the size in a repository, at an error far below what training leaves undetermined; what is measured of a
    detector is measured on the stored weights.
    """
    halved = {key: value.half() for key, value in state.items() if value.is_floating_point() and value.ndim > 1}
    with replacing(path) as temporary:
        save_file({key: value.contiguous() for key, value in {**state, **halved}.items()}, temporary, notes)


def fit(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load a state dict that must fit exactly; heads stored as 1x1 convolutions are flattened first.

    Raises:
        UsageError: keys are missing, unexpected or misshapen; the message names the first dozen of each.
    """
    own = network.state_dict()
    state = {key: _flat(value, own.get(key)) for key, value in state.items()}
    faults = {
        "missing": [k for k in own if k not in state and not k.endswith("num_batches_tracked")],
        "unexpected": [k for k in state if k not in own],
        "misshapen": [
            f"{k} {list(v.shape)} for {list(own[k].shape)}"
            for k, v in state.items()
            if k in own and v.shape != own[k].shape
        ],
    }
    found = [f"{what} {_some(keys)}" for what, keys in faults.items() if keys]
    if found:
        raise UsageError(f"{path} does not fit this detector: {'; '.join(found)}")
    network.load_state_dict(state, strict=False)


def _flat(value: Tensor, own: Tensor | None) -> Tensor:
    """A 1x1 convolution's weight as the linear layer's that has its place."""
    pointwise = own is not None and value.ndim == 4 and own.ndim == 2 and value.shape[2:] == (1, 1)
    return value[:, :, 0, 0] if pointwise else value


def _some(keys: list[str], shown: int = 12) -> str:
    return ", ".join(keys[:shown]) + (f" and {len(keys) - shown} more" if len(keys) > shown else "")


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
