"""Writes what each format makes of the weights that it takes, for a test of the same rounding in JavaScript.

Run as a program, for torch reads ATEN_CPU_CAPABILITY when it is imported: sums of Q4_K are taken in its lanes.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from helpers import generators, precision
from helpers.precision.formats import FORMATS
from helpers.precision.quantize import LAYERS, targets


def linear_weights(key: str) -> list[torch.Tensor]:
    """The weights that formats of layers take of a miniature."""
    pipeline = generators.load(key)
    parts = [getattr(pipeline, of) for name, of in precision.attributes(pipeline).items() if name in ("denoiser", "t5")]
    names = [(part, targets(part, FORMATS["int8"], LAYERS["linear"])) for part in parts]
    return [part.get_submodule(name).weight.detach() for part, own in names for name in own]


def sha256(weight: torch.Tensor) -> str:
    return hashlib.sha256(weight.contiguous().numpy().tobytes()).hexdigest()


def main(folder: Path, keys: list[str], formats: list[str]) -> None:
    found = []
    for key in keys:
        weights = linear_weights(key)
        np.concatenate([weight.numpy().ravel() for weight in weights]).tofile(folder / f"{key}.bin")
        digests = {of: [sha256(FORMATS[of].rounded(weight)) for weight in weights] for of in formats}
        shapes = [list(weight.shape) for weight in weights]
        found.append({"generator": key, "file": f"{key}.bin", "shapes": shapes, "digests": digests})
    (folder / "rounded.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(","))
