"""The lab in a real browser gives the archive's images and logits, reads pictures as the package does, and stops."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers import generators, precision, study
from helpers.core import files
from helpers.detectors.preprocessing import decode
from helpers.generators import GENERATORS
from helpers.images.perturbations import resampled
from helpers.paper.gallery import Strips

ARCHIVE = files.RESULTS / "mini"
#: The image of each generator that is made again: any that the archive keeps.
INDEX = 0
#: Logits of a detector may differ by this, and this share of numbers by more than one level.
LOGIT, SHARE = 0.02, 0.001

MAKE = """async wish => {
    const made = await lab.make(wish), verdicts = await lab.judge(made);
    return {...made, pixels: await text(made), verdicts};
}"""
#: A picture's bytes as text, which goes between browser and test much faster than a list of numbers.
TEXT = """globalThis.text = ({pixels}) => new Promise(resolve => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob([pixels]));
})"""
DECODE = """async bytes => {
    const file = new Blob([Uint8Array.from(atob(bytes), sign => sign.charCodeAt(0))]);
    try {
        const found = await lab.decode(file);
        return {...found, pixels: await text(found)};
    } catch (error) {
        return {refused: error.message, name: error.name};
    }
}"""


@pytest.fixture(scope="module")
def logits() -> pd.Series:
    """What the archive has of the image, by generator, precision, arm and detector."""
    where = {"index": INDEX, "protocol": "plain", "weights": "mini", "label": 1}
    columns = ["generator", "precision", "arm", "detector"]
    filters = [(name, "==", value) for name, value in where.items()]
    rows = pd.read_parquet(ARCHIVE / "scores.parquet", columns=[*columns, "logit"], filters=filters)
    return rows.set_index(columns)["logit"]


@pytest.fixture(scope="module", autouse=True)
def _text(page) -> None:
    page.evaluate(f"() => {{ {TEXT} }}")


def pixels(found: dict[str, Any]) -> np.ndarray:
    """A picture from the page, uint8 (H, W, 3); its alpha must be 255."""
    own = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8).reshape(found["height"], found["width"], 4)
    assert (own[..., 3] == 255).all()
    return own[..., :3]


@pytest.mark.parametrize("key", GENERATORS.own)
def test_images_and_logits_are_those_of_the_archive(page, logits: pd.Series, key: str) -> None:
    """FP32 and FP8 against the study's main arm. bitsandbytes takes the other code for the few 16-bit weights that lie
    halfway between two of FP4, so FP4 is held against rounded weights: those logits are the archive's too.
    """
    shown, prompt = _shown(key)
    seed = study.load("mini").seed + INDEX
    for form, arm in {"fp32": "native", "fp8": "native", "fp4": "ladder"}.items():
        made = page.evaluate(MAKE, {"generator": key, "precision": form, "prompt": prompt, "seed": seed})
        expected = _rounded(key, form, prompt, seed) if arm == "ladder" else shown[form]
        apart = np.abs(pixels(made).astype(int) - np.asarray(expected))
        assert (apart > 1).mean() <= SHARE, f"{key} at {form}: {apart.max()} levels apart"
        for verdict in made["verdicts"]:
            logit = logits[key, form, arm, verdict["detector"]]
            assert abs(verdict["logit"] - logit) < LOGIT, f"{key} at {form}: {verdict}, {logit} in the archive"


def _rounded(key: str, form: str, prompt: str, seed: int) -> Image.Image:
    """The image of the package itself, from rounded weights."""
    pipeline, own = generators.load(key), study.load("mini").generators[key]
    precision.apply(pipeline, form, arm="rounding")
    return generators.sample(pipeline, [prompt], [seed], steps=own.steps, guidance=own.guidance, size=own.size)[0]


def _shown(key: str) -> tuple[dict[str, Image.Image], str]:
    """The archive's images of a generator by precision, and the prompt they were made of."""
    index = files.read_json(ARCHIVE / "gallery" / "index.json")
    own = index["generators"][key]
    strips = Strips(ARCHIVE / "gallery" / key, own["size"], own["side"], tuple(own["columns"]), (INDEX,))
    return strips.open(INDEX), index["prompts"][str(INDEX)]


