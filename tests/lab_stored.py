"""A reader of the lab's folder that shares no code with its writer: what a page does, in numpy and ONNX Runtime."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def unpacked(folder: Path, name: str) -> bytes:
    """The contents of a file that is stored as gzip."""
    return gzip.decompress((folder / name).read_bytes())


def numbers(contents: bytes, halves: int, singles: int) -> np.ndarray:
    """The float32 numbers of a weights file: the planes of its halves, then those of its singles."""
    planes = np.frombuffer(contents, np.uint8)
    assert planes.size == 2 * halves + 4 * singles
    few = planes[: 2 * halves].reshape(2, halves).astype(np.uint16)
    many = planes[2 * halves :].reshape(4, singles).astype(np.uint32)
    low = (few[0] | few[1] << 8).view(np.float16).astype(np.float32)
    high = (many[0] | many[1] << 8 | many[2] << 16 | many[3] << 24).view(np.float32)
    return np.concatenate([low, high])


def weights(folder: Path, part: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a part by name, of torch's shapes."""
    all_ = numbers(unpacked(folder, part["weights"]), part["halves"], part["singles"])
    found = {}
    for tensor in part["tensors"]:
        size = int(np.prod(tensor["shape"]))
        found[tensor["name"]] = all_[tensor["at"] : tensor["at"] + size].reshape(tensor["shape"])
    assert sum(of.size for of in found.values()) == all_.size
    return found


def session(graph: bytes, beside: np.ndarray | None, folder: Path) -> onnxruntime.InferenceSession:
    """A graph, with its weights in the file that it names, in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.onnx").write_bytes(graph)
    if beside is not None:
        beside.tofile(folder / "weights.bin")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "graph.onnx", options, providers=["CPUExecutionProvider"])


class Lab:
    """A lab's folder, its graphs run by ONNX Runtime for Python."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.manifest = json.loads((folder / "lab.json").read_text(encoding="utf-8"))

    def part(self, generator: str, part: str) -> onnxruntime.InferenceSession:
        """The session of a generator's part."""
        own = self.manifest["generators"][generator]["parts"][part]
        beside = numbers(unpacked(self.folder, own["weights"]), own["halves"], own["singles"])
        found = session(unpacked(self.folder, own["graph"]), beside, self.scratch / generator / part)
        assert [of.name for of in found.get_inputs()] == own["inputs"]
        assert [of.name for of in found.get_outputs()] == own["outputs"]
        return found

    def detector(self, key: str) -> onnxruntime.InferenceSession:
        """The session of a detector."""
        graph = unpacked(self.folder, self.manifest["detectors"][key]["graph"])
        return session(graph, None, self.scratch / key)

    def ids(self, generator: str, prompt: str) -> dict[str, np.ndarray]:
        """Token ids of a prompt of the world's plain words, by tokenizer."""
        found = {}
        for name, of in self.manifest["generators"][generator]["tokenizers"].items():
            words = [of["vocab"].get(word, of["unknown"]) for word in prompt.split()]
            tokens = [*of["begin"], *words, *of["end"]]
            found[name] = np.array([tokens + [of["pad"]] * (of["length"] - len(tokens))], np.int64)
        return found
