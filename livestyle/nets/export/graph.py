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

from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.export.int8 import Range, map_steps, weight_steps

Floats = NDArray[np.float32]
Steps = dict[str, NDArray[Any]]  # scale and zero, as `int8` gives them

AROUND = [0, 0, 1, 1, 0, 0, 1, 1]  # pads of a map


class OnnxGraph:
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

    def rounded(self, source: str, parts: Steps, mirrored: bool = False) -> str:
        """A map or constant in steps of int8, and a map's border; itself without steps."""
        if not parts:
            return self.mirrored(source) if mirrored else source
        self.values |= parts
        steps = self.add("QuantizeLinear", source, *parts, axis=0)
        # Bytes: OpenVINO (2026.4) gets it wrong where the border is put around what is read of steps with a sign.
        steps = self.mirrored(steps) if mirrored else steps
        return self.add("DequantizeLinear", steps, *parts, axis=0)

    def mirrored(self, source: str) -> str:
        """A map and its border, a pixel to each side."""
        return self.add("Pad", source, self.constant(AROUND), mode="reflect")

    def convolve(self, source: str, weight: Floats, bias: Floats | None = None, *, exact: bool) -> str:
        """A convolution that narrows a map by its border, its weights in int8 unless `exact`."""
        kernel = self.constant(weight, np.float32)
        if not exact:
            kernel = self.rounded(kernel, weight_steps(self.values[kernel], kernel))
        return self.add("Conv", source, kernel, *([] if bias is None else [self.constant(bias, np.float32)]))

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
    graph, exact = OnnxGraph(), not reads
    held = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    picture = graph.add("Transpose", "images", perm=[0, 3, 1, 2])

    def seen(block: int, name: str) -> str:
        """What a convolution makes of the picture, un-shuffled: of bytes, so that grey is taken off its bias."""
        weight = held[f"{name}.weight"]
        bias = held.get(f"{name}.bias", np.float32(0)) - np.float32(0.5) * weight.sum((1, 2, 3))
        blocks = graph.mirrored(graph.add("SpaceToDepth", picture, blocksize=block))
        step = graph.constant(1 / 255, np.float32), graph.constant(0, np.uint8)
        blocks = graph.add("DequantizeLinear", blocks, *step)
        return graph.convolve(blocks, shuffled(weight, 1, block), bias, exact=exact)

    def within(source: str, name: str) -> str:
        """What a convolution makes of a map."""
        return graph.convolve(graph.rounded(source, steps(source, name), mirrored=True), *given(name), exact=exact)

    def steps(source: str, name: str) -> Steps:
        """Those in which a convolution reads a map; none where it reads it as it is."""
        return {} if exact else map_steps(reads[f"{name}.weight"], source)

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
        change = norm(within(inner, f"{second}.conv"), second)
        # Twice the same sum: one is rounded as it is written, which takes half of the time of reading it again.
        stream, read = graph.add("Add", stream, change), graph.add("Add", change, stream)
    strokes, detail = (graph.rounded(half, steps(half, "join")) for half in (graph.add("Relu", read), detail))
    joined = graph.add("Concat", graph.add("DepthToSpace", strokes, blocksize=2, mode="CRD"), detail, axis=1)
    joined = graph.add("Relu", graph.convolve(graph.mirrored(joined), *given("join"), exact=exact))
    joined = graph.rounded(joined, steps(joined, "paint"), mirrored=True)
    weight, bias = given("paint", 2)
    painted = graph.convolve(joined, weight * 255, bias * 255 + 127.5, exact=exact)
    whole = graph.constant(1, np.float32), graph.constant(0, np.uint8)
    painted = graph.add("DepthToSpace", graph.add("QuantizeLinear", painted, *whole), blocksize=2)
    graph.add("Transpose", painted, perm=[0, 2, 3, 1], result="result")
    return graph.finished("slim")


def shuffled(weight: Floats, axis: int, block: int) -> Floats:
    """A weight or bias whose channels along an axis are those of a block of pixels, each pixel's together.

    torch lays each colour's pixels side by side, ONNX each pixel's colours, which is how a picture lies in memory.
    """
    before, after = weight.shape[:axis], weight.shape[axis + 1 :]
    parts = weight.reshape(*before, -1, block * block, *after)
    return np.ascontiguousarray(parts.swapaxes(axis, axis + 1).reshape(weight.shape))
