"""Records as the lab saves them of a reader's device."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.results import devices

#: Seconds of a detector's verdict.
VERDICTS = {"npr": 0.02, "clip_d": 0.1}


def record(ratio: float = 1.0, rounds: int = 3, seed: int = 0, **device: Any) -> dict[str, Any]:
    """A record of two generators, in which FP4 takes `ratio` times as long as FP32, and a second of each round counts
    twice: what slows both down alike."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(1, rounds + 1):
        for model, base in (("sd15", 0.4), ("sd3", 0.8)):
            slow = rng.uniform(1, 2)
            for precision, factor in (("fp32", 1.0), ("fp4", ratio)):
                images.append({
                    "model": model, "precision": precision, "round": number, "pixels": 64,
                    "seconds": base * slow * factor, "seconds_load": 0, "seconds_round": 0.2,
                    "bytes": 4_000_000 if precision == "fp32" else 500_000,
                    "weight_error": 0.0 if precision == "fp32" else 0.1,
                })  # fmt: skip
    verdicts = [{"model": model, "round": 1, "pixels": 64, "seconds": took} for model, took in VERDICTS.items()]
    own = {
        "browser": "Firefox 142",
        "system": "Linux",
        "mobile": False,
        "processors": 2,
        "runtime": "onnxruntime-web 1.30.0",
    }
    return {
        "format": devices.FORMAT,
        "recorded": "2026-11-26",
        "device": own | device,
        "images": images,
        "verdicts": verdicts,
    }
