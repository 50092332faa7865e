"""Files judged: every format and mode, what is no image, the order, memory, labels, and what sets classes apart."""

from __future__ import annotations

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

from helpers import cli, detectors, judging, perturbations
from helpers.detectors import files, images, scoring
from helpers.errors import UsageError
from helpers.mini import world


def picture(seed: int = 0, size: int = 64) -> Image.Image:
    return Image.fromarray(world.render(seed, size))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture(scope="module")
def loaded():
    return {name: detectors.load(name) for name in detectors.MODULES}


def logits(paths, loaded, **settings) -> np.ndarray:
    return np.array([list(seen.logits.values()) for seen in files.judge(paths, loaded, **settings)])


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
    (seen,) = files.judge([path], loaded)
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
            return np.asarray(images.decode(opened)).astype(int)

    rgb, as_grey = np.asarray(image).astype(int), np.asarray(grey.convert("RGB")).astype(int)
    np.testing.assert_array_equal(shown("rgba.png"), rgb)
    np.testing.assert_array_equal(shown("cmyk.tif"), rgb)
    assert abs(shown("cmyk.jpg") - rgb).mean() < 2 and abs(shown("palette.png") - rgb).mean() < 8
    for name in ("grey.png", "deep.png", "deep.tif", "grey-alpha.png"):
        np.testing.assert_array_equal(shown(name), as_grey)
    assert set(np.unique(shown("bits.png"))) == {0, 255}


def png(path, width: int, height: int, depth: int, rows: bytes) -> None:
    """An RGB PNG written by hand, with whatever rows; Pillow writes no 16-bit colours and tells no lies."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_sixteen_bit_colours_become_eight(tmp_path):
    rgb = np.asarray(picture())
    png(tmp_path / "deep.png", 64, 64, 16, b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in rgb))
    with Image.open(tmp_path / "deep.png") as opened:
        np.testing.assert_array_equal(np.asarray(images.decode(opened)), rgb)


def test_the_first_frame_counts_and_orientation_is_applied(tmp_path):
    first, second = picture(1), picture(2)
    first.save(tmp_path / "two.gif", save_all=True, append_images=[second])
    with Image.open(tmp_path / "two.gif") as opened:
        assert abs(np.asarray(images.decode(opened)).astype(int) - np.asarray(first)).mean() < 8
    wide = noise(80, 64)
    turned = wide.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (seen,) = files.judge([tmp_path / "turned.png"], {})
    assert (seen.width, seen.height) == (80, 64)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(np.asarray(images.decode(opened)), np.asarray(wide))


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
    found = list(files.judge(files.find([odd]), npr))
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
        return [path.name for path in files.find([tmp_path / place for place in places])]

    assert names("b.png", "a.png", "b.png") == ["b.png", "a.png", "b.png"]
    assert names("**/*.png") == ["a.png", "b.png", "c.png"]
    (tmp_path / "sub" / "again").symlink_to(tmp_path / "sub")  # a folder in itself
    assert names("sub", "*.png") == ["c.png", "d.txt", "a.png", "b.png"]
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
    monkeypatch.setattr(files, "WINDOW_PIXELS", 9000)
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
        whole = scoring.logits(detector.network, pixels, detector.ready)
        monkeypatch.setattr(scoring, "TILE", 64)
        tiled = scoring.logits(detector.network, pixels, detector.ready)
        monkeypatch.undo()
        np.testing.assert_allclose(tiled, whole, atol=1e-5, rtol=1e-5)


def test_a_perturbation_comes_before_the_size_rule_and_is_seeded_by_the_file(several, loaded):
    change = perturbations.parse("noise:8+jpeg:75")
    found = list(files.judge(several, loaded, change))
    for seen in found[:4]:
        changed = change(Image.open(seen.path).convert("RGB"), int(seen.sha256[:8], 16))
        for name, detector in loaded.items():
            assert seen.logits[name] == pytest.approx(detector.score([changed])[0], abs=1e-4)
    np.testing.assert_allclose(
        logits(several[::-1], loaded, perturbation=change)[::-1],
        [list(seen.logits.values()) for seen in found],
        atol=1e-5, rtol=1e-5,
    )  # fmt: skip


COLUMNS = ["path", "label", "width", "height", "format", "sha256", "perturbation", "error"]
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


def classes(tmp_path, real, fake) -> pd.DataFrame:
    for label, (suffix, size) in {"real": real, "1_fake": fake}.items():
        (tmp_path / label).mkdir(exist_ok=True)
        for i in range(6):
            picture(i, 128).resize((size, size)).save(tmp_path / label / f"{i}.{suffix}")
    return judging.judged([tmp_path], ["npr"], progress=False)


def test_a_note_says_where_format_or_size_give_the_classes_away(tmp_path):
    table = classes(tmp_path, ("jpg", 96), ("png", 64))
    assert list(table["label"]) == ["fake"] * 6 + ["real"] * 6
    by_format, by_size = judging.confounds(table)
    assert "6 reals are 6 JPEG, 6 fakes 6 PNG" in by_format and "1.00" in by_format
    assert "96x96 to 96x96" in by_size and "64x64 to 64x64" in by_size
    assert judging.confounds(table[table["label"] == "real"]) == []


def test_no_note_where_both_classes_are_alike(tmp_path):
    assert judging.confounds(classes(tmp_path, ("png", 64), ("png", 64))) == []
