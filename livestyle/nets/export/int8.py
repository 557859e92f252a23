"""Convolutions of an ONNX graph in int8: their inputs in 255 steps, their weights in 127 (Jacob et al. 2018).

ReLU6 gives the range of an input, or calibration pictures do. Nothing else is quantized. With norms, sums and the
result quantized too, as quantizers do by default, a style came to 24 dB of the exact one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

RELU6_MAX = 6.0
WEIGHT_STEPS = 63  # to either side; then two products add up within 16 bits, which processors without VNNI need
MIN_CHANNELS, MIN_USES = 64, 32  # of a map, and products with each of its values; below, quantizing costs what it saves
CLIPPED_SHARE = 1e-4  # of a picture's values, at either end: 37 dB, and 32 dB without clipping
SAMPLE_STRIDE = 7  # one value of 7 is looked at

Range = tuple[float, float]  # the least and the greatest input of a convolution
Quantization = dict[str, NDArray[Any]]  # scale and zero point, as initializers by name


def quantize_convolutions(graph: Any) -> None:
    """Quantize the inputs of expensive convolutions that ReLU6 bounds, and their weights with a scale for each channel.

    QuantizeLinear and DequantizeLinear express both. Engines take them for permission to compute in int8. Without these
    nodes the graph is the exact network.

    Args:
        graph: an ONNX graph, changed in place.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    bounded = {node.output[0] for node in graph.node if node.op_type == "Clip" and values[node.input[2]] == RELU6_MAX}
    nodes, added, done = [], [], set[str]()
    for node in graph.node:
        if node.input and node.input[0] in bounded and is_expensive(node, values):
            source, weight = node.input[:2]
            parts = {weight: weight_quantization(values[weight], weight)}
            if source not in done:
                parts[source] = map_quantization((0.0, RELU6_MAX), source)
            for name, steps in parts.items():
                added += [numpy_helper.from_array(value, part) for part, value in steps.items()]
                nodes += quantize_nodes(name, steps)
            done.add(source)
            node.input[0], node.input[1] = f"{source}_rounded", f"{weight}_rounded"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *added])
    graph.node.extend(nodes)


def is_expensive(node: Any, values: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether a node is a dense convolution with so many products that quantizing its input pays off."""
    if node.op_type != "Conv" or any(a.name == "group" and a.i > 1 for a in node.attribute):
        return False
    out, channels, *window = values[node.input[1]].shape
    return bool(channels >= MIN_CHANNELS and out * np.prod(window) >= MIN_USES)


def map_quantization(values: Range, name: str) -> Quantization:
    """Return scale and zero point of a map: unsigned from 0 up, or signed and symmetric.

    Args:
        values: the range; name: of the map.
    """
    low, high = values
    unsigned = low >= 0
    scale = max(high, 1e-6) / 255 if unsigned else max(-low, high, 1e-6) / 127
    zero = np.array(0, np.uint8 if unsigned else np.int8)
    return {f"{name}_step": np.array(scale, np.float32), f"{name}_zero": zero}


def weight_quantization(values: NDArray[Any], name: str) -> Quantization:
    """Return scales and zero points of a weight, one for each output channel.

    Args:
        values: (O, C, h, w); name: of the weight.
    """
    scale = (np.maximum(np.abs(values).max((1, 2, 3)), 1e-12) / WEIGHT_STEPS).astype(np.float32)
    return {f"{name}_step": scale, f"{name}_zero": np.zeros(len(scale), np.int8)}


def quantize_nodes(name: str, parts: Quantization) -> list[Any]:
    """Return the two nodes that make `NAME_rounded` of NAME."""
    return [
        helper.make_node("QuantizeLinear", [name, *parts], [f"{name}_steps"], axis=0),
        helper.make_node("DequantizeLinear", [f"{name}_steps", *parts], [f"{name}_rounded"], axis=0),
    ]


@torch.no_grad()
def measure_input_ranges(net: nn.Module, batches: Sequence[Tensor]) -> dict[str, Range]:
    """Return the range of each convolution's input, by its weight's name, without the rarest values.

    Args:
        net: the network; batches: float (N, 3, H, W) in [0, 1], on the CPU.
    """
    found: dict[str, Range] = {}

    def recorder(name: str) -> Callable[..., None]:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].float().numpy().ravel()[::SAMPLE_STRIDE]
            low, high = np.quantile(values, (CLIPPED_SHARE, 1 - CLIPPED_SHARE))
            least, most = found.get(name, (low, high))
            found[name] = min(least, float(low)), max(most, float(high))

        return record

    hooks = [
        module.register_forward_pre_hook(recorder(f"{name}.weight"))
        for name, module in net.named_modules() if isinstance(module, nn.Conv2d)
    ]  # fmt: skip
    for batch in batches:
        net(batch)
    for hook in hooks:
        hook.remove()
    return found
