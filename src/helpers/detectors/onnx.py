"""A trunk's convolutions as ONNX Runtime computes them on a processor: the same function to float32 rounding.

torch 2.15 makes its kernels anew for each size of image, and on one thread leaves 1x1 convolutions, most of a
ResNet's, to a slower matrix product. ONNX Runtime does neither, and its memory does not grow with the sizes it has
seen. `benchmarks/detect.py` measures what that is worth.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers.detectors.resnet import Trunk

# Or it looks its maker's telemetry host up for every session; it reads this once, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime  # noqa: E402

__all__ = ["compiled"]

#: Operators and file format of ONNX 1.10 (2021), which every release of ONNX Runtime in use reads.
_OPSET, _IR = 15, 8


def compiled(network: nn.Module) -> nn.Module:
    """Return the network, its trunks' convolutions from now on computed by ONNX Runtime, one core per call.

    The network must be in evaluation mode, on the processor, with its final weights: they are copied. Calls from
    several threads may overlap. A network without trunks is returned as it is.
    """
    for trunk in [module for module in network.modules() if isinstance(module, Trunk)]:
        trunk.convolved = _session(_model(trunk))
    return network


def _session(model: bytes) -> Callable[[Tensor], Tensor]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it keeps a plan for every size seen
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"x": x.contiguous().numpy()})[0])

    return run


@torch.no_grad()
def _model(trunk: Trunk) -> bytes:
    """The trunk as an ONNX model of "x", images (N, 3, H, W); batch normalizations are folded into convolutions."""
    nodes, weights = [], []

    def add(kind: str, *inputs: str, **settings: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"y{len(nodes)}"], **settings))
        return nodes[-1].output[0]

    def convolve(x: str, convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> str:
        own = fuse_conv_bn_eval(convolution, normalization)
        names = [f"{part}{len(nodes)}" for part in ("weight", "bias")]
        weights.extend(map(numpy_helper.from_array, (own.weight.numpy(), own.bias.numpy()), names))
        return add("Conv", x, *names, strides=own.stride, pads=own.padding * 2)

    y = add("Relu", convolve("x", trunk.conv1, trunk.bn1))
    pool = trunk.maxpool
    y = add("MaxPool", y, kernel_shape=[pool.kernel_size] * 2, strides=[pool.stride] * 2, pads=[pool.padding] * 4)
    for block in trunk.blocks():
        shortcut = y if block.downsample is None else convolve(y, *block.downsample)
        y = add("Relu", convolve(y, block.conv1, block.bn1))
        y = add("Relu", convolve(y, block.conv2, block.bn2))
        y = add("Relu", add("Add", convolve(y, block.conv3, block.bn3), shortcut))
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "height", "width"]),
        helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", trunk.channels, "rows", "columns"]),
    ]
    graph = helper.make_graph(nodes, "trunk", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model)
    return model.SerializeToString()
