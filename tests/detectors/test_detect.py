"""Files judged: every format and mode, what is no image, the order, memory, labels, and what sets classes apart."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.metrics import roc_auc_score

from helpers import detectors, world
from helpers.analysis.labelled import by_detector
from helpers.cli import app as cli
from helpers.cli import show
from helpers.core.errors import UsageError
from helpers.core.files import MODELS
from helpers.detectors import batching, preprocessing, stream
from helpers.detectors import folder as judging
from helpers.images import perturbations


def picture(seed: int = 0, size: int = 64) -> Image.Image:
    return Image.fromarray(world.render(seed, size))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture(scope="module")
def loaded():
    return {name: detectors.load(name) for name in detectors.DETECTORS}


def logits(paths, loaded, **settings) -> np.ndarray:
    return np.array([list(seen.logits.values()) for seen in stream.judge(paths, loaded, **settings)])


FORMATS = {
    "png": {},
    "jpg": {"quality": 95},
    "webp": {"lossless": True},
    "tiff": {},
    "bmp": {},
    "gif": {},
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_give_the_logits_of_their_pixels(suffix, loaded, tmp_path):
    path = tmp_path / f"a.{suffix}"
    picture().save(path, **FORMATS[suffix])
    (seen,) = stream.judge([path], loaded)
    assert (seen.width, seen.height, seen.error) == (64, 64, "")
    assert seen.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())
    shown = Image.open(path).convert("RGB")
    for name, detector in loaded.items():
        assert seen.logits[name] == pytest.approx(detector.score([shown])[0], abs=1e-5)


def test_modes_are_read_as_they_look(tmp_path):
    image, grey = picture(), picture().convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    kept = {
        "rgba.png": image.convert("RGBA"), "palette.png": image.quantize(256), "grey.png": grey, "deep.png": deep,
        "deep.tif": deep, "grey-alpha.png": grey.convert("LA"), "bits.png": grey.convert("1"),
        "cmyk.jpg": image.convert("CMYK"), "cmyk.tif": image.convert("CMYK"),
    }  # fmt: skip
    for name, of in kept.items():
        of.save(tmp_path / name, **({"quality": 100, "subsampling": 0} if name.endswith("jpg") else {}))

    def shown(name: str) -> np.ndarray:
        with Image.open(tmp_path / name) as opened:
            return np.asarray(preprocessing.decode(opened)).astype(int)

    rgb, as_grey = np.asarray(image).astype(int), np.asarray(grey.convert("RGB")).astype(int)
    np.testing.assert_array_equal(shown("rgba.png"), rgb)
    np.testing.assert_array_equal(shown("cmyk.tif"), rgb)
    assert abs(shown("cmyk.jpg") - rgb).mean() < 2 and abs(shown("palette.png") - rgb).mean() < 8
    for name in ("grey.png", "deep.png", "deep.tif", "grey-alpha.png"):
        np.testing.assert_array_equal(shown(name), as_grey)
    assert set(np.unique(shown("bits.png"))) == {0, 255}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, width: int, height: int, depth: int, rows: bytes, colours: int = 2, crossed: int = 0, frames: int = 1):
    """A PNG written by hand, RGB or of another type of colours, with whatever rows; Pillow writes no 16-bit colours."""
    data = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, crossed))
    data += chunk(b"acTL", struct.pack(">II", frames, 0)) if frames > 1 else b""
    for frame in range(frames):
        place = struct.pack(">IIIIIHHBB", max(2 * frame - 1, 0), width, height, 0, 0, 1, 10, 0, 0)
        number = struct.pack(">I", 2 * frame) if frame else b""
        data += chunk(b"fcTL", place) if frames > 1 else b""
        data += chunk(b"fdAT" if frame else b"IDAT", number + zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))


def test_sixteen_bit_colours_become_eight(tmp_path):
    rgb = np.asarray(picture())
    png(tmp_path / "deep.png", 64, 64, 16, b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in rgb))
    with Image.open(tmp_path / "deep.png") as opened:
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(opened)), rgb)


def test_the_first_frame_counts_and_orientation_is_applied(tmp_path):
    first, second = picture(1), picture(2)
    first.save(tmp_path / "two.gif", save_all=True, append_images=[second])
    with Image.open(tmp_path / "two.gif") as opened:
        assert abs(np.asarray(preprocessing.decode(opened)).astype(int) - np.asarray(first)).mean() < 8
    wide = noise(80, 64)
    turned = wide.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (seen,) = stream.judge([tmp_path / "turned.png"], {})
    assert (seen.width, seen.height) == (80, 64)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(opened)), np.asarray(wide))


def tiff(path, numbers: np.ndarray, bits: int, *, order="<", planar=False, packed=False, each=0, **tags):
    """A TIFF written by hand after its specification: grey (H, W) or colours (H, W, C), 12 bits in 1.5 bytes, of 8 or
    more bits in strips of `each` rows.
    """
    codes = {"subfile": 254, "photometric": 262, "orientation": 274, "extra": 338, "sample_format": 339}
    height, width, *channels = numbers.shape
    count = channels[0] if channels else 1
    if bits == 12:
        pairs = numbers.astype(int).reshape(-1, 2)
        data = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
        strips = [data.astype(np.uint8).tobytes()]
    else:
        step = each or height  # rows of a strip
        planes = np.moveaxis(numbers, 2, 0) if planar else [numbers[y : y + step] for y in range(0, height, step)]
        strips = [plane.astype(f"{order}{numbers.dtype.kind}{bits // 8}").tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    entries = {256: [width], 257: [height], 258: [bits] * count, 259: [8 if packed else 1],
               262: [2 if count > 2 else 1], 277: [count], 278: [each or height], 284: [2 if planar else 1],
               339: [1] * count}  # fmt: skip
    entries |= {codes[name]: [value] * (count if name == "sample_format" else 1) for name, value in tags.items()}
    starts = np.cumsum([8, *map(len, strips)])
    entries |= {273: list(map(int, starts[:-1])), 279: list(map(len, strips))}
    at = int(starts[-1]) + 1 & ~1
    after, rows, more = at + 2 + 12 * len(entries) + 4, b"", b""
    for code, values in sorted(entries.items()):
        kind, form = (4, "L") if code in (273, 279) else (3, "H")
        value = struct.pack(f"{order}{len(values)}{form}", *values)
        if len(value) > 4:
            more, value = more + value, struct.pack(f"{order}L", after + len(more))
        rows += struct.pack(f"{order}HHL", code, kind, len(values)) + value.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}L", at)
    body = head + b"".join(strips)
    path.write_bytes(body.ljust(at, b"\0") + struct.pack(f"{order}H", len(entries)) + rows + bytes(4) + more)


def scaled(numbers: np.ndarray, bits: int) -> np.ndarray:
    """8-bit numbers in more bits: 0 stays 0, 255 becomes the largest."""
    return np.round(numbers.astype(float) * ((1 << bits) - 1) / 255).astype(np.uint32)


GREY = np.asarray(picture().convert("L"))
RGB = np.asarray(picture())
ALPHA = np.full((64, 64, 1), 40, np.uint8)

SHOWN = {
    "12 bits": lambda path: tiff(path, scaled(GREY, 12), 12),
    "12 bits, packed": lambda path: tiff(path, scaled(GREY, 12), 12, packed=True),
    "16 bits": lambda path: tiff(path, scaled(GREY, 16), 16),
    "16 bits, packed": lambda path: tiff(path, scaled(GREY, 16), 16, packed=True),
    "16 bits, big-endian": lambda path: tiff(path, scaled(GREY, 16), 16, order=">"),
    "16 bits, big-endian, packed": lambda path: tiff(path, scaled(GREY, 16), 16, order=">", packed=True),
    "16 bits, white is zero": lambda path: tiff(path, 65535 - scaled(GREY, 16), 16, photometric=0),
    "8 bits, white is zero": lambda path: tiff(path, 255 - GREY, 8, photometric=0),
    "16-bit colours": lambda path: tiff(path, scaled(RGB, 16), 16),
    "16-bit colours, big-endian, packed": lambda path: tiff(path, scaled(RGB, 16), 16, order=">", packed=True),
    "8-bit colours in planes": lambda path: tiff(path, RGB, 8, planar=True),
    "16-bit colours and alpha": lambda path: tiff(path, scaled(np.dstack([RGB, ALPHA]), 16), 16, extra=2),
    "grey and alpha": lambda path: tiff(path, np.dstack([GREY, ALPHA]), 8, photometric=1, extra=2),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_tiffs_of_one_picture_are_read_alike(kind, tmp_path, loaded):
    SHOWN[kind](tmp_path / "a.tif")
    Image.fromarray(RGB if "colours" in kind else GREY).save(tmp_path / "b.png")
    found, plain = stream.judge([tmp_path / "a.tif", tmp_path / "b.png"], loaded)
    assert (found.error, found.format, found.width, found.height) == ("", "TIFF", 64, 64)
    # In single precision: the patch probe adds up 1,280 products.
    assert found.logits == pytest.approx(plain.logits, abs=1e-4)


REFUSED = {
    "signed, 16 bits": (lambda path: tiff(path, scaled(GREY, 15).astype(np.int16), 16, sample_format=2), "signed"),
    "signed, 16 bits, negative": (lambda path: tiff(path, -GREY.astype(np.int16), 16, sample_format=2), "signed"),
    "signed, 8 bits": (lambda path: tiff(path, GREY.astype(np.int8), 8, sample_format=2), "signed"),
    "signed, 32 bits": (lambda path: tiff(path, GREY.astype(np.int32), 32, sample_format=2), "signed"),
    "32 bits": (lambda path: tiff(path, GREY.astype(np.uint32), 32), "32-bit integers"),
    "32 bits, all of them": (lambda path: tiff(path, scaled(GREY, 32), 32), "32-bit integers"),
    "floats": (lambda path: tiff(path, GREY.astype(np.float32) / 255, 32, sample_format=3), "floats"),
    "16 bits, 0 to 255": (lambda path: tiff(path, GREY.astype(np.uint16), 16), "lower 8 of 16 bits"),
    "12 bits, 0 to 15": (lambda path: tiff(path, GREY // 16, 12), "lower 4 of 12 bits"),
    "16-bit colours in planes": (lambda path: tiff(path, scaled(RGB, 16), 16, planar=True), "16-bit colours in planes"),
    "16-bit colours in planes, packed": (
        lambda path: tiff(path, scaled(RGB, 16), 16, planar=True, packed=True), "16-bit colours in planes"
    ),
    "16-bit colours, 0 to 255": (lambda path: tiff(path, RGB.astype(np.uint16), 16), "lower 8 of 16 bits"),
    "16-bit colours times alpha": (
        lambda path: tiff(path, scaled(np.dstack([RGB // 2, ALPHA + 100]), 16), 16, extra=1), "multiplied by alpha"
    ),
    "a raw file's thumbnail": (lambda path: tiff(path, RGB, 8, subfile=1), "thumbnail"),
    "16 bits, white is zero, big-endian": (
        lambda path: tiff(path, 65535 - scaled(GREY, 16), 16, photometric=0, order=">"), "not an image"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_numbers_of_no_stated_range_are_an_error_not_a_dark_picture(kind, tmp_path):
    write, said = REFUSED[kind]
    write(tmp_path / "a.tif")
    (seen,) = stream.judge([tmp_path / "a.tif"], {})
    assert said in seen.error and "\n" not in seen.error


def test_integers_in_memory_are_taken_where_their_range_is_known():
    with pytest.raises(preprocessing.Unfit, match="32-bit integers"):
        preprocessing.decode(Image.fromarray(GREY.astype(np.int32)))
    deep = Image.fromarray(scaled(GREY, 16).astype(np.uint16))
    np.testing.assert_array_equal(np.asarray(preprocessing.decode(deep))[..., 0], GREY)
    assert np.asarray(preprocessing.decode(Image.new("I;16", (8, 8)))).max() == 0  # black is a picture too


DEEP = np.random.default_rng(0).integers(0, 2**16, (300, 12, 4), np.uint16)
DEEP[:2, :, :3] = [[[0], [128], [129], [255], [256], [257], [32767], [32768], [65278], [65406], [65407], [65535]]]
TWELVE = DEEP[..., 0] >> 4


def nearest(numbers: np.ndarray, bits: int) -> np.ndarray:
    return np.round(numbers.astype(np.float64) * 255 / (2**bits - 1)).astype(np.uint8)


#: Adam7: the first row and column of each pass, and the steps.
CROSSED = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def deep_png(path, colours: int, *channels: int, crossed: int = 0, frames: int = 1) -> None:
    """The channels of the random 16-bit picture as a PNG."""
    numbers = DEEP[..., channels].astype(">u2")
    passes = [numbers[y::down, x::right] for y, x, down, right in CROSSED] if crossed else [numbers]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    png(path, 12, 300, 16, rows, colours, crossed, frames)


EXACT = {
    "grey.png": lambda path: deep_png(path, 0, 0),
    "colours.png": lambda path: deep_png(path, 2, 0, 1, 2),
    "grey alpha.png": lambda path: deep_png(path, 4, 0, 3),
    "colours alpha.png": lambda path: deep_png(path, 6, 0, 1, 2, 3),
    "colours, interlaced.png": lambda path: deep_png(path, 2, 0, 1, 2, crossed=1),
    "grey alpha, interlaced.png": lambda path: deep_png(path, 4, 0, 3, crossed=1),
    "colours, animated.png": lambda path: deep_png(path, 2, 0, 1, 2, frames=3),
    "colours, strips.tif": lambda path: tiff(path, DEEP[..., :3], 16, each=7),
    "colours, strips, packed.tif": lambda path: tiff(path, DEEP[..., :3], 16, each=7, packed=True),
    "grey, by Pillow.png": lambda path: Image.fromarray(DEEP[..., 0]).save(path),
    "grey, lzw.tif": lambda path: Image.fromarray(DEEP[..., 0]).save(path, compression="tiff_lzw"),
    "grey, white is zero.tif": lambda path: tiff(path, 65535 - DEEP[..., 0], 16, photometric=0),
    "grey, 12 bits.tif": lambda path: tiff(path, TWELVE, 12),
    "grey, 12 bits, packed.tif": lambda path: tiff(path, TWELVE, 12, packed=True),
} | {
    f"{kind}{', packed' * packed}, {order}.tif": lambda path, kind=kind, more=more, order=order, packed=packed: tiff(
        path, DEEP[..., 0] if kind == "grey" else DEEP[..., : 3 + len(more)], 16, order=order, packed=packed, **more
    )
    for kind, more in (("grey", {}), ("colours", {}), ("colours alpha", {"extra": 2}), ("colours more", {"extra": 0}))
    for order in "<>"
    for packed in (False, True)
}


@pytest.mark.parametrize("kind", EXACT)
def test_deep_numbers_become_the_nearest_of_eight_bits(kind, tmp_path):
    path = tmp_path / ("a" + os.path.splitext(kind)[1])
    EXACT[kind](path)
    right = nearest(DEEP[..., :3], 16) if kind.startswith("colours") else nearest(DEEP[..., [0] * 3], 16)
    right = nearest(np.dstack([TWELVE] * 3), 12) if "12 bits" in kind else right
    with stream.open_image(path) as image:
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(image)), right)
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(image)), right)  # again, now that it is decoded
    lazy = Image.open(path)  # by its name: Pillow closes the file itself
    np.testing.assert_array_equal(np.asarray(preprocessing.decode(lazy)), right)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(image)), right)


def test_deep_colours_of_ink_are_rounded_before_they_become_rgb(tmp_path):
    for order in "<>":
        tiff(tmp_path / "deep.tif", DEEP, 16, order=order, photometric=5)
        inks = nearest(DEEP, 16)
        with Image.open(tmp_path / "deep.tif") as image:
            np.testing.assert_array_equal(
                np.asarray(preprocessing.decode(image)), np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
            )


def test_deep_colours_are_turned_once(tmp_path):
    turned = nearest(DEEP[..., :3], 16).swapaxes(0, 1)
    for packed in (False, True):
        tiff(tmp_path / "a.tif", DEEP[..., :3], 16, packed=packed, orientation=5)
        with Image.open(tmp_path / "a.tif") as image:
            np.testing.assert_array_equal(np.asarray(preprocessing.decode(image)), turned)


def test_deep_frames_of_an_animation_are_refused_but_the_first(tmp_path):
    deep_png(tmp_path / "a.png", 2, 0, 1, 2, frames=3)
    with Image.open(tmp_path / "a.png") as image:
        image.seek(1)
        with pytest.raises(preprocessing.Unfit, match="later frame"):
            preprocessing.decode(image)


def test_a_picture_decoded_before_keeps_what_pillow_made_of_it(tmp_path):
    deep_png(tmp_path / "a.png", 2, 0, 1, 2)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        np.testing.assert_array_equal(np.asarray(preprocessing.decode(image)), DEEP[..., :3] >> 8)


def test_a_deep_file_and_the_image_opened_from_it_have_one_score(tmp_path, loaded):
    tiff(tmp_path / "a.tif", DEEP[..., :3], 16, packed=True)
    deep_png(tmp_path / "b.png", 6, 0, 1, 2, 3)
    Image.fromarray(nearest(DEEP[..., :3], 16)).save(tmp_path / "c.png")
    paths = sorted(tmp_path.iterdir())
    seen = [of.logits["npr"] for of in stream.judge(paths, {"npr": loaded["npr"]})]
    np.testing.assert_allclose(seen, seen[2], atol=1e-5)
    opened = [Image.open(path) for path in paths]
    np.testing.assert_allclose(loaded["npr"].score([*opened, *opened]), seen * 2, atol=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_oriented_tiff_is_turned_once(orientation, tmp_path, loaded):
    pixels = np.asarray(noise(80, 64))
    tiff(tmp_path / "a.tif", pixels, 8, orientation=orientation)
    tiff(tmp_path / "packed.tif", pixels, 8, orientation=orientation, packed=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, lossless=True)
    paths = sorted(tmp_path.iterdir())
    size = (64, 80) if orientation > 4 else (80, 64)
    seen = list(stream.judge(paths, {"npr": loaded["npr"]}))
    assert [(of.width, of.height) for of in seen] == [size] * 4
    opened = [Image.open(path) for path in paths]
    assert [preprocessing.extent(image) for image in opened] == [size] * 4
    found = loaded["npr"].score([*opened, *opened])  # again, now that they are decoded
    np.testing.assert_allclose(found, [of.logits["npr"] for of in seen] * 2, atol=1e-5)
    assert np.ptp(found) < 1e-5


def test_further_pictures_of_a_file_do_not_count(tmp_path):
    first, second = picture(1), picture(2)
    for name, settings in {"a.png": {}, "a.webp": {"lossless": True}, "a.tif": {}, "a.mpo": {"quality": 100}}.items():
        first.save(tmp_path / name, save_all=True, append_images=[second], **settings)
        (seen,) = stream.judge([tmp_path / name], {})
        kind = {"a.png": "PNG", "a.webp": "WEBP", "a.tif": "TIFF", "a.mpo": "JPEG"}[name]
        assert (seen.error, seen.format) == ("", kind)
        with stream.open_image(tmp_path / name) as image:
            shown = np.asarray(preprocessing.decode(image)).astype(int)
        apart = [abs(shown - np.asarray(of)).mean() for of in (first, second)]
        assert apart[0] < (0.01 if kind != "JPEG" else 5) and apart[1] > 20


def test_greys_of_few_bits_and_palettes_with_a_clear_colour(tmp_path):
    for bits in (1, 2, 4):
        levels = GREY >> (8 - bits)
        packed = np.packbits(np.unpackbits(levels[..., None], 2)[..., 8 - bits :].reshape(64, -1), axis=1)
        png(tmp_path / "a.png", 64, 64, bits, b"".join(b"\0" + row.tobytes() for row in packed), colours=0)
        with Image.open(tmp_path / "a.png") as image:
            shown = np.asarray(preprocessing.decode(image))
        np.testing.assert_array_equal(shown[..., 0], levels * (255 // (2**bits - 1)))
    palette = picture().quantize(16)
    palette.save(tmp_path / "plain.png")
    palette.save(tmp_path / "clear.png", transparency=3)
    plain, clear = (
        np.asarray(preprocessing.decode(Image.open(tmp_path / name))) for name in ("plain.png", "clear.png")
    )
    np.testing.assert_array_equal(plain, clear)


@pytest.mark.parametrize("what", ["pipe", "device", "folder link"])
def test_pipes_and_devices_are_not_opened(what, tmp_path):
    path = tmp_path / "a.png"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if what == "device" else tmp_path / "gone" / "b.png")
    picture().save(tmp_path / "b.png")
    seen = list(stream.judge(stream.find([tmp_path]), {}))
    assert [of.error for of in seen] == ["the file is gone" if what == "folder link" else "not a file", ""]
    with pytest.raises(UsageError, match="no weights"):
        detectors.load("npr", path)


def test_a_file_name_of_any_bytes_gets_its_row(tmp_path, capfd):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in (b"ok.png", b"caf\xe9.png", b"two\nlines\x1b[1m.png"):
        picture().save(os.path.join(os.fsencode(folder), name), "PNG")
    for suffix, read in {".CSV": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}.items():
        out = tmp_path / f"scores{suffix}"
        assert cli.main(["detect", str(folder), "--detectors", "npr", "--out", str(out)]) == 0
        names = [path.removeprefix(f"{folder}/") for path in read(out)["path"]]
        assert names == ["caf\\xe9.png", "ok.png", "two\nlines\x1b[1m.png"]
    capfd.readouterr()
    assert cli.main(["detect", str(folder), "--detectors", "npr"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 6 and r"two\nlines\x1b[1m.png" in lines[3]


def test_json_and_csv_keep_every_digit(tmp_path):
    logits = [-39.54321012345678, 1 / 3, 1e-300, np.nan]
    frame = pd.DataFrame({"path": list("abcd"), "logit": logits, "probability": [7e-18, 0.1 + 0.2, 5e-324, np.inf]})
    for name in ("a.json", "a.csv"):
        show.writer(tmp_path / name)(frame)
    rows = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert [row["logit"] for row in rows] == [*logits[:3], None]
    assert [row["probability"] for row in rows] == [7e-18, 0.30000000000000004, 5e-324, None]
    read = pd.read_csv(tmp_path / "a.csv", float_precision="round_trip")
    assert list(read["logit"][:3]) == logits[:3] and list(read["probability"][:3]) == [7e-18, 0.1 + 0.2, 5e-324]


UNWRITABLE = {
    "": "folder", "sub": "cannot write ''", "a.cvs": "nearest: '.csv'", "a.csv/b.csv": "nothing can be written",
    "x" * 300 + ".csv": "File name too long",
}  # fmt: skip


@pytest.mark.parametrize("place", UNWRITABLE)
def test_the_place_of_the_table_is_tried_before_the_work(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(judging, "judged", lambda *_: pytest.fail("it went to work"))
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    out = tmp_path / (place or "folder.csv")
    assert cli.main(["detect", str(tmp_path), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert UNWRITABLE[place] in said and said.count("\n") == 1
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "folder.csv"]


@pytest.mark.parametrize("names", ["", ",", " , "])
def test_no_detector_is_a_mistake(names, tmp_path, capsys):
    assert cli.main(["detect", str(tmp_path), "--detectors", names]) == 2
    assert "names nothing" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no detector is named"):
        judging.score_files([tmp_path], [])


@pytest.mark.parametrize("amount", ["nan", "inf", "-75", "75.5", "1e9", "", "seventy", "7" * 5000])
def test_odd_amounts_are_refused_in_a_line(amount, tmp_path, capsys):
    picture().save(tmp_path / "a.png")
    assert cli.main(["detect", str(tmp_path), "--detectors", "npr", "--perturb", f"jpeg:{amount}"]) == 2
    said = capsys.readouterr().err
    assert "QUALITY must be a whole number from 1 to 100" in said and len(said) < 400


def test_a_detector_named_twice_is_there_once(tmp_path):
    picture().save(tmp_path / "a.png")
    table = judging.score_files([tmp_path], ["npr", "npr"])
    assert list(table.filter(like="npr")) == [f"npr_{what}" for what in OF_EACH]


def test_long_places_are_named_shortly(tmp_path):
    for place in ("x" * 100_000, "nul\0", f"{tmp_path}/{'y' * 300}*", "z" * 5000 + "*"):
        with pytest.raises(UsageError) as raised:
            stream.find([place])
        assert len(str(raised.value)) < 400 and str(raised.value).isprintable()


def test_a_logit_that_is_no_number_is_a_row_with_its_error(tmp_path, monkeypatch):
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    npr, other = detectors.load("npr"), detectors.load("clip_d")
    found = {"npr": [1.0, np.nan, np.inf], "clip_d": [2.0, 2.0, 2.0]}
    monkeypatch.setattr(stream, "_logits", lambda of, pixels: np.float32(found[of.name][: len(pixels)]))
    seen = list(stream.judge(stream.find([tmp_path]), {"npr": npr, "clip_d": other}))
    assert seen[0].logits == {"npr": 1.0, "clip_d": 2.0} and seen[0].error == ""
    assert [of.logits for of in seen[1:]] == [{}, {}]
    assert "the logit of npr is nan" in seen[1].error and "the logit of npr is inf" in seen[2].error


@pytest.fixture
def odd(tmp_path):
    """A folder of files that no detector can read, and what is to be said of each."""
    folder = tmp_path / "odd"
    folder.mkdir()
    picture().save(folder / "good.png")
    whole = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.png").write_bytes(whole[:100] + bytes(len(whole) - 100))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "drawing.svg").write_text("<svg/>")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    noise(7, 100).save(folder / "small.png")
    noise(8193, 8).save(folder / "long.png")
    png(folder / "bomb.png", 60_000, 60_000, 8, b"")
    png(folder / "bomblet.png", 10_000, 10_000, 8, b"")  # below Pillow's own limit
    Image.fromarray(np.zeros((16, 16), np.float32)).save(folder / "floats.tif")
    (folder / "below").mkdir()
    picture(1).save(folder / "below" / "good.jpg")
    return folder


SAID = {
    "cut.png": "broken: ", "damaged.png": "broken", "empty.png": "empty", "text.jpg": "not an image",
    "drawing.svg": "not an image", "gone.png": "gone", "small.png": "7x100 px", "long.png": "8193x8 px",
    "bomb.png": "bomb", "bomblet.png": "10000x10000 px", "floats.tif": "32-bit floats",
}  # fmt: skip


def test_what_is_no_image_is_a_row_with_its_error_and_the_rest_is_scored(odd):
    npr = {"npr": detectors.load("npr")}
    found = list(stream.judge(stream.find([odd]), npr))
    assert [seen.path for seen in found] == sorted(p for p in odd.rglob("*") if not p.is_dir())
    errors = {seen.path.name: seen.error for seen in found if seen.error}
    assert errors.keys() == SAID.keys()
    for name, said in SAID.items():
        assert said in errors[name] and "\n" not in errors[name], errors[name]
    assert all((seen.logits == {}) == bool(seen.error) for seen in found)
    assert all(len(seen.sha256) == 64 for seen in found if seen.path.name != "gone.png")


def test_the_command_ends_with_a_count_and_status_1(odd, capsys, tmp_path):
    out = tmp_path / "scores.json"
    status = cli.main(["detect", str(odd), "--detectors", "npr", "--out", str(out)])
    said = capsys.readouterr()
    assert status == 1 and "13 files: 2 scored, 11 with errors" in said.out
    assert said.err.splitlines()[-1] == ("quantdetect: 11 of 13 files could not be scored; the column 'error' says why")
    assert [row["npr_logit"] is None for row in json.loads(out.read_text())].count(False) == 2


def test_places_keep_their_order(tmp_path):
    for name in ("b.png", "a.png", "sub/c.png", "sub/deep/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(*places):
        return [path.name for path in stream.find([tmp_path / place for place in places])]

    assert names("b.png", "a.png", "b.png") == ["b.png", "a.png", "b.png"]
    assert names("**/*.png") == ["a.png", "b.png", "c.png"]
    (tmp_path / "sub" / "again").symlink_to(tmp_path / "sub")  # a folder in itself
    assert names("sub", "*.png") == ["c.png", "d.txt", "a.png", "b.png"]
    assert names("**") == names("**/*") == ["a.png", "b.png", "c.png", "d.txt"]  # each once, by whatever it is matched
    with pytest.raises(UsageError, match="matches no file"):
        names("*.webp")
    (tmp_path / "void").mkdir()
    with pytest.raises(UsageError, match="no files in this folder"):
        names("void")


@pytest.fixture
def several(tmp_path):
    """Files of many sizes, some alike."""
    sizes = [(64, 64), (96, 80), (64, 64), (33, 47), (8, 8), (128, 128), (64, 64), (71, 200), (9, 300)]
    paths = [tmp_path / f"{i}.png" for i in range(len(sizes))]
    for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        picture(i, 128).resize(size).save(path)
    return paths


def test_a_logit_is_the_files_own_whatever_is_scored_with_it(several, loaded, monkeypatch):
    together = logits(several, loaded)
    assert np.isfinite(together).all() and np.ptp(together, axis=0).min() > 0.1
    alone = np.concatenate([logits([path], loaded) for path in several])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(together[::-1], logits(several[::-1], loaded), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(stream, "WINDOW_PIXELS", 9000)
    np.testing.assert_allclose(together, logits(several, loaded, threads=2), atol=1e-5, rtol=1e-5)


def test_detectors_serve_several_threads_at_once(several, loaded):
    pictures = [Image.open(path).convert("RGB") for path in several]
    alone = {name: [detector.score([image])[0] for image in pictures] for name, detector in loaded.items()}
    with ThreadPoolExecutor(4) as pool:
        for name, detector in loaded.items():
            batch = detector.ready.normalized
            crowd = [batch(np.asarray(detector.ready.rule.apply(image))[None]) for image in pictures * 5]
            found = [float(logit) for logit in pool.map(detector.network, crowd)]
            np.testing.assert_allclose(found, alone[name] * 5, atol=1e-5, rtol=1e-5)


def test_a_picture_may_be_there_many_times(several, loaded):
    with Image.open(several[0]) as image:
        found = loaded["clip_d"].score([image] * 200)
    np.testing.assert_allclose(found, logits(several[:1], loaded)[0, 3], atol=1e-5, rtol=1e-5)


def test_a_device_that_is_not_there(several, capsys):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    assert cli.main(["detect", str(several[0]), "--device", "cuda"]) == 2
    assert "PyTorch sees 0 CUDA devices" in capsys.readouterr().err


def test_a_logit_is_the_same_in_another_process(several, loaded, tmp_path):
    out = tmp_path / "scores.parquet"
    command = [sys.executable, "-m", "helpers.cli", "detect", *map(str, several[::-1]), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
    other = pd.read_parquet(out)[[f"{name}_logit" for name in loaded]].to_numpy()[::-1]
    np.testing.assert_allclose(logits(several, loaded), other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["npr", "r50_nodown", "r50_tf"])
def test_a_large_image_in_tiles_has_the_whole_images_logit(name, loaded, monkeypatch):
    detector = loaded[name]
    for width, height in ((301, 190), (257, 129), (128, 385), (513, 40)):
        pixels = np.asarray(picture(width, 128).resize((width, height)))[None]
        whole = batching.logits(detector.network, pixels, detector.ready)
        monkeypatch.setattr(batching, "TILE", 64)
        tiled = batching.logits(detector.network, pixels, detector.ready)
        monkeypatch.undo()
        np.testing.assert_allclose(tiled, whole, atol=1e-5, rtol=1e-5)


def test_a_perturbation_comes_before_the_size_rule_and_is_seeded_by_the_file(several, loaded):
    change = perturbations.parse("noise:8+jpeg:75")
    found = list(stream.judge(several, loaded, change))
    for seen in found[:4]:
        changed = change(Image.open(seen.path).convert("RGB"), int(seen.sha256[:8], 16))
        for name, detector in loaded.items():
            assert seen.logits[name] == pytest.approx(detector.score([changed])[0], abs=1e-4)
    np.testing.assert_allclose(
        logits(several[::-1], loaded, perturbation=change)[::-1],
        [list(seen.logits.values()) for seen in found],
        atol=1e-5, rtol=1e-5,
    )  # fmt: skip


COLUMNS = ["path", "label", "width", "height", "format", "sha256", "perturbation", "caution", "error"]
OF_EACH = ["logit", "probability", "verdict", "size_rule", "weights"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_the_table_says_what_was_scored_and_how(several, tmp_path, suffix, capsys):
    out = tmp_path / f"scores{suffix}"
    words = [
        "detect",
        *map(str, several),
        "--detectors",
        "npr,clip_d",
        "--perturb",
        "resize:0.5",
        "--perturb",
        "jpeg:75",
    ]
    assert cli.main([*words, "--out", str(out)]) == 0
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
    table = read[suffix](out)
    assert list(table) == COLUMNS + [f"{name}_{what}" for name in ("npr", "clip_d") for what in OF_EACH]
    assert list(table["path"]) == list(map(str, several)) and set(table["perturbation"]) == {"resize:0.5+jpeg:75"}
    assert list(table["npr_verdict"]) == ["fake" if logit > 0 else "real" for logit in table["npr_logit"]]
    np.testing.assert_allclose(table["npr_probability"], 1 / (1 + np.exp(-table["npr_logit"])), rtol=1e-6, atol=1e-12)
    assert set(table["npr_size_rule"]) == {"native"} and set(table["clip_d_size_rule"]) == {"short-64-crop"}
    assert set(table["npr_weights"]) == {"mini"} and (table["width"] == [Image.open(p).width for p in several]).all()
    assert set(table["caution"]) == {judging.CAUTION} and f"caution: {judging.CAUTION}" in capsys.readouterr().out


def test_miniature_weights_are_known_by_label_and_by_path_and_nobody_elses(tmp_path, monkeypatch, capsys):
    shipped = MODELS / "mini" / "detectors" / "npr.safetensors"
    (tmp_path / "npr.safetensors").write_bytes(shipped.read_bytes())
    (tmp_path / "linked.safetensors").symlink_to(shipped)
    for weights in ("mini", "mini-sdxl", str(shipped), shipped.parent, tmp_path / "linked.safetensors"):
        assert judging.caution(weights) == judging.CAUTION
    monkeypatch.chdir(tmp_path)
    for weights in ("released", "npr.safetensors", tmp_path):
        assert judging.caution(weights) == ""
    picture().save(tmp_path / "a.png")
    assert cli.main(["detect", "a.png", "--detectors", "npr", "--weights", "npr.safetensors"]) == 0
    assert "caution" not in capsys.readouterr().out


def test_labelled_images_get_rates_with_intervals(tmp_path, monkeypatch, capsys):
    logits = {"real": [-3.0, -2.0, -1.0, 0.5], "fake": [-1.5, 0.2, 1.0, 2.0, 3.0, 4.0]}
    rows = [
        {"path": f"{label}/{i}.png", "label": label, "width": 8, "height": 8, "format": "PNG", "error": "",
         "sha256": f"{label}{i}", "npr_logit": logit, "npr_verdict": "fake" if logit > 0 else "real"}
        for label, own in logits.items() for i, logit in enumerate(own)
    ]  # fmt: skip
    rows.append({**rows[0], "path": "x.png", "label": "", "npr_logit": 9.0, "npr_verdict": "fake"})
    rows.append({**rows[0], "path": "y.png", "error": "broken", "npr_logit": None, "npr_verdict": ""})
    rows.append({**rows[0], "path": "copy.png"})  # says nothing new
    (row,) = by_detector(pd.DataFrame(rows)).to_dict("records")
    pairs = [fake > real for fake in logits["fake"] for real in logits["real"]]
    assert (row["reals"], row["fakes"]) == (4, 6) and row["auc"] == roc_auc_score(
        [0] * 4 + [1] * 6, logits["real"] + logits["fake"]
    ) == np.mean(pairs)  # fmt: skip
    for measure, right, of in (("tpr", 5, 6), ("tnr", 3, 4)):
        ends = stats.binomtest(right, of).proportion_ci(method="wilson")
        assert row[measure] == right / of
        assert (row[f"{measure}_low"], row[f"{measure}_high"]) == pytest.approx((ends.low, ends.high))
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    monkeypatch.setattr(judging, "judged", lambda *_: rows[:-2])
    assert cli.main(["detect", str(tmp_path), "--detectors", "npr"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["path", "format", "size", "label", "npr", "error"]
    assert said[4].split() == ["real/3.png", "PNG", "8x8", "real", "+0.500", "fake"]
    at = said.index(next(line for line in said if line.startswith("detector")))
    assert said[at].split() == ["detector", "reals", "fakes", "AUC", "TPR", "TNR"]
    assert said[at + 1].split()[:4] == ["npr", "4", "6", f"{row['auc']:.3f}"]


def test_one_class_alone_has_the_rate_that_it_has():
    rows = [{"label": "real", "sha256": i, "npr_logit": -1.0, "npr_verdict": "real"} for i in "abc"]
    (row,) = by_detector(pd.DataFrame(rows)).to_dict("records")
    assert row["reals"] == 3 and row["tnr"] == 1 and np.isnan([row["auc"], row["tpr"]]).all()


def test_columns_of_numbers_are_numbers_where_no_file_has_one(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    assert (
        cli.main(["detect", str(tmp_path / "a.png"), "--detectors", "npr", "--out", str(tmp_path / "t.parquet")]) == 1
    )
    types = pd.read_parquet(tmp_path / "t.parquet").dtypes
    assert types["npr_logit"] == types["npr_probability"] == np.float64


def test_columns_on_the_screen_stand_below_each_other_in_every_script():
    lines = show.table_text([{"path": "ü日本.png", "npr": "x"}, {"path": "u\u0308.png", "npr": "x"}]).splitlines()
    assert lines == ["path       npr", "ü日本.png  x", "u\u0308.png      x"]  # 4, 9 and 5 places, filled to 9


def test_one_picture_is_judged_without_what_takes_long_to_import(tmp_path):
    """What other libraries of the extra bring took four fifths of the time of one picture."""
    picture().save(tmp_path / "a.png")
    heavy = ("pandas", "scipy", "sklearn", "torchvision", "open_clip", "timm", "transformers", "diffusers")
    code = (
        "import sys; from helpers import cli\n"
        f"status = cli.main(['detect', {str(tmp_path / 'a.png')!r}])\n"
        f"print(status, [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def classes(tmp_path, real, fake) -> pd.DataFrame:
    for label, (suffix, size) in {"real": real, "1_fake": fake}.items():
        (tmp_path / label).mkdir(exist_ok=True)
        for i in range(6):
            picture(i, 128).resize((size, size)).save(tmp_path / label / f"{i}.{suffix}")
    return judging.score_files([tmp_path], ["npr"], progress=False)


def test_a_note_says_where_format_or_size_give_the_classes_away(tmp_path):
    table = classes(tmp_path, ("jpg", 96), ("png", 64))
    assert list(table["label"]) == ["fake"] * 6 + ["real"] * 6
    by_format, by_size = judging.confounds(table)
    assert "6 reals are 6 JPEG, 6 fakes 6 PNG" in by_format and "1.00" in by_format
    assert "96x96 to 96x96" in by_size and "64x64 to 64x64" in by_size
    assert judging.confounds(table[table["label"] == "real"]) == []


def labelled(folder, *given: str) -> dict[str, str]:
    found = stream.placed([folder / place for place in given])
    return {str(path.relative_to(folder)): label for (path, _), label in zip(found, judging.labels(found), strict=True)}


def test_only_folders_that_were_named_or_lie_below_give_labels(tmp_path):
    places = ["home/ai/x.png", "home/ai/set/real/y.png", "data/0_real/a.png", "data/1_fake/b.png", "data/other/c.png",
              "data/real/fake/d.png", "trips/Nature/e.png"]  # fmt: skip
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert labelled(tmp_path, "home/ai/x.png") == {"home/ai/x.png": ""}
    assert labelled(tmp_path, "home/ai") == {"home/ai/set/real/y.png": "real", "home/ai/x.png": ""}
    assert labelled(tmp_path, "home/ai/*.png") == {"home/ai/x.png": ""}
    below = {"data/0_real/a.png": "real", "data/1_fake/b.png": "fake", "data/other/c.png": ""}
    below |= {"data/real/fake/d.png": "fake"}  # the innermost decides
    assert labelled(tmp_path, "data") == labelled(tmp_path, "data/**/*.png") == labelled(tmp_path, "data/*") == below
    assert labelled(tmp_path, "data/1_fake") == {"data/1_fake/b.png": ""}
    pair = {"data/0_real/a.png": "real", "data/1_fake/b.png": "fake"}
    assert labelled(tmp_path, "data/0_real", "data/1_fake/") == pair
    assert labelled(tmp_path, "data/0_real/a.png", "data/1_fake/b.png") == pair  # as a shell expands a pattern
    assert labelled(tmp_path, "data/0_real/*", "data/1_fake/*") == pair
    assert labelled(tmp_path, "home/ai/x.png", "data/0_real/a.png") == {"home/ai/x.png": "", "data/0_real/a.png": ""}
    assert labelled(tmp_path, "trips") == {"trips/Nature/e.png": "real"}


def test_no_note_where_both_classes_are_alike(tmp_path):
    assert judging.confounds(classes(tmp_path, ("png", 64), ("png", 64))) == []