def test_what_must_travel_for_an_image_is_little(lab: Path) -> None:
    """At most 6 MB for a generator, 12 with the runtime for the first image of the smallest."""
    about = files.read_json(lab / "lab.json")
    generators = {}
    for key, own in about["generators"].items():
        names = {part[kind] for part in own["parts"].values() for kind in ("graph", "weights")}
        generators[key] = sum(about["files"][name]["transfer"] for name in names)
    assert set(generators) == set(GENERATORS.own) and max(generators.values()) <= 6e6, generators
    runtime = sum(about["files"][about["runtime"][name]]["transfer"] for name in ("module", "loader", "wasm"))
    assert min(generators.values()) + runtime + (lab / "lab.json").stat().st_size <= 12e6


def test_nothing_is_asked_of_another_site_and_each_file_travels_once(page) -> None:
    wish = {"generator": "sd15", "precision": "fp32", "prompt": "a photo of a red ball on sand", "seed": 1}
    page.evaluate(MAKE, wish)
    left = page.evaluate("() => lab.sizes('sd15')")
    assert left == {"transfer": 0, "detectors": 0}
    large = [address for address in page.asked if address.endswith(".gz")]
    assert large and len(set(large)) == len(large)
    assert all(address.startswith(page.url) for address in page.asked)


def test_work_stops_between_steps_and_the_next_begins(page) -> None:
    stopped = page.evaluate("""async () => {
        const control = new AbortController(), steps = [];
        const onProgress = ({stage, done}) => { if (stage === "step") { steps.push(done); control.abort(); } };
        const wish = {generator: "sd15", precision: "fp32", prompt: "a red ball", seed: 5};
        const error = await lab.make(wish, {onProgress, signal: control.signal}).catch(error => error);
        const after = await lab.make(wish);
        return {name: error.name, steps, width: after.width};
    }""")
    assert stopped["name"] == "AbortError" and len(stopped["steps"]) < 20 and stopped["width"] == 64


def test_a_precision_that_there_is_not_is_an_error(page) -> None:
    wish = "{generator: 'sd15', precision: 'fp5', prompt: '', seed: 0}"
    found = page.evaluate(f"() => lab.make({wish}).then(() => '', error => error.message)")
    assert "fp5" in found


def _photograph(width: int = 97, height: int = 61) -> Image.Image:
    """A smooth picture with edges, noise and all colours, as photographs have them."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 9) + np.cos(y / 7), np.sin((x + y) / 5), (x > y) * 1.5], axis=-1)
    return Image.fromarray((128 + 60 * waves + 6 * rng.standard_normal(waves.shape)).clip(0, 255).astype(np.uint8))


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(_photograph(), kind, quality=90, exif=exif)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def _turned_by_xmp(kind: str, orientation: int, **options: Any) -> bytes:
    if kind != "PNG":
        return _saved(_photograph(), kind, xmp=XMP % orientation, **options)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", (XMP % orientation).decode())
    return _saved(_photograph(), kind, pnginfo=info, **options)


def _with_exif_as_text() -> bytes:
    """EXIF data as ImageMagick keeps them in a PNG."""
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngInfo()
    data = exif.tobytes()
    info.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n", zip=True)
    return _saved(_photograph(), "PNG", pnginfo=info)


def _with_profile(kind: str, **options: Any) -> bytes:
    """A profile of RGB in which red and blue have changed places, so that whoever applies it is found out."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    places = {bytes(profile[at : at + 4]): at + 4 for at in range(132, 132 + 12 * count, 12)}
    red, blue = (slice(places[tag], places[tag] + 8) for tag in (b"rXYZ", b"bXYZ"))
    profile[red], profile[blue] = profile[blue], profile[red]
    return _saved(_photograph(), kind, icc_profile=bytes(profile), **options)


def _with_gamma() -> bytes:
    info = PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4, "big"))
    return _saved(_photograph(), "PNG", pnginfo=info)


