"""The convolutions of an ONNX graph in int8: what they read in 255 steps, their weights in 127.

How far that reaches, ReLU6 tells, or pictures that a net is shown (Jacob et al. 2018). Nothing else is rounded: with
norms, sums and the picture that comes out rounded too, as quantisers do unless told, a style was 24 dB from itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

TOP = 6.0  # of what ReLU6 lets through
WEIGHT_STEPS = 63  # either way: two products then add up within 16 bits, all that a processor without VNNI has for them
CHANNELS, USES = 64, 32  # of a map, and products that each of its values enters: below, rounding it costs what is saved
RARE = 1e-4  # of the values of a picture, that steps for them all would make coarse: 32 dB, and 37 without them
SAMPLED = 7  # one value in so many is looked at

Range = tuple[float, float]  # the least and the most that a convolution reads


def compute_in_int8(graph: Any) -> None:
    """Round the maps that costly convolutions read and ReLU6 bounds, and their weights, a scale for each channel.

    Both are said by QuantizeLinear and DequantizeLinear, which an engine takes for leave to compute in int8; without
    those nodes the graph is the net itself.

    Args:
        graph: an ONNX graph, changed in place.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    bounded = {node.output[0] for node in graph.node if node.op_type == "Clip" and values[node.input[2]] == TOP}
    nodes, added, done = [], [], set[str]()
    for node in graph.node:
        if node.input and node.input[0] in bounded and pays(node, values):
            source, weight = node.input[:2]
            parts = {weight: weight_steps(values[weight], weight)}
            if source not in done:
                parts[source] = map_steps((0.0, TOP), source)
            for name, steps in parts.items():
                added += [numpy_helper.from_array(value, part) for part, value in steps.items()]
                nodes += rounding(name, steps)
            done.add(source)
            node.input[0], node.input[1] = f"{source}_rounded", f"{weight}_rounded"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *added])
    graph.node.extend(nodes)


def pays(node: Any, values: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a node is a dense convolution of so many products that rounding its map first is worth it."""
    if node.op_type != "Conv" or any(a.name == "group" and a.i > 1 for a in node.attribute):
        return False
    out, channels, *window = values[node.input[1]].shape
    return bool(channels >= CHANNELS and out * np.prod(window) >= USES)


def map_steps(read: Range, name: str) -> dict[str, NDArray[Any]]:
    """Scale and zero of a map's steps, as initialisers: from 0 up, or as far to both sides of it."""
    low, high = read
    unsigned = low >= 0
    scale = max(high, 1e-6) / 255 if unsigned else max(-low, high, 1e-6) / 127
    zero = np.array(0, np.uint8 if unsigned else np.int8)
    return {f"{name}_step": np.array(scale, np.float32), f"{name}_zero": zero}


def weight_steps(values: NDArray[Any], name: str) -> dict[str, NDArray[Any]]:
    """Scales and zeros of a weight's steps, as initialisers, one for each of the output's channels."""
    scale = (np.maximum(np.abs(values).max((1, 2, 3)), 1e-12) / WEIGHT_STEPS).astype(np.float32)
    return {f"{name}_step": scale, f"{name}_zero": np.zeros(len(scale), np.int8)}


def rounding(name: str, parts: Mapping[str, NDArray[Any]]) -> list[Any]:
    """The two nodes that make `NAME_rounded` of NAME."""
    return [
        helper.make_node("QuantizeLinear", [name, *parts], [f"{name}_steps"], axis=0),
        helper.make_node("DequantizeLinear", [f"{name}_steps", *parts], [f"{name}_rounded"], axis=0),
    ]


@torch.no_grad()
def measured_reads(net: nn.Module, batches: Sequence[Tensor]) -> dict[str, Range]:
    """What each convolution of a net reads, by its weight's name, but for the rarest values of every picture.

    Args:
        batches: float (N, 3, H, W) pictures in [0, 1], on the CPU.
    """
    found: dict[str, Range] = {}

    def watch(name: str) -> Callable[..., None]:
        def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = np.quantile(inputs[0].float().numpy().ravel()[::SAMPLED], (RARE, 1 - RARE))
            least, most = found.get(name, (low, high))
            found[name] = min(least, float(low)), max(most, float(high))

        return see

    hooks = [
        module.register_forward_pre_hook(watch(f"{name}.weight"))
        for name, module in net.named_modules() if isinstance(module, nn.Conv2d)
    ]  # fmt: skip
    for batch in batches:
        net(batch)
    for hook in hooks:
        hook.remove()
    return found
