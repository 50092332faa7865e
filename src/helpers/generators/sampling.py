"""Make images with a pipeline, one noise per image, and tell images that do not count."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from helpers.core.errors import UsageError
from helpers.generators.catalogue import GENERATORS

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = ["Encodings", "check", "reconstruct", "sample"]

#: Standard deviation of all pixel values (0 to 255) under which an image is blank; 900 renders lie above 19.
BLANK = 2.0
#: Correlation of neighbouring pixels' luminance under which an image is noise; white noise stays under 0.04, 900
#: renders lie above 0.8.
NOISE = 0.3
_UNDEFINED = "undefined pixels"


def sample(
    pipeline: DiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    size: int,
    batch_size: int = 1,
) -> list[Image.Image]:
    """One square RGB image of `size` pixels per prompt, in order.

    The noise of an image is drawn on the CPU from its own seed. So, but for rounding, an image depends neither on
    what else is in its batch nor on the device. `guidance` is the pipeline's
    guidance_scale. Every image is returned: whether it counts is said by `check`.
    """
    import torch

    if len(prompts) != len(seeds):
        raise UsageError(f"{len(prompts)} prompts and {len(seeds)} seeds: give one seed per prompt")
    settings = dict(num_inference_steps=steps, guidance_scale=guidance, height=size, width=size, output_type="np")
    settings |= _token_limit(pipeline) | _exact_size(pipeline)
    images: list[Image.Image] = []
    with torch.inference_mode():
        for start in range(0, len(prompts), batch_size):
            batch = slice(start, start + batch_size)
            noise = [torch.Generator("cpu").manual_seed(seed) for seed in seeds[batch]]
            images += [_image(array) for array in pipeline(list(prompts[batch]), generator=noise, **settings).images]
    return images


class Encodings:
    """What text encoders have made of prompts, so that pipelines with the same encoders need not run them again.

    A pipeline encodes the prompts of a batch by one call of its `encode_prompt`, with those that guidance needs, pooled
    ones and masks. What that call returned is kept on the CPU, by all its arguments, and returned to the same call: it
    is the same to the last bit. The same prompts in other batches are other calls, for they round otherwise. A class
    that has no such method, or is given tensors by it, encodes as ever. Beyond `most` bytes nothing more is kept.
    """

    def __init__(self, most: int = 1 << 30) -> None:
        self.most, self.held = most, 0
        self._known: dict[Hashable, Any] = {}

    def attach(self, pipeline: DiffusionPipeline, encoders: Hashable) -> None:
        """Let a pipeline take from here what it can; `encoders` names its text encoders, their type and device."""
        encode, owner = getattr(type(pipeline), "encode_prompt", None), weakref.ref(pipeline)
        if encode is not None:  # bound when it is called: a pipeline that held itself would outlive its cell
            pipeline.encode_prompt = lambda *args, **kwargs: self._encoded(
                encoders, encode.__get__(owner()), args, kwargs
            )

    def _encoded(self, encoders: Hashable, encode: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        import torch

        call = inspect.signature(encode).bind(*args, **kwargs)
        call.apply_defaults()
        try:
            key = (encoders, tuple((name, _hashable(value)) for name, value in call.arguments.items()))
        except TypeError:  # tensors that stand for prompts, and whatever else cannot be compared
            return encode(*args, **kwargs)
        if key not in self._known:
            made = encode(*args, **kwargs)
            size = sum(item.nbytes for item in made if torch.is_tensor(item)) if isinstance(made, tuple) else None
            if size is None or self.held + size > self.most:
                return made
            self.held += size
            self._known[key] = [(getattr(item, "device", None), _moved(item, "cpu")) for item in made]
        return tuple(_moved(item, device) for device, item in self._known[key])


def _hashable(value: Any) -> Hashable:
    """A value of an argument as it can be compared; raises TypeError for what has no equal, as a tensor."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if type(value).__name__ in ("device", "dtype"):
        return str(value)
    raise TypeError(type(value).__name__)


def _moved(item: Any, device: Any) -> Any:
    """A copy of a tensor on a device, so that nobody writes into what is kept; anything else as it is."""
    return item.to(device, copy=True) if hasattr(item, "nbytes") else item


def reconstruct(pipeline: DiffusionPipeline, images: Sequence[Image.Image]) -> list[Image.Image]:
    """RGB images after the pipeline's own VAE, each alone: encoded to the mean of its latents and decoded.

    Sides must be multiples of the VAE's scale factor. Latents are not scaled on the way, since nothing is between.
    """
    import torch

    vae, found = pipeline.vae, []
    with torch.inference_mode():
        for image in images:
            pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None]
            code = vae.encode((pixels.float() / 127.5 - 1).to(vae.device, vae.dtype)).latent_dist.mean
            made = vae.decode(code).sample[0].permute(1, 2, 0).float().cpu().numpy()
            found.append(_image(made / 2 + 0.5))
    return found


def check(image: Image.Image) -> str | None:
    """Why an image must not count, or None.

    "undefined pixels": the pipeline gave NaN or infinity (known of images fresh from `sample`); "blank": the standard
    deviation of all pixel values is under 2 of 255, black images among them; "noise": neighbouring pixels' luminance
    correlates under 0.3.
    """
    if image.info.get(_UNDEFINED):
        return _UNDEFINED
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    if pixels.std() < BLANK:
        return "blank"
    return "noise" if _neighbours(pixels.mean(axis=2)) < NOISE else None


def _neighbours(grey: np.ndarray) -> float:
    """Mean correlation of horizontal and of vertical neighbours of an (H, W) image; 1 where a direction is constant."""
    pairs = ((grey[:, 1:], grey[:, :-1]), (grey[1:], grey[:-1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
    return float(np.mean(np.nan_to_num(values, nan=1.0)))


def _token_limit(pipeline: DiffusionPipeline) -> dict[str, Any]:
    """The prompt length for pipelines with a T5-like encoder: its tokenizer's own limit, at most the table's."""
    row = next((row for row in GENERATORS.values() if row.pipeline == type(pipeline).__name__), None)
    if row is None or row.t5 is None:
        return {}
    tokenizer = getattr(pipeline, row.t5.replace("text_encoder", "tokenizer"))
    limit = row.tokens if tokenizer is None else min(row.tokens, tokenizer.model_max_length)
    return {"max_sequence_length": limit}


def _exact_size(pipeline: DiffusionPipeline) -> dict[str, Any]:
    """Keeps pipelines that know good sizes (PixArt, Lumina, Sana) from making one of these and cropping it."""
    binning = "use_resolution_binning"
    return {binning: False} if binning in inspect.signature(type(pipeline).__call__).parameters else {}


def _image(array: np.ndarray) -> Image.Image:
    """(H, W, 3) floats in 0 to 1 to 8 bits, as diffusers does; undefined pixels become black, noted in `info`."""
    undefined = not np.isfinite(array).all()
    levels = (np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 1) * 255).round().astype(np.uint8)
    image = Image.fromarray(levels)
    image.info[_UNDEFINED] = undefined
    return image
