"""From a picture to what a detector reads: decoding, and tables of size rules and normalizations.

Decoding is the same for every detector: EXIF orientation is applied, the first frame or page counts, palettes and
greys become RGB, numbers of 12 or 16 bits become the nearest of 8 bits, round(v * 255 / (2^bits - 1)), alpha is
dropped, CMYK is turned as Pillow does it (no colour profile is used). Numbers whose black and white no file states
(signed, 32 bits, floats) are refused, not guessed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from helpers.core.registry import unknown
from helpers.detectors import catalogue

__all__ = [
    "LARGEST",
    "SIZE_RULES",
    "SMALLEST",
    "Preprocess",
    "SizeRule",
    "Unfit",
    "check_size",
    "decode",
    "extent",
    "preprocess",
    "tensor",
]

#: Sides in pixels that are taken: the least leaves every network something to look at, the most bounds the memory.
SMALLEST, LARGEST = 8, 8192

_ORIENTATION, _TURNED = 0x0112, range(5, 9)  # the EXIF orientations that swap width and height

# TIFF tags, and what they are where they are left out.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 254, 256, 257, 258, 262, 284, 339
_DEFAULTS = {_SUBFILE: 0, _BITS: 1, _PHOTOMETRIC: 0, _PLANES: 1, _SAMPLE_FORMAT: 1}
_REDUCED, _WHITE_IS_ZERO, _UNSIGNED, _APART = 1, 0, 1, 2

#: Formats whose grey numbers of mode I have 16 bits: a PNG's in releases of Pillow before 11, a PPM's scaled to them.
_SIXTEEN_BITS = ("PNG", "PPM")

_SWAPPED = "B" if sys.byteorder == "little" else "L"

#: Pillow's raw modes of 16-bit colours take the upper byte of each number; these take the lower of the same data.
_LOWER = {
    f"{colours};16{order}": f"{colours};16{other}"
    for colours in ("RGB", "RGBX", "RGBA", "CMYK")
    for order, other in (("B", "L"), ("L", "B"), ("N", _SWAPPED))
} | {"LA;16B": "ARGB"}  # its second byte, as red

_ROWS = 256  # that are rounded at a time, which bounds the memory

#: Modes in which colours are multiplied by alpha -> the same without.
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


class Unfit(ValueError):
    """A picture that no detector can read; the message says why."""


@dataclass(frozen=True)
class SizeRule:
    """What happens to an image's size; a function of that image alone, never of what else is in the batch.

    Attributes:
        side: new length of the short side (crop) or of both sides (no crop); None keeps the native size.
        crop: centre crop to side x side after the resize.
    """

    side: int | None = None
    crop: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) after the rule."""
        return (width, height) if self.side is None else (self.side, self.side)

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the image after the rule: bicubic with antialiasing, as torchvision resizes a PIL image."""
        if self.side is None:
            return image
        if not self.crop:
            return image.resize((self.side, self.side), Image.Resampling.BICUBIC)
        (width, height), short = image.size, min(image.size)
        width, height = int(self.side * width / short), int(self.side * height / short)
        left, top = round((width - self.side) / 2), round((height - self.side) / 2)
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        return resized.crop((left, top, left + self.side, top + self.side))


SIZE_RULES = {
    "native": SizeRule(),
    "resize-256": SizeRule(256),
    "short-224-crop": SizeRule(224, crop=True),
    "short-64-crop": SizeRule(64, crop=True),
}


@dataclass(frozen=True)
class Preprocess(catalogue.Preprocess):
    """A row's size rule and normalization, applied."""

    @property
    def rule(self) -> SizeRule:
        return SIZE_RULES[self.size_rule]

    def normalized(self, images: np.ndarray) -> Tensor:
        """Return the normalized batch, float32 (N, 3, H, W), of uint8 images (N, H, W, 3)."""
        batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(255)
        mean, std = (torch.tensor(of).view(1, 3, 1, 1) for of in (self.mean, self.std))
        return batch.sub_(mean).div_(std)


