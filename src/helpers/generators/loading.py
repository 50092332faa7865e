"""Load a generator's diffusers pipeline from a folder or the local copy of a hub checkpoint, or copy a loaded one."""

from __future__ import annotations

import copy
import inspect
import logging
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.core import files
from helpers.core.errors import Failure, UsageError, shortened
from helpers.generators.catalogue import GENERATORS, Entry
from helpers.generators.placement import require, take_own_types

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

__all__ = ["copied", "copied_network", "load", "source"]


def source(key: str, weights: str = "mini", entry: Entry | None = None) -> str:
    """Where the weights of generator `key` lie: a folder, or a hub id where no such folder exists.

    `weights` is "mini" (the miniature shipped in models/mini), a folder, a hub id, or "hub" (the public checkpoint).
    `entry` is the row of a generator that the catalogue lacks. Raises UsageError for an unknown key, for a folder that
    holds no pipeline, and for "hub" where the row names no checkpoint.
    """
    row = entry or GENERATORS[key]
    if weights == "hub":
        if row.hub is None:
            raise UsageError(f"{key}: no public checkpoint is known; name a folder or a hub id")
        return row.hub
    if weights == "mini":
        weights = str(files.MODELS / "mini" / key)
    folder = Path(weights)
    if (folder / "model_index.json").is_file():
        return str(folder)
    if folder.exists() or folder.is_absolute() or weights.startswith(".") or weights.count("/") != 1:
        mend = (
            f"'quantdetect train mini {folder.name}' makes it"
            if folder.parent == files.MODELS / "mini"
            else "name another"
        )
        raise UsageError(f"{key}: no diffusers pipeline in '{folder}' (model_index.json is missing); {mend}")
    return weights


def load(
    key: str,
    weights: str = "mini",
    *,
    entry: Entry | None = None,
    dtype: str | None = None,
    types: Mapping[str, str] | None = None,
    revision: str | None = None,
    variant: str | None = None,
    device: str = "cpu",
    device_map: str | None = None,
    vae_only: bool = False,
) -> DiffusionPipeline:
    """The generator's pipeline, ready to sample: evaluation mode, no gradients, no progress bar, no safety checker.

    `weights` and `entry` as in `source`; nothing is downloaded. `dtype` names the type of all weights and of the
    computation (default float32). In float16, what overflows there computes in float32: T5's last layers, which
    transformers keeps so, and attention or a VAE whose configuration asks for it. SD2.1's attention does (its images
    are black otherwise), and so does SDXL's VAE, by its pipeline. `types` names those of components ("vae", "t5", ...)
    that are to be of another type; they are handed their inputs in it. `device_map` is "balanced" for networks that
    are to lie on several GPUs, evenly, in place of `device`. `vae_only` leaves denoiser and T5 out, which are nearly
    all of a checkpoint: such a pipeline serves `reconstruct`. Raises UsageError where the weights are
    missing, are another generator's, or overflow in `dtype`, Failure where they cannot be read or hold numbers that
    are not finite.
    """
    import torch  # seconds to import, and the table is useful without it

    row, where = entry or GENERATORS[key], source(key, weights, entry)
    _refuse_half(key, row, dtype)
    require(device_map)
    asked = {"revision": revision, "variant": variant, "device_map": device_map}
    chosen = {name: value for name, value in asked.items() if value}
    without = _without(row) if vae_only else {}
    default = getattr(torch, dtype or "float32")
    own = _own_types(row, types)
    pipeline = _read(
        key, row, where, dtype={"default": default, **own} if own else default, **row.loading, **chosen, **without
    )
    if type(pipeline).__name__ != row.pipeline:
        raise UsageError(
            f"{key}: '{where}' holds a {type(pipeline).__name__}, not a {row.pipeline}; name another folder"
        )
    _cast(pipeline, default, own)
    if own:
        take_own_types(pipeline)
    if dtype == "float16":
        _upcast_attention(pipeline)
    pipeline = _quiet(pipeline) if device_map else _quiet(pipeline).to(device, silence_dtype_warnings=True)
    _refuse_undefined(f"{key}: '{where}'", pipeline, dtype)
    return pipeline