def _animated(kind: str) -> bytes:
    return _saved(_photograph(), kind, save_all=True, append_images=[_photograph().rotate(180)], lossless=True)


def _cut(kind: str, share: float, **options: Any) -> bytes:
    whole = _saved(_photograph(), kind, **options)
    return whole[: int(share * len(whole))]


def _damaged() -> bytes:
    whole = bytearray(_saved(_photograph(), "PNG"))
    whole[300] ^= 1
    return bytes(whole)


#: Files by what they are -> how they are made.
TAKEN: dict[str, Callable[[], bytes]] = {
    "JPEG 4:2:0": lambda: _saved(_photograph(), "JPEG", quality=75),
    "JPEG 4:4:4": lambda: _saved(_photograph(), "JPEG", quality=92, subsampling=0),
    "JPEG 4:2:2, progressive": lambda: _saved(_photograph(), "JPEG", quality=60, subsampling=1, progressive=True),
    "JPEG, grey": lambda: _saved(_photograph().convert("L"), "JPEG"),
    "JPEG, restarts": lambda: _saved(_photograph(), "JPEG", restart_marker_blocks=2),
    "JPEG, more after its end": lambda: _saved(_photograph(), "JPEG") + b"\xff\xd8more",
    "JPEG, a colour profile": lambda: _with_profile("JPEG", quality=90),
    "PNG": lambda: _saved(_photograph(), "PNG"),
    "PNG, palette": lambda: _saved(_photograph().quantize(40), "PNG"),
    "PNG, grey": lambda: _saved(_photograph().convert("L"), "PNG"),
    "PNG, a colour profile": lambda: _with_profile("PNG"),
    "PNG, a gamma": _with_gamma,
    "PNG, animated": lambda: _animated("PNG"),
    "PNG, opaque alpha": lambda: _saved(_photograph().convert("RGBA"), "PNG"),
    "WebP": lambda: _saved(_photograph(), "WEBP", quality=80),
    "WebP, lossless": lambda: _saved(_photograph(), "WEBP", lossless=True),
    "WebP, a colour profile": lambda: _with_profile("WEBP"),
    "WebP, animated": lambda: _animated("WEBP"),
}

