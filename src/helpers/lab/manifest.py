"""Everything that the lab's pages read: graphs, weights and `lab.json`, which says what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers import detectors, generators, study
from helpers.lab import graphs, networks, rules, weights
from helpers.lab.recording import record
from helpers.lab.schedules import schedule
from helpers.lab.shortening import shortened
from helpers.lab.storage import Files
from helpers.precision import footprint
from helpers.precision.formats import FORMATS
from helpers.precision.quantize import attributes

__all__ = ["contents"]

#: A prompt for the example that a graph is traced with; any does.
_PROMPT = "a photo"
#: Side of the example that a detector of images of any size is traced with.
_SIDE = 64


def contents(chosen: study.Study, stored: Files) -> dict[str, Any]:
    """What `lab.json` says of a miniature study's generators, precisions and published detectors; their graphs and
    weights go to `stored`, whose `sizes` it has too.
    """
    published = [key for key in chosen.detectors if detectors.DETECTORS[key].published]
    return {
        "precisions": rules.precisions(),
        "generators": {key: _generator(key, chosen, stored) for key in chosen.generators},
        "detectors": {key: _detector(key, stored) for key in published},
        "files": stored.sizes,
    }


def _generator(key: str, chosen: study.Study, stored: Files) -> dict[str, Any]:
    """What `lab.json` says of a miniature generator at the study's settings; its graphs and weights go to `stored`."""
    settings, pipeline = chosen.generators[key], generators.load(key)
    size, guidance = settings.size, settings.guidance
    recorded = record(pipeline, _PROMPT, settings.steps, guidance, size)
    text = networks.text(pipeline, recorded)
    tokenizers = networks.tokenizers(pipeline, text.tokenizers)
    ids = {name: networks.ids(tokenizer, _PROMPT) for name, tokenizer in tokenizers.items()}
    with torch.no_grad():
        embedded = dict(zip(("embeds", "pooled"), text(*ids.values()), strict=False))
    latents = torch.zeros(1, pipeline.vae.config.latent_channels, *[size // pipeline.vae_scale_factor] * 2)
    examples: dict[str, tuple[nn.Module, Mapping[str, Tensor], Sequence[str]]] = {
        "text": (text, ids, list(embedded)),
        "denoiser": (
            networks.prediction(pipeline, recorded, guidance),
            {"x": latents, "t": torch.ones(1), **embedded},
            ["prediction"],
        ),
        "vae": (networks.Decoder(pipeline), {"x": latents}, ["pixels"]),
    }
    return {
        "title": generators.GENERATORS[key].title,
        "size": size,
        "latent": list(latents.shape),
        "guidance": guidance,
        "schedule": schedule(recorded).as_json(),
        "tokenizers": {name: _tokenizer(tokenizer) for name, tokenizer in tokenizers.items()},
        "parts": {part: _part(f"models/{key}_{part}", *example, chosen, stored) for part, example in examples.items()},
        "bytes": _bytes(pipeline),
    }


def _detector(key: str, stored: Files) -> dict[str, Any]:
    """What `lab.json` says of a miniature detector, whose graph, with its weights, goes to `stored`."""
    network, ready = detectors.trained(key)
    rule = ready.rule
    image = torch.zeros(1, 3, *[rule.side or _SIDE] * 2)
    graph = graphs.export(network, {"x": image}, ["logit"], [] if rule.side else ["x"])
    return {
        "title": detectors.DETECTORS[key].title,
        "graph": stored.put(f"models/{key}.onnx", graphs.halved(graph)),
        "input": "x",
        "output": "logit",
        "preprocess": {"side": rule.side, "crop": rule.crop, "mean": list(ready.mean), "std": list(ready.std)},
        "threshold": detectors.Detector.threshold,
    }


def _part(
    name: str, module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], chosen: study.Study,
    stored: Files,
) -> dict[str, Any]:  # fmt: skip
    """Graph and weights of one module, and what of the weights is rounded by formats of which scope."""
    graph = graphs.apart(graphs.export(module, inputs, outputs))
    rounded, at, tensors = _scopes(module, chosen.components), 0, []
    contents, few, many = weights.packed(_travelling(graph.weights, rounded))
    for tensor, values in graph.weights.items():
        scope = {"rounds": rounded[tensor]} if tensor in rounded else {}
        tensors.append({"name": tensor, "shape": list(values.shape), "at": at, **scope})
        at += values.size
    return {
        "graph": stored.put(f"{name}.onnx", graph.model),
        "weights": stored.put(f"{name}.bin", contents),
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "halves": few,
        "singles": many,
        "tensors": tensors,
    }


def _travelling(tensors: Mapping[str, np.ndarray], rounded: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The weights as they travel: those of 32 bits that formats round, without what no rounding depends on."""
    long = {name for name, values in tensors.items() if name in rounded and not weights.halves(values)}
    return {name: shortened(of, rounded[name]) if name in long else of for name, of in tensors.items()}


def _scopes(module: nn.Module, components: Sequence[str]) -> dict[str, str]:
    """The parameters of the quantized `components` by name -> the scope of the formats that round them.

    What formats of layers round is rounded by casts too.
    """
    named = module.named_parameters(remove_duplicate=False)
    scopes = {name: "component" for name, _ in named if name.partition(".")[0] in components}
    layers = (name for name, layer in module.named_modules() if isinstance(layer, nn.Linear))
    return scopes | {f"{name}.weight": "layers" for name in layers if f"{name}.weight" in scopes}


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    """The words that a tokenizer knows, with their ids, and what it puts around them."""
    *begin, end = tokenizer("").input_ids
    return {
        "vocab": tokenizer.get_vocab(),
        "length": tokenizer.model_max_length,
        "begin": begin,
        "end": [end],
        "pad": tokenizer.pad_token_id,
        "unknown": tokenizer.unk_token_id,
    }


def _bytes(pipeline: Any) -> dict[str, dict[str, int]]:
    """Bytes of the pipeline's weights at each precision, by `footprint`'s count: of what is quantized, and of all."""
    found = {}
    for row in rules.precisions():
        sizes = {
            name: footprint.held(getattr(pipeline, attribute), FORMATS[row["key"]], name in footprint.QUANTIZED)[1]
            for name, attribute in attributes(pipeline).items()
        }
        quantized = sum(size for name, size in sizes.items() if name in footprint.QUANTIZED)
        found[row["key"]] = {"quantized": quantized, "all": sum(sizes.values())}
    return found
