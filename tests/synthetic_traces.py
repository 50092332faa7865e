"""What lies beside the scores of a synthetic study, with a known mechanism: spectra, filtered images, a ladder.

The images are small and made up (a scene, a fingerprint, noise) but the measuring, the filters and the gains are those
of a run; a detector's logit is the level of fine detail that it sees, in the way that the mechanism says.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic
from scipy import ndimage

from helpers.analysis import dose_response
from helpers.images import spectra
from helpers.runs.stages import filtered as counterfactuals
from helpers.runs.stages import spectra as measuring

SIZE, IMAGES = 32, 50
END_TO_END, FROZEN = ("npr", "r50_nodown"), ("r50_tf", "clip_d")

#: How FP4 changes an image: it blurs, it adds noise, it changes nothing to speak of.
MECHANISMS = ("smooths", "roughens", "spares")


def images(generator: int, mechanism: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """RGB pixels (N, S, S, 3) of a generator at FP32, FP4 and in the null control, the same scenes in each."""
    scene = ndimage.gaussian_filter(rng.normal(0, 60, (IMAGES, SIZE, SIZE)), (0, 5, 5)) * 4
    fingerprint = np.random.default_rng(generator).normal(0, 4, (SIZE, SIZE))
    base = 128 + scene + fingerprint + rng.normal(0, 8, scene.shape)
    low = {
        "smooths": ndimage.gaussian_filter(base, (0, 0.7, 0.7)),
        "roughens": base + rng.normal(0, 8, base.shape),
        "spares": base + rng.normal(0, 0.2, base.shape),
    }[mechanism]
    made = {"fp32": base, "fp4": low, "batch": base + rng.normal(0, 0.05, base.shape)}
    return {name: np.repeat(v.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=3) for name, v in made.items()}


def _detail(pixels: np.ndarray) -> np.ndarray:
    """Fine detail (N,) in dB: what the end-to-end detectors of this study see."""
    return 10 * np.log10(spectra.high_energy(spectra.power(spectra.grey(pixels)))[0])


def traces(folder: Path, mechanism: str = "smooths", *, falls: bool = False, decoder: float | None = None) -> Path:
    """Write spectra.parquet, patterns.parquet and counterfactuals.parquet beside a study's scores.

    `falls`: end-to-end detectors lose 4 at FP4 whatever the spectrum. `decoder`: where reals passed through the VAE
    lie on the way from reals (0) to fakes (1).
    """
    rng = np.random.default_rng(3)
    rows, patterns, filtered = [], [], []
    scores = pd.read_parquet(folder / "scores.parquet")
    keys = [key for key in scores.generator.unique() if key != "real"]
    for number, generator in enumerate(keys):
        cells = images(number, mechanism, rng)
        base, curves = None, {}
        for name, pixels in cells.items():
            cell = {"generator": generator, "arm": "batch" if name == "batch" else "native", "size": SIZE, "label": 1}
            cell |= {"precision": "fp32" if name == "batch" else name}
            measured = measuring.measures(pixels)
            curves[name] = np.stack(measured.radial).mean(axis=0)
            rows.append(measured.assign(**cell, index=np.arange(IMAGES), image_sha256=""))
            residuals = spectra.residual(spectra.grey(pixels))
            residuals -= residuals.mean(axis=(1, 2), keepdims=True)
            own = measuring.Residuals(
                spectra.fold_sums(residuals, np.arange(IMAGES)),
                (np.abs(np.fft.fft2(residuals)) ** 2).mean(axis=0),
                IMAGES,
            )
            base = base or own
            patterns.append(cell | measuring.pattern(own, base))
        filtered += _filtered(generator, cells, curves, falls, rng)
    filtered += [] if decoder is None else _decoded(scores, decoder)
    pd.concat(rows).to_parquet(folder / "spectra.parquet")
    pd.DataFrame(patterns).to_parquet(folder / "patterns.parquet")
    pd.concat(filtered).to_parquet(folder / "counterfactuals.parquet")
    return synthetic.vouch(folder)


def _filtered(generator: str, cells: dict, curves: dict, falls: bool, rng: np.random.Generator) -> list[pd.DataFrame]:
    flat, towards = np.ones(SIZE // 2 + 1), counterfactuals.gain(curves["fp32"], curves["fp4"])
    work = [("sham", "fp32", flat), ("matched", "fp32", towards), ("attenuated", "fp32", np.minimum(towards, 1))]
    work += [("halved", "fp32", counterfactuals.halving(SIZE)), ("sham", "fp4", flat), ("restored", "fp4", 1 / towards)]
    own = rng.normal(0, 0.5, (len(END_TO_END + FROZEN), IMAGES))  # of each image, whatever is done to it
    frames = []
    for treatment, precision, gain in work:
        seen = _detail(spectra.filtered(cells[precision], gain)) - _detail(cells["fp32"]).mean()
        for place, detector in enumerate(END_TO_END + FROZEN):
            logit = 4 + own[place] + (seen if detector in END_TO_END else 0)
            logit = logit - 4 * (falls and precision == "fp4" and detector in END_TO_END)
            cell = {"generator": generator, "precision": precision, "arm": "native", "protocol": "plain", "size": SIZE}
            cell |= {"index": np.arange(IMAGES), "label": 1, "detector": detector, "weights": "mini", "logit": logit}
            frames.append(pd.DataFrame(cell | {"image_sha256": "", "treatment": treatment}))
    return frames


def _decoded(scores: pd.DataFrame, share: float) -> list[pd.DataFrame]:
    """Reals passed through each generator's VAE: the given share of the way from a prompt's real to its fake."""
    fakes = scores[(scores.precision == "fp32") & (scores.arm == "native") & (scores.weights == "mini")]
    reals = scores[(scores.label == 0) & (scores.arm == "none")]
    both = fakes.merge(reals, on=["detector", "size", "index"], suffixes=("_fake", ""))
    both["logit"] = both.logit + share * (both.logit_fake - both.logit)
    return [both[list(scores.columns)].assign(arm=both.generator_fake, treatment="decoded")]


def ladder(folder: Path, by: str = "error", size: float = 3.0, images: int = 60) -> Path:
    """Add a ladder of formats whose shift follows the weight "error", the "bits", or has its own "format" beside it."""
    scores, cells = (pd.read_parquet(folder / f"{name}.parquet") for name in ("scores", "cells"))
    rng = np.random.default_rng(8)
    errors = {
        "int8": 0.006, "fp8": 0.025, "fp8_e5m2": 0.05, "nf4": 0.09, "fp4": 0.13, "int4": 0.11, "int4_affine": 0.085,
        "int3": 0.26, "int2": 0.7,
    }  # fmt: skip
    base = scores[(scores.precision == "fp32") & (scores.arm == "native") & (scores["index"] < images)]
    base = base[base.weights == "mini"]
    rows, made = [], []
    for precision in errors:
        bits, _ = dose_response.FORMATS[precision]
        shift = {"error": errors[precision], "bits": {8: 0.01, 4: 0.1, 3: 0.3, 2: 0.7}[bits]}.get(by, errors[precision])
        shift += 0.3 * (by == "format" and precision == "fp4")
        noise = rng.normal(0, 0.1, len(base)).astype(np.float32)
        rows.append(base.assign(precision=precision, arm="ladder", logit=base.logit - np.float32(size * shift) + noise))
        for cell in cells[(cells.precision == "fp4") & (cells.arm == "native")].to_dict("records"):
            part = json.loads(cell["component_coverage"])["denoiser"] | {"weight_errors": {"all": errors[precision]}}
            stored = json.dumps({"denoiser": part})
            made.append(cell | {"precision": precision, "arm": "ladder", "component_coverage": stored})
    pd.concat([scores, *rows]).to_parquet(folder / "scores.parquet")
    pd.concat([cells, pd.DataFrame(made)]).to_parquet(folder / "cells.parquet")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    arm = {"title": "ladder", "role": "ladder", "precisions": list(errors), "images": images}
    arm["way"] = "rounding"
    manifest["study"]["arms"] = (manifest["study"].get("arms") or {}) | {"ladder": arm}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return synthetic.vouch(folder)