#: Files that are refused -> a word of the reason.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "16-bit PNG": (lambda: _saved(Image.fromarray(np.full((9, 9), 40000, np.uint16)), "PNG"), "16 bits"),
    "CMYK JPEG": (lambda: _saved(_photograph().convert("CMYK"), "JPEG"), "CMYK"),
    "transparent PNG": (lambda: _saved(_photograph().convert("RGBA").resize((9, 9)).rotate(45), "PNG"), "transparent"),
    "PNG, EXIF as a text": (_with_exif_as_text, "kept as a text"),
    "small": (lambda: _saved(_photograph(30, 7), "PNG"), "8"),
    "a PNG's head": (lambda: _saved(_photograph(), "PNG")[:60], "broken"),
    "half a PNG": (lambda: _cut("PNG", 0.5), "broken"),
    "damaged PNG": (_damaged, "broken"),
    "half a JPEG": (lambda: _cut("JPEG", 0.5), "broken"),
    "JPEG without its end": (lambda: _saved(_photograph(), "JPEG")[:-2], "broken"),
    "half a progressive JPEG": (lambda: _cut("JPEG", 0.5, progressive=True), "broken"),
    "half a WebP": (lambda: _cut("WEBP", 0.5), "broken"),
    "a JPEG that no browser decodes": (lambda: _saved(_photograph(), "JPEG")[:20] + b"\xff\xd9", "broken"),
    "text": (lambda: b"a red ball on sand", "none of"),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_picture_is_decoded_as_by_the_package(page, what: str) -> None:
    file = TAKEN[what]()
    found = page.evaluate(DECODE, base64.b64encode(file).decode())
    assert "refused" not in found, found
    assert np.array_equal(pixels(found), np.asarray(decode(Image.open(io.BytesIO(file)))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_by_the_package(page, kind: str) -> None:
    for orientation in range(1, 10):
        file = _turned(kind, orientation)
        found = page.evaluate(DECODE, base64.b64encode(file).decode())
        assert np.array_equal(pixels(found), np.asarray(decode(Image.open(io.BytesIO(file))))), orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_xmp_turns_where_exif_is_silent(page, kind: str) -> None:
    silent, upright = Image.Exif(), Image.Exif()
    silent[0x010E], upright[0x0112] = "a title", 1
    for orientation, exif, turned in ((6, None, True), (3, silent, True), (6, upright, False), (9, None, False)):
        file = _turned_by_xmp(kind, orientation, **({"exif": exif} if exif else {}))
        expected = np.asarray(decode(Image.open(io.BytesIO(file))))
        changed = expected.shape != (61, 97, 3) or not np.array_equal(
            expected, np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        )
        assert changed is turned
        found = page.evaluate(DECODE, base64.b64encode(file).decode())
        assert np.array_equal(pixels(found), expected), (orientation, found)


def test_exif_as_text_turns_in_the_package() -> None:
    assert decode(Image.open(io.BytesIO(_with_exif_as_text()))).size == (61, 97)


def test_of_a_large_picture_that_is_turned_the_middle_is_taken(page) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = _saved(_photograph(601, 50), "PNG", exif=exif)
    found = page.evaluate(DECODE, base64.b64encode(file).decode())
    assert found["cut"] == {"width": 50, "height": 601}
    assert np.array_equal(pixels(found), np.asarray(decode(Image.open(io.BytesIO(file))))[44 : 44 + 512])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_format_that_a_browser_decodes_otherwise_is_refused(page, kind: str) -> None:
    """A browser of its own decoders, played by one that makes every picture a little brighter."""
    found = page.evaluate(
        """async bytes => {
            const own = createImageBitmap;
            globalThis.createImageBitmap = async (file, options) => {
                const bitmap = await own(file, options), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
                const context = canvas.getContext("2d");
                context.drawImage(bitmap, 0, 0);
                const image = context.getImageData(0, 0, canvas.width, canvas.height);
                image.data.forEach((level, i, data) => data[i] = level + 1);
                return own(image);
            };
            const file = new Blob([Uint8Array.from(atob(bytes), sign => sign.charCodeAt(0))]);
            const { decode } = await import("/_static/lab/web/decode.js?" + Math.random());
            const found = await decode(file).then(() => "taken", error => error.message);
            globalThis.createImageBitmap = own;
            return found;
        }""",
        base64.b64encode(_saved(_photograph(), kind)).decode(),
    )
    assert found == "taken" if kind == "PNG" else "other pixels" in found


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_broken_or_read_otherwise_is_refused(page, what: str) -> None:
    make, word = REFUSED[what]
    found = page.evaluate(DECODE, base64.b64encode(make()).decode())
    assert found.get("name") == "Refused" and word in found["refused"], found


def test_of_a_large_picture_the_middle_is_taken(page) -> None:
    image = _photograph(1101, 50)
    found = page.evaluate(DECODE, base64.b64encode(_saved(image, "PNG")).decode())
    assert found["cut"] == {"width": 1101, "height": 50}
    assert np.array_equal(pixels(found), np.asarray(image)[:, 294 : 294 + 512])


def test_a_picture_is_changed_as_platforms_do(page) -> None:
    image = _photograph()
    change = """async bytes => {
        const file = new Blob([Uint8Array.from(atob(bytes), sign => sign.charCodeAt(0))]);
        const picture = await lab.decode(file), found = {};
        for (const name of ["resize:0.5", "jpeg:75"]) {
            const changed = await lab.perturb(picture, name);
            found[name] = {...changed, pixels: await text(changed)};
        }
        return found;
    }"""
    found = page.evaluate(change, base64.b64encode(_saved(image, "PNG")).decode())
    assert np.array_equal(pixels(found["resize:0.5"]), np.asarray(resampled(image, 0.5)))
    # The browser's encoder is its own: what it leaves is near, and is not the picture.
    apart = pixels(found["jpeg:75"]).astype(int) - np.asarray(image)
    assert 1 < apart.std() < 12
