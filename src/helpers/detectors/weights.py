"""Reading detector weights in their authors' formats: only tensors are unpickled, only what fits is used."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from helpers.core.errors import UsageError, shortened, shown
from helpers.core.files import replacing

__all__ = ["fit", "metadata", "read", "write"]

#: Keys under which training scripts put the state dict.
_UNDER = ("model", "state_dict")


def read(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a file: raw or under "model" or "state_dict", without any `module.` prefix.

    Raises:
        UsageError: the file is missing, cannot be read, or holds no state dict or more than tensors.
    """
    if not path.is_file():
        raise UsageError(f"no weights file {path}: give the path of a .safetensors or .pth file")
    state = _tensors_of(path) if path.suffix == ".safetensors" else _unpickled(path)
    for key in _UNDER:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise UsageError(f"{path} holds no state dict, neither bare nor under {' or '.join(map(repr, _UNDER))}")
    nameless = [key for key in tensors if not isinstance(key, str)]  # None may be a key too
    if nameless:
        raise UsageError(f"{path} holds no state dict: its tensors have keys such as {shown(nameless[0])}, no names")
    odd = next((key for key, value in tensors.items() if not _plain(value)), None)
    if odd is not None:
        raise UsageError(f"{path}: the tensor {shortened(odd)} is nested, sparse, quantized or without numbers")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _plain(value: Tensor) -> bool:
    return value.layout == torch.strided and not (value.is_nested or value.is_quantized or value.is_meta)


def _tensors_of(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # whatever strangers' bytes make of it
        raise _unreadable(path, error) from None


def _unpickled(path: Path) -> object:
    """What `torch.save` stored, without running any code that is in it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                claimed = sum(entry.file_size for entry in file.infolist())
            if claimed > path.stat().st_size:  # torch never compresses
                raise UsageError(f"{path} was refused: it claims to hold {claimed:,} bytes, more than it is long")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from None
    except Exception as error:  # whatever strangers' bytes make of it
        raise _unreadable(path, error) from None


def _refused(path: Path, error: Exception) -> UsageError:
    """What torch says of a file that is no bare weights, less its advice, which is to run what is in the file."""
    if named := re.search(r"GLOBAL (\S+)", str(error)):
        return UsageError(
            f"{path} was refused, it holds more than tensors: {shortened(named[1])}; give its state dict alone"
        )
    return UsageError(f"{path} was refused, it is no weights file or holds more than tensors; give a state dict")


def _unreadable(path: Path, error: Exception) -> UsageError:
    why = getattr(error, "strerror", None) or _line(error)
    return UsageError(f"{path} is not a readable weights file ({why}); give a .safetensors or a torch.save of tensors")


def metadata(path: Path) -> dict[str, str]:
    """Return a safetensors file's own notes (detector, width, backbone); empty for other formats."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except Exception as error:  # whatever strangers' bytes make of it
        raise _unreadable(path, error) from None


def write(path: Path, state: Mapping[str, Tensor], notes: dict[str, str]) -> None:
    """Store a state dict as safetensors: matrices and kernels in half precision, vectors in single.

    Half the size in a repository, at an error far below what training leaves undetermined; what is measured of a
    detector is measured on the stored weights.
    """
    halved = {key: value.half() for key, value in state.items() if value.is_floating_point() and value.ndim > 1}
    with replacing(path) as temporary:
        save_file({key: value.contiguous() for key, value in {**state, **halved}.items()}, temporary, notes)


def fit(network: nn.Module, parts: Mapping[Path, Mapping[str, Tensor]]) -> None:
    """Load state dicts, by their files, that must fit exactly together; heads stored as 1x1 convolutions are flattened.

    Raises:
        UsageError: keys are missing, unexpected or misshapen (the message names the first dozen of each), or a tensor
            holds no finite real numbers.
    """
    own = network.state_dict()
    state = {key: _flat(value, own.get(key)) for part in parts.values() for key, value in part.items()}
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
        raise UsageError(f"{next(iter(parts))} does not fit this detector: {'; '.join(found)}")
    for path, part in parts.items():  # now that shapes are known: a view may claim any number of elements
        for key in part:
            why = _fault(state[key], own[key])
            if why:
                raise UsageError(f"{path}: the tensor {key} {why}; a detector with it gives no logit")
    network.load_state_dict(state, strict=False)


def _fault(value: Tensor, own: Tensor) -> str:
    """Why a tensor cannot take the place of a network's own; "" where it can."""
    if value.is_floating_point() != own.is_floating_point() or value.is_complex():
        return f"is of type {value.dtype} for {own.dtype}"
    # After the cast: a large double is no single.
    return "" if value.to(own.dtype).isfinite().all() else "holds NaN or infinite numbers"


def _flat(value: Tensor, own: Tensor | None) -> Tensor:
    """A 1x1 convolution's weight as the linear layer's that has its place."""
    pointwise = own is not None and value.ndim == 4 and own.ndim == 2 and value.shape[2:] == (1, 1)
    return value[:, :, 0, 0] if pointwise else value


def _some(keys: list[str], shown: int = 12) -> str:
    return ", ".join(map(shortened, keys[:shown])) + (f" and {len(keys) - shown} more" if len(keys) > shown else "")


def _line(error: Exception) -> str:
    return shortened(error, 160) or type(error).__name__
