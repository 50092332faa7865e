"""A folder of photographs as a study's reals: which are taken, and how they are brought to a generator's size.

Generators' images never were JPEG and all have one size; photographs mostly were, and have any. A detector that is
scored on both as they come may read compression and size instead of generation (Grommelt et al. 2024, arXiv
2403.17608). So both classes get one encoding and one size, by one rule: a photograph counts where its shorter side has
at least `shrink` times the pixels of the study's largest images; its central square is shrunk to each generator's size
(bicubic, with antialiasing: every pixel is a mean over at least `shrink` x `shrink` of the file's) and kept without
loss, as the fakes are. The fakes stay what the generator made, so the share of them that is found does not hang on the
reals. Both classes after the same lossy handling are what the protocol `shared` is for.

At the default of 2 the frequencies above half Nyquist's, in which JPEG quantizes coarsest, are gone, halved colour is
whole again, and the grid of 8 px lies elsewhere. Measured on 60 renders of 128 px, with a JPEG before and without: the
steps at a grid of 4 or 8 px tell them apart with an AUC of .87 to .99 at qualities 75 and 85 where nothing is shrunk,
and of .49 to .54 at 75 to 95 where the sides are halved; at quality 50 some is left (up to .74).
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from helpers.core.errors import Failure, UsageError, readable
from helpers.core.files import file_sha256
from helpers.detectors import stream
from helpers.detectors.preprocessing import check_size, decode, extent

__all__ = ["METHOD", "Chosen", "Photograph", "choose", "open_square", "squared"]

#: To be raised when other files are taken, or other pixels made of them: what another number made is made again.
METHOD = 1


@dataclass(frozen=True)
class Photograph:
    """A file of the folder: where it lies, its `name` below the folder, SHA-256 of its bytes, format by content, and
    pixels as shown.
    """

    path: Path
    name: str
    sha256: str
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Chosen:
    """The photographs of a study, in the order of their indices.

    Attributes:
        photographs: those taken; photograph i is real image i at every size.
        digest: SHA-256 (hex) of the folder's files that are large enough, in their order. With more images asked for
            it stays, and so do the first ones.
        notes: a line for each file that was left out and should not have been there: broken ones.
        left_out: how many were left out, by reason.
    """

    photographs: tuple[Photograph, ...]
    digest: str
    notes: tuple[str, ...]
    left_out: dict[str, int]


def choose(folder: Path, count: int, least: int, seed: int) -> Chosen:
    """The first `count` photographs of a folder, in an order drawn from their contents and the seed.

    Names and dates do not count, so the same files give the same images wherever they lie. A file counts where its
    shorter side has `least` pixels, once however often it is there, and where it can be decoded.

    Raises:
        UsageError: there is no such folder, or it has too few photographs of that size.
    """
    if not folder.is_dir():
        mend = "put photographs there, or take [reals] out of the study file"
        raise UsageError(f"reals: no folder {readable(folder)}; {mend}")
    notes: list[str] = []
    left_out: Counter[str] = Counter()
    order = _ordered(_large(_read(folder, notes, left_out), least, left_out), seed)
    taken: list[Photograph] = []
    for photograph in _watched(order, "photographs"):
        if len(taken) == count:
            break
        if why := _broken(photograph.path):
            notes.append(f"reals: {readable(photograph.path)}: {why}; left out")
            left_out["broken"] += 1
        else:
            taken.append(photograph)
    if len(taken) < count:
        without = ", ".join(f"{number} {why}" for why, number in left_out.items())
        raise UsageError(
            f"reals: {readable(folder)}: {len(taken)} photographs of at least {least} px on the shorter side"
            f"{f' ({without})' if without else ''}, {count} images: add photographs or ask for fewer"
        )
    return Chosen(tuple(taken), _digest(order), tuple(notes), dict(left_out))


def _read(folder: Path, notes: list[str], left_out: Counter[str]) -> Iterator[Photograph]:
    """What the files of a folder are by their headers; hidden ones are nobody's photographs."""
    shown = [path for path in stream.find([folder]) if not path.name.startswith(".")]
    for path in _watched(shown, "folder"):
        try:
            with stream.open_image(path) as image:
                kind, size = stream.format_of(image), extent(image)
                check_size(*size)
        except Exception as error:  # a file of strangers can make a decoder raise anything
            notes.append(f"reals: {readable(path)}: {stream.reason(error)}; left out")
            left_out["no image or broken"] += 1
            continue
        yield Photograph(path, path.relative_to(folder).as_posix(), file_sha256(path), kind, *size)


def _large(photographs: Iterator[Photograph], least: int, left_out: Counter[str]) -> list[Photograph]:
    """Those whose shorter side is long enough, each content once: of equal files the first by name."""
    found: dict[str, Photograph] = {}
    for photograph in photographs:
        if min(photograph.width, photograph.height) < least:
            left_out["smaller"] += 1
        elif photograph.sha256 in found:
            left_out["there twice"] += 1
        else:
            found[photograph.sha256] = photograph
    return list(found.values())


def _ordered(photographs: Sequence[Photograph], seed: int) -> list[Photograph]:
    return sorted(photographs, key=lambda one: hashlib.sha256(f"{seed}/{one.sha256}".encode()).hexdigest())


def _digest(order: Sequence[Photograph]) -> str:
    return hashlib.sha256("\n".join([str(METHOD), *(one.sha256 for one in order)]).encode()).hexdigest()


def _broken(path: Path) -> str:
    """Why a file cannot be decoded to its end; "" where it can."""
    try:
        with stream.open_image(path) as image:
            image.draft("RGB", (1, 1))  # a JPEG is read to its end, and most of its arithmetic spared
            decode(image)
    except Exception as error:  # as above
        return stream.reason(error)
    return ""


def open_square(photograph: Photograph, size: int) -> Image.Image:
    """A photograph as a real image of `size` pixels, RGB, 8 bits. Raises Failure where it cannot be read any more."""
    try:
        with stream.open_image(photograph.path) as image:
            return squared(decode(image), size)
    except Exception as error:  # as above
        raise Failure(f"{readable(photograph.path)}: {stream.reason(error)}; put it back as it was") from None


def squared(image: Image.Image, size: int) -> Image.Image:
    """The central square of an RGB image, brought to `size` pixels a side: bicubic, with antialiasing."""
    edge = min(image.size)
    left, top = ((side - edge) // 2 for side in image.size)
    square = image.crop((left, top, left + edge, top + edge))  # a box of `resize` alone lets in what lies beside it
    return square.resize((size, size), Image.Resampling.BICUBIC)


def _watched(items: Sequence, what: str) -> Iterator:
    # A folder of camera files takes minutes to read.
    return iter(tqdm(items, desc=what, unit=" files", delay=5, disable=None, file=sys.stderr))