def preprocess(name: str, width: str, size_rule: str | None = None) -> Preprocess:
    """Return how the detector `name` at `width` ("full" or "mini") reads an image, by its row or by `size_rule`.

    Raises UsageError for a name of a detector, a width or a rule that there is not.
    """
    own = catalogue.DETECTORS[name].preprocess
    if width not in own:
        raise unknown("detector width", width, own)
    rule = size_rule or own[width].size_rule
    if rule not in SIZE_RULES:
        raise unknown("size rule", rule, SIZE_RULES)
    return Preprocess(rule, own[width].mean, own[width].std)


def extent(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as seen, EXIF orientation applied; pixels are decoded of a PNG and of 16-bit colours only.

    Raises:
        Unfit: 16-bit colours cannot be read in full.
    """
    _round_colours(image)  # before Pillow decodes a PNG for EXIF data that may come after its pixels
    width, height = image.size
    if image.getexif().get(_ORIENTATION) not in _TURNED:
        return width, height
    # Pillow turns a TIFF by itself when it is decoded, and newer releases say so of its size before.
    turned = isinstance(image, TiffImageFile) and (width, height) != _tags(image, _WIDTH, _HEIGHT)
    return (width, height) if turned else (height, width)


def check_size(width: int, height: int) -> None:
    """Raise Unfit where a side is not from 8 to 8192 px: judged by the header, before any pixel is decoded."""
    if min(width, height) < SMALLEST or max(width, height) > LARGEST:
        raise Unfit(f"{width}x{height} px: each side must have {SMALLEST} to {LARGEST}")


def decode(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB, see above.

    16-bit colours are read in full from an image that Pillow has opened and not decoded yet, and the image itself is
    then decoded so; of those that Pillow has decoded before, the upper 8 bits are all that is left.

    Raises:
        Unfit: its numbers have no stated range (floats, signed or 32-bit integers), lie in the lower bits only or
            cannot be read in full, or its colours have no RGB.
    """
    bits, white_is_zero = _range(image)
    _round_colours(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray(_rounded_greys(np.asarray(image), bits, white_is_zero))
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError:
        raise Unfit(f"colours of mode {image.mode} cannot be turned to RGB") from None


def _range(image: Image.Image) -> tuple[int, bool]:
    """How many bits a grey number has, and whether zero is white; Unfit where the file does not state the range."""
    bits, photometric, sample = 16, None, _UNSIGNED
    if isinstance(image, TiffImageFile):
        kind, bits, photometric, sample = _tags(image, _SUBFILE, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT)
        if kind & _REDUCED:
            raise Unfit("its first page is a thumbnail, as in a camera's raw file: develop it first")
        if bits == 16 and len(image.getbands()) > 1 and _tags(image, _PLANES) == (_APART,):
            raise Unfit("16-bit colours in planes cannot be read in full: save it with interleaved channels")
    if image.mode == "F":
        raise Unfit("32-bit floats have no stated range of brightness: convert it to 8 or 16 bits")
    if sample != _UNSIGNED:
        raise Unfit("signed integers have no stated range of brightness: convert it to 8 or 16 bits, unsigned")
    if bits > 16 or (image.mode == "I" and image.format not in _SIXTEEN_BITS):
        raise Unfit("32-bit integers have no stated range of brightness: convert it to 8 or 16 bits")
    return bits, photometric == _WHITE_IS_ZERO


def _tags(image: TiffImageFile, *tags: int) -> tuple[int, ...]:
    """TIFF tags, of several channels the first's."""
    found = (image.tag_v2.get(tag, _DEFAULTS.get(tag)) for tag in tags)
    return tuple(value[0] if isinstance(value, tuple) else value for value in found)


def _round_colours(image: Image.Image) -> None:
    """Decode 16-bit colours, in place, to the nearest of 8 bits; anything else is left as it is."""
    raw = {_raw_mode(tile[3]) for tile in getattr(image, "tile", ())}
    if len(image.getbands()) == 1 or not any(mode.endswith((";16B", ";16L", ";16N")) for mode in raw):
        return
    if raw - _LOWER.keys():
        raise Unfit("16-bit colours multiplied by alpha cannot be read in full: save it without alpha")
    if image.format == "PNG" and image.tell():
        raise Unfit("16-bit colours of an animation's later frame cannot be read in full: save the frame alone")
    lower = _lower_bytes(image)
    image.load()
    used = min(len(image.getbands()), 3) if image.mode != "CMYK" else 4  # all but alpha
    if not any(most for _, most in image.getextrema()[:used]):
        _check_range(max(most for _, most in lower.getextrema()[:used]), 16)
    width, height = image.size
    for top in range(0, height, _ROWS):
        place = (0, top, width, min(top + _ROWS, height))
        upper = image.crop(place)
        numbers = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower.crop(place))
        image.paste(Image.frombytes(upper.mode, upper.size, _nearest(numbers, 16).tobytes()), place)


def _lower_bytes(image: Image.Image) -> Image.Image:
    """The lower bytes of 16-bit colours, by a second reading of the same file, which leaves the first where it was."""
    at = image.fp.tell()
    lower = Image.open(image.fp, formats=[image.format])
    lower.seek(image.tell())
    grey = any(_raw_mode(tile[3]) == "LA;16B" for tile in lower.tile)
    lower.tile = [_of_lower_bytes(tile) for tile in lower.tile]
    lower.load()
    image.fp.seek(at)
    return Image.merge("RGBA", [lower.getchannel("R")] * 4) if grey else lower


def _raw_mode(settings: str | tuple | None) -> str:
    """How the numbers lie in the file, by a decoder's settings in Pillow; "" where they do not say so."""
    first = settings[0] if isinstance(settings, tuple) and settings else settings
    return first if isinstance(first, str) else ""


def _of_lower_bytes(tile: tuple) -> tuple:
    """A part of a file as Pillow decodes it, with the raw mode for the lower bytes."""
    settings = tile[3]
    lower = _LOWER[_raw_mode(settings)]
    made = getattr(type(tile), "_make", tuple)  # a named tuple since Pillow 11
    return made((*tile[:3], lower if isinstance(settings, str) else (lower, *settings[1:])))


def _rounded_greys(grey: np.ndarray, bits: int, white_is_zero: bool) -> np.ndarray:
    """The nearest uint8 to a grey picture's numbers of 9 to 16 bits, (H, W)."""
    _check_range(int(grey.max(initial=0)), bits)
    parts = [_nearest(grey[top : top + _ROWS], bits) for top in range(0, len(grey), _ROWS)]
    rounded = np.concatenate(parts)
    return 255 - rounded if white_is_zero else rounded


def _check_range(most: int, bits: int) -> None:
    """Raise Unfit where the largest number is beyond the bits, or so small that the picture becomes black."""
    if most >> bits:
        raise Unfit(f"numbers beyond the {bits} bits that it states")
    if 0 < most < 1 << (bits - 8):
        raise Unfit(f"all numbers lie in the lower {bits - 8} of {bits} bits, which are black in 8: stretch it")


def _nearest(numbers: np.ndarray, bits: int) -> np.ndarray:
    """round(v * 255 / (2^bits - 1)) as uint8; no number lies halfway, for the divisor is odd."""
    largest = (1 << bits) - 1
    return ((numbers.astype(np.uint32) * 255 + largest // 2) // largest).astype(np.uint8)


def tensor(image: Image.Image, ready: Preprocess) -> Tensor:
    """Return one picture as its detector reads it: normalized float32 (3, H, W) after the size rule."""
    return ready.normalized(np.asarray(ready.rule.apply(decode(image)))[None])[0]
