"""A synthetic study on disk, with known effects: what the tests of the analysis, the notebooks and the book read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SIZES = {"sd15": 64, "sd21": 96, "sdxl": 128, "sd3": 128, "sd35": 128, "flux1": 128}
PRECISIONS = ("fp32", "fp16", "fp8", "fp4")
DETECTORS = ("npr", "r50_nodown", "r50_tf", "clip_d")
#: Of the reals, one in so many scores like a fake, whatever the detector. AUC at FP32 is then near .97: such a detector
#: works and has room for a fall, as a claim of one asks, and its threshold is still where it should be.
STRAY, STRAY_LOGIT = 33, 9.0
SHRINK = {"fp32": 1.0, "fp16": 0.5, "fp8": 0.27, "fp4": 0.15}

# The deck's story in logits: which cells leave the usual level of +4, and by how much.
DECK = {
    ("npr", "sd15", None): -4.5,
    ("npr", "sd3", "fp8"): -2.5,
    ("npr", "sd3", "fp4"): -6.0,
    ("r50_nodown", "sd3", "fp8"): -2.5,
    ("r50_nodown", "sd3", "fp4"): -6.0,
}
FLAT: dict[tuple[str, str, str | None], float] = {}
# The deck is wrong in everything that scores can show: what should fall does not, what should hold falls.
WRONG = {("clip_d", "flux1", "fp4"): -6.0, ("r50_tf", "sd3", "fp4"): -6.0}


def write(
    folder: Path,
    effects: Mapping[tuple[str, str, str | None], float] = FLAT,
    *,
    images: int = 100,
    level: float = 4.0,
    scale: str = "mini",
    generators: tuple[str, ...] = tuple(SIZES),
    seed: int = 0,
    contact: bool = False,
    gallery: int = 0,
    seeds: Mapping[str, float] | None = None,
    placebo: float | None = None,
    protocols: Mapping[str, Mapping[tuple[str, str, str | None], float]] | None = None,
    stray: bool = True,
) -> Path:
    """Write scores.parquet, cells.parquet and manifest.json of a study whose mean logits are `level` plus `effects`.

    `effects` maps (detector, generator, precision or None for all) to a shift. Logits of one image share the scene's
    part across precisions, so cells are paired as in a real run. With `placebo` there is an arm "batch", whose logits
    differ from FP32's by normal noise of that standard deviation. `protocols` maps further protocols to their own
    effects. `stray`: some reals score like fakes (see `STRAY`). `gallery`: strips of so many images (see `_gallery`).
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_fakes(rng, d, g, effects, images, level) for g in generators for d in DETECTORS]
    for label, moved in (seeds or {}).items():  # NPR's further trainings, whose FP4 effect differs by `moved`
        again = {("npr", g, "fp4"): effects.get(("npr", g, "fp4"), 0.0) + moved for g in generators}
        rows += [_fakes(rng, "npr", g, again, images, level).assign(weights=label) for g in generators]
    if placebo is not None:
        rows += [_placebo(rng, frame, placebo) for frame in rows if frame.weights.iloc[0] == "mini"]
    sizes = sorted(set(SIZES.values()))
    rows += [_reals(rng, d, size, images, level, stray) for size in sizes for d in DETECTORS]
    for protocol, moved in (protocols or {}).items():
        own = [_fakes(rng, d, g, moved, images, level) for g in generators for d in DETECTORS]
        if protocol == "aligned":  # the reals of each generator's own VAE, and a training of its own
            own += [_reals(rng, d, SIZES[g], images, level, stray).assign(arm=g) for g in generators for d in DETECTORS]
            own = [frame.assign(weights="mini-aligned") for frame in own]
        else:
            own += [_reals(rng, d, size, images, level, stray) for size in sizes for d in DETECTORS]
        rows += [frame.assign(protocol=protocol) for frame in own]
    pd.concat(rows, ignore_index=True).to_parquet(folder / "scores.parquet")
    cells = [_cell(g, p, images) for g in generators for p in PRECISIONS]
    cells += [] if placebo is None else [_cell(g, "fp32", images) | {"arm": "batch"} for g in generators]
    pd.DataFrame(cells).to_parquet(folder / "cells.parquet")
    manifest = _manifest(folder, scale, images, generators)
    if placebo is not None:
        arm = {"title": "null control", "precisions": ["fp32"], "images": images, "batch_size": 5, "role": "null"}
        manifest["study"]["arms"] = {"batch": arm}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    if contact:
        (folder / "contact").mkdir(exist_ok=True)
        for generator in generators:
            # Four rows of eight places of 128 pixels with 4 between them, in squares of 4 pixels.
            noise = rng.integers(0, 256, (131, 263, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            Image.fromarray(noise).save(folder / "contact" / f"{generator}.webp", lossless=True)
    if gallery:
        _gallery(folder, generators, gallery)
    return folder


def shade(column: int, index: int) -> tuple[int, int, int]:
    """The colour of all pixels of a synthetic strip's image."""
    return 40 + 8 * column, 100 + index, 160 - 5 * column


def _gallery(folder: Path, generators: tuple[str, ...], images: int) -> None:
    """Strips whose images are each of one colour."""
    columns = [*PRECISIONS, "real"]
    entries = {}
    for generator in generators:
        size = SIZES[generator]
        (folder / "gallery" / generator).mkdir(parents=True)
        for index in range(images):
            strip = Image.new("RGB", (len(columns) * size, size))
            for place in range(len(columns)):
                strip.paste(shade(place, index), (place * size, 0, (place + 1) * size, size))
            strip.save(folder / "gallery" / generator / f"{index:04d}.webp", lossless=True)
        known = {str(index): "0" * 64 for index in range(images)}
        entries[generator] = {"size": size, "side": size, "columns": columns, "images": known}
    prompts = {str(index): f"a photo of number {index}" for index in range(images)}
    (folder / "gallery" / "index.json").write_text(json.dumps({"prompts": prompts, "generators": entries}))


def renamed_arm(folder: Path, old: str, new: str) -> Path:
    """The study in a folder with another name for one of its arms, whose role stays; its contact sheets likewise."""
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "arm" in table:
            table.assign(arm=table.arm.replace(old, new)).to_parquet(file)
    for file in (folder / "contact").glob(f"*-{old}.webp"):
        file.rename(file.with_name(file.name.replace(f"-{old}.", f"-{new}.")))
    manifest = json.loads((folder / "manifest.json").read_text())
    arms = manifest["study"]["arms"]
    manifest["study"]["arms"] = {new if name == old else name: arm for name, arm in arms.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return vouch(folder)


def _fakes(
    rng: np.random.Generator, detector: str, generator: str, effects: Mapping, images: int, level: float
) -> pd.DataFrame:
    scene = rng.normal(0, 1.2, images)
    frames = []
    for precision in PRECISIONS:
        moved = effects.get((detector, generator, precision), 0.0) + effects.get((detector, generator, None), 0.0)
        noise = 0.0 if precision == "fp32" else rng.normal(0, 0.15 / SHRINK[precision] ** 0.5, images)
        frames.append(
            _frame(generator, precision, "native", SIZES[generator], 1, detector, level + moved + scene + noise)
        )
    return pd.concat(frames, ignore_index=True)


def _placebo(rng: np.random.Generator, frame: pd.DataFrame, spread: float) -> pd.DataFrame:
    fp32 = frame[frame.precision == "fp32"]
    noise = rng.normal(0, spread, len(fp32)).astype(np.float32)
    own = [hashlib.sha256(f"batch {name}".encode()).hexdigest() if spread else name for name in fp32.image_sha256]
    return fp32.assign(arm="batch", logit=fp32.logit + noise, image_sha256=own)


def _reals(rng: np.random.Generator, detector: str, size: int, images: int, level: float, stray: bool) -> pd.DataFrame:
    logits = -level + rng.normal(0, 1.5, images)
    if stray:
        logits[STRAY // 2 :: STRAY] = STRAY_LOGIT
    return _frame("real", "none", "none", size, 0, detector, logits)


def _frame(
    generator: str, precision: str, arm: str, size: int, label: int, detector: str, logit: np.ndarray
) -> pd.DataFrame:
    names = [f"{generator}-{precision}-{size}-{index}" for index in range(len(logit))]
    return pd.DataFrame(
        {
            "generator": generator, "precision": precision, "arm": arm, "protocol": "plain", "size": size,
            "index": np.arange(len(logit)), "label": label, "detector": detector, "weights": "mini",
            "logit": logit.astype(np.float32),
            "image_sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
        }
    )  # fmt: skip


def _cell(generator: str, precision: str, images: int) -> dict[str, object]:
    before = 4_000_000
    part = {
        "parameters": before // 4, "quantized": int(0.97 * before / 4), "share": 0.97,
        "bytes_before": before, "bytes_after": int(before * SHRINK[precision]), "format": precision,
        "weight_errors": {"attention": 0.1, "all": 0.1}, "output_error": 0.2,
        "native_deviation": None if precision == "fp32" else 1e-7, "native_layer": "attn.to_q",
    }  # fmt: skip
    return {
        "generator": generator, "precision": precision, "arm": "native",
        "coverage": 0.0 if precision == "fp32" else 0.97,
        "component_coverage": json.dumps({"denoiser": part}),
        "seconds_load": 0.3, "seconds_quantize": 0.1,
        "seconds_per_image": 0.2 if precision == "fp32" else 0.3,
        "peak_memory_mb": 900.0, "steps": 12, "guidance": 2.0, "size": SIZES[generator], "device": "cpu",
        "versions": "{}", "images": images, "rejected": 0, "rejected_why": "",
    }  # fmt: skip


def vouch(folder: Path) -> Path:
    """Let the manifest vouch for every table that now lies in the folder: without that none is read."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    tables = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.parquet")}
    path.write_text(json.dumps(manifest | {"files": tables}), encoding="utf-8")
    return folder


def _manifest(folder: Path, scale: str, images: int, generators: tuple[str, ...]) -> dict[str, object]:
    settings = {"steps": 12, "guidance": 2.0}
    files = ("scores.parquet", "cells.parquet")
    return {
        "study": {
            "name": "synthetic", "scale": scale, "images_per_cell": images, "seed": 0, "weights": "mini",
            "arm": "native", "coverage": "linear", "components": ["denoiser", "t5"],
            "prompts": {"kind": "world", "path": None},
            "precisions": list(PRECISIONS), "detectors": list(DETECTORS),
            "generators": {key: {"checkpoint": key, "size": SIZES[key], **settings} for key in generators},
        },
        "study_digest": "0" * 64,
        "created": "2026-01-01T00:00:00+00:00", "git_revision": "0" * 40, "versions": {},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
        "images_per_cell": images, "models": {},
    }  # fmt: skip