def copied(
    key: str,
    original: DiffusionPipeline,
    *,
    entry: Entry | None = None,
    dtype: str | None = None,
    types: Mapping[str, str] | None = None,
) -> DiffusionPipeline:
    """A pipeline of its own with the weights of `original`, which `load` gave in float32 on the CPU, as `load` gives it
    in `dtype` (default float32) and `types`.

    The networks are new: what is done to them, layers put in their places or moved too, does not reach the original.
    Numbers that need no other type are shared with it, so nothing may write into them. Raises UsageError where the
    generator overflows in `dtype`, Failure where its weights do.
    """
    import torch

    row, type_ = entry or GENERATORS[key], getattr(torch, dtype or "float32")
    _refuse_half(key, row, dtype)
    own = _own_types(row, types)
    made = copy.copy(original)
    for name, part in original.components.items():
        if isinstance(part, torch.nn.Module):
            setattr(made, name, copied_network(part, own.get(name, type_)))
        elif name == "scheduler":  # it keeps the steps of the image that it is at
            setattr(made, name, copy.deepcopy(part))
    if dtype == "float16":
        _upcast_attention(made)
    if own:
        take_own_types(made)
    if type_ != torch.float32:
        _refuse_undefined(f"{key}: '{original.name_or_path}'", made, dtype)
    return made


