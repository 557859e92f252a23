"""The costly convolutions of an ONNX graph in int8, where nothing has to be measured for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

TOP = 6.0  # of what ReLU6 lets through
WEIGHT_STEPS = 63  # either way: two products then add up within 16 bits, all that a processor without VNNI has for them
CHANNELS, USES = 64, 32  # of a map, and products that each of its values enters: below, rounding it costs what is saved
MAP = ("map_step", "map_zero")  # initialisers


def compute_in_int8(graph: Any) -> None:
    """Round the maps that ReLU6 bounds, and the weights of the costly convolutions over them (Jacob et al. 2018).

    Both are said by QuantizeLinear and DequantizeLinear, which an engine takes for leave to compute in int8: a map in
    255 steps of the range that it is known to have, weights in steps of their output channel's largest.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    bounded = {node.output[0] for node in graph.node if node.op_type == "Clip" and values[node.input[2]] == TOP}
    costly = {node.name for node in graph.node if node.input and node.input[0] in bounded and pays(node, values)}
    maps = {node.input[0] for node in graph.node if node.name in costly}
    step, zero = np.array(TOP / 255, np.float32), np.array(0, np.uint8)
    added = [numpy_helper.from_array(value, name) for name, value in zip(MAP, (step, zero), strict=True)]  # type: ignore[arg-type]
    nodes = []
    for node in graph.node:
        if node.name in costly:
            source, weight = node.input[:2]
            steps, widen = rounded_weight(values[weight], weight)
            added += steps
            nodes.append(widen)
            node.input[0], node.input[1] = f"{source}_rounded", widen.output[0]
        nodes.append(node)
        for name in maps & set(node.output):
            nodes.append(helper.make_node("QuantizeLinear", [name, *MAP], [f"{name}_steps"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_steps", *MAP], [f"{name}_rounded"]))
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *added])
    graph.node.extend(nodes)


def pays(node: Any, values: dict[str, NDArray[Any]]) -> bool:
    """Whether a node is a dense convolution of so many products that rounding its map first is worth it."""
    if node.op_type != "Conv" or any(a.name == "group" and a.i > 1 for a in node.attribute):
        return False
    out, channels, *window = values[node.input[1]].shape
    return bool(channels >= CHANNELS and out * np.prod(window) >= USES)


def rounded_weight(values: NDArray[Any], name: str) -> tuple[list[Any], Any]:
    """A convolution's weights in int8 steps, as initialisers, and the node that widens them."""
    largest = np.maximum(np.abs(values).max((1, 2, 3)), 1e-12)
    scale = (largest / WEIGHT_STEPS).astype(np.float32)
    steps = np.round(values / scale[:, None, None, None]).astype(np.int8)
    parts = {f"{name}_steps": steps, f"{name}_scale": scale, f"{name}_zero": np.zeros(len(scale), np.int8)}
    widen = helper.make_node("DequantizeLinear", list(parts), [f"{name}_rounded"], axis=0)
    return [numpy_helper.from_array(array, key) for key, array in parts.items()], widen
