"""A module as an ONNX graph without its weights, which lie in a file of their own beside it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import StringStringEntryProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from helpers.lab.weights import halves, ordered

__all__ = ["WEIGHTS", "Graph", "apart", "export", "halved"]

#: ONNX 1.12 (2022), the first with layer normalization.
_OPSET = 17
#: The file that a graph says its weights lie in: float32 numbers, in the order of `Graph.weights`.
WEIGHTS = "weights.bin"
#: Numbers of a tensor that is not worth a cast.
_FEW = 64


@dataclass(frozen=True)
class Graph:
    """A module's graph.

    Attributes:
        model: the ONNX model; it names no weights but by their places in `WEIGHTS`.
        inputs, outputs: names, in order.
        weights: its parameters and tables by name, in the module's own layout, float32.
    """

    model: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, np.ndarray]


@symbolic_helper.parse_args("v", "is", "v", "f")
def _rms_norm(graph: Any, x: Any, shape: list[int], weight: Any, epsilon: float) -> Any:
    """Root mean square normalization over the last axis, in operators of `_OPSET`, which has none of it."""
    squares = graph.op("ReduceMean", graph.op("Mul", x, x), axes_i=[-1], keepdims_i=1)
    roots = graph.op("Sqrt", graph.op("Add", squares, graph.op("Constant", value_t=torch.tensor(epsilon))))
    return graph.op("Mul", graph.op("Div", x, roots), weight)


def export(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], open_sides: Sequence[str] = ()
) -> onnx.ModelProto:
    """The graph of a module in evaluation mode, called with `inputs`, with its weights inside under their own names.

    Height and width of the `open_sides`, inputs and outputs (N, C, H, W), may differ from those of the example.
    """
    stream = io.BytesIO()
    torch.onnx.register_custom_op_symbolic("aten::rms_norm", _rms_norm, _OPSET)
    with warnings.catch_warnings(), torch.no_grad(), _attention_in_parts():
        # The exporter that replaces this one (`dynamo`) takes ten times as long, and a further package. What tracing
        # warns of, that sizes become constants, is meant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), stream, dynamo=False, opset_version=_OPSET,
            input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={name: {2: "height", 3: "width"} for name in open_sides},
            # As they are: neither transposed in advance, nor normalizations drawn into convolutions.
            do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return _bare(onnx.load_from_string(stream.getvalue()))


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """torch computes attention of `nn.MultiheadAttention` in one operator otherwise, which ONNX has none of."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without names of nodes and notes, which nothing reads and everybody would load."""
    for node in model.graph.node:
        node.doc_string = ""
        node.name = ""
    del model.graph.value_info[:]
    return model


def apart(model: onnx.ModelProto) -> Graph:
    """The graph without its weights, and these; whole numbers, which are sizes and places, stay in the graph."""
    inside = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    weights = ordered({name: numpy_helper.to_array(tensor) for name, tensor in inside.items()})
    place = 0
    for name, values in weights.items():
        inside[name].ClearField("raw_data")
        inside[name].data_location = TensorProto.EXTERNAL
        where = {"location": WEIGHTS, "offset": place, "length": values.nbytes}
        inside[name].external_data.extend(StringStringEntryProto(key=key, value=str(of)) for key, of in where.items())
        place += values.nbytes
    return Graph(model.SerializeToString(), _names(model.graph.input), _names(model.graph.output), weights)


def halved(model: onnx.ModelProto) -> bytes:
    """The model with its weights inside, those of 16 bits stored so and cast when the graph is read."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and values.size > _FEW and halves(values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def _names(values: Sequence[onnx.ValueInfoProto]) -> tuple[str, ...]:
    return tuple(value.name for value in values)