def copied_network(part: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A network in FP32 on the CPU once more, in a type; numbers that need no other are the network's own.

    What loading leaves in FP32 beside a type of 16 bits stays so.
    """
    import torch

    stored, known = set(part.state_dict()), {}
    for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
        # Buffers that no file holds are computed by the network itself, in the type that it wants.
        changes = tensor.is_floating_point() and name in stored and not _stays(part, name, dtype)
        placed = tensor.detach().to(dtype if changes else None)
        # A parameter of its own in any case: moving a network to a device moves its parameters in place.
        known[id(tensor)] = (
            torch.nn.Parameter(placed, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else placed
        )
    return copy.deepcopy(part, known)


def _stays(part: torch.nn.Module, name: str, dtype: torch.dtype) -> bool:
    """Whether a weight stays in float32 when its network is loaded in `dtype`, as transformers has it."""
    import torch

    strict = getattr(part, "_keep_in_fp32_modules_strict", None) or ()
    kept = getattr(part, "_keep_in_fp32_modules", None) or ()
    return any(re.search(word, name) for word in (*strict, *(kept if dtype == torch.float16 else ())))


def _refuse_half(key: str, row: Entry, dtype: str | None) -> None:
    if dtype == "float16" and not row.half:
        raise UsageError(f"{key}: overflows in float16 and gives undefined pixels; use dtype bfloat16")


def _without(row: Entry) -> dict[str, None]:
    """Arguments of `from_pretrained` that leave a pipeline's denoiser and T5 where they are."""
    import diffusers

    # A class that there is not is told of when it is read.
    pipeline = getattr(diffusers, row.pipeline, diffusers.DiffusionPipeline)
    large = {"unet", "transformer", row.t5}
    return dict.fromkeys(large.intersection(inspect.signature(pipeline).parameters))


def _read(key: str, row: Entry, where: str, **arguments: Any) -> DiffusionPipeline:
    """The pipeline in a folder or a hub id's local copy; `arguments` are `from_pretrained`'s.

    Raises UsageError where there is no local copy, Failure where it cannot be read.
    """
    # On some CPUs bitsandbytes, which diffusers imports, warns of a package that only its BF16 kernels there need.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()  # one line per file, a blink each
    by_parts = find_spec("accelerate") is not None
    try:
        return diffusers.DiffusionPipeline.from_pretrained(
            where, local_files_only=True, low_cpu_mem_usage=by_parts, **arguments
        )
    except OSError as error:
        if Path(where).is_dir() or Path(where).is_absolute():  # even if it is gone since it was found
            raise Failure(_unloadable(key, where, error)) from error
        raise UsageError(
            f"{key}: no local copy of '{where}'; {_fetching(row, where, arguments.get('revision'))}"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # what foreign configurations and weights bring about has no common base
        raise Failure(_unloadable(key, where, error)) from error


def _own_types(row: Entry, types: Mapping[str, str] | None) -> dict[str, torch.dtype]:
    """Types of components, by the pipeline's attributes."""
    import torch

    return {_attribute(row, name): getattr(torch, type_) for name, type_ in (types or {}).items()}


def _attribute(row: Entry, component: str) -> str:
    """The attribute of a generator's pipeline by the name of a component."""
    import diffusers

    if component == "denoiser":
        known = inspect.signature(getattr(diffusers, row.pipeline, diffusers.DiffusionPipeline)).parameters
        return "transformer" if "transformer" in known else "unet"
    return row.t5 or component if component == "t5" else component


def _cast(pipeline: DiffusionPipeline, dtype: torch.dtype, own: Mapping[str, torch.dtype]) -> None:
    """Give every network of diffusers the type that was asked for, or its `own`.

    Without the package accelerate, diffusers leaves one whose first tensor is in FP32 as it is, and stored buffers of
    all (SD3's positions).
    """
    import diffusers
    import torch

    for name, component in pipeline.components.items():
        wanted = own.get(name, dtype)
        if isinstance(component, diffusers.ModelMixin):
            stored = [tensor.dtype for tensor in component.state_dict().values() if tensor.is_floating_point()]
            if {wanted} != {*stored} and not component._keep_in_fp32_modules:
                torch.nn.Module.to(component, wanted)


def _refuse_undefined(what: str, pipeline: DiffusionPipeline, dtype: str | None) -> None:
    """Raise Failure for stored numbers that are not finite: every image would be undefined, which is shown as black."""
    import torch

    mend = "get the weights again" + (", or use dtype bfloat16: float16 ends at 65504" if dtype == "float16" else "")
    for name, part in pipeline.components.items():
        for key, value in part.state_dict().items() if isinstance(part, torch.nn.Module) else ():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise Failure(f"{what}: {name}.{key} holds numbers that are not finite; {mend}")


def _fetching(row: Entry, where: str, revision: str | None) -> str:
    """How to get a checkpoint from the hub, in one line."""
    # Without patterns it gets every file: single-file copies of the whole checkpoint and other formats of its weights.
    patterns = "".join(f' --include "{pattern}"' for pattern in ("*.json", "*.txt", "*.model", "*/*.safetensors"))
    command = f"'hf download {where}{f' --revision {revision}' if revision else ''}{patterns}'"
    if not row.gated:
        return f"get it with {command} ({row.licence})"
    return f"accept the {row.licence} at huggingface.co/{where}, log in with 'hf auth login', then run {command}"


def _upcast_attention(pipeline: DiffusionPipeline) -> None:
    """Let attention compute its scores in float32 where the network's configuration asks for it.

    diffusers' default processor hands queries and keys to PyTorch's fused attention as they are and reads no such wish.
    """
    from diffusers.models.attention_processor import AttnProcessor

    unet = getattr(pipeline, "unet", None)
    if unet is not None and unet.config.upcast_attention:
        unet.set_attn_processor(AttnProcessor())


def _quiet(pipeline: DiffusionPipeline) -> DiffusionPipeline:
    import torch

    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _unloadable(key: str, where: str, error: Exception) -> str:
    variants = _variants(Path(where))
    if variants and "no file named" in str(error):
        named = variants[0]
        return (
            f"{key}: '{where}' cannot be loaded as asked for: its files are of the variant {', '.join(variants)};"
            f' say variant = "{named}" in the generator\'s table of the study file'
        )
    why = shortened(f"{type(error).__name__}: {error}", 240)
    return f"{key}: '{where}' cannot be loaded: {why}; get it again, or name another folder"


def _variants(folder: Path) -> list[str]:
    """The variants of which a checkpoint's files are, as their names have it: model.fp16.safetensors."""
    parts = [path.name.split(".") for path in folder.glob("*/*.safetensors")]
    return sorted({shortened(words[1].partition("-")[0], 20) for words in parts if len(words) == 3})
