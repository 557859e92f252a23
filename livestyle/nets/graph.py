"""A SlimNet as an ONNX graph that takes and gives bytes, its convolutions in int8.

torch's exporter widens the picture to floats before it is un-shuffled, and shuffles floats before they are rounded:
beside convolutions in int8, that and what engines make of it were a quarter of the time.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, helper, numpy_helper
from torch import nn

from livestyle.nets.int8 import Range, map_steps, rounding, weight_steps
from livestyle.nets.transform import BORDER, GRAY, SlimNet

Floats = NDArray[np.float32]

AROUND = [0, 0, 1, 1, 0, 0, 1, 1]  # pads of a map, a pixel to each side


class Graph:
    """Collects nodes and their constants; what adds some returns the name of what they give."""

    def __init__(self) -> None:
        self.nodes, self.values = list[Any](), dict[str, NDArray[Any]]()

    def constant(self, value: Any, kind: type[np.generic] = np.int64) -> str:
        """A constant."""
        name = f"c{len(self.values)}"
        self.values[name] = np.asarray(value, kind)
        return name

    def add(self, operation: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """A node."""
        result = result or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))
        return result

    def rounded(self, source: str, read: Range | None) -> str:
        """A map in steps of int8; itself without a range."""
        return self._rounded(source, map_steps(read, source)) if read else source

    def _rounded(self, source: str, parts: dict[str, NDArray[Any]]) -> str:
        self.values |= parts
        self.nodes += rounding(source, parts)
        return f"{source}_rounded"

    def convolve(self, source: str, weight: Floats, bias: Floats | None = None, *, exact: bool, pad: int = 1) -> str:
        """A convolution, its weights in int8 unless `exact`."""
        kernel = self.constant(weight, np.float32)
        if not exact:
            kernel = self._rounded(kernel, weight_steps(self.values[kernel], kernel))
        inputs = [source, kernel] if bias is None else [source, kernel, self.constant(bias, np.float32)]
        return self.add("Conv", *inputs, pads=[pad] * 4)

    def finished(self, name: str) -> GraphProto:
        """From `images` to `result`, both uint8 (N, H, W, 3)."""
        kind, shape = TensorProto.UINT8, ("n", "h", "w", 3)
        images, result = (helper.make_tensor_value_info(end, kind, shape) for end in ("images", "result"))
        held = [numpy_helper.from_array(value, key) for key, value in self.values.items()]
        return helper.make_graph(self.nodes, name, [images], [result], held)


def slim_graph(net: SlimNet, reads: Mapping[str, Range]) -> GraphProto:
    """The graph of a SlimNet.

    Args:
        reads: what convolutions read, by the weight's name (`int8.measured_reads`); empty: no int8.
    """
    graph, exact = Graph(), not reads
    held = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    picture = graph.add("Pad", "images", graph.constant(pads_of_bytes(BORDER)), mode="reflect")
    picture = graph.add("Transpose", picture, perm=[0, 3, 1, 2])

    def seen(block: int, name: str) -> str:
        """What a convolution makes of the picture, un-shuffled: of bytes, so that grey is taken off its bias."""
        weight = held[f"{name}.weight"]
        bias = held.get(f"{name}.bias", np.float32(0)) - np.float32(GRAY) * weight.sum((1, 2, 3))
        blocks = graph.add("SpaceToDepth", picture, blocksize=block)
        blocks = graph.add("Pad", blocks, graph.constant(AROUND), graph.constant(round(255 * GRAY), np.uint8))
        step = graph.constant(1 / 255, np.float32), graph.constant(0, np.uint8)
        blocks = graph.add("DequantizeLinear", blocks, *step)
        return graph.convolve(blocks, shuffled(weight, 1, block), bias, exact=exact, pad=0)

    def within(source: str, name: str) -> str:
        """What a convolution makes of a map that has a sign.

        OpenVINO (2026.4) gets the zeros wrong that a convolution puts around such a map: they are put there before.
        """
        steps = graph.rounded(source, reads.get(f"{name}.weight"))
        return graph.convolve(graph.add("Pad", steps, graph.constant(AROUND)), *given(name), exact=exact, pad=0)

    def given(name: str, block: int = 1) -> list[Floats]:
        parts = (held[key] for key in (f"{name}.weight", f"{name}.bias") if key in held)
        return [shuffled(part, 0, block) for part in parts]

    def norm(source: str, name: str) -> str:
        parts = (graph.constant(held[f"{name}.norm.{part}"], np.float32) for part in ("weight", "bias"))
        return graph.add("InstanceNormalization", source, *parts, epsilon=nn.InstanceNorm2d(1).eps)

    detail = graph.add("Relu", seen(2, "detail"))
    stream = read = graph.add("Relu", norm(seen(4, "stem.conv"), "stem"))
    for number in range(len(net.trunk)):
        first, second = (f"trunk.{number}.{half}" for half in ("first", "second"))
        inner = graph.add("Relu", norm(within(read, f"{first}.conv"), first))
        inner = graph.rounded(inner, reads.get(f"{second}.conv.weight"))
        change = norm(graph.convolve(inner, *given(f"{second}.conv"), exact=exact), second)
        # Twice the same sum: one is rounded as it is written, which takes half of the time of reading it again.
        stream, read = graph.add("Add", stream, change), graph.add("Add", change, stream)
    reach = reads.get("join.weight")
    strokes, detail = (graph.rounded(half, reach) for half in (graph.add("Relu", read), detail))
    joined = graph.add("Concat", graph.add("DepthToSpace", strokes, blocksize=2, mode="CRD"), detail, axis=1)
    joined = graph.add("Relu", graph.convolve(joined, *given("join"), exact=exact))
    joined = graph.rounded(joined, reads.get("paint.weight"))
    weight, bias = given("paint", 2)
    painted = graph.convolve(joined, weight * 255, bias * 255 + 127.5, exact=exact)
    whole = graph.constant(1, np.float32), graph.constant(0, np.uint8)
    painted = graph.add("DepthToSpace", graph.add("QuantizeLinear", painted, *whole), blocksize=2)
    inside = [graph.constant(corner) for corner in ([BORDER] * 2, [-BORDER] * 2, [2, 3])]
    graph.add("Transpose", graph.add("Slice", painted, *inside), perm=[0, 2, 3, 1], result="result")
    return graph.finished("slim")


def pads_of_bytes(border: int) -> list[int]:
    """Of pictures (N, H, W, 3), as many pixels to each side."""
    return [0, border, border, 0, 0, border, border, 0]


def shuffled(weight: Floats, axis: int, block: int) -> Floats:
    """A weight or bias whose channels along an axis are those of a block of pixels, each pixel's together.

    torch lays each colour's pixels side by side, ONNX each pixel's colours, which is how a picture lies in memory.
    """
    before, after = weight.shape[:axis], weight.shape[axis + 1 :]
    parts = weight.reshape(*before, -1, block * block, *after)
    return np.ascontiguousarray(parts.swapaxes(axis, axis + 1).reshape(weight.shape))
